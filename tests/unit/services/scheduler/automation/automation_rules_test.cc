// The pure part of automation rules: what sets them off, what they are refused for, circles, texts and values.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/time.h"
#include "crm/contact/v1/contact.pb.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "crm/identity/v1/user.pb.h"
#include "crm/messaging/v1/events.pb.h"
#include "services/scheduler/jobs/automation_runs.h"
#include "services/scheduler/rules/automation_catalogue.h"
#include "services/scheduler/rules/automation_check.h"
#include "services/scheduler/rules/automation_loops.h"
#include "services/scheduler/rules/automation_program.h"
#include "services/scheduler/rules/automation_text.h"
#include "services/scheduler/rules/automation_value.h"

namespace crm::scheduler::automation {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const absl::Time kNow = *ParseTime("2026-11-23T10:00:00Z");
const std::string kOffer = TypeId("stage", DerivedUuid({}, "offer"));
const std::string kPaid = TypeId("stage", DerivedUuid({}, "paid"));
const std::string kAnn = TypeId("user", DerivedUuid({}, "ann"));

Call ACall() {
  Call call;
  call.start = kNow;
  call.principal.kind = Principal::Kind::kService;
  call.principal.tenant = DerivedUuid({}, "tenant");
  return call;
}

v1::Rule RuleOf(const std::string& text) {
  v1::Rule rule;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &rule)) << text;
  if (rule.name().empty()) rule.set_name("Rule");
  return rule;
}

std::shared_ptr<const Program> ProgramOf(const std::string& text) {
  auto program = Program::Compile(RuleOf(text));
  EXPECT_TRUE(program.ok()) << program.status();
  return program.ok() ? *program : nullptr;
}

template <typename Payload>
std::unique_ptr<Opened> Event(const std::string& type, const std::string& service, const Payload& payload,
                              const std::vector<std::string>& changed = {}) {
  events::v1::Event event;
  event.set_type(type);
  event.set_service(service);
  event.mutable_payload()->PackFrom(payload);
  for (const auto& field : changed) event.add_changed_fields(field);
  return Open(event);
}

std::unique_ptr<Opened> Moved(const std::string& stage) {
  deal_pipeline::v1::DealMoved moved;
  moved.mutable_deal()->set_stage_id(stage);
  moved.mutable_deal()->set_title("Cake");
  moved.mutable_deal()->mutable_amount()->set_amount("1500");
  moved.set_from_stage_id(kPaid);
  return Event("deal.moved", "deal_pipeline", moved, {"stage_id"});
}

TEST(AutomationCatalogue, EveryEventWithItsRecordIsThere) {
  const Catalogue& catalogue = Catalogue::Get();
  for (const char* type : {"deal.created", "deal.moved", "lead.accepted", "contact.updated", "company.created",
                           "message.received", "task.completed", "task.overdue", "reminder.fired"}) {
    ASSERT_NE(catalogue.FindEvent(type), nullptr) << type;
    EXPECT_EQ(catalogue.FindEvent(type)->object->name,
              absl::string_view(type).substr(0, absl::string_view(type).find('.')));
  }
  // What automation may do with a record stands in its rpcs' access options.
  for (const char* object : {"deal", "lead", "contact", "company", "task"}) {
    ASSERT_NE(catalogue.FindObject(object)->get, nullptr) << object;
    EXPECT_NE(catalogue.FindObject(object)->update, nullptr) << object;
    EXPECT_NE(catalogue.FindObject(object)->list, nullptr) << object;
  }
  EXPECT_EQ(catalogue.FindEvent("deal.exploded"), nullptr);
}

TEST(AutomationCatalogue, WhatIsImportedSetsNothingOff) {
  deal_pipeline::v1::DealCreated created;
  created.mutable_deal()->set_title("Old");
  EXPECT_NE(Event("deal.created", "deal_pipeline", created), nullptr);
  created.set_imported(true);
  EXPECT_EQ(Event("deal.created", "deal_pipeline", created), nullptr);
}

