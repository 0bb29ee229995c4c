// Relay and consumer as processes of their own that die at the worst places: this binary starts itself again as one of
// them.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "tests/integration/events/events_fixture.h"

namespace crm::events {
namespace {

// What the child runs: not a test.
class Process : public ::testing::Test {
 protected:
  static int Port(const char* name) { return std::atoi(std::getenv(name)); }
  static pg::DbOptions Db(const std::string& schema, const std::string& role) {
    pg::DbOptions options;
    options.conninfo = absl::StrCat("host=127.0.0.1 port=", Port("CRM_TEST_POSTGRES"), " dbname=postgres user=", role);
    options.schema = schema;
    return options;
  }
  void SetUp() override {
    if (std::getenv("CRM_TEST_POSTGRES") == nullptr) GTEST_SKIP() << "started by the tests of crashes only";
    machine_ = std::make_unique<Machine>(loop_.executor(), Db("maker", "maker"), Db("maker", "maker_worker"),
                                         Db("hearer", "hearer"), Db("hearer", "hearer_worker"), Port("CRM_TEST_REDIS"));
  }
  crm::testing::Loop loop_;
  std::unique_ptr<Machine> machine_;
};

TEST_F(Process, DISABLED_Consumer) {
  ConsumerOptions options = Machine::Options();
  options.holder = "child";
  auto subscription = machine_->MakeSubscription(std::make_shared<DirectSource::State>(), options);
  subscription->On<google::protobuf::Int64Value>(
      [](const Heard& heard, const google::protobuf::Int64Value& payload, pg::Batch& batch) -> Async<> {
        const char* deadly = std::getenv("CRM_TEST_DEADLY");
        if (deadly != nullptr && payload.value() == std::atoi(deadly)) raise(SIGKILL);
        if (std::getenv("CRM_TEST_SLOW") != nullptr) {
          asio::steady_timer pause(co_await asio::this_coro::executor, milliseconds(Port("CRM_TEST_SLOW")));
          co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
        }
        batch.Add(kNote, pg::Params().Id(heard.call.tenant()).Text(heard.event.record_id()).Int(payload.value()));
        co_return absl::OkStatus();
      });
  asio::co_spawn(loop_.executor(), subscription->Run(), asio::detached);
  loop_.RunFor(std::chrono::minutes(2));
}

TEST_F(Process, DISABLED_Relay) {
  auto relay = machine_->MakeRelay("child");
  asio::co_spawn(loop_.executor(), relay->Run(), asio::detached);
  loop_.RunFor(std::chrono::minutes(2));
}

class CrashTest : public EventsTest {
 protected:
  void SetUp() override {
    EventsTest::SetUp();
    if (IsSkipped()) return;
    points_ = ::testing::TempDir() + "/failpoints-" + std::to_string(getpid());
    setenv("CRM_TEST_POSTGRES", std::to_string(Servers::Get().postgres_port()).c_str(), 1);
    setenv("CRM_TEST_REDIS", std::to_string(Servers::Get().redis_port()).c_str(), 1);
  }
  void TearDown() override {
    Kill();
    unsetenv("CRM_TEST_DEADLY");
    unsetenv("CRM_TEST_SLOW");
    unlink(points_.c_str());
    EventsTest::TearDown();
  }

