#include "tools/loadgen/report.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace crm::loadgen {
namespace {

constexpr size_t kWorstShown = 5;

// Nearest rank: a value that was measured, never one in between.
uint32_t Percentile(const std::vector<uint32_t>& sorted, double part) {
  const auto rank = static_cast<size_t>(std::ceil(part * static_cast<double>(sorted.size())));
  return sorted[std::min(sorted.size() - 1, rank == 0 ? 0 : rank - 1)];
}

}  // namespace

void Report::CountByTime(std::chrono::steady_clock::time_point start, size_t slots) {
  start_ = start;
  slots_.assign(slots, 0);
}

void Report::Add(const Request& request, std::chrono::steady_clock::duration time, absl::string_view code,
                 absl::string_view text) {
  ++answered_;
  if (!code.empty()) {
    ++failed_;
    Failure& failure = failures_[code];
    if (failure.count++ == 0) failure.first = std::string(text);
    ++classes_[static_cast<size_t>(request.class_id)].failures[code];
    return;
  }
  if (!slots_.empty()) {
    const auto slot = static_cast<size_t>((std::chrono::steady_clock::now() - start_) / std::chrono::milliseconds(500));
    if (slot < slots_.size()) ++slots_[slot];
  }
  const auto micros = static_cast<uint32_t>(
      std::min<int64_t>(std::chrono::duration_cast<std::chrono::microseconds>(time).count(), UINT32_MAX));
  Class& one = classes_[static_cast<size_t>(request.class_id)];
  one.micros.push_back(micros);
  if (request.label_id >= 0) {
    uint32_t& worst = one.worst[request.label_id];
    worst = std::max(worst, micros);
    auto [best, first] = one.best.emplace(request.label_id, micros);
    if (!first) best->second = std::min(best->second, micros);
  }
}

nlohmann::json Report::Latency(std::vector<uint32_t>& micros) {
  if (micros.empty()) return nullptr;
  std::sort(micros.begin(), micros.end());
  return {{"p50", Percentile(micros, 0.5)},
          {"p90", Percentile(micros, 0.9)},
          {"p95", Percentile(micros, 0.95)},
          {"p99", Percentile(micros, 0.99)},
          {"max", micros.back()}};
}

// The labels that are slow each time they are sent: by their quickest answer, so that a hiccup of the machine names
// nobody.
nlohmann::json Report::Slowest(const Class& one) const {
  std::vector<std::pair<uint32_t, int>> order;
  for (const auto& [label, micros] : one.best) order.emplace_back(micros, label);
  std::sort(order.rbegin(), order.rend());
  if (order.size() > kWorstShown) order.resize(kWorstShown);
  nlohmann::json out = nlohmann::json::array();
  for (const auto& [micros, label] : order) {
    out.push_back({{"label", requests_.labels[static_cast<size_t>(label)]},
                   {"best_us", micros},
                   {"worst_us", one.worst.at(label)}});
  }
  return out;
}

nlohmann::json Report::Json(std::chrono::steady_clock::duration elapsed) {
  const double seconds = std::chrono::duration<double>(elapsed).count();
  nlohmann::json out = {{"requests", answered_},
                        {"failed", failed_},
                        {"with_retry", with_retry_},
                        {"seconds", seconds},
                        {"per_second", seconds > 0 ? static_cast<double>(answered_) / seconds : 0}};
  nlohmann::json errors = nlohmann::json::object();
  for (const auto& [code, failure] : failures_) errors[code] = {{"count", failure.count}, {"first", failure.first}};
  out["errors"] = errors;
  if (!slots_.empty()) out["by_half_second"] = slots_;
  std::vector<uint32_t> all;
  for (const Class& one : classes_) all.insert(all.end(), one.micros.begin(), one.micros.end());
  out["latency_us"] = Latency(all);
  nlohmann::json classes = nlohmann::json::object();
  for (size_t i = 0; i < classes_.size(); ++i) {
    if (requests_.classes[i].empty()) continue;
    const auto count = static_cast<int64_t>(classes_[i].micros.size());
    int64_t failed = 0;
    nlohmann::json by_code = nlohmann::json::object();
    for (const auto& [code, number] : classes_[i].failures) {
      by_code[code] = number;
      failed += number;
    }
    classes[requests_.classes[i]] = {{"requests", count + failed},
                                     {"failed", failed},
                                     {"errors", by_code},
                                     {"latency_us", Latency(classes_[i].micros)},
                                     {"slowest", Slowest(classes_[i])}};
  }
  if (!classes.empty()) out["classes"] = classes;
  return out;
}

}  // namespace crm::loadgen
