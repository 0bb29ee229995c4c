#include "common/pg/db.h"

#include "tests/integration/pg/shop.h"

namespace crm::pg {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

using DbTest = ShopTest;

TEST_F(DbTest, WritesAndReadsBack) {
  Call call = TestCall(NewTenant());
  ASSERT_EQ(AddOnce(call, NewTenant(), "lamp").status(), absl::OkStatus());
  auto rows = loop_.Run(db_->Read(call, kItemNames, Params()));
  ASSERT_EQ(rows.status(), absl::OkStatus());
  ASSERT_EQ(rows->size(), 1);
  EXPECT_EQ(rows->Text(0, 0), "lamp");
  EXPECT_EQ(rows->Int(0, 1), 1);
  EXPECT_EQ(loop_.Run(db_->Ping()), absl::OkStatus());
}

}  // namespace
}  // namespace crm::pg
