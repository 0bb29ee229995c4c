#include "tests/unit/simulator/world.h"

#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>

namespace crm::sim {

namespace {

constexpr Millis kStopPatience{60'000};

}  // namespace

Tally& TheTally() {
  static Tally tally;
  return tally;
}

World::World(uint64_t seed)
    : random_((ResetMachine(seed), seed)),
      network_(context_.get_executor(), random_),
      postgres_(network_, random_),
      redis_(network_) {
  if (Telling()) network_.note = [this](const std::string& what) { Note(what); };
  pg::UseModel(&postgres_);
  redis::UseModel(&redis_);
}

World::~World() {
  // What runs has ended; what a failure has left running ends with the loop.
  pg::UseModel(nullptr);
  redis::UseModel(nullptr);
}

bool World::Telling() {
  static const bool telling = std::getenv("CRM_SEED") != nullptr;
  return telling;
}

void World::Fail(std::string what) {
  Note("FAILED: " + what);
  failures_.push_back(std::move(what));
}

void World::Note(const std::string& what) {
  const auto now = std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now().time_since_epoch()).count();
  for (char c : absl::StrCat(now, what)) trace_ = (trace_ ^ static_cast<unsigned char>(c)) * 1099511628211u;
  if (Telling()) std::printf("%9.3f  %s\n", static_cast<double>(now - 86'400'000) / 1000, what.c_str());
}

asio::awaitable<void> World::AfterCalm() { co_return; }

void World::Spawn(asio::awaitable<void> task) {
  ++tasks_;
  asio::co_spawn(context_, std::move(task), [this](std::exception_ptr failed) {
    --tasks_;
    if (failed) Fail("a task of the simulation threw");
  });
}

void World::SpawnIn(Process& process, Async<> task) {
  ++process.running;
  asio::co_spawn(context_, std::move(task), [this, &process](std::exception_ptr failed, absl::Status) {
    --process.running;
    if (failed) Fail(absl::StrCat("something of ", process.role, " threw"));
  });
}

pg::Db& World::Db(Process& process, const std::string& role) {
  std::unique_ptr<pg::Db>& db = process.databases[role];
  if (!db) {
    pg::DbOptions options;
    options.conninfo = absl::StrCat(process.life->number);
    options.schema = role.substr(0, role.find('_'));
    db = std::make_unique<pg::Db>(options, std::vector<asio::any_io_executor>{context_.get_executor()});
  }
  return *db;
}

std::shared_ptr<Process> World::Start(const std::string& role, int slot) {
  auto process = std::make_shared<Process>();
  process->role = role;
  process->slot = slot;
  process->life = network_.Start(absl::StrCat(role, ":", slot));
  redis::Options options;
  options.host = absl::StrCat(process->life->number);
  process->redis =
      std::make_unique<redis::Client>(options, std::vector<asio::any_io_executor>{context_.get_executor()});
  all_.push_back(process);
  slots_[{role, slot}] = process;
  Note(absl::StrCat("start ", role, ":", slot, " as ", process->life->number));
  Fill(*process);
  return process;
}

std::shared_ptr<Process> World::Living(const std::string& role, int slot) {
  const std::shared_ptr<Process>& process = slots_[{role, slot}];
  return process && process->life->alive ? process : nullptr;
}

void World::Kill(const std::shared_ptr<Process>& process) {
  if (!process || !process->life->alive) return;
  Note(absl::StrCat("kill ", process->role, ":", process->slot));
  process->life->alive = false;
  ++TheTally()["killed"];
  for (const auto& stop : process->stops) stop();
  if (ended_) return;
  Spawn(Restart(process->role, process->slot, Millis(OneIn(4) ? Between(1000, 15'000) : Between(20, 1000))));
}

asio::awaitable<void> World::Restart(std::string role, int slot, Millis after) {
  co_await Sleep(after);
  if (!ended_) Start(role, slot);
}

void World::DrawWeather() {
  Weather& weather = network_.weather;
  const auto maybe = [&](int low, int high) { return OneIn(2) ? Between(low, high) : 0; };
  weather.slow_in = maybe(5, 60);
  weather.slow_ms = Between(20, OneIn(3) ? 12'000 : 400);
  weather.lost_in = maybe(10, 100);
  weather.unsent_in = maybe(10, 100);
  weather.redis_lost_in = maybe(2, 20);
  weather.redis_twice_in = maybe(1, 5);
  weather.redis_shuffle_ms = maybe(5, 500);
  weather.rpc_fails_in = maybe(3, 20);
  for (const char* fault : {"kill", "kill", "stop", "crash", "redis"}) {
    if (OneIn(2)) faults_.insert(fault);
  }
  if (OneIn(clock_jumps_in_)) faults_.insert("clock");
}

void World::OneFault() {
  if (faults_.empty()) return;
  auto fault = faults_.begin();
  std::advance(fault, Below(static_cast<int>(faults_.size())));
  auto process = all_[static_cast<size_t>(Below(static_cast<int>(all_.size())))];
  if (*fault == "kill") {
    Kill(process);
  } else if (*fault == "stop") {
    if (!process->life->alive) return;
    const Millis time(OneIn(3) ? Between(5000, 40'000) : Between(50, 3000));
    Note(absl::StrCat("stop ", process->role, ":", process->slot, " for ", time.count()));
    process->life->stands_until = std::chrono::steady_clock::now() + time;
    ++TheTally()["stood still"];
  } else if (*fault == "crash") {
    const Millis time(Between(20, 2000));
    Note(absl::StrCat("the database crashes for ", time.count()));
    postgres_.Crash(time);
    ++TheTally()["database crashed"];
  } else if (*fault == "redis") {
    if (OneIn(2)) {
      Note("Redis is emptied");
      redis_.Empty();
      ++TheTally()["Redis emptied"];
    } else {
      const Millis time(Between(20, 4000));
      Note(absl::StrCat("Redis is away for ", time.count()));
      redis_.Away(time, OneIn(2));
      ++TheTally()["Redis away"];
    }
  } else {
    const Millis time(OneIn(3) ? Between(-86'400'000, 86'400'000) : Between(-600'000, 600'000));
    if (OneIn(2)) {
      Note(absl::StrCat("the processes' clocks jump by ", time.count()));
      JumpWallClock(time);
    } else {
      Note(absl::StrCat("the database's clock jumps by ", time.count()));
      postgres_.JumpClock(time);
    }
    ++TheTally()["clock jumped"];
  }
}

asio::awaitable<void> World::Trouble() {
  DrawWeather();
  const Steady end = std::chrono::steady_clock::now() + trouble_;
  while (std::chrono::steady_clock::now() < end) {
    co_await Sleep(Millis(Between(20, 1500)));
    if (OneIn(4)) Stir();
    OneFault();
  }
  Note("calm");
  calm_ = true;
  network_.weather = Weather();
}

asio::awaitable<void> World::Live() {
  co_await Trouble();
  const Steady end = std::chrono::steady_clock::now() + patience_;
  while (!AtRest() && failures_.empty()) {
    co_await Sleep(Millis(250));
    if (std::chrono::steady_clock::now() > end) Fail("it does not come to rest");
  }
  if (failures_.empty()) co_await AfterCalm();
  ended_ = true;
}

Outcome World::Run() {
  Begin();
  bool over = false;
  asio::co_spawn(context_, Live(), [&](std::exception_ptr failed) {
    over = true;
    if (failed) Fail("the simulation itself threw");
  });
  while (!over) context_.run_one();
  if (failures_.empty()) Check();
  for (const auto& process : all_) {
    for (const auto& stop : process->stops) stop();
  }
  const Steady end = std::chrono::steady_clock::now() + kStopPatience;
  const auto busy = [&] {
    int count = tasks_;
    for (const auto& process : all_) count += process->running;
    return count > 0;
  };
  while (busy() && std::chrono::steady_clock::now() < end) context_.run_one();
  if (busy()) {
    Fail("something does not end when it is told to");
    return {failures_, trace_, /*leak=*/true};
  }
  context_.restart();
  context_.run_for(Millis(2000));  // what the last answers have begun
  for (const std::string& complaint : postgres_.complaints()) failures_.push_back(complaint);
  TheTally()["commits"] += postgres_.commits();
  TheTally()["deadlocks"] += postgres_.deadlocks();
  TheTally()["commits forgotten by a crash"] += postgres_.forgotten();
  for (const auto& process : all_) {
    while (!process->parts.empty()) process->parts.pop_back();
  }
  return {failures_, trace_};
}

Outcome RunWorld(const std::function<std::unique_ptr<World>()>& make) {
  Outcome outcome;
  std::thread([&] {
    std::unique_ptr<World> world = make();
    outcome = world->Run();
    if (outcome.leak) (void)world.release();  // what has not ended refers to it
  }).join();
  return outcome;
}

}  // namespace crm::sim
