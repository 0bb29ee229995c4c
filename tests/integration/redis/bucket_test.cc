#include "common/redis/bucket.h"

#include "tests/integration/redis/redis_fixture.h"

namespace crm::redis {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class BucketTest : public RedisTest {
 protected:
  int64_t Evals() {
    std::string stats = Run(Command(Args("INFO", "commandstats")))->text;
    size_t at = stats.find("cmdstat_eval:calls=");
    return at == std::string::npos ? 0 : std::stoll(stats.substr(at + 19));
  }
};

TEST_F(BucketTest, AllowsTheBurstThenTheRate) {
  Bucket bucket(client());
  BucketLimit limit{50, 20};
  auto begin = steady_clock::now();
  int allowed = 0;
  BucketAnswer answer;
  while (steady_clock::now() - begin < milliseconds(1000)) {
    answer = Run(bucket.Take("tenant:a", limit));
    if (answer.allowed) ++allowed;
  }
  double seconds = std::chrono::duration<double>(steady_clock::now() - begin).count();
  EXPECT_GE(allowed, 20 + 50 * 0.8);
  EXPECT_LE(allowed, 20 + 50 * seconds + 1);
  while (answer.allowed) answer = Run(bucket.Take("tenant:a", limit));
  EXPECT_GT(answer.retry_after, milliseconds(0));
  EXPECT_LE(answer.retry_after, milliseconds(1000 / 50 + 1));
  EXPECT_TRUE(Run(bucket.Take("tenant:b", limit)).allowed) << "another tenant's bucket";
}

TEST_F(BucketTest, SharesTheLimitAmongGateways) {
  Client second_client(options_, {loop_.executor()});
  Bucket first(client()), second(second_client);
  BucketLimit limit{100, 100};
  auto begin = steady_clock::now();
  int allowed = 0;
  while (steady_clock::now() - begin < milliseconds(1000)) {
    allowed += Run(first.Take("tenant:a", limit)).allowed;
    allowed += Run(second.Take("tenant:a", limit)).allowed;
  }
  double seconds = std::chrono::duration<double>(steady_clock::now() - begin).count();
  EXPECT_GE(allowed, 100 + 100 * 0.8);
  EXPECT_LE(allowed, 100 + 100 * seconds + 10);
}

TEST_F(BucketTest, LeasesInChunks) {
  Bucket bucket(client());
  BucketLimit limit{10'000, 10'000};
  int64_t before = Evals();
  std::vector<asio::awaitable<BucketAnswer>> takes;
  for (int i = 0; i < 3000; ++i) takes.push_back(bucket.Take("tenant:a", limit));
  for (const BucketAnswer& answer : loop_.RunAll(std::move(takes))) EXPECT_TRUE(answer.allowed);
  EXPECT_LE(Evals() - before, 3000 / 500 + 2);
}

TEST_F(BucketTest, RefusesAFloodWithoutAskingRedis) {
  Bucket bucket(client());
  BucketLimit limit{1, 1};
  EXPECT_TRUE(Run(bucket.Take("tenant:a", limit)).allowed);
  int64_t before = Evals();
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(Run(bucket.Take("tenant:a", limit)).allowed);
  EXPECT_LE(Evals() - before, 3);
}

TEST_F(BucketTest, LimitsAloneWithoutRedis) {
  Bucket bucket(client());
  crm::testing::Servers::Get().KillRedis();
  BucketLimit limit{50, 20};
  auto begin = steady_clock::now();
  int allowed = 0;
  while (steady_clock::now() - begin < milliseconds(1000)) allowed += Run(bucket.Take("tenant:a", limit)).allowed;
  double seconds = std::chrono::duration<double>(steady_clock::now() - begin).count();
  EXPECT_GE(allowed, 20 + 50 * 0.8);
  EXPECT_LE(allowed, 20 + 50 * seconds + 1);
  crm::testing::Servers::Get().StartRedis();
  UntilAnswered();
  loop_.RunFor(Bucket::kLocalAfterError + milliseconds(100));
  int64_t before = Evals();
  for (int i = 0; i < 20; ++i) Run(bucket.Take("tenant:c", limit));
  EXPECT_GT(Evals(), before) << "the shared bucket is used again";
}

TEST_F(BucketTest, ZeroMeansNoLimit) {
  Bucket bucket(client());
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(Run(bucket.Take("tenant:a", {0, 0})).allowed);
}

}  // namespace
}  // namespace crm::redis
