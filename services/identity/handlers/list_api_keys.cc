#include "common/pg/records.h"
#include "services/identity/service.h"

namespace crm::identity {

// Lists keys, without secrets.
Async<v1::ListApiKeysResponse> ApiKeyService::ListApiKeys(Call& call, const v1::ListApiKeysRequest& request) {
  co_return co_await pg::ListShown(identity_.db, call, identity_.tables.api_keys, request,
                                   &v1::ListApiKeysResponse::mutable_api_keys);
}

}  // namespace crm::identity
