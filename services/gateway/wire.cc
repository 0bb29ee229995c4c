#include "services/gateway/wire.h"

#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <memory>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/json/json.h"
#include "common/rpc/status.h"
#include "google/rpc/error_details.pb.h"
#include "services/gateway/compress.h"
#include "services/gateway/http_error.h"
#include "services/gateway/path_template.h"

namespace crm::gateway {

namespace pb = google::protobuf;

namespace wire_form {

// Flags of an envelope: Connect's and gRPC's are alike but for their last one.
constexpr char kPacked = 1, kConnectEnd = 2;
constexpr unsigned char kTrailers = 0x80;
constexpr size_t kHead = 5;

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

absl::Status Broken(std::string text) {
  return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_BODY_INVALID, std::move(text));
}

std::string Envelope(unsigned char flags, absl::string_view text) {
  std::string out;
  out.reserve(kHead + text.size());
  out += static_cast<char>(flags);
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(text.size() >> shift & 0xff);
  out.append(text.data(), text.size());
  return out;
}

// A message, small where that saves something.
std::string Message(const Wire& wire, absl::string_view text) {
  if (wire.gzip && text.size() > kCompressFrom) {
    std::string smaller = Gzip({text.data(), text.size()});
    if (!smaller.empty()) return Envelope(kPacked, smaller);
  }
  return Envelope(0, text);
}

// "application/grpc-web-text+proto; charset=utf-8" -> its parts.
struct MediaType {
  std::string base, subtype;
};
MediaType TypeOf(const HttpRequest& request) {
  std::string whole = absl::AsciiStrToLower(View(request.Header("Content-Type")));
  std::string type(absl::StripAsciiWhitespace(whole.substr(0, whole.find(';'))));
  size_t plus = type.find('+');
  return {type.substr(0, plus), plus == std::string::npos ? "" : type.substr(plus)};
}

bool Lists(std::string_view header, absl::string_view what) {
  for (absl::string_view part : absl::StrSplit(View(header), ',')) {
    if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(part), what)) return true;
  }
  return false;
}

// Says, in the answer's headers, what was not understood and what would be.
absl::Status WrongType(bool stream, unsigned& http_status) {
  http_status = 415;
  std::string types = stream ? "application/connect+proto, application/connect+json, application/grpc-web+proto"
                             : "application/proto, application/json, application/grpc-web+proto";
  return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_BODY_INVALID,
               absl::StrCat("this rpc does not take this Content-Type: send one of ", types), {{"accept", types}});
}

absl::Status UnknownPacking(std::string_view name) {
  const std::string text = absl::CHexEscape(View(name.substr(0, 20)));  // a header may hold any bytes
  return Error(absl::StatusCode::kUnimplemented, type::v1::ERROR_REASON_BODY_INVALID,
               absl::StrCat("messages cannot be packed by \"", text, "\" here: use gzip or identity"),
               {{"encoding", text}});
}

// The only message of a request in envelopes.
absl::StatusOr<std::string> OnlyMessage(const Wire& wire, std::string_view body, size_t bytes_max) {
  std::string_view rest = body;
  std::string message;
  bool found = false;
  while (!rest.empty()) {
    if (rest.size() < kHead) return Broken("the body ends inside of an envelope");
    auto flags = static_cast<unsigned char>(rest[0]);
    size_t size = 0;
    for (size_t i = 1; i < kHead; ++i) size = size << 8 | static_cast<unsigned char>(rest[i]);
    if (size > rest.size() - kHead) return Broken("the body is shorter than its envelope says");
    std::string_view inside = rest.substr(kHead, size);
    rest.remove_prefix(kHead + size);
    if (wire.grpc_web() ? flags & kTrailers : flags & kConnectEnd) continue;  // the client's own end
    if (flags & ~kPacked) return Broken("the envelope has flags that are not known");
    if (found) return Broken("this rpc takes one message: the body has more");
    found = true;
    if (flags & kPacked) {
      if (!wire.packed) return Broken("the message says that it is packed, and no header says by what");
      CRM_TRY(message, Gunzip(inside, bytes_max));
    } else {
      message = std::string(inside);
    }
  }
  if (!found) return Broken("this rpc takes one message: the body has none");
  return message;
}

// Base64 of either alphabet, padded or not; texts of several pieces, each padded, are read as one.
absl::StatusOr<std::string> FromBase64(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    size_t end = text.find('=');
    end = end == std::string_view::npos ? text.size() : std::min(text.find_first_not_of('=', end), text.size());
    std::string piece = absl::StrReplaceAll(View(text.substr(0, end)), {{"+", "-"}, {"/", "_"}, {"=", ""}});
    text.remove_prefix(end);
    std::string bytes;
    if (!absl::WebSafeBase64Unescape(piece, &bytes)) return Broken("the message is no base64");
    out += bytes;
  }
  return out;
}

