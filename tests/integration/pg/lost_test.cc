// What holds when connections break, the server crashes, or an answer is lost.
#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "common/base/failpoint.h"
#include "common/pg/db.h"
#include "tests/integration/pg/shop.h"

namespace crm::pg {
namespace {

struct Ledger {
  std::set<std::string> acknowledged, attempted;
  int unavailable = 0;
  int running = 0;
};

Async<> WriteMany(Db& db, Uuid tenant, int writer, int count, Ledger& ledger) {
  for (int i = 0; i < count; ++i) {
    Call call = TestCall(tenant);
    std::string name = absl::StrCat(writer, "-", i);
    Batch batch(call);
    batch.Add(kAddItem, Params().Id(tenant).Id(NewTenant()).Text(name));
    NewEvent event;
    event.type = "item.added";
    event.record_id = name;
    batch.Emit(event, Text());
    ledger.attempted.insert(name);
    auto answer = co_await db.OnceBytes(call, std::move(batch), name);
    if (answer.ok()) {
      EXPECT_EQ(*answer, name);
      ledger.acknowledged.insert(name);
    } else {
      EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable) << answer.status();
      ++ledger.unavailable;
    }
  }
  --ledger.running;
  co_return absl::OkStatus();
}

class LostConnections : public ShopTest {
 protected:
  // Starts 32 writers; `fault` is called every 15 ms until they are done.
  template <typename Fault>
  void Load(int writes, Fault fault) {
    Uuid tenant = NewTenant();
    Ledger ledger;
    for (int writer = 0; writer < 32; ++writer) {
      ++ledger.running;
      asio::co_spawn(loop_.context(), WriteMany(*db_, tenant, writer, writes, ledger),
                     [](std::exception_ptr error, absl::Status) {
                       if (error) std::rethrow_exception(error);
                     });
    }
    int rounds = 0;
    while (ledger.running > 0) {
      loop_.RunFor(std::chrono::milliseconds(15));
      if (ledger.running > 0) fault(rounds++);
      ASSERT_LT(rounds, 4000);
    }
    EXPECT_GT(rounds, 3) << "the load ended before there was a fault";
    std::map<std::string, int> stored;
    for (const auto& row :
         Servers::Get().Sql("SELECT name, (SELECT count(*) FROM shop.outbox WHERE record_id = name) FROM shop.item")) {
      ++stored[row[0]];
      EXPECT_EQ(row[1], "1") << "state and event of " << row[0] << " differ";
    }
    for (const std::string& name : ledger.acknowledged) EXPECT_EQ(stored[name], 1) << name << " was acknowledged";
    for (const auto& [name, count] : stored) EXPECT_LE(count, 1) << name;
    EXPECT_EQ(Servers::Get().Value("SELECT count(*) FROM shop.outbox"),
              Servers::Get().Value("SELECT count(*) FROM shop.item"));
    EXPECT_GT(ledger.acknowledged.size(), ledger.attempted.size() / 2);
    RecordProperty("unavailable", ledger.unavailable);
  }
};

TEST_F(LostConnections, AnAnswerLostAfterTheCommitIsFoundByItsKey) {
  const std::string file = absl::StrCat(::testing::TempDir(), "/crm-failpoints-", getpid());
  std::ofstream(file) << "pg.before_reply=error\n";
  ASSERT_EQ(failpoint::UseFile(file), absl::OkStatus());
  Call call = TestCall(NewTenant());
  EXPECT_EQ(AddOnce(call, NewTenant(), "lamp").status().code(), absl::StatusCode::kUnavailable);
  ASSERT_EQ(failpoint::UseFile(""), absl::OkStatus());
  std::filesystem::remove(file);
  auto again = AddOnce(call, NewTenant(), "decided anew");
  ASSERT_EQ(again.status(), absl::OkStatus());
  EXPECT_EQ(again->value(), "lamp");
  EXPECT_EQ(Count("item"), 1);
}

TEST_F(LostConnections, KilledBackendsLoseAndDoubleNothing) {
  Load(40, [](int) {
    Servers::Get().Sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop' ORDER BY random() LIMIT 2");
  });
}

TEST_F(LostConnections, ACrashedServerLosesAndDoublesNothing) {
  Load(250, [](int round) {
    if (round % 8 == 5 && round < 40) {
      Servers::Get().KillPostgres();
      Servers::Get().StartPostgres();
    }
  });
}

TEST_F(LostConnections, NoServerIsSaidInTime) {
  Call call = TestCall(NewTenant());
  ASSERT_TRUE(loop_.Run(db_->Write(call, AddItem(call, NewTenant(), "before"))).ok());
  Servers::Get().KillPostgres();
  auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(loop_.Run(db_->Read(call, kItemNames, Params())).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(8));
  Call hurried = call;
  hurried.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
  EXPECT_EQ(loop_.Run(db_->Read(hurried, kItemNames, Params())).status().code(), absl::StatusCode::kDeadlineExceeded);
  Servers::Get().StartPostgres();
  call.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  EXPECT_EQ(loop_.Run(db_->Read(call, kItemNames, Params()))->size(), 1);
}

}  // namespace
}  // namespace crm::pg
