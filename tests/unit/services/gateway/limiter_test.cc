// How many of a tenant's requests are under way.
#include "services/gateway/limiter.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <memory>
#include <vector>

#include "common/base/error.h"

namespace crm::gateway {
namespace {

TEST(LimiterTest, ATenantHasItsShareOfWhatIsUnderWay) {
  asio::io_context loop;
  Limiter limiter({}, nullptr, {loop.get_executor()});
  std::vector<std::shared_ptr<void>> places;
  for (int i = 0; i < Limiter::kTenantInFlightMax; ++i) {
    auto place = limiter.Enter("tenant_a");
    ASSERT_TRUE(place.ok());
    places.push_back(*std::move(place));
  }
  const auto refused = limiter.Enter("tenant_a");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(refused.status()), type::v1::ERROR_REASON_OVERLOADED);
  EXPECT_TRUE(RetryDelayOf(refused.status()).has_value());
  EXPECT_TRUE(limiter.Enter("tenant_b").ok());
  places.pop_back();
  EXPECT_TRUE(limiter.Enter("tenant_a").ok());
}

}  // namespace
}  // namespace crm::gateway
