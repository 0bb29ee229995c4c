#include "services/scheduler/jobs/automation_runner.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <chrono>
#include <utility>

#include "common/base/error.h"
#include "common/base/failpoint.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "common/base/time.h"
#include "common/events/loop.h"
#include "common/obs/log.h"
#include "services/scheduler/jobs/automation_runs.h"
#include "services/scheduler/sql.h"

namespace crm::scheduler::automation {
namespace running {

using std::chrono::steady_clock;

// What one firing may do before it lets others in: the lease of its timer is 30 s, its deadline 20.
constexpr int kStepsAtOnce = 25;
constexpr auto kTimeLeftMin = std::chrono::seconds(11);  // one call more takes up to ten
// Records looked through at once by a backfill.
constexpr int kBackfillPage = 200;
// ... and begun runs for by a schedule.
constexpr int kSchedulePage = 100;
constexpr int kScheduleRecordsMax = 10'000;
constexpr size_t kErrorMax = 1000;

// What the surroundings are to blame for.
bool IsOutage(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
      return true;
    default:
      return IsLostRace(status);
  }
}

std::string ErrorOf(const absl::Status& status) {
  std::string text(status.message());
  for (const FieldViolation& violation : ViolationsOf(status)) {
    absl::StrAppend(&text, text.empty() ? "" : "; ", violation.field, " ", violation.description);
  }
  if (text.empty()) text = absl::StatusCodeToString(status.code());
  return Truncated(text, kErrorMax);
}

void Move(pg::Batch& from, pg::Batch& to) {
  for (pg::Batch::Item& item : from.items()) to.items().push_back(std::move(item));
  to.Fail(from.status());
}

}  // namespace running

void AddBackfill(pg::Batch& batch, const v1::Rule& rule, absl::Time now) {
  SetTimer(batch, {.kind = kBackfillTimer, .subject = rule.id(), .due = now});
}

void Runner::Register(Timers& timers) {
  timers.On(kRunTimer, [this](const Fired& fired, pg::Batch& batch) { return FireRun(fired, batch); });
  timers.On(kDateTimer, [this](const Fired& fired, pg::Batch& batch) { return FireDate(fired, batch); });
  timers.On(kSilenceTimer, [this](const Fired& fired, pg::Batch& batch) { return FireSilence(fired, batch); });
  timers.On(kScheduleTimer, [this](const Fired& fired, pg::Batch& batch) { return FireSchedule(fired, batch); });
  timers.On(kBackfillTimer, [this](const Fired& fired, pg::Batch& batch) { return FireBackfill(fired, batch); });
}

Async<> Runner::FireRun(const Fired& fired, pg::Batch& batch) {
  auto run = co_await db_.Get(fired.call, runs_, fired.subject);
  if (absl::IsNotFound(run.status())) co_return absl::OkStatus();
  if (!run.ok()) co_return run.status();
  if (run->status() != v1::RUN_STATUS_RUNNING && run->status() != v1::RUN_STATUS_WAITING) co_return absl::OkStatus();
  if (run->status() == v1::RUN_STATUS_WAITING && FromTimestamp(run->wake_time()) > fired.now) {
    // Set off again while it waits (once_per_record): it goes on waiting.
    SetTimer(batch, {.kind = kRunTimer, .subject = run->id(), .due = FromTimestamp(run->wake_time())});
    co_return absl::OkStatus();
  }
  const auto program = co_await book_.At(fired.call, run->rule_id(), run->rule_version());
  if (program.ok()) co_return co_await Work(fired, **program, *run, batch);
  if (running::IsOutage(program.status())) co_return program.status();
  // A version that this release does not understand any more.
  v1::RuleRun after = *run;
  after.set_status(v1::RUN_STATUS_FAILED);
  after.set_error(running::ErrorOf(program.status()));
  *after.mutable_end_time() = ToTimestamp(fired.now);
  pg::Touch(fired.call, *run, after);
  batch.Update(runs_, *run, after);
  co_return absl::OkStatus();
}

