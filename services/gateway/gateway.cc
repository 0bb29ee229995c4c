#include "services/gateway/gateway.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <zlib.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "common/rpc/metadata.h"
#include "services/gateway/after.h"
#include "services/gateway/compress.h"
#include "services/gateway/expand.h"
#include "services/gateway/http_error.h"
#include "services/gateway/openapi.h"
#include "services/gateway/raw.h"
#include "services/gateway/schema.h"
#include "services/gateway/sse.h"
#include "services/gateway/static_files.h"
#include "services/gateway/together.h"
#include "services/gateway/transcode.h"
#include "services/gateway/wire.h"

namespace crm::gateway {

namespace pb = google::protobuf;

namespace edge {

constexpr char kSignOut[] = "crm.identity.v1.SessionService.DeleteSession";
constexpr char kAllowHeaders[] =
    "Authorization, Content-Type, Content-Encoding, Idempotency-Key, If-Match, If-None-Match, X-CSRF-Token, "
    "X-Request-Id, X-Timeout, Crm-Time-Zone, Crm-After, Accept-Language, Last-Event-ID, traceparent, "
    "Connect-Protocol-Version, Connect-Timeout-Ms, Connect-Content-Encoding, Connect-Accept-Encoding, Grpc-Timeout, "
    "Grpc-Encoding, Grpc-Accept-Encoding, X-Grpc-Web, X-User-Agent";
constexpr char kExposeHeaders[] =
    "ETag, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id, Crm-Refs-Missing, Crm-Position, Crm-Stale, "
    "Location, "
    "Content-Encoding, Connect-Content-Encoding, Grpc-Encoding, Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin";

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

LimiterOptions LimitsOf(const app::v1::Config::Gateway& config) {
  LimiterOptions options;
  if (config.rate_per_second() > 0) options.rate_per_second = config.rate_per_second();
  if (config.public_per_minute() > 0) options.public_per_minute = config.public_per_minute();
  return options;
}

absl::Status SignInFirst() {
  return Error(absl::StatusCode::kUnauthenticated, type::v1::ERROR_REASON_TOKEN_INVALID,
               "this address needs a token: sign in at POST /v1/sessions and send it as `Authorization: Bearer`");
}

// The last value of a top-level text field on the wire; empty if it is absent.
std::string TextField(absl::string_view wire, int number) {
  using pb::internal::WireFormatLite;
  std::string out;
  pb::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(wire.data()), static_cast<int>(wire.size()));
  while (uint32_t tag = in.ReadTag()) {
    uint32_t size = 0;
    if (WireFormatLite::GetTagFieldNumber(tag) == number &&
        WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      if (!in.ReadVarint32(&size) || !in.ReadString(&out, static_cast<int>(size))) return {};
    } else if (!WireFormatLite::SkipField(&in, tag)) {
      return {};
    }
  }
  return out;
}

// Tells two answers with one etag apart (rights and languages change what is shown of a version). No secret hangs on
// it.
std::string Fingerprint(const std::string& text) {
  const auto* bytes = reinterpret_cast<const Bytef*>(text.data());
  auto size = static_cast<uInt>(text.size());
  return absl::StrCat(absl::Hex(crc32(0, bytes, size), absl::kZeroPad8),
                      absl::Hex(adler32(1, bytes, size), absl::kZeroPad8));
}

// If-None-Match compares weakly (RFC 9110, 13.1.2).
bool NoneMatch(std::string_view header, const std::string& etag) {
  for (absl::string_view one : absl::StrSplit(View(header), ',')) {
    one = absl::StripAsciiWhitespace(one);
    if (one == "*") return false;
    absl::ConsumePrefix(&one, "W/");
    if (one == etag) return false;
  }
  return true;
}

// Gives the answer its tag, and leaves the body out if the client has it.
void Tag(const HttpRequest& request, const std::string& etag, HttpResponse& response) {
  std::string_view known = request.Header("If-None-Match");
  response.Set("ETag", etag);
  if (known.empty() || NoneMatch(known, etag)) return;
  response.status = 304;
  response.body.clear();
}

std::vector<std::pair<std::string, std::string>> MetadataOf(const Call& call) {
  auto metadata = rpc::Client::MetadataOf(call);
  if (!call.idempotency_key.empty()) metadata.emplace_back(rpc::kIdempotencyKeyMetadata, call.idempotency_key);
  return metadata;
}

bool HasHeader(const HttpResponse& response, std::string_view name) {
  for (const auto& header : response.headers) {
    if (absl::EqualsIgnoreCase(header.first, View(name))) return true;
  }
  return false;
}

std::string SetCookie(const std::string& value, int64_t seconds, bool secure) {
  return absl::StrCat(kSessionCookie, "=", value, "; Path=/; HttpOnly; SameSite=Lax; Max-Age=", seconds,
                      secure ? "; Secure" : "");
}

// A stream as server-sent events.
StreamForm SseForm(const Api& api, const RpcRoute& route, std::string request_id) {
  StreamForm form;
  form.open = "retry: 2000\n: open\n\n";
  form.heartbeat = ": still here\n\n";
  form.message = [&api, &route](const std::string& bytes) -> absl::StatusOr<std::string> {
    std::string json;
    CRM_TRY(api.writer().Append(route.response, bytes, json));
    return SseEvent("", "", json);
  };
  form.end = [request_id = std::move(request_id)](const absl::Status& status) {
    return status.ok() ? std::string() : SseError(status, request_id);
  };
  return form;
}

// What is refused where nobody knows yet what it was to be.
HttpResponse RefusalFor(const HttpRequest& request, const absl::Status& status, unsigned http_status) {
  return IsWirePath(request.path) ? WireError(GuessWire(request), status, request.request_id, http_status)
                                  : ErrorResponse(status, request.request_id, http_status);
}

}  // namespace edge

