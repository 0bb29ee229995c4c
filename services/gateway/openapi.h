// GET /openapi.json: the REST surface as OpenAPI 3.1 (spec.openapis.org/oas/v3.1.0), made from the descriptor set and
// its comments: operations, parameters, bodies, rules, references, errors.
#pragma once

#include <string>

#include "services/gateway/api.h"

namespace crm::gateway {

std::string OpenApiJson(const Api& api);

}  // namespace crm::gateway
