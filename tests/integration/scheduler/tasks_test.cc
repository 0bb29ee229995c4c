// Tasks, reminders, calendars, absences and notifications: what happens when, and who is told.
#include "services/scheduler/tasks.h"

#include <gmock/gmock.h>

#include "crm/scheduler/v1/events.pb.h"
#include "services/scheduler/reminders.h"
#include "tests/integration/scheduler/scheduler_fixture.h"

namespace crm::scheduler {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class TasksTest : public SchedulerTest {
 protected:
  void SetUp() override {
    SchedulerTest::SetUp();
    if (IsSkipped()) return;
    AddTenant("Europe/Berlin");
    // Everybody always works, unless a test says otherwise: what is tested here is not the arithmetic.
    v1::Calendar calendar;
    calendar.set_name("Always");
    for (int weekday = 1; weekday <= 7; ++weekday) {
      v1::Shift& shift = *calendar.add_shifts();
      shift.set_weekday(weekday);
      shift.set_start("00:00");
      shift.set_end("24:00");
    }
    company_ = CreateCalendar(calendar);
    team_ = AddTeam();
    boss_ = AddPerson("Boss");
    head_ = AddPerson("Head", team_, boss_);
    Lead(team_, head_);
    ann_ = AddPerson("Ann", team_);
    bob_ = AddPerson("Bob", team_);
  }

  v1::Calendar CreateCalendar(const v1::Calendar& calendar) {
    Call call = CallOf(NewId("user", absl::Now()));
    v1::CreateCalendarRequest request;
    *request.mutable_calendar() = calendar;
    auto made = loop_.Run(calendars_->CreateCalendar(call, request));
    EXPECT_TRUE(made.ok()) << made.status();
    return made.value_or(v1::Calendar());
  }
  v1::Reminder Remind(const std::string& owner, absl::Duration due,
                      const std::function<void(v1::Reminder&)>& fill = {}) {
    Call call = CallOf(owner);
    v1::CreateReminderRequest request;
    v1::Reminder& reminder = *request.mutable_reminder();
    reminder.set_text("Time to call");
    reminder.set_owner_id(owner);
    *reminder.mutable_due_time() = ToTimestamp(Now() + due);
    if (fill) fill(reminder);
    auto made = loop_.Run(reminders_->CreateReminder(call, request));
    EXPECT_TRUE(made.ok()) << made.status();
    return made.value_or(v1::Reminder());
  }
  v1::Reminder GetReminder(const std::string& id) {
    Call call = CallOf(ann_);
    v1::GetReminderRequest request;
    request.set_id(id);
    return loop_.Run(reminders_->GetReminder(call, request)).value_or(v1::Reminder());
  }
  // Away from today on, granted.
  void SendAway(const std::string& who, const std::string& substitute) {
    Call call = CallOf(who);
    v1::CreateAbsenceRequest request;
    v1::Absence& absence = *request.mutable_absence();
    const absl::CivilDay today = LocalDay(Now(), *FindZone("Europe/Berlin"));
    absence.set_start_date(DateText(today));
    absence.set_end_date(DateText(today + 30));
    absence.set_owner_id(who);
    absence.set_substitute_id(substitute);
    auto asked = loop_.Run(absences_->CreateAbsence(call, request));
    ASSERT_TRUE(asked.ok()) << asked.status();
    Call decider = CallOf(head_);
    v1::ApproveAbsenceRequest approve;
    approve.set_id(asked->id());
    auto granted = loop_.Run(absences_->ApproveAbsence(decider, approve));
    ASSERT_TRUE(granted.ok()) << granted.status();
  }
  v1::UnreadCount Unread(const std::string& user) {
    Call call = OwnCallOf(user, {});
    return loop_.Run(notifications_->GetUnreadCount(call, v1::GetUnreadCountRequest())).value_or(v1::UnreadCount());
  }
  v1::TaskDay Day(const std::string& user) {
    Call call = CallOf(user);
    auto day = loop_.Run(tasks_->GetTaskDay(call, v1::GetTaskDayRequest()));
    EXPECT_TRUE(day.ok()) << day.status();
    return day.value_or(v1::TaskDay());
  }

