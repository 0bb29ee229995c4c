#include "services/scheduler/rules/automation_check.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <google/protobuf/timestamp.pb.h>

#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/base/filter.h"
#include "common/base/filter_match.h"
#include "common/base/status.h"
#include "crm/type/v1/options.pb.h"
#include "services/scheduler/rules/automation_catalogue.h"
#include "services/scheduler/rules/automation_program.h"
#include "services/scheduler/rules/automation_text.h"
#include "services/scheduler/rules/automation_value.h"
#include "services/scheduler/rules/recurrence.h"

namespace crm::scheduler::automation {
namespace checking {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

class Checker {
 public:
  Checker(const Call& call, const v1::Rule& rule) : call_(call), rule_(rule) {}

  absl::Status Check() {
    CheckTrigger();
    object_ = ObjectOf(rule_.trigger());
    if (object_ == nullptr) {
      // Without a record nothing else can be said.
      if (violations_.empty()) Wrong("rule.trigger", "names nothing that happens");
      return FieldErrors(std::move(violations_));
    }
    CRM_TRY(CheckCondition(rule_.condition(), "rule.condition"));
    if (rule_.actions().empty()) Wrong("rule.actions", "must not be empty: the rule would do nothing");
    CRM_TRY(CheckActions(rule_.actions(), "rule.actions", 0));
    if (steps_ > kStepsMax) Wrong("rule.actions", absl::StrCat("has more than ", kStepsMax, " steps"));
    if (violations_.empty()) return absl::OkStatus();
    return FieldErrors(std::move(violations_));
  }

 private:
  void Wrong(const std::string& field, absl::string_view why) { violations_.push_back({field, std::string(why)}); }
  // Adds what an error says, under the field's name here.
  void Wrong(const std::string& field, const absl::Status& status) {
    const auto said = ViolationsOf(status);
    violations_.push_back({field, said.empty() ? std::string(status.message()) : said.front().description});
  }

  void CheckTrigger() {
    const v1::Trigger& trigger = rule_.trigger();
    const Catalogue& catalogue = Catalogue::Get();
    switch (trigger.when_case()) {
      case v1::Trigger::kEvent:
        if (ObjectOf(trigger) == nullptr) {
          Wrong("rule.trigger.event.type",
                absl::StrCat("there is no event \"", trigger.event().type(), "\"; GET /v1/rules:catalogue lists them"));
        }
        break;
      case v1::Trigger::kStageEntered:
      case v1::Trigger::kSilence:
        break;
      case v1::Trigger::kFieldChanged: {
        const auto& changed = trigger.field_changed();
        const ObjectKind* object = catalogue.FindObject(changed.object());
        if (object == nullptr) {
          Wrong("rule.trigger.field_changed.object",
                absl::StrCat("there is no kind of record \"", changed.object(), "\""));
          break;
        }
        const std::vector<std::string> path = absl::StrSplit(changed.field(), '.');
        if (object->record->FindFieldByName(path.front()) == nullptr) {
          Wrong("rule.trigger.field_changed.field",
                absl::StrCat("a ", changed.object(), " has no field \"", changed.field(), "\""));
          break;
        }
        if (changed.to().empty()) break;
        const auto node = filter::Parse(absl::StrCat(changed.field(), " = ", changed.to()));
        const auto empty = NewMessage(object->record);
        absl::Status status = node.status();
        if (node.ok()) status = filter::Matches(call_, *node, *empty).status();
        if (!status.ok()) Wrong("rule.trigger.field_changed.to", status);
        break;
      }
      case v1::Trigger::kDate: {
        const auto& date = trigger.date();
        const ObjectKind* object = catalogue.FindObject(date.object());
        if (object == nullptr) {
          Wrong("rule.trigger.date.object", absl::StrCat("there is no kind of record \"", date.object(), "\""));
          break;
        }
        if (object->get == nullptr) {
          Wrong("rule.trigger.date.object",
                absl::StrCat("rules cannot read a ", date.object(), " when its time comes"));
        }
        const FieldDescriptor* field = object->record->FindFieldByName(date.field());
        const bool time = field != nullptr && !field->is_repeated() &&
                          field->message_type() == google::protobuf::Timestamp::descriptor();
        const bool day =
            field != nullptr && !field->is_repeated() && field->options().GetExtension(type::v1::field).date();
        if (!time && !day) {
          Wrong("rule.trigger.date.field",
                absl::StrCat("a ", date.object(), " has no date or time \"", date.field(), "\""));
        }
        if (date.offset().working_time()) {
          Wrong("rule.trigger.date.offset.working_time",
                "a date's offset is counted by the calendar; leave it out, and let a wait action count working time");
        }
        break;
      }
      case v1::Trigger::kSchedule: {
        const auto& schedule = trigger.schedule();
        const ObjectKind* object = catalogue.FindObject(schedule.object());
        if (object == nullptr || object->list == nullptr || object->get == nullptr) {
          Wrong("rule.trigger.schedule.object",
                absl::StrCat("rules cannot go through records of the kind \"", schedule.object(), "\""));
        }
        const absl::Status recurs = CheckRecurrence(schedule.recurrence(), "rule.trigger.schedule.recurrence");
        if (!recurs.ok()) Wrong("rule.trigger.schedule.recurrence", recurs);
        if (!schedule.has_start_time()) Wrong("rule.trigger.schedule.start_time", "must say when it begins");
        break;
      }
      case v1::Trigger::WHEN_NOT_SET:
        Wrong("rule.trigger.event",
              "must say what sets the rule off: event, stage_entered, field_changed, date, silence or schedule");
        break;
    }
    if (trigger.has_silence() && IsZero(trigger.silence().after())) {
      Wrong("rule.trigger.silence.after", "must be longer than nothing");
    }
  }

