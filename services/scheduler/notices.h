// Telling people: notifications made ready by reads, then written with the state that causes them.
//
//   CRM_CO_TRY(auto told, co_await PrepareNotices(app, call, {{.recipient_id = ..., .say = Say::kTaskDone, ...}}));
//   co_return co_await db.Once(call, [&](pg::Batch& batch) { ...; AddNotices(batch, app, told); ... });
#pragma once

#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/pg/batch.h"
#include "crm/scheduler/v1/notification.pb.h"
#include "services/scheduler/rules/texts.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Who is to be told what. The sentence is said in the recipient's language; `title` says it outright instead.
struct Notice {
  std::string recipient_id;  // user
  v1::NotificationKind kind = v1::NOTIFICATION_KIND_GENERAL;
  Say say = Say::kTaskAssigned;
  std::vector<std::string> arguments = {};
  std::string title = {};
  std::string text = {};
  bool urgent = false;           // the recipient's head is told, too
  std::string record_id = {};    // what to open
  std::string for_user_id = {};  // in whose stead
  // What happened; the same cause reaches the same user once, however often it is prepared.
  std::string cause = {};
};

// The notifications of those who are there to be told and want to be: nobody who has left, nobody twice, nothing that was told
// before by the same cause.
Async<std::vector<v1::Notification>> PrepareNotices(App& app, const Call& call, std::vector<Notice> notices);
void AddNotices(pg::Batch& batch, const App& app, const std::vector<v1::Notification>& notifications);

// Whether a user with these choices hears of a kind on the screen, and by e-mail.
v1::NotificationChoice ChoiceOf(const v1::NotificationPreferences& preferences, v1::NotificationKind kind, bool urgent);

// The call of someone who deals with their own inbox: their rights are those of its owner and no more, whoever they are.
Call InboxCall(const Call& call);

}  // namespace crm::scheduler
