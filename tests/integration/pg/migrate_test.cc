// What the migration runner promises.
#include "common/pg/migrate.h"

#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/integration/pg/shop.h"

namespace crm::pg {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Each test has a schema and a folder of its own.
class MigrateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CRM_NEED_SERVERS();
    static int number = 0;
    schema_ = absl::StrCat("migrate_", ++number);
    dir_ = absl::StrCat(::testing::TempDir(), "/crm-", schema_, "-", getpid());
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(dir_, ignored);
  }

  void Write(const std::string& name, const std::string& sql) { std::ofstream(dir_ + "/" + name) << sql; }
  absl::StatusOr<MigrateReport> Run() { return Migrate(ShopOptions(schema_, dir_)); }
  std::string Value(std::string sql) {
    for (size_t at; (at = sql.find("$S")) != std::string::npos;) sql.replace(at, 2, schema_);
    return Servers::Get().Value(sql);
  }
  std::string Columns(const std::string& relation) {
    return Value("SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = '$S." + relation +
                 "'::regclass AND attnum > 0 AND NOT attisdropped");
  }

  std::string schema_, dir_;
  const std::string kThing =
      "CREATE TABLE thing (tenant_id uuid, id uuid, revision integer NOT NULL, name text NOT NULL, PRIMARY KEY "
      "(tenant_id, id));"
      "COMMENT ON TABLE thing IS 'history';";
};

TEST_F(MigrateTest, SecondRunChangesNothing) {
  Write("0001_thing.sql", kThing);
  auto first = Run();
  ASSERT_EQ(first.status(), absl::OkStatus());
  ASSERT_GE(first->applied.size(), 2u);
  EXPECT_EQ(first->applied.front(), "common/0001_common.sql");
  EXPECT_EQ(first->applied.back(), "service/0001_thing.sql");
  auto second = Run();
  ASSERT_EQ(second.status(), absl::OkStatus());
  EXPECT_THAT(second->applied, IsEmpty());
  EXPECT_THAT(second->derived, IsEmpty());
}

TEST_F(MigrateTest, AppliesOnlyWhatIsNew) {
  Write("0001_thing.sql", kThing);
  ASSERT_TRUE(Run().ok());
  Write("0002_more.sql", "ALTER TABLE thing ADD COLUMN note text NOT NULL DEFAULT '';");
  auto report = Run();
  ASSERT_EQ(report.status(), absl::OkStatus());
  EXPECT_THAT(report->applied, ElementsAre("service/0002_more.sql"));
  // View and history follow.
  EXPECT_EQ(Columns("thing_view"), "tenant_id id revision name note");
  EXPECT_EQ(Columns("thing_history"), "tenant_id id revision name valid_until superseded_by note");
  EXPECT_EQ(Columns("thing_history_view"), "tenant_id id revision name valid_until superseded_by note");
}

TEST_F(MigrateTest, AChangedFileIsRefused) {
  Write("0001_thing.sql", kThing);
  ASSERT_TRUE(Run().ok());
  Write("0001_thing.sql", kThing + " ");
  auto report = Run();
  EXPECT_EQ(report.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(report.status().message()), HasSubstr("0001_thing.sql was changed"));
}

TEST_F(MigrateTest, AFileBehindTheLastIsRefused) {
  Write("0002_thing.sql", kThing);
  ASSERT_TRUE(Run().ok());
  Write("0001_late.sql", "CREATE TABLE late (x int);");
  auto report = Run();
  EXPECT_EQ(report.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(report.status().message()), HasSubstr("next number"));
}

TEST_F(MigrateTest, AnOlderReleaseAcceptsTheNewerSchema) {
  Write("0001_thing.sql", kThing);
  Write("0002_more.sql", "ALTER TABLE thing ADD COLUMN note text;");
  ASSERT_TRUE(Run().ok());
  std::filesystem::remove(dir_ + "/0002_more.sql");
  EXPECT_EQ(Run().status(), absl::OkStatus());
}

