#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "services/scheduler/clock.h"
#include "services/scheduler/people.h"
#include "services/scheduler/service.h"
#include "services/scheduler/tasks.h"

namespace crm::scheduler {

namespace day {

// As many as a screen shows; the rest is a list's.
constexpr int kTasksMax = 100;

// A person's open tasks that meet a further condition, in order of their due time, and how many there are.
Async<pg::Page<v1::Task>> Some(App& app, const Call& call, Uuid owner, std::string condition, pg::Params params,
                               int limit) {
  pg::ListArgs args;
  args.where = "t.owner_id = $1 AND " + condition;
  args.where_params.Id(owner).Append(params);
  args.default_order = "due_time";
  args.page_size = limit;
  args.count = type::v1::COUNT_EXACT;
  co_return co_await app.db.List(call, app.tables.tasks, std::move(args));
}

}  // namespace day

// What a person has to do now, by the person's own day.
Async<v1::TaskDay> TaskService::GetTaskDay(Call& call, const v1::GetTaskDayRequest& request) {
  const std::string owner_id = request.owner_id().empty() ? call.principal.user_id : request.owner_id();
  auto owner = ParseId(owner_id);
  if (!owner.ok() || owner->prefix != "user")
    co_return FieldError("owner_id", "is needed: an API key has no tasks of its own");
  CRM_CO_TRY(absl::Time now, co_await DueNow(db_, call));
  CRM_CO_TRY(WorkCalendar calendar, co_await CalendarOf(app_, call, owner_id));
  const absl::CivilDay date = LocalDay(now, calendar.zone);
  const absl::Time begin = StartOfDay(date, calendar.zone), end = StartOfDay(date + 1, calendar.zone);
  const std::string open = "t.status IN (1, 2) AND ";

  v1::TaskDay answer;
  answer.set_date(DateText(date));
  answer.set_time_zone(calendar.zone_name);
  *answer.mutable_now() = ToTimestamp(now);
  CRM_CO_TRY(auto overdue, co_await day::Some(app_, call, owner->uuid, open + "t.due_time <= $2",
                                              pg::Params().Time(now), day::kTasksMax));
  CRM_CO_TRY(auto today, co_await day::Some(app_, call, owner->uuid, open + "t.due_time > $2 AND t.due_time < $3",
                                            pg::Params().Time(now).Time(end), day::kTasksMax));
  CRM_CO_TRY(auto later,
             co_await day::Some(app_, call, owner->uuid, open + "t.due_time >= $2", pg::Params().Time(end), 1));
  CRM_CO_TRY(auto undated, co_await day::Some(app_, call, owner->uuid, open + "t.due_time IS NULL", pg::Params(), 1));
  CRM_CO_TRY(auto done, co_await day::Some(app_, call, owner->uuid, "t.status = 3 AND t.complete_time >= $2",
                                           pg::Params().Time(begin), 1));
  for (v1::Task& task : overdue.items) *answer.add_overdue() = pg::Shown(call, tasks_, std::move(task));
  for (v1::Task& task : today.items) *answer.add_today() = pg::Shown(call, tasks_, std::move(task));
  CRM_CO_TRY(co_await FillOverdue(app_, call, *answer.mutable_overdue()));
  answer.set_overdue_count(overdue.total_size.value_or(0));
  answer.set_today_count(today.total_size.value_or(0));
  answer.set_later_count(later.total_size.value_or(0));
  answer.set_undated_count(undated.total_size.value_or(0));
  answer.set_done_count(done.total_size.value_or(0));
  co_return answer;
}

}  // namespace crm::scheduler