  v1::Calendar company_;
  std::string team_, boss_, head_, ann_, bob_;
};

TEST_F(TasksTest, IsOverdueOnceAndEscalatesStepByStep) {
  const v1::Task task = CreateTask(head_, ann_, absl::Hours(1));
  EXPECT_EQ(task.team_id(), team_);
  EXPECT_THAT(Titles(ann_), ElementsAre("New task: Send the offer"));
  EXPECT_EQ(FireAfter(absl::Minutes(59)), 0);
  EXPECT_EQ(FireAfter(absl::Minutes(2)), 1);
  v1::Task now = GetTask(task.id());
  EXPECT_EQ(FromTimestamp(now.overdue_since()), FromTimestamp(task.due_time()));
  EXPECT_THAT(now.overdue().text(), HasSubstr("overdue"));
  EXPECT_EQ(Events("task.overdue"), 1);
  EXPECT_THAT(Titles(ann_), ElementsAre("Overdue: Send the offer", "New task: Send the offer"));
  EXPECT_THAT(Titles(head_), IsEmpty());

  EXPECT_EQ(FireAfter(absl::Minutes(61)), 1);
  EXPECT_THAT(Titles(head_), ElementsAre("Ann is late: Send the offer"));
  EXPECT_THAT(Inbox(head_)[0].text(), HasSubstr("1 hour overdue"));
  EXPECT_EQ(Inbox(head_)[0].for_user_id(), ann_);
  EXPECT_THAT(Titles(boss_), IsEmpty());
  EXPECT_EQ(GetTask(task.id()).escalation_level(), 1);

  EXPECT_EQ(FireAfter(absl::Hours(16)), 1);
  EXPECT_THAT(Titles(boss_), ElementsAre("Ann is late: Send the offer"));
  EXPECT_TRUE(Inbox(boss_)[0].urgent());
  EXPECT_EQ(FireAfter(absl::Hours(1000)), 0);
  EXPECT_EQ(Events("task.escalated"), 2);

  // Put off and back to the time that was missed: overdue again, but told once.
  Call call = CallOf(ann_);
  v1::UpdateTaskRequest update;
  update.mutable_task()->set_id(task.id());
  *update.mutable_task()->mutable_due_time() = ToTimestamp(Now() + absl::Hours(1));
  update.mutable_update_mask()->add_paths("due_time");
  auto later = loop_.Run(tasks_->UpdateTask(call, update));
  ASSERT_TRUE(later.ok()) << later.status();
  EXPECT_FALSE(later->has_overdue_since());
  EXPECT_EQ(Fire(), 0);
  *update.mutable_task()->mutable_due_time() = task.due_time();
  call = CallOf(ann_);
  ASSERT_TRUE(loop_.Run(tasks_->UpdateTask(call, update)).ok());
  EXPECT_GE(Fire(), 1);
  EXPECT_TRUE(GetTask(task.id()).has_overdue_since());
  EXPECT_EQ(Events("task.overdue"), 1);
  EXPECT_EQ(Inbox(ann_).size(), 2u);
}

TEST_F(TasksTest, WhatIsDoneIsNotOverdue) {
  v1::Task task = CreateTask(head_, ann_, absl::Hours(1));
  v1::CompleteTaskRequest complete;
  complete.set_id(task.id());
  complete.set_result("Agreed");
  auto done = Do(&TaskService::CompleteTask, ann_, complete);
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(done->status(), v1::TASK_STATUS_DONE);
  EXPECT_THAT(Titles(head_), ElementsAre("Done: Send the offer"));
  EXPECT_EQ(Inbox(head_)[0].text(), "Agreed");
  EXPECT_EQ(FireAfter(absl::Hours(100)), 0);
  EXPECT_EQ(Events("task.overdue"), 0);
  EXPECT_EQ(Events("task.completed"), 1);

  v1::ReopenTaskRequest reopen;
  reopen.set_id(task.id());
  ASSERT_TRUE(Do(&TaskService::ReopenTask, ann_, reopen).ok());
  EXPECT_GE(Fire(), 1);
  EXPECT_EQ(Events("task.overdue"), 1);
}

TEST_F(TasksTest, RemindsBeforeTheTime) {
  v1::Task task;
  task.set_title("Call");
  task.set_owner_id(ann_);
  for (int minutes : {0, 15, 120}) task.add_remind_minutes(minutes);
  *task.mutable_due_time() = ToTimestamp(Now() + absl::Hours(1));
  CreateTask(ann_, task);  // two hours before has gone by
  EXPECT_EQ(FireAfter(absl::Minutes(46)), 1);
  EXPECT_THAT(Titles(ann_), ElementsAre("In 15 minutes: Call"));
  EXPECT_EQ(FireAfter(absl::Minutes(15)), 1);
  EXPECT_THAT(Titles(ann_), ElementsAre("Due now: Call", "In 15 minutes: Call"));
}

TEST_F(TasksTest, ASeriesGoesOnAtCompletionOrWhenDueAndNeverTwice) {
  v1::Task task;
  task.set_title("Report");
  task.set_owner_id(ann_);
  task.set_recurrence("FREQ=DAILY;COUNT=3");
  *task.mutable_due_time() = ToTimestamp(Now() + absl::Hours(1));
  task = CreateTask(ann_, task);
  v1::CompleteTaskRequest complete;
  complete.set_id(task.id());
  auto done = Do(&TaskService::CompleteTask, ann_, complete);
  ASSERT_TRUE(done.ok()) << done.status();
  ASSERT_FALSE(done->next_id().empty());
  const v1::Task second = GetTask(done->next_id());
  EXPECT_EQ(second.occurrence(), 2);
  EXPECT_EQ(second.status(), v1::TASK_STATUS_OPEN);
  // Reopening and completing again makes no other.
  v1::ReopenTaskRequest reopen;
  reopen.set_id(task.id());
  ASSERT_TRUE(Do(&TaskService::ReopenTask, ann_, reopen).ok());
  ASSERT_TRUE(Do(&TaskService::CompleteTask, ann_, complete).ok());
  EXPECT_EQ(Sql("SELECT count(*) FROM scheduler.task"), "2");
  // The second comes due and is left undone: the third is there all the same, and the last.
  EXPECT_GE(FireAfter(absl::Hours(26)), 1);
  EXPECT_EQ(Sql("SELECT count(*) FROM scheduler.task"), "3");
  complete.set_id(second.id());
  ASSERT_TRUE(Do(&TaskService::CompleteTask, ann_, complete).ok());
  FireAfter(absl::Hours(100));
  EXPECT_EQ(Sql("SELECT count(*) || ' ' || max(occurrence) FROM scheduler.task"), "3 3");
}

TEST_F(TasksTest, PartsComeBeforeTheWhole) {
  const v1::Task whole = CreateTask(ann_, ann_, absl::Hours(1));
  v1::Task part;
  part.set_title("Price");
  part.set_parent_id(whole.id());
  part.set_owner_id(bob_);
  part = CreateTask(ann_, part);
  v1::Task deeper = part;
  deeper.clear_id();
  deeper.set_parent_id(part.id());
  v1::CreateTaskRequest request;
  *request.mutable_task() = deeper;
  EXPECT_EQ(ViolationsOf(Do(&TaskService::CreateTask, ann_, request).status())[0].field, "task.parent_id");
  v1::CompleteTaskRequest complete;
  complete.set_id(whole.id());
  EXPECT_EQ(Do(&TaskService::CompleteTask, ann_, complete).status().code(), absl::StatusCode::kFailedPrecondition);
  v1::CancelTaskRequest cancel;
  cancel.set_id(whole.id());
  cancel.set_reason("lost");
  ASSERT_TRUE(Do(&TaskService::CancelTask, ann_, cancel).ok());
  EXPECT_EQ(GetTask(part.id()).status(), v1::TASK_STATUS_CANCELLED);
  EXPECT_EQ(Events("task.cancelled"), 2);
  EXPECT_EQ(Sql("SELECT count(*) FROM scheduler.timer"), "0");
}

TEST_F(TasksTest, IsGivenToAnotherWhoIsTold) {
  const v1::Task task = CreateTask(ann_, ann_, absl::Hours(1));
  v1::AssignTaskRequest assign;
  assign.set_id(task.id());
  assign.set_owner_id(bob_);
  assign.set_comment("You know them");
  Call call = OwnCallOf(ann_, {"task"});
  auto given = loop_.Run(tasks_->AssignTask(call, assign));
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_EQ(Inbox(bob_)[0].text(), "You know them");
  // Ann gave it, so she may still read it; others with her rights may not.
  v1::GetTaskRequest get;
  get.set_id(task.id());
  call = OwnCallOf(ann_, {"task"});
  auto read = loop_.Run(tasks_->GetTask(call, get));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(read->access().can(), IsEmpty());
  call = OwnCallOf(head_, {"task"});
  EXPECT_EQ(loop_.Run(tasks_->GetTask(call, get)).status().code(), absl::StatusCode::kNotFound);
  v1::ListTasksRequest list;
  call = OwnCallOf(ann_, {"task"});
  EXPECT_EQ(loop_.Run(tasks_->ListTasks(call, list))->tasks_size(), 0);
  list.set_watched(true);
  EXPECT_EQ(loop_.Run(tasks_->ListTasks(call, list))->tasks_size(), 1);
  Suspend(head_);
  assign.set_owner_id(head_);
  EXPECT_EQ(ViolationsOf(Do(&TaskService::AssignTask, bob_, assign).status())[0].field, "owner_id");
}

TEST_F(TasksTest, TheDayIsThePersons) {
  CreateTask(ann_, ann_, absl::Minutes(-5));
  CreateTask(ann_, ann_, absl::Hours(24 * 3));
  v1::Task undated;
  undated.set_title("Some day");
  CreateTask(ann_, undated);
  CreateTask(bob_, bob_, absl::Minutes(-5));
  v1::TaskDay day = Day(ann_);
  EXPECT_EQ(day.time_zone(), "Europe/Berlin");
  EXPECT_EQ(day.overdue_count(), 1);
  EXPECT_EQ(day.overdue_size(), 1);
  EXPECT_EQ(day.later_count(), 1);
  EXPECT_EQ(day.undated_count(), 1);
  EXPECT_EQ(day.done_count(), 0);
  v1::CompleteTaskRequest complete;
  complete.set_id(day.overdue(0).id());
  ASSERT_TRUE(Do(&TaskService::CompleteTask, ann_, complete).ok());
  day = Day(ann_);
  EXPECT_EQ(day.overdue_count(), 0);
  EXPECT_EQ(day.done_count(), 1);
}

TEST_F(TasksTest, RemindersFireOnceAndAreCalledOff) {
  const std::string deal = NewId("deal", absl::Now());
  const std::string task = CreateTask(ann_, ann_, absl::Hours(100)).id();
  const v1::Reminder first = Remind(ann_, absl::Hours(1), [&](v1::Reminder& r) { r.set_deal_id(deal); });
  const v1::Reminder second = Remind(ann_, absl::Hours(1), [&](v1::Reminder& r) {
    r.set_deal_id(deal);
    r.add_stop_on(v1::REMINDER_STOP_REPLY);
  });
  Remind(ann_, absl::Hours(5), [&](v1::Reminder& r) { r.set_task_id(task); });
  Call call = CallOf(ann_);
  v1::CancelRemindersRequest cancel;
  EXPECT_EQ(loop_.Run(reminders_->CancelReminders(call, cancel)).status().code(), absl::StatusCode::kInvalidArgument);
  cancel.set_deal_id(deal);
  cancel.set_stop(v1::REMINDER_STOP_REPLY);
  cancel.set_reason("they answered");
  call = CallOf(ann_);
  auto off = loop_.Run(reminders_->CancelReminders(call, cancel));
  ASSERT_TRUE(off.ok()) << off.status();
  EXPECT_THAT(off->reminder_ids(), ElementsAre(second.id()));
  EXPECT_EQ(FireAfter(absl::Hours(2)), 1);
  EXPECT_EQ(GetReminder(first.id()).status(), v1::REMINDER_STATUS_FIRED);
  EXPECT_EQ(GetReminder(first.id()).recipient_id(), ann_);
  EXPECT_EQ(GetReminder(second.id()).cancel_reason(), "they answered");
  EXPECT_THAT(Titles(ann_), ElementsAre("Time to call"));
  EXPECT_EQ(Inbox(ann_)[0].record_id(), deal);
  EXPECT_EQ(Events("reminder.fired"), 1);
  EXPECT_EQ(Events("reminder.cancelled"), 1);
  v1::CancelReminderRequest late;
  late.set_id(first.id());
  call = CallOf(ann_);
  EXPECT_EQ(loop_.Run(reminders_->CancelReminder(call, late)).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(TasksTest, AClosedTaskCallsItsRemindersOff) {
  const v1::Task task = CreateTask(ann_, ann_, absl::Hours(50));
  const v1::Reminder reminder = Remind(bob_, absl::Hours(1), [&](v1::Reminder& r) {
    r.set_task_id(task.id());
    r.add_stop_on(v1::REMINDER_STOP_TASK_CLOSED);
  });
  v1::CompleteTaskRequest complete;
  complete.set_id(task.id());
  ASSERT_TRUE(Do(&TaskService::CompleteTask, ann_, complete).ok());
  EXPECT_EQ(GetReminder(reminder.id()).status(), v1::REMINDER_STATUS_CANCELLED);
  EXPECT_EQ(FireAfter(absl::Hours(2)), 0);
}

TEST_F(TasksTest, UrgentOnesReachTheHead) {
  Remind(ann_, absl::Hours(1), [](v1::Reminder& r) { r.set_urgent(true); });
  EXPECT_EQ(FireAfter(absl::Hours(2)), 1);
  EXPECT_THAT(Titles(ann_), ElementsAre("Time to call"));
  EXPECT_THAT(Titles(head_), ElementsAre("Time to call"));
  EXPECT_EQ(Inbox(head_)[0].for_user_id(), ann_);
  EXPECT_EQ(Unread(head_).urgent_count(), 1);
  EXPECT_THAT(Titles(boss_), IsEmpty());
}

TEST_F(TasksTest, WhoIsAwayIsNotToldButTheSubstituteIs) {
  SendAway(ann_, bob_);
  const size_t before = Inbox(ann_).size();
  Remind(ann_, absl::Hours(1));
  CreateTask(ann_, ann_, absl::Hours(1));
  EXPECT_EQ(FireAfter(absl::Hours(2)), 3);  // the reminder, the task, and its first step upwards
  EXPECT_EQ(Inbox(ann_).size(), before);
  const auto told = Inbox(bob_);
  ASSERT_EQ(told.size(), 2u);
  for (const auto& one : told) {
    EXPECT_EQ(one.text(), "For Ann");
    EXPECT_EQ(one.for_user_id(), ann_);
  }
  // The substitute is away as well and has none: the head is told.
  SendAway(bob_, "");
  const size_t heads = Inbox(head_).size();
  Remind(ann_, absl::Hours(1));
  EXPECT_GE(FireAfter(absl::Hours(2)), 1);
  EXPECT_EQ(Inbox(head_).size(), heads + 1);
}

TEST_F(TasksTest, NothingReachesThoseWhoHaveLeft) {
  const v1::Task task = CreateTask(ann_, ann_, absl::Hours(1));
  Suspend(ann_);
  EXPECT_GE(FireAfter(absl::Hours(2)), 1);
  EXPECT_THAT(Titles(ann_), IsEmpty());
  EXPECT_EQ(Titles(head_).size(), 2u);  // in Ann's stead, and because it is late
  (void)task;
}

TEST_F(TasksTest, TheInboxIsItsUsersAlone) {
  Remind(ann_, absl::Minutes(1));
  Remind(ann_, absl::Minutes(2));
  EXPECT_EQ(FireAfter(absl::Minutes(3)), 2);
  EXPECT_EQ(Unread(ann_).count(), 2);
  const v1::Notification one = Inbox(ann_)[0];
  // An administrator sees no other's.
  v1::GetNotificationRequest get;
  get.set_id(one.id());
  Call administrator = CallOf(boss_);
  EXPECT_EQ(loop_.Run(notifications_->GetNotification(administrator, get)).status().code(),
            absl::StatusCode::kNotFound);
  v1::ReadNotificationRequest read;
  read.set_id(one.id());
  administrator = CallOf(boss_);
  EXPECT_FALSE(loop_.Run(notifications_->ReadNotification(administrator, read)).ok());

  Call call = OwnCallOf(ann_, {});
  auto seen = loop_.Run(notifications_->ReadNotification(call, read));
  ASSERT_TRUE(seen.ok()) << seen.status();
  EXPECT_TRUE(seen->has_read_time());
  EXPECT_EQ(Unread(ann_).count(), 1);
  read.set_unread(true);
  call = OwnCallOf(ann_, {});
  ASSERT_TRUE(loop_.Run(notifications_->ReadNotification(call, read)).ok());
  EXPECT_EQ(Unread(ann_).count(), 2);

  v1::SnoozeNotificationRequest snooze;
  snooze.set_id(one.id());
  *snooze.mutable_until_time() = ToTimestamp(Now() - absl::Hours(1));
  call = OwnCallOf(ann_, {});
  EXPECT_EQ(loop_.Run(notifications_->SnoozeNotification(call, snooze)).status().code(),
            absl::StatusCode::kFailedPrecondition);
  *snooze.mutable_until_time() = ToTimestamp(Now() + absl::Hours(1));
  call = OwnCallOf(ann_, {});
  ASSERT_TRUE(loop_.Run(notifications_->SnoozeNotification(call, snooze)).ok());
  EXPECT_EQ(Unread(ann_).count(), 1);
  EXPECT_EQ(Inbox(ann_).size(), 1u);
  const int told = Events("notification.created");
  EXPECT_EQ(FireAfter(absl::Hours(2)), 1);
  EXPECT_EQ(Events("notification.created"), told + 1);
  EXPECT_EQ(Unread(ann_).count(), 2);

  call = OwnCallOf(ann_, {});
  v1::ReadAllNotificationsRequest all;
  *all.mutable_before_time() = ToTimestamp(absl::Now() + absl::Hours(1));
  auto count = loop_.Run(notifications_->ReadAllNotifications(call, all));
  ASSERT_TRUE(count.ok()) << count.status();
  EXPECT_EQ(count->read_count(), 2);
  EXPECT_EQ(Unread(ann_).count(), 0);
  EXPECT_EQ(Events("notification.read"), 1);
}

TEST_F(TasksTest, PreferencesDecideWhatIsTold) {
  Call call = OwnCallOf(ann_, {});
  v1::UpdateNotificationPreferencesRequest update;
  v1::NotificationChoice& choice = *update.mutable_notification_preferences()->add_choices();
  choice.set_kind(v1::NOTIFICATION_KIND_REMINDER);
  update.mutable_update_mask()->add_paths("choices");
  auto stored = loop_.Run(notifications_->UpdateNotificationPreferences(call, update));
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->user_id(), ann_);
  Remind(ann_, absl::Minutes(1));
  Remind(ann_, absl::Minutes(1), [](v1::Reminder& r) {
    r.set_urgent(true);
    r.set_text("Fire!");
  });
  EXPECT_EQ(FireAfter(absl::Minutes(3)), 2);
  EXPECT_THAT(Titles(ann_), ElementsAre("Fire!"));
  call = OwnCallOf(ann_, {});
  auto again = loop_.Run(notifications_->GetNotificationPreferences(call, v1::GetNotificationPreferencesRequest()));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->choices_size(), 1);
}

TEST_F(TasksTest, ANotificationOfOneCauseComesOnce) {
  v1::CreateNotificationRequest request;
  request.mutable_notification()->set_title("The shop is empty");
  request.mutable_notification()->set_owner_id(ann_);
  request.set_cause("stock-7");
  Call call = CallOf(boss_);
  auto first = loop_.Run(notifications_->CreateNotification(call, request));
  ASSERT_TRUE(first.ok()) << first.status();
  call = CallOf(boss_);
  auto second = loop_.Run(notifications_->CreateNotification(call, request));
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(first->id(), second->id());
  EXPECT_EQ(Inbox(ann_).size(), 1u);
  call = OwnCallOf(bob_, {"notification"});
  EXPECT_EQ(loop_.Run(notifications_->CreateNotification(call, request)).status().code(),
            absl::StatusCode::kPermissionDenied);
}

TEST_F(TasksTest, CalendarsInLayersAndHolidaysByCountry) {
  // One a subject.
  v1::Calendar again;
  again.set_name("Second");
  Call call = CallOf(boss_);
  v1::CreateCalendarRequest create;
  *create.mutable_calendar() = again;
  auto nobodys = loop_.Run(calendars_->CreateCalendar(call, create));
  ASSERT_TRUE(nobodys.ok()) << nobodys.status();
  EXPECT_FALSE(nobodys->is_default());
  EXPECT_TRUE(company_.is_default());
  create.mutable_calendar()->set_is_default(true);
  call = CallOf(boss_);
  const auto refused = loop_.Run(calendars_->CreateCalendar(call, create)).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(MetadataOf(refused)["existing"], company_.id());

  v1::ImportHolidaysRequest import;
  import.set_id(company_.id());
  import.set_country_code("DE");
  import.set_from_year(2026);
  import.set_to_year(2027);
  call = CallOf(boss_);
  auto imported = loop_.Run(calendars_->ImportHolidays(call, import));
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_EQ(imported->holidays_size(), 18);
  call = CallOf(boss_);
  EXPECT_EQ(loop_.Run(calendars_->ImportHolidays(call, import))->holidays_size(), 18);

  v1::Calendar own;
  own.set_name("Ann's");
  own.set_user_id(ann_);
  own.set_time_zone("Asia/Jerusalem");
  v1::Shift& shift = *own.add_shifts();
  shift.set_weekday(7);
  shift.set_start("10:00");
  shift.set_end("12:00");
  CreateCalendar(own);
  v1::GetWorkingDaysRequest days;
  days.set_user_id(ann_);
  days.set_from_date("2026-12-20");  // a Sunday
  days.set_days(8);
  call = CallOf(boss_);
  auto got = loop_.Run(calendars_->GetWorkingDays(call, days));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->time_zone(), "Asia/Jerusalem");
  ASSERT_EQ(got->days_size(), 8);
  EXPECT_EQ(got->days(0).working_minutes(), 120);
  EXPECT_EQ(got->days(1).working_minutes(), 0);
  EXPECT_EQ(got->days(5).holiday(), "1. Weihnachtstag");

