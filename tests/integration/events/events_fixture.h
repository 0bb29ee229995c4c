// What the tests of common/events share: a service that makes events ("maker"), one that hears them ("hearer") and
// keeps what it heard in a table without any key, so that whatever comes twice or out of order stays visible.
#pragma once

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/events/event_log.h"
#include "common/events/loop.h"
#include "common/events/relay.h"
#include "common/events/subscription.h"
#include "common/redis/client.h"
#include "tests/testing/run.h"
#include "tests/testing/servers.h"

namespace crm::events {

using crm::testing::Servers;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Reads the maker's EventLog without a wire between, and can be cut off.
class DirectSource final : public Source {
 public:
  struct State {
    bool away = false;
    bool heads_empty = false;  // ListHeads answers nothing
    int events_asked = 0;
    int heads_asked = 0;
  };
  DirectSource(EventLog& log, std::shared_ptr<State> state) : log_(log), state_(std::move(state)) {}
  Async<v1::ListEventsResponse> ListEvents(const Call& call, const v1::ListEventsRequest& request) override {
    ++state_->events_asked;
    if (state_->away) co_return absl::UnavailableError("the maker is away");
    Call own = call;
    co_return co_await log_.ListEvents(own, request);
  }
  Async<v1::ListHeadsResponse> ListHeads(const Call& call, const v1::ListHeadsRequest& request) override {
    ++state_->heads_asked;
    if (state_->away) co_return absl::UnavailableError("the maker is away");
    if (state_->heads_empty) co_return v1::ListHeadsResponse();
    Call own = call;
    co_return co_await log_.ListHeads(own, request);
  }

 private:
  EventLog& log_;
  std::shared_ptr<State> state_;
};

// The databases and Redis of both services, on one loop.
struct Machine {
  explicit Machine(const asio::any_io_executor& executor, const pg::DbOptions& maker_options,
                   const pg::DbOptions& maker_worker_options, const pg::DbOptions& hearer_options,
                   const pg::DbOptions& hearer_worker_options, int redis_port)
      : maker(maker_options, {executor}),
        maker_worker(maker_worker_options, {executor}),
        hearer(hearer_options, {executor}),
        hearer_worker(hearer_worker_options, {executor}),
        redis(RedisOptions(redis_port), {executor}),
        log(maker, maker_worker, {}) {}

  explicit Machine(const asio::any_io_executor& executor)
      : Machine(executor, Servers::Get().Db("maker"), Servers::Get().Db("maker", "maker_worker"),
                Servers::Get().Db("hearer"), Servers::Get().Db("hearer", "hearer_worker"),
                Servers::Get().redis_port()) {}

  static redis::Options RedisOptions(int port) {
    redis::Options options;
    options.port = port;
    return options;
  }

  std::unique_ptr<Relay> MakeRelay(const std::string& holder = "") {
    RelayOptions options;
    options.service = "maker";
    options.holder = holder;
    return std::make_unique<Relay>(maker_worker, redis, options);
  }
  static ConsumerOptions Options() {
    ConsumerOptions options;
    options.service = "hearer";
    options.producer = "maker";
    options.heads_every = milliseconds(1000);
    options.lease = milliseconds(1500);
    options.retry_min = milliseconds(5);
    return options;
  }
  std::unique_ptr<Subscription> MakeSubscription(std::shared_ptr<DirectSource::State> state,
                                                 ConsumerOptions options = Options()) {
    return MakeConsumer(hearer, hearer_worker, redis, std::make_unique<DirectSource>(log, std::move(state)),
                        std::move(options));
  }

