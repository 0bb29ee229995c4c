#include "common/events/share.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace crm::events {
namespace {

TEST(ShareDivide, GivesEachShardToOneReplicaAndEvenly) {
  for (int count = 1; count <= kShards + 4; ++count) {
    std::vector<int> times(kShards, 0);
    int least = kShards, most = 0;
    for (int rank = 0; rank < count; ++rank) {
      std::vector<int> shards = Share::Divide(rank, count);
      for (int shard : shards) ++times[static_cast<size_t>(shard)];
      least = std::min(least, static_cast<int>(shards.size()));
      most = std::max(most, static_cast<int>(shards.size()));
    }
    EXPECT_EQ(times, std::vector<int>(kShards, 1)) << count << " replicas";
    EXPECT_LE(most - least, 1) << count << " replicas";
  }
}

}  // namespace
}  // namespace crm::events