// Whether the rule has run too often to run again.
Async<bool> Runner::Skip(const Call& call, const Program& program, const v1::RuleRun& run) {
  const int limit = program.rule().limits().runs_per_hour();
  if (limit == 0) co_return false;
  CRM_CO_TRY(const Uuid rule, ParseId(run.rule_id(), "rule", "rule_id"));
  CRM_CO_TRY(const Uuid id, ParseId(run.id(), "rule_run", "id"));
  CRM_CO_TRY(pg::Rows rows,
             co_await db_.Read(call, sql::kRuleCountRuns,
                               pg::Params().Id(rule).Time(FromTimestamp(run.create_time())).Id(id).Int(limit)));
  co_return rows.Int(0, 0) >= limit;
}

// The record as it stands now; one that is gone, or not to be read, as it was when it happened.
Async<> Runner::Look(Scene& scene, const std::string& id, std::unique_ptr<google::protobuf::Message>& record) {
  scene.fetched.clear();
  scene.changed = false;
  const ObjectKind& object = *scene.program->object();
  if (object.get != nullptr) {
    auto got = co_await effects_.Fetch(scene.call, object, id);
    if (got.ok()) {
      record = *std::move(got);
    } else if (!absl::IsNotFound(got.status()) || scene.event == nullptr) {
      co_return got.status();
    }
  }
  scene.record = record != nullptr ? record.get() : scene.event != nullptr ? scene.event->record : nullptr;
  if (scene.record == nullptr) co_return NotFound(id);
  co_return absl::OkStatus();
}

