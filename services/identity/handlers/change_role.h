// A changed role: stored, told, and written down for every process.
#pragma once

#include "services/identity/store.h"

namespace crm::identity {

Async<v1::Role> StoreRole(Identity& identity, const Call& call, v1::Role before, v1::Role after);

}  // namespace crm::identity
