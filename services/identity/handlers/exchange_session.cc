#include "common/base/status.h"
#include "common/base/time.h"
#include "services/identity/secrets.h"
#include "services/identity/service.h"
#include "services/identity/sql.h"
#include "services/identity/store.h"

namespace crm::identity {

// Trades a browser's cookie for an access token.
Async<v1::ExchangeSessionResponse> SessionService::ExchangeSession(Call& call,
                                                                   const v1::ExchangeSessionRequest& request) {
  CRM_CO_TRY(OpenedSecret secret, OpenSecret(request.cookie_secret(), "cs_"));
  const Call own = OwnCall(call, secret.tenant);
  CRM_CO_TRY(pg::Rows rows, co_await identity_.db.Read(own, sql::kFindSession, pg::Params().Id(secret.row)));
  if (rows.empty() || !SameBytes(std::string(rows.Bytes(0, 3)), secret.hash)) {
    co_return NotSignedIn("the session has ended; sign in again");
  }
  CRM_CO_TRY(v1::User user, co_await identity_.db.Get(own, identity_.tables.users, TypeId("user", rows.Id(0, 0))));
  if (user.status() != v1::USER_STATUS_ACTIVE) co_return NotSignedIn("the session has ended; sign in again");
  v1::ExchangeSessionResponse response;
  response.set_session_id(TypeId("session", secret.row));
  response.set_csrf_hash(std::string(rows.Text(0, 4)));
  CRM_CO_TRY(AccessToken token, co_await TokenForUser(identity_, own, user, response.session_id()));
  response.set_access_token(std::move(token.text));
  *response.mutable_expire_time() = ToTimestamp(token.expire_time);
  co_return response;
}

}  // namespace crm::identity
