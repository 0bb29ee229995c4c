// Dead letters put back by an administrator.
#include <absl/strings/str_cat.h>

#include <boost/asio/co_spawn.hpp>

#include "common/base/error.h"
#include "common/events/consumer_impl.h"
#include "common/obs/log.h"

namespace crm::events {

namespace hearing {

constexpr int kReplayPage = 50;

const pg::Statement kLockPosition{"events.lock_position",
                                  "SELECT seq FROM position WHERE tenant_id = $1 AND producer = $2 FOR UPDATE"};
const pg::Statement kLoadLetter{"events.load_letter",
                                "SELECT record_id, event, attempts, error, create_time FROM dead_letter "
                                "WHERE tenant_id = $1 AND producer = $2 AND seq = $3"};
const pg::Statement kFirstLetter{
    "events.first_letter",
    "SELECT seq FROM dead_letter WHERE tenant_id = $1 AND producer = $2 AND record_id = $3 ORDER BY seq LIMIT 1"};
const pg::Statement kNextLetters{
    "events.next_letters",
    "SELECT seq, event FROM dead_letter WHERE tenant_id = $1 AND producer = $2 AND record_id = "
    "$3 AND seq > $4 ORDER BY seq LIMIT $5::int"};
const pg::Statement kTakeLetter{
    "events.take_letter", "DELETE FROM dead_letter WHERE tenant_id = $1 AND producer = $2 AND seq = $3 RETURNING seq"};
const pg::Statement kBlameLetter{"events.blame_letter",
                                 "UPDATE dead_letter SET attempts = attempts + 1, error = $4 WHERE tenant_id = $1 AND "
                                 "producer = $2 AND seq = $3"};

}  // namespace hearing

Async<v1::DeadLetter> SubscriptionImpl::Replay(const Call& call, uint64_t seq) {
  asio::any_io_executor executor;
  {
    std::lock_guard lock(mutex_);
    executor = executor_;
  }
  if (!executor) executor = co_await asio::this_coro::executor;
  co_return co_await asio::co_spawn(executor, ReplayHere(shared_from_this(), call, seq), asio::use_awaitable);
}

Async<v1::DeadLetter> SubscriptionImpl::ReplayHere(std::shared_ptr<SubscriptionImpl> self, Call call, uint64_t seq) {
  const std::string id = absl::StrCat(self->options_.producer, ":", seq);
  const auto key = [&] { return pg::Params().Id(call.tenant()).Text(self->options_.producer); };
  CRM_CO_TRY(pg::Rows found, co_await self->db_.Read(call, hearing::kLoadLetter, key().Int(static_cast<int64_t>(seq))));
  if (found.empty()) co_return NotFound(id);
  const std::string record(found.Text(0, 0));
  v1::DeadLetter letter;
  letter.set_id(id);
  letter.mutable_event()->ParseFromArray(found.Bytes(0, 1).data(), static_cast<int>(found.Bytes(0, 1).size()));
  letter.set_attempts(static_cast<int32_t>(found.Int(0, 2)) + 1);
  int64_t micros = absl::ToUnixMicros(found.Time(0, 4));
  letter.mutable_create_time()->set_seconds(micros / 1'000'000);
  letter.mutable_create_time()->set_nanos(static_cast<int32_t>(micros % 1'000'000) * 1000);
  if (!record.empty()) {
    CRM_CO_TRY(pg::Rows first, co_await self->db_.Read(call, hearing::kFirstLetter, key().Text(record)));
    if (!first.empty() && static_cast<uint64_t>(first.Int(0, 0)) < seq) {
      std::string earlier = absl::StrCat(self->options_.producer, ":", first.Int(0, 0));
      co_return StateError(absl::StrCat("an earlier event of ", record, " waits: replay ", earlier, " first"),
                           {{"record", record}, {"earlier", earlier}});
    }
  }

  const std::string bytes(found.Bytes(0, 1));
  bool effect_failed = false;
  absl::Status applied = co_await self->ReplayOne(call, seq, bytes, &effect_failed);
  if (!applied.ok()) {
    if (!effect_failed) co_return applied;
    std::string error = hearing::ErrorText(applied);
    co_return StateError(absl::StrCat("the event still cannot be applied: ", error), {{"id", id}});
  }

  // The record's other letters, in order, up to one that fails: until there is none, since one more may be parked while these are read.
  uint64_t last = seq;
  for (bool more = !record.empty(); more;) {
    CRM_CO_TRY(pg::Rows next,
               co_await self->db_.Read(call, hearing::kNextLetters,
                                       key().Text(record).Int(static_cast<int64_t>(last)).Int(hearing::kReplayPage)));
    more = !next.empty();
    for (int i = 0; i < next.size(); ++i) {
      last = static_cast<uint64_t>(next.Int(i, 0));
      std::string parked(next.Bytes(i, 1));
      absl::Status status = co_await self->ReplayOne(call, last, parked, &effect_failed);
      if (!status.ok() && !effect_failed) co_return status;
      if (!status.ok()) {
        more = false;
        break;
      }
    }
  }
  if (Lane* lane = self->lanes_.contains(call.tenant()) ? self->lanes_[call.tenant()].get() : nullptr) {
    lane->loaded = false;
  }
  co_return letter;
}

// One letter: its effect and its removal in one transaction, under the lane's lock, so that an event which would be
// parked behind it either sees it or sees it gone.
Async<> SubscriptionImpl::ReplayOne(const Call& call, uint64_t seq, const std::string& bytes, bool* effect_failed) {
  *effect_failed = false;
  const auto key = [&] {
    return pg::Params().Id(call.tenant()).Text(options_.producer).Int(static_cast<int64_t>(seq));
  };
  Letter letter = Open(call.tenant(), seq, bytes);
  bool waited = false;
  absl::StatusOr<std::vector<pg::Batch::Item>> items = co_await Effects(letter, &waited);
  absl::Status failure = items.status();
  if (items.ok()) {
    pg::Batch batch(call);
    batch.Add(hearing::kLockPosition, pg::Params().Id(call.tenant()).Text(options_.producer));
    batch.AddGuarded(hearing::kTakeLetter, key(), absl::StrCat(options_.producer, ":", seq));
    pg::Batch::Append(batch.items(), *std::move(items));
    failure = (co_await db_.Write(call, std::move(batch))).status();
  }
  if (failure.ok()) {
    applied_.Add();
    Announce(letter.event);
    co_return absl::OkStatus();
  }
  // Whoever asked has no time left: that is not the letter's fault.
  const bool late = std::chrono::steady_clock::now() >= call.deadline;
  if (hearing::IsOutage(failure) || late) co_return failure;
  pg::Batch blame(call);
  blame.Add(hearing::kBlameLetter, key().Text(hearing::ErrorText(failure)));
  CRM_CO_TRY(co_await db_.Write(call, std::move(blame)));
  *effect_failed = true;
  co_return failure;
}

}  // namespace crm::events
