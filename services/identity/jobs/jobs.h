// Identity's background work.
#pragma once

#include "services/identity/service.h"

namespace crm::identity {

// Forgets access changes that are older than any token: every ten minutes.
Async<> PruneAccessChanges(Identity& identity, Call call);

}  // namespace crm::identity
