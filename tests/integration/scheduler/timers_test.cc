// Durable timers: each fires once, on time, whatever the workers do.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <set>

#include "services/scheduler/sql.h"
#include "tests/integration/scheduler/scheduler_fixture.h"

namespace crm::scheduler {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const pg::Statement kNoteFired{"test.note_fired",
                               "INSERT INTO fired (tenant_id, subject, key, due_time) VALUES ($1, $2, $3, $4)"};

// An effect that leaves a row without any key, so that one that happens twice stays visible.
Async<> NoteFired(const Fired& fired, pg::Batch& batch) {
  batch.Add(kNoteFired, pg::Params().Id(fired.call.tenant()).Text(fired.subject).Text(fired.key).Time(fired.due));
  co_return absl::OkStatus();
}

class TimersTest : public SchedulerTest {
 protected:
  void SetUp() override {
    SchedulerTest::SetUp();
    if (IsSkipped()) return;
    Sql("CREATE TABLE IF NOT EXISTS scheduler.fired (tenant_id uuid, subject text, key text, due_time timestamptz); "
        "GRANT ALL ON scheduler.fired TO scheduler; TRUNCATE scheduler.fired");
    timers_->On("test", NoteFired);
  }
  void Set(const Uuid& tenant, const std::string& subject, const std::string& key, absl::Time due,
           const std::string& kind = "test") {
    const Call call = crm::testing::TestCall(tenant);
    pg::Batch batch(call);
    SetTimer(batch, {.kind = kind, .subject = subject, .key = key, .due = due, .payload = "x"});
    ASSERT_TRUE(loop_.Run(db_->Write(call, std::move(batch))).ok());
  }
  void Set(const std::string& subject, absl::Time due) { Set(tenant_, subject, "", due); }
  void SetMany(int count, const std::string& due) {
    Sql(absl::StrCat(
        "INSERT INTO scheduler.timer (tenant_id, id, bucket, kind, subject, key, due_time, wake_time, payload, fence, "
        "attempts, error) SELECT ",
        Tenant(), ", gen_random_uuid(), ", static_cast<int>(tenant_.bucket()), ", 'test', 'task_' || i, '', ", due,
        ", ", due, ", '', 1, 0, '' FROM generate_series(1, ", count, ") i"));
  }
  static int Count(const std::string& table) { return std::stoi(Sql("SELECT count(*) FROM scheduler." + table)); }
  static int Twice() {
    return std::stoi(
        Sql("SELECT count(*) FROM (SELECT 1 FROM scheduler.fired GROUP BY tenant_id, subject, key, due_time "
            "HAVING count(*) > 1) t"));
  }
};

TEST_F(TimersTest, FiresAtItsTimeAndNotBefore) {
  const absl::Time due = Now() + absl::Minutes(10);
  Set("task_1", due);
  EXPECT_EQ(Fire(), 0);
  Advance(absl::Minutes(9));
  EXPECT_EQ(Fire(), 0);
  Advance(absl::Minutes(2));
  EXPECT_EQ(Fire(), 1);
  EXPECT_EQ(Fire(), 0);
  EXPECT_EQ(Count("fired"), 1);
  EXPECT_EQ(Count("timer"), 0);
}

TEST_F(TimersTest, AClockThatIsAheadIsOneTenantsAlone) {
  const Uuid other = crm::testing::NewTenant();
  const absl::Time due = Now() + absl::Hours(1);
  Set("task_1", due);
  Set(other, "task_1", "", due);
  EXPECT_EQ(FireAfter(absl::Hours(2)), 1);
  EXPECT_EQ(Sql("SELECT tenant_id FROM scheduler.fired"), tenant_.ToString());
  EXPECT_EQ(Count("timer"), 1);
}

TEST_F(TimersTest, IsMovedAndCalledOff) {
  Set("task_1", Now() + absl::Minutes(1));
  Set("task_1", Now() + absl::Hours(1));  // the same timer
  Set(tenant_, "task_2", "a", Now());
  Set(tenant_, "task_2", "b", Now());
  Set(tenant_, "task_2", "", Now(), "other");
  const Call call = crm::testing::TestCall(tenant_);
  pg::Batch batch(call);
  CancelTimers(batch, "task_2", "test");
  CancelTimer(batch, "test", "task_3");
  ASSERT_TRUE(loop_.Run(db_->Write(call, std::move(batch))).ok());
  EXPECT_EQ(FireAfter(absl::Minutes(2)), 0);  // "other" is a kind that nobody here knows
  EXPECT_EQ(Count("timer"), 2);
  EXPECT_EQ(FireAfter(absl::Hours(1)), 1);
}

TEST_F(TimersTest, AFailedEffectIsTriedAgainLaterAndLeavesNothing) {
  int attempts = 0;
  timers_->On("test", [&](const Fired& fired, pg::Batch& batch) -> Async<> {
    ++attempts;
    EXPECT_EQ(fired.attempts, attempts - 1);
    EXPECT_EQ(fired.payload, "x");
    batch.Add(kNoteFired, pg::Params().Id(fired.call.tenant()).Text(fired.subject).Text("").Time(fired.due));
    if (attempts < 3)
      return [](int number) -> Async<> { co_return absl::InternalError(absl::StrCat("not yet ", number)); }(attempts);
    return []() -> Async<> { co_return absl::OkStatus(); }();
  });
  Set("task_1", Now());
  EXPECT_EQ(Fire(), 0);
  EXPECT_EQ(Sql("SELECT attempts || error FROM scheduler.timer"), "1INTERNAL: not yet 1");
  EXPECT_EQ(Fire(), 0);
  EXPECT_EQ(attempts, 1);  // not before a second has passed
  EXPECT_EQ(FireAfter(absl::Seconds(2)), 0);
  EXPECT_EQ(FireAfter(absl::Seconds(3)), 1);
  EXPECT_EQ(attempts, 3);
  EXPECT_EQ(Count("fired"), 1);
}

TEST_F(TimersTest, AnEffectMaySetItsTimerAgain) {
  timers_->On("test", [](const Fired& fired, pg::Batch& batch) -> Async<> {
    SetTimer(batch, {.kind = "test", .subject = fired.subject, .due = fired.due + absl::Hours(1)});
    return NoteFired(fired, batch);
  });
  Set("task_1", Now() + absl::Minutes(1));
  EXPECT_EQ(FireAfter(absl::Minutes(2)), 1);
  EXPECT_EQ(FireAfter(absl::Hours(3)), 3);
  EXPECT_EQ(Twice(), 0);
}

TEST_F(TimersTest, WorkersShareTheWorkAndDoNothingTwice) {
  for (int i = 0; i < 4; ++i) {
    tenant_ = crm::testing::NewTenant();
    SetMany(150, "now() - interval '1 s'");
  }
  std::vector<std::unique_ptr<Timers>> workers;
  int running = 0;
  for (const char* holder : {"one", "two", "three"}) {
    TimerOptions options;
    options.holder = holder;
    options.poll = std::chrono::milliseconds(20);
    options.claim_max = 30;
    workers.push_back(std::make_unique<Timers>(*db_, *worker_db_, options));
    workers.back()->On("test", NoteFired);
    ++running;
    asio::co_spawn(loop_.executor(), workers.back()->Run(), [&](std::exception_ptr, absl::Status) { --running; });
  }
  loop_.Until([&] { return Count("fired") >= 600; });
  for (auto& worker : workers) worker->Stop();
  loop_.Until([&] { return running == 0; });
  EXPECT_EQ(Count("fired"), 600);
  EXPECT_EQ(Twice(), 0);
  EXPECT_EQ(Count("timer"), 0);
}

// A holder that sleeps beyond its lease wakes up to find that another has done its work: all of its batch is undone.
TEST_F(TimersTest, AHolderThatIsPausedPastItsLeaseChangesNothing) {
  TimerOptions options;
  options.lease = std::chrono::milliseconds(1000);
  Timers sleeper(*db_, *worker_db_, options), other(*db_, *worker_db_, options);
  bool asleep = false, wake = false;
  sleeper.On("test", [&](const Fired& fired, pg::Batch& batch) -> Async<> {
    return [](const Fired& fired, pg::Batch& batch, bool& asleep, bool& wake) -> Async<> {
      asleep = true;
      asio::steady_timer timer(co_await asio::this_coro::executor);
      while (!wake) {
        timer.expires_after(std::chrono::milliseconds(10));
        co_await timer.async_wait(asio::use_awaitable);
      }
      co_return co_await NoteFired(fired, batch);
    }(fired, batch, asleep, wake);
  });
  other.On("test", NoteFired);
  Set("task_1", Now());
  std::optional<absl::StatusOr<int>> slept;
  asio::co_spawn(loop_.executor(), sleeper.FireDue(),
                 [&](std::exception_ptr, absl::StatusOr<int> count) { slept = std::move(count); });
  loop_.Until([&] { return asleep; });
  EXPECT_EQ(*loop_.Run(other.FireDue()), 0);  // leased
  int fired = 0;
  loop_.Until([&] {
    if (fired == 0) fired = loop_.Run(other.FireDue()).value_or(0);
    return fired > 0;
  });
  wake = true;
  loop_.Until([&] { return slept.has_value(); });
  EXPECT_EQ(slept->value_or(-1), 0);
  EXPECT_EQ(Count("fired"), 1);
  EXPECT_EQ(Count("timer"), 0);
}

// Who was killed under way and begins again does not wait for its own lease, and leaves alone what others hold.
TEST_F(TimersTest, AHolderThatBeginsAgainTakesBackItsOwn) {
  Set("task_1", Now());
  Set("task_2", Now());
  Sql("UPDATE scheduler.timer SET wake_time = now() + interval '1 hour', "
      "holder = CASE subject WHEN 'task_1' THEN 'host:1' ELSE 'host:2' END");
  TimerOptions options;
  options.holder = "host:1";
  Timers again(*db_, *worker_db_, options);
  again.On("test", NoteFired);
  bool ended = false;
  asio::co_spawn(loop_.executor(), again.Run(), [&](std::exception_ptr, absl::Status) { ended = true; });
  loop_.Until([&] { return Count("fired") > 0; });
  again.Stop();
  loop_.Until([&] { return ended; });
  EXPECT_EQ(Count("fired WHERE subject = 'task_1'"), 1);
  EXPECT_EQ(Count("timer WHERE subject = 'task_2' AND wake_time > now() AND holder = 'host:2'"), 1);
}

// A timer that is moved while its effect is under way fires at its new time instead.
TEST_F(TimersTest, MovedWhileUnderWay) {
  bool moved = false;
  timers_->On("test", [&](const Fired& fired, pg::Batch& batch) -> Async<> {
    return [](pg::Db& db, bool& moved, const Fired& fired, pg::Batch& batch) -> Async<> {
      if (!moved) {
        moved = true;
        pg::Batch other(fired.call);
        SetTimer(other, {.kind = "test", .subject = fired.subject, .due = fired.now + absl::Hours(1)});
        CRM_CO_TRY(co_await db.Write(fired.call, std::move(other)));
      }
      co_return co_await NoteFired(fired, batch);
    }(*db_, moved, fired, batch);
  });
  Set("task_1", Now());
  EXPECT_EQ(Fire(), 0);
  EXPECT_EQ(Count("fired"), 0);
  EXPECT_EQ(FireAfter(absl::Hours(2)), 1);
}

// ---- a worker that dies ----

// What the child runs: not a test.
TEST(TimersProcess, DISABLED_Worker) {
  const char* port = std::getenv("CRM_TEST_POSTGRES");
  if (port == nullptr) GTEST_SKIP() << "started by the test of crashes only";
  crm::testing::Loop loop;
  const auto options = [&](const char* role) {
    pg::DbOptions db;
    db.conninfo = absl::StrCat("host=127.0.0.1 port=", port, " dbname=postgres user=", role);
    db.schema = "scheduler";
    return db;
  };
  pg::Db db(options("scheduler"), std::vector<asio::any_io_executor>(1, loop.executor()));
  pg::Db worker(options("scheduler_worker"), std::vector<asio::any_io_executor>(1, loop.executor()));
  TimerOptions timing;
  timing.holder = "child";
  timing.poll = std::chrono::milliseconds(20);
  timing.lease = std::chrono::milliseconds(1000);
  timing.claim_max = 10;
  Timers timers(db, worker, timing);
  timers.On("test", NoteFired);
  asio::co_spawn(loop.executor(), timers.Run(), asio::detached);
  loop.RunFor(std::chrono::minutes(2));
}

TEST_F(TimersTest, AWorkerMayDieBetweenClaimAndEffectAndAfterIt) {
  SetMany(60, "now() - interval '1 s'");
  setenv("CRM_TEST_POSTGRES", std::to_string(crm::testing::Servers::Get().postgres_port()).c_str(), 1);
  const std::string points = ::testing::TempDir() + "/timer-failpoints-" + std::to_string(getpid());
  const auto begin = [&](const std::string& failpoint) {
    std::ofstream(points, std::ios::trunc) << failpoint << "\n";
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child > 0) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (child < 0 || getppid() != parent) _exit(125);
    for (int fd = 3; fd < 256; ++fd) close(fd);
    setenv("CRM_FAILPOINT_FILE", points.c_str(), 1);
    execl("/proc/self/exe", "integration_scheduler", "--gtest_also_run_disabled_tests", "--gtest_brief=1",
          "--gtest_filter=TimersProcess.DISABLED_Worker", static_cast<char*>(nullptr));
    _exit(127);
  };
  const auto ended = [&](pid_t child) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) != child) return false;
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "the child ended by itself: " << status;
    return true;
  };
  for (const char* place : {"timers.after_claim=kill*3", "timers.before_effect=kill*4", "timers.after_effect=kill*5"}) {
    const pid_t child = begin(place);
    ASSERT_GT(child, 0);
    loop_.Until([&] { return ended(child); });
  }
  const pid_t last = begin("");
  ASSERT_GT(last, 0);
  loop_.Until([&] { return Count("timer") == 0; });
  kill(last, SIGKILL);
  waitpid(last, nullptr, 0);
  unlink(points.c_str());
  EXPECT_EQ(Count("fired"), 60);
  EXPECT_EQ(Twice(), 0);
}

