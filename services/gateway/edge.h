// Puts the gateway into a process: descriptors, peers, HTTP server, live streams, drain.
#pragma once

#include <absl/status/status.h>

#include "common/app/app.h"

namespace crm::gateway {

// Listens when it returns. What it makes lives as long as the process. An error names what the configuration or the
// descriptor set has wrong.
absl::Status Start(app::Runtime& runtime);

}  // namespace crm::gateway
