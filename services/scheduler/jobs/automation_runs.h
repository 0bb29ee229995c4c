// How a run of a rule begins: a row derived from what set it off, and a timer that sets to work on it, in the batch of whoever
// noticed. Repeating changes nothing.
#pragma once

#include <absl/time/time.h>

#include <optional>
#include <string>

#include "common/pg/batch.h"
#include "services/scheduler/rules/automation_program.h"

namespace crm::scheduler::automation {

// The timer of a run; its subject is the run.
inline constexpr char kRunTimer[] = "rule_run";
// Of a date of a record, and of a customer's silence; the subject is the record, the key the rule.
inline constexpr char kDateTimer[] = "rule_date";
inline constexpr char kSilenceTimer[] = "rule_silence";
// Of going through the records that are there when a rule about dates begins to work; the subject is the rule.
inline constexpr char kBackfillTimer[] = "rule_backfill";

// The next time of a rule with a schedule; the subject is the rule.
inline constexpr char kScheduleTimer[] = "rule_schedule";

// Rules behind each other. What a person sets off rarely takes more than three; a circle takes all.
inline constexpr int kDepthMax = 8;

// What sets a run off.
struct Start {
  std::string event_type;  // "deal.moved", "date", "silence"
  std::string event_id;    // "deal_pipeline:17"; empty for time
  std::string record_id;
  std::string key;                // what makes it this run and no other: the event's id, or the date
  std::string owner_id, team_id;  // of the record
  const Opened* event = nullptr;  // for time: none
  absl::Time due;
};

// Adds the run, unless it is there, and answers its id. One that stands behind too many others is logged as cut and does
// nothing.
std::string AddRun(pg::Batch& batch, const Program& program, const Start& start);

// When a rule about dates is due for a record: its date or time moved by the trigger's offset; nullopt without a date.
std::optional<absl::Time> DateDue(const v1::DateTrigger& trigger, const google::protobuf::Message& record,
                                  absl::TimeZone zone);
// The field's value as text: what tells one date of a record from the next.
std::string DateKey(const v1::DateTrigger& trigger, const google::protobuf::Message& record);

// Where a schedule stands: its n-th time counted from `first`.
struct Occasion {
  absl::Time first;
  int number = 1;
  absl::Time time;

  std::string ToText() const;
  static std::optional<Occasion> Of(absl::string_view text);
};
// The first time after a moment; nullopt after the last.
std::optional<Occasion> NextOccasion(const v1::ScheduleTrigger& trigger, Occasion from, absl::Time after,
                                     absl::TimeZone zone);
Occasion FirstOccasion(const v1::ScheduleTrigger& trigger);
// Sets the timer of the first time after now, or takes it away after the last.
void SetSchedule(pg::Batch& batch, const v1::Rule& rule, Occasion from, absl::Time now, absl::TimeZone zone);

// A moment so much later (or earlier) by the calendar: days keep the local time of day.
absl::Time Later(absl::Time start, const v1::Delay& delay, bool before, absl::TimeZone zone);

}  // namespace crm::scheduler::automation
