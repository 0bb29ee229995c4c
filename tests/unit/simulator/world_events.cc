// Events on their way: simulated handlers revise records and tell of it; relays number and publish; consumers note what they hear.
#include <absl/strings/numbers.h>

#include <stdexcept>

#include "common/base/error.h"
#include "tests/unit/simulator/world.h"

namespace crm::sim {

namespace {

constexpr int kMakers = 2, kHearers = 2;

const pg::Statement kRevise{"sim.revise", "UPDATE record SET revision = $4 WHERE ... revision = $3 RETURNING revision"};
const pg::Statement kRevision{"sim.revision", "SELECT revision FROM record WHERE ..."};
const pg::Statement kNote{"sim.note", "INSERT INTO effect (tenant_id, record_id, value) VALUES ($1, $2, $3)"};

// What is the matter with an event.
enum class Evil { kError, kThrow, kKill, kSlow, kAway };

struct RecordKey {
  Uuid tenant;
  std::string record;
  auto operator<=>(const RecordKey&) const = default;
};

class EventsWorld final : public World {
 public:
  EventsWorld(uint64_t seed, std::string planted) : World(seed), planted_(std::move(planted)) {}

 protected:
  void Begin() override;
  void Fill(Process& process) override;
  bool AtRest() override;
  asio::awaitable<void> AfterCalm() override;
  void Check() override;

 private:
  friend class SimSource;
  struct Maker {
    std::unique_ptr<events::EventLog> log;
    std::unique_ptr<events::Relay> relay;
  };

  void Plant();
  asio::awaitable<void> Write(RecordKey key, int count);
  Async<> Effect(Process& process, const events::Heard& heard, int64_t value, pg::Batch& batch);
  bool IsPoison(const RecordKey& key, int64_t value) const {
    auto found = evil_.find({key, value});
    return found != evil_.end() && found->second != Evil::kSlow && found->second != Evil::kAway;
  }

  const std::string planted_;
  std::vector<Uuid> tenants_;
  std::map<RecordKey, int64_t> revised_;  // what the handlers know to be committed
  std::map<std::pair<RecordKey, int64_t>, Evil> evil_;
  bool cured_ = false;
  const bool hurry_ = OneIn(2);  // changes come close together
  int writing_ = 0;
  std::map<const Process*, Maker> makers_;
  std::map<const Process*, std::shared_ptr<events::Subscription>> hearers_;
};

// The producer's EventLog, asked over a line.
class SimSource final : public events::Source {
 public:
  SimSource(EventsWorld& world, Life& life) : world_(world), life_(life) {}
  Async<events::v1::ListEventsResponse> ListEvents(const Call& call,
                                                   const events::v1::ListEventsRequest& request) override {
    Call own = call;
    CRM_CO_TRY(auto process, co_await Reach());
    auto answer = co_await world_.makers_.at(process.get()).log->ListEvents(own, request);
    CRM_CO_TRY(co_await Back(*process));
    co_return answer;
  }
  Async<events::v1::ListHeadsResponse> ListHeads(const Call& call,
                                                 const events::v1::ListHeadsRequest& request) override {
    Call own = call;
    CRM_CO_TRY(auto process, co_await Reach());
    auto answer = co_await world_.makers_.at(process.get()).log->ListHeads(own, request);
    CRM_CO_TRY(co_await Back(*process));
    co_return answer;
  }

 private:
  Async<std::shared_ptr<Process>> Reach() {
    co_await world_.Sleep(Millis(1));
    co_await world_.network_.Travel(life_);
    auto process = world_.Living("maker", world_.Below(kMakers));
    if (!process || !life_.alive || world_.OneIn(world_.network_.weather.rpc_fails_in)) {
      co_return absl::UnavailableError("the maker is away");
    }
    co_return process;
  }
  Async<> Back(Process& process) {
    co_await world_.network_.Travel(life_);
    if (!life_.alive || !process.life->alive) co_return absl::UnavailableError("the maker is away");
    co_return absl::OkStatus();
  }

