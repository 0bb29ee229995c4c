#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "services/identity/secrets.h"
#include "services/identity/service.h"
#include "services/identity/sql.h"
#include "services/identity/store.h"

namespace crm::identity {

// Trades a refresh token for new tokens. The one before the current one has been used already: whoever holds it, the
// session may be stolen, and ends.
Async<v1::Session> SessionService::RefreshSession(Call& call, const v1::RefreshSessionRequest& request) {
  CRM_CO_TRY(OpenedSecret secret, OpenSecret(request.refresh_token(), "rt_"));
  const Call own = OwnCall(call, secret.tenant);
  CRM_CO_TRY(pg::Rows rows, co_await identity_.db.Read(own, sql::kFindSession, pg::Params().Id(secret.row)));
  if (rows.empty()) co_return NotSignedIn("the session has ended; sign in again");
  const std::string session_id = TypeId("session", secret.row);
  if (SameBytes(std::string(rows.Bytes(0, 2)), secret.hash)) {
    pg::Batch stolen(own);
    stolen.Add(sql::kRevokeSession, pg::Params().Id(own.tenant()).Id(secret.row));
    Revoke(stolen, session_id);
    CRM_CO_TRY(co_await identity_.db.Write(own, std::move(stolen)));
    co_return NotSignedIn("this refresh token was used before, so the session was ended for safety; sign in again");
  }
  if (!SameBytes(std::string(rows.Bytes(0, 1)), secret.hash))
    co_return NotSignedIn("the session has ended; sign in again");

  CRM_CO_TRY(v1::User user, co_await identity_.db.Get(own, identity_.tables.users, TypeId("user", rows.Id(0, 0))));
  if (user.status() != v1::USER_STATUS_ACTIVE) co_return NotSignedIn("the session has ended; sign in again");
  CRM_CO_TRY(AccessToken token, co_await TokenForUser(identity_, own, user, session_id));
  const Secret next = NewSecret(own.tenant(), secret.row, "rt_");
  const absl::Time expire = own.now() + kSessionLife;
  pg::Batch rotate(own);
  rotate.AddGuarded(sql::kRotateSession,
                    pg::Params().Id(own.tenant()).Id(secret.row).Bytes(next.hash).Bytes(secret.hash).Time(expire),
                    session_id);
  CRM_CO_TRY(co_await identity_.db.Write(own, std::move(rotate)));

  v1::Session session;
  session.set_id(session_id);
  session.set_tenant_id(own.principal.tenant_id());
  session.set_user_id(user.id());
  session.set_access_token(std::move(token.text));
  *session.mutable_access_expire_time() = ToTimestamp(token.expire_time);
  session.set_refresh_token(next.text);
  session.set_device(std::string(rows.Text(0, 5)));
  *session.mutable_create_time() = ToTimestamp(rows.Time(0, 6));
  *session.mutable_expire_time() = ToTimestamp(expire);
  co_return session;
}

}  // namespace crm::identity
