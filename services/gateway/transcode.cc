#include "services/gateway/transcode.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <memory>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "common/obs/trace.h"
#include "services/gateway/raw.h"

namespace crm::gateway {

namespace pb = google::protobuf;

namespace transcode {

using Parameters = std::vector<std::pair<std::string, std::string>>;

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

enum class BodyType { kNone, kJson, kForm, kOther };

BodyType TypeOf(const HttpRequest& request) {
  std::string header = absl::AsciiStrToLower(View(request.Header("Content-Type")));
  std::vector<std::string> parts = absl::StrSplit(header, ';');
  for (size_t i = 1; i < parts.size(); ++i) {
    absl::string_view part = absl::StripAsciiWhitespace(parts[i]);
    if (absl::StartsWith(part, "charset=") && part != "charset=utf-8" && part != "charset=\"utf-8\"")
      return BodyType::kOther;
  }
  absl::string_view type = absl::StripAsciiWhitespace(parts[0]);
  if (type.empty()) return BodyType::kNone;
  if (type == "application/json" || type == "application/merge-patch+json") return BodyType::kJson;
  if (type == "application/x-www-form-urlencoded") return BodyType::kForm;
  return BodyType::kOther;
}

// The same error with its violations' paths told from the request's root.
absl::Status Under(const absl::Status& status, const std::string& field) {
  absl::Status out = Error(status.code(), ReasonOf(status), std::string(status.message()), MetadataOf(status));
  for (auto violation : ViolationsOf(status)) {
    violation.field = violation.field.empty() ? field : absl::StrCat(field, ".", violation.field);
    AddViolation(out, std::move(violation));
  }
  return out;
}

// The text of a dotted string field; empty if it is not set or no string.
std::string TextAt(const pb::Message& message, const std::string& path) {
  const pb::Message* at = &message;
  std::vector<std::string> parts = absl::StrSplit(path, '.');
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto* field = at->GetDescriptor()->FindFieldByName(parts[i]);
    if (i + 1 == parts.size()) {
      return field->type() == pb::FieldDescriptor::TYPE_STRING ? at->GetReflection()->GetString(*at, field) : "";
    }
    at = &at->GetReflection()->GetMessage(*at, field);
  }
  return "";
}

// A form's field: like a query parameter, and also one entry of a map of texts: "answers[color]" or "answers.color".
absl::Status ReadForm(const std::string& body, pb::Message& message) {
  CRM_TRY(Parameters fields, ParseQuery(body));
  Parameters plain;
  for (auto& [name, value] : fields) {
    size_t end = name.find_first_of("[.");
    const auto* field = message.GetDescriptor()->FindFieldByName(name.substr(0, end));
    if (!field || !field->is_map() || end == std::string::npos) {
      plain.emplace_back(std::move(name), std::move(value));
      continue;
    }
    const auto* entry = field->message_type();
    std::string key = name.substr(end + 1);
    if (name[end] == '[') {
      if (key.empty() || key.back() != ']') return FieldError(name, "must be written as name[key]");
      key.pop_back();
    }
    if (entry->map_key()->type() != pb::FieldDescriptor::TYPE_STRING ||
        entry->map_value()->type() != pb::FieldDescriptor::TYPE_STRING) {
      return FieldError(name, "cannot be sent as a form: send JSON");
    }
    pb::Message* added = message.GetReflection()->AddMessage(&message, field);
    added->GetReflection()->SetString(added, entry->map_key(), std::move(key));
    added->GetReflection()->SetString(added, entry->map_value(), std::move(value));
  }
  return json::ReadParameters(plain, message);
}

absl::Status UnknownParameter(std::string name, std::string why) {
  if (name.empty()) name = "query";  // "?=5": an error names something
  absl::Status status = Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_FIELD_UNKNOWN,
                              absl::StrCat("the parameter \"", name, "\" ", why), {{"field", name}});
  AddViolation(status, {name, std::move(why)});
  return status;
}

