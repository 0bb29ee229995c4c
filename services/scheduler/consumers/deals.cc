#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "common/base/status.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "services/scheduler/consumers/consumers.h"
#include "services/scheduler/notices.h"
#include "services/scheduler/reminders.h"

namespace crm::scheduler {

namespace dealing {

Async<> CallOff(App& app, const events::Heard& heard, ReminderLinks links, v1::ReminderStop stop, std::string reason,
                pg::Batch& batch) {
  CRM_CO_TRY(std::vector<v1::Reminder> found, co_await FindPending(app, heard.call, std::move(links), stop));
  CancelPending(batch, app, found, reason);
  co_return absl::OkStatus();
}

// Tells somebody that something was given to them by somebody else.
Async<> TellOwner(App& app, const events::Heard& heard, Notice notice, pg::Batch& batch) {
  if (notice.recipient_id.empty() || notice.recipient_id == heard.event.actor_id()) co_return absl::OkStatus();
  notice.record_id = heard.event.record_id();
  notice.cause = absl::StrCat(heard.event.record_id(), ":", heard.event.type(), ":", heard.event.revision());
  Call acting = heard.call;
  acting.principal.user_id = heard.event.actor_id();
  std::vector<Notice> notices;
  notices.push_back(std::move(notice));
  CRM_CO_TRY(std::vector<v1::Notification> told, co_await PrepareNotices(app, acting, std::move(notices)));
  AddNotices(batch, app, told);
  co_return absl::OkStatus();
}

bool Changed(const events::Heard& heard, const std::string& field) {
  const auto& fields = heard.event.changed_fields();
  return std::find(fields.begin(), fields.end(), field) != fields.end();
}

Notice About(const deal_pipeline::v1::Deal& deal) {
  Notice notice;
  notice.recipient_id = deal.owner_id();
  notice.kind = v1::NOTIFICATION_KIND_DEAL_ASSIGNED;
  notice.say = Say::kDealAssigned;
  notice.arguments.push_back(deal.title());
  return notice;
}

Notice About(const deal_pipeline::v1::Lead& lead) {
  Notice notice;
  notice.recipient_id = lead.owner_id();
  notice.kind = v1::NOTIFICATION_KIND_LEAD_ASSIGNED;
  notice.say = Say::kLeadAssigned;
  notice.arguments.push_back(lead.title());
  return notice;
}

Async<> Moved(App& app, const events::Heard& heard, const deal_pipeline::v1::DealMoved& moved, pg::Batch& batch) {
  ReminderLinks links;
  links.deal_id = moved.deal().id();
  CRM_CO_TRY(std::vector<v1::Reminder> found,
             co_await FindPending(app, heard.call, links, v1::REMINDER_STOP_DEAL_MOVED));
  if (moved.deal().status() != deal_pipeline::v1::DEAL_STATUS_OPEN) {
    CRM_CO_TRY(std::vector<v1::Reminder> closed,
               co_await FindPending(app, heard.call, links, v1::REMINDER_STOP_DEAL_CLOSED));
    for (v1::Reminder& reminder : closed) {
      const bool there = std::any_of(found.begin(), found.end(),
                                     [&](const v1::Reminder& other) { return other.id() == reminder.id(); });
      if (!there) found.push_back(std::move(reminder));
    }
  }
  CancelPending(batch, app, found, "the deal moved on");
  co_return absl::OkStatus();
}

}  // namespace dealing

void HearDeals(events::Consumer& consumer, App& app) {
  namespace deals = deal_pipeline::v1;
  consumer.On<deals::DealMoved>([&app](const events::Heard& heard, const deals::DealMoved& moved, pg::Batch& batch) {
    return dealing::Moved(app, heard, moved, batch);
  });
  consumer.On<deals::DealDeleted>([&app](const events::Heard& heard, const deals::DealDeleted& gone, pg::Batch& batch) {
    ReminderLinks links;
    links.deal_id = gone.deal().id();
    return dealing::CallOff(app, heard, links, v1::REMINDER_STOP_UNSPECIFIED, "the deal was deleted", batch);
  });
  // What was imported has its past behind it.
  consumer.On<deals::DealCreated>([&app](const events::Heard& heard, const deals::DealCreated& made, pg::Batch& batch) {
    return dealing::TellOwner(app, heard, made.imported() ? Notice() : dealing::About(made.deal()), batch);
  });
  consumer.On<deals::DealUpdated>([&app](const events::Heard& heard, const deals::DealUpdated& made, pg::Batch& batch) {
    return dealing::TellOwner(app, heard, dealing::Changed(heard, "owner_id") ? dealing::About(made.deal()) : Notice(),
                              batch);
  });
  consumer.On<deals::LeadCreated>([&app](const events::Heard& heard, const deals::LeadCreated& made, pg::Batch& batch) {
    return dealing::TellOwner(app, heard, dealing::About(made.lead()), batch);
  });
  consumer.On<deals::LeadUpdated>([&app](const events::Heard& heard, const deals::LeadUpdated& made, pg::Batch& batch) {
    return dealing::TellOwner(app, heard, dealing::Changed(heard, "owner_id") ? dealing::About(made.lead()) : Notice(),
                              batch);
  });
}

}  // namespace crm::scheduler
