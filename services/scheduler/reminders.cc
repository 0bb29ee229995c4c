#include "services/scheduler/reminders.h"

#include <absl/strings/str_cat.h>

#include "common/app/members.h"
#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "crm/scheduler/v1/events.pb.h"
#include "services/scheduler/people.h"
#include "services/scheduler/timers.h"

namespace crm::scheduler {

Async<v1::Reminder> PrepareReminder(App& app, const Call& call, v1::Reminder reminder) {
  reminder.set_status(v1::REMINDER_STATUS_PENDING);
  if (!call.cause.empty()) reminder.set_rule_id(call.cause.rule_id);
  CRM_CO_TRY(co_await app::FillTeam(app.db, call, reminder));
  pg::StampNew(call, app.tables.reminders, reminder);
  co_return reminder;
}

void AddReminder(pg::Batch& batch, const App& app, const v1::Reminder& reminder) {
  batch.Insert(app.tables.reminders, reminder);
  SetTimer(batch, {.kind = "reminder", .subject = reminder.id(), .due = FromTimestamp(reminder.due_time())});
  v1::ReminderCreated event;
  *event.mutable_reminder() = reminder;
  batch.Emit(pg::EventOf(app.tables.reminders, "created", reminder), event);
}

void ChangeReminder(pg::Batch& batch, const App& app, const v1::Reminder& before, const v1::Reminder& after,
                    const std::string& what, type::v1::Action action) {
  app.tables.reminders.AddUpdate(batch, before, after, action);
  if (after.status() != v1::REMINDER_STATUS_PENDING) {
    CancelTimers(batch, after.id());
  } else if (FromTimestamp(before.due_time()) != FromTimestamp(after.due_time())) {
    SetTimer(batch, {.kind = "reminder", .subject = after.id(), .due = FromTimestamp(after.due_time())});
  }
  pg::NewEvent about = pg::EventOf(app.tables.reminders, what, after);
  about.changed_fields = pg::ChangedFields(before, after);
  const auto emit = [&](auto event) {
    *event.mutable_reminder() = after;
    batch.Emit(about, event);
  };
  if (what == "fired") {
    emit(v1::ReminderFired());
  } else if (what == "cancelled") {
    emit(v1::ReminderCancelled());
  } else {
    emit(v1::ReminderUpdated());
  }
}

bool ReminderLinks::empty() const {
  return task_id.empty() && contact_id.empty() && company_id.empty() && deal_id.empty() && lead_id.empty() &&
         conversation_id.empty();
}

Async<std::vector<v1::Reminder>> FindPending(App& app, const Call& call, ReminderLinks links, v1::ReminderStop stop) {
  pg::ListArgs args;
  args.where = "t.status = 1";
  int number = 0;
  const auto link = [&](const char* column, const std::string& id) {
    if (id.empty()) return;
    absl::StrAppend(&args.where, " AND t.", column, " = $", ++number);
    args.where_params.Id(UuidOf(id));
  };
  link("task_id", links.task_id);
  link("contact_id", links.contact_id);
  link("company_id", links.company_id);
  link("deal_id", links.deal_id);
  link("lead_id", links.lead_id);
  link("conversation_id", links.conversation_id);
  if (stop != v1::REMINDER_STOP_UNSPECIFIED) {
    absl::StrAppend(&args.where, " AND t.stop_on @> ARRAY[$", ++number, "::smallint]");
    args.where_params.Int(stop);
  }
  args.default_order = "due_time";
  args.page_size = pg::kPageSizeMax;
  CRM_CO_TRY(pg::Page<v1::Reminder> page, co_await app.db.List(call, app.tables.reminders, std::move(args)));
  co_return std::move(page.items);
}

void CancelPending(pg::Batch& batch, const App& app, const std::vector<v1::Reminder>& reminders,
                   const std::string& reason) {
  for (const v1::Reminder& before : reminders) {
    v1::Reminder after = before;
    after.set_status(v1::REMINDER_STATUS_CANCELLED);
    after.set_cancel_reason(reason);
    *after.mutable_close_time() = ToTimestamp(batch.call().now());
    pg::Touch(batch.call(), before, after);
    ChangeReminder(batch, app, before, after, "cancelled", type::v1::ACTION_UNSPECIFIED);
  }
}

std::string RecordOf(const v1::Reminder& reminder) {
  for (const std::string* id : {&reminder.task_id(), &reminder.deal_id(), &reminder.conversation_id(),
                                &reminder.lead_id(), &reminder.contact_id(), &reminder.company_id()}) {
    if (!id->empty()) return *id;
  }
  return reminder.id();
}

}  // namespace crm::scheduler
