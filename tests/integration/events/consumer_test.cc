#include <random>
#include <set>

#include "common/base/error.h"
#include "common/events/wire.h"
#include "tests/integration/events/events_fixture.h"

namespace crm::events {
namespace {

class ConsumerTest : public EventsTest {
 protected:
  // Lets the relay number and publish, then stops it.
  void NumberAll() {
    Start(machine_->MakeRelay());
    Await("numbered", [&] { return Unnumbered() == 0; });
    loop_.RunFor(milliseconds(50));
    StopAll();
  }
  // What lies in Redis for the tenant, in order.
  std::vector<std::string> Entries(const Uuid& tenant) {
    std::vector<std::string> bodies;
    redis::Reply entries =
        *loop_.Run(machine_->redis.Command("XRANGE", StreamName("maker", ShardOf(tenant)), "-", "+"));
    for (const redis::Reply& entry : entries.items) {
      if (KeyOf(entry.items[1].items[1].text)->tenant == tenant) bodies.push_back(entry.items[1].items[1].text);
    }
    return bodies;
  }
  void Publish(const Uuid& tenant, const std::string& body) {
    ASSERT_TRUE(loop_.Run(machine_->redis.Command("XADD", StreamName("maker", ShardOf(tenant)), "*", "e", body)).ok());
  }
  Async<v1::ListDeadLettersResponse> Letters(EventLog& log, const Uuid& tenant, int size = 0, std::string token = "") {
    Call call = crm::testing::TestCall(tenant);
    v1::ListDeadLettersRequest request;
    request.set_page_size(size);
    request.set_page_token(token);
    co_return co_await log.ListDeadLetters(call, request);
  }
  Async<v1::DeadLetter> Replay(EventLog& log, const Uuid& tenant, std::string id, milliseconds time = milliseconds(0)) {
    Call call = crm::testing::TestCall(tenant);
    if (time.count() > 0) call.deadline = std::chrono::steady_clock::now() + time;
    v1::ReplayDeadLetterRequest request;
    request.set_id(id);
    co_return co_await log.ReplayDeadLetter(call, request);
  }
};

TEST_F(ConsumerTest, AppliesEachEventOnceAndInOrder) {
  Relay& relay = Start(machine_->MakeRelay());
  Subscription& subscription = StartNoting();
  std::vector<int64_t> announced;
  subscription.AfterCommit([&](const v1::Event& event) { announced.push_back(static_cast<int64_t>(event.seq())); });
  Uuid first = crm::testing::NewTenant(), second = crm::testing::NewTenant();
  Emit(first, "thing_1", 1, 100, &relay);
  Emit(second, "thing_1", 1, 50, &relay);
  AwaitPosition(first, 100);
  AwaitPosition(second, 50);
  EXPECT_EQ(Noted(first), Range(1, 100));
  EXPECT_EQ(Noted(second), Range(1, 50));
  loop_.Until([&] { return announced.size() >= 150; });  // told a moment after the commit that the position shows
  EXPECT_EQ(announced.size(), 150u);
  EXPECT_EQ(Number("SELECT count(*) FROM hearer.event_attempt"), 0);

  // One event on its way from commit to effect.
  std::vector<double> times;
  for (int i = 0; i < 20; ++i) {
    auto begin = steady_clock::now();
    size_t before = announced.size();
    Emit(first, "thing_1", 101 + i, 1, &relay);
    loop_.Until([&] { return announced.size() > before; });
    times.push_back(std::chrono::duration<double, std::milli>(steady_clock::now() - begin).count());
  }
  std::sort(times.begin(), times.end());
  std::printf("[ figure   ] from writing an event to its committed effect: median %.1f ms, worst %.1f ms\n", times[10],
              times[19]);
  EXPECT_LT(times[10], 1000) << "events must come by Redis, not by the heads check";
}

TEST_F(ConsumerTest, StartsFromTheBeginningAtTheProducer) {
  Uuid tenant = crm::testing::NewTenant();
  Emit(tenant, "thing_1", 1, 700);  // more than one page
  NumberAll();
  ASSERT_TRUE(loop_.Run(machine_->redis.Command("FLUSHALL")).ok());
  StartNoting();
  AwaitPosition(tenant, 700);
  EXPECT_EQ(Noted(tenant), Range(1, 700));
}

// What Redis brings may come twice, late, in any order, or not at all.
TEST_F(ConsumerTest, SortsDuplicateShuffledAndMissingDeliveries) {
  Uuid tenant = crm::testing::NewTenant();
  Emit(tenant, "thing_1", 1, 200);
  NumberAll();
  std::vector<std::string> entries = Entries(tenant);
  ASSERT_EQ(entries.size(), 200u);
  ASSERT_TRUE(loop_.Run(machine_->redis.Command("FLUSHALL")).ok());
  source_->heads_empty = true;  // so that only the stream says anything
  StartNoting();
  Await("the consumer listens", [&] { return source_->heads_asked > 1; });

  std::mt19937 random(20261123);
  std::vector<std::string> deliveries;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i % 10 == 4 && i < 190) continue;  // lost
    deliveries.push_back(entries[i]);
    if (i % 3 == 0) deliveries.push_back(entries[i]);
  }
  for (size_t begin = 0; begin < deliveries.size(); begin += 40) {
    std::shuffle(deliveries.begin() + static_cast<long>(begin),
                 deliveries.begin() + static_cast<long>(std::min(begin + 40, deliveries.size())), random);
  }
  for (const std::string& body : deliveries) Publish(tenant, body);
  AwaitPosition(tenant, 200);
  for (int i = 0; i < 50; ++i) Publish(tenant, entries[static_cast<size_t>(i) * 3]);  // long seen
  loop_.RunFor(milliseconds(300));
  EXPECT_EQ(Noted(tenant), Range(1, 200));
  EXPECT_GT(source_->events_asked, 0) << "the lost ones can only come from the producer";
}