TEST(AutomationProgram, TriggersHearWhatTheyAreFor) {
  const auto moved = Moved(kOffer);
  ASSERT_NE(moved, nullptr);
  struct Case {
    std::string rule;
    bool triggers;
  };
  const std::vector<Case> cases = {
      {"trigger {event {type: 'deal.moved'}}", true},
      {"trigger {event {type: 'deal.*'}}", true},
      {"trigger {event {type: 'deal.created'}}", false},
      {"trigger {event {type: 'lead.*'}}", false},
      {"trigger {stage_entered {stage_id: '" + kOffer + "'}}", true},
      {"trigger {stage_entered {stage_id: '" + kPaid + "'}}", false},
      {"trigger {field_changed {object: 'deal' field: 'stage_id'}}", true},
      {"trigger {field_changed {object: 'deal' field: 'stage_id' to: '" + kOffer + "'}}", true},
      {"trigger {field_changed {object: 'deal' field: 'stage_id' to: '" + kPaid + "'}}", false},
      {"trigger {field_changed {object: 'deal' field: 'amount'}}", false},
      {"trigger {field_changed {object: 'contact' field: 'stage_id'}}", false},
      {"trigger {silence {stage_id: '" + kOffer + "' after {days: 3}}}", false},
  };
  for (const Case& c : cases) EXPECT_EQ(ProgramOf(c.rule)->Triggers(ACall(), *moved), c.triggers) << c.rule;
}

TEST(AutomationProgram, ConditionsSeeRecordEventAndPayload) {
  const auto moved = Moved(kOffer);
  const auto matches = [&](const std::string& condition) {
    v1::Rule rule = RuleOf("trigger {event {type: 'deal.moved'}}");
    rule.set_condition(condition);
    auto program = Program::Compile(rule);
    EXPECT_TRUE(program.ok()) << condition << program.status();
    return (*program)->Matches(ACall(), *moved);
  };
  EXPECT_TRUE(matches("amount > 1000"));
  EXPECT_FALSE(matches("amount > 2000"));
  EXPECT_TRUE(matches("amount.amount = 1500.00 title = \"Cake\""));
  EXPECT_TRUE(matches("event.changed_fields:stage_id"));
  EXPECT_FALSE(matches("event.changed_fields:amount"));
  EXPECT_TRUE(matches("payload.from_stage_id = \"" + kPaid + "\""));
  EXPECT_TRUE(matches("NOT contact_id:*"));
}

TEST(AutomationProgram, StepsAreNumberedAndLeadForwards) {
  const auto program = ProgramOf(R"(
    trigger {event {type: 'deal.moved'}}
    actions {notify {text: 'a'}}
    actions {branch {condition: 'amount > 5'
      then {wait {time {days: 1}}} then {stop {}}
      otherwise {notify {text: 'b'}}}}
    actions {notify {text: 'c'}})");
  const auto at = [&](int i) -> const Step& { return program->steps()[static_cast<size_t>(i)]; };
  const Step& first = at(program->first());
  EXPECT_EQ(first.path, "1");
  const Step& branch = at(first.next);
  EXPECT_EQ(branch.path, "2");
  EXPECT_EQ(at(branch.then).path, "2.then.1");
  EXPECT_EQ(at(at(branch.then).next).path, "2.then.2");
  EXPECT_EQ(at(at(branch.then).next).next, -1) << "a stop ends the run";
  EXPECT_EQ(at(branch.otherwise).path, "2.otherwise.1");
  EXPECT_EQ(at(at(branch.otherwise).next).path, "3");
  EXPECT_EQ(program->Find("2.otherwise.1"), branch.otherwise);
  EXPECT_EQ(program->Find("7"), -1);
}

std::vector<std::string> WrongFields(const std::string& text) {
  std::vector<std::string> fields;
  for (const auto& violation : ViolationsOf(CheckRule(ACall(), RuleOf(text)))) fields.push_back(violation.field);
  return fields;
}

