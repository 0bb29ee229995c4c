#include <absl/strings/str_cat.h>

#include <utility>

#include "common/base/status.h"
#include "crm/messaging/v1/events.pb.h"
#include "services/scheduler/consumers/consumers.h"
#include "services/scheduler/notices.h"
#include "services/scheduler/people.h"
#include "services/scheduler/reminders.h"

namespace crm::scheduler {

namespace hearing_messages {

void AddId(pg::Params& params, const std::string& id) {
  if (id.empty()) {
    params.Null();
  } else {
    params.Id(UuidOf(id));
  }
}

// Pending reminders that this letter answers: of its conversation; without one of their own, of its deal or its contact.
Async<std::vector<v1::Reminder>> Answered(App& app, const Call& call, const messaging::v1::Message& message) {
  pg::ListArgs args;
  args.where =
      "t.status = 1 AND t.stop_on @> ARRAY[1::smallint] AND (t.conversation_id = $1 OR (t.conversation_id IS NULL AND "
      "(t.deal_id = $2 OR (t.contact_id = $3 AND (t.deal_id IS NULL OR $2::uuid IS NULL)))))";
  AddId(args.where_params, message.conversation_id());
  AddId(args.where_params, message.deal_id());
  AddId(args.where_params, message.contact_id());
  args.default_order = "due_time";
  args.page_size = pg::kPageSizeMax;
  CRM_CO_TRY(pg::Page<v1::Reminder> page, co_await app.db.List(call, app.tables.reminders, std::move(args)));
  co_return std::move(page.items);
}

Async<> Received(App& app, const events::Heard& heard, const messaging::v1::Message& message, pg::Batch& batch) {
  // A machine's answer is nobody's.
  if (message.automatic()) co_return absl::OkStatus();
  CRM_CO_TRY(std::vector<v1::Reminder> answered, co_await Answered(app, heard.call, message));
  CancelPending(batch, app, answered, "the customer answered");
  std::vector<Notice> notices;
  Notice notice;
  notice.recipient_id = message.owner_id();
  notice.kind = v1::NOTIFICATION_KIND_MESSAGE;
  notice.say = Say::kMessageReceived;
  notice.arguments.push_back(message.subject());
  notice.record_id = message.conversation_id();
  notice.cause = message.id();
  notices.push_back(std::move(notice));
  CRM_CO_TRY(std::vector<v1::Notification> told, co_await PrepareNotices(app, heard.call, std::move(notices)));
  AddNotices(batch, app, told);
  co_return absl::OkStatus();
}

Async<> Commented(App& app, const events::Heard& heard, const messaging::v1::Message& message, pg::Batch& batch) {
  std::vector<Notice> notices;
  for (const std::string& user : message.mention_ids()) {
    if (user == message.author_id()) continue;
    Notice notice;
    notice.recipient_id = user;
    notice.kind = v1::NOTIFICATION_KIND_MESSAGE;
    notice.say = Say::kMentioned;
    notice.arguments.push_back(message.subject().empty() ? message.preview() : message.subject());
    notice.text = message.preview();
    notice.record_id = message.conversation_id();
    notice.cause = message.id();
    notices.push_back(std::move(notice));
  }
  Call acting = heard.call;
  acting.principal.user_id = heard.event.actor_id();
  CRM_CO_TRY(std::vector<v1::Notification> told, co_await PrepareNotices(app, acting, std::move(notices)));
  AddNotices(batch, app, told);
  co_return absl::OkStatus();
}

}  // namespace hearing_messages

void HearMessages(events::Consumer& consumer, App& app) {
  consumer.On<messaging::v1::MessageReceived>(
      [&app](const events::Heard& heard, const messaging::v1::MessageReceived& received, pg::Batch& batch) {
        return hearing_messages::Received(app, heard, received.message(), batch);
      });
  consumer.On<messaging::v1::MessageCommented>(
      [&app](const events::Heard& heard, const messaging::v1::MessageCommented& commented, pg::Batch& batch) {
        return hearing_messages::Commented(app, heard, commented.message(), batch);
      });
}

}  // namespace crm::scheduler
