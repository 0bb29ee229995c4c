#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/obs/log.h"
#include "services/analytics/rules/recount.h"
#include "services/analytics/service.h"
#include "services/analytics/store.h"

namespace crm::analytics {
namespace recounting {

// Both sides are held in memory, about 1 kB a row: more would endanger the process for the sake of a check.
constexpr int kRowsMax = 300'000;

absl::Status TooLarge() {
  return StateError(absl::StrCat("the projections have more than ", kRowsMax, " rows, too many to recount at once"),
                    {{"row_count_max", absl::StrCat(kRowsMax)}});
}

// The snapshot's rows; answers the positions that it was taken at.
absl::StatusOr<std::map<std::string, uint64_t>> AddLiving(const pg::Rows& rows, Recount& recount) {
  std::map<std::string, uint64_t> positions;
  if (rows.size() > kRowsMax) return TooLarge();
  for (int i = 0; i < rows.size(); ++i) {
    const std::string table(rows.Text(i, 0));
    std::string text(rows.Text(i, 1));
    if (table != "position") {
      recount.AddLiving(table, std::move(text));
      continue;
    }
    const std::vector<std::string> parts = absl::StrSplit(text, kColumnEnd);
    if (!absl::SimpleAtoi(parts.at(1), &positions[parts[0]])) return absl::InternalError("no position: " + text);
  }
  return positions;
}

absl::Status Apply(const std::vector<events::v1::Event>& events, Recount& recount) {
  for (const auto& event : events) {
    CRM_TRY(recount.Apply(event));
  }
  return recount.row_count() > kRowsMax ? TooLarge() : absl::OkStatus();
}

}  // namespace recounting

// The living projections in one snapshot, then the producers' events up to the positions of that snapshot, page by
// page.
Async<v1::RecountReportsResponse> ReportService::RecountReports(Call& call, const v1::RecountReportsRequest&) {
  Recount recount;
  std::function<void()> work;
  absl::StatusOr<std::map<std::string, uint64_t>> positions;
  {
    CRM_CO_TRY(pg::Rows rows,
               co_await db_.Read(call, LivingStatement(), pg::Params().Int(recounting::kRowsMax + 1), pg::Work::kList));
    work = [&] { positions = recounting::AddLiving(rows, recount); };
    CRM_CO_TRY(co_await offload_(work));
  }
  if (!positions.ok()) co_return positions.status();
  for (const auto& [producer, up_to] : *positions) {
    for (uint64_t seq = 0; seq < up_to;) {
      CRM_CO_TRY(auto events, co_await producers_.Next(call, producer, seq, up_to));
      absl::Status applied;
      work = [&] { applied = recounting::Apply(events, recount); };
      CRM_CO_TRY(co_await offload_(work));
      CRM_CO_TRY(applied);
      seq = events.back().seq();
    }
  }
  Recount::Result result;
  work = [&] { result = recount.Compare(); };
  CRM_CO_TRY(co_await offload_(work));
  if (!result.response.equal()) {
    obs::Log(obs::Level::kError, call, "projections differ from their recount",
             {{"examples", absl::StrJoin(result.examples, "; ")}});
  }
  *result.response.mutable_time() = ToTimestamp(call.now());
  co_return std::move(result.response);
}

}  // namespace crm::analytics