TEST(AutomationCheck, WhatCannotRunIsRefusedByName) {
  const std::string deal = "trigger {event {type: 'deal.moved'}} ";
  const std::string stop = "actions {stop {}} ";
  EXPECT_THAT(WrongFields(deal + stop), IsEmpty());
  EXPECT_THAT(WrongFields(stop), ElementsAre("rule.trigger.event"));
  EXPECT_THAT(WrongFields("trigger {event {type: 'deal.exploded'}} " + stop), ElementsAre("rule.trigger.event.type"));
  EXPECT_THAT(WrongFields("trigger {event {type: 'ghost.*'}} " + stop), ElementsAre("rule.trigger.event.type"));
  EXPECT_THAT(WrongFields("trigger {field_changed {object: 'deal' field: 'amuont'}} " + stop),
              ElementsAre("rule.trigger.field_changed.field"));
  EXPECT_THAT(WrongFields("trigger {field_changed {object: 'deal' field: 'status' to: 'WONDERFUL'}} " + stop),
              ElementsAre("rule.trigger.field_changed.to"));
  EXPECT_THAT(WrongFields("trigger {date {object: 'deal' field: 'title'}} " + stop),
              ElementsAre("rule.trigger.date.field"));
  EXPECT_THAT(WrongFields("trigger {silence {stage_id: 'x' after {}}} " + stop),
              ElementsAre("rule.trigger.silence.after"));
  const std::string schedule = "trigger {schedule {object: 'deal' recurrence: 'FREQ=WEEKLY' start_time {seconds: 5}}} ";
  EXPECT_THAT(WrongFields(schedule + stop), IsEmpty());
  EXPECT_THAT(WrongFields(schedule + stop + "condition: 'event.actor_id:*'"), ElementsAre("rule.condition"));
  EXPECT_THAT(WrongFields("trigger {schedule {object: 'ghost' recurrence: 'FREQ=SECONDLY'}} " + stop),
              ElementsAre("rule.trigger.schedule.object", "rule.trigger.schedule.recurrence",
                          "rule.trigger.schedule.start_time"));
  EXPECT_THAT(WrongFields(deal), ElementsAre("rule.actions"));
  EXPECT_THAT(WrongFields(deal + stop + "condition: 'amuont > 5'"), ElementsAre("rule.condition"));
  EXPECT_THAT(WrongFields(deal + stop + "condition: 'amount >'"), ElementsAre("rule.condition"));
  EXPECT_THAT(WrongFields(deal + stop + "condition: 'payload.to = 5'"), ElementsAre("rule.condition"));
  EXPECT_THAT(WrongFields(deal + "actions {}"), ElementsAre("rule.actions[0].notify"));
  EXPECT_THAT(WrongFields(deal + "actions {wait {time {}}}"), ElementsAre("rule.actions[0].wait.time"));
  EXPECT_THAT(WrongFields(deal + "actions {create_task {title: 'Call {{contcat.display_name}}'}}"),
              ElementsAre("rule.actions[0].create_task.title"));
  EXPECT_THAT(WrongFields(deal + "actions {notify {text: '{{title' person {kind: KIND_USER}}}"),
              ElementsAre("rule.actions[0].notify.text", "rule.actions[0].notify.person.user_id"));
  EXPECT_THAT(WrongFields(deal + "actions {set_field {field: 'status' value: 'DEAL_STATUS_WON'}}"),
              ElementsAre("rule.actions[0].set_field.field"));
  EXPECT_THAT(WrongFields(deal + "actions {set_field {field: 'expected_close_date' value: 'soon'}}"),
              ElementsAre("rule.actions[0].set_field.value"));
  EXPECT_THAT(WrongFields(deal + "actions {set_field {target: 'pipeline_id' field: 'name' value: 'x'}}"),
              ElementsAre("rule.actions[0].set_field.target"));
  EXPECT_THAT(
      WrongFields(deal + "actions {set_field {target: 'contact_id' field: 'lifecycle' value: 'LIFECYCLE_CUSTOMER'}}"),
      IsEmpty());
  EXPECT_THAT(WrongFields(deal + "actions {assign {}}"), ElementsAre("rule.actions[0].assign"));
  EXPECT_THAT(WrongFields(deal + "actions {send_message {text: 'x'}}"),
              ElementsAre("rule.actions[0].send_message.subject"));
  EXPECT_THAT(WrongFields("trigger {event {type: 'company.created'}} actions {move_deal {stage_id: 'x'}}"),
              ElementsAre("rule.actions[0].move_deal"));
  EXPECT_THAT(WrongFields("trigger {event {type: 'company.created'}} actions {send_message {subject: 'a' text: 'x'}}"),
              ElementsAre("rule.actions[0].send_message"));
  EXPECT_THAT(WrongFields(deal + "actions {branch {condition: 'x = 1' then {wait {time {}}}}}"),
              ElementsAre("rule.actions[0].branch.condition", "rule.actions[0].branch.then[0].wait.time"));
}

TEST(AutomationCheck, ConditionsOnPersonalDataNeedItsRight) {
  Call call = ACall();
  call.principal.kind = Principal::Kind::kUser;
  const v1::Rule rule = RuleOf("trigger {event {type: 'lead.created'}} condition: 'phone:\"+49\"' actions {stop {}}");
  EXPECT_TRUE(absl::IsPermissionDenied(CheckRule(call, rule)));
  auto rights = std::make_shared<Rights>();
  rights->personal_data = true;
  call.principal.rights = rights;
  EXPECT_TRUE(CheckRule(call, rule).ok());
}