Gateway::Gateway(const app::v1::Config::Gateway& config, const Api& api, Peers peers, rpc::Authenticator& authenticator,
                 redis::Client* redis, std::vector<asio::any_io_executor> loops, int in_flight_max)
    : config_(config),
      api_(api),
      peers_(std::move(peers)),
      callers_(peers_, authenticator),
      limiter_(edge::LimitsOf(config), redis, loops),
      gate_(in_flight_max, loops),
      live_(api_, peers_, callers_, redis, loops.at(0)),
      schema_(SchemaJson(api)),
      open_api_(OpenApiJson(api)),
      open_api_gzip_(Gzip(open_api_)),
      verifier_(authenticator.verifier()) {}

asio::awaitable<HttpResponse> Gateway::Handle(HttpRequest& request) {
  Call call;
  call.request_id = request.request_id;
  call.start = Now();
  request.peer = ClientAddress(request);
  HttpResponse response = co_await Dispatch(request, call);
  if (response.overloaded) response.pause = Gate::PauseUntil(call.deadline);
  Finish(request, call, response);
  co_return response;
}

HttpResponse Gateway::Refuse(HttpRequest& request, absl::Status status, unsigned http_status) {
  Call call;
  call.request_id = request.request_id;
  if (status.code() == absl::StatusCode::kInternal) {
    obs::Log(obs::Level::kError, call, "a request failed inside the gateway",
             {{"request_id", request.request_id}, {"why", status.message()}});
    status = Error(absl::StatusCode::kInternal, type::v1::ERROR_REASON_INTERNAL,
                   "something broke on our side: quote the request id");
  }
  HttpResponse response = edge::RefusalFor(request, status, http_status);
  Finish(request, call, response);
  return response;
}

std::string Gateway::ClientAddress(const HttpRequest& request) const {
  auto trusted = [&](absl::string_view address) {
    return std::find(config_.trusted_proxies().begin(), config_.trusted_proxies().end(), address) !=
           config_.trusted_proxies().end();
  };
  if (!trusted(request.peer)) return request.peer;
  // From the right, because each proxy appends whom it saw: the first one that is no proxy of ours.
  std::vector<std::string> hops = absl::StrSplit(edge::View(request.Header("X-Forwarded-For")), ',');
  for (auto it = hops.rbegin(); it != hops.rend(); ++it) {
    absl::string_view hop = absl::StripAsciiWhitespace(*it);
    if (hop.empty() || hop.size() > 45) break;
    if (!trusted(hop)) return std::string(hop);
  }
  return request.peer;
}

Async<Gate::Place> Gateway::Enter(const HttpRequest& request, const RpcRoute* route, const Call& call) {
  Gate::Ask ask;
  if (route) {
    ask.service = route->service;
    ask.kind = route->full_name;
  }
  ask.deadline = call.deadline;
  ask.bytes = request.body.size();
  auto line = [&] { return callers_.LineOf(request); };
  co_return co_await gate_.Enter(ask, line);
}

