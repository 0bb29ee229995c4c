#include <absl/strings/str_cat.h>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "crm/scheduler/v1/events.pb.h"
#include "services/scheduler/jobs/jobs.h"
#include "services/scheduler/notices.h"
#include "services/scheduler/people.h"
#include "services/scheduler/reminders.h"

namespace crm::scheduler {

namespace reminding {

// A reminder's time has come: whoever is there to be told is told, once.
Async<> Remind(App& app, const Fired& fired, pg::Batch& batch) {
  auto found = co_await app.db.Get(fired.call, app.tables.reminders, fired.subject);
  if (found.status().code() == absl::StatusCode::kNotFound) co_return absl::OkStatus();
  CRM_CO_TRY(found.status());
  const v1::Reminder& before = *found;
  if (before.status() != v1::REMINDER_STATUS_PENDING || FromTimestamp(before.due_time()) > fired.now) {
    co_return absl::OkStatus();
  }
  CRM_CO_TRY(Recipient recipient, co_await RecipientOf(app, fired.call, before.owner_id(), fired.now));
  v1::Reminder after = before;
  *after.mutable_close_time() = ToTimestamp(fired.call.now());
  std::vector<Notice> notices;
  if (recipient.person) {
    after.set_status(v1::REMINDER_STATUS_FIRED);
    after.set_recipient_id(recipient.person->id);
    Notice notice{.recipient_id = recipient.person->id,
                  .kind = v1::NOTIFICATION_KIND_REMINDER,
                  .title = before.text(),
                  .urgent = before.urgent(),
                  .record_id = RecordOf(before),
                  .cause = absl::StrCat(before.id(), ":", TimeText(FromTimestamp(before.due_time())))};
    if (recipient.substitute) {
      notice.for_user_id = before.owner_id();
      CRM_CO_TRY(std::optional<Person> owner, co_await FindPerson(app.db, fired.call, before.owner_id()));
      if (owner) notice.text = Sentence(Say::kInsteadOf, {owner->name}, LanguageOf(*recipient.person));
    }
    notices.push_back(std::move(notice));
  } else {
    after.set_status(v1::REMINDER_STATUS_CANCELLED);
    after.set_cancel_reason("there is nobody to be reminded");
  }
  pg::Touch(fired.call, before, after);
  CRM_CO_TRY(std::vector<v1::Notification> told, co_await PrepareNotices(app, fired.call, std::move(notices)));
  ChangeReminder(batch, app, before, after, recipient.person ? "fired" : "cancelled", type::v1::ACTION_UNSPECIFIED);
  AddNotices(batch, app, told);
  co_return absl::OkStatus();
}

// A snoozed notification comes back, as if it were new.
Async<> ComeBack(App& app, const Fired& fired, pg::Batch& batch) {
  auto found = co_await app.db.Get(fired.call, app.tables.notifications, fired.subject);
  if (found.status().code() == absl::StatusCode::kNotFound) co_return absl::OkStatus();
  CRM_CO_TRY(found.status());
  const v1::Notification& before = *found;
  if (!before.has_snooze_time() || FromTimestamp(before.snooze_time()) > fired.now) co_return absl::OkStatus();
  v1::Notification after = before;
  after.clear_snooze_time();
  after.clear_read_time();
  pg::Touch(fired.call, before, after);
  app.tables.notifications.AddUpdate(batch, before, after, type::v1::ACTION_UNSPECIFIED);
  v1::NotificationCreated event;
  *event.mutable_notification() = after;
  batch.Emit(pg::EventOf(app.tables.notifications, "created", after), event);
  co_return absl::OkStatus();
}

}  // namespace reminding

void FireReminders(Timers& timers, App& app) {
  timers.On("reminder", [&app](const Fired& fired, pg::Batch& batch) { return reminding::Remind(app, fired, batch); });
}

void FireSnoozes(Timers& timers, App& app) {
  timers.On("notification_snooze",
            [&app](const Fired& fired, pg::Batch& batch) { return reminding::ComeBack(app, fired, batch); });
}

}  // namespace crm::scheduler