TEST(AutomationCheck, BranchesMayAskAboutNeighbours) {
  const std::string received = "trigger {event {type: 'message.received'}} ";
  const auto branch = [](const std::string& condition) {
    return "actions {branch {condition: '" + condition + "' then {stop {}}}}";
  };
  EXPECT_THAT(WrongFields(received + branch("conversation.waiting = true AND deal.amount > 5")), IsEmpty());
  EXPECT_THAT(WrongFields(received + branch("conversation.wating = true")),
              ElementsAre("rule.actions[0].branch.condition"));
  EXPECT_THAT(WrongFields(received + branch("pipeline.name = \"x\"")), ElementsAre("rule.actions[0].branch.condition"));
  EXPECT_THAT(WrongFields(received + "condition: 'conversation.waiting = true' actions {stop {}}"),
              ElementsAre("rule.condition"))
      << "an event is judged by itself";
}

TEST(AutomationCheck, TooDeepAndTooManyAreRefused) {
  v1::Rule rule = RuleOf("trigger {event {type: 'deal.moved'}}");
  v1::Action* action = rule.add_actions();
  for (int i = 0; i < 8; ++i) {
    action->mutable_branch()->set_condition("amount > 1");
    action = action->mutable_branch()->add_then();
  }
  action->mutable_stop();
  EXPECT_FALSE(CheckRule(ACall(), rule).ok());
  EXPECT_FALSE(Program::Compile(rule).ok());
  rule.clear_actions();
  for (int i = 0; i <= kStepsMax; ++i) rule.add_actions()->mutable_notify()->set_text("x");
  EXPECT_FALSE(CheckRule(ACall(), rule).ok());
  EXPECT_FALSE(Program::Compile(rule).ok());
}

// ---- circles ----

std::shared_ptr<const Program> Named(const std::string& name, const std::string& text) {
  v1::Rule rule = RuleOf(text);
  rule.set_name(name);
  rule.set_id(TypeId("rule", DerivedUuid({}, name)));
  return *Program::Compile(rule);
}

TEST(AutomationLoops, ARuleThatAnswersItsOwnDoingIsEndless) {
  const auto rule =
      Named("A", "trigger {event {type: 'deal.updated'}} actions {set_field {field: 'note' value: '{{title}}'}}");
  EXPECT_EQ(FindLoops(*rule, {}).endless, "A: set_field -> deal.updated -> A");
  // Its own earlier version is not another rule.
  EXPECT_EQ(FindLoops(*rule, {rule}).endless, "A: set_field -> deal.updated -> A");
}

TEST(AutomationLoops, TheWayThroughOthersIsNamed) {
  const auto a = Named(
      "A", "trigger {stage_entered {stage_id: '" + kOffer + "'}} actions {move_deal {stage_id: '" + kPaid + "'}}");
  const auto b = Named("B", "trigger {stage_entered {stage_id: '" + kPaid + "'}} actions {create_task {title: 'x'}}");
  const auto c = Named("C", "trigger {event {type: 'task.created'}} actions {move_deal {stage_id: '" + kOffer + "'}}");
  EXPECT_EQ(FindLoops(*a, {b}).endless, "");
  EXPECT_EQ(FindLoops(*c, {a, b}).endless,
            "C: move_deal -> deal.moved -> A: move_deal -> deal.moved -> B: create_task -> task.created -> C");
  EXPECT_EQ(FindLoops(*a, {c, b}).endless,
            "A: move_deal -> deal.moved -> B: create_task -> task.created -> C: move_deal -> deal.moved -> A");
}

TEST(AutomationLoops, WhatAConditionMayEndIsAWarning) {
  const std::string actions = "actions {set_field {field: 'note' value: '{{title}}'}}";
  const auto conditional = Named("A", "trigger {event {type: 'deal.updated'}} condition: 'note = \"\"' " + actions);
  EXPECT_EQ(FindLoops(*conditional, {}).endless, "");
  EXPECT_THAT(FindLoops(*conditional, {}).possible, ElementsAre("A: set_field -> deal.updated -> A"));
  const auto branching = Named("A",
                               "trigger {event {type: 'deal.updated'}} actions {branch {condition: 'note = \"\"' then {"
                               "set_field {field: 'note' value: '{{title}}'}}}}");
  EXPECT_EQ(FindLoops(*branching, {}).endless, "");
  EXPECT_EQ(FindLoops(*branching, {}).possible.size(), 1u);
  // The field of a trigger that is set to the same value each time does not change the second time.
  const auto same = Named(
      "A", "trigger {field_changed {object: 'deal' field: 'note'}} actions {set_field {field: 'note' value: 'x'}}");
  EXPECT_EQ(FindLoops(*same, {}).endless, "");
  // Another field, another value, another stage: no way at all.
  const auto other = Named("A",
                           "trigger {field_changed {object: 'deal' field: 'note'}} actions {set_field {field: 'source' "
                           "value: '{{title}}'}}");
  EXPECT_THAT(FindLoops(*other, {}).possible, IsEmpty());
  const auto value = Named("A",
                           "trigger {field_changed {object: 'deal' field: 'source' to: '\"b\"'}} actions {set_field "
                           "{field: 'source' value: 'a'}}");
  EXPECT_THAT(FindLoops(*value, {}).possible, IsEmpty());
}

