// Timers: three workers claim and fire what simulated handlers set, move and take back.
#include <absl/strings/numbers.h>

#include <stdexcept>

#include "services/scheduler/timers.h"
#include "tests/unit/simulator/world.h"

namespace crm::sim {

namespace {

constexpr int kWorkers = 3;
constexpr Millis kChainStep{700};

const pg::Statement kReviseOwner{"sim.revise_owner", "UPDATE record SET revision = $4 WHERE ... RETURNING revision"};
const pg::Statement kOwnerRevision{"sim.owner_revision", "SELECT revision FROM record WHERE ..."};
const pg::Statement kNoteFired{"sim.note_fired", "INSERT INTO fired ..."};

// What a timer's owner has done to it, in order; its place is the record's revision.
struct Deed {
  bool set = false;
  absl::Time due;
  int links = 0;  // the effect sets it anew so many times
};

class TimersWorld final : public World {
 public:
  TimersWorld(uint64_t seed, std::string planted) : World(seed), planted_(std::move(planted)) {
    patience_ = Millis(1'800'000);  // a timer that failed eight times waits for minutes
  }

 protected:
  void Begin() override;
  void Fill(Process& process) override;
  bool AtRest() override;
  void Check() override;

 private:
  void Plant();
  asio::awaitable<void> Own(std::string subject, int deeds);
  Async<> Effect(Process& process, const scheduler::Fired& fired, pg::Batch& batch);

