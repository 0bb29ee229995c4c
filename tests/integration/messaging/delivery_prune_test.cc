// What the log of webhooks drops, as the service's worker role, on the real PostgreSQL.
#include <gtest/gtest.h>

#include <string>

#include "common/app/pruning.h"
#include "services/messaging/webhooks.h"
#include "tests/testing/run.h"
#include "tests/testing/servers.h"

namespace crm::messaging {
namespace {

using crm::testing::Servers;

TEST(DeliveryPrune, OldOnesGoSomeAtATimeWhateverBecameOfThem) {
  CRM_NEED_SERVERS("messaging");
  crm::testing::Loop loop;
  pg::Db worker_db(Servers::Get().Db("messaging", "messaging_worker"), {loop.executor()});
  const Uuid one = crm::testing::NewTenant(), other = crm::testing::NewTenant();
  const auto fill = [](const Uuid& tenant, int count, int days, int status) {
    Servers::Get().Sql(
        "INSERT INTO messaging.delivery (tenant_id, id, revision, webhook_id, event_type, event_time, status, "
        "attempt_count, "
        "response_status, response_body, error, duration_ms, create_time, update_time) SELECT '" +
        tenant.ToString() + "', gen_random_uuid(), 1, gen_random_uuid(), 'deal.moved', now(), " +
        std::to_string(status) + ", 1, 200, '', '', 1, now() - interval '" + std::to_string(days) +
        " days', now() FROM generate_series(1, " + std::to_string(count) + ")");
  };
  for (const Uuid& tenant : {one, other}) {
    fill(tenant, 7, 31, 2);
    fill(tenant, 7, 200, 3);
    fill(tenant, 5, 29, 3);
    fill(tenant, 5, 0, 1);
  }
  const auto left = [&](const Uuid& tenant) {
    return Servers::Get().Value("SELECT count(*) FROM messaging.delivery WHERE tenant_id = '" + tenant.ToString() +
                                "'");
  };
  const crm::app::Pruning pruning{PruneDeliveries(), kDeliveryDays};
  int64_t all = 0;
  for (int batches = 0;; ++batches) {
    ASSERT_LT(batches, 1000);
    const auto dropped = loop.Run(crm::app::PruneOnce(worker_db, crm::testing::TestCall(Uuid()), pruning, 10));
    ASSERT_TRUE(dropped.ok()) << dropped.status();
    ASSERT_LE(*dropped, 10);
    all += *dropped;
    if (*dropped < 10) break;
  }
  EXPECT_GE(all, 28);
  EXPECT_EQ(left(one), "10");
  EXPECT_EQ(left(other), "10");
}

}  // namespace
}  // namespace crm::messaging