  pg::Db maker, maker_worker, hearer, hearer_worker;
  redis::Client redis;
  EventLog log;
};

inline const pg::Statement kNote{"test.note", "INSERT INTO effect (tenant_id, record_id, value) VALUES ($1, $2, $3)"};

inline pg::Batch OneEvent(const Call& call, std::string record, int64_t value) {
  pg::Batch batch(call);
  google::protobuf::Int64Value payload;
  payload.set_value(value);
  pg::NewEvent event;
  event.type = "thing.counted";
  event.record_id = std::move(record);
  batch.Emit(event, payload);
  return batch;
}

// Writes one event of the maker's.
inline Async<> EmitOne(pg::Db& db, Uuid tenant, std::string record, int64_t value) {
  Call call = crm::testing::TestCall(tenant);
  absl::StatusOr<std::vector<pg::Rows>> written = co_await db.Write(call, OneEvent(call, std::move(record), value));
  co_return written.status();
}

inline Async<> EmitMany(pg::Db& db, Uuid tenant, std::string record, int64_t first, int64_t count, Relay* relay) {
  for (int64_t value = first; value < first + count; ++value) {
    CRM_CO_TRY(co_await EmitOne(db, tenant, record, value));
    if (relay != nullptr) relay->Poke(tenant);
  }
  co_return absl::OkStatus();
}

// Notes each event.
inline void NoteAll(Consumer& consumer) {
  consumer.On<google::protobuf::Int64Value>(
      [](const Heard& heard, const google::protobuf::Int64Value& payload, pg::Batch& batch) -> Async<> {
        batch.Add(kNote, pg::Params().Id(heard.call.tenant()).Text(heard.event.record_id()).Int(payload.value()));
        co_return absl::OkStatus();
      });
}

class EventsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CRM_NEED_SERVERS("maker", "hearer");
    Servers& servers = Servers::Get();
    servers.StartPostgres();
    servers.StartRedis();
    servers.Sql(
        "CREATE TABLE IF NOT EXISTS hearer.effect (id bigint GENERATED ALWAYS AS IDENTITY, tenant_id uuid, record_id "
        "text, "
        "value bigint); GRANT ALL ON hearer.effect TO hearer");
    servers.Clear("maker");
    servers.Clear("hearer");
    machine_ = std::make_unique<Machine>(loop_.executor());
    ASSERT_TRUE(loop_.Run(machine_->redis.Command("FLUSHALL")).ok());
  }

  void TearDown() override { StopAll(); }

  // Runs it on the loop until StopAll.
  Relay& Start(std::unique_ptr<Relay> relay) {
    ++running_;
    asio::co_spawn(loop_.executor(), relay->Run(), [this](std::exception_ptr, absl::Status) { --running_; });
    relays_.push_back(std::move(relay));
    return *relays_.back();
  }
  Subscription& Start(std::unique_ptr<Subscription> subscription) {
    ++running_;
    asio::co_spawn(loop_.executor(), subscription->Run(), [this](std::exception_ptr, absl::Status) { --running_; });
    subscriptions_.push_back(std::move(subscription));
    return *subscriptions_.back();
  }
  Subscription& StartNoting(ConsumerOptions options = Machine::Options()) {
    auto subscription = machine_->MakeSubscription(source_, std::move(options));
    NoteAll(*subscription);
    return Start(std::move(subscription));
  }
  void StopAll() {
    for (auto& relay : relays_) relay->Stop();
    for (auto& subscription : subscriptions_) subscription->Stop();
    loop_.Until([&] { return running_ == 0; });
    relays_.clear();
    subscriptions_.clear();
  }

  Async<> Emit(Uuid tenant, std::string record, int64_t value) {
    return EmitOne(machine_->maker, tenant, std::move(record), value);
  }
  // Emits values first .. first + count - 1.
  void Emit(Uuid tenant, const std::string& record, int64_t first, int64_t count, Relay* relay = nullptr) {
    ASSERT_TRUE(loop_.Run(EmitMany(machine_->maker, tenant, record, first, count, relay)).ok());
  }

  static std::string Id(const Uuid& tenant) { return absl::StrCat("'", tenant.ToString(), "'"); }
  static int64_t Number(const std::string& sql) {
    int64_t number = 0;
    EXPECT_TRUE(absl::SimpleAtoi(Servers::Get().Value(sql), &number)) << sql;
    return number;
  }
  // The values noted for a tenant, in the order in which they were noted.
  static std::vector<int64_t> Noted(const Uuid& tenant, const std::string& record = "") {
    std::vector<int64_t> values;
    std::string where = record.empty() ? "" : absl::StrCat(" AND record_id = '", record, "'");
    for (const auto& row : Servers::Get().Sql(
             absl::StrCat("SELECT value FROM hearer.effect WHERE tenant_id = ", Id(tenant), where, " ORDER BY id"))) {
      int64_t value = -1;
      EXPECT_TRUE(absl::SimpleAtoi(row[0], &value));
      values.push_back(value);
    }
    return values;
  }
  static std::vector<int64_t> Range(int64_t first, int64_t count) {
    std::vector<int64_t> values;
    for (int64_t value = first; value < first + count; ++value) values.push_back(value);
    return values;
  }
  static int64_t Position(const Uuid& tenant) {
    return Number(absl::StrCat("SELECT coalesce(max(seq), 0) FROM hearer.position WHERE tenant_id = ", Id(tenant)));
  }
  static int64_t Unnumbered() { return Number("SELECT count(*) FROM maker.outbox WHERE seq IS NULL"); }

  // Waits without holding up the loop; the database is asked some 20 times a second.
  template <typename Condition>
  void Await(const std::string& what, Condition condition, milliseconds limit = milliseconds(30'000)) {
    auto end = steady_clock::now() + limit;
    while (!condition()) {
      ASSERT_LT(steady_clock::now(), end) << "waited in vain: " << what;
      loop_.RunFor(milliseconds(50));
    }
  }
  void AwaitPosition(const Uuid& tenant, int64_t seq, milliseconds limit = milliseconds(30'000)) {
    Await(
        absl::StrCat("position ", seq), [&] { return Position(tenant) >= seq; }, limit);
  }

  // Every event of the maker's has a number, and the numbers of each tenant are 1, 2, 3 ...
  static void ExpectDense() {
    EXPECT_EQ(Unnumbered(), 0);
    for (const auto& row : Servers::Get().Sql("SELECT o.tenant_id, count(*), min(o.seq), max(o.seq), count(DISTINCT "
                                              "o.seq), max(l.seq) FROM maker.outbox o "
                                              "LEFT JOIN maker.lane l USING (tenant_id) GROUP BY o.tenant_id")) {
      EXPECT_EQ(row[2], "1");
      EXPECT_EQ(row[3], row[1]) << "the largest number is not the count";
      EXPECT_EQ(row[4], row[1]) << "a number was given twice";
      EXPECT_EQ(row[5], row[1]) << "the lane's head";
    }
  }

  crm::testing::Loop loop_;
  std::unique_ptr<Machine> machine_;
  std::shared_ptr<DirectSource::State> source_ = std::make_shared<DirectSource::State>();
  std::vector<std::unique_ptr<Relay>> relays_;
  std::vector<std::unique_ptr<Subscription>> subscriptions_;
  int running_ = 0;
};

}  // namespace crm::events