  v1::ComputeWorkingTimeRequest compute;
  compute.set_user_id(ann_);
  *compute.mutable_start_time() = ToTimestamp(*ParseTime("2026-12-20T09:00:00Z"));  // eleven there
  compute.set_minutes(90);
  *compute.mutable_end_time() = ToTimestamp(*ParseTime("2026-12-28T00:00:00Z"));
  call = CallOf(boss_);
  auto due = loop_.Run(calendars_->ComputeWorkingTime(call, compute));
  ASSERT_TRUE(due.ok());
  EXPECT_EQ(TimeText(FromTimestamp(due->due_time())), "2026-12-27T08:30:00Z");
  EXPECT_EQ(due->working_minutes(), 180);

  v1::UpdateCalendarRequest update;
  update.mutable_calendar()->set_id(company_.id());
  update.mutable_calendar()->set_time_zone("Mars/Olympus");
  update.mutable_update_mask()->add_paths("time_zone");
  call = CallOf(boss_);
  EXPECT_EQ(ViolationsOf(loop_.Run(calendars_->UpdateCalendar(call, update)).status())[0].field, "calendar.time_zone");
}

TEST_F(TasksTest, AbsencesAreAskedForDecidedAndShowWhatTheyCollideWith) {
  v1::CreateAbsenceRequest request;
  v1::Absence& absence = *request.mutable_absence();
  absence.set_start_date("2027-06-07");
  absence.set_end_date("2027-06-11");
  Call call = OwnCallOf(ann_, {"absence"});
  call.principal.team_id = team_;
  call.principal.team = ParseId(team_)->uuid;
  auto asked = loop_.Run(absences_->CreateAbsence(call, request));
  ASSERT_TRUE(asked.ok()) << asked.status();
  EXPECT_EQ(asked->status(), v1::ABSENCE_STATUS_REQUESTED);
  EXPECT_EQ(asked->team_id(), team_);
  EXPECT_THAT(Titles(head_), ElementsAre("Ann asks for days off: 2027-06-07 – 2027-06-11"));
  // Nobody decides on their own.
  v1::ApproveAbsenceRequest approve;
  approve.set_id(asked->id());
  call = OwnCallOf(ann_, {"absence"});
  EXPECT_EQ(loop_.Run(absences_->ApproveAbsence(call, approve)).status().code(), absl::StatusCode::kFailedPrecondition);
  call = CallOf(head_);
  auto granted = loop_.Run(absences_->ApproveAbsence(call, approve));
  ASSERT_TRUE(granted.ok()) << granted.status();
  EXPECT_EQ(granted->decider_id(), head_);
  EXPECT_THAT(Titles(ann_), ElementsAre("Your days off are granted: 2027-06-07 – 2027-06-11"));

  // Bob's collide with Ann's, and with a task of his own.
  v1::Task task;
  task.set_title("Fair");
  task.set_owner_id(bob_);
  *task.mutable_due_time() = ToTimestamp(*ParseTime("2027-06-10T12:00:00Z"));
  CreateTask(head_, task);
  absence.set_owner_id(bob_);
  absence.set_substitute_id(ann_);
  absence.set_start_date("2027-06-10");
  absence.set_end_date("2027-06-20");
  call = CallOf(head_);
  auto second = loop_.Run(absences_->CreateAbsence(call, request));
  ASSERT_TRUE(second.ok()) << second.status();
  ASSERT_EQ(second->conflicts_size(), 1);
  EXPECT_EQ(second->conflicts(0).user_id(), ann_);
  EXPECT_TRUE(second->conflicts(0).substitute());
  EXPECT_TRUE(second->conflicts(0).approved());
  EXPECT_EQ(second->conflicts(0).start_date(), "2027-06-10");
  EXPECT_EQ(second->conflicts(0).end_date(), "2027-06-11");
  EXPECT_EQ(second->task_count(), 1);

  // Other days have to be decided anew; an illness does not.
  v1::UpdateAbsenceRequest update;
  update.mutable_absence()->set_id(asked->id());
  update.mutable_absence()->set_end_date("2027-06-12");
  update.mutable_update_mask()->add_paths("end_date");
  call = OwnCallOf(ann_, {"absence"});
  auto moved = loop_.Run(absences_->UpdateAbsence(call, update));
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(moved->status(), v1::ABSENCE_STATUS_REQUESTED);
  v1::DeclineAbsenceRequest decline;
  decline.set_id(asked->id());
  decline.set_note("The fair");
  call = CallOf(head_);
  ASSERT_TRUE(loop_.Run(absences_->DeclineAbsence(call, decline)).ok());
  EXPECT_EQ(Inbox(ann_)[0].text(), "The fair");
  absence.set_kind(v1::ABSENCE_KIND_SICK);
  absence.set_owner_id(ann_);
  absence.clear_substitute_id();
  call = CallOf(ann_);
  EXPECT_EQ(loop_.Run(absences_->CreateAbsence(call, request))->status(), v1::ABSENCE_STATUS_APPROVED);
  absence.set_end_date("2027-06-01");
  call = CallOf(ann_);
  EXPECT_EQ(ViolationsOf(loop_.Run(absences_->CreateAbsence(call, request)).status())[0].field, "absence.end_date");
}

