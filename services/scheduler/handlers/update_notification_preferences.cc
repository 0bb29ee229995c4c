#include <absl/strings/str_cat.h>

#include <set>

#include "services/scheduler/handlers/preferences.h"

namespace crm::scheduler {

// Changes how the caller wants to be told; the first change stores it.
Async<v1::NotificationPreferences> NotificationService::UpdateNotificationPreferences(
    Call& call, const v1::UpdateNotificationPreferencesRequest& request) {
  if (call.principal.kind != Principal::Kind::kUser) co_return StateError("an API key has no inbox to set up");
  CRM_CO_TRY(v1::NotificationPreferences before, co_await OwnPreferences(app_, call));
  const bool stored = !before.etag().empty();
  v1::NotificationPreferences patch = request.notification_preferences();
  patch.set_id(before.id());
  CRM_CO_TRY(v1::NotificationPreferences after,
             pg::Patched(call, before, patch, request.update_mask(), request.etag()));
  std::set<v1::NotificationKind> kinds;
  for (int i = 0; i < after.choices_size(); ++i) {
    if (!kinds.insert(after.choices(i).kind()).second) {
      co_return FieldError(absl::StrCat("notification_preferences.choices[", i, "].kind"), "is there twice");
    }
  }
  if (!stored) {
    after.clear_etag();
    after.clear_create_time();
    after.clear_update_time();
    pg::StampNew(call, preferences_, after);
  }
  co_return co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::NotificationPreferences> {
    if (stored) {
      batch.Update(preferences_, before, after);
    } else {
      batch.Insert(preferences_, after);
    }
    return after;
  });
}

}  // namespace crm::scheduler