TEST_F(MigrateTest, AFailingFileLeavesNothing) {
  Write("0001_thing.sql", kThing);
  Write("0002_half.sql", "CREATE TABLE half (x int); SELECT 1 / 0;");
  auto report = Run();
  EXPECT_EQ(report.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(report.status().message()), HasSubstr("service/0002_half.sql"));
  EXPECT_EQ(Value("SELECT to_regclass('$S.half') IS NULL"), "t");
  EXPECT_EQ(Value("SELECT count(*) FROM $S.migration WHERE set = 'service'"), "1");
  Write("0002_half.sql", "CREATE TABLE half (x int);");
  EXPECT_EQ(Run().status(), absl::OkStatus());
}

TEST_F(MigrateTest, SeveralAtOnceApplyEachFileOnce) {
  Write("0001_thing.sql", kThing + "CREATE TABLE log (x int); SELECT pg_sleep(0.05);");
  Write("0002_row.sql", "INSERT INTO log VALUES (1);");
  std::vector<absl::Status> answers(4);
  std::vector<std::thread> runners;
  for (size_t i = 0; i < answers.size(); ++i) runners.emplace_back([&, i] { answers[i] = Run().status(); });
  for (std::thread& runner : runners) runner.join();
  for (const absl::Status& answer : answers) EXPECT_EQ(answer, absl::OkStatus());
  EXPECT_EQ(Value("SELECT count(*) FROM $S.log"), "1");
}

TEST_F(MigrateTest, RunsOutsideATransactionWhereAsked) {
  Write("0001_thing.sql", kThing);
  Write("0002_index.sql",
        "-- no transaction\n-- An index that does not stop writers; a semicolon; in a comment.\n"
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS thing_name ON thing (tenant_id, name);\n"
        "COMMENT ON INDEX thing_name IS 'it''s; here';\n");
  ASSERT_EQ(Run().status(), absl::OkStatus());
  EXPECT_EQ(Value("SELECT obj_description('$S.thing_name'::regclass)"), "it's; here");
  EXPECT_EQ(Value("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = '$S.thing_name'::regclass"),
            schema_ + "_owner");
  // Later files are back to normal.
  Write("0003_more.sql", "ALTER TABLE thing ADD COLUMN note text;");
  EXPECT_EQ(Run().status(), absl::OkStatus());
}

TEST_F(MigrateTest, WaitsForALockAndTriesAgain) {
  Write("0001_thing.sql", kThing);
  ASSERT_TRUE(Run().ok());
  std::thread traffic([&] { Value("BEGIN; LOCK TABLE $S.thing IN ACCESS SHARE MODE; SELECT pg_sleep(3); COMMIT"); });
  auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (Value("SELECT count(*) FROM pg_locks WHERE relation = '$S.thing'::regclass AND granted") == "0") {
    ASSERT_LT(std::chrono::steady_clock::now(), limit);
  }
  Write("0002_more.sql", "ALTER TABLE thing ADD COLUMN note text;");
  EXPECT_EQ(Run().status(), absl::OkStatus());
  traffic.join();
}

TEST_F(MigrateTest, TheOwnerBackfillsUnderForcedRowSecurity) {
  Write("0001_thing.sql", kThing);
  ASSERT_TRUE(Run().ok());
  Value("INSERT INTO $S.thing VALUES (gen_random_uuid(), gen_random_uuid(), 1, 'old')");
  Write("0002_backfill.sql", "UPDATE thing SET name = 'new';");
  ASSERT_EQ(Run().status(), absl::OkStatus());
  EXPECT_EQ(Value("SELECT name FROM $S.thing"), "new");
}