TEST_F(ConsumerTest, FindsALostTailByTheHeads) {
  Uuid tenant = crm::testing::NewTenant();
  Relay& relay = Start(machine_->MakeRelay());
  StartNoting();
  Emit(tenant, "thing_1", 1, 3, &relay);
  AwaitPosition(tenant, 3);
  // Numbered without being published, and nothing comes after them.
  Servers::Get().Sql(absl::StrCat(
      "BEGIN; UPDATE maker.lane SET seq = 5 WHERE tenant_id = ", Id(tenant),
      "; INSERT INTO maker.outbox (tenant_id, bucket, seq, type, record_id, event) SELECT tenant_id, bucket, n, type, "
      "record_id, event FROM maker.outbox, generate_series(4, 5) n WHERE tenant_id = ",
      Id(tenant), " AND seq = 1; COMMIT"));
  AwaitPosition(tenant, 5, milliseconds(5000));
  EXPECT_EQ(Noted(tenant), (std::vector<int64_t>{1, 2, 3, 1, 1}));
}

TEST_F(ConsumerTest, LosesNothingWhenRedisIsEmptiedOrDies) {
  Relay& relay = Start(machine_->MakeRelay());
  StartNoting();
  std::vector<Uuid> tenants;
  for (int i = 0; i < 5; ++i) tenants.push_back(crm::testing::NewTenant());
  int64_t next = 1;
  auto write = [&](int64_t count) {
    for (const Uuid& tenant : tenants) Emit(tenant, "thing_1", next, count, &relay);
    next += count;
  };
  write(20);
  ASSERT_TRUE(loop_.Run(machine_->redis.Command("FLUSHALL")).ok());
  write(20);
  ASSERT_TRUE(loop_.Run(machine_->redis.Command("FLUSHALL")).ok());
  Servers::Get().KillRedis();
  write(20);
  for (const Uuid& tenant : tenants) AwaitPosition(tenant, next - 1, milliseconds(8000));  // without Redis
  Servers::Get().StartRedis();
  write(20);
  loop_.RunFor(milliseconds(500));
  Servers::Get().KillRedis();
  write(20);
  Servers::Get().StartRedis();
  write(20);
  for (const Uuid& tenant : tenants) AwaitPosition(tenant, next - 1);
  for (const Uuid& tenant : tenants) EXPECT_EQ(Noted(tenant), Range(1, next - 1));
  ExpectDense();
}

