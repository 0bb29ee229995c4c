// The scheduler's handlers and timers on the real PostgreSQL, as the service's own roles. Time is moved by the test clock.
#pragma once

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/base/time.h"
#include "services/scheduler/clock.h"
#include "services/scheduler/jobs/jobs.h"
#include "services/scheduler/people.h"
#include "services/scheduler/service.h"
#include "services/scheduler/timers.h"
#include "tests/testing/run.h"
#include "tests/testing/servers.h"

namespace crm::scheduler {

class SchedulerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CRM_NEED_SERVERS("scheduler");
    crm::testing::Servers::Get().Clear("scheduler");
    db_ = std::make_unique<pg::Db>(crm::testing::Servers::Get().Db("scheduler"),
                                   std::vector<asio::any_io_executor>(1, loop_.executor()));
    worker_db_ = std::make_unique<pg::Db>(crm::testing::Servers::Get().Db("scheduler", "scheduler_worker"),
                                          std::vector<asio::any_io_executor>(1, loop_.executor()));
    app_ = std::make_unique<App>(App{*db_, tables_, true});
    timers_ = NewTimers();
    tasks_ = std::make_unique<TaskService>(*app_);
    reminders_ = std::make_unique<ReminderService>(*app_);
    calendars_ = std::make_unique<CalendarService>(*app_);
    absences_ = std::make_unique<AbsenceService>(*app_);
    notifications_ = std::make_unique<NotificationService>(*app_);
    clock_ = std::make_unique<ClockService>(*app_);
  }

  std::unique_ptr<Timers> NewTimers(TimerOptions options = {}) {
    auto timers = std::make_unique<Timers>(*db_, *worker_db_, options);
    FireTasks(*timers, *app_);
    FireReminders(*timers, *app_);
    FireSnoozes(*timers, *app_);
    return timers;
  }

  Call CallOf(const std::string& user) const {
    Call call = crm::testing::TestCall(tenant_);
    call.principal.user_id = user;
    return call;
  }
  // With rights to these objects for their own records only.
  Call OwnCallOf(const std::string& user, const std::vector<std::string>& objects) const {
    Call call = CallOf(user);
    auto rights = std::make_shared<Rights>();
    for (const std::string& object : objects) {
      for (int action = type::v1::Action_MIN; action <= type::v1::Action_MAX; ++action) {
        rights->Grant(object, static_cast<type::v1::Action>(action), type::v1::SCOPE_OWN);
      }
    }
    call.principal.rights = rights;
    return call;
  }

  static std::string Sql(const std::string& sql) { return crm::testing::Servers::Get().Value(sql); }
  std::string Tenant() const { return "'" + tenant_.ToString() + "'"; }
  static std::string Quoted(const std::string& id) {
    return id.empty() ? "NULL" : "'" + ParseId(id)->uuid.ToString() + "'";
  }

  // What identity's events would have brought.
  void AddTenant(const std::string& zone) {
    Sql(absl::StrCat("INSERT INTO scheduler.tenant VALUES (", Tenant(), ", '", zone, "', 'en', '[]')"));
  }
  std::string AddPerson(const std::string& name, const std::string& team = "", const std::string& manager = "") {
    const std::string id = NewId("user", absl::Now());
    Sql(absl::StrCat("INSERT INTO scheduler.person VALUES (", Tenant(), ", ", Quoted(id), ", '", name, "', ",
                     Quoted(team), ", ", Quoted(manager), ", '', '', true)"));
    Sql(absl::StrCat("INSERT INTO scheduler.member VALUES (", Tenant(), ", ", Quoted(id), ", ", Quoted(team), ")"));
    return id;
  }
  std::string AddTeam(const std::string& parent = "") {
    const std::string id = NewId("team", absl::Now());
    Sql(absl::StrCat("INSERT INTO scheduler.team VALUES (", Tenant(), ", ", Quoted(id), ", 'Team', ", Quoted(parent),
                     ", NULL, false)"));
    return id;
  }
  void Lead(const std::string& team, const std::string& head) {
    Sql(absl::StrCat("UPDATE scheduler.team SET head_id = ", Quoted(head), " WHERE team_id = ", Quoted(team)));
  }
  void Suspend(const std::string& user) {
    Sql(absl::StrCat("UPDATE scheduler.person SET active = false WHERE user_id = ", Quoted(user)));
  }

  v1::Task CreateTask(const std::string& by, v1::Task task) {
    Call call = CallOf(by);
    v1::CreateTaskRequest request;
    *request.mutable_task() = std::move(task);
    auto made = loop_.Run(tasks_->CreateTask(call, request));
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *made : v1::Task();
  }
  // A task of `owner` that is due so much later than now.
  v1::Task CreateTask(const std::string& by, const std::string& owner, absl::Duration due) {
    v1::Task task;
    task.set_title("Send the offer");
    task.set_owner_id(owner);
    *task.mutable_due_time() = ToTimestamp(Now() + due);
    return CreateTask(by, std::move(task));
  }
  v1::Task GetTask(const std::string& id) {
    Call call = CallOf(NewId("user", absl::Now()));
    v1::GetTaskRequest request;
    request.set_id(id);
    auto got = loop_.Run(tasks_->GetTask(call, request));
    EXPECT_TRUE(got.ok()) << got.status();
    return got.ok() ? *got : v1::Task();
  }
  template <typename Request, typename Handler>
  auto Do(Handler handler, const std::string& by, Request request) {
    Call call = CallOf(by);
    return loop_.Run((tasks_.get()->*handler)(call, request));
  }

  absl::Time Now() {
    auto now = loop_.Run(DueNow(*db_, CallOf(NewId("user", absl::Now()))));
    EXPECT_TRUE(now.ok()) << now.status();
    return now.value_or(absl::UnixEpoch());
  }
  void Advance(absl::Duration by) {
    Call call = CallOf(NewId("user", absl::Now()));
    v1::AdvanceClockRequest request;
    request.set_seconds(static_cast<int>(absl::ToInt64Seconds(by)));
    auto moved = loop_.Run(clock_->AdvanceClock(call, request));
    ASSERT_TRUE(moved.ok()) << moved.status();
  }
  // Fires until nothing is due; answers how many took place.
  int Fire() {
    int count = 0;
    for (int round = 0; round < 50; ++round) {
      auto fired = loop_.Run(timers_->FireDue());
      EXPECT_TRUE(fired.ok()) << fired.status();
      if (!fired.ok() || *fired == 0) break;
      count += *fired;
    }
    return count;
  }
  int FireAfter(absl::Duration by) {
    Advance(by);
    return Fire();
  }

  std::vector<v1::Notification> Inbox(const std::string& user) {
    Call call = OwnCallOf(user, {});
    auto page =
        crm::testing::Received(loop_.Run(notifications_->ListNotifications(call, v1::ListNotificationsRequest())));
    EXPECT_TRUE(page.ok()) << page.status();
    if (!page.ok()) return {};
    return {page->notifications().begin(), page->notifications().end()};
  }
  std::vector<std::string> Titles(const std::string& user) {
    std::vector<std::string> titles;
    for (const auto& one : Inbox(user)) titles.push_back(one.title());
    return titles;
  }
  int Events(const std::string& type) {
    return std::stoi(Sql(
        absl::StrCat("SELECT count(*) FROM scheduler.outbox WHERE type = '", type, "' AND tenant_id = ", Tenant())));
  }

  crm::testing::Loop loop_;
  Tables tables_;
  std::unique_ptr<pg::Db> db_, worker_db_;
  std::unique_ptr<App> app_;
  std::unique_ptr<Timers> timers_;
  std::unique_ptr<TaskService> tasks_;
  std::unique_ptr<ReminderService> reminders_;
  std::unique_ptr<CalendarService> calendars_;
  std::unique_ptr<AbsenceService> absences_;
  std::unique_ptr<NotificationService> notifications_;
  std::unique_ptr<ClockService> clock_;
  Uuid tenant_ = crm::testing::NewTenant();
};

}  // namespace crm::scheduler