  static bool IsZero(const v1::Delay& delay) { return delay.minutes() + delay.hours() + delay.days() == 0; }

  // Against an empty record of each event that may set the rule off.
  // A branch may ask about the record's neighbours, too: they are read when it is come to.
  absl::Status CheckCondition(const std::string& condition, const std::string& where, bool branch = false) {
    if (condition.empty()) return absl::OkStatus();
    const auto node = filter::Parse(condition);
    if (!node.ok()) {
      Wrong(where, node.status());
      return absl::OkStatus();
    }
    std::vector<std::unique_ptr<Message>> neighbours;
    std::vector<filter::Root> known;
    for (const std::string& name : NeighboursIn(*node, object_->record)) {
      const ObjectKind* neighbour = Catalogue::Get().FindObject(name);
      if (!branch || !Has(name) || neighbour->get == nullptr) {
        Wrong(where, branch ? absl::StrCat("a ", object_->name, " names no ", name, " that rules can read")
                            : absl::StrCat("\"", name, "\" is another record, which only a branch can ask about"));
        return absl::OkStatus();
      }
      neighbours.push_back(NewMessage(neighbour->record));
      known.push_back({name, neighbours.back().get()});
    }
    const auto record = NewMessage(object_->record);
    const events::v1::Event no_event;
    std::vector<std::unique_ptr<Message>> payloads;
    for (const auto& [type, event] : Catalogue::Get().events()) {
      if (Hears(rule_.trigger(), event)) payloads.push_back(NewMessage(event.payload));
    }
    absl::Status status = absl::OkStatus();
    // One that reads payload. must fit an event that is heard; others see it as unknown and do not hold.
    bool fits = payloads.empty();
    for (const auto& payload : payloads) {
      std::vector<filter::Root> roots = known;
      roots.push_back({"event", &no_event});
      roots.push_back({"payload", payload.get()});
      const auto holds = filter::Matches(call_, *node, *record, roots);
      fits = fits || holds.ok();
      if (!holds.ok()) status = holds.status();
    }
    if (payloads.empty()) {
      // A schedule asks by lists, which know no event.
      std::vector<filter::Root> roots = known;
      if (branch || !rule_.trigger().has_schedule()) roots.push_back({"event", &no_event});
      const auto holds = filter::Matches(call_, *node, *record, roots);
      fits = holds.ok();
      status = holds.status();
    }
    if (fits) return absl::OkStatus();
    if (absl::IsPermissionDenied(status)) return status;
    Wrong(where, status);
    return absl::OkStatus();
  }

  void CheckText(const std::string& text, const std::string& where) {
    const absl::Status status = CheckTemplate(text, *object_, where);
    if (!status.ok()) Wrong(where, status);
  }

  void CheckPerson(const v1::Person& person, const std::string& where) {
    const bool named = person.kind() == v1::Person::KIND_USER;
    if (named == person.user_id().empty()) {
      Wrong(where + ".user_id", named ? "must name the user" : "is only for kind KIND_USER");
    }
  }

  // A field that holds the id of such a record, or the record itself.
  bool Has(const std::string& object) const {
    return object_->name == object || object_->record->FindFieldByName(object + "_id") != nullptr;
  }

  absl::Status CheckActions(const google::protobuf::RepeatedPtrField<v1::Action>& actions, const std::string& where,
                            int depth) {
    if (depth > kBranchDepthMax) {
      Wrong(where, absl::StrCat("has branches more than ", kBranchDepthMax, " deep"));
      return absl::OkStatus();
    }
    for (int i = 0; i < actions.size(); ++i) {
      ++steps_;
      CRM_TRY(CheckAction(actions[i], absl::StrCat(where, "[", i, "]"), depth));
    }
    return absl::OkStatus();
  }

