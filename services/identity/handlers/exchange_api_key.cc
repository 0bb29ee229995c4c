#include "common/base/status.h"
#include "common/base/time.h"
#include "services/identity/secrets.h"
#include "services/identity/service.h"
#include "services/identity/sql.h"
#include "services/identity/store.h"

namespace crm::identity {

// Trades a key for an access token.
Async<v1::ExchangeApiKeyResponse> ApiKeyService::ExchangeApiKey(Call& call, const v1::ExchangeApiKeyRequest& request) {
  CRM_CO_TRY(OpenedSecret secret, OpenSecret(request.secret(), "crm_"));
  const Call own = OwnCall(call, secret.tenant);
  CRM_CO_TRY(pg::Rows rows, co_await identity_.db.Read(own, sql::kFindApiKeySecret, pg::Params().Id(secret.row)));
  if (rows.empty() || !SameBytes(std::string(rows.Bytes(0, 0)), secret.hash)) {
    co_return NotSignedIn("there is no such API key");
  }
  auto key = co_await identity_.db.Get(own, identity_.tables.api_keys, TypeId("key", secret.row));
  if (absl::IsNotFound(key.status())) co_return NotSignedIn("the API key was revoked");
  if (!key.ok()) co_return key.status();
  if (key->has_expire_time() && FromTimestamp(key->expire_time()) <= own.now()) {
    co_return NotSignedIn("the API key has expired; make a new one");
  }
  CRM_CO_TRY(AccessToken token, co_await TokenForKey(identity_, own, *key));
  v1::ExchangeApiKeyResponse response;
  response.set_access_token(std::move(token.text));
  *response.mutable_expire_time() = ToTimestamp(token.expire_time);
  co_return response;
}

}  // namespace crm::identity
