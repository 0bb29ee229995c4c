#include "common/base/status.h"
#include "services/identity/service.h"
#include "services/identity/store.h"

namespace crm::identity {

// Says who is signed in, with what rights, in which zone and language.
Async<v1::CurrentSession> SessionService::GetCurrentSession(Call& call, const v1::GetCurrentSessionRequest&) {
  CRM_CO_TRY(v1::Tenant tenant, co_await identity_.db.Get(call, identity_.tables.tenants, call.principal.tenant_id()));
  v1::CurrentSession session;
  session.set_session_id(call.principal.session_id);
  session.set_tenant_id(tenant.id());
  session.set_tenant_name(tenant.name());
  session.set_user_id(call.principal.user_id);
  session.set_time_zone(tenant.time_zone());
  session.set_language(tenant.language());
  session.set_currency_code(tenant.currency_code());
  session.set_country_code(tenant.country_code());
  session.set_team_id(call.principal.team_id);
  for (const auto& role : call.principal.role_ids) session.add_role_ids(role);
  for (const auto& [key, scope] : call.principal.rights->scopes()) {
    auto* grant = session.add_grants();
    grant->set_object(key.first);
    grant->set_action(key.second);
    grant->set_scope(scope);
  }
  session.set_personal_data(call.principal.rights->personal_data);
  session.set_schema_version(SchemaVersion());
  if (call.principal.kind == Principal::Kind::kUser) {
    CRM_CO_TRY(v1::User user, co_await identity_.db.Get(call, identity_.tables.users, call.principal.user_id));
    session.set_display_name(user.display_name());
    session.set_email(user.email());
    if (!user.time_zone().empty()) session.set_time_zone(user.time_zone());
    if (!user.language().empty()) session.set_language(user.language());
  } else {
    CRM_CO_TRY(v1::ApiKey key, co_await identity_.db.Get(call, identity_.tables.api_keys, call.principal.user_id));
    session.set_display_name(key.name());
  }
  co_return session;
}

}  // namespace crm::identity
