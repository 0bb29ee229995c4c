#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/people.h"
#include "services/scheduler/service.h"
#include "services/scheduler/tasks.h"

namespace crm::scheduler {

// Lists tasks by filter and order; `watched` those of others that the caller gave or watches.
Async<v1::ListTasksResponse> TaskService::ListTasks(Call& call, const v1::ListTasksRequest& request) {
  pg::ListArgs args = pg::ListArgsOf(request);
  Call reader = call;
  if (request.watched()) {
    auto me = ParseId(call.principal.user_id);
    if (!me.ok()) co_return me.status();
    args.where = "(t.creator_id = $1 OR t.watcher_ids @> ARRAY[$2::uuid]) AND t.owner_id IS DISTINCT FROM $2::uuid";
    args.where_params.Text(call.principal.user_id).Id(me->uuid);
    reader = ServiceCall(call);
  }
  CRM_CO_TRY(auto page, co_await db_.List(reader, tasks_, std::move(args)));
  v1::ListTasksResponse response;
  const bool full = request.view() == type::v1::VIEW_FULL;
  for (v1::Task& task : page.items) {
    if (full) pg::FillAccess(call, tasks_, task);
    pg::Mask(call, task);
    *response.add_tasks() = std::move(task);
  }
  if (full) {
    CRM_CO_TRY(co_await FillOverdue(app_, call, *response.mutable_tasks()));
  }
  response.set_next_page_token(std::move(page.next_page_token));
  if (page.total_size) response.set_total_size(*page.total_size);
  co_return response;
}

}  // namespace crm::scheduler
