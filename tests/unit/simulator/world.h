// What a simulated world is made of: processes that are started, killed and stopped, servers that fail, and a time of trouble that is
// followed by calm, in which everything must come to rest. What it is about, and what must hold in the end, its kinds say.
//
// All that happens follows from the seed. A failure is told with the seed's number; CRM_SEED repeats it and tells what happened.
#pragma once

#include <absl/strings/str_cat.h>
#include <google/protobuf/wrappers.pb.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/events/event_log.h"
#include "common/events/loop.h"
#include "common/events/relay.h"
#include "common/events/subscription.h"
#include "common/redis/client.h"
#include "tests/unit/simulator/network.h"
#include "tests/unit/simulator/postgres.h"
#include "tests/unit/simulator/redis.h"

namespace crm::sim {

// What has happened in all worlds so far: a simulation in which nothing goes wrong proves nothing.
struct Tally {
  std::map<std::string, int64_t> counts;
  int64_t& operator[](const std::string& name) { return counts[name]; }
};
Tally& TheTally();

struct Outcome {
  std::vector<std::string> failures;
  uint64_t trace = 0;  // of all that happened: the same for the same seed
  bool leak = false;
};

// A process: what it has open, and what of it runs.
struct Process {
  std::shared_ptr<Life> life;
  std::string role;
  int slot = 0;
  std::map<std::string, std::unique_ptr<pg::Db>> databases;  // by role: "maker", "maker_worker"
  std::unique_ptr<redis::Client> redis;
  std::vector<std::shared_ptr<void>> parts;  // destroyed last to first
  std::vector<std::function<void()>> stops;  // asks what runs to end
  int running = 0;
};

class World {
 public:
  explicit World(uint64_t seed);
  virtual ~World();

  Outcome Run();

 protected:
  // ---- what a kind of world says ----
  virtual void Begin() = 0;                   // registers statements, starts processes and writers
  virtual void Fill(Process& process) = 0;    // makes what its role consists of
  virtual bool AtRest() = 0;                  // nothing is left to do
  virtual asio::awaitable<void> AfterCalm();  // when it is at rest: what people would do then
  virtual void Check() = 0;                   // tells what does not hold
  virtual void Stir() {}                      // one more fault, of its own

  // ---- what they have ----
  void Fail(std::string what);
  void Note(const std::string& what);  // into the trace
  std::shared_ptr<Process> Start(const std::string& role, int slot);
  void Kill(const std::shared_ptr<Process>& process);
  // The process that lives in a slot; nullptr while it is dead.
  std::shared_ptr<Process> Living(const std::string& role, int slot);
  pg::Db& Db(Process& process, const std::string& role);
  void Spawn(asio::awaitable<void> task);
  void SpawnIn(Process& process, Async<> task);
  asio::awaitable<void> Sleep(Millis time) { return network_.Sleep(time); }
  int Below(int limit) { return network_.Below(limit); }
  int Between(int low, int high) { return network_.Between(low, high); }
  bool OneIn(int count) { return network_.OneIn(count); }
  bool calm() const { return calm_; }
  static bool Telling();

  asio::io_context context_{1};
  Random random_;
  Network network_;
  Postgres postgres_;
  Redis redis_;
  Millis trouble_{6000};      // how long everything goes wrong
  Millis patience_{240'000};  // how long it may then take to come to rest
  int clock_jumps_in_ = 4;    // one of so many worlds has them

 private:
  asio::awaitable<void> Trouble();
  asio::awaitable<void> Live();
  asio::awaitable<void> Restart(std::string role, int slot, Millis after);
  void DrawWeather();
  void OneFault();

  std::vector<std::shared_ptr<Process>> all_;
  std::map<std::pair<std::string, int>, std::shared_ptr<Process>> slots_;
  std::vector<std::string> failures_;
  std::set<std::string> faults_;
  uint64_t trace_ = 14695981039346656037u;
  int tasks_ = 0;
  bool calm_ = false, ended_ = false;
};

// Tables take longer to compile than a world to live: they are lent, and used again.
template <typename Tables>
class Lent {
 public:
  static Tables Take() {
    if (Spare().empty()) return Tables();
    Tables taken = std::move(Spare().back());
    Spare().pop_back();
    return taken;
  }
  static void GiveBack(Tables tables) { Spare().push_back(std::move(tables)); }

 private:
  static std::vector<Tables>& Spare() {
    static auto& spare = *new std::vector<Tables>();
    return spare;
  }
};

// Makes and runs a world on a thread of its own, so that what the code keeps by thread begins anew: seeds of jitter, the last id made.
Outcome RunWorld(const std::function<std::unique_ptr<World>()>& make);

// Events from outbox to effect: relays and consumers, two replicas each, over a handful of tenants.
std::unique_ptr<World> MakeEventsWorld(uint64_t seed, const std::string& planted = "");
// Timers: three workers.
std::unique_ptr<World> MakeTimersWorld(uint64_t seed, const std::string& planted = "");
// Letters: handlers accept them, two or three senders hand them over to mail servers.
std::unique_ptr<World> MakeSendsWorld(uint64_t seed, const std::string& planted = "");
// Webhooks: handlers queue deliveries, two or three senders post them to receivers.
std::unique_ptr<World> MakeWebhooksWorld(uint64_t seed, const std::string& planted = "");

}  // namespace crm::sim
