// What making and changing a webhook have in common.
#pragma once

#include <absl/status/status.h>

#include "common/base/call.h"
#include "crm/messaging/v1/webhook.pb.h"
#include "services/messaging/service.h"

namespace crm::messaging {

// Its address must be one that may be posted to; who sees no personal data cannot have it sent either. Writes the address
// as it is posted to.
absl::Status CheckWebhook(const Call& call, const Messaging& app, v1::Webhook& webhook);

// Deliveries tell of every record, so only the right to read webhooks for all opens them.
bool MaySeeDeliveries(const Call& call);

// The operator has set no key.
absl::Status NoSecretsKept();

}  // namespace crm::messaging
