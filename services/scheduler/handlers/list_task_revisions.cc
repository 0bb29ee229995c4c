#include "common/pg/records.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Lists what has changed in a task.
Async<v1::ListTaskRevisionsResponse> TaskService::ListTaskRevisions(Call& call,
                                                                    const v1::ListTaskRevisionsRequest& request) {
  co_return co_await pg::ListRevisions<v1::ListTaskRevisionsResponse>(db_, call, tasks_, request);
}

}  // namespace crm::scheduler
