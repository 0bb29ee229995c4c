#include "services/gateway/openapi.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_replace.h>

#include <map>
#include <set>

#include "common/rpc/access.h"
#include "services/gateway/descriptor_text.h"
#include "services/gateway/openapi_schema.h"
#include "services/gateway/path_template.h"

namespace crm::gateway {
namespace openapi {

namespace pb = google::protobuf;

constexpr char kAbout[] =
    "Customers, sales, messages, tasks and reports of many companies at once.\n\n"
    "Ids are TypeIDs (`contact_01h455vb4pex5vsknk084sn02q`), money is exact text, times are RFC 3339 in UTC. Unknown "
    "fields and parameters are refused by name. `Idempotency-Key` makes writes safe to repeat, `If-Match` guards "
    "changes. Every error is `{\"error\": {...}}` with a reason for programs, and every answer has `X-Request-Id`.";

// Files and the like: bytes as they are, with a type of their own.
bool IsContent(const pb::Descriptor* message) { return message->full_name() == "crm.type.v1.Content"; }
Json Bytes() { return {{"schema", {{"type", "string"}, {"format", "binary"}}}}; }

// Fields of nested messages become parameters ("amount.currency_code") only this deep.
constexpr int kParameterDepth = 2;

std::string FirstSentence(const std::string& text) {
  size_t end = text.find(". ");
  std::string first = text.substr(0, end == std::string::npos ? text.size() : end);
  if (absl::EndsWith(first, ".")) first.pop_back();
  return first;
}

std::string Capital(std::string word) {
  if (!word.empty()) word[0] = absl::ascii_toupper(word[0]);
  return word;
}

// "ListContacts" at ":search" -> "SearchContacts".
std::string OperationOf(const RpcRoute& route, bool first) {
  std::string rpc(route.method->name());
  if (first) return rpc;
  size_t colon = route.path.rfind(':');
  std::string verb =
      colon == std::string::npos ? absl::AsciiStrToLower(route.http_method) : route.path.substr(colon + 1);
  size_t noun = 1;
  while (noun < rpc.size() && !absl::ascii_isupper(rpc[noun])) ++noun;
  return absl::StrCat(Capital(verb), rpc.substr(noun));
}

class Document {
 public:
  explicit Document(const Api& api) : api_(api) {}

  std::string Build() {
    for (const auto& [prefix, record] : api_.records()) schemas_.Reserve(record.descriptor);
    Json out;
    out["openapi"] = "3.1.0";
    out["info"] = {{"title", "CRM"},
                   {"version", absl::StrCat("v1+", api_.version())},
                   {"description", kAbout},
                   {"license", {{"name", "Proprietary"}, {"identifier", "LicenseRef-Proprietary"}}}};
    out["servers"] = Json::array({Json{{"url", "/"}}});
    out["security"] = Json::array({Json{{"bearer", Json::array()}}, Json{{"cookie", Json::array()}}});
    std::set<const pb::MethodDescriptor*> seen;
    for (const auto& route : api_.routes()) Operation(route, seen.insert(route.method).second);
    AddOwn();
    Json tags = Json::array();
    for (const auto& [name, text] : tags_) tags.push_back({{"name", name}, {"description", text}});
    out["tags"] = std::move(tags);
    out["paths"] = std::move(paths_);
    out["components"] = {
        {"schemas", schemas_.Take()},
        {"responses", Responses()},
        {"parameters", Parameters()},
        {"securitySchemes",
         {{"bearer",
           {{"type", "http"},
            {"scheme", "bearer"},
            {"description", "An access token of `POST /v1/sessions`, or an API key (`crm_...`)."}}},
          {"cookie",
           {{"type", "apiKey"},
            {"in", "cookie"},
            {"name", "crm_session"},
            {"description",
             "A browser's session, by `POST /v1/sessions` with `cookie: true`. Everything but reads then "
             "needs the header `X-CSRF-Token` with the `csrf_token` of that answer."}}}}}};
    return out.dump();
  }

