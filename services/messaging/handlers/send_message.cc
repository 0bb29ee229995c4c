#include <absl/strings/str_cat.h>

#include <algorithm>
#include <optional>

#include "common/app/members.h"
#include "common/base/email.h"
#include "common/base/text.h"
#include "services/messaging/rules/html.h"
#include "services/messaging/rules/templates.h"
#include "services/messaging/rules/threading.h"
#include "services/messaging/service.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"

namespace crm::messaging {
namespace send_message {

// What an attachment may weigh, all of them together: more than most servers take.
constexpr size_t kFilesBytesMax = size_t{20} << 20;

absl::Status Check(const v1::SendMessageRequest& request) {
  const bool own = !request.text().empty() || !request.html().empty();
  if (!request.template_id().empty() && (own || !request.subject().empty()))
    return FieldError("template_id", "is given beside a text of your own; give one of them");
  if (request.template_id().empty() && !own) return FieldError("text", "is missing; or name a template_id");
  if (request.template_id().empty() && request.has_variables())
    return FieldError("variables", "belong to a template; name a template_id");
  return absl::OkStatus();
}

absl::Status AddMailboxes(const google::protobuf::RepeatedPtrField<v1::Mailbox>& from, const std::string& field,
                          google::protobuf::RepeatedPtrField<v1::Mailbox>& to) {
  for (int i = 0; i < from.size(); ++i) {
    v1::Mailbox mailbox = from[i];
    mailbox.set_name(Squeezed(mailbox.name()));
    CRM_TRY(*mailbox.mutable_address(), NormalizeEmail(mailbox.address(), absl::StrCat(field, "[", i, "].address")));
    *to.Add() = std::move(mailbox);
  }
  return absl::OkStatus();
}

// The first that is not empty. (An initializer list would not survive a co_await beside it in g++ 12.)
std::string FirstOf() { return ""; }
template <typename... More>
std::string FirstOf(const std::string& first, const More&... more) {
  return first.empty() ? FirstOf(more...) : first;
}

}  // namespace send_message

namespace sms = send_message;

// Accepts a letter: its text is made now, so that it says what was true when it was sent; then message, conversation,
// event and place in the queue are stored together. Sending is the sender's (jobs/send.cc).
Async<v1::Message> MessageService::SendMessage(Call& call, const v1::SendMessageRequest& request) {
  CRM_CO_TRY(sms::Check(request));
  const bool by_service = call.principal.kind == Principal::Kind::kService;

  std::optional<v1::Conversation> before;
  std::optional<v1::Message> last;
  if (!request.conversation_id().empty()) {
    CRM_CO_TRY(before, co_await db_.Get(call, conversations_, request.conversation_id(), type::v1::ACTION_UPDATE));
    CRM_CO_TRY(pg::Rows rows, co_await db_.Read(call, sql::kLastLetter, pg::Params().Id(UuidOf(before->id()))));
    if (!rows.empty()) {
      const std::string last_id = TypeId("message", rows.Id(0, 0));
      const Call own = app_.own_call(call.tenant());
      CRM_CO_TRY(last, co_await db_.Get(own, messages_, last_id));
    }
  }
  const std::string wanted_channel = sms::FirstOf(request.channel_id(), before ? before->channel_id() : std::string());
  CRM_CO_TRY(v1::Channel channel, co_await ChannelFor(app_, call, wanted_channel, "channel_id"));
  if (!channel.has_smtp())
    co_return StateError(absl::StrCat("the channel ", channel.name(), " only receives: it has no smtp server"));

  const std::string deal_id = sms::FirstOf(request.deal_id(), before ? before->deal_id() : std::string());
  const std::string contact_id = sms::FirstOf(request.contact_id(), before ? before->contact_id() : std::string());
  // Answering in a conversation that one has needs no right to see its contact and deal; naming them anew does.
  Subject subject;
  auto loaded = co_await LoadSubject(app_, call, contact_id, deal_id);
  if (loaded.ok()) {
    subject = *std::move(loaded);
  } else {
    const bool asked = !request.contact_id().empty() || !request.deal_id().empty() || !request.template_id().empty();
    const bool unseen = absl::IsNotFound(loaded.status()) || absl::IsPermissionDenied(loaded.status());
    if (asked || !unseen) co_return loaded.status();
  }

  v1::Message message;
  message.set_kind(v1::MESSAGE_KIND_EMAIL);
  message.set_direction(v1::MESSAGE_DIRECTION_OUTBOUND);
  message.set_status(v1::MESSAGE_STATUS_QUEUED);
  message.set_category(request.category() == v1::MESSAGE_CATEGORY_UNSPECIFIED ? v1::MESSAGE_CATEGORY_TRANSACTIONAL
                                                                              : request.category());
  message.set_channel_id(channel.id());
  message.mutable_sender()->set_address(channel.address());
  message.mutable_sender()->set_name(sms::FirstOf(channel.display_name(), channel.name()));
  message.set_contact_id(sms::FirstOf(subject.contact.id(), contact_id));
  message.set_company_id(sms::FirstOf(request.company_id(), before ? before->company_id() : std::string(),
                                      subject.contact.company_id(), subject.deal.company_id()));
  message.set_deal_id(deal_id);
  message.set_author_id(call.principal.user_id);
  message.set_cause(sms::FirstOf(request.cause(), call.cause.run_id));

  // Whom to.
  CRM_CO_TRY(sms::AddMailboxes(request.recipients(), "recipients", *message.mutable_recipients()));
  CRM_CO_TRY(sms::AddMailboxes(request.cc(), "cc", *message.mutable_cc()));
  if (message.recipients_size() == 0 && before && last && last->direction() == v1::MESSAGE_DIRECTION_INBOUND &&
      !last->sender().address().empty()) {
    *message.add_recipients() = last->sender();
  }
  if (message.recipients_size() == 0 && before && last) {
    for (const auto& to : last->recipients()) {
      if (last->direction() == v1::MESSAGE_DIRECTION_OUTBOUND) *message.add_recipients() = to;
    }
  }
  if (message.recipients_size() == 0 && !subject.contact_address.empty()) {
    auto* to = message.add_recipients();
    to->set_address(subject.contact_address);
    to->set_name(subject.contact.display_name());
  }
  if (message.recipients_size() == 0) {
    if (!subject.contact.id().empty())
      co_return FieldError("contact_id", "names a contact without an e-mail address; add one, or give recipients");
    co_return FieldError("recipients", "are missing; or name a contact_id or a conversation_id");
  }

  // What it says.
  if (request.template_id().empty()) {
    message.set_subject(Squeezed(request.subject()));
    CRM_CO_TRY(co_await app_.offload([&] { message.set_html(SanitizedHtml(request.html())); }));
    message.set_text(request.text().empty() ? HtmlToText(message.html()) : request.text());
  } else {
    CRM_CO_TRY(v1::Template filled, co_await db_.Get(call, app_.tables.templates, request.template_id()));
    std::set<std::string> roots = RootsOf(filled);
    const std::string sender_id =
        by_service ? sms::FirstOf(subject.deal.owner_id(), subject.contact.owner_id()) : call.principal.user_id;
    CRM_CO_TRY(Value root, co_await LoadValues(app_, call, subject, request.company_id(), sender_id, roots));
    CRM_CO_TRY(AddVariables(filled, request.variables(), "variables", root));
    CRM_CO_TRY(std::string zone, co_await ZoneFor(app_, call));
    auto letter = Fill(filled, sms::FirstOf(request.language(), subject.contact.language()), root, zone);
    if (!letter.ok()) co_return StateError(std::string(letter.status().message()));
    message.set_template_id(filled.id());
    message.set_template_version(filled.etag());
    message.set_subject(Truncated(letter->subject, 500));
    message.set_text(letter->text);
    CRM_CO_TRY(co_await app_.offload([&] { message.set_html(SanitizedHtml(letter->html)); }));
  }
  if (message.subject().empty() && before) message.set_subject(AnswerSubject(before->subject()));
  message.set_preview(PreviewOf(message.text()));

  size_t weight = 0;
  for (const auto& id : request.attachment_file_ids()) {
    if (app_.files == nullptr) co_return FieldError("attachment_file_ids", "cannot be sent: no files are kept here");
    auto file = co_await app_.files->Load(call, id);
    if (absl::IsNotFound(file.status())) co_return FieldError("attachment_file_ids", absl::StrCat(id, " is no file"));
    if (!file.ok()) co_return file.status();
    weight += file->content.size();
    if (weight > sms::kFilesBytesMax) co_return FieldError("attachment_file_ids", "are more than 20 MiB together");
    message.add_attachment_file_ids(id);
    auto* attachment = message.add_attachments();
    attachment->set_name(file->name);
    attachment->set_content_type(file->content_type);
    attachment->set_size_bytes(static_cast<int32_t>(file->content.size()));
    attachment->set_file_id(id);
  }

  // Where it belongs.
  v1::Conversation after;
  if (before) {
    after = *before;
    after.set_status(v1::CONVERSATION_STATUS_OPEN);
    if (last) AnswerTo(*last, message);
    if (after.contact_id().empty()) after.set_contact_id(message.contact_id());
    if (after.company_id().empty()) after.set_company_id(message.company_id());
    if (!request.deal_id().empty()) after.set_deal_id(request.deal_id());
  } else {
    after.set_channel_id(channel.id());
    after.set_status(v1::CONVERSATION_STATUS_OPEN);
    after.set_subject(message.subject().empty() ? "(no subject)" : message.subject());
    after.set_contact_id(message.contact_id());
    after.set_company_id(message.company_id());
    after.set_deal_id(message.deal_id());
    if (by_service)
      after.set_owner_id(sms::FirstOf(subject.deal.owner_id(), subject.contact.owner_id(), channel.default_owner_id()));
    CRM_CO_TRY(co_await app::FillTeam(db_, call, after));
    pg::StampNew(call, conversations_, after);
    CRM_CO_TRY(pg::CheckCreate(call, conversations_, after));
  }
  message.set_conversation_id(after.id());
  message.set_owner_id(after.owner_id());
  message.set_team_id(after.team_id());
  pg::StampNew(call, messages_, message);
  message.set_internet_message_id(MessageIdFor(message.id(), channel.address()));
  // What is due is decided by the database's clock, so this process's own has no say in it.
  const absl::Time not_before = request.has_not_before() ? FromTimestamp(request.not_before()) : absl::InfinitePast();

  // A suspended address stops the letter before it is queued; the block is on record.
  const std::vector<std::string> addresses = AddressesOf(message);
  CRM_CO_TRY(auto suppressed, co_await Suppressed(app_, call, addresses));
  const bool blocked = !suppressed.empty();
  if (blocked) {
    message.set_status(v1::MESSAGE_STATUS_BLOCKED);
    message.set_error(
        Truncated(absl::StrCat(suppressed.begin()->first, " is suspended: ", suppressed.begin()->second), 500));
  } else {
    *message.mutable_next_attempt_time() = ToTimestamp(std::max(call.now(), not_before));
  }
  LeaveTraces(after, message, channel.address());
  if (before) pg::Touch(call, *before, after);

  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Message> {
    if (before) {
      ChangeConversation(batch, app_.tables, *before, after);
    } else {
      batch.Insert(conversations_, after);
      EmitRecord<v1::ConversationCreated>(batch, conversations_, "created", after);
    }
    batch.Insert(messages_, message);
    if (!blocked) AddSend(batch, message, addresses, not_before);
    EmitMessage(batch, app_.tables, message);
    return message;
  }));
  app_.wake_sender();
  co_return pg::Shown(call, messages_, std::move(stored));
}

}  // namespace crm::messaging
