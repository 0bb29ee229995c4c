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

}  // namespace recounting

// The living projections in one snapshot, then the producers' events up to the positions of that snapshot.
Async<v1::RecountReportsResponse> ReportService::RecountReports(Call& call, const v1::RecountReportsRequest&) {
  Recount recount;
  std::map<std::string, uint64_t> positions;
  {
    CRM_CO_TRY(pg::Rows rows,
               co_await db_.Read(call, LivingStatement(), pg::Params().Int(recounting::kRowsMax + 1), pg::Work::kList));
    if (rows.size() > recounting::kRowsMax) co_return recounting::TooLarge();
    for (int i = 0; i < rows.size(); ++i) {
      const std::string table(rows.Text(i, 0));
      std::string text(rows.Text(i, 1));
      if (table != "position") {
        recount.AddLiving(table, std::move(text));
        continue;
      }
      const std::vector<std::string> parts = absl::StrSplit(text, kColumnEnd);
      if (!absl::SimpleAtoi(parts.at(1), &positions[parts[0]])) co_return absl::InternalError("no position: " + text);
    }
  }
  const std::function<absl::Status(const events::v1::Event&)> apply =
      [&recount](const events::v1::Event& event) -> absl::Status {
    CRM_TRY(recount.Apply(event));
    return recount.row_count() > recounting::kRowsMax ? recounting::TooLarge() : absl::OkStatus();
  };
  for (const auto& [producer, seq] : positions) {
    CRM_CO_TRY(co_await producers_.Replay(call, producer, seq, apply));
  }
  Recount::Result result = recount.Compare();
  if (!result.response.equal()) {
    obs::Log(obs::Level::kError, call, "projections differ from their recount",
             {{"examples", absl::StrJoin(result.examples, "; ")}});
  }
  *result.response.mutable_time() = ToTimestamp(call.now());
  co_return std::move(result.response);
}

}  // namespace crm::analytics