TEST_F(MigrateTest, AViewInTheWayIsDroppedByTheMigrationAndComesBack) {
  Write("0001_thing.sql", "CREATE TABLE plain (tenant_id uuid, id uuid, a text, b text);");
  ASSERT_TRUE(Run().ok());
  Write("0002_drop.sql", "DROP VIEW plain_view; ALTER TABLE plain DROP COLUMN a, ALTER COLUMN b TYPE varchar(10);");
  ASSERT_EQ(Run().status(), absl::OkStatus());
  EXPECT_EQ(Columns("plain_view"), "tenant_id id b");
  EXPECT_EQ(Value("SELECT has_table_privilege('$S', '$S.plain_view', 'SELECT')"), "t");
  Write("0003_gone.sql", "DROP VIEW plain_view; DROP TABLE plain;");
  ASSERT_EQ(Run().status(), absl::OkStatus());
  EXPECT_EQ(Value("SELECT to_regclass('$S.plain_view') IS NULL"), "t");
}

TEST_F(MigrateTest, MendsWhatSomebodyBroke) {
  Write("0001_thing.sql", kThing);
  ASSERT_TRUE(Run().ok());
  Value(
      "ALTER TABLE $S.thing DISABLE ROW LEVEL SECURITY; ALTER TABLE $S.thing NO FORCE ROW LEVEL SECURITY; "
      "DROP POLICY tenant ON $S.thing; CREATE POLICY hole ON $S.thing TO $S USING (true); "
      "GRANT DELETE ON $S.thing TO $S; DROP VIEW $S.thing_view");
  auto report = Run();
  ASSERT_EQ(report.status(), absl::OkStatus());
  EXPECT_EQ(Value("SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = '$S.thing'::regclass"), "t");
  EXPECT_EQ(Value("SELECT string_agg(policyname, ' ' ORDER BY policyname) FROM pg_policies WHERE schemaname = '$S' AND "
                  "tablename = 'thing'"),
            "owner reader tenant");
  EXPECT_EQ(Value("SELECT has_table_privilege('$S', '$S.thing', 'DELETE')"), "f");
  EXPECT_THAT(Run()->derived, IsEmpty());
}

TEST_F(MigrateTest, AHistoryWithoutRevisionIsRefused) {
  Write("0001_thing.sql", "CREATE TABLE bad (tenant_id uuid, id uuid); COMMENT ON TABLE bad IS 'history';");
  auto report = Run();
  EXPECT_EQ(report.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(report.status().message()), HasSubstr("no column revision"));
}

TEST_F(MigrateTest, ASecondNumberOrAStrayFileIsRefused) {
  Write("0001_a.sql", "SELECT 1;");
  Write("0001_b.sql", "SELECT 1;");
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kFailedPrecondition);
  std::filesystem::remove(dir_ + "/0001_b.sql");
  Write("notes.txt", "");
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(MigrateTest, WorksAsAnAdminWhoIsNoSuperuser) {
  Servers::Get().Sql("CREATE ROLE admin_test LOGIN CREATEROLE; GRANT CREATE ON DATABASE postgres TO admin_test");
  Write("0001_thing.sql", kThing);
  MigrateOptions options = ShopOptions(schema_, dir_);
  size_t at = options.conninfo.find("user=postgres");
  options.conninfo.replace(at, 13, "user=admin_test");
  options.service_password = "it's \\ secret";
  EXPECT_EQ(Migrate(options).status(), absl::OkStatus());
  EXPECT_THAT(Migrate(options)->derived, IsEmpty());
}

TEST_F(MigrateTest, TheHistoryOfAnEarlierReleaseIsKept) {
  Write("0001_thing.sql", kThing);
  ASSERT_TRUE(Run().ok());
  Value("INSERT INTO $S.thing_history VALUES (gen_random_uuid(), gen_random_uuid(), 1, 'old', now(), 'user_1')");
  Write("0002_more.sql", "ALTER TABLE thing ADD COLUMN size integer NOT NULL DEFAULT 1;");
  ASSERT_EQ(Run().status(), absl::OkStatus());
  EXPECT_EQ(Value("SELECT name FROM $S.thing_history WHERE size IS NULL"), "old");
}

