#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "services/identity/secrets.h"
#include "services/identity/service.h"
#include "services/identity/sql.h"
#include "services/identity/store.h"

namespace crm::identity {

// Makes a key. The stored reply has no secret, so a repeat answers the same key without it.
Async<v1::ApiKey> ApiKeyService::CreateApiKey(Call& call, const v1::CreateApiKeyRequest& request) {
  v1::ApiKey key = request.api_key();
  key.clear_secret();
  CRM_CO_TRY(co_await CheckRoles(identity_, call, key.role_ids(), "api_key.role_ids"));
  if (key.has_expire_time() && FromTimestamp(key.expire_time()) <= call.now()) {
    co_return FieldError("api_key.expire_time", "has passed; choose a later time or leave it out");
  }
  pg::StampNew(call, identity_.tables.api_keys, key);
  const Secret secret = NewSecret(call.tenant(), UuidOf(key.id()), "crm_");
  CRM_CO_TRY(auto made, co_await identity_.db.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::ApiKey> {
    batch.Insert(identity_.tables.api_keys, key);
    batch.Add(sql::kPutApiKeySecret, pg::Params().Id(call.tenant()).Id(UuidOf(key.id())).Bytes(secret.hash));
    return key;
  }));
  if (made.id() == key.id()) made.set_secret(secret.text);
  co_return made;
}

}  // namespace crm::identity
