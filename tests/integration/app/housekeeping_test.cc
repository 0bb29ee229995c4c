// What housekeeping drops and measures, as the worker role of a service, against the real PostgreSQL.
#include "common/app/housekeeping.h"

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include "tests/testing/run.h"
#include "tests/testing/servers.h"

namespace crm::app {
namespace {

using crm::testing::Servers;

class HousekeepingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CRM_NEED_SERVERS("keeper");
    Servers::Get().StartPostgres();
    Servers::Get().Sql("TRUNCATE keeper.idempotency, keeper.outbox, keeper.dead_letter");
    db_ = std::make_unique<pg::Db>(Servers::Get().Db("keeper", "keeper_worker"), std::vector{loop_.executor()});
  }
  // `count` replies of that age, of two tenants; each takes about a kilobyte.
  void Fill(int count, int days) {
    Servers::Get().Sql(absl::StrCat(
        "INSERT INTO keeper.idempotency (tenant_id, key, method, body_hash, reply, create_time) SELECT CASE WHEN n % 2 "
        "= 0 THEN "
        "'00000000-0000-7000-8000-000000000001'::uuid ELSE '00000000-0000-7000-8000-000000000002'::uuid END, 'k",
        days, "-' || n, 'm', '\\x00', decode(repeat('ab', 1000), 'hex'), now() - interval '", days,
        " days' FROM generate_series(1, ", count, ") n"));
  }
  std::string Count(const std::string& table) { return Servers::Get().Value("SELECT count(*) FROM keeper." + table); }

  crm::testing::Loop loop_;
  std::unique_ptr<pg::Db> db_;
};

TEST_F(HousekeepingTest, OnlyOldRepliesGoWhateverTheirPlace) {
  Housekeeping keeping(*db_);
  // More pages than one step takes, with new rows between old ones.
  Fill(9000, 8);
  Fill(500, 6);
  Fill(9000, 30);
  int64_t page = 0;
  int steps = 0;
  do {
    auto next = loop_.Run(keeping.Purge(crm::testing::TestCall(Uuid()), page));
    ASSERT_TRUE(next.ok()) << next.status();
    EXPECT_TRUE(*next == 0 || *next > page);
    page = *next;
    ASSERT_LT(++steps, 100);
  } while (page > 0);
  EXPECT_GT(steps, 1);
  EXPECT_EQ(Count("idempotency"), "500");
  EXPECT_EQ(Count("idempotency WHERE create_time < now() - interval '7 days'"), "0");
  // Where a table has shrunk meanwhile, a pass just ends.
  auto beyond = loop_.Run(keeping.Purge(crm::testing::TestCall(Uuid()), int64_t{1} << 31));
  ASSERT_TRUE(beyond.ok()) << beyond.status();
  EXPECT_EQ(*beyond, 0);
}

TEST_F(HousekeepingTest, MeasuresWhatWaits) {
  Housekeeping keeping(*db_);
  const auto gauge = [](const std::string& name) { return obs::MakeGauge(name, "").value(); };
  ASSERT_TRUE(loop_.Run(keeping.Measure(crm::testing::TestCall(Uuid()))).ok());
  EXPECT_EQ(gauge("crm_events_unnumbered_age_seconds"), 0);
  EXPECT_EQ(gauge("crm_events_dead_letters"), 0);
  Servers::Get().Sql(
      "INSERT INTO keeper.outbox (tenant_id, bucket, type, record_id, event, create_time) VALUES "
      "('00000000-0000-7000-8000-000000000001', 1, 't', 'r', '\\x00', now() - interval '90 seconds');"
      "INSERT INTO keeper.dead_letter (tenant_id, producer, seq, record_id, event, attempts, error) SELECT "
      "'00000000-0000-7000-8000-000000000001', 'maker', n, 'r', '\\x00', CASE WHEN n = 1 THEN 5 ELSE 0 END, '' FROM "
      "generate_series(1, 3) n");
  ASSERT_TRUE(loop_.Run(keeping.Measure(crm::testing::TestCall(Uuid()))).ok());
  EXPECT_GE(gauge("crm_events_unnumbered_age_seconds"), 90);
  EXPECT_EQ(gauge("crm_events_dead_letters"), 1);
  EXPECT_EQ(gauge("crm_events_parked"), 2);
}

}  // namespace
}  // namespace crm::app