Async<> Runner::Work(const Fired& fired, const Program& program, const v1::RuleRun& before, pg::Batch& batch) {
  Scene scene;
  scene.call = fired.call;
  scene.call.start = std::max(fired.now, FromTimestamp(before.update_time()) + absl::Microseconds(1));
  scene.call.cause = {before.rule_id(), before.id(), before.depth()};
  CRM_CO_TRY(const std::shared_ptr<const RuleSet> set, co_await book_.Holding(fired.call.tenant(), before.rule_id()));
  scene.call.time_zone = set->time_zone;
  scene.program = &program;
  scene.run_id = before.id();
  pg::Batch effects(scene.call);  // stamps the cause on events

  v1::RuleRun run = before;
  run.set_status(v1::RUN_STATUS_RUNNING);
  run.clear_wake_time();
  const auto end = [&](v1::RunStatus status, std::string error) {
    run.set_status(status);
    run.set_error(std::move(error));
    *run.mutable_end_time() = ToTimestamp(scene.call.now());
  };
  const auto save = [&] {
    // A failed one may be tried again and needs it.
    if (run.status() == v1::RUN_STATUS_DONE || run.status() == v1::RUN_STATUS_SKIPPED) {
      effects.Add(sql::kRuleDeleteRunEvent, pg::Params().Id(scene.call.tenant()).Id(ParseId(run.id())->uuid));
    }
    pg::Touch(scene.call, before, run);
    effects.Update(runs_, before, run);
    running::Move(effects, batch);
  };

  int at = before.next_path().empty() ? program.first() : program.Find(before.next_path());
  if (before.next_path().empty() && before.steps().empty()) {
    CRM_CO_TRY(const bool skip, co_await Skip(scene.call, program, before));
    if (skip) {
      end(v1::RUN_STATUS_SKIPPED, absl::StrCat("not begun: the rule has run ", program.rule().limits().runs_per_hour(),
                                               " times within the hour, which is its limit"));
      save();
      co_return absl::OkStatus();
    }
  }

  // The event that it is about, and the record as it stands now.
  std::unique_ptr<Opened> event;
  if (!before.event_id().empty()) {
    CRM_CO_TRY(const Uuid id, ParseId(before.id(), "rule_run", "id"));
    CRM_CO_TRY(pg::Rows rows, co_await db_.Read(scene.call, sql::kRuleReadRunEvent, pg::Params().Id(id)));
    events::v1::Event stored;
    if (!rows.empty() && stored.ParseFromString(std::string(rows.Bytes(0, 0)))) event = Open(stored);
  }
  scene.event = event.get();
  std::unique_ptr<google::protobuf::Message> record;
  absl::Status failure;
  if (fired.attempts > options_.attempts_max + 3) {
    failure = absl::InternalError("what the step did could not be stored; the log has the reason");
  } else {
    failure = co_await Look(scene, before.record_id(), record);
  }
  const Step* step = nullptr;
  int steps = 0;
  while (failure.ok() && at >= 0 && run.status() == v1::RUN_STATUS_RUNNING) {
    if (steps == running::kStepsAtOnce ||
        (steps > 0 && fired.call.deadline - running::steady_clock::now() < running::kTimeLeftMin)) {
      break;  // others come in between; the timer is set again below
    }
    if (scene.changed) {
      failure = co_await Look(scene, before.record_id(), record);
      if (!failure.ok()) break;
    }
    step = &program.steps()[static_cast<size_t>(at)];
    v1::RunStep log;
    log.set_path(step->path);
    log.set_action(ActionName(*step->action));
    log.set_attempts(steps == 0 ? fired.attempts + 1 : 1);
    *log.mutable_time() = ToTimestamp(scene.call.now());
    int next = step->next;
    if (step->action->has_branch()) {
      const auto holds = co_await effects_.Holds(scene, *step);
      failure = holds.status();
      if (!failure.ok()) break;
      log.set_text(*holds ? "the condition holds" : "the condition does not hold");
      next = *holds ? step->then : step->otherwise;
    } else if (step->action->has_wait()) {
      const auto until = co_await effects_.After(scene.call, TextField(*scene.record, "owner_id"), scene.call.now(),
                                                 step->action->wait().time());
      failure = until.status();
      if (!failure.ok()) break;
      log.set_text(absl::StrCat("until ", TimeText(*until)));
      run.set_status(v1::RUN_STATUS_WAITING);
      *run.mutable_wake_time() = ToTimestamp(*until);
    } else if (!step->action->has_stop()) {
      auto prepared = co_await effects_.Prepare(scene, *step, true);
      failure = prepared.status();
      if (!failure.ok()) break;
      CRM_FAILPOINT("rules.before_step");
      const auto done = co_await effects_.CarryOut(scene, *step, *std::move(prepared), effects);
      CRM_FAILPOINT("rules.after_step");
      failure = done.status();
      if (!failure.ok()) break;
      log.set_text(done->text);
      log.set_record_id(done->record_id);
    }
    *run.add_steps() = std::move(log);
    at = next;
    run.set_next_path(at < 0 ? "" : program.steps()[static_cast<size_t>(at)].path);
    ++steps;
  }

  if (!failure.ok() && running::IsOutage(failure) && fired.attempts + 1 < options_.attempts_max) {
    if (steps == 0) co_return failure;  // the timer is tried again by itself, later and later
    // What was done is kept; the rest is tried in a second.
    *run.mutable_wake_time() = ToTimestamp(scene.call.now() + absl::Seconds(1));
    SetTimer(effects, {.kind = kRunTimer, .subject = run.id(), .due = scene.call.now() + absl::Seconds(1)});
    save();
    co_return absl::OkStatus();
  }
  if (!failure.ok()) {
    const std::string error = running::ErrorOf(failure);
    if (step != nullptr) {
      v1::RunStep& log = *run.add_steps();
      log.set_path(step->path);
      log.set_action(ActionName(*step->action));
      log.set_attempts(steps == 0 ? fired.attempts + 1 : 1);
      log.set_error(error);
      *log.mutable_time() = ToTimestamp(scene.call.now());
      run.set_next_path(step->path);  // where a retry begins
    }
    end(v1::RUN_STATUS_FAILED, error);
    const std::string& owner = program.rule().owner_id();
    if (!owner.empty()) {
      CRM_CO_TRY(
          co_await effects_.Notify(scene.call, effects, owner,
                                   Truncated(absl::StrCat("Rule \"", program.rule().name(), "\" failed: ", error), 300),
                                   before.rule_id(), absl::StrCat("failed ", run.id(), " ", run.steps_size())));
    }
    obs::Log(obs::Level::kWarning, scene.call, "a rule failed",
             {{"rule", before.rule_id()}, {"run", before.id()}, {"error", events::Brief(failure)}});
  } else if (run.status() == v1::RUN_STATUS_WAITING) {
    SetTimer(effects, {.kind = kRunTimer, .subject = run.id(), .due = FromTimestamp(run.wake_time())});
  } else if (at >= 0) {
    SetTimer(effects, {.kind = kRunTimer, .subject = run.id(), .due = scene.call.now()});
  }
  if (run.status() == v1::RUN_STATUS_RUNNING && at < 0) end(v1::RUN_STATUS_DONE, "");
  if (run.status() == v1::RUN_STATUS_WAITING && at < 0) {
    // A wait at the end waits for nothing.
    end(v1::RUN_STATUS_DONE, "");
    run.clear_wake_time();
    CancelTimer(effects, kRunTimer, run.id());
  }
  save();
  co_return absl::OkStatus();
}