asio::awaitable<HttpResponse> Gateway::Dispatch(HttpRequest& request, Call& call) {
  if (request.method == "OPTIONS") co_return ServeOptions(request);
  if (request.Header("Content-Encoding") == "gzip") {
    auto body = Gunzip(request.body, BodyMax());
    if (!body.ok()) co_return edge::RefusalFor(request, body.status(), 0);
    request.body = *std::move(body);
    request.headers.erase(http::field::content_encoding);
  }
  Gate::Place place;
  if (IsWirePath(request.path)) {
    HttpResponse response = co_await ServeWire(request, call, place);
    if (response.status < 400) place.Done();
    co_return response;
  }
  auto target = api_.Find(request.method, request.path);
  if (!target.ok()) {
    if (target.status().code() == absl::StatusCode::kUnimplemented) {
      HttpResponse response = ErrorResponse(target.status(), request.request_id, 405);
      response.Set("Allow", absl::StrJoin(api_.AllowedMethods(request.path), ", "));
      co_return response;
    }
    if (target.status().code() == absl::StatusCode::kNotFound && !absl::StartsWith(request.path, "/v1/") &&
        (request.method == "GET" || request.method == "HEAD")) {
      auto file = ServeStatic(config_.static_dirs(), request.path);
      if (file.ok()) {
        file->route = "static";
        edge::Tag(request, absl::StrCat("\"", edge::Fingerprint(file->body), "\""), *file);
        co_return *std::move(file);
      }
      if (!absl::EndsWith(request.path, "/") && ServeStatic(config_.static_dirs(), request.path + "/").ok()) {
        HttpResponse response;  // "/docs": its page's own links begin with "/docs/"
        response.status = 308;
        response.content_type.clear();
        response.Set("Location", request.path + "/");
        response.route = "static";
        co_return response;
      }
    }
    co_return ErrorResponse(target.status(), request.request_id);
  }
  absl::Status headers = ReadCallHeaders(request, call);
  if (!headers.ok()) co_return ErrorResponse(headers, request.request_id);

  static constexpr const char* kOwnNames[] = {"batch", "schema", "events", "event_topics", "health", "openapi", "jwks"};
  std::string route = target->rpc ? target->rpc->full_name : kOwnNames[static_cast<int>(*target->own)];
  call.method = route;
  absl::StatusOr<HttpResponse> answer = absl::UnknownError("");
  const bool open =
      target->own && (*target->own == Own::kHealth || *target->own == Own::kOpenApi || *target->own == Own::kKeys);
  absl::Status entered;
  if (!open) {
    auto found = co_await Enter(request, target->rpc, call);
    entered = found.status();
    if (found.ok()) place = *std::move(found);
  }
  if (!entered.ok()) {
    answer = entered;
  } else if (target->rpc) {
    answer = co_await ServeRpc(request, *target->rpc, target->match, call, nullptr);
  } else {
    answer = co_await ServeOwn(*target->own, request, target->match, call);
  }
  if (answer.ok() && answer->status < 400) place.Done();
  HttpResponse response = answer.ok() ? *std::move(answer) : ErrorResponse(answer.status(), request.request_id);
  response.route = std::move(route);
  co_return response;
}

Async<Caller> Gateway::Admit(const HttpRequest& request, Call& call, Limiter::Headers& headers) {
  CRM_CO_TRY(Caller caller, co_await callers_.Resolve(request, call));
  if (caller.anonymous()) co_return edge::SignInFirst();
  call.principal = caller.identity->principal;
  call.token = caller.token;
  CRM_CO_TRY(co_await limiter_.TakeTenant(call.principal.tenant_id(), headers));
  co_return caller;
}

Async<Caller> Gateway::AdmitTo(const RpcRoute& route, const HttpRequest& request, Call& call,
                               Limiter::Headers& headers) {
  if (!route.access.public_()) co_return co_await Admit(request, call, headers);
  CRM_CO_TRY(co_await limiter_.TakeAddress(request.peer, headers));
  co_return Caller();
}

rpc::RawCall Gateway::CallOf(const RpcRoute& route, std::string bytes, Call& call) {
  rpc::RawCall raw;
  raw.method = route.full_name;
  raw.deadline = call.deadline;
  raw.request = std::move(bytes);
  raw.tenant = call.principal.tenant;
  raw.retriable = route.read_only || !call.idempotency_key.empty();
  if (!raw.retriable && route.request_id) {
    // A write without a key gets one, so that a lost connection can be answered by sending it again.
    if (edge::TextField(raw.request, route.request_id).empty()) call.idempotency_key = NewUuid(call.start).ToString();
    raw.retriable = true;
  }
  raw.metadata = edge::MetadataOf(call);
  return raw;
}