 private:
  void Operation(const RpcRoute& route, bool first) {
    const bool stream = route.method->server_streaming() && !IsContent(route.method->output_type());
    auto parsed = ParsePathTemplate(route.path);
    if (!parsed.ok()) return;  // the router has taken it, so it is
    // In the document a variable is called by its last part: {id}, not {contact.id}.
    std::map<std::string, std::string> names;  // field -> name
    std::string path;
    for (size_t i = 0; i < parsed->segments.size(); ++i) {
      const PathTemplate::Variable* variable = nullptr;
      for (const auto& one : parsed->variables) {
        if (one.begin <= i && i < one.end) variable = &one;
      }
      if (variable && variable->begin != i) continue;
      std::string name = variable ? variable->field.substr(variable->field.rfind('.') + 1) : "";
      if (variable) names[variable->field] = name;
      absl::StrAppend(&path, "/", variable ? absl::StrCat("{", name, "}") : parsed->segments[i]);
    }
    if (!parsed->verb.empty()) absl::StrAppend(&path, ":", parsed->verb);

    Json operation;
    std::string tag = std::string(route.method->service()->name());
    if (absl::EndsWith(tag, "Service")) tag = tag.substr(0, tag.size() - 7);
    tags_.try_emplace(tag, CommentOf(route.method->service()).empty() ? tag : CommentOf(route.method->service()));
    operation["tags"] = Json::array({tag});
    std::string id = OperationOf(route, first);
    if (!ids_.insert(id).second) {
      id = absl::StrCat(Capital(route.service), id);
      for (int i = 2; !ids_.insert(id).second; ++i)
        id = absl::StrCat(Capital(route.service), OperationOf(route, first), i);
    }
    operation["operationId"] = id;
    std::string text = CommentOf(route.method);
    operation["summary"] = text.empty() ? id : FirstSentence(text);
    if (route.access.has_right()) {
      absl::StrAppend(&text, text.empty() ? "" : "\n\n", "Needs the right `", rpc::RightName(route.access.right()),
                      "`.");
    }
    if (stream) {
      absl::StrAppend(&text, text.empty() ? "" : "\n\n",
                      "Answers server-sent events: each `data` is one message; an `error` event ends the stream.");
    }
    if (!text.empty()) operation["description"] = text;
    operation["x-rpc"] = route.full_name;

    Json parameters = Json::array();
    for (const auto& variable : parsed->variables) {
      const auto* field = FieldAt(route.method->input_type(), variable.field);
      Json schema = field ? schemas_.Field(field, Use::kRequest) : Json{{"type", "string"}};
      std::string about = schema.value("description", "");
      schema.erase("description");
      Json parameter{{"name", names[variable.field]}, {"in", "path"}, {"required", true}};
      if (!about.empty()) parameter["description"] = about;
      parameter["schema"] = std::move(schema);
      parameters.push_back(std::move(parameter));
    }
    if (route.body != "*") Query(route, route.method->input_type(), "", 0, names, parameters);
    if (!route.ref_names.empty()) {
      parameters.push_back({{"name", "expand"},
                            {"in", "query"},
                            {"description", "References whose records are answered in short form, under `refs`."},
                            {"schema", {{"type", "array"}, {"items", {{"type", "string"}, {"enum", route.ref_names}}}}},
                            {"style", "form"},
                            {"explode", false}});
    }
    if (!route.read_only && !route.access.public_()) parameters.push_back(Parameter("IdempotencyKey"));
    if (!route.read_only && route.etag_field) parameters.push_back(Parameter("IfMatch"));
    if (!parameters.empty()) operation["parameters"] = std::move(parameters);
    if (!route.body.empty()) operation["requestBody"] = Body(route, names);
    operation["responses"] = {{"200", Answer(route)}, {"4XX", ResponseRef()}, {"5XX", ResponseRef()}};
    if (route.access.public_()) operation["security"] = Json::array();
    paths_[path][absl::AsciiStrToLower(route.http_method)] = std::move(operation);
  }