// JSON, or the bytes as they are.
absl::StatusOr<std::string> FromText(const Wire& wire, const RpcRoute& route, std::string text, size_t bytes_max) {
  if (!wire.json) return text;
  std::unique_ptr<pb::Message> message(route.request->New());
  if (!text.empty()) {
    json::ReadOptions options;
    options.camel_case = true;
    options.bytes_max = bytes_max;
    CRM_TRY(json::Read(text, *message, options));
  }
  return message->SerializeAsString();
}
absl::StatusOr<std::string> ToText(const Wire& wire, const Api& api, const RpcRoute& route, const std::string& bytes) {
  if (!wire.json) return bytes;
  std::string text;
  text.reserve(bytes.size() * 2 + 64);
  CRM_TRY(api.writer().Append(route.response, bytes, text));
  return text;
}

absl::StatusOr<std::string> FromAddress(const Wire& wire, const RpcRoute& route, const HttpRequest& request,
                                        size_t bytes_max) {
  CRM_TRY(auto parameters, ParseQuery(request.query));
  std::string text, packing;
  bool base64 = false;
  for (auto& [name, value] : parameters) {
    if (name == "message") {
      text = std::move(value);
    } else if (name == "base64") {
      base64 = value == "1";
    } else if (name == "compression") {
      packing = value;
    } else if (name == "connect" && value != "v1") {
      return FieldError("connect", "must be v1");
    } else if (name != "connect" && name != "encoding") {
      return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_FIELD_UNKNOWN,
                   absl::StrCat("there is no parameter \"", name,
                                "\": Connect's GET takes message, encoding, base64, compression and connect"),
                   {{"field", name}});
    }
  }
  if (base64) {
    CRM_TRY(text, FromBase64(text));
  }
  if (packing == "gzip") {
    CRM_TRY(text, Gunzip(text, bytes_max));
  } else if (!packing.empty() && packing != "identity") {
    return UnknownPacking(packing);
  }
  return FromText(wire, route, std::move(text), bytes_max);
}

// The status with what every surface adds to it.
google::rpc::Status Told(const absl::Status& status, std::string_view request_id) {
  google::rpc::Status out = rpc::ToProto(status);
  if (ReasonOf(status) == type::v1::ERROR_REASON_UNSPECIFIED) {
    google::rpc::ErrorInfo info;
    info.set_reason(std::string(CodeName(status.code())));
    info.set_domain("crm");
    out.add_details()->PackFrom(info);
  }
  if (!request_id.empty()) {
    google::rpc::RequestInfo info;
    info.set_request_id(std::string(request_id));
    out.add_details()->PackFrom(info);
  }
  return out;
}

// {"code": "not_found", "message": "...", "details": [{"type": ..., "value": ..., "debug": ...}]}
std::string ConnectError(const absl::Status& status, std::string_view request_id) {
  std::string code = absl::AsciiStrToLower(View(CodeName(status.code())));
  if (code == "cancelled") code = "canceled";
  google::rpc::Status told = Told(status, request_id);
  std::string out = absl::StrCat("{\"code\":\"", code, "\",\"message\":");
  json::AppendString(told.message(), out);
  out += ",\"details\":[";
  bool first = true;
  for (const auto& any : told.details()) {
    std::string name = any.type_url().substr(any.type_url().rfind('/') + 1);
    std::string value = absl::Base64Escape(any.value());
    value.erase(value.find_last_not_of('=') + 1);
    absl::StrAppend(&out, first ? "" : ",", "{\"type\":");
    json::AppendString(name, out);
    absl::StrAppend(&out, ",\"value\":\"", value, "\"");
    first = false;
    const auto* type = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
    const auto* prototype = type ? pb::MessageFactory::generated_factory()->GetPrototype(type) : nullptr;
    if (prototype) {
      std::unique_ptr<pb::Message> message(prototype->New());
      auto debug = message->ParseFromString(any.value()) ? json::Write(*message) : absl::UnknownError("");
      if (debug.ok()) absl::StrAppend(&out, ",\"debug\":", *debug);
    }
    out += '}';
  }
  out += "]}";
  return out;
}

// gRPC's percent-encoding of grpc-message.
std::string Escaped(absl::string_view text) {
  std::string out;
  for (char c : text) {
    if (c >= ' ' && c <= '~' && c != '%') {
      out += c;
    } else {
      absl::StrAppend(&out, "%",
                      absl::AsciiStrToUpper(absl::StrCat(absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2))));
    }
  }
  return out;
}

std::string Trailers(const absl::Status& status, std::string_view request_id) {
  std::string text = absl::StrCat("grpc-status: ", static_cast<int>(status.code()), "\r\n");
  if (!status.ok()) {
    absl::StrAppend(&text, "grpc-message: ", Escaped(status.message()), "\r\n",
                    "grpc-status-details-bin: ", absl::Base64Escape(Told(status, request_id).SerializeAsString()),
                    "\r\n");
  }
  return Envelope(kTrailers, text);
}