Async<std::string> Gateway::Ask(rpc::Client& peer, rpc::RawCall& raw, Caller& caller, Call& call) {
  auto bytes = co_await peer.UnaryRaw(raw);
  if (!bytes.ok() && bytes.status().code() == absl::StatusCode::kUnauthenticated && !caller.secret.empty()) {
    // A token traded for a key or cookie may be refused before its time (a new signing key, say): trade once more.
    callers_.Forget(caller.secret);
    auto renewed = co_await callers_.Renew(caller, call);
    if (renewed.ok()) {
      caller = *std::move(renewed);
      call.token = caller.token;
      raw.metadata = edge::MetadataOf(call);
      bytes = co_await peer.UnaryRaw(raw);
    }
  }
  co_return bytes;
}

Async<> Gateway::Await(const HttpRequest& request, const RpcRoute& route, const Call& call, HttpResponse& response) {
  if (!route.read_only) response.Set(kPositionHeader, route.service);
  std::string_view header = request.Header(kAfterHeader);
  if (header.empty() || !route.read_only || call.principal.tenant.IsNil()) co_return absl::OkStatus();
  CRM_CO_TRY(auto producers, ReadAfter(header, peers_));
  CRM_CO_TRY(bool heard, co_await AwaitAfter(peers_, call, route.service, std::move(producers)));
  if (!heard) response.Set(kStaleHeader, "1");
  co_return absl::OkStatus();
}

void Gateway::Stream(rpc::Client& peer, rpc::RawCall raw, StreamForm form, const Caller& caller, const Call& call,
                     HttpResponse& response) {
  auto recheck = caller.anonymous() ? nullptr : std::make_shared<Recheck>(callers_, caller, call);
  response.stream = [&peer, raw = std::move(raw), form = std::move(form), recheck](StreamSink& sink) {
    return RunPipe(peer, raw, form, recheck, sink);
  };
}

// Connect and gRPC-Web: other words for the same as ServeRpc.
asio::awaitable<HttpResponse> Gateway::ServeWire(const HttpRequest& request, Call& call, Gate::Place& place) {
  const RpcRoute* route = api_.FindRpc(request.path);
  unsigned http_status = 0;
  Limiter::Headers headers;
  Wire wire = GuessWire(request);
  auto answered = [&](HttpResponse response) {
    response.route = route ? route->full_name : "";
    response.tenant_id = call.principal.tenant_id();
    for (auto& header : headers) response.headers.push_back(std::move(header));
    return response;
  };
  auto refused = [&](const absl::Status& status) {
    HttpResponse response = WireError(wire, status, request.request_id, http_status);
    if (http_status == 405) response.Set("Allow", absl::StrJoin(api_.AllowedMethods(request.path), ", "));
    return answered(std::move(response));
  };
  auto read = ReadWire(request, route, http_status);
  if (!read.ok()) co_return refused(read.status());
  wire = *read;
  call.method = route->full_name;
  absl::Status head = ReadCallHeaders(request, call);
  if (!head.ok()) co_return refused(head);
  auto timeout = ReadWireTimeout(wire, request);
  if (!timeout.ok()) co_return refused(timeout.status());
  if (*timeout) call.deadline = request.start + std::min<std::chrono::milliseconds>(**timeout, kTimeoutMax);
  auto entered = co_await Enter(request, route, call);
  if (!entered.ok()) co_return refused(entered.status());
  place = *std::move(entered);

  auto admitted = co_await AdmitTo(*route, request, call, headers);
  if (!admitted.ok()) co_return refused(admitted.status());
  auto peer = peers_.Find(route->service);
  if (!peer.ok()) co_return refused(peer.status());
  auto bytes = ReadWireRequest(wire, *route, request, BodyMax());
  if (!bytes.ok()) co_return refused(bytes.status());

  rpc::RawCall raw = CallOf(*route, *std::move(bytes), call);
  if (route->method->server_streaming()) {
    raw.deadline = *timeout ? request.start + **timeout : std::chrono::steady_clock::time_point::max();
    HttpResponse response = WireStreamResponse(wire);
    Stream(**peer, std::move(raw), WireStreamForm(wire, api_, *route, request.request_id), *admitted, call, response);
    co_return answered(std::move(response));
  }
  HttpResponse extra;
  absl::Status after = co_await Await(request, *route, call, extra);
  if (!after.ok()) co_return refused(after);
  bytes = co_await Ask(**peer, raw, *admitted, call);
  if (!bytes.ok()) co_return refused(bytes.status());
  absl::Status cookie = TakeCookie(*route, *bytes, extra);
  auto answer = cookie.ok() ? WireAnswer(wire, api_, *route, *bytes) : cookie;
  if (!answer.ok()) co_return refused(Unwritten(*route, call, answer.status()));
  for (auto& header : extra.headers) answer->headers.push_back(std::move(header));
  if (wire.get) Tag(*route, request, *bytes, *answer);
  SignOut(*route, *admitted, raw.request, *answer);
  co_return answered(*std::move(answer));
}

