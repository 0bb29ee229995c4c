#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/time.h"
#include "services/identity/service.h"

namespace crm::identity {

// Answers the database's time.
Async<v1::GetTimeResponse> TimeService::GetTime(Call&, const v1::GetTimeRequest&) {
  if (!TimeIsKnown()) {
    co_return Error(absl::StatusCode::kUnavailable, type::v1::ERROR_REASON_UNAVAILABLE,
                    "The database has not said yet what time it is.");
  }
  v1::GetTimeResponse response;
  *response.mutable_time() = ToTimestamp(Now());
  co_return response;
}

}  // namespace crm::identity
