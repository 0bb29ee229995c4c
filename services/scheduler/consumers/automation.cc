#include "services/scheduler/consumers/automation.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <memory>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "crm/identity/v1/events.pb.h"
#include "crm/messaging/v1/events.pb.h"
#include "services/scheduler/jobs/automation_runs.h"
#include "services/scheduler/timers.h"

namespace crm::scheduler::automation {
namespace hearing_rules {

bool Names(const events::v1::Event& event, const std::string& field) {
  for (const std::string& changed : event.changed_fields()) {
    if (changed == field) return true;
  }
  return false;
}

bool Ends(absl::string_view type, absl::string_view what) { return absl::EndsWith(type, absl::StrCat(".", what)); }

// A date is as good as set when the record begins, comes back, or the field changes; gone when the record goes.
void FollowDates(const RuleSet& set, const Opened& opened, absl::TimeZone zone, pg::Batch& batch) {
  const auto rules = set.dates.find(opened.kind->object->name);
  if (rules == set.dates.end()) return;
  const std::string& type = opened.event.type();
  if (Ends(type, "deleted")) return CancelTimers(batch, opened.event.record_id(), kDateTimer);
  for (const ProgramPtr& program : rules->second) {
    const auto& date = program->rule().trigger().date();
    if (!Ends(type, "created") && !Ends(type, "undeleted") && !Names(opened.event, date.field())) continue;
    const auto due = DateDue(date, *opened.record, zone);
    // What was past already when it was entered has been missed; nobody waits for it.
    if (!due || *due < batch.call().now()) {
      CancelTimer(batch, kDateTimer, opened.event.record_id(), program->rule().id());
      continue;
    }
    SetTimer(batch,
             {.kind = kDateTimer, .subject = opened.event.record_id(), .key = program->rule().id(), .due = *due});
  }
}

void FollowSilence(const RuleSet& set, const Opened& opened, absl::TimeZone zone, pg::Batch& batch) {
  if (set.silences.empty()) return;
  const std::string& type = opened.event.type();
  if (type == "message.received") {
    const auto& received = static_cast<const messaging::v1::MessageReceived&>(*opened.payload);
    const std::string deal = received.message().deal_id();
    if (!deal.empty() && !received.message().automatic()) CancelTimers(batch, deal, kSilenceTimer);
    return;
  }
  if (opened.kind->object->name != "deal") return;
  const std::string& deal = opened.event.record_id();
  if (type == "deal.deleted" || type == "deal.moved") CancelTimers(batch, deal, kSilenceTimer);
  if (type != "deal.created" && type != "deal.moved") return;
  for (const ProgramPtr& program : set.silences) {
    const auto& silence = program->rule().trigger().silence();
    if (TextField(*opened.record, "stage_id") != silence.stage_id()) continue;
    SetTimer(batch, {.kind = kSilenceTimer,
                     .subject = deal,
                     .key = program->rule().id(),
                     .due = Later(batch.call().now(), silence.after(), false, zone),
                     .payload = TimeText(batch.call().now())});
  }
}

// Whether any rule of the tenant wants to see such an event at all.
bool Wanted(const RuleSet& set, const EventKind& kind) {
  return set.events.contains(kind.type) || set.dates.contains(kind.object->name) ||
         (!set.silences.empty() && (kind.object->name == "deal" || kind.type == "message.received"));
}

Async<> Apply(const RuleBook& book, const EventKind& kind, const events::Heard& heard, pg::Batch& batch) {
  if (!book.fresh()) {
    co_return Error(absl::StatusCode::kUnavailable, type::v1::ERROR_REASON_UNAVAILABLE,
                    "The rules are being loaded; the event waits.");
  }
  const std::shared_ptr<const RuleSet> set = book.Of(heard.call.tenant());
  if (set == nullptr || !Wanted(*set, kind)) co_return absl::OkStatus();
  const std::unique_ptr<Opened> opened = Open(heard.event);
  if (opened == nullptr) co_return absl::OkStatus();  // imported with its past
  Call call = heard.call;
  call.time_zone = set->time_zone;
  const auto rules = set->events.find(kind.type);
  if (rules != set->events.end()) {
    for (const ProgramPtr& program : rules->second) {
      if (!program->Matches(call, *opened)) continue;
      const std::string id = absl::StrCat(heard.event.service(), ":", heard.event.seq());
      AddRun(batch, *program,
             {.event_type = kind.type,
              .event_id = id,
              .record_id = heard.event.record_id(),
              .key = id,
              .owner_id = heard.event.owner_id(),
              .team_id = heard.event.team_id(),
              .event = opened.get(),
              .due = heard.call.now()});
    }
  }
  const absl::TimeZone zone = ZoneOrUtc(set->time_zone);
  FollowDates(*set, *opened, zone, batch);
  FollowSilence(*set, *opened, zone, batch);
  co_return absl::OkStatus();
}

}  // namespace hearing_rules

void HearForRules(events::Consumer& consumer, const std::string& producer, const RuleBook& book) {
  for (const auto& [type, kind] : Catalogue::Get().events()) {
    if (kind.service != producer) continue;
    consumer.OnType(kind.payload->full_name(),
                    [&book, what = &kind](const events::Heard& heard, pg::Batch& batch) -> Async<> {
                      return hearing_rules::Apply(book, *what, heard, batch);
                    });
  }
}

void HearIdentityForRules(events::Consumer& consumer, RuleBook& book) {
  consumer.AfterCommit([&book](const events::v1::Event& event) {
    const auto tenant = ParseId(event.tenant_id());
    if (event.type() == "tenant.updated" && tenant.ok()) book.Expire(tenant->uuid);
  });
}

}  // namespace crm::scheduler::automation