TEST_F(TasksTest, SettingsSayWhoIsToldAndWhen) {
  v1::UpdateTaskSettingsRequest update;
  v1::EscalationStep& step = *update.mutable_task_settings()->add_escalation();
  step.set_level(2);
  update.mutable_update_mask()->add_paths("escalation");
  auto stored = Do(&TaskService::UpdateTaskSettings, boss_, update);
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->etag(), "1");
  EXPECT_EQ(Do(&TaskService::GetTaskSettings, ann_, v1::GetTaskSettingsRequest())->escalation_size(), 1);
  stored = Do(&TaskService::UpdateTaskSettings, boss_, update);
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->etag(), "2");
  CreateTask(ann_, ann_, absl::Hours(1));
  EXPECT_EQ(FireAfter(absl::Hours(2)), 2);
  EXPECT_THAT(Titles(head_), IsEmpty());
  EXPECT_EQ(Titles(boss_).size(), 1u);
}

TEST_F(TasksTest, TheClockMovesOnlyWhereItMay) {
  App release{*db_, tables_, false};
  ClockService clock(release);
  Call call = CallOf(boss_);
  v1::AdvanceClockRequest request;
  request.set_seconds(60);
  EXPECT_EQ(loop_.Run(clock.AdvanceClock(call, request)).status().code(), absl::StatusCode::kFailedPrecondition);
  call = CallOf(boss_);
  auto moved = loop_.Run(clock_->AdvanceClock(call, request));
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(moved->offset_seconds(), 60);
  auto again = loop_.Run(clock_->AdvanceClock(call, request));  // the same key
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->offset_seconds(), 60);
  EXPECT_EQ(Sql("SELECT offset_seconds FROM scheduler.clock"), "60");
}