std::string End(const Wire& wire, const absl::Status& status, std::string_view request_id) {
  if (wire.grpc_web()) {
    std::string trailers = Trailers(status, request_id);
    return wire.form == Wire::Form::kGrpcWebText ? absl::Base64Escape(trailers) : trailers;
  }
  std::string text = status.ok() ? "{}" : absl::StrCat("{\"error\":", ConnectError(status, request_id), "}");
  return Envelope(kConnectEnd, text);
}

std::string ContentType(const Wire& wire) {
  switch (wire.form) {
    case Wire::Form::kConnect:
      return wire.json ? "application/json" : "application/proto";
    case Wire::Form::kConnectStream:
      return wire.json ? "application/connect+json" : "application/connect+proto";
    case Wire::Form::kGrpcWeb:
      return absl::StrCat("application/grpc-web", wire.subtype);
    case Wire::Form::kGrpcWebText:
      return absl::StrCat("application/grpc-web-text", wire.subtype);
  }
  return "";
}

}  // namespace wire_form

bool IsWirePath(std::string_view path) { return absl::StartsWith(wire_form::View(path), "/crm."); }

Wire GuessWire(const HttpRequest& request) {
  Wire wire;
  auto type = wire_form::TypeOf(request);
  wire.subtype = type.subtype;
  wire.json = type.subtype == "+json" || type.base == "application/json";
  if (type.base == "application/grpc-web") wire.form = Wire::Form::kGrpcWeb;
  if (type.base == "application/grpc-web-text") wire.form = Wire::Form::kGrpcWebText;
  if (type.base == "application/connect") wire.form = Wire::Form::kConnectStream;
  wire.get = request.method == "GET" || request.method == "HEAD";
  std::string_view request_packing, takes;
  if (wire.grpc_web()) {
    request_packing = request.Header("grpc-encoding");
    takes = request.Header("grpc-accept-encoding");
  } else if (wire.form == Wire::Form::kConnectStream) {
    request_packing = request.Header("Connect-Content-Encoding");
    takes = request.Header("Connect-Accept-Encoding");
  }
  wire.packed = request_packing == "gzip";
  wire.gzip = wire_form::Lists(takes, "gzip");
  return wire;
}

absl::StatusOr<Wire> ReadWire(const HttpRequest& request, const RpcRoute* route, unsigned& http_status) {
  if (!route) {
    http_status = 404;
    return Error(absl::StatusCode::kUnimplemented, type::v1::ERROR_REASON_METHOD_NOT_FOUND,
                 "there is no such rpc here: see /v1/schema for all of them");
  }
  Wire wire = GuessWire(request);
  bool stream = route->method->server_streaming();
  if (wire.get ? !route->read_only || stream : request.method != "POST") {
    http_status = 405;
    return Error(absl::StatusCode::kUnimplemented, type::v1::ERROR_REASON_METHOD_NOT_FOUND,
                 absl::StrCat("this rpc does not take ", request.method.substr(0, 20), ": use POST"));
  }
  if (wire.get) {
    wire = Wire{};
    wire.get = true;
    CRM_TRY(auto parameters, ParseQuery(request.query));
    std::string encoding;
    for (const auto& [name, value] : parameters) {
      if (name == "encoding") encoding = value;
    }
    if (encoding != "json" && encoding != "proto") return FieldError("encoding", "must be json or proto");
    wire.json = encoding == "json";
  } else {
    auto type = wire_form::TypeOf(request);
    bool codec = type.subtype == "+proto" || type.subtype == "+json";
    bool known = false;
    if (wire.form == Wire::Form::kConnectStream) {
      known = stream && codec;
    } else if (wire.grpc_web()) {
      known = type.subtype.empty() || codec;
    } else {
      known = !stream && type.subtype.empty() && (type.base == "application/json" || type.base == "application/proto");
    }
    if (!known) return wire_form::WrongType(stream, http_status);
    if (!request.query.empty()) {
      return FieldError("query", "rpcs take no parameters in the address: send everything in the message");
    }
  }
  std::string_view version = request.Header("Connect-Protocol-Version");
  if (!version.empty() && version != "1") return FieldError("Connect-Protocol-Version", "must be 1");
  std::string_view packing = wire.grpc_web()                           ? request.Header("grpc-encoding")
                             : wire.form == Wire::Form::kConnectStream ? request.Header("Connect-Content-Encoding")
                                                                       : request.Header("Content-Encoding");
  if (!packing.empty() && packing != "identity" && !wire.packed) return wire_form::UnknownPacking(packing);
  return wire;
}