// Takes `expand` out of the parameters.
std::vector<std::string> TakeExpand(const RpcRoute& route, Parameters& parameters) {
  std::vector<std::string> names;
  if (route.method->input_type()->FindFieldByName("expand")) return names;
  Parameters rest;
  for (auto& parameter : parameters) {
    if (parameter.first != "expand") {
      rest.push_back(std::move(parameter));
      continue;
    }
    for (absl::string_view name : absl::StrSplit(parameter.second, ',', absl::SkipWhitespace())) {
      std::string text(absl::StripAsciiWhitespace(name));
      if (std::find(names.begin(), names.end(), text) == names.end()) names.push_back(std::move(text));
    }
  }
  parameters = std::move(rest);
  return names;
}

absl::Status CheckExpand(const RpcRoute& route, const std::vector<std::string>& names) {
  for (const auto& name : names) {
    if (route.ref_names.count(name)) continue;
    std::string possible = absl::StrJoin(route.ref_names, ", ");
    return FieldError("expand",
                      route.ref_names.empty()
                          ? absl::StrCat("\"", name, "\" cannot be expanded: this answer refers to no other records")
                          : absl::StrCat("\"", name, "\" cannot be expanded: use ", possible));
  }
  return absl::OkStatus();
}

// The mask of a PATCH from the keys that the body has. The keys that say which record and which version are not
// changes.
absl::Status FillMask(const RpcRoute& route, const RouteMatch& match, const std::vector<std::string>& present,
                      pb::Message& message) {
  const auto* reflection = message.GetReflection();
  pb::Message* mask = reflection->MutableMessage(&message, route.mask_field);
  const auto* paths = mask->GetDescriptor()->FindFieldByName("paths");
  if (mask->GetReflection()->FieldSize(*mask, paths) > 0) return absl::OkStatus();  // said as a parameter
  for (const auto& name : present) {
    bool key = false;
    for (const auto& [field, value] : match.variables) key |= field == absl::StrCat(route.body, ".", name);
    if (name == "etag" && route.etag_field) {
      std::string etag = TextAt(message, route.body + ".etag");
      std::string asked = reflection->GetString(message, route.etag_field);
      if (!asked.empty() && asked != etag) return FieldError("etag", "stands twice with different values: send one");
      reflection->SetString(&message, route.etag_field, etag);
      key = true;
    }
    if (!key) mask->GetReflection()->AddString(mask, paths, name);
  }
  if (mask->GetReflection()->FieldSize(*mask, paths) == 0) {
    return FieldError(route.body, "names no field to change: send at least one; null clears a field");
  }
  return absl::OkStatus();
}

absl::Status WrongType(bool form) {
  return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_BODY_INVALID,
               absl::StrCat("the body must be JSON in UTF-8: send the header Content-Type: application/json",
                            form ? " (or application/x-www-form-urlencoded)" : ""),
               {{"accept", "application/json"}});
}

