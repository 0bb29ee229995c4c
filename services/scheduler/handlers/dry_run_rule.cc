#include <absl/strings/str_cat.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/events/loop.h"
#include "common/events/subscription.h"
#include "common/pg/table.h"
#include "crm/messaging/v1/events.pb.h"
#include "services/scheduler/clock.h"
#include "services/scheduler/handlers/rule_preview.h"
#include "services/scheduler/jobs/automation_runs.h"
#include "services/scheduler/rule_service.h"
#include "services/scheduler/rules/recurrence.h"

namespace crm::scheduler {
namespace dry_run {

using automation::Opened;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kDaysDefault = 7, kHitsDefault = 50;
// Events of one service that are looked at in one go: seconds of work.
constexpr uint64_t kEventsMax = 20'000;
constexpr int kPage = 1000;
// Records with dates that are looked at.
constexpr int kRecordsMax = 2000, kRecordPage = 500;
// What is left for preparing the hits.
constexpr auto kTimeLeft = std::chrono::seconds(4);

// Something that would have set the rule off.
struct Hit {
  absl::Time time;
  std::string type, event_id, record_id;
  std::shared_ptr<Opened> event;  // or
  std::shared_ptr<const google::protobuf::Message> record;
};

// One tenant's events of a service since a moment, oldest first.
class Log {
 public:
  Log(events::Source& source, const Call& call) : source_(source), call_(call) {}

