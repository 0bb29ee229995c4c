#include <absl/strings/str_cat.h>

#include "common/app/members.h"
#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/notices.h"
#include "services/scheduler/people.h"
#include "services/scheduler/service.h"
#include "services/scheduler/tasks.h"

namespace crm::scheduler {

namespace telling {

// What is to be opened must be there and the caller's to read, as far as this service can know.
Async<> CheckRecord(App& app, const Call& call, std::string id) {
  if (id.empty()) co_return absl::OkStatus();
  CRM_CO_TRY(ParsedId parsed, ParseId(id));
  if (parsed.prefix == "task") co_return (co_await ReadTask(app, call, id)).status();
  if (parsed.prefix == "reminder") co_return (co_await app.db.Get(call, app.tables.reminders, id)).status();
  if (parsed.prefix == "absence") co_return (co_await app.db.Get(call, app.tables.absences, id)).status();
  co_return absl::OkStatus();
}

}  // namespace telling

// Tells a user something; once per cause.
Async<v1::Notification> NotificationService::CreateNotification(Call& call,
                                                                const v1::CreateNotificationRequest& request) {
  v1::Notification made = request.notification();
  if (made.kind() == v1::NOTIFICATION_KIND_UNSPECIFIED) made.set_kind(v1::NOTIFICATION_KIND_GENERAL);
  CRM_CO_TRY(co_await app::FillTeam(db_, call, made));
  pg::StampNew(call, notifications_, made);
  CRM_CO_TRY(pg::CheckCreate(call, notifications_, made));
  made.clear_team_id();  // the inbox is its owner's alone; the team was needed for the check
  made.set_actor_id(call.principal.user_id);
  if (made.owner_id().empty()) co_return FieldError("notification.owner_id", "is needed: it says who is told");
  CRM_CO_TRY(co_await telling::CheckRecord(app_, call, made.record_id()));
  CRM_CO_TRY(std::optional<Person> person, co_await FindPerson(db_, call, made.owner_id()));
  if (person && !person->active) co_return FieldError("notification.owner_id", "names somebody who has left");
  std::vector<Notice> upwards;
  if (!request.cause().empty()) {
    const std::string cause = absl::StrCat("api:", call.principal.user_id, ":", request.cause());
    made.set_id(DerivedId("notification", made.owner_id(), cause));
    auto told = co_await db_.Get(ServiceCall(call), notifications_, made.id());
    if (told.ok()) co_return told;
  }
  if (made.urgent()) {
    CRM_CO_TRY(std::vector<Person> heads, co_await HeadsOf(db_, call, made.owner_id()));
    if (!heads.empty()) {
      Notice notice;
      notice.recipient_id = heads[0].id;
      notice.kind = made.kind();
      notice.title = made.title();
      notice.text = made.text();
      notice.record_id = made.record_id();
      notice.for_user_id = made.owner_id();
      notice.cause = absl::StrCat(made.id(), ":head");
      upwards.push_back(std::move(notice));
    }
  }
  CRM_CO_TRY(std::vector<v1::Notification> told, co_await PrepareNotices(app_, ServiceCall(call), std::move(upwards)));
  told.push_back(made);
  co_return co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Notification> {
    AddNotices(batch, app_, told);
    return made;
  });
}

}  // namespace crm::scheduler