  const std::string planted_;
  Uuid tenant_;
  std::map<std::string, std::vector<Deed>> deeds_;  // by subject; known to be committed
  std::map<std::string, int> fails_;                // how often its effect has yet to fail
  int owning_ = 0;
};

void TimersWorld::Begin() {
  RegisterEvents(postgres_);
  RegisterTimers(postgres_);
  postgres_.Register("sim.revise_owner", 0, [](Running& run) {
    const std::pair<Uuid, std::string> key{run.given.Id(1), run.given.Text(2)};
    run.schema.record.Lock(run.txn, key);
    const int64_t* revision = run.schema.record.Find(run.txn, key);
    if ((revision == nullptr ? 0 : *revision) != run.given.Int(3)) return;
    run.schema.record.Put(run.txn, key, run.given.Int(3) + 1);
    run.answer.Row().Int(run.given.Int(3) + 1);
  });
  postgres_.Register("sim.owner_revision", 0, [](Running& run) {
    const int64_t* revision = run.schema.record.Find(run.txn, {run.given.Id(1), run.given.Text(2)});
    run.answer.Row().Int(revision == nullptr ? 0 : *revision);
  });
  postgres_.Register("sim.note_fired", 0, [](Running& run) {
    const int64_t* revision = run.schema.record.Find(run.txn, {run.given.Id(1), run.given.Text(2)});
    run.schema.fired.Put(
        run.txn, run.NextId(),
        {run.given.Text(2), absl::StrCat(revision == nullptr ? 0 : *revision), run.given.Time(3), run.given.Time(4)});
  });
  Plant();
  tenant_ = NewUuid(absl::Now());
  const int workers = Between(2, kWorkers);
  for (int slot = 0; slot < workers; ++slot) Start("scheduler", slot);
  const int timers = Between(2, 8);
  for (int i = 0; i < timers; ++i) {
    const std::string subject = absl::StrCat("task_", i);
    if (OneIn(4)) fails_[subject] = Between(1, 3);
    Spawn(Own(subject, Between(1, 4)));
  }
}

void TimersWorld::Plant() {
  if (planted_ == "fence not checked") {
    postgres_.Register("scheduler.take_timer", 0, [](Running& run) {
      const std::pair<Uuid, Uuid> key{run.given.Id(1), run.given.Id(2)};
      run.schema.timer.Erase(run.txn, key);
      run.answer.Row().Int(1);
    });
  } else if (planted_ == "fence not raised") {
    postgres_.Register("scheduler.set_timer", 0, [](Running& run) {
      const std::pair<Uuid, Uuid> key{run.given.Id(1), run.given.Id(2)};
      run.schema.timer.Lock(run.txn, key);
      const TimerRow* old = run.schema.timer.Find(run.txn, key);
      TimerRow row{run.given.Text(4),
                   run.given.Text(5),
                   run.given.Text(6),
                   run.given.Time(7),
                   run.given.Time(7),
                   run.given.Text(8),
                   old == nullptr ? absl::ToUnixMicros(run.Clock()) : old->fence,
                   0,
                   "",
                   ""};
      run.schema.timer.Put(run.txn, key, std::move(row));
    });
  } else if (planted_ == "fence begins anew") {  // with each row of the name, as it once did
    postgres_.Register("scheduler.set_timer", 0, [](Running& run) {
      const std::pair<Uuid, Uuid> key{run.given.Id(1), run.given.Id(2)};
      run.schema.timer.Lock(run.txn, key);
      const TimerRow* old = run.schema.timer.Find(run.txn, key);
      TimerRow row{run.given.Text(4),
                   run.given.Text(5),
                   run.given.Text(6),
                   run.given.Time(7),
                   run.given.Time(7),
                   run.given.Text(8),
                   old == nullptr ? 1 : old->fence + 1,
                   0,
                   "",
                   ""};
      run.schema.timer.Put(run.txn, key, std::move(row));
    });
  } else if (planted_ == "claim deletes") {  // so that nobody has to fence: a worker that dies takes the timer with it
    postgres_.Register("scheduler.take_timer", 0, [](Running& run) { run.answer.Row().Int(1); });
    postgres_.Register("scheduler.claim_timers", 0, [](Running& run) {
      std::vector<std::pair<Uuid, Uuid>> due;
      run.schema.timer.Each(run.txn, [&](const auto& key, const TimerRow& row) {
        if (row.wake <= run.Clock() && !run.schema.timer.LockedByOther(run.txn, key)) due.push_back(key);
      });
      for (const auto& key : due) {
        const TimerRow row = *run.schema.timer.Find(run.txn, key);
        run.answer.Row().Id(key.first).Id(key.second).Text(row.kind).Text(row.subject).Text(row.key).Time(row.due);
        run.answer.Bytes(row.payload).Int(row.fence).Int(row.attempts).Time(run.Clock());
        run.schema.timer.Erase(run.txn, key);
      }
    });
  }
}

void TimersWorld::Fill(Process& process) {
  scheduler::TimerOptions options;
  options.holder = process.life->holder;
  options.lease = Millis(5000);  // an effect may take longer, and a process stand still for longer
  auto timers = std::make_shared<scheduler::Timers>(Db(process, "scheduler"), Db(process, "scheduler_worker"), options);
  timers->On("test", [this, &process](const scheduler::Fired& fired, pg::Batch& batch) -> Async<> {
    return Effect(process, fired, batch);
  });
  process.parts.push_back(timers);
  process.stops.push_back([timers = timers.get()] { timers->Stop(); });
  SpawnIn(process, timers->Run());
}

Async<> TimersWorld::Effect(Process& process, const scheduler::Fired& fired, pg::Batch& batch) {
  Note(absl::StrCat("process ", process.life->number, " fires ", fired.subject, ", attempt ", fired.attempts));
  ++TheTally()["timers tried"];
  if (!calm() && OneIn(8)) co_await Sleep(Millis(Between(500, 9000)));  // beyond its lease
  if (!calm() && OneIn(10)) Kill(Living(process.role, process.slot));
  if (!calm() && OneIn(12)) throw std::runtime_error("the effect throws");
  auto fails = fails_.find(fired.subject);
  if (fails != fails_.end() && fails->second > 0) {
    --fails->second;
    co_return absl::InternalError("this one fails");
  }
  batch.Add(kNoteFired, pg::Params().Id(fired.call.tenant()).Text(fired.subject).Time(fired.due).Time(fired.now));
  int links = 0;
  if (absl::SimpleAtoi(fired.payload, &links) && links > 0) {
    scheduler::SetTimer(batch, {.kind = "test",
                                .subject = fired.subject,
                                .due = fired.due + absl::FromChrono(kChainStep),
                                .payload = absl::StrCat(links - 1)});
  }
  co_return absl::OkStatus();
}

// Sets one timer, moves it, takes it back, each with a revision of the record that it belongs to.
asio::awaitable<void> TimersWorld::Own(std::string subject, int deeds) {
  ++owning_;
  std::vector<Deed>& done = deeds_[subject];
  std::optional<Deed> next;
  while (static_cast<int>(done.size()) < deeds) {
    co_await Sleep(Millis(Between(1, OneIn(3) ? 4000 : 400)));
    std::shared_ptr<Process> process = Living("scheduler", Below(kWorkers));
    if (!process) continue;
    if (!next) {
      next.emplace();
      next->set = done.empty() || !OneIn(4);
      next->due = absl::FromUnixMillis(absl::ToUnixMillis(postgres_.Clock()) + Between(-500, 4000));
      for (const Deed& earlier : done) {
        if (earlier.due == next->due) next->due += absl::Milliseconds(1);
      }
      next->links = next->set && static_cast<int>(done.size()) == deeds - 1 && OneIn(3) ? Between(1, 3) : 0;
    }
    pg::Db& db = Db(*process, "scheduler");
    const Call call = events::OwnCall("scheduler", "sim.Own", tenant_, Millis(3000));
    pg::Batch batch(call);
    batch.AddGuarded(kReviseOwner, pg::Params().Id(tenant_).Text(subject).Int(static_cast<int64_t>(done.size())),
                     subject);
    if (next->set) {
      scheduler::SetTimer(batch,
                          {.kind = "test", .subject = subject, .due = next->due, .payload = absl::StrCat(next->links)});
    } else {
      scheduler::CancelTimer(batch, "test", subject);
    }
    auto written = co_await db.Write(call, std::move(batch));
    bool committed = written.ok();
    while (!committed) {  // not known
      co_await Sleep(Millis(50));
      std::shared_ptr<Process> other = Living("scheduler", Below(kWorkers));
      if (!other) continue;
      const Call ask = events::OwnCall("scheduler", "sim.Ask", tenant_, Millis(3000));
      auto found = co_await Db(*other, "scheduler").Read(ask, kOwnerRevision, pg::Params().Id(tenant_).Text(subject));
      if (!found.ok()) continue;
      committed = found->Int(0, 0) > static_cast<int64_t>(done.size());
      break;
    }
    if (!committed) continue;  // the same once more: an attempt on its way meets the guard, or is it
    Note(absl::StrCat(subject, next->set ? " is set" : " is taken back"));
    done.push_back(*next);
    next.reset();
  }
  --owning_;
}

bool TimersWorld::AtRest() {
  if (calm()) postgres_.HealClock();
  return owning_ == 0 && calm() && postgres_.schema("scheduler").timer.rows().empty();
}

void TimersWorld::Check() {
  std::map<std::pair<std::string, absl::Time>, int> times;
  for (const auto& [id, row] : postgres_.schema("scheduler").fired.rows()) {
    ++TheTally()["timers fired"];
    if (++times[{row.subject, row.due}] > 1) Fail(absl::StrCat(row.subject, " fired twice"));
    if (row.at < row.due) Fail(absl::StrCat(row.subject, " fired before its time"));
    // It was one of its owner's deeds, and that was the newest when it fired (two may have been for the same moment).
    const std::vector<Deed>& deeds = deeds_[row.subject];
    bool known = false, newest = false;
    for (size_t i = 0; i < deeds.size(); ++i) {
      for (int link = 0; link <= deeds[i].links; ++link) {
        if (!deeds[i].set || row.due != deeds[i].due + link * absl::FromChrono(kChainStep)) continue;
        known = true;
        newest = newest || row.key == absl::StrCat(i + 1);
      }
    }
    if (!known) Fail(absl::StrCat(row.subject, " fired for a time that nobody set"));
    if (known && !newest) Fail(absl::StrCat(row.subject, " fired after it had been moved"));
  }
  for (const auto& [subject, deeds] : deeds_) {
    if (!deeds.back().set) continue;
    for (int link = 0; link <= deeds.back().links; ++link) {
      if (times[{subject, deeds.back().due + link * absl::FromChrono(kChainStep)}] == 0) {
        Fail(absl::StrCat(subject, " was missed"));
      }
    }
  }
}

}  // namespace

std::unique_ptr<World> MakeTimersWorld(uint64_t seed, const std::string& planted) {
  return std::make_unique<TimersWorld>(seed, planted);
}

}  // namespace crm::sim
