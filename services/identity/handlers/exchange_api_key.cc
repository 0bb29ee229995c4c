#include "common/base/status.h"
#include "services/identity/service.h"
#include "services/identity/store.h"

namespace crm::identity {

// Trades a key for an access token.
Async<v1::ExchangeApiKeyResponse> ApiKeyService::ExchangeApiKey(Call& call, const v1::ExchangeApiKeyRequest& request) {
  co_return co_await TradeKey(identity_, call, request);
}

}  // namespace crm::identity
