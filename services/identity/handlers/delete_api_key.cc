#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/identity/service.h"
#include "services/identity/store.h"

namespace crm::identity {

// Revokes a key.
Async<v1::ApiKey> ApiKeyService::DeleteApiKey(Call& call, const v1::DeleteApiKeyRequest& request) {
  const pg::Table<v1::ApiKey>& keys = identity_.tables.api_keys;
  CRM_CO_TRY(auto change, co_await pg::Deleting(identity_.db, call, keys, request.id(), request.etag()));
  co_return co_await identity_.db.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::ApiKey> {
    batch.Update(keys, change.before, change.after);
    Revoke(batch, change.after.id());
    return change.after;
  });
}

}  // namespace crm::identity
