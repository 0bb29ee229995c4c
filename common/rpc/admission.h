// Which calls an event loop begins, which wait and which it refuses. Calls are begun while fewer than a limit are under way;
// beyond that they wait, each tenant in a line of its own, and lines are served by deficit round robin (Shreedhar and
// Varghese, 1995) in cost of time: a tenant that floods is served no more than its share, and everybody else as if it were
// not there. Refused are calls that could not be answered in time anyway, as soon as that is known; so what is worked on is
// what somebody still waits for.
//
// A tenant is a text, whatever tells tenants apart. Not thread-safe: one a loop. No clock of its own.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/strings/string_view.h>

#include <chrono>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>

namespace crm::rpc {

class Admission {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  struct Limits {
    int in_flight_max = 64;  // begun and not ended
    int waiting_max = 1024;  // each holds its request
    size_t waiting_bytes_max = 64 << 20;
    // A call that waits longer has missed our goal for it (500 ms at most), as half of it is for the work itself.
    Duration wait_max = std::chrono::milliseconds(250);
  };

  enum class Why { kQueueFull, kQueueSlow, kDeadline };

  // A call that waits. Exactly one of Begin and Refuse is called, once; they may not call back into the admission.
  class Waiter {
   public:
    virtual ~Waiter() = default;
    virtual void Begin(Duration waited) = 0;
    virtual void Refuse(Why why) = 0;
    virtual bool gone() const = 0;  // its caller has left: neither is called
  };

  // What is known of a call before it is looked at closer.
  struct Ask {
    Time deadline = Time::max();
    Duration typical{0};  // what such calls take; also their cost
    size_t bytes = 0;
  };

  explicit Admission(Limits limits) : limits_(limits) {}

  // Whether a call may begin at once, without regard to who asks; then it counts as begun. The usual case.
  bool Begin() {
    if (in_flight_ >= limits_.in_flight_max || waiting_ > 0) return false;
    ++in_flight_;
    return true;
  }
  // Otherwise: whether it may wait. If so, Wait() must follow before anything else.
  bool MayWait(absl::string_view tenant, const Ask& ask, Time now, Why& why);
  void Wait(absl::string_view tenant, const Ask& ask, Time now, std::shared_ptr<Waiter> waiter);

  // A call that was begun has ended. True: calls wait, and Pump should be called soon.
  bool End() {
    --in_flight_;
    return waiting_ > 0;
  }
  // Begins what may begin now.
  void Pump(Time now);
  // Refuses what waits in vain; from time to time while calls wait.
  void Expire(Time now);

  int in_flight() const { return in_flight_; }
  int waiting() const { return waiting_; }
  const Limits& limits() const { return limits_; }
  // Who has most calls waiting; empty if none do.
  std::string longest() const;

 private:
  struct Waiting {
    std::shared_ptr<Waiter> waiter;
    Ask ask;
    Time since;
  };
  struct Line {
    std::string tenant;
    std::deque<Waiting> calls;
    Duration deficit{0};
    bool charged = false;  // has had its quantum in this round
  };
  using Lines = std::list<Line>;

  static Duration CostOf(const Ask& ask);
  bool Hopeless(const Waiting& call, Time now, Why& why) const;
  Lines::iterator Longest();
  Lines::iterator Drop(Lines::iterator line);  // an empty one; the next
  void TakeFront(Line& line);

  const Limits limits_;
  int in_flight_ = 0, waiting_ = 0;
  size_t bytes_ = 0;
  Lines lines_;  // the first one's turn
  absl::flat_hash_map<std::string, Lines::iterator> by_tenant_;
  Time begun_at_ = Time::min();  // the last one that had waited
  Duration pace_{0};             // from one beginning to the next while calls wait, averaged
};

}  // namespace crm::rpc
