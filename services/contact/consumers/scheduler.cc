#include "common/base/time.h"
#include "crm/type/v1/touch.pb.h"
#include "services/contact/consumers/consumers.h"
#include "services/contact/sql.h"

namespace crm::contact {
namespace {

namespace sc = scheduler::v1;

absl::Status PutTask(pg::Batch& batch, const sc::Task& task, uint32_t revision) {
  const Uuid& tenant = batch.call().tenant();
  CRM_TRY(Uuid id, ParseId(task.id(), "task", "task.id"));
  pg::Params row;
  row.Id(tenant).Id(id).Int(revision);
  CRM_TRY(AddId(row, task.contact_id(), "contact"));
  CRM_TRY(AddId(row, task.deal_id(), "deal"));
  CRM_TRY(AddId(row, task.lead_id(), "lead"));
  row.Text(task.title());
  task.has_due_time() ? row.Time(FromTimestamp(task.due_time())) : row.Null();
  row.Bool(task.has_overdue_since()).Bool(IsOpen(task));
  batch.Add(sql::kPutTaskMark, std::move(row));
  batch.Add(sql::kRefreshNextTask, pg::Params().Id(tenant).Id(id).Null());
  return absl::OkStatus();
}

// A call made or a meeting held is a touch.
absl::Status Touch(pg::Batch& batch, const sc::Task& task, const std::string& contact_id) {
  if (task.status() != sc::TASK_STATUS_DONE || contact_id.empty()) return absl::OkStatus();
  type::v1::TouchKind kind = type::v1::TOUCH_KIND_UNSPECIFIED;
  if (task.kind() == sc::TASK_KIND_CALL) kind = type::v1::TOUCH_KIND_CALL;
  if (task.kind() == sc::TASK_KIND_MEETING) kind = type::v1::TOUCH_KIND_MEETING;
  if (kind == type::v1::TOUCH_KIND_UNSPECIFIED) return absl::OkStatus();
  CRM_TRY(Uuid contact, ParseId(contact_id, "contact", "task.contact_id"));
  batch.Add(sql::kTouchContact, pg::Params()
                                    .Id(batch.call().tenant())
                                    .Id(contact)
                                    .Time(FromTimestamp(task.complete_time()))
                                    .Int(kind)
                                    .Int(type::v1::TOUCH_DIRECTION_OUTBOUND));
  return absl::OkStatus();
}

template <typename... Payloads>
void HearTasks(events::Consumer& consumer, pg::Db& db) {
  (consumer.On<Payloads>([&db](const events::Heard& heard, const Payloads& payload, pg::Batch& batch) -> Async<> {
    const sc::Task& task = payload.task();
    auto entry = EntryOf(heard.event, task);
    CRM_CO_TRY(const Card card, co_await FindCard(db, heard.call, entry->activity));
    CRM_CO_TRY(PutEntry(batch, *entry, card));
    CRM_CO_TRY(PutTask(batch, task, heard.event.revision()));
    co_return Touch(batch, task, entry->activity.contact_id());
  }),
   ...);
}

}  // namespace

void HearScheduler(events::Consumer& consumer, pg::Db& db) {
  HearTasks<sc::TaskCreated, sc::TaskUpdated, sc::TaskCompleted, sc::TaskCancelled, sc::TaskReopened, sc::TaskOverdue,
            sc::TaskEscalated, sc::TaskDeleted, sc::TaskUndeleted>(consumer, db);
  consumer.On<sc::ReminderFired>(
      [&db](const events::Heard& heard, const sc::ReminderFired& payload, pg::Batch& batch) -> Async<> {
        auto entry = EntryOf(heard.event, payload);
        CRM_CO_TRY(const Card card, co_await FindCard(db, heard.call, entry->activity));
        co_return PutEntry(batch, *entry, card);
      });
}

}  // namespace crm::contact
