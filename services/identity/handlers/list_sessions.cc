#include "common/base/status.h"
#include "common/base/time.h"
#include "services/identity/service.h"
#include "services/identity/sql.h"
#include "services/identity/store.h"

namespace crm::identity {

// Lists living sessions: one's own, or another user's with the right to administer users.
Async<v1::ListSessionsResponse> SessionService::ListSessions(Call& call, const v1::ListSessionsRequest& request) {
  const std::string user_id = request.user_id().empty() ? call.principal.user_id : request.user_id();
  if (user_id != call.principal.user_id) CRM_CO_TRY(CheckAdministers(call, "user"));
  CRM_CO_TRY(Uuid user, ParseId(user_id, "user", "user_id"));
  CRM_CO_TRY(pg::Rows rows, co_await identity_.db.Read(call, sql::kListSessions, pg::Params().Id(user)));
  v1::ListSessionsResponse response;
  for (int i = 0; i < rows.size(); ++i) {
    auto* session = response.add_sessions();
    session->set_id(TypeId("session", rows.Id(i, 0)));
    session->set_tenant_id(call.principal.tenant_id());
    session->set_user_id(TypeId("user", rows.Id(i, 1)));
    session->set_device(std::string(rows.Text(i, 2)));
    *session->mutable_create_time() = ToTimestamp(rows.Time(i, 3));
    *session->mutable_expire_time() = ToTimestamp(rows.Time(i, 4));
  }
  co_return response;
}

}  // namespace crm::identity
