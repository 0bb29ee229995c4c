#include "common/events/tail.h"

#include "tests/integration/events/events_fixture.h"

namespace crm::events {
namespace {

class TailTest : public EventsTest {
 protected:
  void SetUp() override {
    EventsTest::SetUp();
    if (IsSkipped()) return;
    tail_ = std::make_unique<Tail>(machine_->redis, TailOptions{{"maker", "other"}, std::nullopt});
    ++running_;
    asio::co_spawn(loop_.executor(),
                   tail_->Run(
                       [this](const std::string& service, std::string event) {
                         v1::Event parsed;
                         EXPECT_TRUE(parsed.ParseFromString(event));
                         heard_.emplace_back(service, parsed.seq());
                       },
                       [this] { ++gaps_; }),
                   [this](std::exception_ptr, absl::Status) { --running_; });
    loop_.Until([&] { return gaps_ == 1; });
  }
  void TearDown() override {
    if (tail_) tail_->Stop();
    EventsTest::TearDown();
  }
  void Publish(const std::string& service, const Uuid& tenant, uint64_t seq) {
    v1::Event event;
    event.set_tenant_id(TypeId("tenant", tenant));
    auto added = loop_.Run(machine_->redis.Command("XADD", StreamName(service, ShardOf(tenant)), "*", "e",
                                                   WithSeq(event.SerializeAsString(), seq)));
    ASSERT_TRUE(added.ok()) << added.status();
  }

  std::unique_ptr<Tail> tail_;
  std::vector<std::pair<std::string, uint64_t>> heard_;
  int gaps_ = 0;
};

TEST_F(TailTest, HearsAllServicesAndShards) {
  Uuid tenant;
  for (int i = 0; i < 32; ++i) {
    tenant.bytes[15] = static_cast<uint8_t>(i * 7);
    Publish(i % 2 ? "maker" : "other", tenant, static_cast<uint64_t>(i + 1));
  }
  loop_.Until([&] { return heard_.size() == 32; });
  std::sort(heard_.begin(), heard_.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  for (size_t i = 0; i < 32; ++i) {
    EXPECT_EQ(heard_[i].first, i % 2 ? "maker" : "other");
    EXPECT_EQ(heard_[i].second, i + 1);
  }
  EXPECT_EQ(gaps_, 1);
}

TEST_F(TailTest, TellsOfAGapWhenRedisHasBeenAway) {
  Uuid tenant = crm::testing::NewTenant();
  Publish("maker", tenant, 1);
  loop_.Until([&] { return heard_.size() == 1; });
  EXPECT_TRUE(tail_->listening());
  Servers::Get().KillRedis();
  loop_.Until([&] { return !tail_->listening(); });
  EXPECT_EQ(gaps_, 1) << "a gap is told when it can be filled";
  Servers::Get().StartRedis();
  loop_.Until([&] { return gaps_ == 2; });
  loop_.Until([&] { return loop_.Run(machine_->redis.Ping()).ok(); });
  Publish("maker", tenant, 2);
  loop_.Until([&] { return heard_.size() == 2; });
  EXPECT_EQ(heard_[1].second, 2u);
}

TEST_F(TailTest, ChangesItsShards) {
  Uuid tenant;
  tenant.bytes[15] = 5;
  tail_->SetShards({5});
  loop_.Until([&] { return gaps_ == 2; });
  Publish("maker", tenant, 1);
  tenant.bytes[15] = 6;
  Publish("maker", tenant, 2);
  tenant.bytes[15] = 21;
  Publish("other", tenant, 3);
  loop_.Until([&] { return heard_.size() == 2; });
  loop_.RunFor(milliseconds(100));
  EXPECT_EQ(heard_.size(), 2u);
  tail_->SetShards({});
  loop_.RunFor(milliseconds(100));
  Publish("maker", tenant, 4);
  loop_.RunFor(milliseconds(100));
  EXPECT_EQ(heard_.size(), 2u);
  tail_->SetShards({5, 6});
  loop_.Until([&] { return gaps_ == 3; });
  Publish("maker", tenant, 5);
  loop_.Until([&] { return heard_.size() == 3; });
}

}  // namespace
}  // namespace crm::events
