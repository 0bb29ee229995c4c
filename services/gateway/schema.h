// GET /v1/schema: what a front end needs to build forms, lists and filters without knowing records by name. Derived
// from the descriptor set alone; labels and descriptions are the protos' comments.
#pragma once

#include <string>

#include "services/gateway/api.h"

namespace crm::gateway {

// {"version", "objects": [...], "enums": {...}, "routes": [...]} as JSON text.
std::string SchemaJson(const Api& api);

}  // namespace crm::gateway
