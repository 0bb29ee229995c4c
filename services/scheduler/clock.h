// What time it is for what is due: the database's clock plus the tenant's test offset.
#pragma once

#include <absl/time/time.h>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/pg/db.h"

namespace crm::scheduler {

// Now, for the call's tenant. One round trip.
Async<absl::Time> DueNow(pg::Db& db, const Call& call);

}  // namespace crm::scheduler
