// Whether stages may go: no living deal is in them.
#pragma once

#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/pg/db.h"
#include "crm/deal_pipeline/v1/pipeline.pb.h"

namespace crm::deal_pipeline {

// FAILED_PRECONDITION naming the first stage that deals are in.
Async<> CheckStagesUnused(pg::Db& db, const Call& call, const google::protobuf::RepeatedPtrField<v1::Stage>& stages);

}  // namespace crm::deal_pipeline
