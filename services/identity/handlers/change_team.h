// A changed team: stored, told, and heard by everyone whose rights reach over it.
#pragma once

#include "services/identity/store.h"

namespace crm::identity {

// Stores `after` (changed, deleted or restored). Members and heads of the team and of the teams above it, before and
// after, get new tokens, because what their team rights cover has changed.
Async<v1::Team> StoreTeam(Identity& identity, const Call& call, v1::Team before, v1::Team after);

}  // namespace crm::identity
