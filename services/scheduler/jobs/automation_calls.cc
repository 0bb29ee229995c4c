#include "services/scheduler/jobs/automation_calls.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <google/protobuf/struct.pb.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/error.h"
#include "common/base/hidden.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "common/base/time.h"
#include "common/json/json.h"
#include "crm/type/v1/options.pb.h"
#include "services/scheduler/rules/automation_catalogue.h"
#include "services/scheduler/rules/automation_program.h"
#include "services/scheduler/rules/automation_text.h"

namespace crm::scheduler::automation {
namespace calling {

// What previews and the log show of a body.
constexpr size_t kBodyShown = 500;

struct Named {
  std::string at;  // "rule.actions[2].call_webhook"
  const v1::CallWebhookAction* call = nullptr;
};

void Collect(const google::protobuf::RepeatedPtrField<v1::Action>& actions, const std::string& where,
             std::vector<Named>& out) {
  for (int i = 0; i < actions.size(); ++i) {
    const std::string at = absl::StrCat(where, "[", i, "]");
    if (actions[i].has_call_webhook()) out.push_back({at + ".call_webhook", &actions[i].call_webhook()});
    if (!actions[i].has_branch()) continue;
    Collect(actions[i].branch().then(), at + ".branch.then", out);
    Collect(actions[i].branch().otherwise(), at + ".branch.otherwise", out);
  }
}

absl::Status CheckObject(const std::string& text) {
  google::protobuf::Struct object;
  return json::Read(text, object);
}

// As it stands between the quotes of a JSON string.
std::string Escaped(const std::string& value) {
  std::string quoted;
  json::AppendString(value, quoted);
  return quoted.substr(1, quoted.size() - 2);
}

// The record as it may leave.
std::unique_ptr<google::protobuf::Message> Outgoing(const google::protobuf::Message& record, bool personal) {
  std::unique_ptr<google::protobuf::Message> out(record.New());
  out->CopyFrom(record);
  ClearHidden(*out, personal);
  if (const auto* access = out->GetDescriptor()->FindFieldByName("access")) {
    out->GetReflection()->ClearField(out.get(), access);  // what this service may do with it
  }
  return out;
}

// Whether the log of webhooks takes such a record; the body names it all the same.
bool Logs(const std::string& object) {
  const auto* field = messaging::v1::CallWebhookRequest::descriptor()->FindFieldByName("record_id");
  const std::vector<std::string> kinds = absl::StrSplit(field->options().GetExtension(type::v1::field).ref(), ',');
  return std::find(kinds.begin(), kinds.end(), object) != kinds.end();
}

// What is posted where the rule says nothing else: as events are, with the rule and its run.
absl::StatusOr<std::string> UsualBody(const Scene& scene, bool personal) {
  const auto record = Outgoing(*scene.record, personal);
  CRM_TRY(const std::string data, json::Write(*record));
  std::string body = "{";
  const auto member = [&](const char* name, const std::string& value) {
    absl::StrAppend(&body, "\"", name, "\":");
    json::AppendString(value, body);
    body += ',';
  };
  member("type", "rule.called");
  member("timestamp", TimeText(scene.call.now()));
  member("record_id", TextField(*scene.record, "id"));
  member("rule_id", scene.program->rule().id());
  member("rule_name", scene.program->rule().name());
  member("run_id", scene.run_id);
  absl::StrAppend(&body, "\"data\":{\"", scene.program->object()->name, "\":", data, "}}");
  return body;
}

}  // namespace calling

Async<messaging::v1::Webhook> Effects::FindWebhook(const Call& call, std::string id) {
  messaging::v1::GetWebhookRequest request;
  request.set_id(std::move(id));
  CRM_CO_TRY(const std::string bytes,
             co_await outside_.Send(call, "messaging", "crm.messaging.v1.WebhookService.GetWebhook",
                                    request.SerializeAsString()));
  messaging::v1::Webhook webhook;
  if (!webhook.ParseFromString(bytes)) co_return absl::InternalError("the answer cannot be read");
  co_return webhook;
}

Async<Prepared> Effects::PrepareCall(Scene& scene, const v1::CallWebhookAction& action) {
  auto found = co_await FindWebhook(scene.call, action.webhook_id());
  if (absl::IsNotFound(found.status())) co_return StateError("the webhook is gone");
  CRM_CO_TRY(const messaging::v1::Webhook webhook, std::move(found));
  if (!webhook.enabled()) co_return StateError(absl::StrCat("the webhook \"", webhook.name(), "\" is off"));
  std::string body;
  if (action.body().empty()) {
    CRM_CO_TRY(body, calling::UsualBody(scene, webhook.personal_data()));
  } else {
    std::vector<std::unique_ptr<google::protobuf::Message>> outgoing;
    Linked linked;
    for (const std::string& name : LinkedIn(action.body(), scene.record->GetDescriptor())) {
      CRM_CO_TRY(const google::protobuf::Message* neighbour, co_await Neighbour(scene, name));
      if (neighbour == nullptr) continue;
      outgoing.push_back(calling::Outgoing(*neighbour, webhook.personal_data()));
      linked[name] = outgoing.back().get();
    }
    const auto record = calling::Outgoing(*scene.record, webhook.personal_data());
    body = Render(action.body(), *record, linked, ZoneOrUtc(scene.call.time_zone), calling::Escaped);
    const absl::Status json = calling::CheckObject(body);
    if (!json.ok()) {
      co_return StateError(absl::StrCat("the body is no JSON object once it is filled in: ", json.message(), ": ",
                                        Truncated(body, calling::kBodyShown)));
    }
  }
  auto request = std::make_unique<messaging::v1::CallWebhookRequest>();
  request->set_id(webhook.id());
  if (calling::Logs(scene.program->object()->name)) request->set_record_id(TextField(*scene.record, "id"));
  request->set_personal_data(webhook.personal_data());
  Prepared prepared;
  prepared.text = absl::StrCat("posts to webhook \"", webhook.name(), "\" (", webhook.url(),
                               "): ", Truncated(body, calling::kBodyShown));
  request->set_body(std::move(body));
  prepared.service = "messaging";
  prepared.method = "crm.messaging.v1.WebhookService.CallWebhook";
  prepared.request = std::move(request);
  co_return prepared;
}

Async<> CheckCalls(Effects& effects, const Call& call, const v1::Rule* before, v1::Rule& rule) {
  std::vector<calling::Named> calls, earlier;
  calling::Collect(rule.actions(), "rule.actions", calls);
  if (before != nullptr) calling::Collect(before->actions(), "", earlier);
  std::set<std::string> known;
  for (const calling::Named& one : earlier) known.insert(one.call->webhook_id());
  const bool works = rule.enabled() && !rule.has_delete_time();

  std::vector<FieldViolation> violations;
  std::map<std::string, absl::StatusOr<messaging::v1::Webhook>> webhooks;
  std::set<std::string> off;
  for (const calling::Named& one : calls) {
    const std::string& id = one.call->webhook_id();
    if (!one.call->body().empty()) {
      for (const std::string& sample : SamplesOf(one.call->body())) {
        const absl::Status json = calling::CheckObject(sample);
        if (json.ok()) continue;
        violations.push_back({one.at + ".body", absl::StrCat("is no JSON object once its variables are filled in: ",
                                                             json.message(), ": ", Truncated(sample, 200))});
        break;
      }
    }
    if (!works && known.contains(id)) continue;  // one may always switch a rule off
    if (!webhooks.contains(id)) {
      auto found = co_await effects.FindWebhook(call, id);
      if (!found.ok() && !absl::IsNotFound(found.status())) co_return found.status();
      webhooks.emplace(id, std::move(found));
    }
    const auto& webhook = webhooks.at(id);
    if (!webhook.ok()) {
      violations.push_back({one.at + ".webhook_id", "there is no such webhook; GET /v1/webhooks lists them"});
      continue;
    }
    const std::string hidden = HiddenIn(one.call->body(), *ObjectOf(rule.trigger()), webhook->personal_data());
    if (!hidden.empty()) {
      violations.push_back(
          {one.at + ".body", absl::StrCat("{{", hidden, "}} is not for other systems, or personal, and the ",
                                          "webhook \"", webhook->name(), "\" takes no personal data")});
    }
    if (works && !webhook->enabled() && off.insert(id).second) {
      rule.add_warnings(absl::StrCat("the webhook \"", webhook->name(), "\" is off: calling it fails until it is on"));
    }
  }
  if (!violations.empty()) co_return FieldErrors(std::move(violations));
  co_return absl::OkStatus();
}

}  // namespace crm::scheduler::automation