TEST_F(ConsumerTest, WaitsForItsProducerAndGoesOn) {
  Uuid tenant = crm::testing::NewTenant();
  Emit(tenant, "thing_1", 1, 30);
  NumberAll();
  ASSERT_TRUE(loop_.Run(machine_->redis.Command("FLUSHALL")).ok());
  source_->away = true;
  StartNoting();
  loop_.RunFor(milliseconds(1500));
  EXPECT_EQ(Position(tenant), 0);
  source_->away = false;
  AwaitPosition(tenant, 30, milliseconds(8000));
  EXPECT_EQ(Noted(tenant), Range(1, 30));
}

TEST_F(ConsumerTest, GoesOnAfterACrashOfPostgres) {
  Relay& relay = Start(machine_->MakeRelay());
  StartNoting();
  Uuid tenant = crm::testing::NewTenant();
  Emit(tenant, "thing_1", 1, 50, &relay);
  loop_.RunFor(milliseconds(20));
  Servers::Get().KillPostgres();
  loop_.RunFor(milliseconds(300));
  Servers::Get().StartPostgres();
  loop_.RunFor(milliseconds(500));
  int64_t next = 51;
  while (next <= 80) {
    if (loop_.Run(Emit(tenant, "thing_1", next)).ok()) ++next;
  }
  // A write whose answer was lost may have been done; so at least these, in order, each number applied once.
  AwaitPosition(tenant, 80);
  int64_t head = Number(absl::StrCat("SELECT seq FROM maker.lane WHERE tenant_id = ", Id(tenant)));
  AwaitPosition(tenant, head);
  std::vector<int64_t> noted = Noted(tenant);
  EXPECT_EQ(static_cast<int64_t>(noted.size()), head);
  EXPECT_TRUE(std::is_sorted(noted.begin(), noted.end()));
  EXPECT_EQ(std::set<int64_t>(noted.begin(), noted.end()).size(), 80u);
  EXPECT_EQ(Number("SELECT count(*) FROM hearer.dead_letter"), 0) << "an outage is no event's fault";
}

// Effects are committed without waiting for the disk: a crash takes the newest of them, and no event comes after it that
// would show the gap.
TEST_F(ConsumerTest, RepeatsWhatACrashOfPostgresForgot) {
  Relay& relay = Start(machine_->MakeRelay());
  StartNoting();
  Uuid tenant = crm::testing::NewTenant();
  Emit(tenant, "thing_1", 1, 20, &relay);
  AwaitPosition(tenant, 20);
  Servers::Get().Sql(absl::StrCat("UPDATE hearer.position SET seq = 15 WHERE tenant_id = ", Id(tenant)));
  Servers::Get().Sql(absl::StrCat("DELETE FROM hearer.effect WHERE tenant_id = ", Id(tenant), " AND value > 15"));
  Servers::Get().KillPostgres();
  loop_.RunFor(milliseconds(300));
  Servers::Get().StartPostgres();
  AwaitPosition(tenant, 20);
  EXPECT_EQ(Noted(tenant), Range(1, 20));
}