Async<HttpResponse> Gateway::ServeRpc(const HttpRequest& request, const RpcRoute& route, const RouteMatch& match,
                                      Call call, const Caller* known) {
  Limiter::Headers headers;
  auto refused = [&](const absl::Status& status, unsigned http_status = 0) {
    HttpResponse response = ErrorResponse(status, request.request_id, http_status);
    response.tenant_id = call.principal.tenant_id();
    for (auto& header : headers) response.headers.push_back(std::move(header));
    return response;
  };
  Caller caller;
  if (known && !route.access.public_()) {
    caller = *known;
  } else {
    auto admitted = co_await AdmitTo(route, request, call, headers);
    if (!admitted.ok()) co_return refused(admitted.status());
    caller = *std::move(admitted);
  }

  unsigned http_status = 0;
  auto read = ReadRequest(route, match, request, BodyMax(), http_status);
  if (!read.ok()) co_return refused(read.status(), http_status);
  auto peer = peers_.Find(route.service);
  if (!peer.ok()) co_return refused(peer.status());

  rpc::RawCall raw = CallOf(route, std::move(read->bytes), call);
  if (AnswersRaw(route)) {
    auto content = co_await ServeRaw(route, request, **peer, std::move(raw));
    if (!content.ok()) co_return refused(content.status(), absl::IsOutOfRange(content.status()) ? 416 : 0);
    content->tenant_id = call.principal.tenant_id();
    for (auto& header : headers) content->headers.push_back(std::move(header));
    co_return *std::move(content);
  }
  if (route.method->server_streaming()) {
    raw.deadline = std::chrono::steady_clock::time_point::max();
    HttpResponse response = SseResponse();
    response.tenant_id = call.principal.tenant_id();
    for (auto& header : headers) response.headers.push_back(std::move(header));
    Stream(**peer, std::move(raw), edge::SseForm(api_, route, request.request_id), caller, call, response);
    co_return response;
  }
  HttpResponse place;
  absl::Status after = co_await Await(request, route, call, place);
  if (!after.ok()) co_return refused(after);
  auto bytes = co_await Ask(**peer, raw, caller, call);
  if (!bytes.ok()) co_return refused(bytes.status());

  std::string extra;
  std::vector<std::string> missing;
  if (!read->expand.empty()) {
    auto refs = co_await Expand(api_, peers_, call, route, read->expand, *bytes);
    if (!refs.ok()) co_return refused(refs.status());
    extra = absl::StrCat("\"refs\":", refs->json);
    missing = std::move(refs->missing);
  }
  auto answer = Answer(route, request, *std::move(bytes), extra);
  if (!answer.ok()) co_return refused(Unwritten(route, call, answer.status()));
  answer->tenant_id = call.principal.tenant_id();
  for (auto& header : place.headers) answer->headers.push_back(std::move(header));
  if (!missing.empty()) answer->Set("Crm-Refs-Missing", absl::StrJoin(missing, ", "));
  for (auto& header : headers) answer->headers.push_back(std::move(header));
  SignOut(route, caller, raw.request, *answer);
  co_return *std::move(answer);
}

absl::Status Gateway::Unwritten(const RpcRoute& route, const Call& call, const absl::Status& why) {
  obs::Log(obs::Level::kError, call, "an answer could not be written",
           {{"route", route.full_name}, {"why", why.message()}});
  return Error(absl::StatusCode::kInternal, type::v1::ERROR_REASON_INTERNAL,
               "something broke on our side: quote the request id");
}

void Gateway::SignOut(const RpcRoute& route, const Caller& caller, const std::string& request, HttpResponse& response) {
  if (!caller.by_cookie || route.full_name != edge::kSignOut) return;
  const auto* field = route.method->input_type()->FindFieldByName("id");
  std::string id = field ? edge::TextField(request, field->number()) : "";
  if (id != "current" && id != caller.session_id) return;
  callers_.Forget(caller.secret);
  response.Set("Set-Cookie", edge::SetCookie("", 0, config_.secure_cookies()));
}

