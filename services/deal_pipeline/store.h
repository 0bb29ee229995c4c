// How deals and products are written: the row with its stage visits, board totals, external ids and event, always
// together.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/pg/db.h"
#include "common/pg/external_ids.h"
#include "common/pg/table.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "services/deal_pipeline/rules/stages.h"
#include "services/deal_pipeline/service.h"

namespace crm::deal_pipeline {

inline Uuid UuidOf(const std::string& id) { return id.empty() ? Uuid{} : ParseId(id)->uuid; }

// Board totals are spread over this many rows per stage, owner and currency.
inline constexpr int kTotalSlices = 4;

void AddTotals(pg::Batch& batch, const v1::Deal* before, const v1::Deal* after);
void BeginVisit(pg::Batch& batch, const v1::Deal& deal, const std::string& stage_name, const std::string& actor_id);

// A new deal with its first visit, totals, external ids and deal.created.
void AddDeal(pg::Batch& batch, const pg::Table<v1::Deal>& deals, const v1::Deal& deal, const v1::Pipeline& pipeline,
             bool imported);

// A changed deal in the same stage, with `event` of type deal.<what>.
void ChangeDeal(pg::Batch& batch, const pg::Table<v1::Deal>& deals, const v1::Deal& before, const v1::Deal& after,
                const std::string& what, const google::protobuf::Message& event,
                type::v1::Action action = type::v1::ACTION_UPDATE);

// A new product with its external ids and product.created.
void AddProduct(pg::Batch& batch, const pg::Table<v1::Product>& products, const v1::Product& product);

// A new lead with lead.created; a changed one with `event` of type lead.<what>.
void AddLead(pg::Batch& batch, const pg::Table<v1::Lead>& leads, const v1::Lead& lead);
void ChangeLead(pg::Batch& batch, const pg::Table<v1::Lead>& leads, const v1::Lead& before, const v1::Lead& after,
                const std::string& what, const google::protobuf::Message& event);
// FAILED_PRECONDITION unless the lead still waits.
absl::Status CheckNew(const v1::Lead& lead);

// Whether another default pipeline was stored since this batch took the mark from the former one: a lost race.
bool OtherDefaultCame(const absl::Status& status);

// A form with the public address that it posts to.
v1::Form WithPath(const Call& call, v1::Form form);

// The pipeline of this id, or the tenant's default one when the id is empty. `field` names it in errors.
Async<v1::Pipeline> PipelineOf(pg::Db& db, const Call& call, const pg::Table<v1::Pipeline>& pipelines, std::string id,
                               std::string field);

// The products of the deals' lines, by id.
Async<std::map<std::string, v1::Product>> ProductsOf(pg::Db& db, const Call& call,
                                                     const pg::Table<v1::Product>& products,
                                                     std::vector<const v1::Deal*> deals);

}  // namespace crm::deal_pipeline
