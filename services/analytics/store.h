// Projections in PostgreSQL: how changes are written, and what every report reads beside its own statement.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/pg/db.h"
#include "services/analytics/rules/fact.h"
#include "services/analytics/rules/projection.h"
#include "services/analytics/rules/reports.h"

namespace crm::analytics {

// Writes what an event changes and tells live screens; all in the batch that moves the position.
void AddChanges(pg::Batch& batch, const Changes& changes);

// The deal's row as it stands, or nothing.
Async<std::optional<Row>> LoadDeal(pg::Db& db, const Call& call, std::string deal_id);

// Writes a row as its projection's guard says; named after the table.
const pg::Statement& PutStatement(const Projection& projection);

// Everything a tenant's projections hold in one snapshot: (table, row as Row::Text makes it), and for each producer
// ("position", "<producer>" + kColumnEnd + "<seq>" + kColumnEnd). $1: at most this many rows.
const pg::Statement& LivingStatement();

// How far each producer's events are in the projections: "contact:45,deal_pipeline:123".
struct Positions {
  std::map<std::string, uint64_t> by_producer;
  std::string Text() const;
};
int AddPositions(pg::Batch& batch);
Positions PositionsOf(const pg::Rows& rows);

// What a report is about besides its numbers.
struct Setting {
  std::string time_zone;      // of days, when the request names none
  std::string currency_code;  // whose sums decide the order
};
// The caller's; what the call leaves open, as a service's does, is the tenant's.
Async<Setting> SettingOf(pg::Db& db, const Call& call);

// Three parameters that narrow rows to what the caller may see in reports: scope, caller, teams.
pg::Params& AddScope(pg::Params& params, const Call& call);
// A TypeID as a parameter; NULL when it is empty. INVALID_ARGUMENT naming `field` for one of another kind.
absl::Status AddRef(pg::Params& params, const std::string& id, const std::string& prefix, const std::string& field);

// Reports are planned for what is asked: a plan for a month would be wrong for ten years.
pg::Db::ReadOptions ReportOptions();

}  // namespace crm::analytics