  static const pb::FieldDescriptor* FieldAt(const pb::Descriptor* message, const std::string& path) {
    size_t dot = path.find('.');
    const auto* field = message->FindFieldByName(path.substr(0, dot));
    if (!field || dot == std::string::npos) return field;
    return field->message_type() ? FieldAt(field->message_type(), path.substr(dot + 1)) : nullptr;
  }

  // What can be said in the address: scalars, lists of scalars, and scalars of nested messages by dotted names.
  void Query(const RpcRoute& route, const pb::Descriptor* message, const std::string& prefix, int depth,
             const std::map<std::string, std::string>& taken, Json& parameters) {
    for (int i = 0; i < message->field_count(); ++i) {
      const auto* field = message->field(i);
      std::string name = prefix + std::string(field->name());
      if (taken.count(name) || name == route.body || IsSecretName(name) || field->is_map()) continue;
      if (HasBehavior(field, google::api::OUTPUT_ONLY)) continue;
      if (name == "request_id" || (name == "etag" && route.etag_field)) continue;  // headers say them
      if (route.mask_field == field) continue;                                     // the body's keys are it
      if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE) {
        if (!IsText(field->message_type())) {
          if (!field->is_repeated() && depth + 1 < kParameterDepth && !Recurses(field->message_type()))
            Query(route, field->message_type(), name + ".", depth + 1, taken, parameters);
          continue;
        }
      }
      Json schema = schemas_.Field(field, Use::kRequest);
      Json parameter{{"name", name}, {"in", "query"}};
      std::string about = schema.value("description", "");
      if (!about.empty()) parameter["description"] = about;
      schema.erase("description");
      if (depth == 0 && HasBehavior(field, google::api::REQUIRED)) parameter["required"] = true;
      parameter["schema"] = std::move(schema);
      if (field->is_repeated()) parameter["explode"] = true;
      parameters.push_back(std::move(parameter));
    }
  }

  // Messages that JSON and parameters write as text.
  static bool IsText(const pb::Descriptor* message) {
    const std::string& name = message->full_name();
    return name == "google.protobuf.Timestamp" || name == "google.protobuf.Duration" ||
           name == "google.protobuf.FieldMask";
  }

  static bool Recurses(const pb::Descriptor* message) {
    if (absl::StartsWith(message->full_name(), "google.protobuf.")) return true;
    for (int i = 0; i < message->field_count(); ++i) {
      if (message->field(i)->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE) return true;
    }
    return false;
  }

  Json Body(const RpcRoute& route, const std::map<std::string, std::string>& names) {
    if (route.body_field && IsContent(route.body_field->message_type()))
      return {{"required", true}, {"content", {{"*/*", Bytes()}}}};
    Json schema;
    if (route.body == "*") {
      std::set<std::string> without;
      for (const auto& [field, name] : names) without.insert(field);
      schema = schemas_.Ref(route.method->input_type(), Use::kRequest, without);
    } else {
      schema = schemas_.Ref(route.body_field->message_type(), route.mask_field ? Use::kPatch : Use::kRequest);
    }
    Json content{{"application/json", {{"schema", schema}}}};
    if (route.access.public_() && !route.cookie && route.body == "*")
      content["application/x-www-form-urlencoded"] = {{"schema", schema}};
    return {{"required", route.body != "*"}, {"content", std::move(content)}};
  }

  Json Answer(const RpcRoute& route) {
    if (IsContent(route.method->output_type())) {
      return {{"description", "The bytes, with their Content-Type; `Range` answers a part of them."},
              {"content", {{"*/*", Bytes()}}}};
    }
    Json schema = schemas_.Ref(route.method->output_type(), Use::kAnswer);
    if (!route.ref_names.empty()) {
      const auto* ref = api_.pool().FindMessageTypeByName("crm.type.v1.Ref");
      Json refs{{"type", "object"}, {"description", "By id: what `expand` asked for, in short form."}};
      refs["additionalProperties"] = ref ? schemas_.Ref(ref, Use::kAnswer) : Json{{"type", "object"}};
      Json more{{"type", "object"}, {"properties", {{"refs", std::move(refs)}}}};
      schema = Json{{"allOf", Json::array({std::move(schema), std::move(more)})}};
    }
    std::string text = CommentOf(route.method->output_type());
    Json out{{"description", text.empty() ? "The answer." : text}};
    if (route.response_etag || route.read_only) {
      out["headers"] = {
          {"ETag",
           {{"description", "The version; for If-Match and If-None-Match."}, {"schema", {{"type", "string"}}}}}};
    }
    out["content"] = {
        {route.method->server_streaming() ? "text/event-stream" : "application/json", {{"schema", schema}}}};
    return out;
  }

