#include "services/messaging/inbound.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "common/app/members.h"
#include "common/base/text.h"
#include "common/obs/log.h"
#include "common/obs/metrics.h"
#include "crm/deal_pipeline/v1/lead.pb.h"
#include "services/messaging/rules/html.h"
#include "services/messaging/rules/lmtp.h"
#include "services/messaging/rules/threading.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"

namespace crm::messaging {
namespace inbound_internal {

// Writers that meet at one conversation start over; a mailing of answers to one letter is no more than this.
constexpr int kAttemptsMax = 8;
// What of a letter becomes the lead's message.
constexpr size_t kLeadMessageLength = 5000;

// Found or made for a sender.
struct Author {
  contact::v1::Contact contact;
  bool unaccepted = false;
};

std::string LocalPart(const std::string& address) { return address.substr(0, address.find('@')); }

contact::v1::Contact ContactOf(const v1::Mailbox& sender, const v1::Channel& channel) {
  contact::v1::Contact contact;
  const std::string name = Squeezed(sender.name());
  const size_t space = name.find(' ');
  contact.set_given_name(Truncated(name.substr(0, space), 200));
  if (space != std::string::npos) contact.set_family_name(Truncated(name.substr(space + 1), 200));
  contact.add_emails()->set_address(sender.address());
  contact.set_unaccepted(true);
  contact.set_lifecycle(contact::v1::LIFECYCLE_POTENTIAL);
  contact.set_source("mail");
  contact.set_owner_id(channel.default_owner_id());
  return contact;
}

// The contact who has the address; made if nobody has it, once however often the letter comes and whichever replica
// takes it: the idempotency key is the address.
Async<contact::v1::Contact> AuthorOf(Messaging& app, const Call& call, const v1::Mailbox& sender,
                                     const v1::Channel& channel) {
  for (int i = 0;; ++i) {
    contact::v1::LookupContactsRequest lookup;
    lookup.set_email(sender.address());
    CRM_CO_TRY(auto found, co_await app.contacts.Unary<contact::v1::LookupContactsResponse>(
                               call, "crm.contact.v1.ContactService.LookupContacts", lookup));
    if (found.contacts_size() > 0) {
      // A person who has been accepted comes before an unaccepted namesake.
      for (const auto& contact : found.contacts()) {
        if (!contact.unaccepted()) co_return contact;
      }
      co_return found.contacts(0);
    }
    contact::v1::CreateContactRequest create;
    *create.mutable_contact() = ContactOf(sender, channel);
    create.set_request_id(Truncated(absl::StrCat("mail/", sender.address()), 100));
    auto made =
        co_await app.contacts.Unary<contact::v1::Contact>(call, "crm.contact.v1.ContactService.CreateContact", create);
    if (made.ok()) co_return made;
    // Two first letters at once, under different names: the other one has made it.
    if (ReasonOf(made.status()) != type::v1::ERROR_REASON_IDEMPOTENCY_KEY_REUSED || i > 0) co_return made.status();
  }
}

// The lead of a person who wrote for the first time: keyed by the contact, so that there is one.
Async<std::string> LeadOf(Messaging& app, const Call& call, const v1::Message& message,
                          const contact::v1::Contact& contact, const v1::Channel& channel) {
  deal_pipeline::v1::CreateLeadRequest create;
  auto& lead = *create.mutable_lead();
  lead.set_title(Truncated(message.subject(), 300));
  lead.set_name(Truncated(message.sender().name(), 300));
  lead.set_email(message.sender().address());
  lead.set_message(Truncated(message.text(), kLeadMessageLength));
  lead.set_source("mail");
  lead.set_owner_id(channel.default_owner_id());
  create.set_request_id(absl::StrCat("mail/", contact.id()));
  auto made =
      co_await app.deals.Unary<deal_pipeline::v1::Lead>(call, "crm.deal_pipeline.v1.LeadService.CreateLead", create);
  if (made.ok()) co_return made->id();
  // A second first letter, at once with the first: one lead is enough.
  if (ReasonOf(made.status()) == type::v1::ERROR_REASON_IDEMPOTENCY_KEY_REUSED) co_return std::string();
  co_return made.status();
}

const obs::Counter& Letters(const char* outcome) {
  static std::map<std::string, obs::Counter> counters;
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  auto it = counters.find(outcome);
  if (it == counters.end())
    it = counters
             .emplace(outcome, obs::MakeCounter("crm_letters_received_total",
                                                "Letters that arrived, by what became of them", {{"outcome", outcome}}))
             .first;
  return it->second;
}

}  // namespace inbound_internal

namespace in = inbound_internal;

Inbound::Inbound(Messaging& app) : app_(app) {}

Async<std::optional<Inbound::Box>> Inbound::Find(std::string address) {
  const Call call = app_.own_call(Uuid());
  CRM_CO_TRY(pg::Rows rows,
             co_await app_.db.Read(call, sql::kFindMailbox, pg::Params().Text(DirectoryAddress(address))));
  if (rows.empty()) co_return std::nullopt;
  Box box;
  box.tenant = rows.Id(0, 0);
  box.channel_id = TypeId("channel", rows.Id(0, 1));
  co_return box;
}

Async<> Inbound::Deliver(Box box, const v1::ParsedLetter& letter, std::string fingerprint, std::string sender) {
  const Call call = app_.own_call(box.tenant);
  auto channel = co_await app_.db.Get(call, app_.tables.channels, box.channel_id);
  if (absl::IsNotFound(channel.status()) || (channel.ok() && !channel->enabled()))
    co_return absl::NotFoundError("the channel takes no letters at present");
  if (!channel.ok()) co_return channel.status();
  if (letter.has_report() && (!letter.report().internet_message_id().empty() || letter.report().recipients_size() > 0))
    co_return co_await Report(call, letter.report(), letter.message());

  v1::Message message = letter.message();
  const std::string key = message.internet_message_id().empty() ? fingerprint : message.internet_message_id();
  message.set_id(DerivedId("message", channel->id(), key));
  std::vector<std::string> ids(1, message.id());
  CRM_CO_TRY(auto known, co_await app_.db.BatchGet(call, app_.tables.messages, ids));
  if (!known.empty()) {
    in::Letters("repeated").Add();
    co_return absl::OkStatus();
  }
  if (message.sender().address().empty() && !sender.empty())
    message.mutable_sender()->set_address(absl::AsciiStrToLower(sender));
  // What we wrote ourselves and got back as a copy is no letter to us.
  message.set_channel_id(channel->id());
  message.set_status(v1::MESSAGE_STATUS_RECEIVED);
  message.set_direction(v1::MESSAGE_DIRECTION_INBOUND);
  message.set_kind(v1::MESSAGE_KIND_EMAIL);
  message.set_preview(PreviewOf(message.text()));
  *message.mutable_receive_time() = ToTimestamp(call.now());
  for (int i = 0; i < message.attachments_size() && app_.files != nullptr; ++i) {
    auto* attachment = message.mutable_attachments(i);
    OutgoingFile file{attachment->name(), attachment->content_type(), letter.attachment_contents(i)};
    const std::string source = absl::StrCat(message.id(), "/", i);
    CRM_CO_TRY(std::string file_id, co_await app_.files->Keep(call, std::move(file), source));
    attachment->set_file_id(file_id);
    message.add_attachment_file_ids(file_id);
  }
  for (int i = 0;; ++i) {
    const Call again = app_.own_call(box.tenant);
    absl::Status stored = co_await Store(again, *channel, letter, message);
    if (absl::IsAlreadyExists(stored)) {
      // The same letter, delivered twice at once.
      in::Letters("repeated").Add();
      co_return absl::OkStatus();
    }
    if (stored.ok()) in::Letters("stored").Add();
    if (!IsLostRace(stored) || i == in::kAttemptsMax) co_return stored;
  }
}

Async<> Inbound::Store(const Call& call, const v1::Channel& channel, const v1::ParsedLetter&, v1::Message message) {
  const pg::Table<v1::Conversation>& conversations = app_.tables.conversations;
  const pg::Table<v1::Message>& messages = app_.tables.messages;
  std::optional<v1::Conversation> before;
  const std::vector<std::string> parents = ParentsOf(message);
  if (!parents.empty()) {
    CRM_CO_TRY(pg::Rows rows,
               co_await app_.db.Read(call, sql::kFindConversationByLetters, pg::Params().TextArray(parents)));
    if (!rows.empty()) {
      const std::string id = TypeId("conversation", rows.Id(0, 0));
      CRM_CO_TRY(before, co_await app_.db.Get(call, conversations, id));
    }
  }

  v1::Conversation after;
  const bool first = !before.has_value();
  if (before) {
    after = *before;
  } else {
    after.set_id(DerivedId("conversation", message.id(), "first"));
    after.set_channel_id(channel.id());
    after.set_subject(message.subject().empty() ? "(no subject)" : message.subject());
  }
  // Who wrote: the conversation's own contact if the address is among its participants, else whoever has the address.
  const std::string& address = message.sender().address();
  const auto& people = after.participants();
  const bool known = !after.contact_id().empty() && std::any_of(people.begin(), people.end(), [&](const auto& person) {
    return person.address() == address;
  });
  if (known) {
    message.set_contact_id(after.contact_id());
  } else if (!address.empty() && !message.automatic()) {
    CRM_CO_TRY(auto contact, co_await in::AuthorOf(app_, call, message.sender(), channel));
    message.set_contact_id(contact.id());
    if (after.contact_id().empty()) {
      after.set_contact_id(contact.id());
      after.set_company_id(contact.company_id());
      if (first) {
        after.set_owner_id(contact.owner_id());
        after.set_team_id(contact.team_id());
      }
    }
    if (first && contact.unaccepted() && contact.source() == "mail" && channel.creates_leads()) {
      CRM_CO_TRY(pg::Rows others,
                 co_await app_.db.Read(call, sql::kHasConversationOf, pg::Params().Id(UuidOf(contact.id()))));
      if (others.empty()) {
        CRM_CO_TRY(std::string lead_id, co_await in::LeadOf(app_, call, message, contact, channel));
        after.set_lead_id(lead_id);
      }
    }
  }
  if (first && after.owner_id().empty()) after.set_owner_id(channel.default_owner_id());
  message.set_company_id(after.company_id());
  message.set_deal_id(after.deal_id());
  after.set_status(v1::CONVERSATION_STATUS_OPEN);
  if (first) {
    CRM_CO_TRY(co_await app::FillTeam(app_.db, call, after));
    pg::StampNew(call, conversations, after);
  }
  message.set_conversation_id(after.id());
  message.set_owner_id(after.owner_id());
  message.set_team_id(after.team_id());
  pg::StampNew(call, messages, message);
  LeaveTraces(after, message, channel.address());
  if (before) pg::Touch(call, *before, after);

  pg::Batch batch(call);
  if (before) {
    ChangeConversation(batch, app_.tables, *before, after, type::v1::ACTION_UNSPECIFIED);
  } else {
    batch.Insert(conversations, after);
    EmitRecord<v1::ConversationCreated>(batch, conversations, "created", after);
  }
  batch.Insert(messages, message);
  v1::MessageReceived event;
  *event.mutable_message() = ForEvent(message);
  *event.mutable_conversation() = after;
  event.set_first(first);
  event.set_reply(before.has_value() && !message.automatic());
  batch.Emit(pg::EventOf(messages, "received", message), event);
  CRM_CO_TRY(co_await app_.db.Write(call, std::move(batch)));
  co_return absl::OkStatus();
}

// What a mail system says about a letter of ours: bounced for good, or arrived.
Async<> Inbound::Report(const Call& call, const v1::DeliveryReport& report, const v1::Message&) {
  in::Letters("report").Add();
  CRM_CO_TRY(pg::Rows rows,
             co_await app_.db.Read(call, sql::kFindByInternetId, pg::Params().Text(report.internet_message_id())));
  if (rows.empty()) co_return absl::OkStatus();  // about nothing of ours
  const std::string id = TypeId("message", rows.Id(0, 0));
  for (int i = 0;; ++i) {
    CRM_CO_TRY(v1::Message before, co_await app_.db.Get(call, app_.tables.messages, id));
    v1::Message after = before;
    const std::vector<std::string> ours = AddressesOf(before);
    std::map<std::string, std::string> dead;
    bool arrived = false;
    std::string refusals;
    for (const auto& recipient : report.recipients()) {
      // A report may only speak of those whom we wrote to: nobody gets others suspended by a forged one.
      if (std::find(ours.begin(), ours.end(), recipient.address()) == ours.end()) continue;
      const std::string words =
          absl::StrCat(recipient.address(), ": ", recipient.status(), " ", recipient.diagnostic());
      if (recipient.action() == "delivered") arrived = true;
      if (recipient.action() != "failed" || !absl::StartsWith(recipient.status(), "5")) continue;
      absl::StrAppend(&refusals, refusals.empty() ? "" : "; ", words);
      if (absl::StartsWith(recipient.status(), "5.1.") || recipient.status() == "5.2.1")
        dead[recipient.address()] = Truncated(words, 1000);
    }
    if (!refusals.empty()) {
      after.set_status(v1::MESSAGE_STATUS_BOUNCED);
      after.set_error(Truncated(refusals, 500));
    } else if (arrived && before.status() == v1::MESSAGE_STATUS_SENT) {
      after.set_status(v1::MESSAGE_STATUS_DELIVERED);
    }
    const bool settled = before.status() == v1::MESSAGE_STATUS_SENT ||
                         before.status() == v1::MESSAGE_STATUS_DELIVERED ||
                         before.status() == v1::MESSAGE_STATUS_UNKNOWN;
    if (after.status() == before.status() || !settled) co_return absl::OkStatus();
    std::vector<std::string> addresses;
    for (const auto& [address, words] : dead) addresses.push_back(address);
    CRM_CO_TRY(auto suspended, co_await Suppressed(app_, call, addresses));
    pg::Touch(call, before, after);
    pg::Batch batch(call);
    app_.tables.messages.AddUpdate(batch, before, after, type::v1::ACTION_UNSPECIFIED);
    for (const auto& [address, words] : dead) {
      if (suspended.count(address) > 0) continue;
      v1::Suppression suppression;
      suppression.set_address(address);
      suppression.set_reason(v1::SUPPRESSION_REASON_BOUNCED);
      suppression.set_note(words);
      suppression.set_message_id(before.id());
      pg::StampNew(call, app_.tables.suppressions, suppression);
      batch.Insert(app_.tables.suppressions, suppression);
      EmitRecord<v1::SuppressionCreated>(batch, app_.tables.suppressions, "created", suppression);
    }
    EmitMessage(batch, app_.tables, after);
    const auto stored = co_await app_.db.Write(call, std::move(batch));
    if (stored.ok()) co_return absl::OkStatus();
    if (!IsLostRace(stored.status()) && !absl::IsAlreadyExists(stored.status())) co_return stored.status();
    if (i == in::kAttemptsMax) co_return stored.status();
  }
}

}  // namespace crm::messaging
