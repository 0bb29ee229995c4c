#include "common/base/error.h"
#include "common/base/status.h"
#include "services/identity/service.h"
#include "services/identity/sql.h"
#include "services/identity/store.h"

namespace crm::identity {

// Signs out. Ending what has ended already is no error.
Async<v1::DeleteSessionResponse> SessionService::DeleteSession(Call& call, const v1::DeleteSessionRequest& request) {
  const std::string id = request.id() == "current" ? call.principal.session_id : request.id();
  if (id.empty()) co_return StateError("an API key has no session; delete the key instead");
  CRM_CO_TRY(Uuid session, ParseId(id, "session", "id"));
  CRM_CO_TRY(pg::Rows rows, co_await identity_.db.Read(call, sql::kFindSession, pg::Params().Id(session)));
  if (rows.empty()) {
    // Whether it never was or has ended is not told apart, except to its own user, who may sign out twice.
    if (id == call.principal.session_id) co_return v1::DeleteSessionResponse();
    co_return NotFound(id);
  }
  if (TypeId("user", rows.Id(0, 0)) != call.principal.user_id && !CheckAdministers(call, "user").ok()) {
    co_return NotFound(id);
  }
  co_return co_await identity_.db.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::DeleteSessionResponse> {
    batch.Add(sql::kRevokeSession, pg::Params().Id(call.tenant()).Id(session));
    Revoke(batch, id);
    return v1::DeleteSessionResponse();
  });
}

}  // namespace crm::identity