  static Json ResponseRef() { return {{"$ref", "#/components/responses/Error"}}; }
  static Json Parameter(const char* name) { return {{"$ref", absl::StrCat("#/components/parameters/", name)}}; }

  static Json Parameters() {
    return {{"IdempotencyKey",
             {{"name", "Idempotency-Key"},
              {"in", "header"},
              {"description",
               "Makes the write safe to repeat: the same key gets the first answer for 7 days; with another body it is "
               "an error."},
              {"schema", {{"type", "string"}, {"minLength", 1}, {"maxLength", 100}}}}},
            {"IfMatch",
             {{"name", "If-Match"},
              {"in", "header"},
              {"description", "The ETag of the version that the change was made from; 409 if somebody was faster."},
              {"schema", {{"type", "string"}}}}}};
  }

  Json Responses() {
    Json headers{
        {"X-Request-Id", {{"description", "Quote it when asking for help."}, {"schema", {{"type", "string"}}}}},
        {"Retry-After", {{"description", "Seconds to wait, where that helps."}, {"schema", {{"type", "integer"}}}}}};
    return {{"Error",
             {{"description", "What went wrong and what to do; `details` is for programs."},
              {"headers", std::move(headers)},
              {"content", {{"application/json", {{"schema", RefTo("Error")}}}}}}}};
  }

