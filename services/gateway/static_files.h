// Files of one folder, for the console: only regular files below it, with types known by extension.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

#include "services/gateway/http.h"

namespace crm::gateway {

inline constexpr char kStaticPrefix[] = "/console/";

// The file that a path under kStaticPrefix names ("/console/" is index.html). NOT_FOUND for everything else, for links
// out of the folder too.
absl::StatusOr<HttpResponse> ServeStatic(const std::string& folder, std::string_view path);

}  // namespace crm::gateway
