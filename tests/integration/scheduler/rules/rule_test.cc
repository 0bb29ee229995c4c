// Automation rules on the real PostgreSQL: each effect exactly once, versions, waits, failures, limits, time.
#include <absl/strings/escaping.h>
#include <gmock/gmock.h>

#include "services/scheduler/jobs/automation_runs.h"
#include "tests/integration/scheduler/rules/rule_fixture.h"

namespace crm::scheduler::automation {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::string StepsOf(const v1::RuleRun& run) {
  std::string out;
  for (const auto& step : run.steps()) out += (out.empty() ? "" : " ") + step.path() + ":" + step.action();
  return out;
}

TEST_F(RuleTest, AStageMakesATaskALetterAndAReminder) {
  const v1::Rule rule = Create("trigger {stage_entered {stage_id: '" + offer_ + R"('}} condition: 'amount > 1000'
    actions {create_task {title: 'Call {{contact.display_name}} about {{title}}' kind: TASK_KIND_CALL
                          due {hours: 2 working_time: true}}}
    actions {send_message {subject: 'Your offer' text: 'Dear {{contact.display_name}}'}}
    actions {create_reminder {text: 'Has {{contact.display_name}} answered?' due {days: 2 working_time: true}}})");
  EXPECT_EQ(rule.version(), 1);
  EXPECT_EQ(rule.owner_id(), user_);
  const auto deal = NewDeal(offer_);
  ASSERT_TRUE(Deliver(Moved(deal)).ok());
  EXPECT_GE(Fire(), 1);
  const auto runs = Runs(rule.id());
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_EQ(runs[0].status(), v1::RUN_STATUS_DONE) << runs[0].ShortDebugString();
  EXPECT_EQ(Count("rule_run_event WHERE true"), 0) << "nobody needs it any more";
  EXPECT_EQ(StepsOf(runs[0]), "1:create_task 2:send_message 3:create_reminder");
  EXPECT_EQ(runs[0].record_id(), deal.id());
  EXPECT_EQ(runs[0].event_id(), "deal_pipeline:1");
  EXPECT_EQ(
      Count("task WHERE title = 'Call Ann about Cake' AND kind = 1 AND owner_id = '" + ParseId(user_)->uuid.ToString() +
            "' AND due_time IS NOT NULL AND rule_id = '" + ParseId(rule.id())->uuid.ToString() + "'"),
      1);
  EXPECT_EQ(Count("reminder WHERE text = 'Has Ann answered?' AND status = 1"), 1);
  ASSERT_THAT(others_.letters, SizeIs(1));
  EXPECT_EQ(others_.letters[0].contact_id(), deal.contact_id());
  EXPECT_EQ(others_.letters[0].deal_id(), deal.id());
  EXPECT_EQ(others_.letters[0].text(), "Dear Ann");
  // Everything that it did names it.
  ASSERT_THAT(others_.causes, SizeIs(1));
  EXPECT_EQ(others_.causes[0].rule_id, rule.id());
  EXPECT_EQ(others_.causes[0].run_id, runs[0].id());
  EXPECT_EQ(others_.causes[0].depth, 1);
  const std::string bytes = crm::testing::Servers::Get().Value(
      "SELECT encode(event, 'hex') FROM scheduler.outbox WHERE type = 'task.created' AND tenant_id = '" +
      tenant_.ToString() + "'");
  events::v1::Event event;
  ASSERT_TRUE(event.ParseFromString(absl::HexStringToBytes(bytes)));
  EXPECT_EQ(event.cause().run_id(), runs[0].id());
  EXPECT_EQ(event.actor_id(), "service_scheduler");

  // Another stage, and a deal that does not fulfil the condition.
  ASSERT_TRUE(Deliver(Moved(NewDeal(paid_))).ok());
  auto small = NewDeal(offer_);
  small.mutable_amount()->set_amount("5");
  ASSERT_TRUE(Deliver(Moved(small)).ok());
  EXPECT_THAT(Runs(), SizeIs(1));
}

TEST_F(RuleTest, AnEventHeardTwiceSetsItOffOnce) {
  Create("trigger {event {type: 'deal.moved'}} actions {create_task {title: 'x'}}");
  const auto deal = NewDeal(offer_);
  const auto event = Moved(deal);
  ASSERT_TRUE(Deliver(event).ok());
  ASSERT_TRUE(Deliver(event).ok());
  Fire();
  ASSERT_TRUE(Deliver(event).ok());
  Fire();
  EXPECT_THAT(Runs(), SizeIs(1));
  EXPECT_EQ(Count("task WHERE true"), 1);
  // The next event is another one.
  ASSERT_TRUE(Deliver(Moved(deal)).ok());
  Fire();
  EXPECT_THAT(Runs(), SizeIs(2));
  EXPECT_EQ(Count("task WHERE true"), 2);
}

TEST_F(RuleTest, ALostAnswerMakesNoSecondLetterAndNoSecondTask) {
  Create(R"(trigger {event {type: 'deal.moved'}}
    actions {create_task {title: 'first'}}
    actions {send_message {subject: 'a' text: 'b'}}
    actions {create_task {title: 'second'}})");
  int lost = 0;
  others_.after = [&](const std::string& method) {
    return method == "SendMessage" && ++lost == 1 ? absl::UnavailableError("the line broke") : absl::OkStatus();
  };
  ASSERT_TRUE(Deliver(Moved(NewDeal(offer_))).ok());
  Fire();
  // The first task is kept with the run's progress; the letter is sent again with its key.
  EXPECT_EQ(Count("task WHERE true"), 1);
  EXPECT_EQ(Runs()[0].status(), v1::RUN_STATUS_RUNNING);
  Advance(absl::Seconds(5));
  Fire();
  EXPECT_EQ(lost, 2);
  EXPECT_THAT(others_.letters, SizeIs(1));
  EXPECT_EQ(Count("task WHERE true"), 2);
  const auto runs = Runs();
  EXPECT_EQ(runs[0].status(), v1::RUN_STATUS_DONE) << runs[0].ShortDebugString();
  EXPECT_EQ(StepsOf(runs[0]), "1:create_task 2:send_message 3:create_task");
}

TEST_F(RuleTest, ARunGoesOnWithTheVersionItBeganWith) {
  v1::Rule rule = Create(R"(trigger {event {type: 'deal.moved'}}
    actions {wait {time {days: 3}}} actions {create_task {title: 'old'}})");
  ASSERT_TRUE(Deliver(Moved(NewDeal(offer_))).ok());
  Fire();
  ASSERT_EQ(Runs()[0].status(), v1::RUN_STATUS_WAITING);
  EXPECT_EQ(Runs()[0].next_path(), "2");
  rule.mutable_actions(1)->mutable_create_task()->set_title("new");
  auto changed = Update(rule, "actions");
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_EQ(changed->version(), 2);
  ASSERT_TRUE(Deliver(Moved(NewDeal(offer_))).ok());
  Fire();
  // Another process, much later.
  Restart();
  Advance(absl::Hours(71));
  Fire();
  EXPECT_EQ(Count("task WHERE true"), 0);
  Advance(absl::Hours(2));
  Fire();
  EXPECT_EQ(Count("task WHERE title = 'old'"), 1);
  EXPECT_EQ(Count("task WHERE title = 'new'"), 1);
  // A name is no version.
  changed->set_name("Renamed");
  changed->clear_etag();
  EXPECT_EQ(Update(*changed, "name")->version(), 2);
}

TEST_F(RuleTest, BranchesAskTheRecordAsItIsThen) {
  Create(R"(trigger {event {type: 'deal.moved'}}
    actions {wait {time {days: 3}}}
    actions {branch {condition: 'note = "answered"'
      then {stop {}} otherwise {create_task {title: 'Ask again'}}}}
    actions {move_deal {stage_id: ')" +
         paid_ + "'}}");
  const auto quiet = NewDeal(offer_), answered = NewDeal(offer_);
  ASSERT_TRUE(Deliver(Moved(quiet)).ok());
  ASSERT_TRUE(Deliver(Moved(answered)).ok());
  Fire();
  others_.deals[answered.id()].set_note("answered");
  Advance(absl::Hours(73));
  Fire();
  EXPECT_EQ(Count("task WHERE title = 'Ask again'"), 1);
  EXPECT_EQ(others_.deals[quiet.id()].stage_id(), paid_);
  EXPECT_EQ(others_.deals[answered.id()].stage_id(), offer_);
  for (const auto& run : Runs()) {
    EXPECT_EQ(run.status(), v1::RUN_STATUS_DONE);
    EXPECT_EQ(StepsOf(run), run.record_id() == quiet.id() ? "1:wait 2:branch 2.otherwise.1:create_task 3:move_deal"
                                                          : "1:wait 2:branch 2.then.1:stop");
  }
}

TEST_F(RuleTest, ABranchAsksAboutANeighbour) {
  Create(R"(trigger {event {type: 'message.received'}}
    actions {wait {time {hours: 4}}}
    actions {branch {condition: 'deal.note = "urgent"' then {create_task {title: 'Answer {{deal.title}}'}}}})");
  others_.before = [](const std::string& method) {
    return method == "GetMessage" ? NotFound("message") : absl::OkStatus();  // as it was in the event
  };
  for (const char* note : {"urgent", "calm"}) {
    const auto deal = NewDeal(offer_);
    messaging::v1::MessageReceived received;
    received.mutable_message()->set_id(NewId("message", absl::Now()));
    received.mutable_message()->set_deal_id(deal.id());
    received.mutable_message()->set_owner_id(user_);
    ASSERT_TRUE(Deliver(EventOf("message.received", "messaging", received.message().id(), received)).ok());
    Fire();
    others_.deals[deal.id()].set_note(note);  // meanwhile
  }
  Advance(absl::Hours(5));
  Fire();
  EXPECT_EQ(Count("task WHERE title = 'Answer Cake'"), 1);
  for (const auto& run : Runs()) EXPECT_EQ(run.status(), v1::RUN_STATUS_DONE) << run.ShortDebugString();
}

TEST_F(RuleTest, AGoneTargetFailsTheRunAndTellsTheOwner) {
  const v1::Rule rule =
      Create("trigger {stage_entered {stage_id: '" + offer_ +
             "'}} actions {create_task {title: 'x'}} actions {move_deal {stage_id: '" + paid_ + "'}}");
  const auto deal = NewDeal(offer_);
  others_.before = [&](const std::string& method) {
    return method == "MoveDeal" ? StateError("the stage's required fields are missing: amount") : absl::OkStatus();
  };
  ASSERT_TRUE(Deliver(Moved(deal)).ok());
  Fire();
  auto runs = Runs(rule.id());
  ASSERT_THAT(runs, SizeIs(1));
  ASSERT_EQ(runs[0].status(), v1::RUN_STATUS_FAILED);
  EXPECT_THAT(runs[0].error(), HasSubstr("required fields are missing"));
  EXPECT_EQ(runs[0].next_path(), "2");
  EXPECT_EQ(Count("notification WHERE kind = 12 AND owner_id = '" + ParseId(user_)->uuid.ToString() + "'"), 1);
  EXPECT_EQ(Fire(), 0) << "not tried for ever";

  // Somebody fills the field in and tries again: only what failed is done.
  others_.before = nullptr;
  Call call = NewCall();
  v1::RetryRuleRunRequest retry;
  retry.set_id(runs[0].id());
  ASSERT_TRUE(loop_.Run(service_->RetryRuleRun(call, retry)).ok());
  Fire();
  runs = Runs(rule.id());
  EXPECT_EQ(runs[0].status(), v1::RUN_STATUS_DONE) << runs[0].ShortDebugString();
  EXPECT_EQ(Count("task WHERE true"), 1);
  EXPECT_EQ(others_.deals[deal.id()].stage_id(), paid_);
  Call again = NewCall();
  EXPECT_TRUE(absl::IsFailedPrecondition(loop_.Run(service_->RetryRuleRun(again, retry)).status()));
}

TEST_F(RuleTest, WhatStaysAwayIsGivenUpAfterAllAttempts) {
  Create("trigger {event {type: 'deal.moved'}} actions {set_field {field: 'note' value: 'x'}}");
  int asked = 0;
  others_.before = [&](const std::string& method) {
    if (method == "UpdateDeal") ++asked;
    return method == "UpdateDeal" ? absl::UnavailableError("away") : absl::OkStatus();
  };
  ASSERT_TRUE(Deliver(Moved(NewDeal(offer_))).ok());
  for (int i = 0; i < 6; ++i) {
    Fire();
    Advance(absl::Hours(1));
  }
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(Runs()[0].status(), v1::RUN_STATUS_FAILED);
  EXPECT_EQ(Runs()[0].steps(0).attempts(), 3);
}

TEST_F(RuleTest, ChainsAreCutWhereTheyAreTooLong) {
  const v1::Rule rule = Create("trigger {event {type: 'deal.moved'}} actions {create_task {title: 'x'}}");
  auto event = Moved(NewDeal(offer_));
  event.mutable_cause()->set_rule_id(rule.id());
  event.mutable_cause()->set_run_id(NewId("rule_run", absl::Now()));
  event.mutable_cause()->set_depth(kDepthMax - 1);
  ASSERT_TRUE(Deliver(event).ok());
  auto deeper = Moved(NewDeal(offer_));
  *deeper.mutable_cause() = event.cause();
  deeper.mutable_cause()->set_depth(kDepthMax);
  ASSERT_TRUE(Deliver(deeper).ok());
  Fire();
  const auto runs = Runs();
  ASSERT_THAT(runs, SizeIs(2));
  EXPECT_EQ(runs[0].status(), v1::RUN_STATUS_DONE);
  EXPECT_EQ(runs[0].depth(), kDepthMax);
  EXPECT_EQ(runs[0].cause_run_id(), event.cause().run_id());
  EXPECT_EQ(runs[1].status(), v1::RUN_STATUS_CUT);
  EXPECT_THAT(runs[1].error(), HasSubstr("set each other off"));
  EXPECT_EQ(Count("task WHERE true"), 1);
}

TEST_F(RuleTest, LimitsHold) {
  const v1::Rule hourly =
      Create("trigger {event {type: 'deal.moved'}} limits {runs_per_hour: 2} actions {create_task {title: 'x'}}");
  const v1::Rule once = Create(
      "trigger {event {type: 'deal.moved'}} limits {once_per_record: true} actions {create_task {title: 'once'}}");
  const auto deal = NewDeal(offer_);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Deliver(Moved(deal)).ok());
  Fire();
  int done = 0, skipped = 0;
  for (const auto& run : Runs(hourly.id())) {
    done += run.status() == v1::RUN_STATUS_DONE;
    skipped += run.status() == v1::RUN_STATUS_SKIPPED;
  }
  EXPECT_EQ(done, 2);
  EXPECT_EQ(skipped, 2);
  EXPECT_THAT(Runs(once.id()), SizeIs(1));
  EXPECT_EQ(Count("task WHERE title = 'once'"), 1);
}

TEST_F(RuleTest, SeveralTakeTurns) {
  Create("trigger {event {type: 'deal.moved'}} actions {assign {user_ids: '" + user_ + "' user_ids: '" + head_ +
         "' user_ids: '" + colleague_ + "'}}");
  std::map<std::string, int> got;
  for (int i = 0; i < 6; ++i) {
    const auto deal = NewDeal(offer_);
    others_.deals[deal.id()].clear_owner_id();
    ASSERT_TRUE(Deliver(Moved(deal)).ok());
    Fire();
    ++got[others_.deals[deal.id()].owner_id()];
  }
  EXPECT_EQ(got[user_], 2);
  EXPECT_EQ(got[head_], 2);
  EXPECT_EQ(got[colleague_], 2);
}

TEST_F(RuleTest, WhatIsOffOrGoneDoesNothing) {
  v1::Rule rule = Create("trigger {event {type: 'deal.moved'}} actions {create_task {title: 'x'}}");
  rule.set_enabled(false);
  auto off = Update(rule, "enabled");
  ASSERT_TRUE(off.ok()) << off.status();
  EXPECT_EQ(off->version(), 1);
  ASSERT_TRUE(Deliver(Moved(NewDeal(offer_))).ok());
  off->set_enabled(true);
  off->clear_etag();
  ASSERT_TRUE(Update(*off, "enabled").ok());
  ASSERT_TRUE(Deliver(Moved(NewDeal(offer_))).ok());
  Call call = NewCall();
  v1::DeleteRuleRequest gone;
  gone.set_id(rule.id());
  ASSERT_TRUE(loop_.Run(service_->DeleteRule(call, gone)).ok());
  ASSERT_TRUE(Deliver(Moved(NewDeal(offer_))).ok());
  Fire();
  EXPECT_THAT(Runs(), SizeIs(1));
  EXPECT_EQ(Count("task WHERE true"), 1);
}

TEST_F(RuleTest, ACircleIsRefusedWhenItIsSaved) {
  Create("name: 'A' trigger {stage_entered {stage_id: '" + offer_ + "'}} actions {move_deal {stage_id: '" + paid_ +
         "'}}");
  const std::string back =
      "name: 'B' trigger {stage_entered {stage_id: '" + paid_ + "'}} actions {move_deal {stage_id: '" + offer_ + "'}}";
  const auto refused = TryCreate(back);
  ASSERT_TRUE(absl::IsInvalidArgument(refused.status()));
  EXPECT_THAT(ViolationsOf(refused.status())[0].description,
              HasSubstr("B: move_deal -> deal.moved -> A: move_deal -> deal.moved -> B"));
  const auto warned = TryCreate(back + " condition: 'amount > 5'");
  ASSERT_TRUE(warned.ok()) << warned.status();
  EXPECT_EQ(warned->warnings_size(), 1);
  // A plan that is off may be one; switching it on is what is refused.
  Call call = NewCall();
  v1::CreateRuleRequest request;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(back, request.mutable_rule()));
  auto off = loop_.Run(service_->CreateRule(call, request));
  ASSERT_TRUE(off.ok()) << off.status();
  off->set_enabled(true);
  EXPECT_TRUE(absl::IsInvalidArgument(Update(*off, "enabled").status()));
}

TEST_F(RuleTest, OfTwoWhoSaveACircleAtOnceOneIsRefused) {
  std::vector<Call> calls = {NewCall(), NewCall()};
  std::vector<v1::CreateRuleRequest> requests(2);
  for (int i = 0; i < 2; ++i) {
    auto& rule = *requests[static_cast<size_t>(i)].mutable_rule();
    rule.set_name(i == 0 ? "A" : "B");
    rule.set_enabled(true);
    rule.mutable_trigger()->mutable_stage_entered()->set_stage_id(i == 0 ? offer_ : paid_);
    rule.add_actions()->mutable_move_deal()->set_stage_id(i == 0 ? paid_ : offer_);
  }
  std::vector<asio::awaitable<absl::StatusOr<v1::Rule>>> saves;
  for (size_t i = 0; i < 2; ++i) saves.push_back(service_->CreateRule(calls[i], requests[i]));
  auto answers = loop_.RunAll(std::move(saves));
  ASSERT_EQ(answers[0].ok() + answers[1].ok(), 1);
  // The other one runs again, as the rpc adapter does, and sees the first.
  const size_t lost = answers[0].ok() ? 1 : 0;
  EXPECT_TRUE(IsLostRace(answers[lost].status())) << answers[lost].status();
  Call call = NewCall();
  EXPECT_TRUE(absl::IsInvalidArgument(loop_.Run(service_->CreateRule(call, requests[lost])).status()));
}

TEST_F(RuleTest, ADateComesNearAndMoves) {
  auto before = NewDeal(offer_);  // there before the rule
  const std::string day = DateText(LocalDay(absl::Now(), ZoneOrUtc("Europe/Berlin")) + 10);
  others_.deals[before.id()].set_expected_close_date(day);
  const v1::Rule rule =
      Create(R"(trigger {date {object: 'deal' field: 'expected_close_date' offset {days: 2} before: true hour: 9}}
    condition: 'status != DEAL_STATUS_WON' actions {notify {text: '{{title}} is to be closed' person {kind: KIND_HEAD}}})");
  EXPECT_GE(Fire(), 1) << "the backfill";
  auto later = NewDeal(offer_);
  others_.deals[later.id()].set_expected_close_date(day);
  deal_pipeline::v1::DealCreated created;
  *created.mutable_deal() = others_.deals[later.id()];
  ASSERT_TRUE(Deliver(EventOf("deal.created", "deal_pipeline", later.id(), created)).ok());
  Advance(absl::Hours(24 * 7));
  Fire();
  EXPECT_THAT(Runs(), SizeIs(0));
  // One is put off.
  others_.deals[later.id()].set_expected_close_date(DateText(LocalDay(absl::Now(), ZoneOrUtc("Europe/Berlin")) + 20));
  Advance(absl::Hours(24 * 2));
  Fire();
  ASSERT_THAT(Runs(), SizeIs(1));
  EXPECT_EQ(Runs()[0].record_id(), before.id());
  EXPECT_EQ(Runs()[0].event_type(), "date");
  EXPECT_EQ(Count("notification WHERE title = 'Cake is to be closed' AND owner_id = '" +
                  ParseId(head_)->uuid.ToString() + "'"),
            1);
  Advance(absl::Hours(24 * 11));
  Fire();
  EXPECT_THAT(Runs(), SizeIs(2));
}

TEST_F(RuleTest, WhatComesDueBeforeTheRulesAreLoadedIsNotLost) {
  const auto deal = NewDeal(offer_);
  others_.deals[deal.id()].set_expected_close_date(DateText(LocalDay(absl::Now(), ZoneOrUtc("Europe/Berlin")) + 1));
  Create(
      "trigger {date {object: 'deal' field: 'expected_close_date' offset {days: 1} hour: 9}} "
      "actions {notify {text: '{{title}} is late' person {kind: KIND_HEAD}}}");
  Create("trigger {silence {stage_id: '" + offer_ + "' after {days: 3}}} actions {create_task {title: 'Ask'}}");
  Create("trigger {schedule {object: 'deal' recurrence: 'FREQ=DAILY;COUNT=1' start_time {seconds: " +
         std::to_string(absl::ToUnixSeconds(absl::Now() + absl::Hours(30))) +
         "}}} condition: 'amount > 1' actions {create_task {title: 'Look'}}");
  ASSERT_TRUE(Deliver(Moved(others_.deals[deal.id()])).ok());
  Fire();
  EXPECT_THAT(Runs(), SizeIs(0));
  Advance(absl::Hours(24 * 4));
  Restart(false);
  EXPECT_EQ(loop_.Run(timers_->FireDue()).value_or(0), 3);
  EXPECT_THAT(Runs(), SizeIs(3));
}

TEST_F(RuleTest, SilenceEndsWithALetterOrAnotherStage) {
  Create("trigger {silence {stage_id: '" + offer_ +
         "' after {days: 3}}} actions {create_task {title: 'Ask {{contact.display_name}}'}}");
  const auto silent = NewDeal(offer_), wrote = NewDeal(offer_), moved = NewDeal(offer_);
  for (const auto& deal : {silent, wrote, moved}) ASSERT_TRUE(Deliver(Moved(deal)).ok());
  Advance(absl::Hours(24));
  messaging::v1::MessageReceived received;
  received.mutable_message()->set_deal_id(wrote.id());
  ASSERT_TRUE(Deliver(EventOf("message.received", "messaging", NewId("message", absl::Now()), received)).ok());
  // A machine's answer is none.
  received.mutable_message()->set_deal_id(silent.id());
  received.mutable_message()->set_automatic(true);
  ASSERT_TRUE(Deliver(EventOf("message.received", "messaging", NewId("message", absl::Now()), received)).ok());
  others_.deals[moved.id()].set_stage_id(paid_);
  ASSERT_TRUE(Deliver(Moved(others_.deals[moved.id()])).ok());
  Advance(absl::Hours(50));
  Fire();
  ASSERT_THAT(Runs(), SizeIs(1));
  EXPECT_EQ(Runs()[0].record_id(), silent.id());
  EXPECT_EQ(Count("task WHERE title = 'Ask Ann'"), 1);
}

TEST_F(RuleTest, AScheduleGoesThroughTheRecords) {
  const auto one = NewDeal(offer_), two = NewDeal(offer_);
  const absl::Time start = absl::Now() + absl::Hours(30);
  const v1::Rule rule = Create("trigger {schedule {object: 'deal' recurrence: 'FREQ=DAILY' start_time {seconds: " +
                               std::to_string(absl::ToUnixSeconds(start)) +
                               "}}} condition: 'amount > 1' actions {create_task {title: 'Look at {{title}}'}}");
  Fire();
  EXPECT_THAT(Runs(), SizeIs(0));
  Advance(absl::Hours(31));
  Fire();
  EXPECT_THAT(Runs(), SizeIs(2));
  EXPECT_EQ(Runs()[0].event_type(), "schedule");
  EXPECT_EQ(Count("task WHERE title = 'Look at Cake'"), 2);
  Restart();
  Advance(absl::Hours(24));
  Fire();
  EXPECT_THAT(Runs(), SizeIs(4));
  // Days that nobody was there for are made up for once.
  Advance(absl::Hours(24 * 5));
  Fire();
  EXPECT_THAT(Runs(), SizeIs(6));
  v1::Rule off = rule;
  off.set_enabled(false);
  off.clear_etag();
  ASSERT_TRUE(Update(off, "enabled").ok());
  Advance(absl::Hours(24 * 5));
  EXPECT_EQ(Fire(), 0);
}

TEST_F(RuleTest, AnAnswerCallsTheRemindersOff) {
  const v1::Rule reminds = Create("trigger {stage_entered {stage_id: '" + offer_ +
                                  "'}} actions {create_reminder {text: 'r' due {days: 2}}}");
  Create("trigger {event {type: 'message.received'}} condition: 'deal_id:*' actions {cancel_reminders {rule_id: '" +
         reminds.id() + "'}}");
  const auto deal = NewDeal(offer_), other = NewDeal(offer_);
  ASSERT_TRUE(Deliver(Moved(deal)).ok());
  ASSERT_TRUE(Deliver(Moved(other)).ok());
  Fire();
  EXPECT_EQ(Count("reminder WHERE status = 1"), 2);
  messaging::v1::MessageReceived received;
  received.mutable_message()->set_id(NewId("message", absl::Now()));
  received.mutable_message()->set_deal_id(deal.id());
  others_.before = [](const std::string& method) {
    return method == "GetMessage" ? NotFound("message") : absl::OkStatus();  // as it was in the event
  };
  ASSERT_TRUE(Deliver(EventOf("message.received", "messaging", received.message().id(), received)).ok());
  Fire();
  EXPECT_EQ(Count("reminder WHERE status = 3"), 1);
  EXPECT_EQ(Count("reminder WHERE status = 1"), 1);
}

TEST_F(RuleTest, AnotherTenantHearsNothing) {
  Create("trigger {event {type: 'deal.moved'}} actions {create_task {title: 'x'}}");
  const Uuid own = tenant_;
  tenant_ = crm::testing::NewTenant();
  ASSERT_TRUE(Deliver(Moved(NewDeal(offer_))).ok());
  EXPECT_THAT(Runs(), SizeIs(0));
  EXPECT_EQ(book_->Of(tenant_), nullptr);
  tenant_ = own;
  EXPECT_NE(book_->Of(tenant_), nullptr);
}

TEST_F(RuleTest, AnotherReplicaLearnsOfARuleByItself) {
  RuleBook replica(db_, worker_db_);
  EXPECT_FALSE(replica.fresh()) << "events wait until the rules are known";
  ASSERT_TRUE(loop_.Run(replica.Refresh()).ok());
  EXPECT_TRUE(replica.fresh());
  const v1::Rule rule = Create("trigger {event {type: 'deal.moved'}} actions {create_task {title: 'x'}}");
  ASSERT_TRUE(loop_.Run(replica.Refresh()).ok());
  ASSERT_NE(replica.Of(tenant_), nullptr);
  EXPECT_NE(replica.Of(tenant_)->Find(rule.id()), nullptr);
}

TEST_F(RuleTest, ACancelledRunEnds) {
  Create("trigger {event {type: 'deal.moved'}} actions {wait {time {days: 1}}} actions {create_task {title: 'x'}}");
  ASSERT_TRUE(Deliver(Moved(NewDeal(offer_))).ok());
  Fire();
  Call call = NewCall();
  v1::CancelRuleRunRequest cancel;
  cancel.set_id(Runs()[0].id());
  ASSERT_TRUE(loop_.Run(service_->CancelRuleRun(call, cancel)).ok());
  Advance(absl::Hours(48));
  EXPECT_EQ(Fire(), 0);
  EXPECT_EQ(Runs()[0].status(), v1::RUN_STATUS_CANCELLED);
  EXPECT_EQ(Count("task WHERE true"), 0);
}

TEST_F(RuleTest, ARuleIsRunByHandOnce) {
  const v1::Rule rule =
      Create("trigger {event {type: 'deal.moved'}} condition: 'amount > 99999' actions {create_task {title: 'x'}}");
  const auto deal = NewDeal(offer_);
  Call call = NewCall();
  v1::RunRuleRequest request;
  request.set_id(rule.id());
  request.set_record_id(deal.id());
  const auto run = loop_.Run(service_->RunRule(call, request));
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->event_type(), "manual");
  Call again = call;
  EXPECT_EQ(loop_.Run(service_->RunRule(again, request))->id(), run->id());
  Fire();
  ASSERT_THAT(Runs(), SizeIs(1));
  EXPECT_EQ(Runs()[0].status(), v1::RUN_STATUS_DONE) << Runs()[0].ShortDebugString();
  EXPECT_EQ(Count("task WHERE true"), 1);
  Call other = NewCall();
  request.set_record_id(NewId("deal", absl::Now()));
  EXPECT_TRUE(absl::IsNotFound(loop_.Run(service_->RunRule(other, request)).status()));
}