absl::Status ReadBody(const RpcRoute& route, const RouteMatch& match, const HttpRequest& request, size_t body_bytes_max,
                      unsigned& http_status, pb::Message& message) {
  if (route.body.empty()) {
    if (request.body.empty()) return absl::OkStatus();
    return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_BODY_INVALID,
                 absl::StrCat(request.method, " takes no body here: send what you mean as parameters"));
  }
  if (!request.Header("Content-Encoding").empty() && request.Header("Content-Encoding") != "identity") {
    http_status = 415;
    return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_BODY_INVALID,
                 "bodies can be packed by gzip only: send this one so, or without Content-Encoding");
  }
  if (route.body_field && IsRaw(route.body_field->message_type())) {
    pb::Message* content = message.GetReflection()->MutableMessage(&message, route.body_field);
    const auto* type = content->GetDescriptor();
    content->GetReflection()->SetString(content, type->FindFieldByName("data"), request.body);
    content->GetReflection()->SetString(content, type->FindFieldByName("content_type"),
                                        std::string(request.Header("Content-Type")));
    return absl::OkStatus();
  }
  BodyType type = request.body.empty() && route.body == "*" ? BodyType::kJson : TypeOf(request);
  bool form = route.access.public_() && !route.cookie && route.body == "*";
  if (type != BodyType::kJson && !(type == BodyType::kForm && form)) {
    http_status = 415;
    return WrongType(form);
  }
  if (type == BodyType::kForm) return ReadForm(request.body, message);
  json::ReadOptions options{.bytes_max = body_bytes_max};
  if (route.body == "*") {
    if (request.body.empty()) return absl::OkStatus();
    return json::Read(request.body, message, options);
  }
  std::vector<std::string> present;
  pb::Message* body = message.GetReflection()->MutableMessage(&message, route.body_field);
  absl::Status read = json::Read(request.body, *body, options, &present);
  if (!read.ok()) return Under(read, route.body);
  return route.mask_field ? FillMask(route, match, present, message) : absl::OkStatus();
}

absl::Status ReadQuery(const RpcRoute& route, const RouteMatch& match, const Parameters& parameters,
                       pb::Message& message) {
  for (const auto& [name, value] : parameters) {
    if (route.body == "*")
      return UnknownParameter(name, "does not belong in the address: this method takes everything in its body");
    if (IsSecretName(name))
      return UnknownParameter(name, "is a secret, and addresses end up in logs: it can only be sent in a body");
    std::string first = name.substr(0, name.find('.'));
    if (route.body_field && first == route.body)
      return UnknownParameter(name, "belongs in the body, not in the address");
    for (const auto& variable : match.variables) {
      if (variable.first == name) return UnknownParameter(name, "stands in the path already: leave it out");
    }
  }
  return json::ReadParameters(parameters, message);
}

// If-Match names the version that the caller saw: "12", or our ETag header "12.3f9c0a11" whose end tells answers apart.
absl::Status ReadIfMatch(const RpcRoute& route, const HttpRequest& request, pb::Message& message) {
  std::string_view header = request.Header("If-Match");
  if (header.empty() || header == "*" || request.method == "GET" || request.method == "HEAD") return absl::OkStatus();
  if (!route.etag_field) return FieldError("If-Match", "this method has no versions to compare: leave the header out");
  std::string_view etag = header;
  if (etag.substr(0, 2) == "W/") etag.remove_prefix(2);
  if (etag.size() < 3 || etag.front() != '"' || etag.back() != '"' || etag.find('"', 1) != etag.size() - 1) {
    return FieldError("If-Match", "must be one ETag in quotes, as an answer gave it");
  }
  etag = etag.substr(1, etag.size() - 2);
  etag = etag.substr(0, etag.find('.'));
  std::string asked = message.GetReflection()->GetString(message, route.etag_field);
  if (!asked.empty() && asked != etag)
    return FieldError("If-Match", "differs from the request's etag: send one of them");
  message.GetReflection()->SetString(&message, route.etag_field, std::string(etag));
  return absl::OkStatus();
}

}  // namespace transcode

absl::Status CheckJson(const HttpRequest& request, unsigned& http_status) {
  if (transcode::TypeOf(request) == transcode::BodyType::kJson) return absl::OkStatus();
  http_status = 415;
  return transcode::WrongType(false);
}

