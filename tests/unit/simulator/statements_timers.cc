// The statements of services/scheduler/timers.cc.
#include <algorithm>

#include "tests/unit/simulator/postgres.h"

namespace crm::sim {

namespace {

using TimerKey = std::pair<Uuid, Uuid>;

constexpr int kTimerShards = 16;

// The row that a worker holds by its fence; nothing if it is somebody else's now.
const TimerRow* Fenced(Running& run) {
  const TimerKey key{run.given.Id(1), run.given.Id(2)};
  run.schema.timer.Lock(run.txn, key);
  const TimerRow* row = run.schema.timer.Find(run.txn, key);
  return row != nullptr && row->fence == run.given.Int(3) ? row : nullptr;
}

}  // namespace

void RegisterTimers(Postgres& database) {
  database.Register("scheduler.by_index_alone", 0x28f290058d53a143, [](Running& run) { run.answer.Row().Text("off"); });
  database.Register("scheduler.set_timer", 0xcaa00c65f2cb8fad, [](Running& run) {
    const Given& given = run.given;
    const TimerKey key{given.Id(1), given.Id(2)};
    run.schema.timer.Lock(run.txn, key);
    const TimerRow* old = run.schema.timer.Find(run.txn, key);
    TimerRow row{
        given.Text(4), given.Text(5), given.Text(6), given.Time(7), given.Time(7), given.Text(8), 0, 0, "", ""};
    row.fence = absl::ToUnixMicros(run.Clock());
    if (old != nullptr) row.fence = old->fence + 1;
    run.schema.timer.Put(run.txn, key, std::move(row));
  });
  database.Register("scheduler.cancel_timer", 0xc06510ffb6306897, [](Running& run) {
    const TimerKey key{run.given.Id(1), run.given.Id(2)};
    run.schema.timer.Lock(run.txn, key);
    if (run.schema.timer.Find(run.txn, key) != nullptr) run.schema.timer.Erase(run.txn, key);
  });
  database.Register("scheduler.claim_timers", 0x8a50a3f1de51d439, [](Running& run) {
    const std::vector<int64_t> shards = run.given.Ints(1);
    const std::vector<std::string> kinds = run.given.Texts(4);
    std::map<int64_t, std::vector<std::pair<absl::Time, TimerKey>>> due;
    run.schema.timer.Each(run.txn, [&](const TimerKey& key, const TimerRow& row) {
      const int64_t shard = key.first.bucket() % kTimerShards;
      if (row.wake > run.Clock() || std::find(shards.begin(), shards.end(), shard) == shards.end()) return;
      if (std::find(kinds.begin(), kinds.end(), row.kind) == kinds.end()) return;
      if (run.schema.timer.LockedByOther(run.txn, key)) return;  // SKIP LOCKED
      due[shard].emplace_back(row.wake, key);
    });
    for (auto& [shard, rows] : due) {
      std::sort(rows.begin(), rows.end());
      if (static_cast<int64_t>(rows.size()) > run.given.Int(2)) rows.resize(static_cast<size_t>(run.given.Int(2)));
      for (const auto& [wake, key] : rows) {
        TimerRow row = *run.schema.timer.Find(run.txn, key);
        ++row.fence;
        row.wake = run.Clock() + absl::Seconds(run.given.Int(3));
        row.holder = run.given.Text(5);
        run.answer.Row().Id(key.first).Id(key.second).Text(row.kind).Text(row.subject).Text(row.key).Time(row.due);
        run.answer.Bytes(row.payload).Int(row.fence).Int(row.attempts).Time(run.Clock());
        run.schema.timer.Put(run.txn, key, std::move(row));
      }
    }
  });
  database.Register("scheduler.take_back_timers", 0x62bf73444f211f3, [](Running& run) {
    std::vector<TimerKey> held;
    run.schema.timer.Each(run.txn, [&](const TimerKey& key, const TimerRow& row) {
      if (row.holder == run.given.Text(1) && !row.holder.empty()) held.push_back(key);
    });
    for (const TimerKey& key : held) run.schema.timer.Lock(run.txn, key);
    for (const TimerKey& key : held) {
      TimerRow row = *run.schema.timer.Find(run.txn, key);
      row.wake = row.due;
      row.holder.clear();
      run.schema.timer.Put(run.txn, key, std::move(row));
    }
  });
  database.Register("scheduler.take_timer", 0x3717751bbbe74120, [](Running& run) {
    if (Fenced(run) == nullptr) return;
    run.schema.timer.Erase(run.txn, {run.given.Id(1), run.given.Id(2)});
    run.answer.Row().Int(1);
  });
  database.Register("scheduler.postpone_timer", 0x37f68f2552712d9c, [](Running& run) {
    const TimerRow* old = Fenced(run);
    if (old == nullptr) return;
    TimerRow row = *old;
    row.wake = run.given.Time(4);
    ++row.attempts;
    row.error = run.given.Text(5);
    row.holder.clear();
    run.schema.timer.Put(run.txn, {run.given.Id(1), run.given.Id(2)}, std::move(row));
  });
}

}  // namespace crm::sim
