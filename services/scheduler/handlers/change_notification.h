// What reading and snoozing have in common.
#pragma once

#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "crm/scheduler/v1/events.pb.h"
#include "services/scheduler/notices.h"
#include "services/scheduler/service.h"
#include "services/scheduler/timers.h"

namespace crm::scheduler {

// `after` is not touched yet. A timer is set for a snoozed one and taken away from one that is not snoozed any more.
inline Async<v1::Notification> StoreNotification(App& app, const Call& own, const v1::Notification& before,
                                                 v1::Notification after) {
  const auto& notifications = app.tables.notifications;
  pg::Touch(own, before, after);
  CRM_CO_TRY(auto stored, co_await app.db.Once(own, [&](pg::Batch& batch) -> absl::StatusOr<v1::Notification> {
    notifications.AddUpdate(batch, before, after);
    if (after.has_snooze_time()) {
      SetTimer(batch,
               {.kind = "notification_snooze", .subject = after.id(), .due = FromTimestamp(after.snooze_time())});
    } else if (before.has_snooze_time()) {
      CancelTimers(batch, after.id());
    }
    v1::NotificationUpdated event;
    *event.mutable_notification() = after;
    pg::NewEvent about = pg::EventOf(notifications, "updated", after);
    about.changed_fields = pg::ChangedFields(before, after);
    batch.Emit(about, event);
    return after;
  }));
  co_return pg::Shown(own, notifications, std::move(stored));
}

}  // namespace crm::scheduler