absl::Status Gateway::TakeCookie(const RpcRoute& route, std::string& bytes, HttpResponse& response) {
  if (!route.cookie) return absl::OkStatus();
  response.Set("Cache-Control", "no-store");
  std::string secret = edge::TextField(bytes, route.cookie->number());
  if (secret.empty()) return absl::OkStatus();
  pb::DynamicMessageFactory factory(&api_.pool());
  std::unique_ptr<pb::Message> message(factory.GetPrototype(route.method->output_type())->New());
  if (!message->ParseFromString(bytes)) return absl::DataLossError("the service's answer cannot be read");
  int64_t seconds = 30 * 24 * 3600;
  const auto* expire = route.method->output_type()->FindFieldByName("expire_time");
  if (expire && expire->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE &&
      message->GetReflection()->HasField(*message, expire)) {
    const pb::Message& time = message->GetReflection()->GetMessage(*message, expire);
    seconds = time.GetReflection()->GetInt64(time, time.GetDescriptor()->FindFieldByName("seconds")) -
              absl::ToUnixSeconds(Now());
  }
  message->GetReflection()->ClearField(message.get(), route.cookie);
  bytes = message->SerializeAsString();
  response.Set("Set-Cookie", edge::SetCookie(secret, std::max<int64_t>(seconds, 0), config_.secure_cookies()));
  return absl::OkStatus();
}

void Gateway::Tag(const RpcRoute& route, const HttpRequest& request, const std::string& bytes, HttpResponse& response) {
  std::string etag = route.response_etag ? edge::TextField(bytes, route.response_etag) : "";
  etag = absl::StrCat("\"", etag, etag.empty() ? "" : ".", edge::Fingerprint(response.body), "\"");
  if (!route.cookie) response.Set("Cache-Control", "private, no-cache");
  edge::Tag(request, etag, response);
}

absl::StatusOr<HttpResponse> Gateway::Answer(const RpcRoute& route, const HttpRequest& request, std::string bytes,
                                             const std::string& extra) {
  HttpResponse response;
  CRM_TRY(TakeCookie(route, bytes, response));
  response.body.reserve(bytes.size() * 2 + 64);
  CRM_TRY(api_.writer().Append(route.response, bytes, response.body, extra));
  if (request.method == "GET" || request.method == "HEAD") {
    Tag(route, request, bytes, response);
  } else if (route.response_etag) {
    std::string etag = edge::TextField(bytes, route.response_etag);
    if (!etag.empty()) response.Set("ETag", absl::StrCat("\"", etag, "\""));
  }
  return response;
}

Async<HttpResponse> Gateway::ServeOwn(Own own, const HttpRequest& request, const RouteMatch& match, const Call& outer) {
  if (own == Own::kHealth || own == Own::kOpenApi || own == Own::kKeys) co_return ServePublic(own, request);
  HttpResponse response;
  Call call = outer;
  Limiter::Headers headers;
  auto admitted = co_await Admit(request, call, headers);
  if (!admitted.ok()) {
    response = ErrorResponse(admitted.status(), request.request_id);
    for (auto& header : headers) response.headers.push_back(std::move(header));
    co_return response;
  }
  unsigned http_status = 0;
  absl::StatusOr<HttpResponse> answer = absl::UnknownError("");
  if (request.method == "POST") {
    absl::Status type = CheckJson(request, http_status);
    if (!type.ok()) co_return ErrorResponse(type, request.request_id, http_status);
  }
  switch (own) {
    case Own::kBatch:
      answer = co_await ServeBatch(request, call, *admitted);
      break;
    case Own::kSchema: {
      std::string etag = absl::StrCat("\"", api_.version(), "\"");
      response.Set("ETag", etag);
      response.Set("Cache-Control", "private, no-cache");
      if (!request.query.empty()) {
        answer = FieldError("query", "this address takes no parameters");
        break;
      }
      if (!request.Header("If-None-Match").empty() && !edge::NoneMatch(request.Header("If-None-Match"), etag)) {
        response.status = 304;
      } else {
        response.body = schema_;
      }
      answer = std::move(response);
      break;
    }
    case Own::kEvents:
      answer = live_.Open(request, call, *admitted);
      break;
    case Own::kEventTopics:
      answer = co_await live_.SetTopics(match.variables.at(0).second, request, *admitted);
      break;
    default:  // ServePublic's
      break;
  }
  if (!answer.ok()) {
    response = ErrorResponse(answer.status(), request.request_id);
  } else {
    response = *std::move(answer);
  }
  response.tenant_id = call.principal.tenant_id();
  for (auto& header : headers) response.headers.push_back(std::move(header));
  co_return response;
}