absl::StatusOr<RpcRequest> ReadRequest(const RpcRoute& route, const RouteMatch& match, const HttpRequest& request,
                                       size_t body_bytes_max, unsigned& http_status) {
  RpcRequest out;
  CRM_TRY(transcode::Parameters parameters, ParseQuery(request.query));
  out.expand = transcode::TakeExpand(route, parameters);
  CRM_TRY(transcode::CheckExpand(route, out.expand));

  std::unique_ptr<pb::Message> message(route.request->New());
  CRM_TRY(transcode::ReadQuery(route, match, parameters, *message));
  CRM_TRY(transcode::ReadIfMatch(route, request, *message));
  CRM_TRY(transcode::ReadBody(route, match, request, body_bytes_max, http_status, *message));
  for (const auto& [field, value] : match.variables) {
    std::string before = transcode::TextAt(*message, field);
    if (!before.empty() && before != value) {
      return FieldError(field, absl::StrCat("is \"", Truncated(before, 100), "\" in the body and \"",
                                            Truncated(value, 100), "\" in the path: they must be equal"));
    }
    CRM_TRY(json::SetField(*message, field, value));
  }
  if (!message->SerializeToString(&out.bytes)) return absl::InternalError("the request cannot be written");
  return out;
}

absl::Status ReadCallHeaders(const HttpRequest& request, Call& call) {
  constexpr auto kDefault = std::chrono::milliseconds(10'000);
  call.request_id = request.request_id;
  call.start = Now();

  std::string_view key = request.Header("Idempotency-Key");
  if (!key.empty()) {
    if (key.size() >= 2 && key.front() == '"' && key.back() == '"') key = key.substr(1, key.size() - 2);
    bool printable = std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c <= '~'; });
    if (key.empty() || key.size() > 100 || !printable) {
      return FieldError("Idempotency-Key", "must be 1 to 100 visible ASCII characters, e.g. a UUID");
    }
    call.idempotency_key = std::string(key);
  }

  auto timeout = kDefault;
  std::string_view wanted = request.Header("X-Timeout");
  if (!wanted.empty()) {
    absl::string_view number = transcode::View(wanted);
    double unit = 1000;
    if (absl::ConsumeSuffix(&number, "ms")) {
      unit = 1;
    } else {
      absl::ConsumeSuffix(&number, "s");
    }
    double value = 0;
    if (!absl::SimpleAtod(number, &value) || !(value * unit >= 1) || value * unit > 1e9) {
      return FieldError("X-Timeout", "must be seconds or milliseconds, e.g. \"2.5\", \"2.5s\" or \"500ms\"");
    }
    timeout = std::min(kTimeoutMax, std::chrono::milliseconds(static_cast<int64_t>(value * unit)));
  }
  call.deadline = request.start + timeout;

  std::string_view zone = request.Header("Crm-Time-Zone");
  if (zone.size() > 60 ||
      zone.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") !=
          std::string_view::npos) {
    return FieldError("Crm-Time-Zone", "must be an IANA time zone, e.g. \"Europe/Berlin\"");
  }
  call.time_zone = std::string(zone);
  call.language = PickLanguage(request.Header("Accept-Language"));
  call.traceparent = obs::ChildTraceparent(transcode::View(request.Header("traceparent")));
  return absl::OkStatus();
}

std::string PickLanguage(std::string_view accept_language) {
  constexpr std::string_view kOurs[] = {"en", "ru", "he", "yi"};
  std::string best;
  double best_weight = 0;
  for (absl::string_view part : absl::StrSplit(transcode::View(accept_language.substr(0, 500)), ',')) {
    std::vector<absl::string_view> pieces = absl::StrSplit(part, ';');
    std::string tag = absl::AsciiStrToLower(absl::StripAsciiWhitespace(pieces[0]));
    double weight = 1;
    for (size_t i = 1; i < pieces.size(); ++i) {
      absl::string_view piece = absl::StripAsciiWhitespace(pieces[i]);
      if (absl::ConsumePrefix(&piece, "q=") && !absl::SimpleAtod(piece, &weight)) weight = 0;
    }
    tag = tag.substr(0, tag.find('-'));
    if (tag == "iw") tag = "he";
    if (weight > best_weight && std::find(std::begin(kOurs), std::end(kOurs), tag) != std::end(kOurs)) {
      best = tag;
      best_weight = weight;
    }
  }
  return best;
}

}  // namespace crm::gateway
