#include "services/scheduler/jobs/automation_effects.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <google/protobuf/field_mask.pb.h>

#include <set>
#include <utility>
#include <vector>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "common/base/time.h"
#include "crm/deal_pipeline/v1/deal.pb.h"
#include "crm/messaging/v1/message.pb.h"
#include "services/scheduler/jobs/automation_runs.h"
#include "services/scheduler/rules/automation_value.h"
#include "services/scheduler/sql.h"

namespace crm::scheduler::automation {
namespace effects {

using google::protobuf::Message;

// What the fields hold at most.
constexpr size_t kTitleMax = 300;
constexpr size_t kReminderMax = 500;
constexpr size_t kDescriptionMax = 10'000;
constexpr size_t kLetterMax = 200'000;
constexpr size_t kSubjectMax = 500;

// A text that is no longer than its field, and never empty where one is needed.
std::string Fit(std::string text, size_t max, absl::string_view otherwise = "") {
  if (text.empty()) return std::string(otherwise);
  return LengthOf(text) > max ? Truncated(text, max) : text;
}

void SetText(Message& message, const std::string& name, const std::string& value) {
  const auto* field = message.GetDescriptor()->FindFieldByName(name);
  if (field != nullptr) message.GetReflection()->SetString(&message, field, value);
}

// Links a task or reminder to the record and to what the record names.
template <typename M>
void Link(const Message& record, M& out) {
  for (const char* object : {"contact", "company", "deal", "lead", "conversation"}) {
    const std::string id = IdOf(record, object);
    if (!id.empty()) SetText(out, absl::StrCat(object, "_id"), id);
  }
}

// The same key for every attempt at the step, so that the other service does it once.
std::string KeyOf(const Scene& scene, const Step& step) { return absl::StrCat(scene.run_id, ":", step.path); }

// An empty answer of an rpc, by its full name; nullptr if there is none.
std::unique_ptr<Message> NewAnswer(const std::string& method) {
  const auto* found = google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(method);
  return found == nullptr ? nullptr : NewMessage(found->output_type());
}

std::string Quoted(absl::string_view text) { return absl::StrCat("\"", Truncated(text, 120), "\""); }

}  // namespace effects

Async<std::unique_ptr<google::protobuf::Message>> Effects::Fetch(const Call& call, const ObjectKind& object,
                                                                 std::string id) {
  if (object.get == nullptr) co_return absl::UnimplementedError(absl::StrCat("rules cannot read a ", object.name));
  const auto request = NewMessage(object.get->input_type());
  effects::SetText(*request, "id", id);
  CRM_CO_TRY(const std::string bytes,
             co_await outside_.Send(call, object.service, MethodName(object.get), request->SerializeAsString()));
  auto record = NewMessage(object.record);
  if (!record->ParseFromString(bytes)) co_return absl::InternalError("the answer cannot be read");
  co_return record;
}

Async<Effects::Page> Effects::List(const Call& call, const ObjectKind& object, std::string filter,
                                   std::string page_token, int page_size) {
  if (object.list == nullptr) co_return absl::UnimplementedError(absl::StrCat("rules cannot list a ", object.name));
  const auto request = NewMessage(object.list->input_type());
  effects::SetText(*request, "filter", filter);
  effects::SetText(*request, "page_token", page_token);
  if (const auto* size = request->GetDescriptor()->FindFieldByName("page_size")) {
    request->GetReflection()->SetInt32(request.get(), size, page_size);
  }
  CRM_CO_TRY(const std::string bytes,
             co_await outside_.Send(call, object.service, MethodName(object.list), request->SerializeAsString()));
  const auto response = NewMessage(object.list->output_type());
  if (!response->ParseFromString(bytes)) co_return absl::InternalError("the answer cannot be read");
  Page page;
  const auto* items = response->GetDescriptor()->field(0);
  const auto* reflection = response->GetReflection();
  for (int i = 0; i < reflection->FieldSize(*response, items); ++i) {
    auto record = NewMessage(object.record);
    record->CopyFrom(reflection->GetRepeatedMessage(*response, items, i));
    page.records.push_back(std::move(record));
  }
  page.next_page_token = TextField(*response, "next_page_token");
  co_return page;
}

// The record itself, or the one that it names: "contact", "deal", "owner". nullptr if it names none.
Async<const google::protobuf::Message*> Effects::Neighbour(Scene& scene, std::string name) {
  const google::protobuf::Message* none = nullptr;
  if (const auto it = scene.fetched.find(name); it != scene.fetched.end()) co_return it->second.get();
  if (name == "owner") {
    const std::string owner = TextField(*scene.record, "owner_id");
    if (owner.empty()) co_return none;
    CRM_CO_TRY(identity::v1::User user, co_await inside_.FindUser(scene.call, owner));
    auto kept = std::make_unique<identity::v1::User>(std::move(user));
    co_return (scene.fetched[name] = std::move(kept)).get();
  }
  const ObjectKind* object = Catalogue::Get().FindObject(name);
  if (object == nullptr) co_return none;
  if (object->record == scene.record->GetDescriptor()) co_return scene.record;
  const std::string id = IdOf(*scene.record, name);
  if (id.empty()) co_return none;
  auto record = co_await Fetch(scene.call, *object, id);
  if (absl::IsNotFound(record.status())) co_return none;
  if (!record.ok()) co_return record.status();
  co_return (scene.fetched[name] = *std::move(record)).get();
}

Async<std::string> Effects::Text(Scene& scene, std::string text) {
  Linked linked;
  for (const std::string& name : LinkedIn(text, scene.record->GetDescriptor())) {
    CRM_CO_TRY(linked[name], co_await Neighbour(scene, name));
  }
  co_return Render(text, *scene.record, linked, ZoneOrUtc(scene.call.time_zone));
}

Async<std::string> Effects::FindPerson(Scene& scene, v1::Person person) {
  std::string user;
  switch (person.kind()) {
    case v1::Person::KIND_USER:
      user = person.user_id();
      break;
    case v1::Person::KIND_HEAD: {
      const std::string owner = TextField(*scene.record, "owner_id");
      if (!owner.empty()) {
        CRM_CO_TRY(user, co_await inside_.HeadOf(scene.call, owner));
      }
      break;
    }
    case v1::Person::KIND_RULE_OWNER:
      break;
    default:
      user = TextField(*scene.record, "owner_id");
      break;
  }
  if (user.empty()) user = scene.program->rule().owner_id();
  if (user.empty()) co_return StateError("nobody is there: the record has no owner, and nobody answers for the rule");
  co_return user;
}

Async<absl::Time> Effects::After(const Call& call, std::string user_id, absl::Time start, v1::Delay delay) {
  if (!delay.working_time()) co_return Later(start, delay, false, ZoneOrUtc(call.time_zone));
  co_return co_await inside_.AfterWorkingTime(call, user_id, start, delay);
}

Async<Prepared> Effects::PrepareSend(Scene& scene, const v1::SendMessageAction& action) {
  Prepared prepared;
  auto request = std::make_unique<messaging::v1::SendMessageRequest>();
  const google::protobuf::Message& record = *scene.record;
  request->set_contact_id(IdOf(record, "contact"));
  request->set_deal_id(IdOf(record, "deal"));
  request->set_company_id(IdOf(record, "company"));
  if (request->contact_id().empty()) co_return StateError("the record names no contact to write to");
  // A letter that came in is answered where it came in.
  request->set_conversation_id(IdOf(record, "conversation"));
  request->set_channel_id(action.channel_id());
  request->set_template_id(action.template_id());
  if (action.template_id().empty()) {
    CRM_CO_TRY(const std::string subject, co_await Text(scene, action.subject()));
    CRM_CO_TRY(const std::string text, co_await Text(scene, action.text()));
    request->set_subject(effects::Fit(subject, effects::kSubjectMax, "-"));
    request->set_text(effects::Fit(text, effects::kLetterMax, " "));
  }
  request->set_cause(scene.run_id);
  prepared.text = absl::StrCat(
      "letter to ", request->contact_id(), " ",
      action.template_id().empty() ? effects::Quoted(request->subject()) : absl::StrCat("by ", action.template_id()));
  prepared.service = "messaging";
  prepared.method = "crm.messaging.v1.MessageService.SendMessage";
  prepared.request = std::move(request);
  co_return prepared;
}

Async<Prepared> Effects::PrepareMove(Scene& scene, const v1::MoveDealAction& action) {
  Prepared prepared;
  CRM_CO_TRY(const google::protobuf::Message* deal, co_await Neighbour(scene, "deal"));
  if (deal == nullptr) co_return StateError("the record names no deal, or it is gone");
  prepared.record_id = TextField(*deal, "id");
  prepared.text = absl::StrCat("deal ", prepared.record_id, " to ", action.stage_id());
  prepared.nothing = TextField(*deal, "stage_id") == action.stage_id();
  auto request = std::make_unique<deal_pipeline::v1::MoveDealRequest>();
  request->set_id(prepared.record_id);
  request->set_stage_id(action.stage_id());
  request->set_lost_reason(action.lost_reason());
  prepared.service = "deal_pipeline";
  prepared.method = "crm.deal_pipeline.v1.DealService.MoveDeal";
  prepared.request = std::move(request);
  co_return prepared;
}

// An update of one field by the record's own Update rpc.
Async<Prepared> Effects::Change(Scene&, const ObjectKind& object, const google::protobuf::Message& before,
                                std::unique_ptr<google::protobuf::Message> patch, std::string field, bool guarded) {
  Prepared prepared;
  if (object.update == nullptr) co_return absl::UnimplementedError(absl::StrCat("rules cannot change a ", object.name));
  prepared.record_id = TextField(before, "id");
  effects::SetText(*patch, "id", prepared.record_id);
  auto request = NewMessage(object.update->input_type());
  const auto* reflection = request->GetReflection();
  for (int i = 0; i < request->GetDescriptor()->field_count(); ++i) {
    const auto* part = request->GetDescriptor()->field(i);
    if (part->message_type() == object.record) reflection->MutableMessage(request.get(), part)->CopyFrom(*patch);
    if (part->message_type() == google::protobuf::FieldMask::descriptor()) {
      static_cast<google::protobuf::FieldMask*>(reflection->MutableMessage(request.get(), part))->add_paths(field);
    }
  }
  if (guarded) effects::SetText(*request, "etag", TextField(before, "etag"));
  prepared.service = object.service;
  prepared.method = MethodName(object.update);
  prepared.request = std::move(request);
  co_return prepared;
}

Async<Prepared> Effects::PrepareSet(Scene& scene, const v1::SetFieldAction& action) {
  CRM_CO_TRY(const ObjectKind* object, TargetOf(*scene.program->object(), action.target(), "target"));
  CRM_CO_TRY(const google::protobuf::Message* before, co_await Neighbour(scene, object->name));
  if (before == nullptr) co_return StateError(absl::StrCat("the record names no ", object->name, ", or it is gone"));
  CRM_CO_TRY(const std::string value, co_await Text(scene, action.value()));
  auto patch = NewMessage(object->record);
  CRM_CO_TRY(PutValue(scene.call, *before, action.field(), action.operation(), value, "value", *patch));
  const bool list = action.operation() == v1::SetFieldAction::OPERATION_ADD ||
                    action.operation() == v1::SetFieldAction::OPERATION_REMOVE;
  CRM_CO_TRY(Prepared prepared, co_await Change(scene, *object, *before, std::move(patch), action.field(), list));
  const char* how = action.operation() == v1::SetFieldAction::OPERATION_ADD      ? " gets "
                    : action.operation() == v1::SetFieldAction::OPERATION_REMOVE ? " loses "
                                                                                 : " becomes ";
  prepared.text =
      absl::StrCat(action.field(), " of ", prepared.record_id, how, value.empty() ? "empty" : effects::Quoted(value));
  co_return prepared;
}

Async<Prepared> Effects::PrepareAssign(Scene& scene, const Step& step, bool take_turns) {
  const v1::AssignAction& action = step.action->assign();
  CRM_CO_TRY(const ObjectKind* object, TargetOf(*scene.program->object(), action.target(), "target"));
  CRM_CO_TRY(const google::protobuf::Message* before, co_await Neighbour(scene, object->name));
  if (before == nullptr) co_return StateError(absl::StrCat("the record names no ", object->name, ", or it is gone"));
  std::string user;
  if (action.user_ids().empty()) {
    CRM_CO_TRY(user, co_await FindPerson(scene, action.person()));
  } else {
    int64_t turn = 1;
    if (take_turns && action.user_ids_size() > 1) {
      pg::Batch batch(scene.call);
      CRM_CO_TRY(const Uuid rule, ParseId(scene.program->rule().id(), "rule", "rule_id"));
      batch.Add(sql::kRuleTakeTurn, pg::Params().Id(scene.call.tenant()).Id(rule).Text(step.path));
      CRM_CO_TRY(std::vector<pg::Rows> rows, co_await db_.Write(scene.call, std::move(batch)));
      turn = rows[0].Int(0, 0);
    }
    user = action.user_ids(static_cast<int>((turn - 1) % action.user_ids_size()));
  }
  auto patch = NewMessage(object->record);
  effects::SetText(*patch, "owner_id", user);
  CRM_CO_TRY(Prepared prepared, co_await Change(scene, *object, *before, std::move(patch), "owner_id", false));
  prepared.nothing = TextField(*before, "owner_id") == user;
  prepared.text = absl::StrCat(prepared.record_id, " to ", user);
  co_return prepared;
}

Async<bool> Effects::Holds(Scene& scene, const Step& step) {
  std::vector<filter::Root> neighbours;
  std::vector<std::unique_ptr<google::protobuf::Message>> empty;
  for (const std::string& name : NeighboursIn(step.condition, scene.record->GetDescriptor())) {
    CRM_CO_TRY(const google::protobuf::Message* message, co_await Neighbour(scene, name));
    if (message == nullptr) {
      empty.push_back(NewMessage(Catalogue::Get().FindObject(name)->record));
      message = empty.back().get();
    }
    neighbours.push_back({name, message});
  }
  co_return scene.program->Holds(scene.call, step.condition, *scene.record, scene.event, std::move(neighbours));
}

Async<Prepared> Effects::Prepare(Scene& scene, const Step& step, bool take_turns) {
  const v1::Action& action = *step.action;
  const google::protobuf::Message& record = *scene.record;
  Prepared prepared;
  switch (action.what_case()) {
    case v1::Action::kCreateTask: {
      const auto& create = action.create_task();
      v1::Task task;
      CRM_CO_TRY(const std::string title, co_await Text(scene, create.title()));
      CRM_CO_TRY(const std::string description, co_await Text(scene, create.description()));
      task.set_title(effects::Fit(title, effects::kTitleMax, "-"));
      task.set_description(effects::Fit(description, effects::kDescriptionMax));
      task.set_kind(create.kind());
      task.set_priority(create.priority());
      CRM_CO_TRY(const std::string owner, co_await FindPerson(scene, create.assignee()));
      task.set_owner_id(owner);
      effects::Link(record, task);
      if (create.has_due()) {
        CRM_CO_TRY(const absl::Time due, co_await After(scene.call, owner, scene.call.now(), create.due()));
        *task.mutable_due_time() = ToTimestamp(due);
      }
      task.set_id(DerivedId("task", scene.run_id, step.path));
      prepared.record_id = task.id();
      prepared.text =
          absl::StrCat("task ", effects::Quoted(task.title()), " for ", owner,
                       task.has_due_time() ? absl::StrCat(" until ", TimeText(FromTimestamp(task.due_time()))) : "");
      prepared.task = std::move(task);
      co_return prepared;
    }
    case v1::Action::kCreateReminder: {
      const auto& create = action.create_reminder();
      v1::Reminder reminder;
      CRM_CO_TRY(const std::string text, co_await Text(scene, create.text()));
      reminder.set_text(effects::Fit(text, effects::kReminderMax, "-"));
      CRM_CO_TRY(const std::string owner, co_await FindPerson(scene, create.person()));
      reminder.set_owner_id(owner);
      CRM_CO_TRY(const absl::Time due, co_await After(scene.call, owner, scene.call.now(), create.due()));
      *reminder.mutable_due_time() = ToTimestamp(due);
      effects::Link(record, reminder);
      reminder.set_id(DerivedId("reminder", scene.run_id, step.path));
      prepared.record_id = reminder.id();
      prepared.text =
          absl::StrCat("reminder ", effects::Quoted(reminder.text()), " for ", owner, " at ", TimeText(due));
      prepared.reminder = std::move(reminder);
      co_return prepared;
    }
    case v1::Action::kCancelReminders:
      prepared.cancel_reminders = true;
      prepared.rule_id = action.cancel_reminders().rule_id();
      prepared.contact_id = IdOf(record, "contact");
      prepared.deal_id = IdOf(record, "deal");
      prepared.lead_id = IdOf(record, "lead");
      prepared.text = "calls reminders off";
      co_return prepared;
    case v1::Action::kSendMessage:
      co_return co_await PrepareSend(scene, action.send_message());
    case v1::Action::kMoveDeal:
      co_return co_await PrepareMove(scene, action.move_deal());
    case v1::Action::kSetField:
      co_return co_await PrepareSet(scene, action.set_field());
    case v1::Action::kAssign:
      co_return co_await PrepareAssign(scene, step, take_turns);
    case v1::Action::kNotify: {
      CRM_CO_TRY(prepared.notify_user_id, co_await FindPerson(scene, action.notify().person()));
      CRM_CO_TRY(const std::string text, co_await Text(scene, action.notify().text()));
      prepared.notify_text = effects::Fit(text, effects::kTitleMax, "-");
      prepared.text = absl::StrCat("tells ", prepared.notify_user_id, " ", effects::Quoted(prepared.notify_text));
      co_return prepared;
    }
    case v1::Action::kCallWebhook:
      co_return co_await PrepareCall(scene, action.call_webhook());
    case v1::Action::kWait: {
      CRM_CO_TRY(const absl::Time until,
                 co_await After(scene.call, TextField(record, "owner_id"), scene.call.now(), action.wait().time()));
      prepared.text = absl::StrCat("until ", TimeText(until));
      co_return prepared;
    }
    case v1::Action::kBranch:
    case v1::Action::kStop:
    case v1::Action::WHAT_NOT_SET:
      break;
  }
  co_return prepared;
}

Async<Done> Effects::CarryOut(Scene& scene, const Step& step, Prepared prepared, pg::Batch& batch) {
  Done done{prepared.text, prepared.record_id};
  if (prepared.nothing) {
    done.text += ": it is so already";
    co_return done;
  }
  if (prepared.task) {
    CRM_CO_TRY(co_await inside_.AddTask(scene.call, batch, *std::move(prepared.task)));
  } else if (prepared.reminder) {
    CRM_CO_TRY(co_await inside_.AddReminder(scene.call, batch, *std::move(prepared.reminder)));
  } else if (prepared.cancel_reminders) {
    CRM_CO_TRY(const int count,
               co_await inside_.CancelReminders(scene.call, batch, prepared.rule_id, prepared.contact_id,
                                                prepared.deal_id, prepared.lead_id));
    done.text = absl::StrCat(done.text, ": ", count);
  } else if (!prepared.notify_user_id.empty()) {
    CRM_CO_TRY(co_await inside_.Notify(scene.call, batch, prepared.notify_user_id, prepared.notify_text,
                                       TextField(*scene.record, "id"), effects::KeyOf(scene, step)));
  } else if (prepared.request != nullptr) {
    effects::SetText(*prepared.request, "request_id", effects::KeyOf(scene, step));
    const auto answer =
        co_await outside_.Send(scene.call, prepared.service, prepared.method, prepared.request->SerializeAsString());
    if (!answer.ok()) {
      // An earlier attempt of this run made the call, with other words, and its answer got lost.
      if (ReasonOf(answer.status()) == type::v1::ERROR_REASON_IDEMPOTENCY_KEY_REUSED) {
        done.text += ": done by an earlier attempt";
        co_return done;
      }
      co_return answer.status();
    }
    scene.changed = true;
    if (prepared.record_id.empty()) {  // it has made one: a letter, a delivery
      const auto made = effects::NewAnswer(prepared.method);
      if (made != nullptr && made->ParseFromString(*answer)) done.record_id = TextField(*made, "id");
    }
  }
  co_return done;
}

Async<> Effects::Notify(const Call& call, pg::Batch& batch, std::string user_id, std::string title,
                        std::string record_id, std::string cause) {
  co_return co_await inside_.Notify(call, batch, user_id, title, record_id, cause);
}

}  // namespace crm::scheduler::automation
