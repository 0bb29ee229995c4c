#include "services/scheduler/jobs/automation_runs.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <google/protobuf/timestamp.pb.h>

#include <vector>

#include "common/base/time.h"
#include "services/scheduler/rules/recurrence.h"
#include "services/scheduler/sql.h"
#include "services/scheduler/timers.h"

namespace crm::scheduler::automation {
namespace runs {

// The id's uuid; nil for none.
Uuid UuidIn(const std::string& id) {
  const auto parsed = ParseId(id);
  return parsed.ok() ? parsed->uuid : Uuid{};
}

}  // namespace runs

std::string AddRun(pg::Batch& batch, const Program& program, const Start& start) {
  const v1::Rule& rule = program.rule();
  const Uuid tenant = batch.call().tenant(), rule_id = runs::UuidIn(rule.id());
  const std::string key = rule.limits().once_per_record() ? absl::StrCat("once ", start.record_id)
                                                          : absl::StrCat("v", rule.version(), " ", start.key);
  const Uuid run = DerivedUuid(rule_id, key);
  const events::v1::Event* event = start.event == nullptr ? nullptr : &start.event->event;
  const int depth = (event == nullptr ? 0 : event->cause().depth()) + 1;
  const bool cut = depth > kDepthMax;
  pg::Params params;
  params.Id(tenant).Id(run).Id(rule_id).Int(rule.version()).Text(rule.name());
  params.Int(cut ? v1::RUN_STATUS_CUT : v1::RUN_STATUS_RUNNING).Text(start.event_type).Text(start.event_id);
  if (start.record_id.empty()) {
    params.Null();
  } else {
    params.Text(start.record_id);
  }
  params.Text(cut ? absl::StrCat("not begun: ", depth - 1,
                                 " rules have set each other off before this one; look at cause_run_id ",
                                 "and put a condition where they shall end")
                  : "");
  params.Int(depth);
  if (event != nullptr && !event->cause().run_id().empty()) {
    params.Id(runs::UuidIn(event->cause().run_id()));
  } else {
    params.Null();
  }
  if (cut) {
    params.Time(batch.call().now());
  } else {
    params.Null();
  }
  params.Time(batch.call().now());
  for (const std::string* id : {&start.owner_id, &start.team_id}) {
    if (id->empty()) {
      params.Null();
    } else {
      params.Id(runs::UuidIn(*id));
    }
  }
  params.Bool(rule.limits().once_per_record());
  batch.Add(sql::kRuleInsertRun, std::move(params));
  const std::string id = TypeId("rule_run", run);
  if (cut) return id;
  if (event != nullptr) {
    batch.Add(sql::kRuleInsertRunEvent, pg::Params().Id(tenant).Id(run).Bytes(event->SerializeAsString()));
  }
  SetTimer(batch, {.kind = kRunTimer, .subject = id, .due = start.due});
  return id;
}

std::string Occasion::ToText() const { return absl::StrCat(TimeText(first), " ", number, " ", TimeText(time)); }

std::optional<Occasion> Occasion::Of(absl::string_view text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ' ');
  Occasion out;
  if (parts.size() < 3 || !absl::SimpleAtoi(parts[1], &out.number)) return std::nullopt;
  const auto first = ParseTime(parts[0]), time = ParseTime(parts[2]);
  if (!first.ok() || !time.ok()) return std::nullopt;
  out.first = *first;
  out.time = *time;
  return out;
}

Occasion FirstOccasion(const v1::ScheduleTrigger& trigger) {
  const absl::Time start = FromTimestamp(trigger.start_time());
  return {start, 1, start};
}

std::optional<Occasion> NextOccasion(const v1::ScheduleTrigger& trigger, Occasion from, absl::Time after,
                                     absl::TimeZone zone) {
  const bool counted = absl::StrContains(trigger.recurrence(), "COUNT=");
  for (;;) {
    const auto at = [&](int number) { return Occurrence(trigger.recurrence(), from.first, zone, number); };
    // The smallest number whose time is later; there is none from `high` on.
    int low = 1, high = kOccurrencesMax + 1;
    while (low < high) {
      const int middle = (low + high) / 2;
      const auto time = at(middle);
      if (!time || *time > after) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    if (low <= kOccurrencesMax) {
      const auto time = at(low);
      if (!time) return std::nullopt;
      return Occasion{from.first, low, *time};
    }
    // A series is counted through up to a bound; an endless one goes on from there.
    const auto last = at(kOccurrencesMax);
    if (counted || !last || *last <= from.first) return std::nullopt;
    from = {*last, 1, *last};
  }
}

void SetSchedule(pg::Batch& batch, const v1::Rule& rule, Occasion from, absl::Time now, absl::TimeZone zone) {
  const auto next = NextOccasion(rule.trigger().schedule(), from, now, zone);
  if (!next) return CancelTimer(batch, kScheduleTimer, rule.id());
  SetTimer(batch, {.kind = kScheduleTimer, .subject = rule.id(), .due = next->time, .payload = next->ToText()});
}

absl::Time Later(absl::Time start, const v1::Delay& delay, bool before, absl::TimeZone zone) {
  const int sign = before ? -1 : 1;
  absl::Time out = start;
  if (delay.days() != 0) {
    const absl::CivilSecond local = absl::ToCivilSecond(start, zone);
    const absl::CivilDay day = absl::CivilDay(local) + sign * delay.days();
    out =
        absl::FromCivil(
            absl::CivilSecond(day.year(), day.month(), day.day(), local.hour(), local.minute(), local.second()), zone) +
        (start - absl::FromCivil(local, zone));
  }
  return out + sign * (absl::Hours(delay.hours()) + absl::Minutes(delay.minutes()));
}

std::string DateKey(const v1::DateTrigger& trigger, const google::protobuf::Message& record) {
  const auto* field = record.GetDescriptor()->FindFieldByName(trigger.field());
  if (field == nullptr || field->is_repeated()) return "";
  const auto* reflection = record.GetReflection();
  if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_STRING)
    return reflection->GetString(record, field);
  if (field->message_type() != google::protobuf::Timestamp::descriptor() || !reflection->HasField(record, field))
    return "";
  return TimeText(
      FromTimestamp(static_cast<const google::protobuf::Timestamp&>(reflection->GetMessage(record, field))));
}

std::optional<absl::Time> DateDue(const v1::DateTrigger& trigger, const google::protobuf::Message& record,
                                  absl::TimeZone zone) {
  const std::string key = DateKey(trigger, record);
  if (key.empty()) return std::nullopt;
  absl::Time base;
  if (const auto day = ParseDate(key); day.ok()) {
    base = absl::FromCivil(absl::CivilHour(day->year(), day->month(), day->day(), trigger.hour()), zone);
  } else if (const auto time = ParseTime(key); time.ok()) {
    base = *time;
  } else {
    return std::nullopt;
  }
  return Later(base, trigger.offset(), trigger.before(), zone);
}

}  // namespace crm::scheduler::automation
