#include "common/app/members.h"
#include "common/base/status.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "crm/identity/v1/events.pb.h"
#include "services/deal_pipeline/consumers/consumers.h"
#include "services/deal_pipeline/rules/packages.h"
#include "services/deal_pipeline/sql.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {
namespace {

absl::Status PutTenant(pg::Batch& batch, const identity::v1::Tenant& tenant, const std::string& administrator_id) {
  Uuid administrator;
  if (!administrator_id.empty()) {
    CRM_TRY(administrator, ParseId(administrator_id, "user", "administrator_id"));
  }
  batch.Add(sql::kPutTenant, pg::Params()
                                 .Id(batch.call().tenant())
                                 .Text(tenant.country_code())
                                 .Text(tenant.currency_code())
                                 .Id(administrator));
  return absl::OkStatus();
}

}  // namespace

void HearIdentity(events::Consumer& consumer, const Tables& tables, pg::Db& db) {
  app::HearMembers(consumer);
  // A new tenant gets its package's pipeline: ids follow from the tenant's, so that hearing it twice makes nothing new.
  consumer.On<identity::v1::TenantCreated>([&tables, &db](const events::Heard& heard,
                                                          const identity::v1::TenantCreated& created,
                                                          pg::Batch& batch) -> Async<> {
    CRM_CO_TRY(PutTenant(batch, created.tenant(), created.administrator().id()));
    v1::Pipeline pipeline = PackagePipeline(created.tenant());
    // Who signed up may have been faster than this event: the same comes of it as if they had been slower.
    CRM_CO_TRY(pg::Rows early,
               co_await db.Read(heard.call, sql::kFindEarlyPipelines, pg::Params().Text(pipeline.name())));
    if (early.Bool(0, 0)) pipeline.set_is_default(false);
    if (early.Bool(0, 1)) co_return absl::OkStatus();
    pg::StampNew(heard.call, tables.pipelines, pipeline);
    batch.Insert(tables.pipelines, pipeline);
    v1::PipelineCreated event;
    *event.mutable_pipeline() = pipeline;
    batch.Emit(pg::EventOf(tables.pipelines, "created", pipeline), event);
    co_return absl::OkStatus();
  });
  consumer.On<identity::v1::TenantUpdated>(
      [](const events::Heard&, const identity::v1::TenantUpdated& updated, pg::Batch& batch) -> Async<> {
        co_return PutTenant(batch, updated.tenant(), "");
      });
}

}  // namespace crm::deal_pipeline