// Lists on a table in which one person has nearly everything, as the service's own role.
TEST_F(TasksTest, ListsFollowTheirIndexes) {
  Sql(absl::StrCat(
      "INSERT INTO scheduler.task (tenant_id, id, revision, title, kind, status, priority, due_time, description, "
      "owner_id, "
      "watcher_ids, checklist, remind_minutes, result, cancel_reason, escalation_level, recurrence, occurrence, "
      "deal_id, "
      "overdue_since, create_time, update_time) SELECT ",
      Tenant(),
      ", gen_random_uuid(), 1, 'task ' || i, 1, CASE WHEN i % 100 = 0 THEN 1 ELSE 3 END, 2, now() + (i - 30000) * "
      "interval '1 minute', '', CASE WHEN i % 500 = 0 THEN ",
      Quoted(ann_), " ELSE ", Quoted(bob_),
      "::uuid END, '{}', '[]', '{}', '', '', 0, '', 0, CASE WHEN i % 1000 = 0 THEN ", Quoted(ann_),
      "::uuid END, CASE WHEN i % 1000 = 0 THEN now() END, now() - i * interval '1 second', now() FROM "
      "generate_series(1, 60000) i"));
  Sql("VACUUM ANALYZE scheduler.task");
  const auto plan_of = [&](const Call& call, const pg::ListArgs& args) {
    auto query = tables_.tasks.PageQuery(call, args);
    EXPECT_TRUE(query.ok()) << query.status();
    std::string plan;
    if (!query.ok()) return plan;
    pg::Batch batch(call);
    batch.AddDynamic(
        std::make_shared<pg::Statement>(pg::Statement{"test.explain", "EXPLAIN (COSTS OFF) " + query->sql}),
        query->params);
    pg::Db::ReadOptions options;
    options.work = pg::Work::kList;
    options.force_custom_plan = true;
    auto rows = loop_.Run(db_->Read(call, std::move(batch), options));
    EXPECT_TRUE(rows.ok()) << rows.status();
    for (int row = 0; rows.ok() && row < rows->at(0).size(); ++row) {
      plan += std::string(rows->at(0).Text(row, 0)) + "\n";
    }
    return plan;
  };
  const auto uses = [&](const Call& call, pg::ListArgs args, const std::string& index) {
    SCOPED_TRACE(args.filter + args.where);
    const std::string plan = plan_of(call, args);
    EXPECT_THAT(plan, AllOf(HasSubstr(index), Not(HasSubstr("Seq Scan")))) << plan;
  };
  const Call ann = CallOf(ann_), own = OwnCallOf(ann_, {"task"});
  uses(ann, {}, "task_create_time");
  uses(own, {}, "task_owner");
  uses(ann, {.filter = "deal_id = deal_" + ann_.substr(5)}, "task_deal");
  uses(ann, {.filter = "overdue_since:*", .order_by = "overdue_since"}, "task_overdue");
  pg::ListArgs today;
  today.where = "t.owner_id = $1 AND t.status IN (1, 2) AND t.due_time <= $2";
  today.where_params.Id(UuidOf(ann_)).Time(absl::Now());
  today.default_order = "due_time";
  uses(own, today, "task_owner_open");
}

}  // namespace
}  // namespace crm::scheduler