// An effect that reads what earlier effects wrote, in the middle of a long catch-up that is otherwise grouped.
TEST_F(ConsumerTest, LetsAnEffectReadWhatEarlierOnesWrote) {
  Uuid tenant = crm::testing::NewTenant();
  for (int round = 0; round < 20; ++round) {
    Emit(tenant, "thing_1", 1, 9);
    Emit(tenant, "sum", 0, 1);
  }
  NumberAll();
  static const pg::Statement kSum{"test.sum",
                                  "SELECT coalesce(sum(value), 0)::bigint FROM effect WHERE tenant_id = $1"};
  auto subscription = machine_->MakeSubscription(source_);
  pg::Db& db = machine_->hearer;
  subscription->On<google::protobuf::Int64Value>(
      [&db](const Heard& heard, const google::protobuf::Int64Value& payload, pg::Batch& batch) -> Async<> {
        int64_t value = payload.value();
        if (heard.event.record_id() == "sum") {
          CRM_CO_TRY(pg::Rows rows, co_await db.Read(heard.call, kSum, pg::Params().Id(heard.call.tenant())));
          value = rows.Int(0, 0);
        }
        batch.Add(kNote, pg::Params().Id(heard.call.tenant()).Text(heard.event.record_id()).Int(value));
        co_return absl::OkStatus();
      });
  Start(std::move(subscription));
  AwaitPosition(tenant, 200);
  std::vector<int64_t> expected;
  int64_t total = 0;
  for (int round = 0; round < 20; ++round) {
    total += 45;
    expected.push_back(total);
    total += total;
  }
  EXPECT_EQ(Noted(tenant, "sum"), expected);
}

