// What came of it: counts and latencies, per class of requests.
#pragma once

#include <absl/container/flat_hash_map.h>

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
  void Add(const Request& request, std::chrono::steady_clock::duration time, const std::string& code = "",
           const std::string& text = "");

  int64_t answered() const { return answered_; }

  // {"requests", "failed", "errors": {code: {"count", "first"}}, "seconds", "per_second", "latency_us": {...}, and,
  // with several classes, "classes": {name: {"requests", "latency_us", "worst": [{"label", "us"}]}}}
  nlohmann::json Json(std::chrono::steady_clock::duration elapsed);

 private:
  struct Class {
    std::vector<uint32_t> micros;              // of successes
    absl::flat_hash_map<int, uint32_t> worst;  // by label: its slowest
    absl::flat_hash_map<int, uint32_t> best;   // by label: its quickest
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
};

}  // namespace crm::loadgen
