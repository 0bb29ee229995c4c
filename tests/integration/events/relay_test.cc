#include "common/events/relay.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <random>
#include <set>
#include <thread>

#include "common/events/wire.h"
#include "tests/integration/events/events_fixture.h"

namespace crm::events {
namespace {

class RelayTest : public EventsTest {
 protected:
  // Everything in Redis: tenant -> numbers in the order of the stream.
  std::map<Uuid, std::vector<uint64_t>> Published() {
    std::map<Uuid, std::vector<uint64_t>> seqs;
    for (int shard = 0; shard < kShards; ++shard) {
      redis::Reply entries = *loop_.Run(machine_->redis.Command("XRANGE", StreamName("maker", shard), "-", "+"));
      for (const redis::Reply& entry : entries.items) {
        auto key = KeyOf(entry.items[1].items[1].text);
        EXPECT_TRUE(key.ok()) << key.status();
        EXPECT_EQ(ShardOf(key->tenant), shard);
        seqs[key->tenant].push_back(key->seq);
      }
    }
    return seqs;
  }
};

TEST_F(RelayTest, NumbersAndPublishesWithinMoments) {
  Relay& relay = Start(machine_->MakeRelay());
  loop_.RunFor(milliseconds(300));
  Uuid tenant = crm::testing::NewTenant();
  auto begin = steady_clock::now();
  Emit(tenant, "thing_1", 1, 1, &relay);
  while (Published()[tenant].empty()) {
    ASSERT_LT(steady_clock::now() - begin, milliseconds(5000));
    loop_.RunFor(milliseconds(2));
  }
  auto took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin);
  std::printf("[ figure   ] poked event in Redis after %lld ms\n", static_cast<long long>(took.count()));
  EXPECT_LT(took, milliseconds(1500));