// ---- texts ----

TEST(AutomationText, VariablesAreFilledIn) {
  deal_pipeline::v1::Deal deal;
  deal.set_title("Cake & Co");
  deal.mutable_amount()->set_amount("1234.50");
  deal.mutable_amount()->set_currency_code("EUR");
  deal.set_status(deal_pipeline::v1::DEAL_STATUS_OPEN);
  deal.set_expected_close_date("2026-12-01");
  deal.add_tags("vip");
  deal.add_tags("sweet");
  *deal.mutable_create_time() = ToTimestamp(kNow);
  contact::v1::Contact contact;
  contact.set_display_name("Анна");
  identity::v1::User owner;
  owner.set_display_name("Moshe");
  const Linked linked = {{"contact", &contact}, {"owner", &owner}};
  const auto render = [&](const std::string& text) { return Render(text, deal, linked, ZoneOrUtc("Europe/Berlin")); };
  EXPECT_EQ(render("Call {{contact.display_name}} about {{title}}"), "Call Анна about Cake & Co");
  EXPECT_EQ(render("{{amount}}, {{status}}, {{expected_close_date}}, {{create_time}}"),
            "1234.50 EUR, open, 2026-12-01, 2026-11-23 11:00");
  EXPECT_EQ(render("{{#tags}}#{{.}} {{/tags}}{{owner.display_name}}"), "#vip #sweet Moshe");
  EXPECT_EQ(render("{{note}}{{company.name}}."), ".") << "what is not there is empty";
  EXPECT_EQ(render("no variables"), "no variables");
}

TEST(AutomationText, WhatIsNoTemplateIsRefused) {
  const ObjectKind& deal = *Catalogue::Get().FindObject("deal");
  for (const char* good : {"", "plain", "{{title}}", "{{ contact.display_name }}", "{{#tags}}{{.}}{{/tags}}",
                           "{{amount}}", "{{owner.display_name}}", "{{! comment }}x",
                           "{{#tags}}{{^lines}}x{{/lines}}{{/tags}}{{#tags}}{{.}}{{/tags}}"}) {
    EXPECT_TRUE(CheckTemplate(good, deal, "f").ok()) << good << CheckTemplate(good, deal, "f");
  }
  for (const char* bad :
       {"{{amuont}}", "{{contact.frist_name}}", "{{#tags}}", "{{title", "{{> secret}}", "{{=<% %>=}}",
        "{{title.length}}", "{{amount.whatever}}", "{{#tags}}{{#lines}}{{#tags}}x{{/tags}}{{/lines}}{{/tags}}",
        "{{#tags}}{{#a}}{{#b}}{{#c}}{{#d}}x{{/d}}{{/c}}{{/b}}{{/a}}{{/tags}}"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckTemplate(bad, deal, "f"))) << bad;
  }
  EXPECT_THAT(LinkedIn("{{contact.display_name}} {{title}} {{owner.display_name}}", deal.record),
              ElementsAre("contact", "owner"));
}

// ---- values ----