Async<> Runner::FireDate(const Fired& fired, pg::Batch& batch) {
  CRM_CO_TRY(const std::shared_ptr<const RuleSet> set, co_await book_.Holding(fired.call.tenant(), fired.key));
  const ProgramPtr program = set->Find(fired.key);
  if (program == nullptr || !program->rule().trigger().has_date()) co_return absl::OkStatus();
  const auto& date = program->rule().trigger().date();
  Call call = fired.call;
  call.start = fired.now;
  call.time_zone = set->time_zone;
  auto record = co_await effects_.Fetch(call, *program->object(), fired.subject);
  if (absl::IsNotFound(record.status())) co_return absl::OkStatus();
  if (!record.ok()) co_return record.status();
  const auto due = DateDue(date, **record, ZoneOrUtc(set->time_zone));
  if (!due) co_return absl::OkStatus();
  if (*due > fired.now) {  // the date has moved meanwhile, or the rule's offset
    SetTimer(batch, {.kind = kDateTimer, .subject = fired.subject, .key = fired.key, .due = *due});
    co_return absl::OkStatus();
  }
  const auto holds = program->Holds(call, program->condition(), **record, nullptr);
  if (!holds.ok() || !*holds) co_return absl::OkStatus();
  pg::Batch own(call);
  AddRun(own, *program,
         {.event_type = "date",
          .record_id = fired.subject,
          .key = absl::StrCat("date ", fired.subject, " ", DateKey(date, **record)),
          .owner_id = TextField(**record, "owner_id"),
          .team_id = TextField(**record, "team_id"),
          .due = fired.now});
  running::Move(own, batch);
  co_return absl::OkStatus();
}

Async<> Runner::FireSilence(const Fired& fired, pg::Batch& batch) {
  CRM_CO_TRY(const std::shared_ptr<const RuleSet> set, co_await book_.Holding(fired.call.tenant(), fired.key));
  const ProgramPtr program = set->Find(fired.key);
  if (program == nullptr || !program->rule().trigger().has_silence()) co_return absl::OkStatus();
  Call call = fired.call;
  call.start = fired.now;
  call.time_zone = set->time_zone;
  auto record = co_await effects_.Fetch(call, *program->object(), fired.subject);
  if (absl::IsNotFound(record.status())) co_return absl::OkStatus();
  if (!record.ok()) co_return record.status();
  if (TextField(**record, "stage_id") != program->rule().trigger().silence().stage_id()) co_return absl::OkStatus();
  // The timer is set by the calendar; working time is never shorter.
  const v1::Delay& delay = program->rule().trigger().silence().after();
  const auto entered = ParseTime(fired.payload);
  if (delay.working_time() && entered.ok()) {
    CRM_CO_TRY(const absl::Time due, co_await effects_.After(call, TextField(**record, "owner_id"), *entered, delay));
    if (due > fired.now) {
      SetTimer(
          batch,
          {.kind = kSilenceTimer, .subject = fired.subject, .key = fired.key, .due = due, .payload = fired.payload});
      co_return absl::OkStatus();
    }
  }
  const auto holds = program->Holds(call, program->condition(), **record, nullptr);
  if (!holds.ok() || !*holds) co_return absl::OkStatus();
  pg::Batch own(call);
  AddRun(own, *program,
         {.event_type = "silence",
          .record_id = fired.subject,
          .key = absl::StrCat("silence ", fired.subject, " ", absl::ToUnixMicros(fired.due)),
          .owner_id = TextField(**record, "owner_id"),
          .team_id = TextField(**record, "team_id"),
          .due = fired.now});
  running::Move(own, batch);
  co_return absl::OkStatus();
}