// A spent timer that is set anew is a new row: no claim of the former one may fit it, however often it is claimed.
TEST_F(TimersTest, AFenceIsNeverUsedTwice) {
  Set("task_1", absl::Now() - absl::Seconds(1));
  const int64_t first = std::stoll(Sql("SELECT fence FROM scheduler.timer"));
  Sql("DELETE FROM scheduler.timer");
  Set("task_1", absl::Now() - absl::Seconds(1));
  EXPECT_GT(std::stoll(Sql("SELECT fence FROM scheduler.timer")), first + 100) << "claims raise it by one each";
}

// ---- plans ----

TEST_F(TimersTest, AClaimReadsWhatIsDueHoweverMuchWaits) {
  SetMany(200'000, "now() + i * interval '1 minute'");
  SetMany(40, "now() - interval '1 s'");
  Sql("VACUUM ANALYZE scheduler.timer");
  std::vector<int64_t> shards;
  for (int shard = 0; shard < 16; ++shard) shards.push_back(shard);
  std::vector<std::string> kinds(1, "test");
  const Call call = crm::testing::TestCall(tenant_);
  pg::Batch batch(call);
  batch.Add(sql::kByIndexAlone);
  batch.AddDynamic(std::make_shared<pg::Statement>(
                       pg::Statement{"test.explain", "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) " + sql::kClaimTimers.sql}),
                   pg::Params().IntArray(shards).Int(200).Int(30).TextArray(kinds).Text("me"));
  auto rows = loop_.Run(worker_db_->Write(call, std::move(batch)));
  ASSERT_TRUE(rows.ok()) << rows.status();
  std::string plan;
  for (int row = 0; row < rows->at(1).size(); ++row) plan += std::string(rows->at(1).Text(row, 0)) + "\n";
  EXPECT_THAT(plan, HasSubstr("Index Scan using timer_wake"));
  EXPECT_THAT(plan, Not(HasSubstr("Sort"))) << plan;
  EXPECT_THAT(plan, Not(HasSubstr("Seq Scan on timer"))) << plan;
  EXPECT_EQ(Sql("SELECT count(*) FROM scheduler.timer WHERE fence = 2"), "40");
}

}  // namespace
}  // namespace crm::scheduler
