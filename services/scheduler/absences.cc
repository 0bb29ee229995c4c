#include "services/scheduler/absences.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "crm/scheduler/v1/events.pb.h"
#include "services/scheduler/people.h"
#include "services/scheduler/tasks.h"

namespace crm::scheduler {

namespace absent {

std::string DaysText(const v1::Absence& absence) {
  if (absence.start_date() == absence.end_date()) return absence.start_date();
  return absl::StrCat(absence.start_date(), " – ", absence.end_date());
}

}  // namespace absent

absl::Status CheckAbsence(const v1::Absence& absence) {
  auto first = ParseDate(absence.start_date());
  auto last = ParseDate(absence.end_date());
  if (!first.ok()) return FieldError("absence.start_date", "is a day that no calendar has");
  if (!last.ok()) return FieldError("absence.end_date", "is a day that no calendar has");
  if (*last < *first) return FieldError("absence.end_date", "lies before start_date");
  if (*last - *first >= kAbsenceDaysMax) {
    return FieldError("absence.end_date", absl::StrCat("is more than ", kAbsenceDaysMax, " days after start_date"));
  }
  if (!absence.owner_id().empty() && absence.substitute_id() == absence.owner_id()) {
    return FieldError("absence.substitute_id", "names the person who is away; name a colleague");
  }
  return absl::OkStatus();
}

Async<v1::Absence> StoreAbsence(App& app, Call& call, v1::Absence before, v1::Absence after, type::v1::Action action,
                                std::vector<Notice> notices) {
  const auto& absences = app.tables.absences;
  CRM_CO_TRY(std::vector<v1::Notification> told, co_await PrepareNotices(app, ServiceCall(call), std::move(notices)));
  CRM_CO_TRY(auto stored, co_await app.db.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Absence> {
    absences.AddUpdate(batch, before, after, action);
    v1::AbsenceUpdated event;
    *event.mutable_absence() = after;
    pg::NewEvent about = pg::EventOf(absences, "updated", after);
    about.changed_fields = pg::ChangedFields(before, after);
    batch.Emit(about, event);
    AddNotices(batch, app, told);
    return after;
  }));
  co_return co_await ShownAbsence(app, call, std::move(stored));
}

Async<v1::Absence> ShownAbsence(App& app, const Call& call, v1::Absence absence) {
  const Call all = ServiceCall(call);
  const bool stands =
      absence.status() == v1::ABSENCE_STATUS_REQUESTED || absence.status() == v1::ABSENCE_STATUS_APPROVED;
  if (stands && !absence.owner_id().empty()) {
    pg::ListArgs args;
    args.where =
        "t.status IN (1, 2) AND t.end_date >= $1::date AND t.start_date <= $2::date AND t.owner_id <> $3 AND "
        "(t.team_id = $4 OR t.owner_id = $5)";
    args.where_params.Text(absence.start_date()).Text(absence.end_date()).Id(UuidOf(absence.owner_id()));
    for (const std::string* id : {&absence.team_id(), &absence.substitute_id()}) {
      if (id->empty()) {
        args.where_params.Null();
      } else {
        args.where_params.Id(UuidOf(*id));
      }
    }
    args.default_order = "start_date";
    CRM_CO_TRY(auto others, co_await app.db.List(all, app.tables.absences, std::move(args)));
    for (const v1::Absence& other : others.items) {
      v1::CoverageConflict& conflict = *absence.add_conflicts();
      if (pg::MayDo(call, app.tables.absences, other, type::v1::ACTION_READ)) conflict.set_absence_id(other.id());
      conflict.set_user_id(other.owner_id());
      conflict.set_substitute(other.owner_id() == absence.substitute_id());
      conflict.set_start_date(std::max(other.start_date(), absence.start_date()));
      conflict.set_end_date(std::min(other.end_date(), absence.end_date()));
      conflict.set_approved(other.status() == v1::ABSENCE_STATUS_APPROVED);
    }
    CRM_CO_TRY(WorkCalendar calendar, co_await CalendarOf(app, all, absence.owner_id()));
    auto first = ParseDate(absence.start_date());
    auto last = ParseDate(absence.end_date());
    if (first.ok() && last.ok()) {
      pg::ListArgs tasks;
      tasks.where = "t.owner_id = $1 AND t.status IN (1, 2) AND t.due_time >= $2 AND t.due_time < $3";
      tasks.where_params.Id(UuidOf(absence.owner_id()))
          .Time(StartOfDay(*first, calendar.zone))
          .Time(StartOfDay(*last + 1, calendar.zone));
      tasks.page_size = 1;
      tasks.count = type::v1::COUNT_EXACT;
      CRM_CO_TRY(auto page, co_await app.db.List(all, app.tables.tasks, std::move(tasks)));
      absence.set_task_count(page.total_size.value_or(0));
    }
  }
  co_return pg::Shown(call, app.tables.absences, std::move(absence));
}

Async<std::vector<Notice>> ToHead(App& app, const Call& call, v1::Absence absence) {
  std::vector<Notice> notices;
  CRM_CO_TRY(std::vector<Person> heads, co_await HeadsOf(app.db, call, absence.owner_id()));
  CRM_CO_TRY(std::optional<Person> person, co_await FindPerson(app.db, call, absence.owner_id()));
  if (heads.empty() || heads[0].id == call.principal.user_id) co_return notices;
  Notice notice;
  notice.recipient_id = heads[0].id;
  notice.kind = v1::NOTIFICATION_KIND_ABSENCE;
  notice.say = absence.status() == v1::ABSENCE_STATUS_REQUESTED ? Say::kAbsenceRequested : Say::kAbsenceReported;
  notice.arguments.push_back(person ? person->name : absence.owner_id());
  notice.arguments.push_back(absent::DaysText(absence));
  notice.text = absence.note();
  notice.record_id = absence.id();
  notice.cause = absl::StrCat(absence.id(), ":asked:", absence.etag());
  notices.push_back(std::move(notice));
  co_return notices;
}

Notice ToPerson(const Call&, const v1::Absence& absence) {
  Notice notice;
  notice.recipient_id = absence.owner_id();
  notice.kind = v1::NOTIFICATION_KIND_ABSENCE;
  notice.say = absence.status() == v1::ABSENCE_STATUS_APPROVED ? Say::kAbsenceApproved : Say::kAbsenceDeclined;
  notice.arguments.push_back(absent::DaysText(absence));
  notice.text = absence.decision_note();
  notice.record_id = absence.id();
  notice.cause = absl::StrCat(absence.id(), ":decided:", absence.etag());
  return notice;
}

}  // namespace crm::scheduler
