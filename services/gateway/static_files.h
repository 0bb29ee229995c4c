// Files of folders that the configuration names, for the console: only regular files below them, with types known by
// extension.
#pragma once

#include <absl/status/statusor.h>
#include <google/protobuf/repeated_field.h>

#include <string>
#include <string_view>

#include "services/gateway/http.h"

namespace crm::gateway {

using Folders = google::protobuf::RepeatedPtrField<std::string>;

// The file that a path names in the first folder that has it; "/" and "/x/" name their index.html. NOT_FOUND for
// everything else, for links out of a folder too. The answer allows scripts, styles and calls of this origin only.
absl::StatusOr<HttpResponse> ServeStatic(const Folders& folders, std::string_view path);

}  // namespace crm::gateway
