// A recount: the projections of one tenant made anew in memory from the producers' events, by the same rules as the
// living ones, and compared with these row by row.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>
#include <absl/strings/string_view.h>

#include <map>
#include <string>
#include <vector>

#include "crm/analytics/v1/report.pb.h"
#include "crm/events/v1/event.pb.h"
#include "services/analytics/rules/fact.h"

namespace crm::analytics {

class Recount {
 public:
  Recount();

  // In order of each producer's numbers. Events that nobody hears have no effect. DATA_LOSS for one that cannot be
  // read.
  absl::Status Apply(const events::v1::Event& event);

  // A row of the living projection, as its text.
  void AddLiving(const std::string& table, std::string text);

  size_t row_count() const { return row_count_; }

  struct Result {
    v1::RecountReportsResponse response;  // without its time
    std::vector<std::string> examples;    // a few rows that differ, for the log
  };
  Result Compare() const;

 private:
  struct Facts {
    const Projection* projection;
    absl::flat_hash_map<std::string, Row> rows;  // by key
    absl::flat_hash_map<std::string, std::string> living;
  };
  const Row* DealOf(const events::v1::Event& event) const;
  void Put(const Row& row);

  std::map<std::string, Facts> facts_;
  size_t row_count_ = 0;
};

}  // namespace crm::analytics