  // Finds the first event that is not older; `truncated` if there would be too many from there.
  Async<> Seek(absl::Time since, bool* truncated) {
    CRM_CO_TRY(auto first, co_await Ask(0, 1));
    head_ = first.head_seq();
    uint64_t low = 0, high = head_;  // the event after `low` may be too old, the one after `high` is not
    while (low < high) {
      const uint64_t middle = (low + high) / 2;
      CRM_CO_TRY(auto page, co_await Ask(middle, 1));
      if (page.events().empty() || FromTimestamp(page.events(0).time()) >= since) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    at_ = low;
    if (head_ - at_ > kEventsMax) {
      *truncated = true;
      at_ = head_ - kEventsMax;
    }
    co_return absl::OkStatus();
  }
  // The next ones; none at the end.
  Async<std::vector<events::v1::Event>> Next() {
    std::vector<events::v1::Event> events;
    if (at_ >= head_) co_return events;
    CRM_CO_TRY(auto page, co_await Ask(at_, kPage));
    for (auto& event : *page.mutable_events()) {
      at_ = event.seq();
      events.push_back(std::move(event));
    }
    if (events.empty()) at_ = head_;
    co_return events;
  }

 private:
  Async<events::v1::ListEventsResponse> Ask(uint64_t after, int limit) {
    // As the service itself: a user's token opens no event log.
    const auto left = std::chrono::duration_cast<milliseconds>(call_.deadline - steady_clock::now());
    Call own = events::OwnCall("scheduler", "rules.DryRun", call_.tenant(), left);
    events::v1::ListEventsRequest request;
    request.set_tenant_id(TypeId("tenant", call_.tenant()));
    request.set_after_seq(after);
    request.set_limit(limit);
    co_return co_await source_.ListEvents(own, request);
  }

  events::Source& source_;
  const Call& call_;
  uint64_t at_ = 0, head_ = 0;
};

// Whether the caller may read the record that an event is about.
bool MayRead(const Call& call, const Opened& opened) {
  switch (call.ScopeOf(opened.kind->object->name, type::v1::ACTION_READ)) {
    case type::v1::SCOPE_ALL:
      return true;
    case type::v1::SCOPE_TEAM: {
      const auto team = ParseId(opened.event.team_id());
      const auto& teams = call.principal.teams;
      if (team.ok() && std::find(teams.begin(), teams.end(), team->uuid) != teams.end()) return true;
      return opened.event.owner_id() == call.principal.user_id;
    }
    case type::v1::SCOPE_OWN:
      return opened.event.owner_id() == call.principal.user_id;
    default:
      return false;
  }
}

}  // namespace dry_run

// Reads what has happened over the last days and says what the rule would have made of it.
Async<v1::DryRunRuleResponse> RuleService::DryRunRule(Call& call, const v1::DryRunRuleRequest& request) {
  CRM_CO_TRY(const automation::ProgramPtr program,
             co_await automation::ProgramFor(db_, call, rules_, request.id(), request.has_rule(), request.rule()));
  const auto set = book_.Of(call.tenant());
  const int days = request.days() == 0 ? dry_run::kDaysDefault : request.days();
  const int hits_max = request.hits_max() == 0 ? dry_run::kHitsDefault : request.hits_max();
  CRM_CO_TRY(const absl::Time now, co_await DueNow(db_, call));
  const absl::Time since = now - absl::Hours(24 * days);
  const v1::Trigger& trigger = program->rule().trigger();
  v1::DryRunRuleResponse response;
  *response.mutable_start_time() = ToTimestamp(since);
  const absl::TimeZone zone = ZoneOrUtc(set == nullptr ? call.time_zone : set->time_zone);

  std::vector<dry_run::Hit> hits;
  bool truncated = false;
  if (trigger.has_date()) {
    std::string token;
    for (int seen = 0; seen < dry_run::kRecordsMax;) {
      CRM_CO_TRY(auto page, co_await effects_.List(call, *program->object(), absl::StrCat(trigger.date().field(), ":*"),
                                                   token, dry_run::kRecordPage));
      seen += static_cast<int>(page.records.size());
      for (auto& record : page.records) {
        const auto due = automation::DateDue(trigger.date(), *record, zone);
        if (!due || *due < since || *due > now) continue;
        const Call then = automation::PreviewCall(call, set.get(), *due);
        CRM_CO_TRY(const bool holds, program->Holds(then, program->condition(), *record, nullptr));
        if (!holds) continue;
        const std::string id = automation::TextField(*record, "id");
        hits.push_back({*due, "date", "", id, nullptr, std::move(record)});
      }
      token = page.next_page_token;
      if (token.empty()) break;
    }
    truncated = !token.empty();
  }

  if (trigger.has_schedule()) {
    // The last time within these days, with the records as they stand now.
    std::optional<absl::Time> last;
    const auto next =
        automation::NextOccasion(trigger.schedule(), automation::FirstOccasion(trigger.schedule()), now, zone);
    if (next && next->number > 1) {
      last = Occurrence(trigger.schedule().recurrence(), next->first, zone, next->number - 1);
    }
    if (last && *last < since) last.reset();
    std::string token;
    for (int seen = 0; last && seen < dry_run::kRecordsMax;) {
      const Call then = automation::PreviewCall(call, set.get(), *last);
      CRM_CO_TRY(auto page, co_await effects_.List(then, *program->object(), program->rule().condition(), token,
                                                   dry_run::kRecordPage));
      seen += static_cast<int>(page.records.size());
      for (auto& record : page.records) {
        const std::string id = automation::TextField(*record, "id");
        hits.push_back({*last, "schedule", "", id, nullptr, std::move(record)});
      }
      token = page.next_page_token;
      if (token.empty()) break;
    }
    truncated = !token.empty();
  }

  // What each service told; for silence, who entered the stage, left it, or was answered.
  struct Silent {
    absl::Time due;
    std::shared_ptr<automation::Opened> entered;
  };
  std::map<std::string, Silent> silent;
  std::vector<std::pair<absl::Time, std::string>> answered;
  std::set<std::string> once;
  for (const auto& [service, source] : logs_) {
    bool wanted = trigger.has_silence() && (service == "deal_pipeline" || service == "messaging");
    for (const auto& [type, kind] : automation::Catalogue::Get().events()) {
      wanted = wanted || (kind.service == service && automation::Hears(trigger, kind));
    }
    if (!wanted) continue;
    dry_run::Log log(*source, call);
    CRM_CO_TRY(co_await log.Seek(since, &truncated));
    for (;;) {
      if (call.deadline - dry_run::steady_clock::now() < dry_run::kTimeLeft) {
        truncated = true;
        break;
      }
      CRM_CO_TRY(const auto events, co_await log.Next());
      if (events.empty()) break;
      for (const auto& event : events) {
        response.set_event_count(response.event_count() + 1);
        const auto* kind = automation::Catalogue::Get().FindEvent(event.type());
        const bool of_silence = trigger.has_silence() && kind != nullptr &&
                                (kind->object->name == "deal" || kind->type == "message.received");
        if (kind == nullptr || (!of_silence && !automation::Hears(trigger, *kind))) continue;
        std::shared_ptr<automation::Opened> opened = automation::Open(event);
        const absl::Time time = FromTimestamp(event.time());
        if (opened == nullptr || time < since) continue;
        if (of_silence) {
          if (kind->type == "message.received") {
            const auto& received = static_cast<const messaging::v1::MessageReceived&>(*opened->payload);
            if (!received.message().automatic()) answered.emplace_back(time, received.message().deal_id());
            continue;
          }
          if (kind->type != "deal.moved" && kind->type != "deal.created" && kind->type != "deal.deleted") continue;
          const std::string& deal = event.record_id();
          const auto waits = silent.find(deal);
          if (waits != silent.end() && waits->second.due <= time) {
            hits.push_back({waits->second.due, "silence", "", deal, waits->second.entered, nullptr});
          }
          silent.erase(deal);
          if (kind->type != "deal.deleted" &&
              automation::TextField(*opened->record, "stage_id") == trigger.silence().stage_id()) {
            CRM_CO_TRY(const absl::Time due,
                       co_await effects_.After(call, automation::TextField(*opened->record, "owner_id"), time,
                                               trigger.silence().after()));
            silent[deal] = {due, opened};
          }
          continue;
        }
        const Call then = automation::PreviewCall(call, set.get(), time);
        if (!dry_run::MayRead(call, *opened) || !program->Matches(then, *opened)) continue;
        hits.push_back(
            {time, event.type(), absl::StrCat(service, ":", event.seq()), event.record_id(), opened, nullptr});
      }
    }
  }
  for (const auto& [deal, waits] : silent) {
    if (waits.due <= now) hits.push_back({waits.due, "silence", "", deal, waits.entered, nullptr});
  }
  if (trigger.has_silence()) {
    hits.erase(std::remove_if(
                   hits.begin(), hits.end(),
                   [&](const dry_run::Hit& hit) {
                     const absl::Time entered = FromTimestamp(hit.event->event.time());
                     const bool heard = std::any_of(answered.begin(), answered.end(), [&](const auto& one) {
                       return one.second == hit.record_id && one.first > entered && one.first < hit.time;
                     });
                     const Call then = automation::PreviewCall(call, set.get(), hit.time);
                     return heard || !dry_run::MayRead(call, *hit.event) ||
                            !program->Holds(then, program->condition(), *hit.event->record, nullptr).value_or(false);
                   }),
               hits.end());
  }
  std::sort(hits.begin(), hits.end(), [](const dry_run::Hit& a, const dry_run::Hit& b) { return a.time < b.time; });
  if (program->rule().limits().once_per_record()) {
    hits.erase(std::remove_if(hits.begin(), hits.end(),
                              [&](const dry_run::Hit& hit) { return !once.insert(hit.record_id).second; }),
               hits.end());
  }

  response.set_hit_count(static_cast<int32_t>(hits.size()));
  response.set_truncated(truncated);
  for (const dry_run::Hit& hit : hits) {
    if (response.hits_size() >= hits_max) break;
    automation::Scene scene;
    scene.call = automation::PreviewCall(call, set.get(), hit.time);
    scene.program = program.get();
    // What the caller may not see does not stand in the texts either.
    const google::protobuf::Message& whole = hit.event == nullptr ? *hit.record : *hit.event->record;
    const auto shown = automation::NewMessage(whole.GetDescriptor());
    shown->CopyFrom(whole);
    pg::Mask(call, *shown);
    scene.record = shown.get();
    scene.event = hit.event.get();
    v1::RulePreview preview;
    preview.set_record_id(hit.record_id);
    preview.set_event_type(hit.type);
    preview.set_event_id(hit.event_id);
    *preview.mutable_time() = ToTimestamp(hit.time);
    preview.set_matches(true);
    CRM_CO_TRY(co_await automation::FillPreview(effects_, scene, preview));
    *response.add_hits() = std::move(preview);
  }
  co_return response;
}

}  // namespace crm::scheduler
