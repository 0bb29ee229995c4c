// How reminders are written: the row with its timer (kind `reminder`, the reminder's id as subject) and event.
#pragma once

#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/pg/batch.h"
#include "crm/scheduler/v1/reminder.pb.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// A reminder that is to be made: stamped, with its team. Whether the caller may make it is the caller's to check.
Async<v1::Reminder> PrepareReminder(App& app, const Call& call, v1::Reminder reminder);
void AddReminder(pg::Batch& batch, const App& app, const v1::Reminder& reminder);
// `what`: updated, fired or cancelled; `after` touched.
void ChangeReminder(pg::Batch& batch, const App& app, const v1::Reminder& before, const v1::Reminder& after,
                    const std::string& what, type::v1::Action action = type::v1::ACTION_UPDATE);

// What reminders are linked to; those that are given must all match.
struct ReminderLinks {
  std::string task_id, contact_id, company_id, deal_id, lead_id, conversation_id;
  bool empty() const;
};
// At most 500 pending reminders with these links that `stop` calls off (UNSPECIFIED: all), within the call's scope; nearest
// due time first.
Async<std::vector<v1::Reminder>> FindPending(App& app, const Call& call, ReminderLinks links, v1::ReminderStop stop);
// Calls them off, each guarded by its revision.
void CancelPending(pg::Batch& batch, const App& app, const std::vector<v1::Reminder>& reminders,
                   const std::string& reason);

// The record that a reminder is about: what a click on it opens.
std::string RecordOf(const v1::Reminder& reminder);

}  // namespace crm::scheduler