TEST_F(RuleTest, AnAuditFindsWhatNobodyLooksAfter) {
  const v1::Rule good =
      Create("name: 'good' category: 'sales' trigger {event {type: 'deal.moved'}} actions {notify {text: 'x'}}");
  const v1::Rule idle =
      Create("name: 'idle' trigger {event {type: 'deal.created'}} actions {notify {text: 'x'}} owner_id: '" +
             NewId("user", absl::Now()) + "'");
  ASSERT_TRUE(Deliver(Moved(NewDeal(offer_))).ok());
  Fire();
  Call call = NewCall();
  const auto audit = loop_.Run(service_->AuditRules(call, v1::AuditRulesRequest()));
  ASSERT_TRUE(audit.ok()) << audit.status();
  ASSERT_EQ(audit->items_size(), 1);
  EXPECT_EQ(audit->items(0).rule_id(), idle.id());
  EXPECT_THAT(audit->items(0).findings(),
              ElementsAre(v1::AuditRulesResponse::FINDING_OWNERLESS, v1::AuditRulesResponse::FINDING_UNCATEGORISED,
                          v1::AuditRulesResponse::FINDING_NEVER_RAN));
}

// ---- without effects ----

// A service's event log in memory.
class Kept final : public events::Source {
 public:
  std::vector<events::v1::Event> events;
  int asked = 0;
  Async<events::v1::ListEventsResponse> ListEvents(const Call&, const events::v1::ListEventsRequest& request) override {
    ++asked;
    events::v1::ListEventsResponse response;
    for (const auto& event : events) {
      if (event.seq() > request.after_seq() && response.events_size() < request.limit()) *response.add_events() = event;
    }
    response.set_head_seq(events.empty() ? 0 : events.back().seq());
    co_return response;
  }
  Async<events::v1::ListHeadsResponse> ListHeads(const Call&, const events::v1::ListHeadsRequest&) override {
    co_return events::v1::ListHeadsResponse();
  }
};

