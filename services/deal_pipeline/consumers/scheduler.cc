#include "common/base/time.h"
#include "crm/scheduler/v1/events.pb.h"
#include "crm/type/v1/touch.pb.h"
#include "services/deal_pipeline/consumers/consumers.h"
#include "services/deal_pipeline/sql.h"

namespace crm::deal_pipeline {
namespace tasks {

namespace sc = scheduler::v1;

bool IsOpen(const sc::Task& task) {
  return !task.has_delete_time() && task.status() != sc::TASK_STATUS_DONE && task.status() != sc::TASK_STATUS_CANCELLED;
}

// A call made or a meeting held is a touch.
type::v1::TouchKind TouchOf(const sc::Task& task) {
  if (task.status() != sc::TASK_STATUS_DONE) return type::v1::TOUCH_KIND_UNSPECIFIED;
  if (task.kind() == sc::TASK_KIND_CALL) return type::v1::TOUCH_KIND_CALL;
  if (task.kind() == sc::TASK_KIND_MEETING) return type::v1::TOUCH_KIND_MEETING;
  return type::v1::TOUCH_KIND_UNSPECIFIED;
}

absl::Status Put(pg::Batch& batch, const sc::Task& task, uint32_t revision) {
  const Uuid& tenant = batch.call().tenant();
  CRM_TRY(Uuid id, ParseId(task.id(), "task", "task.id"));
  Uuid deal;
  if (!task.deal_id().empty()) {
    CRM_TRY(deal, ParseId(task.deal_id(), "deal", "task.deal_id"));
  }
  pg::Params row;
  row.Id(tenant).Id(id).Int(revision);
  deal.IsNil() ? row.Null() : row.Id(deal);
  row.Text(task.title());
  task.has_due_time() ? row.Time(FromTimestamp(task.due_time())) : row.Null();
  row.Bool(task.has_overdue_since()).Bool(IsOpen(task));
  batch.Add(sql::kPutTaskMark, std::move(row));
  batch.Add(sql::kRefreshNextTask, pg::Params().Id(tenant).Id(id));
  if (deal.IsNil() || TouchOf(task) == type::v1::TOUCH_KIND_UNSPECIFIED) return absl::OkStatus();
  batch.Add(sql::kTouchDeal, pg::Params()
                                 .Id(tenant)
                                 .Id(deal)
                                 .Time(FromTimestamp(task.complete_time()))
                                 .Int(TouchOf(task))
                                 .Int(type::v1::TOUCH_DIRECTION_OUTBOUND));
  return absl::OkStatus();
}

template <typename... Payloads>
void Hear(events::Consumer& consumer) {
  (consumer.On<Payloads>([](const events::Heard& heard, const Payloads& payload, pg::Batch& batch) -> Async<> {
    co_return Put(batch, payload.task(), heard.event.revision());
  }),
   ...);
}

}  // namespace tasks

void HearScheduler(events::Consumer& consumer) {
  namespace sc = scheduler::v1;
  tasks::Hear<sc::TaskCreated, sc::TaskUpdated, sc::TaskCompleted, sc::TaskCancelled, sc::TaskReopened, sc::TaskOverdue,
              sc::TaskDeleted, sc::TaskUndeleted>(consumer);
}

}  // namespace crm::deal_pipeline
