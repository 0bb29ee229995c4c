// One lane's work: load, fetch, apply, count, put aside.
#include <absl/strings/str_cat.h>

#include <boost/asio/post.hpp>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "common/events/consumer_impl.h"
#include "common/events/wire.h"
#include "common/obs/log.h"
#include "common/obs/trace.h"

namespace crm::events {

namespace hearing {

constexpr milliseconds kFetchTimeout{10'000};
constexpr milliseconds kRetryMax{10'000};
constexpr int kFetchMax = 500;
constexpr size_t kErrorTextMax = 2000;
constexpr milliseconds kTrialWait{40};  // until it is looked again whether another event's trial is over

const pg::Statement kRelax{"events.relax_commit", "SELECT set_config('synchronous_commit', 'off', true)"};
const pg::Statement kLoadPosition{"events.load_position",
                                  "SELECT seq FROM position WHERE tenant_id = $1 AND producer = $2"};
const pg::Statement kMakePosition{
    "events.make_position",
    "INSERT INTO position (tenant_id, producer, seq) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING"};
// First in each effect's batch: whoever comes second waits for the row, finds another number and is undone.
const pg::Statement kMovePosition{
    "events.move_position",
    "UPDATE position SET seq = $4::bigint WHERE tenant_id = $1 AND producer = $2 AND seq = "
    "$3::bigint RETURNING seq"};
const pg::Statement kLoadAttempt{
    "events.load_attempt",
    "SELECT seq, attempts, error FROM event_attempt WHERE tenant_id = $1 AND producer = $2 ORDER BY seq LIMIT 100"};
// By how many, since two replicas may be at the same event for a moment: each counts its own attempts and takes them back.
const pg::Statement kMarkAttempt{
    "events.mark_attempt",
    "INSERT INTO event_attempt (tenant_id, producer, seq, attempts, error) VALUES ($1, $2, $3, greatest($4::int, 0), "
    "$5) "
    "ON CONFLICT (tenant_id, producer, seq) DO UPDATE SET attempts = greatest(event_attempt.attempts + $4::int, 0), "
    "error = excluded.error RETURNING attempts"};
const pg::Statement kForgetAttempts{"events.forget_attempts",
                                    "DELETE FROM event_attempt WHERE tenant_id = $1 AND producer = $2 AND seq <= $3"};
const pg::Statement kLoadParked{
    "events.load_parked",
    "SELECT DISTINCT record_id FROM dead_letter WHERE tenant_id = $1 AND producer = $2 AND record_id <> ''"};
const pg::Statement kBury{"events.bury",
                          "INSERT INTO dead_letter (tenant_id, producer, seq, record_id, event, attempts, error) "
                          "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING"};
// Guarded: when the letters of the record have been replayed meanwhile, the event is not to wait any more.
const pg::Statement kPark{
    "events.park",
    "INSERT INTO dead_letter (tenant_id, producer, seq, record_id, event, attempts, error) "
    "SELECT $1, $2, $3, $4, $5, 0, '' WHERE EXISTS (SELECT 1 FROM dead_letter WHERE tenant_id = $1 "
    "AND producer = $2 AND record_id = $4) RETURNING seq"};

bool IsOutage(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnavailable || status.code() == absl::StatusCode::kCancelled ||
         status.code() == absl::StatusCode::kResourceExhausted;
}

std::string ErrorText(const absl::Status& status) {
  std::string text = Brief(status).substr(0, kErrorTextMax);
  for (char& c : text) {
    if (c == '\0' || (c & 0x80)) c = '?';
  }
  return text;
}

// A death is laid to every event whose first trial it was. So one that has a death to answer for is tried while no other is in a
// process (which has one Db): the next death is that event's alone, and nobody else's event is put aside with it.
class Trial {
 public:
  Trial(const pg::Db& process, bool alone) : process_(&process), alone_(alone) {
    std::lock_guard lock(mutex_);
    Running& running = running_[process_];
    begun_ = !running.alone && !(alone && running.others > 0);
    if (begun_ && alone) running.alone = true;
    if (begun_ && !alone) ++running.others;
  }
  ~Trial() {
    std::lock_guard lock(mutex_);
    Running& running = running_[process_];
    if (begun_ && alone_) running.alone = false;
    if (begun_ && !alone_) --running.others;
    if (!running.alone && running.others == 0) running_.erase(process_);
  }
  Trial(const Trial&) = delete;

  bool begun() const { return begun_; }

 private:
  struct Running {
    bool alone = false;
    int others = 0;
  };
  static inline std::mutex mutex_;
  static inline std::map<const pg::Db*, Running> running_;
  const pg::Db* process_;
  const bool alone_;
  bool begun_;
};

// Where tests make an event poison, by its record: "error" throws, "kill" ends the process.
void MaybePoison([[maybe_unused]] const v1::Event& event) {
  const absl::Status status = [&]() -> absl::Status {
    CRM_FAILPOINT_RETURN_(return, "events.in_effect", event.record_id());
    return absl::OkStatus();
  }();
  if (!status.ok()) throw std::runtime_error(std::string(status.message()));
}

std::string PayloadType(const v1::Event& event) {
  const std::string& url = event.payload().type_url();
  size_t slash = url.rfind('/');
  return slash == std::string::npos ? url : url.substr(slash + 1);
}
}  // namespace hearing

Async<> SubscriptionImpl::Load(Lane& lane) {
  Call call = OwnCall(options_.service, "events.Load", lane.tenant, hearing::kBatchTimeout);
  const auto key = [&] { return pg::Params().Id(lane.tenant).Text(options_.producer); };
  pg::Batch batch(call);
  batch.Add(hearing::kLoadPosition, key());
  batch.Add(hearing::kLoadAttempt, key());
  batch.Add(hearing::kLoadParked, key());
  CRM_CO_TRY(std::vector<pg::Rows> results, co_await db_.Read(call, std::move(batch)));
  uint64_t position = 0;
  if (results[0].empty()) {
    pg::Batch make(call);
    make.Add(hearing::kMakePosition, key());
    CRM_CO_TRY(co_await db_.Write(call, std::move(make)));
  } else {
    position = static_cast<uint64_t>(results[0].Int(0, 0));
  }
  lane.attempts.clear();
  for (int i = 0; i < results[1].size(); ++i) {
    auto seq = static_cast<uint64_t>(results[1].Int(i, 0));
    lane.attempts[seq] = {seq, static_cast<int>(results[1].Int(i, 1)), std::string(results[1].Text(i, 2))};
  }
  if (lane.trial && !lane.trial->counted) {  // the answer was lost
    auto counted = lane.attempts.find(lane.trial->seq);
    lane.trial->counted = counted != lane.attempts.end() && counted->second.count > lane.trial->before;
  }
  lane.parked.clear();
  for (int i = 0; i < results[2].size(); ++i) lane.parked.insert(std::string(results[2].Text(i, 0)));
  lane.position = position;
  lane.head = std::max(lane.head, position);
  lane.known = lane.loaded = true;
  co_return absl::OkStatus();
}

Async<> SubscriptionImpl::Fetch(Lane& lane) {
  Call call = OwnCall(options_.service, "events.Fetch", lane.tenant, hearing::kFetchTimeout);
  v1::ListEventsRequest request;
  request.set_tenant_id(TypeId("tenant", lane.tenant));
  request.set_after_seq(lane.position);
  request.set_limit(hearing::kFetchMax);
  absl::StatusOr<v1::ListEventsResponse> response = co_await source_->ListEvents(call, request);
  // A producer that refuses is as good as one that is away.
  if (!response.ok()) co_return absl::UnavailableError(Brief(response.status()));
  lane.outages = 0;
  for (const v1::Event& event : response->events()) {
    if (event.seq() <= lane.position) continue;
    std::string bytes = event.SerializeAsString();
    if (lane.pending.insert_or_assign(event.seq(), std::move(bytes)).second) ++held_;
    fetched_.Add();
  }
  lane.head = std::max(lane.head, response->head_seq());
  if (lane.pending.empty() || lane.pending.begin()->first != lane.position + 1) {
    obs::Log(obs::Level::kError, "the producer does not have the event that comes next",
             {{"producer", options_.producer},
              {"tenant", TypeId("tenant", lane.tenant)},
              {"position", lane.position},
              {"head", response->head_seq()}});
    Forget(lane, UINT64_MAX);
    lane.head = lane.position;  // until the next heads check
  }
  co_return absl::OkStatus();
}

hearing::Letter SubscriptionImpl::Open(const Uuid& tenant, uint64_t seq, const std::string& bytes) const {
  Letter letter;
  letter.seq = seq;
  letter.bytes = &bytes;
  letter.readable = letter.event.ParseFromString(bytes);
  letter.call = OwnCall(options_.service, absl::StrCat("events.", letter.event.type()), tenant, hearing::kBatchTimeout);
  letter.call.request_id = letter.call.idempotency_key = absl::StrCat(options_.producer, ":", seq);
  if (!letter.event.traceparent().empty()) letter.call.traceparent = obs::ChildTraceparent(letter.event.traceparent());
  if (letter.event.has_cause()) {
    letter.call.cause = {letter.event.cause().rule_id(), letter.event.cause().run_id(), letter.event.cause().depth()};
  }
  if (letter.event.has_time()) {
    letter.call.start =
        absl::FromUnixSeconds(letter.event.time().seconds()) + absl::Nanoseconds(letter.event.time().nanos());
  }
  return letter;
}

// The statements of one event's effect; none if nobody listens. `waited` says whether the effect has given the loop a
// turn, that is, whether it has read something.
asio::awaitable<absl::StatusOr<std::vector<pg::Batch::Item>>> SubscriptionImpl::Effects(Letter& letter, bool* waited) {
  *waited = false;
  if (!letter.readable) co_return absl::DataLossError("the event cannot be read");
  auto effects = effects_.find(hearing::PayloadType(letter.event));
  if (effects == effects_.end()) co_return std::vector<pg::Batch::Item>{};
  auto turned = std::make_shared<bool>(false);
  auto executor = co_await asio::this_coro::executor;  // not inside the call: g++ 12 would destroy the lambda twice
  asio::post(executor, [turned] { *turned = true; });
  pg::Batch batch(letter.call);
  const events::Heard heard{letter.call, letter.event};
  absl::Status status;
  try {
    hearing::MaybePoison(letter.event);
    for (const Effect& effect : effects->second) {
      status = co_await effect(heard, batch);
      if (!status.ok()) break;
    }
  } catch (const std::exception& error) {
    status = absl::InternalError(absl::StrCat("the effect threw: ", error.what()));
  } catch (...) {
    status = absl::InternalError("the effect threw something that is no exception");
  }
  *waited = *turned;
  status.Update(batch.status());  // what could not be said in SQL
  if (!status.ok()) co_return status;
  co_return std::move(batch.items());
}

// Applies the events that come next in one transaction: as many as `lane.group` allows. Later effects of a transaction
// do not see the earlier ones when they read, so an effect that reads begins a transaction of its own.
Async<> SubscriptionImpl::ApplyNext(Lane& lane) {
  const uint64_t before = lane.position;
  Call call = OwnCall(options_.service, "events.Apply", lane.tenant, hearing::kBatchTimeout);

  // The first event after a start may be what ended the process, so its attempt is counted before it is made; then
  // groups grow from one, so that the next start comes ever closer to the one that does.
  hearing::Attempt attempt{before + 1, 0, ""};
  const auto tried = lane.attempts.find(before + 1);
  const bool careful = lane.fresh || tried != lane.attempts.end();
  if (tried != lane.attempts.end()) attempt = tried->second;
  std::optional<hearing::Trial> trial;
  if (careful) {
    lane.group = 1;
    const bool counted = lane.trial && lane.trial->seq == before + 1 && lane.trial->counted;
    const int ended = attempt.count - (counted ? 1 : 0);
    const bool died = ended > 0 && attempt.error.empty();  // or it is not known how the last attempt ended
    if (ended >= options_.attempts_max) {
      Letter letter = Open(lane.tenant, before + 1, lane.pending.begin()->second);
      if (died) attempt.error = "the process ended while it applied this event";
      co_return co_await Bury(lane, letter, ended, attempt.error);
    }
    if (!trial.emplace(db_, died).begun()) {
      Pause(lane, Jitter(hearing::kTrialWait / 2, hearing::kTrialWait));
      co_return absl::OkStatus();
    }
    lane.trial = Lane::Trial{before + 1, attempt.count, counted};
    CRM_CO_TRY(attempt.count, co_await CountAttempt(lane, before + 1, counted ? 0 : 1, ""));
    lane.trial->counted = true;
    lane.fresh = false;
  }

  std::deque<Letter> letters;
  std::vector<pg::Batch::Item> items;
  absl::Status failure;
  int parked = 0;
  uint64_t seq = before;
  for (const auto& [number, bytes] : lane.pending) {
    if (number != seq + 1 || static_cast<int>(letters.size()) >= lane.group) break;
    Letter letter = Open(lane.tenant, number, bytes);
    if (!letter.event.record_id().empty() && lane.parked.contains(letter.event.record_id())) {
      pg::Batch park(letter.call);
      park.AddGuarded(hearing::kPark,
                      pg::Params()
                          .Id(lane.tenant)
                          .Text(options_.producer)
                          .Int(static_cast<int64_t>(number))
                          .Text(letter.event.record_id())
                          .Bytes(bytes),
                      letter.event.record_id());
      pg::Batch::Append(items, std::move(park.items()));
      ++parked;
    } else {
      std::string type = hearing::PayloadType(letter.event);
      if (!letters.empty() && reading_types_.contains(type)) break;
      bool waited = false;
      absl::StatusOr<std::vector<pg::Batch::Item>> added = co_await Effects(letter, &waited);
      if (waited) reading_types_.insert(type);
      if (!letters.empty() && (waited || !added.ok())) break;  // it comes first next time
      if (!added.ok()) {
        failure = added.status();
        letters.push_back(std::move(letter));
        break;
      }
      pg::Batch::Append(items, *std::move(added));
    }
    letters.push_back(std::move(letter));
    ++seq;
  }

  if (failure.ok()) {
    pg::Batch batch(call);
    if (options_.asynchronous_commit) batch.Add(hearing::kRelax);
    batch.AddGuarded(hearing::kMovePosition,
                     pg::Params()
                         .Id(lane.tenant)
                         .Text(options_.producer)
                         .Int(static_cast<int64_t>(before))
                         .Int(static_cast<int64_t>(seq)),
                     "position");
    if (careful) {
      batch.Add(hearing::kForgetAttempts,
                pg::Params().Id(lane.tenant).Text(options_.producer).Int(static_cast<int64_t>(seq)));
    }
    pg::Batch::Append(batch.items(), std::move(items));
    CRM_FAILPOINT_CO_RETURN("events.before_effect");
    absl::StatusOr<std::vector<pg::Rows>> written = co_await db_.Write(call, std::move(batch));
    CRM_FAILPOINT("events.after_effect");
    failure = written.status();
  }

  if (failure.ok()) {
    lane.position = seq;
    lane.outages = 0;
    lane.trial.reset();
    lane.attempts.erase(lane.attempts.begin(), lane.attempts.upper_bound(seq));
    lane.group = std::min(2 * std::max(lane.group, 1), options_.group_max);
    applied_.Add(static_cast<double>(letters.size()) - parked);
    if (parked > 0) parked_.Add(parked);
    for (const Letter& letter : letters) {
      delay_.Observe(absl::ToDoubleSeconds(Now() - letter.call.start));
      if (!lane.parked.contains(letter.event.record_id())) Announce(letter.event);
    }
    co_return absl::OkStatus();
  }

  // Whether it was committed, and whether another replica was first, the database knows.
  lane.loaded = false;
  lane.group = 1;
  if (hearing::IsOutage(failure)) {
    if (careful) {  // no attempt, then
      auto taken_back = co_await CountAttempt(lane, before + 1, -1, attempt.error);
      if (taken_back.ok()) lane.trial.reset();
    }
    co_return failure;
  }
  CRM_CO_TRY(co_await Load(lane));
  if (lane.position != before || letters.size() > 1) co_return absl::OkStatus();
  if (parked > 0) {  // it need not wait any more
    Pause(lane, options_.retry_min);
    co_return absl::OkStatus();
  }
  // The event's own fault: counted, and the next attempt before it is made.
  lane.trial.reset();
  retried_.Add();
  std::string error = hearing::ErrorText(failure);
  CRM_CO_TRY(const int attempts, co_await CountAttempt(lane, before + 1, careful ? 0 : 1, error));
  obs::Log(obs::Level::kWarning, call, "an event could not be applied",
           {{"producer", options_.producer}, {"seq", before + 1}, {"attempts", attempts}, {"error", error}});
  if (attempts >= options_.attempts_max) co_return co_await Bury(lane, letters.front(), attempts, error);
  milliseconds time = options_.retry_min;
  for (int i = 1; i < attempts; ++i) time = std::min(4 * time, hearing::kRetryMax);
  Pause(lane, time);
  co_return absl::OkStatus();
}

// Counts so many more attempts at an event; answers how many there are.
Async<int> SubscriptionImpl::CountAttempt(Lane& lane, uint64_t seq, int more, const std::string& error) {
  Call call = OwnCall(options_.service, "events.CountAttempt", lane.tenant, hearing::kBatchTimeout);
  pg::Batch batch(call);
  batch.Add(hearing::kRelax);  // it must outlive this process, not PostgreSQL's
  const int marked = batch.Add(
      hearing::kMarkAttempt,
      pg::Params().Id(lane.tenant).Text(options_.producer).Int(static_cast<int64_t>(seq)).Int(more).Text(error));
  CRM_CO_TRY(std::vector<pg::Rows> results, co_await db_.Write(call, std::move(batch)));
  const int attempts = static_cast<int>(results[static_cast<size_t>(marked)].Int(0, 0));
  lane.attempts[seq] = {seq, attempts, error};
  co_return attempts;
}

// Puts the event aside and lets the lane go on; later events of its record wait behind it.
Async<> SubscriptionImpl::Bury(Lane& lane, const Letter& letter, int attempts, const std::string& error) {
  Call call = OwnCall(options_.service, "events.Bury", lane.tenant, hearing::kBatchTimeout);
  auto seq = static_cast<int64_t>(letter.seq);
  pg::Batch batch(call);
  batch.AddGuarded(hearing::kMovePosition, pg::Params().Id(lane.tenant).Text(options_.producer).Int(seq - 1).Int(seq),
                   "position");
  batch.Add(hearing::kForgetAttempts, pg::Params().Id(lane.tenant).Text(options_.producer).Int(seq));
  batch.Add(hearing::kBury, pg::Params()
                                .Id(lane.tenant)
                                .Text(options_.producer)
                                .Int(seq)
                                .Text(letter.event.record_id())
                                .Bytes(*letter.bytes)
                                .Int(attempts)
                                .Text(error));
  absl::StatusOr<std::vector<pg::Rows>> written = co_await db_.Write(call, std::move(batch));
  lane.loaded = false;
  if (!written.ok()) {
    if (hearing::IsOutage(written.status())) co_return written.status();
    Pause(lane, options_.retry_min);  // another replica was first
    co_return absl::OkStatus();
  }
  lane.position = letter.seq;
  dead_.Add();
  obs::Log(obs::Level::kError, call, "an event was put aside after all attempts",
           {{"producer", options_.producer}, {"seq", letter.seq}, {"attempts", attempts}, {"error", error}});
  co_return absl::OkStatus();
}

void SubscriptionImpl::Announce(const v1::Event& event) {
  for (const auto& listener : listeners_) listener(event);
}

}  // namespace crm::events
