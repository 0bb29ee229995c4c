// What the log of rules and inboxes drop, as the worker role of the service, on the real PostgreSQL.
#include <gmock/gmock.h>

#include <string>
#include <utility>

#include "common/app/pruning.h"
#include "services/scheduler/jobs/jobs.h"
#include "tests/integration/scheduler/rules/rule_fixture.h"

namespace crm::scheduler::automation {
namespace {

class PruneTest : public RuleTest {
 protected:
  std::string Tenant() const { return "'" + tenant_.ToString() + "'"; }
  // What the job does in one pass; answers how many batches it took.
  int Prune(const crm::app::v1::Config::Scheduler& config, int rows = 3) {
    int batches = 0;
    for (const auto& pruning : Prunings(config)) {
      for (;;) {
        const auto dropped = loop_.Run(crm::app::PruneOnce(worker_db_, crm::testing::TestCall(Uuid()), pruning, rows));
        EXPECT_TRUE(dropped.ok()) << dropped.status() << " " << pruning.statement.name;
        ++batches;
        if (!dropped.ok() || *dropped < rows) break;
        EXPECT_EQ(*dropped, rows) << "a batch is bounded";
        if (batches > 10'000) return batches;
      }
    }
    return batches;
  }
  void Tell(const std::string& owner, const std::string& title, int made_days, int read_days, int count = 1) {
    Sql("INSERT INTO scheduler.notification (tenant_id, id, revision, kind, title, text, urgent, owner_id, read_time, "
        "create_time, "
        "update_time) SELECT " +
        Tenant() + ", gen_random_uuid(), 1, 1, '" + title + "', '', false, '" + ParseId(owner)->uuid.ToString() +
        "', " + (read_days < 0 ? "NULL" : "now() - interval '" + std::to_string(read_days) + " days'") +
        ", now() - interval '" + std::to_string(made_days) + " days', now() FROM generate_series(1, " +
        std::to_string(count) + ")");
  }
  std::string Titles() {
    return crm::testing::Servers::Get().Value(
        "SELECT coalesce(string_agg(DISTINCT title, ' ' ORDER BY title), '') FROM scheduler.notification WHERE "
        "tenant_id = " +
        Tenant());
  }
};

TEST_F(PruneTest, ReadNotificationsGoAfterTheirTime) {
  Tell(user_, "old", 200, 91, 10);
  Tell(user_, "read-late", 200, 89);
  Tell(user_, "unread", 400, -1);
  Tell(user_, "new", 1, 0);
  EXPECT_GE(Prune({}), 4) << "three at a time";
  EXPECT_EQ(Titles(), "new read-late unread");
  crm::app::v1::Config::Scheduler config;
  config.set_notification_days(30);
  Prune(config);
  EXPECT_EQ(Titles(), "new unread");
}

TEST_F(PruneTest, AUserKeepsThemAsLongAsTheySay) {
  NotificationService inbox(app_);
  const auto keep = [&](const std::string& user, int days) {
    Call call = NewCall();
    call.principal.kind = Principal::Kind::kUser;
    call.principal.user_id = user;
    v1::UpdateNotificationPreferencesRequest request;
    request.mutable_notification_preferences()->set_keep_days(days);
    request.mutable_update_mask()->add_paths("keep_days");
    const auto saved = loop_.Run(inbox.UpdateNotificationPreferences(call, request));
    ASSERT_TRUE(saved.ok()) << saved.status();
    EXPECT_EQ(saved->keep_days(), days);
  };
  keep(head_, 365);
  keep(colleague_, 7);
  for (const std::string& user : {user_, head_, colleague_}) {
    const std::string who = user == user_ ? "user" : user == head_ ? "head" : "colleague";
    for (const int days : {400, 100, 10, 5}) Tell(user, who + "-" + std::to_string(days), 500, days, 4);
    Tell(user, who + "-unread", 500, -1);
  }
  Prune({});
  EXPECT_EQ(Titles(), "colleague-5 colleague-unread head-10 head-100 head-5 head-unread user-10 user-5 user-unread");
  keep(head_, 0);
  Prune({});
  EXPECT_EQ(Titles(), "colleague-5 colleague-unread head-10 head-5 head-unread user-10 user-5 user-unread");
}

TEST_F(PruneTest, EndedRunsGoWithTheirEventsAndOnceStaysOnce) {
  const v1::Rule often = Create("name: 'Often' trigger {event {type: 'deal.moved'}} actions {notify {text: 'x'}}");
  const v1::Rule once = Create(
      "name: 'Once' trigger {event {type: 'deal.moved'}} actions {create_task {title: 'once'}} limits "
      "{once_per_record: true}");
  const v1::Rule waiting = Create(
      "name: 'Waiting' trigger {event {type: 'deal.moved'}} actions {wait {time {days: 100}}} actions {notify {text: "
      "'x'}}");
  const auto deal = NewDeal(offer_);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Deliver(Moved(deal)).ok());
  Fire();
  const auto age = [&](int days) {
    Sql("UPDATE scheduler.rule_run SET end_time = end_time - interval '" + std::to_string(days) +
        " days', create_time = create_time - interval '" + std::to_string(days) +
        " days' WHERE tenant_id = " + Tenant());
  };
  // One that failed keeps its event, to be tried again; that goes with it.
  Sql("UPDATE scheduler.rule_run SET status = 4 WHERE tenant_id = " + Tenant() + " AND rule_name = 'Often'");
  Sql("INSERT INTO scheduler.rule_run_event (tenant_id, run_id, event) SELECT tenant_id, id, '' FROM "
      "scheduler.rule_run WHERE tenant_id = " +
      Tenant() + " AND rule_name = 'Often'");
  age(29);
  Prune({});
  EXPECT_EQ(Count("rule_run WHERE rule_name = 'Often'"), 5);
  age(2);
  Prune({});
  EXPECT_EQ(Count("rule_run WHERE rule_name = 'Often'"), 0);
  EXPECT_EQ(Count("rule_run WHERE rule_name = 'Once'"), 1);
  EXPECT_EQ(Count("rule_run WHERE rule_name = 'Waiting'"), 5) << "they have not ended";
  EXPECT_EQ(Count("rule_run_event WHERE true"), 5) << "of those that wait";
  ASSERT_TRUE(Deliver(Moved(deal)).ok());
  Fire();
  EXPECT_EQ(Count("task WHERE title = 'once'"), 1);
}

TEST_F(PruneTest, OldRowsAreFoundByTheirIndex) {
  Tell(user_, "new", 10, 5, 3000);
  Tell(user_, "old", 200, 100, 20);
  Sql("ANALYZE scheduler.notification");
  for (const auto& pruning : Prunings({})) {
    std::string sql = pruning.statement.sql;
    for (const auto& [from, to] : {std::pair<std::string, std::string>{"$1", "90"}, {"$2", "10"}}) {
      for (size_t at; (at = sql.find(from)) != std::string::npos;) sql.replace(at, from.size(), to);
    }
    if (pruning.statement.name.find("prune_notifications") == std::string::npos) continue;
    const std::string plan =
        crm::testing::Servers::Get().Value("SET search_path = scheduler; EXPLAIN (FORMAT JSON) " + sql);
    EXPECT_THAT(plan, ::testing::HasSubstr("notification_read"));
  }
}

}  // namespace
}  // namespace crm::scheduler::automation
