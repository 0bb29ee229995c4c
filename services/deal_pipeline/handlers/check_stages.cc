#include "services/deal_pipeline/handlers/check_stages.h"

#include <absl/strings/str_cat.h>

#include "common/base/error.h"
#include "common/base/status.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/sql.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

Async<> CheckStagesUnused(pg::Db& db, const Call& call, const google::protobuf::RepeatedPtrField<v1::Stage>& stages) {
  std::vector<Uuid> ids;
  for (const auto& stage : stages) ids.push_back(UuidOf(stage.id()));
  if (ids.empty()) co_return absl::OkStatus();
  CRM_CO_TRY(pg::Rows rows, co_await db.Read(call, sql::kStagesInUse, pg::Params().IdArray(ids), pg::Work::kList));
  if (rows.empty()) co_return absl::OkStatus();
  const std::string used = TypeId("stage", rows.Id(0, 0));
  for (const auto& stage : stages) {
    if (stage.id() != used) continue;
    co_return StateError(
        absl::StrCat("deals are in the stage \"", stage.name(), "\"; move them to another stage first"),
        {{"stage_id", used}});
  }
  co_return absl::OkStatus();
}

}  // namespace crm::deal_pipeline