// The payload: the occasion, and behind it how many records have been gone through and the next page's token.
Async<> Runner::FireSchedule(const Fired& fired, pg::Batch& batch) {
  CRM_CO_TRY(const std::shared_ptr<const RuleSet> set, co_await book_.Holding(fired.call.tenant(), fired.subject));
  const ProgramPtr program = set->Find(fired.subject);
  const auto occasion = Occasion::Of(fired.payload);
  if (program == nullptr || !occasion || !program->rule().trigger().has_schedule()) co_return absl::OkStatus();
  const std::vector<std::string> parts = absl::StrSplit(fired.payload, absl::MaxSplits(' ', 4));
  const std::string token = parts.size() == 5 ? parts[4] : "";
  int seen = 0;
  if (parts.size() == 5 && !absl::SimpleAtoi(parts[3], &seen)) seen = 0;
  Call call = fired.call;
  call.start = fired.now;
  call.time_zone = set->time_zone;
  CRM_CO_TRY(Effects::Page page, co_await effects_.List(call, *program->object(), program->rule().condition(), token,
                                                        running::kSchedulePage));
  pg::Batch own(call);
  for (const auto& record : page.records) {
    const std::string id = TextField(*record, "id");
    AddRun(own, *program,
           {.event_type = "schedule",
            .record_id = id,
            .key = absl::StrCat("schedule ", TimeText(occasion->time), " ", id),
            .owner_id = TextField(*record, "owner_id"),
            .team_id = TextField(*record, "team_id"),
            .due = fired.now});
  }
  seen += static_cast<int>(page.records.size());
  if (!page.next_page_token.empty() && seen < running::kScheduleRecordsMax) {
    SetTimer(own, {.kind = kScheduleTimer,
                   .subject = fired.subject,
                   .due = fired.due,
                   .payload = absl::StrCat(occasion->ToText(), " ", seen, " ", page.next_page_token)});
  } else {
    // What was missed while the service was down is made up for once.
    SetSchedule(own, program->rule(), *occasion, fired.now, ZoneOrUtc(set->time_zone));
  }
  running::Move(own, batch);
  co_return absl::OkStatus();
}

Async<> Runner::FireBackfill(const Fired& fired, pg::Batch& batch) {
  CRM_CO_TRY(const std::shared_ptr<const RuleSet> set, co_await book_.Holding(fired.call.tenant(), fired.subject));
  const ProgramPtr program = set->Find(fired.subject);
  if (program == nullptr || !program->rule().trigger().has_date()) co_return absl::OkStatus();
  const auto& date = program->rule().trigger().date();
  Call call = fired.call;
  call.start = fired.now;
  CRM_CO_TRY(Effects::Page page, co_await effects_.List(call, *program->object(), absl::StrCat(date.field(), ":*"),
                                                        fired.payload, running::kBackfillPage));
  const absl::TimeZone zone = ZoneOrUtc(set->time_zone);
  for (const auto& record : page.records) {
    const auto due = DateDue(date, *record, zone);
    if (!due || *due < fired.now) continue;
    SetTimer(batch,
             {.kind = kDateTimer, .subject = TextField(*record, "id"), .key = program->rule().id(), .due = *due});
  }
  if (!page.next_page_token.empty()) {
    SetTimer(batch,
             {.kind = kBackfillTimer, .subject = fired.subject, .due = fired.now, .payload = page.next_page_token});
  }
  co_return absl::OkStatus();
}

}  // namespace crm::scheduler::automation
