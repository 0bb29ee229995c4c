#include "services/scheduler/rules/tasks.h"

#include <gtest/gtest.h>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/time.h"
#include "services/scheduler/rules/texts.h"

namespace crm::scheduler {
namespace {

const absl::Time kNow = *ParseTime("2026-11-23T10:00:00Z");  // a Monday

v1::Task NewTask(const std::string& due = "2026-11-23T12:00:00Z") {
  v1::Task task;
  task.set_id(NewId("task", kNow));
  task.set_etag("1");
  task.set_title("Call");
  if (!due.empty()) *task.mutable_due_time() = ToTimestamp(*ParseTime(due));
  EXPECT_TRUE(BeginTask(task, kNow).ok());
  return task;
}

WorkCalendar Berlin() {
  std::vector<Layer> layers(1);
  layers[0].time_zone = "Europe/Berlin";
  return CalendarOfLayers(layers);
}

TEST(TasksTest, BeginsWithDefaults) {
  v1::Task task;
  task.add_checklist()->set_text("Price");
  ASSERT_TRUE(BeginTask(task, kNow).ok());
  EXPECT_EQ(task.kind(), v1::TASK_KIND_TODO);
  EXPECT_EQ(task.priority(), v1::TASK_PRIORITY_NORMAL);
  EXPECT_EQ(task.status(), v1::TASK_STATUS_OPEN);
  EXPECT_FALSE(task.checklist(0).id().empty());
  *task.add_checklist() = task.checklist(0);
  EXPECT_FALSE(BeginTask(task, kNow).ok());  // two of one name
}

TEST(TasksTest, MovesOnlyAsItMay) {
  const v1::Task open = NewTask();
  const auto started = Start(open, kNow);
  ASSERT_TRUE(started.ok());
  EXPECT_EQ(started->status(), v1::TASK_STATUS_IN_PROGRESS);
  EXPECT_EQ(ReasonOf(Start(*started, kNow).status()), type::v1::ERROR_REASON_STATE_INVALID);
  EXPECT_EQ(ReasonOf(Complete(open, "", 2, kNow).status()), type::v1::ERROR_REASON_STATE_INVALID);
  const auto done = Complete(*started, "agreed", 0, kNow);
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(done->result(), "agreed");
  EXPECT_EQ(FromTimestamp(done->complete_time()), kNow);
  for (const auto& refused : {Start(*done, kNow).status(), Complete(*done, "", 0, kNow).status(),
                              Cancel(*done, "", kNow).status(), Check(*done, "x", true).status()}) {
    EXPECT_EQ(ReasonOf(refused), type::v1::ERROR_REASON_STATE_INVALID);
  }
  const auto again = Reopen(*done, *ParseTime("2026-11-30T10:00:00Z"), kNow);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->status(), v1::TASK_STATUS_IN_PROGRESS);
  EXPECT_EQ(again->result(), "");
  EXPECT_FALSE(again->has_complete_time());
  EXPECT_EQ(TimeText(FromTimestamp(again->due_time())), "2026-11-30T10:00:00Z");
  EXPECT_FALSE(Reopen(open, std::nullopt, kNow).ok());
}

TEST(TasksTest, ADueTimeThatMovesIsNotOverdue) {
  v1::Task before = NewTask();
  *before.mutable_overdue_since() = before.due_time();
  before.set_escalation_level(2);
  v1::Task after = before;
  after.set_title("Call again");
  ASSERT_TRUE(CheckTask(before, after, kNow).ok());
  EXPECT_TRUE(after.has_overdue_since());
  *after.mutable_due_time() = ToTimestamp(*ParseTime("2026-11-25T12:00:00Z"));
  ASSERT_TRUE(CheckTask(before, after, kNow).ok());
  EXPECT_FALSE(after.has_overdue_since());
  EXPECT_EQ(after.escalation_level(), 0);
}

TEST(TasksTest, TheNextOfASeriesIsTheSameWhoeverMakesIt) {
  v1::Task task = NewTask();
  task.set_recurrence("FREQ=DAILY;COUNT=3");
  task.add_checklist()->set_text("Price");
  task.mutable_checklist(0)->set_done(true);
  ASSERT_TRUE(BeginTask(task, kNow).ok());
  EXPECT_EQ(task.series_id(), task.id());
  EXPECT_EQ(task.occurrence(), 1);
  task = *Complete(task, "x", 0, kNow);
  const auto second = NextOccurrence(task, absl::UTCTimeZone());
  ASSERT_TRUE(second);
  EXPECT_EQ(second->id(), NextOccurrence(task, absl::UTCTimeZone())->id());
  EXPECT_EQ(second->status(), v1::TASK_STATUS_OPEN);
  EXPECT_EQ(second->occurrence(), 2);
  EXPECT_EQ(second->result(), "");
  EXPECT_FALSE(second->checklist(0).done());
  EXPECT_EQ(TimeText(FromTimestamp(second->due_time())), "2026-11-24T12:00:00Z");
  v1::Task moved = *second;  // what was put off does not shift the series
  *moved.mutable_due_time() = ToTimestamp(*ParseTime("2026-12-20T12:00:00Z"));
  const auto third = NextOccurrence(moved, absl::UTCTimeZone());
  ASSERT_TRUE(third);
  EXPECT_EQ(TimeText(FromTimestamp(third->due_time())), "2026-11-25T12:00:00Z");
  EXPECT_FALSE(NextOccurrence(*third, absl::UTCTimeZone()));
  task.set_next_id(second->id());
  EXPECT_FALSE(NextOccurrence(task, absl::UTCTimeZone()));
}

TEST(TasksTest, ASeriesNeedsADueTime) {
  v1::Task task = NewTask("");
  task.set_recurrence("FREQ=DAILY");
  EXPECT_EQ(ViolationsOf(BeginTask(task, kNow))[0].field, "task.due_time");
}

TEST(TasksTest, LatenessInTheAssigneesCalendar) {
  struct Case {
    const char *due, *now;
    int calendar_days, working_minutes, working_days;
    const char* text;
  };
  for (const Case& one : std::vector<Case>{
           {"2026-11-23T12:00:00Z", "2026-11-23T12:00:00Z", 0, 0, 0, ""},
           {"2026-11-23T12:00:00Z", "2026-11-23T12:30:00Z", 0, 30, 0, "30 minutes overdue"},
           {"2026-11-23T12:00:00Z", "2026-11-23T13:01:00Z", 0, 61, 0, "1 hour overdue"},
           // Friday evening after hours, looked at on Saturday: late, but nobody worked.
           {"2026-11-20T17:30:00Z", "2026-11-21T12:00:00Z", 1, 0, 0, "overdue"},
           // Friday noon to Monday noon in Berlin: six hours and three.
           {"2026-11-20T11:00:00Z", "2026-11-23T11:00:00Z", 3, 540, 1, "1 day overdue"},
           {"2026-11-19T11:00:00Z", "2026-11-23T11:00:00Z", 4, 1080, 2, "2 days overdue"},
           // By Berlin's calendar it is the next day already.
           {"2026-11-23T22:00:00Z", "2026-11-23T23:30:00Z", 1, 0, 0, "overdue"},
       }) {
    const v1::Overdue late = OverdueOf(NewTask(one.due), Berlin(), *ParseTime(one.now), "en");
    EXPECT_EQ(late.calendar_days(), one.calendar_days) << one.due << " " << one.now;
    EXPECT_EQ(late.working_minutes(), one.working_minutes) << one.due << " " << one.now;
    EXPECT_EQ(late.working_days(), one.working_days) << one.due << " " << one.now;
    EXPECT_EQ(late.text(), one.text);
  }
}

TEST(TasksTest, EscalatesInWorkingTime) {
  v1::Task task = NewTask("2026-11-20T16:30:00Z");  // Friday, half past five in Berlin
  v1::EscalationStep step;
  step.set_after_minutes(60);
  step.set_level(1);
  EXPECT_EQ(TimeText(*EscalationTime(task, step, true, Berlin())), "2026-11-23T08:30:00Z");
  task.set_priority(v1::TASK_PRIORITY_URGENT);
  EXPECT_EQ(EscalationTime(task, step, true, Berlin()), FromTimestamp(task.due_time()));
  EXPECT_EQ(TimeText(*EscalationTime(task, step, false, Berlin())), "2026-11-23T08:30:00Z");
  WorkCalendar never;
  EXPECT_EQ(EscalationTime(task, step, false, never), std::nullopt);

  v1::TaskSettings settings = DefaultTaskSettings();
  EXPECT_TRUE(CheckEscalation(settings).ok());
  settings.mutable_escalation(1)->set_after_minutes(60);
  EXPECT_EQ(ViolationsOf(CheckEscalation(settings))[0].field, "task_settings.escalation[1].after_minutes");
  settings.mutable_escalation(1)->set_after_minutes(600);
  settings.mutable_escalation(0)->set_level(3);
  EXPECT_EQ(ViolationsOf(CheckEscalation(settings))[0].field, "task_settings.escalation[1].level");
}

TEST(TextsTest, PluralsOfEachLanguage) {
  EXPECT_EQ(Amount(1, Unit::kDay, "en"), "1 day");
  EXPECT_EQ(Amount(2, Unit::kDay, "en"), "2 days");
  EXPECT_EQ(Amount(1, Unit::kDay, "ru"), "1 день");
  EXPECT_EQ(Amount(3, Unit::kDay, "ru"), "3 дня");
  EXPECT_EQ(Amount(11, Unit::kDay, "ru"), "11 дней");
  EXPECT_EQ(Amount(21, Unit::kHour, "ru"), "21 час");
  EXPECT_EQ(Amount(112, Unit::kMinute, "ru"), "112 минут");
  EXPECT_EQ(Amount(2, Unit::kDay, "he"), "יומיים");
  EXPECT_EQ(Amount(5, Unit::kDay, "yi"), "5 טעג");
  EXPECT_EQ(Amount(2, Unit::kDay, "fr"), "2 days");
  EXPECT_EQ(Sentence(Say::kTaskDueSoon, {"Call $0", "15 minutes"}, "en"), "In 15 minutes: Call $0");
}

}  // namespace
}  // namespace crm::scheduler