// Of every schema that any test of this binary has made: what must hold for all tables with a tenant.
TEST_F(MigrateTest, NoTableIsWithoutItsWalls) {
  Write("0001_thing.sql", kThing);
  ASSERT_TRUE(Run().ok());
  const std::string tables =
      "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND n.nspname = "
      "'$S' AND EXISTS "
      "(SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id') ";
  EXPECT_EQ(Value("SELECT count(*) > 7 " + tables), "t");
  EXPECT_EQ(Value("SELECT count(*) " + tables + "AND NOT (relrowsecurity AND relforcerowsecurity)"), "0");
  // Every policy of the handlers' role checks the tenant both ways.
  EXPECT_EQ(Value("SELECT count(*) " + tables +
                  "AND NOT EXISTS (SELECT FROM pg_policies p WHERE p.schemaname = n.nspname AND p.tablename = "
                  "c.relname AND '$S' = "
                  "ANY(p.roles) AND p.qual LIKE '%app.tenant%' AND p.with_check LIKE '%app.tenant%')"),
            "0");
  EXPECT_EQ(Value("SELECT count(*) FROM pg_policies WHERE schemaname = '$S' AND ('$S' = ANY(roles) OR 'public' = "
                  "ANY(roles)) AND "
                  "(qual NOT LIKE '%app.tenant%' OR with_check NOT LIKE '%app.tenant%')"),
            "0");
  // Every view reads one tenant, belongs to the role without login, and is no wall that turns indexes off.
  EXPECT_EQ(Value("SELECT count(*) " + tables + "AND to_regclass(n.nspname || '.' || c.relname || '_view') IS NULL"),
            "0");
  EXPECT_EQ(Value("SELECT count(*) FROM pg_views WHERE schemaname = '$S' AND (definition NOT LIKE '%app.tenant%' OR "
                  "viewowner <> "
                  "'$S_reader')"),
            "0");
  EXPECT_EQ(Value("SELECT count(*) FROM pg_class WHERE relnamespace = '$S'::regnamespace AND relkind = 'v' AND "
                  "reloptions IS NOT NULL"),
            "0");
  // The tenant leads every key.
  EXPECT_EQ(Value("SELECT count(*) " + tables +
                  "AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND (SELECT attname "
                  "FROM pg_attribute "
                  "WHERE attrelid = c.oid AND attnum = i.indkey[0]) <> 'tenant_id')"),
            "0");
  // Nobody who can sign in owns anything or passes the walls.
  EXPECT_EQ(
      Value("SELECT count(*) FROM pg_roles WHERE rolname LIKE '$S%' AND (rolbypassrls OR rolsuper OR rolcreaterole OR "
            "rolcanlogin <> (rolname IN ('$S', '$S_worker')))"),
      "0");
  EXPECT_EQ(Value("SELECT count(*) FROM pg_class WHERE relnamespace = '$S'::regnamespace AND pg_get_userbyid(relowner) "
                  "IN ('$S', "
                  "'$S_worker')"),
            "0");
  // Only queues are open to the worker, and only what says so can be deleted from.
  const std::string own = "FROM pg_class WHERE relnamespace = '$S'::regnamespace AND relkind = 'r' AND ";
  EXPECT_EQ(Value("SELECT count(*) " + own +
                  "has_table_privilege('$S_worker', oid, 'SELECT') IS DISTINCT FROM "
                  "coalesce(obj_description(oid, 'pg_class') ~ '\\mqueue\\M', false)"),
            "0");
  EXPECT_EQ(Value("SELECT count(*) " + own +
                  "has_table_privilege('$S', oid, 'DELETE') IS DISTINCT FROM "
                  "coalesce(obj_description(oid, 'pg_class') ~ '\\mdeletable\\M', false)"),
            "0");
  EXPECT_EQ(
      Value("SELECT has_table_privilege('$S_worker', '$S.outbox', 'UPDATE') AND NOT has_table_privilege('$S_worker', "
            "'$S.thing', 'SELECT')"),
      "t");
}

}  // namespace
}  // namespace crm::pg
