// A user's preferences: one record each, named by its user.
#pragma once

#include <string>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// The caller's, or the usual ones without a version.
inline Async<v1::NotificationPreferences> OwnPreferences(App& app, const Call& call) {
  const std::string id = DerivedId("notification_preferences", call.principal.user_id, "preferences");
  auto found = co_await app.db.Get(call, app.tables.preferences, id);
  if (found.ok() || found.status().code() != absl::StatusCode::kNotFound) co_return found;
  v1::NotificationPreferences preferences;
  preferences.set_id(id);
  if (call.principal.kind == Principal::Kind::kUser) preferences.set_user_id(call.principal.user_id);
  co_return preferences;
}

}  // namespace crm::scheduler