  // The gateway's own addresses.
  void AddOwn() {
    const char* tag = "Gateway";
    tags_[tag] = "What the edge itself answers: several reads at once, live events, descriptions.";
    Json text{{"type", "string"}};
    auto object = [](Json properties, std::vector<std::string> required) {
      return Json{{"type", "object"}, {"properties", std::move(properties)}, {"required", std::move(required)}};
    };
    const auto* reason = api_.pool().FindEnumTypeByName("crm.type.v1.ErrorReason");
    Json reasons{{"type", "string"}, {"description", "Why, for programs."}};
    if (reason) {
      for (int i = 1; i < reason->value_count(); ++i)
        reasons["examples"].push_back(absl::StrReplaceAll(reason->value(i)->name(), {{"ERROR_REASON_", ""}}));
    }
    Json violation = object({{"field", text}, {"description", text}}, {"field", "description"});
    Json detail = object(
        {{"@type",
          {{"type", "string"}, {"description", "ErrorInfo, BadRequest, RetryInfo or RequestInfo of google.rpc."}}},
         {"reason", std::move(reasons)},
         {"domain", text},
         {"metadata", {{"type", "object"}, {"additionalProperties", text}}},
         {"field_violations", {{"type", "array"}, {"items", std::move(violation)}}},
         {"retry_delay", text},
         {"request_id", text}},
        {"@type"});
    schemas_.Add("ErrorDetail", std::move(detail));
    schemas_.Add(
        "Error",
        object({{"error", object({{"code", {{"type", "integer"}, {"description", "The HTTP status."}}},
                                  {"status", {{"type", "string"}, {"examples", Json::array({"NOT_FOUND"})}}},
                                  {"message",
                                   {{"type", "string"}, {"description", "For people: what happened and what to do."}}},
                                  {"details", {{"type", "array"}, {"items", RefTo("ErrorDetail")}}}},
                                 {"code", "status", "message", "details"})}},
               {"error"}));
    schemas_.Add(
        "LiveEvent",
        object({{"cursor", {{"type", "string"}, {"description", "Where to resume: Last-Event-ID."}}},
                {"service", text},
                {"seq", {{"type", "integer"}}},
                {"type", {{"type", "string"}, {"examples", Json::array({"deal.moved"})}}},
                {"id", {{"type", "string"}, {"description", "The record's."}}},
                {"etag", text},
                {"changed_fields", {{"type", "array"}, {"items", text}}},
                {"actor_id", text},
                {"time", {{"type", "string"}, {"format", "date-time"}}},
                {"payload", {{"type", Json::array({"object", "null"})}, {"additionalProperties", true}}}},
               {"cursor", "service", "seq", "type", "id", "etag", "changed_fields", "actor_id", "time", "payload"}));
    auto json = [](Json schema) { return Json{{"application/json", {{"schema", std::move(schema)}}}}; };
    auto add = [&](const char* method, const char* path, const char* id, const char* summary, Json more) {
      Json operation{{"tags", Json::array({tag})}, {"operationId", id}, {"summary", summary}};
      for (auto& [key, value] : more.items()) operation[key] = value;
      operation["responses"]["4XX"] = ResponseRef();
      operation["responses"]["5XX"] = ResponseRef();
      paths_[path][method] = std::move(operation);
    };
    auto answer = [](const char* about, Json content) {
      return Json{{"200", {{"description", about}, {"content", std::move(content)}}}};
    };
    Json one =
        object({{"path", {{"type", "string"}, {"examples", Json::array({"/v1/deals?page_size=10"})}}}}, {"path"});
    Json requests{{"type", "array"}, {"minItems", 1}, {"maxItems", 20}, {"items", std::move(one)}};
    Json part =
        object({{"status", {{"type", "integer"}}}, {"body", {{"type", "object"}, {"additionalProperties", true}}}},
               {"status", "body"});
    add("post", "/v1/batch", "Batch", "Several reads at once",
        {{"requestBody",
          {{"required", true}, {"content", json(object({{"requests", std::move(requests)}}, {"requests"}))}}},
         {"responses",
          answer("A status and a body for each, in order.",
                 json(object({{"responses", {{"type", "array"}, {"items", std::move(part)}}}}, {"responses"})))}});
    add("get", "/v1/schema", "GetSchema", "Every record's fields, rules, references and enums",
        {{"responses", answer("For forms and grids that build themselves.",
                              json({{"type", "object"}, {"additionalProperties", true}}))}});
    add("get", "/v1/events", "StreamEvents", "Everything that happens, live",
        {{"description",
          "Server-sent events, resumed by `Last-Event-ID` without gap or repeat. The first event is `ready` with a "
          "`stream_id`."},
         {"parameters",
          {{{"name", "topics"},
            {"in", "query"},
            {"description", "Kinds of records; none: all."},
            {"schema", {{"type", "array"}, {"items", text}}},
            {"style", "form"},
            {"explode", false}},
           {{"name", "cursor"},
            {"in", "query"},
            {"description", "Where to resume, if no Last-Event-ID says it."},
            {"schema", text}},
           {{"name", "Last-Event-ID"},
            {"in", "header"},
            {"description", "The last event that was received."},
            {"schema", text}}}},
         {"responses", answer("Events, as long as the connection lasts.",
                              {{"text/event-stream", {{"schema", RefTo("LiveEvent")}}}})}});
    Json topics = object({{"topics", {{"type", "array"}, {"maxItems", 100}, {"items", text}}}}, {"topics"});
    Json changed =
        object({{"stream_id", text}, {"topics", {{"type", "array"}, {"items", text}}}}, {"stream_id", "topics"});
    add("post", "/v1/events/{stream_id}", "SetEventTopics", "Change the topics of an open stream",
        {{"parameters",
          Json::array({Json{{"name", "stream_id"}, {"in", "path"}, {"required", true}, {"schema", text}}})},
         {"requestBody", {{"required", true}, {"content", json(std::move(topics))}}},
         {"responses", answer("What the stream hears from now on.", json(std::move(changed)))}});
  }

  const Api& api_;
  Schemas schemas_;
  Json paths_ = Json::object();
  std::map<std::string, std::string> tags_;
  std::set<std::string> ids_;
};

}  // namespace openapi

std::string OpenApiJson(const Api& api) { return openapi::Document(api).Build(); }

}  // namespace crm::gateway