TEST_F(RuleTest, ADryRunTellsWhatWouldHaveHappened) {
  auto log = std::make_unique<Kept>();
  Kept& kept = *log;
  logs_["deal_pipeline"] = std::move(log);
  for (int i = 0; i < 40; ++i) {
    auto event = Moved(NewDeal(i % 2 == 0 ? offer_ : paid_));
    event.set_seq(static_cast<uint64_t>(i + 1));
    *event.mutable_time() = ToTimestamp(absl::Now() - absl::Hours(24) * (40 - i) + absl::Hours(1));
    kept.events.push_back(event);
  }
  Call call = NewCall();
  v1::DryRunRuleRequest request;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "trigger {stage_entered {stage_id: '" + offer_ +
          "'}} name: 'x' actions {create_task {title: 'Call {{contact.display_name}}'}} actions {wait {time {days: "
          "1}}} "
          "actions {branch {condition: 'amount > 5000' then {stop {}} otherwise {move_deal {stage_id: '" +
          paid_ + "'}}}}",
      request.mutable_rule()));
  request.set_days(10);
  request.set_hits_max(2);
  const auto answer = loop_.Run(service_->DryRunRule(call, request));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->hit_count(), 5);
  EXPECT_EQ(answer->event_count(), 10);
  ASSERT_EQ(answer->hits_size(), 2);
  EXPECT_FALSE(answer->truncated());
  const auto& hit = answer->hits(0);
  EXPECT_EQ(hit.event_type(), "deal.moved");
  ASSERT_EQ(hit.steps_size(), 4);
  EXPECT_THAT(hit.steps(0).text(), HasSubstr("task \"Call Ann\" for " + user_));
  EXPECT_THAT(hit.steps(2).text(), HasSubstr("does not hold"));
  EXPECT_EQ(hit.steps(3).path(), "3.otherwise.1");
  EXPECT_LT(kept.asked, 12) << "the beginning is searched for, not read up to";
  // Nothing has happened.
  EXPECT_EQ(Count("rule_run WHERE true"), 0);
  EXPECT_EQ(Count("task WHERE true"), 0);
  EXPECT_TRUE(others_.replies.empty());
}

TEST_F(RuleTest, APreviewShowsOneRecord) {
  const auto deal = NewDeal(offer_);
  const v1::Rule rule = Create(
      "trigger {event {type: 'deal.moved'}} condition: 'amount > 5000' actions {set_field {field: 'note' value: 'Big: "
      "{{amount}}'}}");
  Call call = NewCall();
  v1::PreviewRuleRequest request;
  request.set_id(rule.id());
  request.set_record_id(deal.id());
  const auto preview = loop_.Run(service_->PreviewRule(call, request));
  ASSERT_TRUE(preview.ok()) << preview.status();
  EXPECT_FALSE(preview->matches());
  ASSERT_EQ(preview->steps_size(), 1);
  EXPECT_EQ(preview->steps(0).text(), "note of " + deal.id() + " becomes \"Big: 1500\"");
  EXPECT_TRUE(others_.replies.empty());
}

}  // namespace
}  // namespace crm::scheduler::automation
