// Errors on the HTTP border, as AIP-193 has them: every refusal, the router's and the limiter's too, is
//   {"error": {"code": 404, "status": "NOT_FOUND", "message": "...", "details": [...]}}
#pragma once

#include <absl/status/status.h>

#include <string>
#include <string_view>

#include "services/gateway/http.h"

namespace crm::gateway {

// The HTTP status of a canonical code (google/rpc/code.proto); TOO_LARGE is 413.
unsigned HttpStatus(const absl::Status& status);

// "NOT_FOUND".
std::string_view CodeName(absl::StatusCode code);

// The body of an error answer. `http_status` 0 means HttpStatus(status).
std::string ErrorJson(const absl::Status& status, std::string_view request_id, unsigned http_status = 0);

// The whole answer, with Retry-After where the error says when to come back and WWW-Authenticate for 401.
HttpResponse ErrorResponse(const absl::Status& status, std::string_view request_id, unsigned http_status = 0);

}  // namespace crm::gateway
