#include <utility>

#include "common/base/status.h"
#include "crm/contact/v1/events.pb.h"
#include "services/scheduler/consumers/consumers.h"
#include "services/scheduler/reminders.h"

namespace crm::scheduler {

namespace contacting {

Async<> CallOffAll(App& app, const events::Heard& heard, ReminderLinks links, std::string reason, pg::Batch& batch) {
  CRM_CO_TRY(std::vector<v1::Reminder> found,
             co_await FindPending(app, heard.call, std::move(links), v1::REMINDER_STOP_UNSPECIFIED));
  CancelPending(batch, app, found, reason);
  co_return absl::OkStatus();
}

}  // namespace contacting

void HearContacts(events::Consumer& consumer, App& app) {
  consumer.On<contact::v1::ContactDeleted>(
      [&app](const events::Heard& heard, const contact::v1::ContactDeleted& gone, pg::Batch& batch) {
        ReminderLinks links;
        links.contact_id = gone.contact().id();
        return contacting::CallOffAll(app, heard, links, "the contact was deleted", batch);
      });
  consumer.On<contact::v1::CompanyDeleted>(
      [&app](const events::Heard& heard, const contact::v1::CompanyDeleted& gone, pg::Batch& batch) {
        ReminderLinks links;
        links.company_id = gone.company().id();
        return contacting::CallOffAll(app, heard, links, "the company was deleted", batch);
      });
}

}  // namespace crm::scheduler
