// How deals go through a pipeline. Pure.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <string>
#include <vector>

#include "crm/deal_pipeline/v1/deal.pb.h"
#include "crm/deal_pipeline/v1/pipeline.pb.h"

namespace crm::deal_pipeline {

// Gives new stages ids and checks that the pipeline can work: at least one open, one won and one lost stage, names and
// ids unique, transitions to stages that exist, required fields that deals have. Errors name the field.
absl::Status CheckPipeline(v1::Pipeline& pipeline, const std::vector<std::string>& new_stage_ids);

// The stage of this id, or nullptr.
const v1::Stage* FindStage(const v1::Pipeline& pipeline, const std::string& stage_id);
// Where deals begin.
const v1::Stage& FirstStage(const v1::Pipeline& pipeline);

// Stages of `before` that `after` has no longer.
std::vector<std::string> RemovedStages(const v1::Pipeline& before, const v1::Pipeline& after);

// Puts a new deal on its stage: the named one or the first; only open ones.
absl::Status Enter(v1::Deal& deal, const v1::Pipeline& pipeline, absl::Time now);

// Puts a deal of the past on any stage of the pipeline with its dates.
absl::Status EnterImported(v1::Deal& deal, const v1::Pipeline& pipeline, const v1::ImportedDeal& imported);

// The deal on its new stage: FAILED_PRECONDITION if the move is not allowed or names of required fields that are empty.
// Moving to the stage it is in is refused too. etag and update_time are the caller's to touch.
absl::StatusOr<v1::Deal> Move(const v1::Deal& before, const v1::Pipeline& pipeline, const v1::MoveDealRequest& request,
                              absl::Time now);

// A change of the board's totals.
struct TotalDelta {
  std::string stage_id;
  std::string owner_id;
  std::string team_id;
  std::string currency_code;
  int count = 0;
  std::string amount;  // a decimal, may be negative
};
// What a change of a deal does to the totals, sorted so that two writers touch rows in one order. nullptr: the deal
// does not exist on that side; deleted deals count for nothing. Without effect: empty.
std::vector<TotalDelta> TotalDeltas(const v1::Deal* before, const v1::Deal* after);

}  // namespace crm::deal_pipeline
