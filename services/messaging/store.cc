#include "services/messaging/store.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>

#include "common/base/email.h"
#include "crm/contact/v1/company.pb.h"
#include "crm/identity/v1/tenant.pb.h"
#include "crm/identity/v1/user.pb.h"
#include "services/messaging/rules/html.h"
#include "services/messaging/sql.h"

namespace crm::messaging {
namespace store_internal {

// A conversation with more people than this is a mailing list; the first ones are kept.
constexpr int kParticipantsMax = 50;
// What of a letter's text stands in its events.
constexpr size_t kEventTextMax = 8 << 10;

// What letters leave on a conversation; a change of these alone is told by the letters' own events.
const std::set<std::string>& Traces() {
  static const std::set<std::string> kTraces = {
      "participants", "preview", "last_message_time", "last_inbound_time", "waiting", "message_count", "inbound_count"};
  return kTraces;
}

pg::UniqueKey ByColumn(const std::string& constraint, const std::string& table, const std::string& column) {
  return {constraint, table + "." + column,
          pg::Statement{"messaging.find_" + table + "_by_" + column,
                        "SELECT id FROM " + table + "_view WHERE " + column + " = $1 AND delete_time IS NULL"},
          [column](const google::protobuf::Message& record) {
            return pg::Params().Text(
                record.GetReflection()->GetString(record, record.GetDescriptor()->FindFieldByName(column)));
          }};
}

// `unread = true` of lists: letters that the caller has not read.
absl::StatusOr<pg::Fragment> CompileUnread(const Call& call, const filter::Compare& compare) {
  const std::string& wanted = compare.value.text;
  if (compare.op != filter::Op::kEqual || (wanted != "true" && wanted != "false"))
    return FieldError("filter", "unread is asked for as unread = true or unread = false");
  return pg::Fragment{absl::StrCat("(t.inbound_count > COALESCE((SELECT r.inbound_count FROM read_state_view r WHERE "
                                   "r.conversation_id = t.id AND r.user_id = $1), 0)) = ",
                                   wanted),
                      pg::Params().Text(call.principal.user_id)};
}

std::string PrimaryAddress(const contact::v1::Contact& contact) {
  for (const auto& email : contact.emails()) {
    if (email.primary()) return email.address();
  }
  return contact.emails_size() > 0 ? contact.emails(0).address() : "";
}

}  // namespace store_internal

namespace si = store_internal;

Tables::Tables() {
  templates.AddUniqueKey(si::ByColumn("template_name", "template", "name"));
  suppressions.AddUniqueKey(si::ByColumn("suppression_address", "suppression", "address"));
  conversations.AddFilterField({"unread", si::CompileUnread});
}

pg::Params& AddRef(pg::Params& params, const std::string& id) {
  return id.empty() ? params.Null() : params.Id(UuidOf(id));
}

v1::Message ForEvent(v1::Message message) {
  // Events are kept, sent to every listener and asked for by the hundred: they say what happened, not every word of it.
  message.clear_html();
  size_t left = si::kEventTextMax;
  Shorten(*message.mutable_text(), *message.mutable_html(), left);
  return message;
}

void EmitMessage(pg::Batch& batch, const Tables& tables, const v1::Message& whole) {
  const auto& messages = tables.messages;
  const v1::Message message = ForEvent(whole);
  switch (message.status()) {
    case v1::MESSAGE_STATUS_QUEUED:
      return message.attempt_count() == 0 && message.etag() == "1"
                 ? EmitRecord<v1::MessageQueued>(batch, messages, "queued", message)
                 : EmitRecord<v1::MessageUpdated>(batch, messages, "updated", message);
    case v1::MESSAGE_STATUS_SENT:
      return EmitRecord<v1::MessageSent>(batch, messages, "sent", message);
    case v1::MESSAGE_STATUS_BOUNCED:
      return EmitRecord<v1::MessageBounced>(batch, messages, "bounced", message);
    case v1::MESSAGE_STATUS_FAILED:
    case v1::MESSAGE_STATUS_UNKNOWN:
    case v1::MESSAGE_STATUS_BLOCKED:
      return EmitRecord<v1::MessageFailed>(batch, messages, "failed", message);
    case v1::MESSAGE_STATUS_POSTED:
      return EmitRecord<v1::MessageCommented>(batch, messages, "commented", message);
    default:
      return EmitRecord<v1::MessageUpdated>(batch, messages, "updated", message);
  }
}

void ChangeConversation(pg::Batch& batch, const Tables& tables, const v1::Conversation& before,
                        const v1::Conversation& after, type::v1::Action action) {
  tables.conversations.AddUpdate(batch, before, after, action);
  const Uuid& tenant = batch.call().tenant();
  if (before.owner_id() != after.owner_id() || before.team_id() != after.team_id()) {
    pg::Params params;
    params.Id(tenant).Id(UuidOf(after.id()));
    AddRef(params, after.owner_id());
    AddRef(params, after.team_id());
    batch.Add(sql::kFollowOwner, std::move(params.Time(batch.call().now())));
  }
  if (before.contact_id() != after.contact_id() || before.company_id() != after.company_id() ||
      before.deal_id() != after.deal_id()) {
    pg::Params params;
    params.Id(tenant).Id(UuidOf(after.id()));
    AddRef(params, after.contact_id());
    AddRef(params, after.company_id());
    AddRef(params, after.deal_id());
    batch.Add(sql::kFollowLinks, std::move(params.Time(batch.call().now())));
  }
  std::vector<std::string> changed = pg::ChangedFields(before, after);
  changed.erase(
      std::remove_if(changed.begin(), changed.end(),
                     [](const std::string& field) { return si::Traces().count(field.substr(0, field.find('.'))) > 0; }),
      changed.end());
  if (!changed.empty())
    EmitRecord<v1::ConversationUpdated>(batch, tables.conversations, "updated", after, std::move(changed));
}

void LeaveTraces(v1::Conversation& conversation, const v1::Message& message, const std::string& own_address) {
  conversation.set_message_count(conversation.message_count() + 1);
  if (message.kind() == v1::MESSAGE_KIND_COMMENT) return;
  conversation.set_preview(message.preview());
  *conversation.mutable_last_message_time() = message.create_time();
  const bool inbound = message.direction() == v1::MESSAGE_DIRECTION_INBOUND;
  if (inbound) {
    *conversation.mutable_last_inbound_time() = message.create_time();
    conversation.set_inbound_count(conversation.inbound_count() + 1);
  }
  // A machine's answer leaves the word where it was.
  if (!message.automatic()) conversation.set_waiting(inbound);
  const auto add = [&](const v1::Mailbox& mailbox) {
    if (mailbox.address() == own_address || mailbox.address().empty()) return;
    for (auto& known : *conversation.mutable_participants()) {
      if (known.address() != mailbox.address()) continue;
      if (known.name().empty()) known.set_name(mailbox.name());
      return;
    }
    if (conversation.participants_size() < si::kParticipantsMax) *conversation.add_participants() = mailbox;
  };
  if (inbound) add(message.sender());
  for (const auto& to : message.recipients()) add(to);
  for (const auto& cc : message.cc()) add(cc);
}

void AddSend(pg::Batch& batch, const v1::Message& message, const std::vector<std::string>& recipients,
             absl::Time not_before) {
  const Call& call = batch.call();
  batch.Add(sql::kAddSend, pg::Params()
                               .Id(call.tenant())
                               .Id(UuidOf(message.id()))
                               .Int(call.tenant().bucket())
                               .Time(not_before)
                               .TextArray(recipients)
                               .Text(call.cause.rule_id)
                               .Text(call.cause.run_id)
                               .Int(call.cause.depth));
}

std::vector<std::string> AddressesOf(const v1::Message& message) {
  std::vector<std::string> out;
  const auto add = [&](const v1::Mailbox& mailbox) {
    if (std::find(out.begin(), out.end(), mailbox.address()) == out.end()) out.push_back(mailbox.address());
  };
  for (const auto& to : message.recipients()) add(to);
  for (const auto& cc : message.cc()) add(cc);
  return out;
}

Async<v1::Channel> ChannelFor(Messaging& app, const Call& call, std::string id, std::string field) {
  if (id.empty()) {
    CRM_CO_TRY(pg::Rows rows, co_await app.db.Read(call, sql::kFindDefaultChannel, pg::Params()));
    if (rows.empty())
      co_return StateError("there is no channel to write by; an administrator makes one: POST /v1/channels");
    id = TypeId("channel", rows.Id(0, 0));
  }
  auto channel = co_await app.db.Get(call, app.tables.channels, id, type::v1::ACTION_UNSPECIFIED);
  if (absl::IsNotFound(channel.status())) co_return FieldError(field, "names no channel; see GET /v1/channels");
  if (!channel.ok()) co_return channel.status();
  if (!channel->enabled()) co_return StateError(absl::StrCat("the channel ", channel->name(), " is switched off"));
  co_return channel;
}

Async<std::map<std::string, std::string>> Suppressed(Messaging& app, const Call& call,
                                                     std::vector<std::string> addresses) {
  CRM_CO_TRY(pg::Rows rows, co_await app.db.Read(call, sql::kFindSuppressed, pg::Params().TextArray(addresses)));
  std::map<std::string, std::string> found;
  for (int i = 0; i < rows.size(); ++i) found[std::string(rows.Text(i, 0))] = std::string(rows.Text(i, 1));
  co_return found;
}

Async<> FillUnread(Messaging& app, const Call& call, std::vector<v1::Conversation*> conversations) {
  std::vector<Uuid> ids;
  for (const auto* conversation : conversations) {
    if (conversation->inbound_count() > 0) ids.push_back(UuidOf(conversation->id()));
  }
  if (ids.empty()) co_return absl::OkStatus();
  CRM_CO_TRY(pg::Rows rows,
             co_await app.db.Read(call, sql::kFindReadStates, pg::Params().Text(call.principal.user_id).IdArray(ids)));
  std::map<std::string, int> read;
  for (int i = 0; i < rows.size(); ++i) read[TypeId("conversation", rows.Id(i, 0))] = static_cast<int>(rows.Int(i, 1));
  for (auto* conversation : conversations)
    conversation->set_unread_count(std::max(0, conversation->inbound_count() - read[conversation->id()]));
  co_return absl::OkStatus();
}

v1::Channel ShownChannel(const Call& call, const Tables& tables, v1::Channel channel) {
  if (call.ScopeOf("channel", type::v1::ACTION_ADMINISTER) == type::v1::SCOPE_UNSPECIFIED) channel.clear_smtp();
  channel.clear_password();
  return pg::Shown(call, tables.channels, std::move(channel));
}

Async<Subject> LoadSubject(Messaging& app, const Call& call, std::string contact_id, std::string deal_id) {
  Subject subject;
  if (!deal_id.empty()) {
    deal_pipeline::v1::GetDealRequest get;
    get.set_id(deal_id);
    CRM_CO_TRY(subject.deal, co_await app.deals.Unary<deal_pipeline::v1::Deal>(
                                 call, "crm.deal_pipeline.v1.DealService.GetDeal", get));
    if (contact_id.empty()) contact_id = subject.deal.contact_id();
  }
  if (contact_id.empty()) co_return subject;
  contact::v1::GetContactRequest get;
  get.set_id(contact_id);
  CRM_CO_TRY(subject.contact,
             co_await app.contacts.Unary<contact::v1::Contact>(call, "crm.contact.v1.ContactService.GetContact", get));
  subject.contact_address = si::PrimaryAddress(subject.contact);
  // Who may not see the address may still write to it.
  if (subject.contact.emails_size() > 0 && subject.contact.access().masked_size() > 0) {
    const Call own = app.own_call(call.tenant());
    CRM_CO_TRY(auto whole,
               co_await app.contacts.Unary<contact::v1::Contact>(own, "crm.contact.v1.ContactService.GetContact", get));
    subject.contact_address = si::PrimaryAddress(whole);
  }
  co_return subject;
}

Async<Value> LoadValues(Messaging& app, const Call& call, const Subject& subject, std::string company_id,
                        std::string sender_id, std::set<std::string> roots) {
  Value root;
  root.kind = Value::Kind::kObject;
  if (!subject.contact.id().empty()) root.fields["contact"] = ValueOf(subject.contact);
  if (!subject.deal.id().empty()) root.fields["deal"] = ValueOf(subject.deal);
  if (company_id.empty()) company_id = subject.contact.company_id();
  if (company_id.empty()) company_id = subject.deal.company_id();
  if (roots.count("company") > 0 && !company_id.empty()) {
    contact::v1::GetCompanyRequest get;
    get.set_id(company_id);
    auto company =
        co_await app.contacts.Unary<contact::v1::Company>(call, "crm.contact.v1.CompanyService.GetCompany", get);
    if (company.ok()) {
      root.fields["company"] = ValueOf(*company);
    } else if (!absl::IsNotFound(company.status()) && !absl::IsPermissionDenied(company.status())) {
      co_return company.status();
    }
  }
  std::string zone = call.time_zone;
  if (roots.count("tenant") > 0 || roots.count("today") > 0) {
    CRM_CO_TRY(pg::Rows rows, co_await app.db.Read(call, sql::kFindTenant, pg::Params()));
    identity::v1::Tenant tenant;
    if (!rows.empty() && tenant.ParseFromString(std::string(rows.Bytes(0, 0)))) {
      root.fields["tenant"] = ValueOf(tenant);
      if (call.principal.kind == Principal::Kind::kService && !tenant.time_zone().empty()) zone = tenant.time_zone();
    }
  }
  root.fields["today"] = Value::Date(DateText(LocalDay(call.now(), ZoneOrUtc(zone))));
  if (roots.count("sender") > 0 && ParseId(sender_id).ok() && ParseId(sender_id)->prefix == "user") {
    CRM_CO_TRY(pg::Rows rows, co_await app.db.Read(call, sql::kFindAccount, pg::Params().Id(UuidOf(sender_id))));
    identity::v1::User user;
    if (!rows.empty() && user.ParseFromString(std::string(rows.Bytes(0, 0)))) root.fields["sender"] = ValueOf(user);
  }
  co_return root;
}

Async<std::string> ZoneFor(Messaging& app, const Call& call) {
  if (call.principal.kind != Principal::Kind::kService) co_return call.time_zone;
  CRM_CO_TRY(pg::Rows rows, co_await app.db.Read(call, sql::kFindTenant, pg::Params()));
  identity::v1::Tenant tenant;
  if (rows.empty() || !tenant.ParseFromString(std::string(rows.Bytes(0, 0))) || tenant.time_zone().empty())
    co_return std::string("UTC");
  co_return tenant.time_zone();
}

}  // namespace crm::messaging