TEST(AutomationValue, FieldsTakeWhatTheyHold) {
  using Operation = v1::SetFieldAction;
  deal_pipeline::v1::Deal deal;
  deal.add_tags("vip");
  const auto put = [&](const std::string& field, const std::string& value,
                       Operation::Operation operation = Operation::OPERATION_SET) {
    deal_pipeline::v1::Deal patch;
    const absl::Status status = PutValue(ACall(), deal, field, operation, value, "value", patch);
    return status.ok() ? patch.ShortDebugString() : std::string(status.message().substr(0, 0)) + "refused";
  };
  EXPECT_EQ(put("note", "Hello, \"you\""), "note: \"Hello, \\\"you\\\"\"");
  EXPECT_EQ(put("note", ""), "");
  EXPECT_EQ(put("amount", "100.50 EUR"), "amount { amount: \"100.50\" currency_code: \"EUR\" }");
  EXPECT_EQ(put("amount", "100.50 DUCATS"), "refused");
  EXPECT_EQ(put("expected_close_date", "days(3)"), "expected_close_date: \"2026-11-26\"");
  EXPECT_EQ(put("expected_close_date", "2026-02-30"), "refused");
  EXPECT_EQ(put("paid_time", "now()"), "paid_time { seconds: 1795428000 }");
  EXPECT_EQ(put("paid_time", "2026-11-23T10:00:00Z"), "paid_time { seconds: 1795428000 }");
  EXPECT_EQ(put("owner_id", kAnn), "owner_id: \"" + kAnn + "\"");
  EXPECT_EQ(put("owner_id", kOffer), "refused");
  EXPECT_EQ(put("tags", "a, b"), "tags: \"a\" tags: \"b\"");
  EXPECT_EQ(put("tags", "new", Operation::OPERATION_ADD), "tags: \"vip\" tags: \"new\"");
  EXPECT_EQ(put("tags", "vip", Operation::OPERATION_ADD), "tags: \"vip\"") << "once";
  EXPECT_EQ(put("tags", "vip", Operation::OPERATION_REMOVE), "");
  EXPECT_EQ(put("note", "x", Operation::OPERATION_ADD), "refused");
  for (const char* field : {"status", "id", "stage_id", "lines", "access", "create_time", "nothing"}) {
    EXPECT_EQ(put(field, "x"), "refused") << field;
  }
}

// ---- time ----

TEST(AutomationRuns, DatesAreMovedByTheCalendar) {
  const absl::TimeZone berlin = ZoneOrUtc("Europe/Berlin");
  v1::DateTrigger trigger;
  trigger.set_object("deal");
  trigger.set_field("expected_close_date");
  trigger.set_before(true);
  trigger.mutable_offset()->set_days(2);
  trigger.set_hour(9);
  deal_pipeline::v1::Deal deal;
  EXPECT_EQ(DateDue(trigger, deal, berlin), std::nullopt);
  deal.set_expected_close_date("2026-10-26");  // clocks are turned back on the 25th
  EXPECT_EQ(TimeText(*DateDue(trigger, deal, berlin)), "2026-10-24T07:00:00Z");
  trigger.set_before(false);
  EXPECT_EQ(TimeText(*DateDue(trigger, deal, berlin)), "2026-10-28T08:00:00Z");
  trigger.set_field("paid_time");
  *deal.mutable_paid_time() = ToTimestamp(kNow);
  trigger.mutable_offset()->set_minutes(90);
  EXPECT_EQ(TimeText(*DateDue(trigger, deal, berlin)), "2026-11-25T11:30:00Z");
}

TEST(AutomationRuns, SchedulesGoOnByTheClockOnTheWall) {
  const absl::TimeZone berlin = ZoneOrUtc("Europe/Berlin");
  v1::ScheduleTrigger trigger;
  trigger.set_recurrence("FREQ=DAILY");
  *trigger.mutable_start_time() = ToTimestamp(*ParseTime("2026-10-20T07:00:00Z"));  // nine o'clock
  const auto next = [&](const std::string& after, Occasion from) {
    return NextOccasion(trigger, from, *ParseTime(after), berlin);
  };
  const Occasion first = FirstOccasion(trigger);
  EXPECT_EQ(TimeText(next("2026-10-01T00:00:00Z", first)->time), "2026-10-20T07:00:00Z") << "the first is one, too";
  const auto winter = next("2026-10-26T07:30:00Z", first);
  EXPECT_EQ(TimeText(winter->time), "2026-10-26T08:00:00Z");
  EXPECT_EQ(TimeText(Occasion::Of(winter->ToText())->time), "2026-10-26T08:00:00Z");
  EXPECT_EQ(Occasion::Of(winter->ToText())->number, winter->number);
  // Endless ones go on beyond what a series is counted through to.
  EXPECT_EQ(TimeText(next("2032-01-01T00:00:00Z", first)->time), "2032-01-01T08:00:00Z");
  trigger.set_recurrence("FREQ=DAILY;COUNT=3");
  EXPECT_EQ(TimeText(next("2026-10-21T07:00:00Z", first)->time), "2026-10-22T07:00:00Z");
  EXPECT_EQ(next("2026-10-22T07:00:00Z", first), std::nullopt);
}

}  // namespace
}  // namespace crm::scheduler::automation