Async<HttpResponse> Gateway::ServeBatch(const HttpRequest& request, const Call& call, const Caller& caller) {
  auto wrong = [] {
    return FieldError("requests",
                      absl::StrCat("must be a list of 1 to ", kBatchMax,
                                   " reads: {\"requests\": [{\"path\": \"/v1/contacts/contact_...?expand=owner\"}]}"));
  };
  auto body = nlohmann::json::parse(request.body, nullptr, false);
  if (body.is_discarded()) {
    co_return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_BODY_INVALID, "the body is no JSON");
  }
  if (!body.is_object() || body.size() != 1 || !body.contains("requests") || !body["requests"].is_array())
    co_return wrong();
  auto& list = body["requests"];
  if (list.empty() || list.size() > kBatchMax) co_return wrong();
  struct One {
    HttpRequest request;
    HttpResponse response;
  };
  std::vector<One> all(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    auto& item = list[i];
    if (!item.is_object() || item.size() != 1 || !item.contains("path") || !item["path"].is_string()) co_return wrong();
    std::string path = item["path"].get<std::string>();
    size_t question = path.find('?');
    HttpRequest& one = all[i].request;
    one.method = "GET";
    one.path = path.substr(0, question);
    if (question != std::string::npos) one.query = path.substr(question + 1);
    one.request_id = request.request_id;
    one.start = request.start;
    one.peer = request.peer;
    std::string_view after = request.Header(kAfterHeader);
    if (!after.empty()) one.headers.set(kAfterHeader, boost::beast::string_view(after.data(), after.size()));
  }
  auto read = [&](size_t i) -> asio::awaitable<void> {
    One& one = all[i];
    auto target = api_.Find("GET", one.request.path);
    if (!target.ok() || !target->rpc || target->rpc->method->server_streaming() || target->rpc->cookie) {
      one.response = ErrorResponse(
          target.ok() ? FieldError("path", "cannot be read in a batch: ask for it by itself") : target.status(),
          one.request.request_id,
          target.ok()                          ? 0
          : HttpStatus(target.status()) == 501 ? 405
                                               : 0);
      co_return;
    }
    Call own = call;
    own.idempotency_key.clear();
    own.method = target->rpc->full_name;
    if (i > 0) {  // the batch itself has taken one
      absl::Status allowed = co_await limiter_.TakeTenant(call.principal.tenant_id(), one.response.headers);
      if (!allowed.ok()) {
        one.response = ErrorResponse(allowed, one.request.request_id);
        co_return;
      }
    }
    auto answer = co_await ServeRpc(one.request, *target->rpc, target->match, own, &caller);
    one.response = answer.ok() ? *std::move(answer) : ErrorResponse(answer.status(), one.request.request_id);
  };
  co_await Together(all.size(), read);
  HttpResponse response;
  response.body = "{\"responses\":[";
  for (size_t i = 0; i < all.size(); ++i) {
    absl::StrAppend(&response.body, i ? "," : "", "{\"status\":", all[i].response.status,
                    ",\"body\":", all[i].response.body, "}");
  }
  response.body += "]}";
  response.Set("Cache-Control", "no-store");
  if (std::any_of(all.begin(), all.end(), [](const One& one) { return edge::HasHeader(one.response, kStaleHeader); }))
    response.Set(kStaleHeader, "1");
  co_return response;
}

HttpResponse Gateway::ServePublic(Own own, const HttpRequest& request) {
  HttpResponse response;
  switch (own) {
    case Own::kOpenApi:
      response.Set("Cache-Control", "no-cache");
      response.body = open_api_;
      edge::Tag(request, absl::StrCat("\"", api_.version(), "\""), response);
      // Packed once: it is large, and the same for all.
      if (!response.body.empty() && !open_api_gzip_.empty() && AcceptsGzip(request.Header("Accept-Encoding"))) {
        response.body = open_api_gzip_;
        response.Set("Content-Encoding", "gzip");
      }
      break;
    case Own::kKeys:
      response.body = verifier_.Jwks();
      response.Set("Cache-Control", "public, max-age=300");
      edge::Tag(request, absl::StrCat("\"", edge::Fingerprint(response.body), "\""), response);
      break;
    default:
      response.body = "{\"status\":\"ok\"}";
  }
  return response;
}

