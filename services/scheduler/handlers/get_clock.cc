#include "common/base/status.h"
#include "common/base/time.h"
#include "services/scheduler/service.h"
#include "services/scheduler/sql.h"

namespace crm::scheduler {

// What time it is for the tenant's timers.
Async<v1::Clock> ClockService::GetClock(Call& call, const v1::GetClockRequest&) {
  CRM_CO_TRY(pg::Rows rows, co_await db_.Read(call, sql::kReadClock, pg::Params()));
  v1::Clock clock;
  *clock.mutable_now() = ToTimestamp(rows.Time(0, 0));
  clock.set_offset_seconds(static_cast<int>(rows.Int(0, 1)));
  clock.set_due_count(static_cast<int>(rows.Int(0, 2)));
  if (!rows.IsNull(0, 3)) *clock.mutable_next_due_time() = ToTimestamp(rows.Time(0, 3));
  co_return clock;
}

}  // namespace crm::scheduler
