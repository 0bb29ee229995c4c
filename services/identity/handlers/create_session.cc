#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "common/pg/records.h"
#include "services/identity/secrets.h"
#include "services/identity/service.h"
#include "services/identity/sql.h"
#include "services/identity/store.h"

namespace crm::identity {

namespace {

// After this many failures in a row a login is closed until 15 minutes have passed since the last one.
constexpr int64_t kFailuresMax = 10;
constexpr absl::Duration kLockout = absl::Minutes(15);

}  // namespace

// Signs in. An unknown login, a wrong password and a suspended user look alike and take the same time.
Async<v1::Session> SessionService::CreateSession(Call& call, const v1::CreateSessionRequest& request) {
  const std::string login = CaseFold(Squeezed(request.login()));
  pg::Batch batch(call);
  batch.Add(sql::kFindLogin, pg::Params().Text(login));
  batch.Add(sql::kFindFailures, pg::Params().Text(login));
  CRM_CO_TRY(auto found, co_await identity_.db.Read(call, std::move(batch)));
  if (!found[1].empty() && found[1].Int(0, 0) >= kFailuresMax) {
    const absl::Duration left = found[1].Time(0, 1) + kLockout - call.now();
    if (left > absl::ZeroDuration()) {
      absl::Status locked = Error(absl::StatusCode::kResourceExhausted, type::v1::ERROR_REASON_LOCKED_OUT,
                                  "too many failed sign-ins; wait, or ask an administrator");
      SetRetryDelay(locked, absl::ToChronoMilliseconds(left));
      co_return locked;
    }
  }

  Call own = OwnCall(call, found[0].empty() ? Uuid{} : found[0].Id(0, 0));
  std::string hash;
  v1::User user;
  if (!found[0].empty()) {
    const Uuid id = found[0].Id(0, 1);
    CRM_CO_TRY(pg::Rows rows, co_await identity_.db.Read(own, sql::kFindCredential, pg::Params().Id(id)));
    if (!rows.empty()) hash = std::string(rows.Text(0, 0));
    CRM_CO_TRY(user, co_await identity_.db.Get(own, identity_.tables.users, TypeId("user", id)));
  }
  CRM_CO_TRY(bool right, co_await CheckPasswordHash(identity_, hash, request.password()));
  pg::Batch note(call);
  const bool admitted = right && user.status() == v1::USER_STATUS_ACTIVE;
  if (!admitted || !found[1].empty()) {
    note.Add(admitted ? sql::kClearFailures : sql::kAddFailure, pg::Params().Text(login));
    CRM_CO_TRY(co_await identity_.db.Write(call, std::move(note)));
  }
  if (!admitted) co_return WrongCredentials();
  co_return co_await OpenSession(identity_, own, user, request.cookie(), request.device());
}

}  // namespace crm::identity
