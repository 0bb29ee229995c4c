#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "services/scheduler/service.h"
#include "services/scheduler/sql.h"

namespace crm::scheduler {

namespace advancing {

// Ten years, as the proto says: beyond the horizon of working calendars nothing can be computed.
constexpr int64_t kOffsetMax = int64_t{3650} * 86400;

}  // namespace advancing

// Moves the tenant's clock forward, where the configuration allows it.
Async<v1::Clock> ClockService::AdvanceClock(Call& call, const v1::AdvanceClockRequest& request) {
  if (!app_.test_clock) {
    co_return StateError(
        "this system's clock cannot be moved; set scheduler.test_clock in the configuration of a test system");
  }
  CRM_CO_TRY(pg::Rows rows, co_await db_.Read(call, sql::kReadClock, pg::Params()));
  const int64_t offset = rows.Int(0, 1) + request.seconds();
  if (offset > advancing::kOffsetMax)
    co_return FieldError("seconds", "would move the clock by more than ten years in all");
  v1::Clock clock;
  clock.set_offset_seconds(static_cast<int>(offset));
  *clock.mutable_now() = ToTimestamp(rows.Time(0, 0) + absl::Seconds(request.seconds()));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Clock> {
    batch.Add(sql::kAdvanceClock, pg::Params().Id(call.tenant()).Int(call.tenant().bucket()).Int(request.seconds()));
    return clock;
  }));
  CRM_CO_TRY(v1::Clock now, co_await GetClock(call, v1::GetClockRequest()));
  stored.set_due_count(now.due_count());
  if (now.has_next_due_time()) *stored.mutable_next_due_time() = now.next_due_time();
  co_return stored;
}

}  // namespace crm::scheduler