  // Nobody pokes: the relay looks by itself.
  Emit(tenant, "thing_1", 2, 1);
  Await(
      "the second", [&] { return Published()[tenant].size() == 2; }, milliseconds(5000));
  redis::Reply entries = *loop_.Run(machine_->redis.Command("XRANGE", StreamName("maker", ShardOf(tenant)), "-", "+"));
  v1::Event event;
  ASSERT_TRUE(event.ParseFromString(entries.items[1].items[1].items[1].text));
  EXPECT_EQ(event.seq(), 2u);
  EXPECT_EQ(event.tenant_id(), TypeId("tenant", tenant));
  EXPECT_EQ(event.type(), "thing.counted");
  google::protobuf::Int64Value payload;
  ASSERT_TRUE(event.payload().UnpackTo(&payload));
  EXPECT_EQ(payload.value(), 2);
}

TEST_F(RelayTest, NumbersWhatWasWrittenBeforeItRan) {
  std::vector<Uuid> tenants;
  for (int i = 0; i < 20; ++i) {
    tenants.push_back(crm::testing::NewTenant());
    Emit(tenants.back(), "thing_1", 1, 3);
  }
  Start(machine_->MakeRelay());
  Await("all numbered", [&] { return Unnumbered() == 0; });
  ExpectDense();
  Await("all published", [&] { return Published().size() == tenants.size(); });
  for (const auto& [tenant, seqs] : Published()) EXPECT_EQ(seqs, (std::vector<uint64_t>{1, 2, 3}));
}

// 16 writers on 3 tenants, two relays on threads of their own that are both poked for everything.
TEST_F(RelayTest, NumbersDenselyUnderConcurrentWritersAndTwoRelays) {
  constexpr int kWriters = 16, kEach = 60;
  struct Second {
    crm::testing::Loop loop;
    std::unique_ptr<Machine> machine;
    std::unique_ptr<Relay> relay;
    bool ended = false;
  };
  Second other;
  other.machine = std::make_unique<Machine>(other.loop.executor());
  other.relay = other.machine->MakeRelay("second");
  std::thread thread([&] {
    asio::co_spawn(other.loop.executor(), other.relay->Run(),
                   [&](std::exception_ptr, absl::Status) { other.ended = true; });
    other.loop.Until([&] { return other.ended; }, std::chrono::seconds(120));
  });
  Relay& relay = Start(machine_->MakeRelay("first"));

  std::vector<Uuid> tenants = {crm::testing::NewTenant(), crm::testing::NewTenant(), crm::testing::NewTenant()};
  std::vector<asio::awaitable<absl::Status>> writers;
  auto write = [](pg::Db& db, Uuid tenant, std::string record, Relay* first, Relay* second) -> Async<> {
    for (int i = 1; i <= kEach; ++i) {
      CRM_CO_TRY(co_await EmitOne(db, tenant, record, i));
      first->Poke(tenant);
      second->Poke(tenant);
    }
    co_return absl::OkStatus();
  };
  for (int i = 0; i < kWriters; ++i) {
    writers.push_back(write(machine_->maker, tenants[static_cast<size_t>(i) % tenants.size()],
                            absl::StrCat("thing_", i), &relay, other.relay.get()));
  }
  for (const absl::Status& status : loop_.RunAll(std::move(writers))) EXPECT_TRUE(status.ok()) << status;
  Await("all numbered", [&] { return Unnumbered() == 0; });
  other.relay->Stop();
  thread.join();

  EXPECT_EQ(Number("SELECT count(*) FROM maker.outbox"), kWriters * kEach);
  ExpectDense();
  // Each writer waited for its commits, so its events must be numbered in its order.
  EXPECT_EQ(
      Number("SELECT count(*) FROM (SELECT seq - lag(seq) OVER (PARTITION BY tenant_id, record_id ORDER BY id) AS step "
             "FROM maker.outbox) s WHERE step <= 0"),
      0);
  std::map<Uuid, std::vector<uint64_t>> published = Published();
  for (const Uuid& tenant : tenants) {
    std::set<uint64_t> seqs(published[tenant].begin(), published[tenant].end());
    int64_t head = Number(absl::StrCat("SELECT seq FROM maker.lane WHERE tenant_id = ", Id(tenant)));
    EXPECT_EQ(static_cast<int64_t>(seqs.size()), head) << "not every event was published";
  }
}

// A transaction that takes its id early and commits late, while others' events are numbered past it: the next event of its record
// must not be numbered before it, though a run begins to look where the last ones ended.
TEST_F(RelayTest, NumbersARecordsEventsInOrderHoweverLateTheyCommit) {
  Relay& relay = Start(machine_->MakeRelay());
  Uuid tenant = crm::testing::NewTenant();
  Emit(tenant, "thing_other", 0, 1, &relay);
  Await("a lane", [&] { return Unnumbered() == 0; });
  for (int64_t round = 0; round < 5; ++round) {
    bool written = false, ending = false, ended = false;
    const Call call = crm::testing::TestCall(tenant);
    asio::co_spawn(
        loop_.executor(),
        machine_->maker.Transact(call,
                                 [&](pg::Transaction& transaction) -> Async<> {
                                   CRM_CO_TRY(co_await transaction.Run(OneEvent(call, "thing_late", 2 * round)));
                                   written = true;
                                   asio::steady_timer pause(co_await asio::this_coro::executor);
                                   while (!ending) {
                                     pause.expires_after(milliseconds(1));
                                     co_await pause.async_wait(asio::use_awaitable);
                                   }
                                   co_return absl::OkStatus();
                                 }),
        [&](std::exception_ptr, absl::Status status) {
          EXPECT_TRUE(status.ok()) << status;
          ended = true;
        });
    loop_.Until([&] { return written; });
    for (int run = 0; run < 5; ++run) {
      const int64_t head = Number(absl::StrCat("SELECT seq FROM maker.lane WHERE tenant_id = ", Id(tenant)));
      Emit(tenant, "thing_other", 100 * round + run, 1, &relay);
      Await("numbered",
            [&] { return Number(absl::StrCat("SELECT seq FROM maker.lane WHERE tenant_id = ", Id(tenant))) > head; });
    }
    ending = true;
    loop_.Until([&] { return ended; });
    Emit(tenant, "thing_late", 2 * round + 1, 1, &relay);
    Await("all numbered", [&] { return Unnumbered() == 0; });
  }
  ExpectDense();
  EXPECT_EQ(Number("SELECT count(*) FROM maker.outbox a JOIN maker.outbox b USING (tenant_id, record_id) "
                   "WHERE a.id < b.id AND a.seq > b.seq AND record_id = 'thing_late'"),
            0);
}

TEST_F(RelayTest, NumbersWhileRedisIsAway) {
  Relay& relay = Start(machine_->MakeRelay());
  Uuid tenant = crm::testing::NewTenant();
  Emit(tenant, "thing_1", 1, 5, &relay);
  Await("numbered", [&] { return Unnumbered() == 0; });
  Servers::Get().KillRedis();
  auto begin = steady_clock::now();
  Emit(tenant, "thing_1", 6, 20, &relay);
  Await(
      "numbered without Redis", [&] { return Unnumbered() == 0; }, milliseconds(3000));
  EXPECT_LT(steady_clock::now() - begin, milliseconds(4000));
  ExpectDense();
  Servers::Get().StartRedis();
  loop_.RunFor(milliseconds(2500));  // the longest backoff
  Emit(tenant, "thing_1", 26, 1, &relay);
  Await("published again", [&] {
    std::vector<uint64_t> seqs = Published()[tenant];
    return !seqs.empty() && seqs.back() == 26;
  });
}

TEST_F(RelayTest, NumbersDenselyThroughACrashOfPostgres) {
  Relay& relay = Start(machine_->MakeRelay());
  Uuid tenant = crm::testing::NewTenant();
  std::vector<int64_t> acknowledged;
  bool stop = false;
  int writers = 0;
  auto write = [](pg::Db& db, Uuid of, Relay* poked, int64_t first, bool* end, std::vector<int64_t>* done,
                  int* alive) -> asio::awaitable<void> {
    for (int64_t value = first; !*end; ++value) {
      if ((co_await EmitOne(db, of, absl::StrCat("thing_", first), value)).ok()) {
        done->push_back(value);
        poked->Poke(of);
      } else {
        asio::steady_timer pause(co_await asio::this_coro::executor, milliseconds(20));
        co_await pause.async_wait(asio::use_awaitable);
      }
    }
    --*alive;
  };
  for (int i = 0; i < 4; ++i) {
    ++writers;
    asio::co_spawn(loop_.executor(),
                   write(machine_->maker, tenant, &relay, i * 1'000'000, &stop, &acknowledged, &writers),
                   asio::detached);
  }
  loop_.RunFor(milliseconds(500));
  Servers::Get().KillPostgres();
  loop_.RunFor(milliseconds(100));
  Servers::Get().StartPostgres();
  size_t before = acknowledged.size();
  auto end = steady_clock::now() + milliseconds(20'000);
  while (acknowledged.size() < before + 50 && steady_clock::now() < end) loop_.RunFor(milliseconds(50));
  stop = true;
  loop_.Until([&] { return writers == 0; });
  EXPECT_GE(acknowledged.size(), before + 50);
  Await("numbered", [&] { return Unnumbered() == 0; });
  ExpectDense();
  EXPECT_GE(Number("SELECT count(*) FROM maker.outbox"), static_cast<int64_t>(acknowledged.size()));
}

TEST_F(RelayTest, EndsWhenItsCoroutineIsCancelled) {
  auto relay = machine_->MakeRelay();
  asio::cancellation_signal cancel;
  bool ended = false;
  asio::co_spawn(loop_.executor(), relay->Run(),
                 asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr error, absl::Status status) {
                   EXPECT_FALSE(error);
                   EXPECT_TRUE(status.ok());
                   ended = true;
                 }));
  loop_.RunFor(milliseconds(200));
  EXPECT_FALSE(ended);
  EXPECT_EQ(Number("SELECT count(*) FROM maker.bucket_lease"), 1);
  cancel.emit(asio::cancellation_type::terminal);
  loop_.Until([&] { return ended; });
  EXPECT_EQ(Number("SELECT count(*) FROM maker.bucket_lease"), 0) << "the share is given up";
}

}  // namespace
}  // namespace crm::events
