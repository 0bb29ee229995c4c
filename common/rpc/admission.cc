#include "common/rpc/admission.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace crm::rpc {

namespace {

using namespace std::chrono_literals;

// What a line may use in its turn; a call that costs more saves up for it.
constexpr Admission::Duration kQuantum = 2ms;
// A method that nobody has called yet, one that waits for others, and the price of a queue slot itself.
constexpr Admission::Duration kCostMin = 100us, kCostMax = 50ms;
// Averages over about this many beginnings.
constexpr int kPaceCalls = 64;

}  // namespace

Admission::Duration Admission::CostOf(const Ask& ask) { return std::clamp(ask.typical, kCostMin, kCostMax); }

Admission::Lines::iterator Admission::Longest() {
  auto longest = lines_.begin();
  for (auto it = lines_.begin(); it != lines_.end(); ++it) {
    if (it->calls.size() > longest->calls.size()) longest = it;
  }
  return longest;
}

std::string Admission::longest() const {
  return waiting_ == 0 ? std::string() : const_cast<Admission*>(this)->Longest()->tenant;
}

bool Admission::MayWait(absl::string_view tenant, const Ask& ask, Time now, Why& why) {
  if (ask.deadline - now < ask.typical) {
    why = Why::kDeadline;
    return false;
  }
  auto found = by_tenant_.find(tenant);
  const size_t before = found == by_tenant_.end() ? 0 : found->second->calls.size();
  const size_t lines = lines_.size() + (found == by_tenant_.end() ? 1 : 0);
  // Lines are served by turns: so much has to begin before this one.
  const Duration wait = pace_ * static_cast<int64_t>(before * lines);
  if (wait > limits_.wait_max) {
    why = Why::kQueueSlow;
    return false;
  }
  if (now + wait + ask.typical > ask.deadline) {
    why = Why::kDeadline;
    return false;
  }
  if (waiting_ < limits_.waiting_max && bytes_ + ask.bytes <= limits_.waiting_bytes_max) return true;
  // No room: whoever has most calls waiting makes some, the newest first, as it is the one that would wait longest.
  why = Why::kQueueFull;
  if (ask.bytes > limits_.waiting_bytes_max) return false;
  while (waiting_ >= limits_.waiting_max || bytes_ + ask.bytes > limits_.waiting_bytes_max) {
    auto line = Longest();
    if (line->calls.size() <= before) return false;
    Waiting newest = std::move(line->calls.back());
    line->calls.pop_back();
    --waiting_;
    bytes_ -= newest.ask.bytes;
    if (!newest.waiter->gone()) newest.waiter->Refuse(Why::kQueueFull);
    if (line->calls.empty()) Drop(line);
  }
  return true;
}

void Admission::Wait(absl::string_view tenant, const Ask& ask, Time now, std::shared_ptr<Waiter> waiter) {
  auto found = by_tenant_.find(tenant);
  if (found == by_tenant_.end()) {
    Line line;
    line.tenant = std::string(tenant);
    lines_.push_back(std::move(line));
    found = by_tenant_.emplace(lines_.back().tenant, std::prev(lines_.end())).first;
  }
  if (waiting_ == 0) begun_at_ = now;  // what was before is no pace
  found->second->calls.push_back({std::move(waiter), ask, now});
  ++waiting_;
  bytes_ += ask.bytes;
}

Admission::Lines::iterator Admission::Drop(Lines::iterator line) {
  by_tenant_.erase(line->tenant);
  return lines_.erase(line);
}

void Admission::TakeFront(Line& line) {
  --waiting_;
  bytes_ -= line.calls.front().ask.bytes;
  line.calls.pop_front();
}

bool Admission::Hopeless(const Waiting& call, Time now, Why& why) const {
  if (now + call.ask.typical > call.ask.deadline) {
    why = Why::kDeadline;
    return true;
  }
  why = Why::kQueueSlow;
  return now - call.since > limits_.wait_max;
}

void Admission::Expire(Time now) {
  std::vector<std::pair<std::shared_ptr<Waiter>, Why>> refused;
  for (auto line = lines_.begin(); line != lines_.end();) {
    auto& calls = line->calls;
    for (auto it = calls.begin(); it != calls.end();) {
      Why why = Why::kDeadline;
      if (!it->waiter->gone() && !Hopeless(*it, now, why)) {
        ++it;
        continue;
      }
      refused.emplace_back(std::move(it->waiter), why);
      --waiting_;
      bytes_ -= it->ask.bytes;
      it = calls.erase(it);
    }
    line = calls.empty() ? Drop(line) : std::next(line);
  }
  for (const auto& [waiter, why] : refused) {
    if (!waiter->gone()) waiter->Refuse(why);
  }
}

void Admission::Pump(Time now) {
  while (waiting_ > 0 && in_flight_ < limits_.in_flight_max) {
    Line& line = lines_.front();
    Waiting& next = line.calls.front();
    Why why = Why::kDeadline;
    if (next.waiter->gone() || Hopeless(next, now, why)) {
      auto waiter = std::move(next.waiter);
      TakeFront(line);
      if (line.calls.empty()) Drop(lines_.begin());
      if (!waiter->gone()) waiter->Refuse(why);
      continue;
    }
    if (!line.charged) {
      line.deficit += kQuantum;
      line.charged = true;
    }
    const Duration cost = CostOf(next.ask);
    if (cost > line.deficit) {
      // The next one's turn; what is left of this one's is for its next.
      line.charged = false;
      lines_.splice(lines_.end(), lines_, lines_.begin());
      continue;
    }
    line.deficit -= cost;
    auto waiter = std::move(next.waiter);
    const Duration waited = now - next.since;
    TakeFront(line);
    if (line.calls.empty()) Drop(lines_.begin());
    // One long standstill says little about what comes after it.
    pace_ += (std::min(now - begun_at_, limits_.wait_max / 8) - pace_) / kPaceCalls;
    begun_at_ = now;
    ++in_flight_;
    waiter->Begin(waited);
  }
}

}  // namespace crm::rpc
