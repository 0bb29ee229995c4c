#include "services/scheduler/clock.h"

#include "common/base/status.h"
#include "services/scheduler/sql.h"

namespace crm::scheduler {

Async<absl::Time> DueNow(pg::Db& db, const Call& call) {
  CRM_CO_TRY(pg::Rows rows, co_await db.Read(call, sql::kDueNow, pg::Params()));
  co_return rows.Time(0, 0);
}

}  // namespace crm::scheduler
