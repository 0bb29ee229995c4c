// The schema `shop` of these tests, and the statements that they run in it.
#pragma once

#include <gmock/gmock.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "common/base/error.h"
#include "common/pg/db.h"
#include "common/pg/migrate.h"
#include "tests/testing/run.h"
#include "tests/testing/servers.h"

namespace crm::pg {

using ::crm::testing::NewTenant;
using ::crm::testing::Servers;
using ::crm::testing::TestCall;
using Text = google::protobuf::StringValue;

inline const Statement kAddItem{"shop.add_item",
                                "INSERT INTO item (tenant_id, id, revision, name) VALUES ($1, $2, 1, $3)"};
inline const Statement kItemNames{"shop.item_names", "SELECT name, revision FROM item_view ORDER BY name"};
inline const Statement kRename{
    "shop.rename",
    "UPDATE item SET name = $3, revision = revision + 1 WHERE tenant_id = $1 AND id = $2 AND "
    "revision = $4 RETURNING 1"};
inline const Statement kAddLine{"shop.add_line", "INSERT INTO line (tenant_id, id, item_id) VALUES ($1, $2, $3)"};
inline const Statement kSleep{"shop.sleep", "SELECT pg_sleep($1)"};

inline MigrateOptions ShopOptions(const std::string& schema, const std::string& dir = "") {
  MigrateOptions options;
  options.conninfo = Servers::Get().Admin();
  options.schema = schema;
  options.common_dir = Servers::Source() + "/common/pg/migrations";
  options.service_dir = dir.empty() ? Servers::Source() + "/tests/integration/pg/migrations" : dir;
  return options;
}

class ShopTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CRM_NEED_SERVERS();
    static const bool migrated = [] {
      absl::StatusOr<MigrateReport> report = Migrate(ShopOptions("shop"));
      if (!report.ok()) ADD_FAILURE() << report.status();
      return report.ok();
    }();
    ASSERT_TRUE(migrated);
    Servers::Get().Clear("shop");
    Use(Servers::Get().Db("shop"));
  }
  void TearDown() override { db_.reset(); }

  void Use(DbOptions options) {
    db_.reset();
    db_ = std::make_unique<Db>(std::move(options), std::vector<asio::any_io_executor>{loop_.executor()});
  }

  // A batch that adds one item.
  static Batch AddItem(const Call& call, const Uuid& id, const std::string& name) {
    Batch batch(call);
    batch.Add(kAddItem, Params().Id(call.tenant()).Id(id).Text(name));
    return batch;
  }
  absl::StatusOr<Text> AddOnce(const Call& call, const Uuid& id, const std::string& name) {
    return loop_.Run(db_->Once(call, [&](Batch& batch) -> absl::StatusOr<Text> {
      batch.Add(kAddItem, Params().Id(call.tenant()).Id(id).Text(name));
      Text reply;
      reply.set_value(name);
      return reply;
    }));
  }
  int64_t Count(const std::string& from) {
    return std::stoll(Servers::Get().Value("SELECT count(*) FROM shop." + from));
  }

  testing::Loop loop_;
  std::unique_ptr<Db> db_;
};

}  // namespace crm::pg
