// What came of it: counts and latencies, per class of requests.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/strings/string_view.h>

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/loadgen/requests.h"

namespace crm::loadgen {

class Report {
 public:
  explicit Report(const Requests& requests) : requests_(requests), classes_(requests.classes.size()) {}

  // `code` is empty for a success; `text` says more about a failure.
  void Add(const Request& request, std::chrono::steady_clock::duration time, absl::string_view code = "",
           absl::string_view text = "");
  // A failure that said when to come back.
  void AddRetry() { ++with_retry_; }
  // Successes, from now on, are also counted by when they came: `slots` of half a second.
  void CountByTime(std::chrono::steady_clock::time_point start, size_t slots);

  int64_t answered() const { return answered_; }

  // {"requests", "failed", "with_retry", "errors": {code: {"count", "first"}}, "seconds", "per_second", "latency_us": {...},
  // "by_half_second": [successes] and, with several classes, "classes": {name: {"requests", "failed", "errors", "latency_us",
  // "slowest": [{"label", "us"}]}}}
  nlohmann::json Json(std::chrono::steady_clock::duration elapsed);

 private:
  struct Class {
    std::vector<uint32_t> micros;              // of successes
    absl::flat_hash_map<int, uint32_t> worst;  // by label: its slowest
    absl::flat_hash_map<int, uint32_t> best;   // by label: its quickest
    absl::flat_hash_map<std::string, int64_t> failures;
  };
  struct Failure {
    int64_t count = 0;
    std::string first;
  };
  static nlohmann::json Latency(std::vector<uint32_t>& micros);
  nlohmann::json Slowest(const Class& one) const;

  const Requests& requests_;
  std::vector<Class> classes_;
  absl::flat_hash_map<std::string, Failure> failures_;
  int64_t answered_ = 0;
  int64_t failed_ = 0;
  int64_t with_retry_ = 0;
  std::chrono::steady_clock::time_point start_;
  std::vector<int64_t> slots_;
};

}  // namespace crm::loadgen
