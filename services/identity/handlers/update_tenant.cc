#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/identity/v1/events.pb.h"
#include "services/identity/rules/users.h"
#include "services/identity/service.h"

namespace crm::identity {

// Changes the tenant's settings.
Async<v1::Tenant> TenantService::UpdateTenant(Call& call, const v1::UpdateTenantRequest& request) {
  const pg::Table<v1::Tenant>& tenants = identity_.tables.tenants;
  CRM_CO_TRY(v1::Tenant before, co_await identity_.db.Get(call, tenants, call.principal.tenant_id()));
  CRM_CO_TRY(v1::Tenant after, pg::Patched(call, before, request.tenant(), request.update_mask(), request.etag()));
  CRM_CO_TRY(Normalize(after));
  co_return co_await identity_.db.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Tenant> {
    batch.Update(tenants, before, after);
    v1::TenantUpdated event;
    *event.mutable_tenant() = after;
    pg::NewEvent about = pg::EventOf(tenants, "updated", after);
    about.changed_fields = pg::ChangedFields(before, after);
    batch.Emit(about, event);
    return after;
  });
}

}  // namespace crm::identity