// The handler of one record fails until it is mended.
TEST_F(ConsumerTest, PutsPoisonAsideParksItsRecordAndReplays) {
  bool poisoned = true, slow = false;
  int tries = 0;
  auto subscription = machine_->MakeSubscription(source_);
  subscription->On<google::protobuf::Int64Value>(
      [&](const Heard& heard, const google::protobuf::Int64Value& payload, pg::Batch& batch) -> Async<> {
        if (heard.event.record_id() == "thing_bad" && payload.value() == 13) {
          ++tries;
          if (poisoned) co_return absl::InternalError("thirteen cannot be counted");
          if (slow) {
            asio::steady_timer timer(co_await asio::this_coro::executor, milliseconds(200));
            co_await timer.async_wait(asio::use_awaitable);
          }
        }
        batch.Add(kNote, pg::Params().Id(heard.call.tenant()).Text(heard.event.record_id()).Int(payload.value()));
        co_return absl::OkStatus();
      });
  std::vector<uint64_t> announced;
  subscription->AfterCommit([&](const v1::Event& event) { announced.push_back(event.seq()); });
  Subscription* running = subscription.get();
  EventLog log(machine_->hearer, machine_->hearer_worker, {running});
  Relay& relay = Start(machine_->MakeRelay());
  Start(std::move(subscription));

  Uuid tenant = crm::testing::NewTenant(), other = crm::testing::NewTenant();
  for (int value = 11; value <= 16; ++value) {
    Emit(tenant, "thing_bad", value, 1, &relay);   // 1, 3, 5 ...; the third is poison
    Emit(tenant, "thing_good", value, 1, &relay);  // 2, 4, 6 ...
  }
  Emit(other, "thing_bad", 14, 1, &relay);
  AwaitPosition(tenant, 12);
  AwaitPosition(other, 1);
  EXPECT_EQ(Noted(tenant, "thing_good"), Range(11, 6)) << "the lane goes on";
  EXPECT_EQ(Noted(tenant, "thing_bad"), Range(11, 2));
  EXPECT_EQ(Noted(other, "thing_bad"), Range(14, 1)) << "another tenant's record of the same name";
  EXPECT_GE(tries, 5);
  EXPECT_LE(tries, 6) << "once more, when it was first met within a group";
  EXPECT_EQ(Number("SELECT count(*) FROM hearer.event_attempt"), 0);
  EXPECT_EQ(std::count(announced.begin(), announced.end(), 5u), 0);

  auto letters = *loop_.Run(Letters(log, tenant));
  ASSERT_EQ(letters.dead_letters_size(), 4);
  EXPECT_EQ(letters.dead_letters(0).id(), "maker:5");
  EXPECT_EQ(letters.dead_letters(0).attempts(), 5);
  EXPECT_NE(letters.dead_letters(0).error().find("thirteen"), std::string::npos);
  EXPECT_EQ(letters.dead_letters(0).event().seq(), 5u);
  EXPECT_GT(letters.dead_letters(0).create_time().seconds(), 0);
  for (int i = 1; i < 4; ++i) {
    EXPECT_EQ(letters.dead_letters(i).id(), absl::StrCat("maker:", 5 + 2 * i));
    EXPECT_EQ(letters.dead_letters(i).attempts(), 0) << "parked, not tried";
  }
  EXPECT_EQ(loop_.Run(Letters(log, other))->dead_letters_size(), 0);

  // Pages.
  auto page = *loop_.Run(Letters(log, tenant, 3));
  ASSERT_EQ(page.dead_letters_size(), 3);
  auto rest = *loop_.Run(Letters(log, tenant, 3, page.next_page_token()));
  ASSERT_EQ(rest.dead_letters_size(), 1);
  EXPECT_EQ(rest.dead_letters(0).id(), "maker:11");
  EXPECT_EQ(rest.next_page_token(), "");
  EXPECT_EQ(loop_.Run(Letters(log, tenant, 3, "bogus")).status().code(), absl::StatusCode::kInvalidArgument);

  // Replays that are refused.
  EXPECT_EQ(loop_.Run(Replay(log, tenant, "maker:5")).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(loop_.Run(Letters(log, tenant))->dead_letters(0).attempts(), 6);
  EXPECT_EQ(loop_.Run(Replay(log, tenant, "maker:9")).status().code(), absl::StatusCode::kFailedPrecondition)
      << "an earlier letter of the record must go first";
  EXPECT_EQ(loop_.Run(Replay(log, tenant, "maker:4")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(loop_.Run(Replay(log, other, "maker:5")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(loop_.Run(Replay(log, tenant, "nobody:5")).status().code(), absl::StatusCode::kNotFound);
  for (const char* id :
       {"", "maker", "maker:", "maker:x", "maker:0", "maker:-1", "maker:99999999999999999999", "a:b:1"}) {
    EXPECT_EQ(loop_.Run(Replay(log, tenant, id)).status().code(), absl::StatusCode::kInvalidArgument) << id;
  }
  EXPECT_EQ(Noted(tenant, "thing_bad"), Range(11, 2));

  // Mended. Whoever asks with too little time is told so, and the letter is not blamed for it.
  poisoned = false;
  slow = true;
  EXPECT_EQ(loop_.Run(Replay(log, tenant, "maker:5", milliseconds(100))).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(loop_.Run(Letters(log, tenant))->dead_letters(0).attempts(), 6);
  slow = false;

  // The letter and those behind it, in order; later events flow again.
  auto replayed = loop_.Run(Replay(log, tenant, "maker:5"));
  ASSERT_TRUE(replayed.ok()) << replayed.status();
  EXPECT_EQ(replayed->id(), "maker:5");
  EXPECT_EQ(Noted(tenant, "thing_bad"), Range(11, 6));
  EXPECT_EQ(loop_.Run(Letters(log, tenant))->dead_letters_size(), 0);
  Emit(tenant, "thing_bad", 17, 1, &relay);
  AwaitPosition(tenant, 13);
  EXPECT_EQ(Noted(tenant, "thing_bad"), Range(11, 7));
  EXPECT_EQ(loop_.Run(Letters(log, tenant))->dead_letters_size(), 0);
  EXPECT_EQ(loop_.Run(Replay(log, tenant, "maker:5")).status().code(), absl::StatusCode::kNotFound);
}

// The effect's SQL fails at the commit, as part of a group of many.
TEST_F(ConsumerTest, FindsTheOneBadEventOfAGroup) {
  Uuid tenant = crm::testing::NewTenant();
  for (int i = 1; i <= 150; ++i) Emit(tenant, absl::StrCat("thing_", i), i, 1);
  NumberAll();
  static const pg::Statement kDivide{
      "test.divide",
      "INSERT INTO effect (tenant_id, record_id, value) VALUES ($1, $2, 1 / ($3::bigint - 77) + "
      "$3::bigint - 1 / ($3::bigint - 77))"};
  auto subscription = machine_->MakeSubscription(source_);
  subscription->On<google::protobuf::Int64Value>(
      [](const Heard& heard, const google::protobuf::Int64Value& payload, pg::Batch& batch) -> Async<> {
        batch.Add(kDivide, pg::Params().Id(heard.call.tenant()).Text(heard.event.record_id()).Int(payload.value()));
        co_return absl::OkStatus();
      });
  Start(std::move(subscription));
  AwaitPosition(tenant, 150);
  std::vector<int64_t> expected = Range(1, 150);
  expected.erase(expected.begin() + 76);
  EXPECT_EQ(Noted(tenant), expected);
  EXPECT_EQ(Servers::Get().Value("SELECT string_agg(seq::text, ',') FROM hearer.dead_letter"), "77");
}

TEST_F(ConsumerTest, SharesTenantsAmongReplicasAndTakesOver) {
  std::vector<Uuid> tenants;
  for (int i = 0; i < 24; ++i) {
    tenants.push_back(crm::testing::NewTenant());
    tenants.back().bytes[15] = static_cast<uint8_t>(i * 11);
  }
  Relay& relay = Start(machine_->MakeRelay());
  std::set<Uuid> by_first, by_second;
  auto listen = [](Subscription& subscription, std::set<Uuid>* tenants_of) {
    subscription.AfterCommit([tenants_of](const v1::Event& event) {
      tenants_of->insert(*ParseId(event.tenant_id(), "tenant", "tenant_id"));
    });
  };
  ConsumerOptions options = Machine::Options();
  options.holder = "first";
  Subscription& first = StartNoting(options);
  listen(first, &by_first);
  options.holder = "second";
  Subscription& second = StartNoting(options);
  listen(second, &by_second);
  loop_.RunFor(milliseconds(1200));  // both have renewed since they know of each other
  int64_t next = 1;
  auto write = [&] {
    for (const Uuid& tenant : tenants) Emit(tenant, "thing_1", next, 10, &relay);
    next += 10;
    for (const Uuid& tenant : tenants) AwaitPosition(tenant, next - 1);
  };
  write();
  EXPECT_GE(by_first.size(), 4u);
  EXPECT_GE(by_second.size(), 4u);
  EXPECT_EQ(by_first.size() + by_second.size(), tenants.size()) << "both worked on the same tenants";

  first.Stop();
  write();
  by_second.clear();
  write();
  EXPECT_EQ(by_second.size(), tenants.size());

  // One that died without a word holds its share until its lease ends.
  Servers::Get().Sql(
      "INSERT INTO hearer.bucket_lease (consumer, holder, until) VALUES ('maker', 'a dead one', now() + interval '2 "
      "s')");
  loop_.RunFor(milliseconds(700));
  write();
  for (const Uuid& tenant : tenants) EXPECT_EQ(Noted(tenant), Range(1, next - 1));
}

// Two replicas that both believe the tenant to be theirs.
TEST_F(ConsumerTest, AppliesOnceEvenIfTwoReplicasServeTheSameTenant) {
  auto lone = [&](const char* service) {
    ConsumerOptions options = Machine::Options();
    options.lease = milliseconds(60'000);
    options.holder = service;
    return options;
  };
  Relay& relay = Start(machine_->MakeRelay());
  StartNoting(lone("first"));
  loop_.RunFor(milliseconds(300));
  // The second does not see the first, and the first does not look again for 20 s.
  Servers::Get().Sql("DELETE FROM hearer.bucket_lease");
  StartNoting(lone("second"));
  loop_.RunFor(milliseconds(300));
  std::vector<Uuid> tenants;
  for (int i = 0; i < 4; ++i) tenants.push_back(crm::testing::NewTenant());
  for (int round = 0; round < 10; ++round) {
    for (const Uuid& tenant : tenants) Emit(tenant, "thing_1", 1 + round * 20, 20, &relay);
  }
  for (const Uuid& tenant : tenants) AwaitPosition(tenant, 200);
  for (const Uuid& tenant : tenants) EXPECT_EQ(Noted(tenant), Range(1, 200));
  EXPECT_EQ(Number("SELECT count(*) FROM hearer.dead_letter"), 0) << "a lost race is no event's fault";
}

TEST_F(ConsumerTest, MovesOnOverEventsThatNobodyHears) {
  Uuid tenant = crm::testing::NewTenant();
  Relay& relay = Start(machine_->MakeRelay());
  Start(machine_->MakeSubscription(source_));  // without any effect
  Emit(tenant, "thing_1", 1, 20, &relay);
  AwaitPosition(tenant, 20);
  EXPECT_TRUE(Noted(tenant).empty());
}

TEST_F(ConsumerTest, AnswersListsOfEventsAndHeads) {
  Uuid tenant = crm::testing::NewTenant(), other = crm::testing::NewTenant();
  Emit(tenant, "thing_1", 1, 30);
  Emit(other, "thing_1", 1, 2);
  NumberAll();
  auto list = [this](Uuid asking, Uuid of, uint64_t after, int limit) {
    Call call = OwnCall("hearer", "test", asking, milliseconds(5000));
    v1::ListEventsRequest request;
    request.set_tenant_id(TypeId("tenant", of));
    request.set_after_seq(after);
    request.set_limit(limit);
    auto run = [](EventLog& log, Call own, v1::ListEventsRequest asked) -> Async<v1::ListEventsResponse> {
      co_return co_await log.ListEvents(own, asked);
    };
    return loop_.Run(run(machine_->log, call, request));
  };
  auto all = list(tenant, tenant, 0, 0);
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->events_size(), 30);
  EXPECT_EQ(all->head_seq(), 30u);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(all->events(i).seq(), static_cast<uint64_t>(i + 1));
  auto some = list(Uuid{}, tenant, 10, 5);
  ASSERT_EQ(some->events_size(), 5);
  EXPECT_EQ(some->events(0).seq(), 11u);
  EXPECT_EQ(list(tenant, tenant, 30, 5)->events_size(), 0);
  EXPECT_EQ(list(tenant, other, 0, 5).status().code(), absl::StatusCode::kInvalidArgument);

  auto heads = [this](std::vector<int> buckets) {
    Call call = OwnCall("hearer", "test", Uuid{}, milliseconds(5000));
    v1::ListHeadsRequest request;
    for (int bucket : buckets) request.add_buckets(bucket);
    auto run = [](EventLog& log, Call own, v1::ListHeadsRequest asked) -> Async<v1::ListHeadsResponse> {
      co_return co_await log.ListHeads(own, asked);
    };
    return *loop_.Run(run(machine_->log, call, request));
  };
  EXPECT_EQ(heads({}).heads_size(), 2);
  v1::ListHeadsResponse of_bucket = heads({tenant.bucket()});
  ASSERT_GE(of_bucket.heads_size(), 1);
  EXPECT_EQ(heads({(tenant.bucket() + 1) % 256, (other.bucket() + 1) % 256}).heads_size(),
            (tenant.bucket() + 1) % 256 == other.bucket() || (other.bucket() + 1) % 256 == tenant.bucket() ? 1 : 0);
}

TEST_F(ConsumerTest, AReaderMayWaitForItsOwnWrite) {
  Uuid tenant = crm::testing::NewTenant();
  Call call = OwnCall("gateway", "test", Uuid{}, milliseconds(20'000));
  auto settle = [&](EventLog& log) {
    v1::SettleLaneRequest request;
    request.set_tenant_id(TypeId("tenant", tenant));
    auto run = [](EventLog& log, Call own, v1::SettleLaneRequest asked) -> Async<v1::SettleLaneResponse> {
      co_return co_await log.SettleLane(own, asked);
    };
    return *loop_.Run(run(log, call, request));
  };
  auto reached = [&](EventLog& log, const std::string& producer, uint64_t seq) {
    v1::AwaitPositionRequest request;
    request.set_tenant_id(TypeId("tenant", tenant));
    request.set_producer(producer);
    request.set_seq(seq);
    auto run = [](EventLog& log, Call own, v1::AwaitPositionRequest asked) -> Async<v1::AwaitPositionResponse> {
      co_return co_await log.AwaitPosition(own, asked);
    };
    return loop_.Run(run(log, call, request))->reached();
  };
  EXPECT_TRUE(settle(machine_->log).settled()) << "nothing was written";
  Emit(tenant, "thing_1", 1, 3);
  EXPECT_FALSE(settle(machine_->log).settled()) << "nobody numbers";
  Relay& relay = Start(machine_->MakeRelay());
  EventLog maker(machine_->maker, machine_->maker_worker, {}, [&](const Uuid& who) { relay.Poke(who); });
  v1::SettleLaneResponse lane = settle(maker);
  EXPECT_TRUE(lane.settled());
  EXPECT_EQ(lane.seq(), 3u);

  Subscription& heard = StartNoting();
  EventLog hearer(machine_->hearer, machine_->hearer_worker, {&heard});
  EXPECT_TRUE(reached(hearer, "maker", 3));
  EXPECT_EQ(Noted(tenant).size(), 3u) << "what is reached can be read";
  EXPECT_FALSE(reached(hearer, "maker", 4));
  EXPECT_TRUE(reached(hearer, "somebody_else", 9)) << "nothing to wait for";
}

TEST_F(ConsumerTest, CatchesUpQuickly) {
  constexpr int kEvents = 10'000;
  std::vector<Uuid> tenants;
  for (int i = 0; i < 4; ++i) tenants.push_back(crm::testing::NewTenant());
  std::vector<asio::awaitable<absl::Status>> writers;
  for (int i = 0; i < 16; ++i) {
    writers.push_back(EmitMany(machine_->maker, tenants[static_cast<size_t>(i % 4)], absl::StrCat("thing_", i), 1,
                               kEvents / 16, nullptr));
  }
  for (const absl::Status& status : loop_.RunAll(std::move(writers))) ASSERT_TRUE(status.ok()) << status;
  auto begin = steady_clock::now();
  auto seconds = [&] { return std::chrono::duration<double>(steady_clock::now() - begin).count(); };
  Start(machine_->MakeRelay());
  Await(
      "numbered", [&] { return Unnumbered() == 0; }, milliseconds(60'000));
  double numbering = seconds();
  loop_.RunFor(milliseconds(200));
  StopAll();
  ASSERT_TRUE(loop_.Run(machine_->redis.Command("FLUSHALL")).ok());
  int64_t announced = 0;
  begin = steady_clock::now();
  StartNoting().AfterCommit([&](const v1::Event&) { ++announced; });
  loop_.Until([&] { return announced == kEvents; });
  double applying = seconds();
  std::printf("[ figure   ] %d events of 4 tenants: numbered and published %.0f/s, fetched and applied %.0f/s\n",
              kEvents, kEvents / numbering, kEvents / applying);
  EXPECT_EQ(Number("SELECT count(*) FROM hearer.effect"), kEvents);
  EXPECT_LT(applying, 30);
}

}  // namespace
}  // namespace crm::events