absl::StatusOr<std::optional<std::chrono::milliseconds>> ReadWireTimeout(const Wire& wire, const HttpRequest& request) {
  std::string_view text = request.Header(wire.grpc_web() ? "grpc-timeout" : "Connect-Timeout-Ms");
  if (text.empty()) return std::nullopt;
  absl::string_view digits = wire_form::View(text);
  double unit = 1;
  if (wire.grpc_web()) {
    switch (digits.back()) {
      case 'H':
        unit = 3600e3;
        break;
      case 'M':
        unit = 60e3;
        break;
      case 'S':
        unit = 1e3;
        break;
      case 'm':
        unit = 1;
        break;
      case 'u':
        unit = 1e-3;
        break;
      case 'n':
        unit = 1e-6;
        break;
      default:
        return FieldError("grpc-timeout", "must be up to 8 digits and one of H, M, S, m, u, n, e.g. \"10S\"");
    }
    digits.remove_suffix(1);
  }
  uint64_t number = 0;
  bool plain = !digits.empty() && digits.size() <= (wire.grpc_web() ? 8 : 10) &&
               std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!plain || !absl::SimpleAtoi(digits, &number)) {
    return wire.grpc_web() ? FieldError("grpc-timeout", "must be up to 8 digits and a unit, e.g. \"10S\"")
                           : FieldError("Connect-Timeout-Ms", "must be milliseconds, up to 10 digits");
  }
  return std::chrono::milliseconds(static_cast<int64_t>(static_cast<double>(number) * unit));
}

absl::StatusOr<std::string> ReadWireRequest(const Wire& wire, const RpcRoute& route, const HttpRequest& request,
                                            size_t bytes_max) {
  if (wire.get) return wire_form::FromAddress(wire, route, request, bytes_max);
  if (wire.form == Wire::Form::kConnect) return wire_form::FromText(wire, route, request.body, bytes_max);
  std::string decoded;
  if (wire.form == Wire::Form::kGrpcWebText) {
    CRM_TRY(decoded, wire_form::FromBase64(request.body));
  }
  const std::string& body = wire.form == Wire::Form::kGrpcWebText ? decoded : request.body;
  CRM_TRY(std::string text, wire_form::OnlyMessage(wire, body, bytes_max));
  return wire_form::FromText(wire, route, std::move(text), bytes_max);
}

absl::StatusOr<HttpResponse> WireAnswer(const Wire& wire, const Api& api, const RpcRoute& route,
                                        const std::string& bytes) {
  CRM_TRY(std::string text, wire_form::ToText(wire, api, route, bytes));
  HttpResponse response;
  response.content_type = wire_form::ContentType(wire);
  if (!wire.grpc_web()) {
    response.body = std::move(text);
    return response;
  }
  response.body = absl::StrCat(wire_form::Message(wire, text), wire_form::Trailers(absl::OkStatus(), ""));
  if (wire.form == Wire::Form::kGrpcWebText) response.body = absl::Base64Escape(response.body);
  if (wire.gzip) response.Set("grpc-encoding", "gzip");
  return response;
}

HttpResponse WireStreamResponse(const Wire& wire) {
  HttpResponse response;
  response.content_type = wire_form::ContentType(wire);
  response.Set("Cache-Control", "no-store");
  response.Set("X-Accel-Buffering", "no");
  if (wire.gzip) response.Set(wire.grpc_web() ? "grpc-encoding" : "Connect-Content-Encoding", "gzip");
  return response;
}

StreamForm WireStreamForm(const Wire& wire, const Api& api, const RpcRoute& route, std::string request_id) {
  StreamForm form;
  form.message = [wire, &api, &route](const std::string& bytes) -> absl::StatusOr<std::string> {
    CRM_TRY(std::string text, wire_form::ToText(wire, api, route, bytes));
    std::string message = wire_form::Message(wire, text);
    return wire.form == Wire::Form::kGrpcWebText ? absl::Base64Escape(message) : message;
  };
  form.end = [wire, request_id = std::move(request_id)](const absl::Status& status) {
    return wire_form::End(wire, status, request_id);
  };
  return form;
}

HttpResponse WireError(const Wire& wire, const absl::Status& status, std::string_view request_id,
                       unsigned http_status) {
  HttpResponse response = ErrorResponse(status, request_id, http_status);  // its headers
  response.counted_as = response.status;
  // A stream's errors come after its (good) headers. Connect tells by HTTP's status that there is no such stream.
  bool no_stream = response.status == 404 || response.status == 405 || response.status == 415;
  if (wire.grpc_web() || (wire.form == Wire::Form::kConnectStream && !(http_status && no_stream))) {
    response.status = 200;
    response.content_type = wire_form::ContentType(wire);
    response.body = wire_form::End(wire, status, request_id);
    return response;
  }
  response.content_type = "application/json";
  response.body = wire_form::ConnectError(status, request_id);
  return response;
}

}  // namespace crm::gateway