  void Begin(const std::string& role, const std::string& failpoint) {
    std::ofstream(points_, std::ios::trunc) << failpoint << "\n";
    std::string filter = "--gtest_filter=Process.DISABLED_" + role;
    pid_t parent = getpid();
    child_ = fork();
    ASSERT_GE(child_, 0);
    if (child_ > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(125);
    for (int fd = 3; fd < 256; ++fd) close(fd);
    setenv("CRM_FAILPOINT_FILE", points_.c_str(), 1);
    execl("/proc/self/exe", "integration_events", "--gtest_also_run_disabled_tests", "--gtest_brief=1", filter.c_str(),
          static_cast<char*>(nullptr));
    _exit(127);
  }
  // True if the child has died; it is gone then.
  bool Died() {
    int status = 0;
    if (child_ == 0 || waitpid(child_, &status, WNOHANG) != child_) return false;
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "the child ended by itself: " << status;
    child_ = 0;
    return true;
  }
  void Kill() {
    if (child_ == 0) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    child_ = 0;
  }
  // Starts the child again and again until it has died at the failpoint `times` times.
  void DieAt(const std::string& role, const std::string& failpoint, int times, const std::function<void()>& before) {
    for (int i = 0; i < times; ++i) {
      before();
      Begin(role, failpoint);
      Await("death at " + failpoint, [&] { return Died(); });
    }
  }

  std::string points_;
  pid_t child_ = 0;
};

TEST_F(CrashTest, ConsumerDiesBeforeAndAfterItsCommit) {
  std::vector<Uuid> tenants = {crm::testing::NewTenant(), crm::testing::NewTenant()};
  for (const Uuid& tenant : tenants) Emit(tenant, "thing_1", 1, 100);
  Start(machine_->MakeRelay());
  Await("numbered", [&] { return Unnumbered() == 0; });
  DieAt("Consumer", "events.before_effect=kill*3", 4, [] {});
  DieAt("Consumer", "events.after_effect=kill*3", 4, [] {});
  DieAt("Consumer", "events.after_effect=kill*1", 4, [] {});
  Begin("Consumer", "");
  for (const Uuid& tenant : tenants) AwaitPosition(tenant, 100);
  for (const Uuid& tenant : tenants) EXPECT_EQ(Noted(tenant), Range(1, 100));
  EXPECT_EQ(Number("SELECT count(*) FROM hearer.dead_letter"), 0);
}

// An event whose effect ends the process must not end it for ever.
TEST_F(CrashTest, DeadlyEventIsPutAsideAfterCountedAttempts) {
  Uuid tenant = crm::testing::NewTenant();
  for (int value = 1; value <= 60; ++value) Emit(tenant, absl::StrCat("thing_", value % 10), value, 1);
  Start(machine_->MakeRelay());
  Await("numbered", [&] { return Unnumbered() == 0; });
  setenv("CRM_TEST_DEADLY", "13", 1);
  int deaths = 0;
  Begin("Consumer", "");
  Await("the lane goes on", [&] {
    if (Died()) {
      ++deaths;
      Begin("Consumer", "");
    }
    return Position(tenant) == 60;
  });
  std::printf("[ figure   ] a deadly event was put aside after %d deaths\n", deaths);
  EXPECT_GE(deaths, 5);
  EXPECT_LE(deaths, 5 + 7) << "five counted ones, and those that led to it within ever smaller groups";
  EXPECT_EQ(Servers::Get().Value("SELECT string_agg(seq || ':' || attempts, ',' ORDER BY seq) FROM hearer.dead_letter"),
            "13:5,23:0,33:0,43:0,53:0");
  std::vector<int64_t> expected;
  for (int64_t value = 1; value <= 60; ++value) {
    if (value < 13 || value % 10 != 3) expected.push_back(value);
  }
  EXPECT_EQ(Noted(tenant), expected);

  // Mended and replayed: as if nothing had been.
  Kill();
  Subscription& mended = StartNoting();
  EventLog log(machine_->hearer, machine_->hearer_worker, {&mended});
  Call call = crm::testing::TestCall(tenant);
  v1::ReplayDeadLetterRequest request;
  request.set_id("maker:13");
  const auto replayed = loop_.Run(log.ReplayDeadLetter(call, request));
  ASSERT_TRUE(replayed.ok()) << replayed.status();
  EXPECT_EQ(replayed->attempts(), 6);
  EXPECT_EQ(Number("SELECT count(*) FROM hearer.dead_letter"), 0);
  EXPECT_EQ(Noted(tenant, "thing_3"), (std::vector<int64_t>{3, 13, 23, 33, 43, 53}));
  std::vector<int64_t> all = Noted(tenant);
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, Range(1, 60));
}

// What is being tried when it strikes looks just as guilty, and is not.
TEST_F(CrashTest, DeadlyEventTakesNoOtherWithIt) {
  const Uuid guilty = crm::testing::NewTenant();
  const std::vector<Uuid> innocent = {crm::testing::NewTenant(), crm::testing::NewTenant(), crm::testing::NewTenant()};
  Emit(guilty, "thing_1", 13, 2);
  for (const Uuid& tenant : innocent) Emit(tenant, "thing_1", 1, 3);
  Start(machine_->MakeRelay());
  Await("numbered", [&] { return Unnumbered() == 0; });
  setenv("CRM_TEST_DEADLY", "13", 1);
  setenv("CRM_TEST_SLOW", "300", 1);
  int deaths = 0;
  Begin("Consumer", "");
  Await("all lanes are through", [&] {
    if (Died()) {
      ++deaths;
      Begin("Consumer", "");
    }
    return Position(guilty) == 2 &&
           std::all_of(innocent.begin(), innocent.end(), [](const Uuid& tenant) { return Position(tenant) == 3; });
  });
  std::printf("[ figure   ] a deadly event among slow ones was put aside after %d deaths\n", deaths);
  EXPECT_EQ(deaths, 5);
  EXPECT_EQ(Servers::Get().Value("SELECT string_agg(tenant_id || ' ' || seq || ':' || attempts, ',' ORDER BY seq) FROM "
                                 "hearer.dead_letter"),
            absl::StrCat(guilty.ToString(), " 1:5,", guilty.ToString(), " 2:0"));
  for (const Uuid& tenant : innocent) EXPECT_EQ(Noted(tenant), Range(1, 3));
}

TEST_F(CrashTest, RelayDiesBeforeAndAfterNumberingAndPublishing) {
  Uuid tenant = crm::testing::NewTenant();
  StartNoting();
  int64_t next = 1;
  auto more = [&] {
    Emit(tenant, "thing_1", next, 10);
    next += 10;
  };
  for (const char* place :
       {"events.before_number=kill*2", "events.after_number=kill*1", "events.after_publish=kill*1"}) {
    DieAt("Relay", place, 3, [&] {
      more();
      if (std::string(place).find("kill*2") == std::string::npos) return;
      Emit(crm::testing::NewTenant(), "thing_1", 1, 1);  // the second lane to be numbered
    });
  }
  Begin("Relay", "");
  Await("numbered", [&] { return Unnumbered() == 0; });
  ExpectDense();
  AwaitPosition(tenant, next - 1);
  EXPECT_EQ(Noted(tenant), Range(1, next - 1));
}

}  // namespace
}  // namespace crm::events