HttpResponse Gateway::ServeOptions(const HttpRequest& request) {
  HttpResponse response;
  std::vector<std::string> methods = request.path == "*"
                                         ? std::vector<std::string>{"GET", "HEAD", "POST", "PATCH", "DELETE"}
                                         : api_.AllowedMethods(request.path);
  if (methods.empty()) {
    return ErrorResponse(api_.Find("GET", request.path).status(), request.request_id);
  }
  response.status = 204;
  methods.push_back("OPTIONS");
  std::string allow = absl::StrJoin(methods, ", ");
  response.Set("Allow", allow);
  if (!request.Header("Access-Control-Request-Method").empty()) {
    response.Set("Access-Control-Allow-Methods", allow);
    response.Set("Access-Control-Allow-Headers", edge::kAllowHeaders);
    response.Set("Access-Control-Max-Age", "7200");
  }
  return response;
}

void Gateway::Finish(const HttpRequest& request, const Call& call, HttpResponse& response) {
  // Which site may read this: those of the configuration, by their exact origin.
  std::string_view origin = request.Header("Origin");
  bool allowed = false;
  for (const auto& one : config_.cors_origins()) allowed |= one == origin || one == "*";
  if (!origin.empty() && allowed) {
    bool any = std::find(config_.cors_origins().begin(), config_.cors_origins().end(), std::string(origin)) ==
               config_.cors_origins().end();
    response.Set("Access-Control-Allow-Origin", any ? "*" : std::string(origin));
    if (!any) response.Set("Access-Control-Allow-Credentials", "true");
    response.Set("Access-Control-Expose-Headers", edge::kExposeHeaders);
  } else {
    // Not a preflight's answer, then.
    auto cors = [](const auto& header) { return absl::StartsWith(header.first, "Access-Control-"); };
    response.headers.erase(std::remove_if(response.headers.begin(), response.headers.end(), cors),
                           response.headers.end());
  }
  response.Set("Vary", "Accept-Encoding, Accept-Language, Authorization, Cookie, Origin");
  response.Set("X-Content-Type-Options", "nosniff");
  response.Set("X-Frame-Options", "DENY");
  response.Set("Referrer-Policy", "no-referrer");
  response.Set("Cross-Origin-Resource-Policy", "same-origin");
  if (!edge::HasHeader(response, "Content-Security-Policy")) {
    response.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
  }
  if (!edge::HasHeader(response, "Cache-Control")) response.Set("Cache-Control", "no-store");
  if (config_.secure_cookies()) response.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains");

  // Not with secrets inside: their length would tell about them (BREACH).
  if (!response.stream && response.body.size() > kCompressFrom && !edge::HasHeader(response, "Set-Cookie") &&
      !edge::HasHeader(response, "Content-Encoding") && AcceptsGzip(request.Header("Accept-Encoding"))) {
    std::string smaller = Gzip(response.body);
    if (!smaller.empty()) {
      response.body = std::move(smaller);
      response.Set("Content-Encoding", "gzip");
    }
  }
  if (edge::HasHeader(response, "Content-Encoding")) {
    for (auto& [name, value] : response.headers) {
      if (name == "ETag") value = "W/" + value;  // other bytes than without gzip
    }
  }
  auto time = std::chrono::steady_clock::now() - request.start;
  const std::string& route = response.route.empty() ? std::string("none") : response.route;
  const unsigned status = response.counted_as ? response.counted_as : response.status;
  Count(route, status, time);
  if (response.overloaded) return;  // the gate, or the service, says how many
  Call named = call;
  named.method = route;
  obs::Log(obs::Level::kInfo, named, "http",
           {{"method", request.method.substr(0, 20)},
            {"status", static_cast<int>(status)},
            {"ms", std::chrono::duration<double, std::milli>(time).count()},
            {"bytes_in", request.body.size()},
            {"bytes_out", response.body.size()},
            {"tenant", response.tenant_id}});
}

void Gateway::Count(const std::string& route, unsigned status, std::chrono::steady_clock::duration time) {
  std::lock_guard lock(metrics_mutex_);
  auto& metrics = metrics_[route];
  if (!metrics) {
    metrics = std::make_unique<RouteMetrics>(
        RouteMetrics{obs::MakeHistogram("crm_http_request_seconds", "Time from a request's first byte to its answer",
                                        {{"route", route}}),
                     {}});
  }
  metrics->seconds.Observe(time);
  auto it = metrics->answers.find(status);
  if (it == metrics->answers.end()) {
    it = metrics->answers
             .emplace(status, obs::MakeCounter("crm_http_requests_total", "Requests by route and status",
                                               {{"route", route}, {"status", absl::StrCat(status)}}))
             .first;
  }
  it->second.Add();
}

}  // namespace crm::gateway
