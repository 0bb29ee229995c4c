#include "services/deal_pipeline/rules/stages.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "common/base/decimal.h"
#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"

namespace crm::deal_pipeline {
namespace {

// Whether a field of the deal is filled in.
bool IsFilled(const v1::Deal& deal, const google::protobuf::FieldDescriptor* field) {
  const auto* reflection = deal.GetReflection();
  if (field->is_repeated()) return reflection->FieldSize(deal, field) > 0;
  return reflection->HasField(deal, field);
}

void SetStage(v1::Deal& deal, const v1::Stage& stage, absl::Time enter, absl::Time close,
              const std::string& lost_reason) {
  deal.set_stage_id(stage.id());
  *deal.mutable_stage_enter_time() = ToTimestamp(enter);
  deal.clear_won_time();
  deal.clear_lost_time();
  deal.clear_lost_reason();
  switch (stage.kind()) {
    case v1::STAGE_KIND_WON:
      deal.set_status(v1::DEAL_STATUS_WON);
      *deal.mutable_won_time() = ToTimestamp(close);
      break;
    case v1::STAGE_KIND_LOST:
      deal.set_status(v1::DEAL_STATUS_LOST);
      *deal.mutable_lost_time() = ToTimestamp(close);
      deal.set_lost_reason(lost_reason);
      break;
    default:
      deal.set_status(v1::DEAL_STATUS_OPEN);
  }
}

}  // namespace

absl::Status CheckPipeline(v1::Pipeline& pipeline, const std::vector<std::string>& new_stage_ids) {
  std::set<std::string> names, ids;
  std::map<v1::StageKind, int> kinds;
  size_t next_id = 0;
  for (int i = 0; i < pipeline.stages_size(); ++i) {
    v1::Stage& stage = *pipeline.mutable_stages(i);
    const std::string at = absl::StrCat("pipeline.stages[", i, "]");
    if (stage.id().empty()) stage.set_id(new_stage_ids.at(next_id++));
    if (!ids.insert(stage.id()).second) return FieldError(at + ".id", "stands twice; leave it out for a new stage");
    if (!names.insert(stage.name()).second)
      return FieldError(at + ".name", "stands twice; name each stage differently");
    for (int j = 0; j < stage.required_fields_size(); ++j) {
      if (v1::Deal::descriptor()->FindFieldByName(stage.required_fields(j)) == nullptr) {
        return FieldError(absl::StrCat(at, ".required_fields[", j, "]"),
                          absl::StrCat("a deal has no field \"", stage.required_fields(j), "\""));
      }
    }
    ++kinds[stage.kind()];
  }
  for (int i = 0; i < pipeline.stages_size(); ++i) {
    for (int j = 0; j < pipeline.stages(i).next_stage_ids_size(); ++j) {
      if (ids.contains(pipeline.stages(i).next_stage_ids(j))) continue;
      return FieldError(absl::StrCat("pipeline.stages[", i, "].next_stage_ids[", j, "]"),
                        "is no stage of this pipeline");
    }
  }
  if (kinds[v1::STAGE_KIND_OPEN] == 0) return FieldError("pipeline.stages", "has no open stage for deals to begin in");
  if (kinds[v1::STAGE_KIND_WON] == 0) return FieldError("pipeline.stages", "has no won stage");
  if (kinds[v1::STAGE_KIND_LOST] == 0) return FieldError("pipeline.stages", "has no lost stage");
  return absl::OkStatus();
}

const v1::Stage* FindStage(const v1::Pipeline& pipeline, const std::string& stage_id) {
  for (const auto& stage : pipeline.stages()) {
    if (stage.id() == stage_id) return &stage;
  }
  return nullptr;
}

const v1::Stage& FirstStage(const v1::Pipeline& pipeline) {
  for (const auto& stage : pipeline.stages()) {
    if (stage.kind() == v1::STAGE_KIND_OPEN) return stage;
  }
  return pipeline.stages(0);
}

std::vector<std::string> RemovedStages(const v1::Pipeline& before, const v1::Pipeline& after) {
  std::vector<std::string> removed;
  for (const auto& stage : before.stages()) {
    if (FindStage(after, stage.id()) == nullptr) removed.push_back(stage.id());
  }
  return removed;
}

absl::Status Enter(v1::Deal& deal, const v1::Pipeline& pipeline, absl::Time now) {
  const v1::Stage* stage = deal.stage_id().empty() ? &FirstStage(pipeline) : FindStage(pipeline, deal.stage_id());
  if (stage == nullptr) return FieldError("deal.stage_id", "is no stage of the deal's pipeline");
  if (stage->kind() != v1::STAGE_KIND_OPEN) {
    return FieldError("deal.stage_id", "is not open; a deal begins in an open stage and is then moved");
  }
  SetStage(deal, *stage, now, now, "");
  *deal.mutable_open_time() = ToTimestamp(now);
  return absl::OkStatus();
}

absl::Status EnterImported(v1::Deal& deal, const v1::Pipeline& pipeline, const v1::ImportedDeal& imported) {
  const v1::Stage* stage = deal.stage_id().empty() ? &FirstStage(pipeline) : FindStage(pipeline, deal.stage_id());
  if (stage == nullptr) return FieldError("deal.stage_id", "is no stage of the deal's pipeline");
  const absl::Time open = FromTimestamp(imported.open_time());
  if (stage->kind() == v1::STAGE_KIND_OPEN) {
    SetStage(deal, *stage, open, open, "");
  } else {
    if (!imported.has_close_time())
      return FieldError("close_time", "is missing; a won or lost deal has been closed once");
    const absl::Time close = FromTimestamp(imported.close_time());
    if (close < open) return FieldError("close_time", "is before open_time");
    SetStage(deal, *stage, close, close, imported.lost_reason());
  }
  *deal.mutable_open_time() = ToTimestamp(open);
  return absl::OkStatus();
}

absl::StatusOr<v1::Deal> Move(const v1::Deal& before, const v1::Pipeline& pipeline, const v1::MoveDealRequest& request,
                              absl::Time now) {
  const v1::Stage* to = FindStage(pipeline, request.stage_id());
  if (to == nullptr)
    return FieldError("stage_id", absl::StrCat("is no stage of the pipeline \"", pipeline.name(), "\""));
  if (to->id() == before.stage_id()) {
    return StateError(absl::StrCat("the deal is already in \"", to->name(), "\""), {{"stage_id", to->id()}});
  }
  const v1::Stage* from = FindStage(pipeline, before.stage_id());
  if (from != nullptr && from->next_stage_ids_size() > 0 &&
      std::find(from->next_stage_ids().begin(), from->next_stage_ids().end(), to->id()) ==
          from->next_stage_ids().end()) {
    std::vector<std::string> allowed;
    for (const auto& id : from->next_stage_ids()) {
      if (const auto* stage = FindStage(pipeline, id)) allowed.push_back(absl::StrCat("\"", stage->name(), "\""));
    }
    return Error(absl::StatusCode::kFailedPrecondition, type::v1::ERROR_REASON_TRANSITION_NOT_ALLOWED,
                 absl::StrCat("a deal in \"", from->name(), "\" cannot move to \"", to->name(), "\", only to ",
                              absl::StrJoin(allowed, ", ")),
                 {{"from", from->id()}, {"to", to->id()}, {"allowed", absl::StrJoin(from->next_stage_ids(), ",")}});
  }

  v1::Deal after = before;
  SetStage(after, *to, now, now, request.lost_reason());
  std::vector<FieldViolation> missing;
  std::vector<std::string> names;
  for (const auto& name : to->required_fields()) {
    const auto* field = v1::Deal::descriptor()->FindFieldByName(name);
    if (field == nullptr || IsFilled(after, field)) continue;
    missing.push_back(
        {absl::StrCat("deal.", name), absl::StrCat("must be filled in before a deal enters \"", to->name(), "\"")});
    names.push_back(name);
  }
  if (to->kind() == v1::STAGE_KIND_LOST && pipeline.lost_reasons_size() > 0 && request.lost_reason().empty()) {
    missing.push_back({"lost_reason", "is needed for a lost deal; choose one of the pipeline's lost_reasons"});
    names.push_back("lost_reason");
  }
  if (!missing.empty()) {
    absl::Status status =
        Error(absl::StatusCode::kFailedPrecondition, type::v1::ERROR_REASON_FIELDS_REQUIRED,
              absl::StrCat("fill in ", absl::StrJoin(names, ", "), " before moving the deal to \"", to->name(), "\""),
              {{"fields", absl::StrJoin(names, ",")}, {"stage_id", to->id()}});
    for (auto& violation : missing) AddViolation(status, std::move(violation));
    return status;
  }
  return after;
}

std::vector<TotalDelta> TotalDeltas(const v1::Deal* before, const v1::Deal* after) {
  std::map<std::tuple<std::string, std::string, std::string, std::string>, std::pair<int, Decimal>> deltas;
  const auto count = [&](const v1::Deal* deal, int sign) {
    if (deal == nullptr || deal->has_delete_time()) return;
    auto& [n, sum] = deltas[{deal->stage_id(), deal->owner_id(), deal->team_id(), deal->amount().currency_code()}];
    n += sign;
    if (deal->has_amount()) {
      if (auto amount = Decimal::Parse(deal->amount().amount()); amount.ok()) sum += sign > 0 ? *amount : -*amount;
    }
  };
  count(before, -1);
  count(after, +1);
  std::vector<TotalDelta> result;
  for (const auto& [key, change] : deltas) {
    if (change.first == 0 && change.second.IsZero()) continue;
    const auto& [stage, owner, team, currency] = key;
    result.push_back({stage, owner, team, currency, change.first, change.second.ToString()});
  }
  return result;
}

}  // namespace crm::deal_pipeline