  EventsWorld& world_;
  Life& life_;
};

void EventsWorld::Begin() {
  RegisterEvents(postgres_);
  postgres_.Register("sim.revise", 0, [](Running& run) {
    const std::pair<Uuid, std::string> key{run.given.Id(1), run.given.Text(2)};
    run.schema.record.Lock(run.txn, key);
    const int64_t* revision = run.schema.record.Find(run.txn, key);
    if ((revision == nullptr ? 0 : *revision) != run.given.Int(3)) return;
    run.schema.record.Put(run.txn, key, run.given.Int(3) + 1);
    run.answer.Row().Int(run.given.Int(3) + 1);
  });
  postgres_.Register("sim.revision", 0, [](Running& run) {
    const int64_t* revision = run.schema.record.Find(run.txn, {run.given.Id(1), run.given.Text(2)});
    run.answer.Row().Int(revision == nullptr ? 0 : *revision);
  });
  postgres_.Register("sim.note", 0, [](Running& run) {
    run.schema.effect.Put(run.txn, run.NextId(), {run.given.Id(1), run.given.Text(2), run.given.Int(3)});
  });
  Plant();
  const int tenants = Between(1, 3);
  for (int i = 0; i < tenants; ++i) tenants_.push_back(NewUuid(absl::Now()));
  for (int slot = 0; slot < kMakers; ++slot) Start("maker", slot);
  const int hearers = Between(1, kHearers);
  for (int slot = 0; slot < hearers; ++slot) Start("hearer", slot);
  for (const Uuid& tenant : tenants_) {
    const int records = Between(1, 3);
    for (int i = 0; i < records; ++i) {
      const RecordKey key{tenant, absl::StrCat("thing_", i)};
      const int count = Between(2, 8);
      if (OneIn(4)) {
        evil_[{key, Between(1, count)}] = static_cast<Evil>(Below(5));
      }
      Spawn(Write(key, count));
    }
  }
}

// Faults that a test puts in, to see that they are found.
void EventsWorld::Plant() {
  if (planted_ == "lane not locked") {  // the numbers are made from a head that was read before
    auto before = std::make_shared<std::map<Txn*, int64_t>>();
    postgres_.Register("events.lock_lane", 0, [before](Running& run) {
      const int64_t* head = run.schema.lane.Find(run.txn, run.given.Id(1));
      run.answer.Row().Int((*before)[run.txn] = head == nullptr ? 0 : *head);
    });
    postgres_.Register("events.number", 0, [before](Running& run) { NumberFrom(run, (*before)[run.txn]); });
  } else if (planted_ == "position not guarded") {
    postgres_.Register("events.move_position", 0, [](Running& run) {
      const Heard key{run.given.Id(1), run.given.Text(2)};
      run.schema.position.Put(run.txn, key, run.given.Int(4));
      run.answer.Row().Int(run.given.Int(4));
    });
  } else if (planted_ == "attempts not counted") {
    postgres_.Register("events.mark_attempt", 0, [](Running& run) { run.answer.Row().Int(1); });
  } else if (planted_ == "parked without asking") {  // whether the record's letters have been replayed meanwhile
    postgres_.Register("events.park", 0, [](Running& run) {
      const HeardSeq key{{run.given.Id(1), run.given.Text(2)}, run.given.Int(3)};
      run.schema.dead_letter.Put(run.txn, key, {run.given.Text(4), run.given.Text(5), 0, "", run.now});
      run.answer.Row().Int(run.given.Int(3));
    });
  } else if (planted_ == "heads forgotten") {
    postgres_.Register("events.list_heads", 0, [](Running&) {});
  }
}

void EventsWorld::Fill(Process& process) {
  const auto executor = context_.get_executor();
  if (process.role == "maker") {
    events::RelayOptions options;
    options.service = "maker";
    options.holder = process.life->holder;
    options.poll_min = Millis(200);  // fewer steps than as it is: pokes do the work
    options.poll_max = Millis(800);
    pg::Db& db = Db(process, "maker");
    pg::Db& worker = Db(process, "maker_worker");
    auto relay = std::make_shared<events::Relay>(worker, *process.redis, options);
    db.OnEmit([relay = relay.get()](const Uuid& tenant) { relay->Poke(tenant); });
    Maker& maker = makers_[&process];
    maker.log = std::make_unique<events::EventLog>(db, worker, std::vector<events::Subscription*>{});
    process.parts.push_back(relay);
    process.stops.push_back([relay = relay.get()] { relay->Stop(); });
    SpawnIn(process, relay->Run());
    return;
  }
  events::ConsumerOptions options;
  options.service = "hearer";
  options.producer = "maker";
  options.holder = process.life->holder;
  options.asynchronous_commit = OneIn(2);
  std::shared_ptr<events::Subscription> subscription =
      events::MakeConsumer(Db(process, "hearer"), Db(process, "hearer_worker"), *process.redis,
                           std::make_unique<SimSource>(*this, *process.life), options);
  subscription->On<google::protobuf::Int64Value>(
      [this, &process](const events::Heard& heard, const google::protobuf::Int64Value& payload,
                       pg::Batch& batch) -> Async<> { return Effect(process, heard, payload.value(), batch); });
  hearers_[&process] = subscription;
  process.parts.push_back(subscription);
  process.stops.push_back([subscription = subscription.get()] { subscription->Stop(); });
  SpawnIn(process, subscription->Run());
}

Async<> EventsWorld::Effect(Process& process, const events::Heard& heard, int64_t value, pg::Batch& batch) {
  const RecordKey key{heard.call.tenant(), heard.event.record_id()};
  Note(absl::StrCat("process ", process.life->number, " tries ", key.record, " ", value, " of ",
                    key.tenant.ToString().substr(30)));
  auto found = evil_.find({key, value});
  if (found != evil_.end() && !cured_) {
    ++TheTally()["evil events tried"];
    switch (found->second) {
      case Evil::kError:
        co_return absl::InternalError("this one cannot be applied");
      case Evil::kThrow:
        throw std::runtime_error("this one throws");
      case Evil::kKill:
        if (process.life->alive) {
          ++TheTally()["killed by an event"];
          Kill(Living(process.role, process.slot));
        }
        co_return absl::UnavailableError("dead");
      case Evil::kSlow:
        co_await Sleep(Millis(Between(500, 4000)));
        break;
      case Evil::kAway:
        if (!calm()) co_return absl::UnavailableError("somebody whom the effect asks is away");
        break;
    }
  }
  if (value % 3 == 0) {  // an effect that reads
    pg::Db& db = Db(process, "hearer");
    CRM_CO_TRY(co_await db.Read(heard.call, kRevision, pg::Params().Id(key.tenant).Text(key.record)));
  }
  batch.Add(kNote, pg::Params().Id(key.tenant).Text(key.record).Int(value));
  co_return absl::OkStatus();
}

// Revises one record `count` times, each time telling of it, as a handler does: load, decide, one guarded batch.
asio::awaitable<void> EventsWorld::Write(RecordKey key, int count) {
  ++writing_;
  int64_t revision = revised_[key];
  const int64_t last = revision + count;
  while (revision < last) {
    co_await Sleep(Millis(Between(1, OneIn(5) ? 3000 : hurry_ ? 15 : 300)));
    std::shared_ptr<Process> process = Living("maker", Below(kMakers));
    if (!process) continue;
    pg::Db& db = Db(*process, "maker");
    const Call call = events::OwnCall("maker", "sim.Write", key.tenant, Millis(3000));
    pg::Batch batch(call);
    batch.AddGuarded(kRevise, pg::Params().Id(key.tenant).Text(key.record).Int(revision), key.record);
    google::protobuf::Int64Value payload;
    payload.set_value(revision + 1);
    pg::NewEvent event;
    event.type = "thing.revised";
    event.record_id = key.record;
    batch.Emit(event, payload);
    auto written = co_await db.Write(call, std::move(batch));
    if (written.ok()) {
      revised_[key] = ++revision;
      ++TheTally()["events written"];
      continue;
    }
    // Not known whether it is done: asked of the database.
    const Call ask = events::OwnCall("maker", "sim.Read", key.tenant, Millis(3000));
    auto found = co_await db.Read(ask, kRevision, pg::Params().Id(key.tenant).Text(key.record));
    if (found.ok()) revised_[key] = revision = found->Int(0, 0);
  }
  --writing_;
}

bool EventsWorld::AtRest() {
  if (writing_ > 0) return false;
  for (const auto& [key, row] : postgres_.schema("maker").outbox.rows()) {
    if (row.seq == 0) return false;
  }
  for (const auto& [tenant, head] : postgres_.schema("maker").lane.rows()) {
    auto position = postgres_.schema("hearer").position.rows().find({tenant, "maker"});
    if (position == postgres_.schema("hearer").position.rows().end() || position->second < head) return false;
  }
  return true;
}

// The causes are gone: what was put aside is replayed, while more comes in.
asio::awaitable<void> EventsWorld::AfterCalm() {
  const auto& letters = postgres_.schema("hearer").dead_letter.rows();
  std::set<RecordKey> blocked;
  for (const auto& [id, letter] : letters) {
    const RecordKey key{id.first.first, letter.record};
    events::v1::Event event;
    google::protobuf::Int64Value payload;
    if (!event.ParseFromString(letter.event) || !event.payload().UnpackTo(&payload))
      Fail("a dead letter is unreadable");
    if (letter.attempts == 0 && blocked.count(key) == 0) Fail("an event waits behind none");
    if (letter.attempts > 0 && !IsPoison(key, payload.value())) {
      Fail(absl::StrCat(key.record, " ", payload.value(),
                        " was put aside, and nothing is the matter with it: ", letter.error));
    }
    blocked.insert(key);
    ++TheTally()[letter.attempts > 0 ? "dead letters" : "parked letters"];
  }
  for (const auto& [poison, evil] : evil_) {
    if (IsPoison(poison.first, poison.second) && blocked.count(poison.first) == 0) {
      Fail(absl::StrCat(poison.first.record, " ", poison.second, " should have been put aside"));
    }
  }
  // As long as the cause is there, a replay is refused and blames the letter.
  if (!letters.empty()) {
    const auto [id, letter] = *letters.begin();
    events::v1::Event event;
    google::protobuf::Int64Value payload;
    event.ParseFromString(letter.event);
    event.payload().UnpackTo(&payload);
    const auto evil = evil_.find({{id.first.first, letter.record}, payload.value()});
    std::shared_ptr<Process> process = Living("hearer", 0);
    if (process && evil != evil_.end() && (evil->second == Evil::kError || evil->second == Evil::kThrow)) {
      const Call call = events::OwnCall("hearer", "sim.Replay", id.first.first, Millis(5000));
      auto replayed = co_await hearers_.at(process.get())->Replay(call, static_cast<uint64_t>(id.second));
      const auto blamed = letters.find(id);
      if (replayed.ok() || blamed == letters.end()) Fail("a replay is answered as done, and its effect still fails");
      const bool outage = absl::IsUnavailable(replayed.status()) || absl::IsDeadlineExceeded(replayed.status());
      if (blamed != letters.end() && !outage && blamed->second.attempts != letter.attempts + 1) {
        Fail("a failed replay is not counted");
      }
    }
  }
  cured_ = true;
  for (const auto& [key, revision] : std::map<RecordKey, int64_t>(revised_)) Spawn(Write(key, 4));
  std::set<RecordKey> replayed_whole;
  for (int round = 0; round < 1000 && !(letters.empty() && AtRest()); ++round) {
    std::shared_ptr<Process> process = Living("hearer", 0);
    if (!letters.empty() && AtRest()) {
      const auto& [id, first] = *letters.begin();
      if (replayed_whole.count({id.first.first, first.record}) > 0)
        Fail("an event waits behind those that were replayed");
    }
    if (process && !letters.empty()) {
      const auto [id, letter] = *letters.begin();
      const Call call = events::OwnCall("hearer", "sim.Replay", id.first.first, Millis(5000));
      auto replayed = co_await hearers_.at(process.get())->Replay(call, static_cast<uint64_t>(id.second));
      Note(absl::StrCat("replay ", id.second, ": ", replayed.status().ToString()));
      if (replayed.ok()) replayed_whole.insert({id.first.first, letter.record});
    }
    co_await Sleep(Millis(Between(1, 300)));
  }
  if (!letters.empty()) Fail("dead letters remain after their replay");
  if (!AtRest()) Fail("it does not come to rest after the replay");
}

void EventsWorld::Check() {
  std::map<Uuid, std::map<int64_t, const OutboxRow*>> lanes;
  for (const auto& [key, row] : postgres_.schema("maker").outbox.rows()) {
    if (!lanes[key.first].emplace(row.seq, &row).second) Fail(absl::StrCat("number ", row.seq, " was given twice"));
  }
  for (const auto& [tenant, lane] : lanes) {
    int64_t next = 0;
    std::map<std::string, int64_t> told;
    for (const auto& [seq, row] : lane) {
      if (seq != ++next) Fail(absl::StrCat("number ", next, " was left out"));
      events::v1::Event event;
      google::protobuf::Int64Value payload;
      event.ParseFromString(row->event);
      event.payload().UnpackTo(&payload);
      if (payload.value() != ++told[row->record]) Fail(absl::StrCat(row->record, "'s events are not in order"));
    }
    for (const auto& [record, value] : told) {
      if (revised_[{tenant, record}] != value) Fail(absl::StrCat("not every revision of ", record, " was told"));
    }
  }
  std::map<RecordKey, int64_t> heard;
  for (const auto& [id, row] : postgres_.schema("hearer").effect.rows()) {
    int64_t& last = heard[{row.tenant, row.record}];
    if (row.value <= last) Fail(absl::StrCat(row.record, " ", row.value, " took effect twice or too late"));
    if (row.value > last + 1) Fail(absl::StrCat(row.record, " ", last + 1, " was passed over"));
    last = row.value;
    ++TheTally()["effects"];
  }
  for (const auto& [key, revision] : revised_) {
    if (heard[key] != revision) Fail(absl::StrCat(key.record, ": ", revision, " events, ", heard[key], " effects"));
  }
}

}  // namespace

std::unique_ptr<World> MakeEventsWorld(uint64_t seed, const std::string& planted) {
  return std::make_unique<EventsWorld>(seed, planted);
}

}  // namespace crm::sim
