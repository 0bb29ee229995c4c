#include "common/pg/records.h"
#include "services/identity/service.h"

namespace crm::identity {

// Answers the caller's own tenant.
Async<v1::Tenant> TenantService::GetTenant(Call& call, const v1::GetTenantRequest&) {
  co_return co_await identity_.db.Get(call, identity_.tables.tenants, call.principal.tenant_id());
}

}  // namespace crm::identity