  absl::Status CheckAction(const v1::Action& action, const std::string& at, int depth) {
    switch (action.what_case()) {
      case v1::Action::kCreateTask:
        CheckText(action.create_task().title(), at + ".create_task.title");
        CheckText(action.create_task().description(), at + ".create_task.description");
        CheckPerson(action.create_task().assignee(), at + ".create_task.assignee");
        break;
      case v1::Action::kCreateReminder:
        CheckText(action.create_reminder().text(), at + ".create_reminder.text");
        CheckPerson(action.create_reminder().person(), at + ".create_reminder.person");
        break;
      case v1::Action::kCancelReminders:
        break;
      case v1::Action::kSendMessage: {
        const auto& send = action.send_message();
        if (!Has("contact")) {
          Wrong(at + ".send_message", absl::StrCat("a ", object_->name, " has no contact to write to"));
        }
        if (send.template_id().empty() == send.text().empty()) {
          Wrong(at + ".send_message", "needs either a template_id or a text of its own");
        }
        if (send.template_id().empty() && send.subject().empty())
          Wrong(at + ".send_message.subject", "must not be empty");
        CheckText(send.subject(), at + ".send_message.subject");
        CheckText(send.text(), at + ".send_message.text");
        break;
      }
      case v1::Action::kMoveDeal:
        if (!Has("deal")) Wrong(at + ".move_deal", absl::StrCat("a ", object_->name, " has no deal to move"));
        break;
      case v1::Action::kSetField: {
        const auto& set = action.set_field();
        const auto target = TargetOf(*object_, set.target(), at + ".set_field.target");
        if (!target.ok()) {
          Wrong(at + ".set_field.target", target.status());
          break;
        }
        if ((*target)->update == nullptr || (*target)->get == nullptr) {
          Wrong(at + ".set_field.target", absl::StrCat("rules cannot change a ", (*target)->name));
          break;
        }
        CheckText(set.value(), at + ".set_field.value");
        if (!Settable((*target)->record, set.field())) {
          Wrong(at + ".set_field.field",
                absl::StrCat("a rule cannot set \"", set.field(), "\" of a ", (*target)->name,
                             ": it does not exist, is kept by the system, or is made of parts"));
        } else if (!absl::StrContains(set.value(), "{{")) {
          const auto record = NewMessage((*target)->record), patch = NewMessage((*target)->record);
          const absl::Status put = PutValue(call_, *record, set.field(), set.operation(), set.value(), at, *patch);
          if (!put.ok()) Wrong(at + ".set_field.value", put);
        }
        break;
      }
      case v1::Action::kAssign: {
        const auto& assign = action.assign();
        const auto target = TargetOf(*object_, assign.target(), at + ".assign.target");
        if (!target.ok()) {
          Wrong(at + ".assign.target", target.status());
          break;
        }
        if ((*target)->update == nullptr || (*target)->record->FindFieldByName("owner_id") == nullptr) {
          Wrong(at + ".assign.target", absl::StrCat("rules cannot assign a ", (*target)->name));
        }
        if (assign.user_ids().empty() == !assign.has_person()) {
          Wrong(at + ".assign", "needs either user_ids or a person");
        }
        if (assign.has_person()) CheckPerson(assign.person(), at + ".assign.person");
        break;
      }
      case v1::Action::kNotify:
        CheckText(action.notify().text(), at + ".notify.text");
        CheckPerson(action.notify().person(), at + ".notify.person");
        break;
      case v1::Action::kCallWebhook: {
        // Whether there is such a webhook, and whether the body is JSON, is asked where that can be (jobs/automation_calls.h).
        CheckText(action.call_webhook().body(), at + ".call_webhook.body");
        const absl::Status escaped = CheckEscaped(action.call_webhook().body(), at + ".call_webhook.body");
        if (!escaped.ok()) Wrong(at + ".call_webhook.body", escaped);
        break;
      }
      case v1::Action::kWait:
        if (IsZero(action.wait().time())) Wrong(at + ".wait.time", "must be longer than nothing");
        break;
      case v1::Action::kBranch:
        CRM_TRY(CheckCondition(action.branch().condition(), at + ".branch.condition", true));
        if (action.branch().then().empty() && action.branch().otherwise().empty()) {
          Wrong(at + ".branch", "does nothing either way");
        }
        CRM_TRY(CheckActions(action.branch().then(), at + ".branch.then", depth + 1));
        return CheckActions(action.branch().otherwise(), at + ".branch.otherwise", depth + 1);
      case v1::Action::kStop:
        break;
      case v1::Action::WHAT_NOT_SET:
        Wrong(at + ".notify", "must say what is to be done: notify, create_task, or another action");
        break;
    }
    return absl::OkStatus();
  }

  const Call& call_;
  const v1::Rule& rule_;
  const ObjectKind* object_ = nullptr;
  std::vector<FieldViolation> violations_;
  int steps_ = 0;
};

}  // namespace checking

absl::Status CheckRule(const Call& call, const v1::Rule& rule) { return checking::Checker(call, rule).Check(); }

}  // namespace crm::scheduler::automation
