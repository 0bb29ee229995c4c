#include "services/scheduler/handlers/preferences.h"

namespace crm::scheduler {

// How the caller wants to be told.
Async<v1::NotificationPreferences> NotificationService::GetNotificationPreferences(
    Call& call, const v1::GetNotificationPreferencesRequest&) {
  co_return co_await OwnPreferences(app_, call);
}

}  // namespace crm::scheduler
