#include "common/rpc/server.h"

#include <absl/container/flat_hash_map.h>
#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <array>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "common/base/error.h"
#include "common/base/listen.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/obs/log.h"
#include "common/obs/metrics.h"
#include "common/obs/trace.h"
#include "common/rpc/refusals.h"
#include "common/rpc/served_call.h"
#include "common/rpc/validation.h"
#include "common/rpc/wire.h"

namespace crm::rpc {
namespace server_internal {

using Clock = std::chrono::steady_clock;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MethodDescriptor;

constexpr size_t kHealthBytesMax = 4096;  // where nothing else is served
// Connections at once: each neighbour's loops have one each, and whoever brings no certificate gets no further than TLS.
constexpr size_t kLinksMax = 4096;
// How long connections may take to say goodbye when the server ends.
constexpr auto kGoodbyeMax = std::chrono::seconds(1);
constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";
// Late answers are noticed this exactly.
constexpr auto kSweepEvery = std::chrono::milliseconds(50);

// Everything about a method that need not be worked out per call.
struct Method {
  const Service::Method* handler = nullptr;
  std::string full_name;  // "crm.contact.v1.ContactService.GetContact"
  type::v1::Access access;
  bool streams = false;
  bool reads = false;                           // NO_SIDE_EFFECTS
  const FieldDescriptor* request_id = nullptr;  // of the request
  const FieldDescriptor* etag = nullptr;
  // Made at the first answer with that code: most rpcs only ever use a few.
  mutable std::array<std::atomic<const obs::Counter*>, kCodes> by_code{};
  std::optional<obs::Histogram> seconds;
  std::optional<obs::Counter> lost_races;

  explicit Method(std::string name) : full_name(std::move(name)) {
    seconds = obs::MakeHistogram("crm_rpc_seconds", "Time from a call's arrival to its answer", {{"rpc", full_name}});
    lost_races =
        obs::MakeCounter("crm_rpc_lost_races_total", "Handlers run again after a lost race", {{"rpc", full_name}});
  }
  ~Method() {
    for (auto& counter : by_code) delete counter.load();
  }

  void Count(absl::StatusCode code) const {
    const auto i = static_cast<size_t>(code) % kCodes;
    const obs::Counter* counter = by_code[i].load(std::memory_order_acquire);
    if (counter == nullptr) {
      auto* made = new obs::Counter(
          obs::MakeCounter("crm_rpc_requests_total", "Calls answered", {{"rpc", full_name}, {"code", CodeName(code)}}));
      if (by_code[i].compare_exchange_strong(counter, made, std::memory_order_acq_rel)) {
        counter = made;
      } else {
        delete made;  // another thread was first; both stand for the same metric
      }
    }
    counter->Add();
  }
};

const FieldDescriptor* TextField(const google::protobuf::Descriptor* type, const char* name) {
  const auto* field = type->FindFieldByName(name);
  const bool fits = field != nullptr && field->cpp_type() == FieldDescriptor::CPPTYPE_STRING && !field->is_repeated();
  return fits ? field : nullptr;
}

bool IsKey(absl::string_view text) {
  if (text.empty() || text.size() > kKeyBytesMax) return false;
  for (char c : text) {
    if (c < 0x21 || c > 0x7e) return false;
  }
  return true;
}

// "ru-RU,ru;q=0.9,en;q=0.8" -> "ru": the first that we have; browsers list them by preference.
std::string LanguageOf(absl::string_view header) {
  for (absl::string_view part : absl::StrSplit(header.substr(0, 200), ',')) {
    part = absl::StripAsciiWhitespace(part.substr(0, part.find(';')));
    const std::string tag = absl::AsciiStrToLower(part.substr(0, part.find('-')));
    if (tag == "iw") return "he";  // Hebrew's old code, which Java still sends
    if (tag == "ji") return "yi";
    if (tag == "en" || tag == "ru" || tag == "he" || tag == "yi") return tag;
  }
  return "";
}

class Reactor;

// What one event loop keeps: its calls under way, looked through for late ones. Touched on its loop only.
struct Shard : std::enable_shared_from_this<Shard> {
  explicit Shard(asio::any_io_executor e) : executor(std::move(e)), timer(executor) {}
  asio::any_io_executor executor;
  asio::steady_timer timer;
  bool armed = false;
  std::list<Reactor*> calls;

  void Arm();
  void Sweep();
};

// Lives as long as a call of the server is open; a handler may outlast it.
struct Core {
  Core(ServerOptions o, Authenticator& a) : options(std::move(o)), authenticator(a) {}
  const ServerOptions options;
  Authenticator& authenticator;
  std::vector<std::shared_ptr<Shard>> shards;
  std::vector<std::unique_ptr<Service>> services;
  absl::flat_hash_map<std::string, std::unique_ptr<Method>> methods;  // by path
  Method unknown{"unknown"};
  std::atomic<uint64_t> next_shard{0};
  std::atomic<int> in_flight{0};
  std::atomic<int> streams{0};
  std::atomic<bool> draining{false};
  std::atomic<bool> serving{false};  // what the health service says
  obs::Gauge in_flight_gauge = obs::MakeGauge("crm_rpc_in_flight", "Unary calls being served");
  obs::Gauge streams_gauge = obs::MakeGauge("crm_rpc_streams", "Streams open");
  obs::Counter shed = obs::MakeCounter("crm_rpc_shed_total", "Calls refused because too many were under way");
};

// One call. Everything happens on its connection's loop, which is the shard's.
class Reactor final : public wire::Listener, public std::enable_shared_from_this<Reactor> {
 public:
  Reactor(std::shared_ptr<Core> core, std::shared_ptr<wire::ServedCall> wire, const Method& method)
      : core_(std::move(core)), wire_(std::move(wire)), method_(method), started_(Clock::now()) {}
  ~Reactor() override {
    if (counted_ != nullptr) counted_->fetch_sub(1, std::memory_order_acq_rel);
  }

  // Runs the handler. `counted` is lowered when the call and its handler have ended.
  void Begin(std::atomic<int>* counted) {
    counted_ = counted;
    for (const auto& shard : core_->shards) {
      if (shard->executor == wire_->executor()) shard_ = shard.get();
    }
    asio::co_spawn(wire_->executor(), Run(shared_from_this()), asio::detached);
  }
  void Refuse(const absl::Status& status) { Answer(status); }

  // Notices that the call is late; on the loop.
  void CheckTime(Clock::time_point now) {
    if (!method_.streams && now >= call_.deadline && !answered_) Answer(DeadlineOver());
  }

  void OnWritten() override {
    if (auto told = std::move(written_)) asio::post(wire_->executor(), [told] { told->cancel(); });
  }

  void OnCancel() override {
    cancelled_ = true;
    // A unary call's answer is dropped now; its handler goes on, so that nothing stays half done.
    if (!method_.streams && !answered_) {
      asio::post(wire_->executor(), [self = shared_from_this()] {
        if (!self->answered_) self->Answer(absl::CancelledError("the caller has gone"));
      });
    }
    OnWritten();
  }

 private:
  static asio::awaitable<void> Run(std::shared_ptr<Reactor> self) {
    Shard& shard = *self->shard_;
    self->place_ = shard.calls.insert(shard.calls.end(), self.get());
    shard.Arm();
    absl::Status status;
    try {
      status = co_await self->Handle();
    } catch (const std::exception& e) {
      status = absl::InternalError(absl::StrCat("exception: ", e.what()));
    } catch (...) {
      status = absl::InternalError("an exception of an unknown type");
    }
    shard.calls.erase(self->place_);
    if (self->answered_) {
      // Answered as late or cancelled already: only what would be lost is still said.
      if (absl::IsInternal(status)) self->LogFailure(status);
    } else {
      self->Answer(status);
    }
  }

  // Lives as long as the call's wire, which this holds.
  absl::string_view Header(const char* name) const { return wire_->headers.Find(name); }

  // Who, until when, in which language: everything but the request itself.
  void FillCall() {
    call_.method = method_.full_name;
    call_.start = absl::Now();
    const absl::string_view request_id = Header(kRequestIdMetadata);
    call_.request_id = IsKey(request_id) ? std::string(request_id) : NewUuid(call_.start).ToString();
    call_.traceparent = obs::ChildTraceparent(Header(kTraceparentMetadata));
    authorization_ = Header(kAuthorizationMetadata);

    const auto left = wire::ParseTimeout(Header("grpc-timeout"));
    const bool unlimited = !left || *left > std::chrono::hours(24 * 365);
    if (method_.streams) {
      call_.deadline = unlimited ? Clock::time_point::max() : started_ + *left;
    } else {
      call_.deadline = started_ + (unlimited ? Clock::duration(core_->options.deadline_default)
                                             : std::min<Clock::duration>(*left, core_->options.deadline_max));
    }
  }

  // Sets principal, language and zone.
  Async<> Identify() {
    std::string language = LanguageOf(Header(kLanguageMetadata));
    const absl::string_view asked_zone = Header(kTimeZoneMetadata);
    std::string zone = IsZone(asked_zone) ? std::string(asked_zone) : "";
    if (!authorization_.empty()) {
      CRM_CO_TRY(co_await IdentifyByToken(language, zone));
    } else if (Header(kAnonymousMetadata).empty()) {
      CRM_CO_TRY(IdentifyByCertificate());
    }
    if (!language.empty()) call_.language = std::move(language);
    if (!zone.empty()) call_.time_zone = std::move(zone);
    co_return absl::OkStatus();
  }

  Async<> IdentifyByToken(std::string& language, std::string& zone) {
    const bool is_public = method_.access.who_case() == type::v1::Access::kPublic;
    // Of two headers, who stands in between might have checked the other one.
    if (!absl::StartsWithIgnoreCase(authorization_, "Bearer ") || wire_->headers.Repeats(kAuthorizationMetadata)) {
      // Public calls take no account of a token that is none: signing in must be possible with an old one at hand.
      if (is_public) co_return absl::OkStatus();
      co_return Error(absl::StatusCode::kUnauthenticated, type::v1::ERROR_REASON_TOKEN_INVALID,
                      "The header Authorization is not of the form `Bearer <token>`, once.");
    }
    std::string token(authorization_.substr(7));
    std::shared_ptr<const Identity> identity = core_->authenticator.Kept(token, call_.start);
    if (identity == nullptr) {
      auto answer = co_await core_->authenticator.Resolve(std::move(token), call_.start);
      if (!answer.ok()) {
        if (is_public && absl::IsUnauthenticated(answer.status())) co_return absl::OkStatus();
        co_return answer.status();
      }
      identity = std::move(answer->identity);
      token = std::move(answer->token);
    }
    if (method_.streams) identity_ = identity;
    call_.principal = identity->principal;
    call_.token = std::move(token);
    call_.country_code = identity->country;
    call_.currency_code = identity->currency;
    if (language.empty()) language = LanguageOf(identity->language);
    if (zone.empty() && IsZone(identity->time_zone)) zone = identity->time_zone;
    co_return absl::OkStatus();
  }

  absl::Status IdentifyByCertificate() {
    if (wire_->peer().empty()) return absl::OkStatus();              // stays anonymous
    if (wire_->peer() == kEdgeCertificate) return absl::OkStatus();  // speaks for others, never for itself
    call_.principal.kind = Principal::Kind::kService;
    call_.principal.user_id = absl::StrCat("service_", wire_->peer());
    const absl::string_view tenant = Header(kTenantMetadata);
    if (tenant.empty()) return absl::OkStatus();
    CRM_TRY(call_.principal.tenant, ParseId(tenant, "tenant", kTenantMetadata));
    const absl::string_view cause = Header(kCauseMetadata);
    if (!cause.empty()) {
      CRM_TRY(call_.cause, CauseOf(cause));
    }
    return absl::OkStatus();
  }

  static absl::StatusOr<Cause> CauseOf(absl::string_view text) {
    const std::vector<absl::string_view> parts = absl::StrSplit(text, ' ');
    Cause cause;
    if (parts.size() != 3 || !absl::SimpleAtoi(parts[2], &cause.depth) || cause.depth < 1)
      return FieldError(kCauseMetadata, "must be a rule's id, its run's id and a number above 0");
    CRM_TRY(ParseId(parts[0], "rule", kCauseMetadata).status());
    CRM_TRY(ParseId(parts[1], "rule_run", kCauseMetadata).status());
    cause.rule_id = std::string(parts[0]);
    cause.run_id = std::string(parts[1]);
    return cause;
  }

  absl::Status Parse(Message& message) {
    using Body = wire::ServedCall::Body;
    const absl::string_view bytes = wire_->message();
    switch (wire_->body) {
      case Body::kTooLarge:
        return TooLarge();
      case Body::kCompressed:
        return Error(absl::StatusCode::kUnimplemented, type::v1::ERROR_REASON_BODY_INVALID,
                     "The request's message is compressed. Send it as it is.");
      case Body::kMessage:
        if (message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) break;
        return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_BODY_INVALID,
                     absl::StrCat("The request is no ", message.GetTypeName(), ", or a text in it is not UTF-8."));
      default:
        return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_BODY_INVALID,
                     "The request's message did not arrive: there must be one, in full.");
    }
    wire_->DropMessage();
    return absl::OkStatus();
  }

  // The key that makes repeating a write harmless, and the hash that tells another body under the same key.
  absl::Status FillKey(Message& message) {
    const auto* reflection = message.GetReflection();
    if (method_.etag != nullptr) call_.has_etag = !reflection->GetString(message, method_.etag).empty();
    if (method_.reads) return absl::OkStatus();
    const char* where = kIdempotencyKeyMetadata;
    if (method_.request_id != nullptr) {
      call_.idempotency_key = reflection->GetString(message, method_.request_id);
      if (!call_.idempotency_key.empty()) where = "request_id";
      reflection->ClearField(&message, method_.request_id);
    }
    if (call_.idempotency_key.empty()) call_.idempotency_key = std::string(Header(kIdempotencyKeyMetadata));
    if (call_.idempotency_key.empty()) {
      call_.idempotency_key = NewUuid(call_.start).ToString();
    } else if (!IsKey(call_.idempotency_key)) {
      return FieldError(where,
                        absl::StrCat("must be 1 to ", kKeyBytesMax, " printable ASCII characters without spaces"));
    }
    std::string bytes;
    {
      google::protobuf::io::StringOutputStream stream(&bytes);
      google::protobuf::io::CodedOutputStream out(&stream);
      out.SetSerializationDeterministic(true);  // maps have no order of their own
      message.SerializeToCodedStream(&out);
    }
    const auto hash = Sha256(bytes);
    call_.body_hash.assign(reinterpret_cast<const char*>(hash.data()), hash.size());
    if (method_.request_id != nullptr) reflection->SetString(&message, method_.request_id, call_.idempotency_key);
    return absl::OkStatus();
  }

  Async<> Handle() {
    FillCall();
    if (cancelled_) co_return absl::CancelledError("the caller has gone");
    if (Clock::now() >= call_.deadline) co_return DeadlineOver();
    CRM_CO_TRY(co_await Identify());
    if (answered_) co_return absl::CancelledError("answered while rights were looked up");
    CRM_CO_TRY(CheckAccess(method_.access, call_.principal));
    message_.reset(method_.handler->request->New());
    CRM_CO_TRY(Parse(*message_));
    CRM_CO_TRY(Validate(*message_, call_.start));
    CRM_CO_TRY(FillKey(*message_));
    if (method_.streams) {
      if (identity_) asio::co_spawn(wire_->executor(), Guard(shared_from_this()), asio::detached);
      const absl::Status status = co_await method_.handler->stream(
          call_, *message_, [this](const Message& message) { return Send(message); }, [this] { return Gone(); });
      over_ = true;
      if (guard_) guard_->cancel();
      co_return denied_.ok() ? status : denied_;
    }
    for (int lost = 0;; ++lost) {
      absl::StatusOr<std::unique_ptr<Message>> reply = co_await method_.handler->unary(call_, *message_);
      if (reply.ok()) co_return Fill(**reply);
      CRM_CO_TRY(co_await Kept(reply.status()));
      if (kept_) co_return Fill(*kept_);
      if (!IsLostRace(reply.status())) co_return reply.status();
      if (call_.has_etag) {
        co_return Error(absl::StatusCode::kAborted, type::v1::ERROR_REASON_ETAG_MISMATCH,
                        "The record was changed by someone else at the same time. Read it and decide again.",
                        crm::MetadataOf(reply.status()));
      }
      if (lost >= kLostRacesMax || Clock::now() >= call_.deadline) co_return reply.status();
      method_.lost_races->Add();
    }
  }

  // Whether a write that failed has been answered before, under the same key. What fails for want of something (rights,
  // a database, time) is not looked up. An error if the key was another request's.
  Async<> Kept(absl::Status status) {
    const bool state = absl::IsFailedPrecondition(status) || absl::IsAborted(status) || absl::IsNotFound(status) ||
                       absl::IsAlreadyExists(status) || absl::IsInvalidArgument(status);
    if (!state || !core_->options.kept_reply || method_.reads) co_return absl::OkStatus();
    std::unique_ptr<Message> reply(method_.handler->response->New());
    const absl::StatusOr<bool> found = co_await core_->options.kept_reply(call_, *reply);
    if (found.ok() && *found) kept_ = std::move(reply);
    if (ReasonOf(found.status()) == type::v1::ERROR_REASON_IDEMPOTENCY_KEY_REUSED) co_return found.status();
    co_return absl::OkStatus();
  }

  absl::Status Fill(const Message& message) {
    const size_t size = message.ByteSizeLong();
    if (size > static_cast<size_t>(kReplyBytesMax)) {
      return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_TOO_LARGE,
                   absl::StrCat("The answer is larger than ", kReplyBytesMax, " bytes. Ask for less at once."),
                   {{"limit", absl::StrCat(kReplyBytesMax)}});
    }
    message.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(wire::ServedCall::Reserve(reply_, size)));
    return absl::OkStatus();
  }

  bool Gone() const { return cancelled_ || !denied_.ok() || core_->draining.load(std::memory_order_acquire); }

  Async<> Send(const Message& message) {
    if (cancelled_) co_return absl::CancelledError("the caller has gone");
    if (core_->draining.load(std::memory_order_acquire)) co_return Draining();
    CRM_CO_TRY(denied_);
    CRM_CO_TRY(co_await Recheck());
    CRM_CO_TRY(Fill(message));
    // A timer that never runs out: whoever has the news cancels it.
    auto written = std::make_shared<asio::steady_timer>(wire_->executor(), asio::steady_timer::time_point::max());
    written_ = written;
    wire_->Write(std::move(reply_));
    reply_.clear();
    co_await written->async_wait(asio::as_tuple(asio::use_awaitable));
    if (cancelled_) co_return absl::CancelledError("the caller has gone");
    co_return absl::OkStatus();
  }

  // While a stream lasts: what it makes next is made with the rights of now, not with those of its last message, and a stream
  // that nobody may have any more ends although it has nothing to say.
  static asio::awaitable<void> Guard(std::shared_ptr<Reactor> self) {
    self->guard_.emplace(self->wire_->executor());
    while (!self->over_ && self->denied_.ok()) {
      self->guard_->expires_after(AccessDirectory::kPollEvery);
      co_await self->guard_->async_wait(asio::as_tuple(asio::use_awaitable));
      if (self->over_) co_return;
      self->recheck_ = Clock::time_point::min();
      const absl::Status status = co_await self->Recheck();
      // What cannot be known now is asked again; sending a message asks as well.
      if (!absl::IsUnavailable(status)) self->denied_ = status;
    }
  }

  // Whether a stream's user may still have it, with the rights of now: a revoked session or a changed role bites a
  // stream as it does a call. The token's own end is no reason: a stream may outlive it.
  Async<> Recheck() {
    if (!identity_ || Clock::now() < recheck_) co_return absl::OkStatus();
    recheck_ = Clock::now() + AccessDirectory::kPollEvery;
    auto& directory = core_->authenticator.directory();
    Principal& who = call_.principal;
    CRM_CO_TRY(directory.CheckRevoked(who.user_id, who.session_id, identity_->issue_time));
    CRM_CO_TRY(auto rights, co_await directory.RightsOf(who.tenant, who.role_ids));
    former_rights_ = std::exchange(who.rights, std::move(rights));  // the handler may look at them at this moment
    co_return CheckAccess(method_.access, who);
  }

  void LogFailure(const absl::Status& status) {
    obs::Log(obs::Level::kError, call_, "a call failed",
             {{"code", CodeName(status.code())}, {"error", status.message()}});
  }

  // The one answer.
  void Answer(absl::Status status) {
    answered_ = true;
    if (method_.streams && status.ok() && core_->draining.load(std::memory_order_acquire) && !cancelled_) {
      status = Draining();  // the handler returned because it was told to, not because it was done
    }
    if (call_.method.empty()) call_.method = method_.full_name;
    if (call_.request_id.empty()) call_.request_id = NewUuid(absl::Now()).ToString();
    const absl::Status out = Outgoing(status, call_);
    const auto time = Clock::now() - started_;
    const double ms = std::chrono::duration<double, std::milli>(time).count();
    method_.Count(out.code());
    if (!method_.streams) method_.seconds->Observe(time);
    const char* code = CodeName(out.code());
    if (out.ok()) {
      obs::Log(obs::Level::kInfo, call_, "served", {{"code", code}, {"ms", ms}, {"actor", call_.principal.user_id}});
    } else if (absl::IsInternal(out)) {
      // In full, and only here: the caller sees the request's id.
      obs::Log(obs::Level::kError, call_, "served",
               {{"code", code}, {"ms", ms}, {"actor", call_.principal.user_id}, {"error", status.message()}});
    } else {
      // Not the text: it may quote what the caller sent.
      const std::string reason = ReasonName(ReasonOf(out));
      const bool ours = absl::IsUnavailable(out) || absl::IsDeadlineExceeded(out);
      obs::Log(ours ? obs::Level::kWarning : obs::Level::kInfo, call_, "served",
               {{"code", code}, {"ms", ms}, {"actor", call_.principal.user_id}, {"reason", reason}});
    }
    if (out.ok() && !method_.streams) {
      wire_->WriteAndFinish(std::move(reply_));
    } else {
      wire_->Finish(wire::ToWire(out));
    }
  }

  static constexpr int kReplyBytesMax = 8 << 20;  // as rpc::Client reads

  const std::shared_ptr<Core> core_;
  const std::shared_ptr<wire::ServedCall> wire_;
  const Method& method_;
  const Clock::time_point started_;
  std::atomic<int>* counted_ = nullptr;
  std::string reply_;  // with its prefix
  std::unique_ptr<Message> message_;
  std::unique_ptr<Message> kept_;  // the first answer to a repeated write
  absl::string_view authorization_;
  std::shared_ptr<const Identity> identity_;  // of a stream's user
  Clock::time_point recheck_ = Clock::now() + AccessDirectory::kPollEvery;
  std::optional<asio::steady_timer> guard_;
  std::shared_ptr<const Rights> former_rights_;
  absl::Status denied_;  // why a stream's user may not have it any more
  bool over_ = false;    // a stream's handler has returned
  Call call_;
  Shard* shard_ = nullptr;
  std::list<Reactor*>::iterator place_;
  bool cancelled_ = false;
  bool answered_ = false;
  std::shared_ptr<asio::steady_timer> written_;  // of the message that is being sent
};

void Shard::Arm() {
  if (armed) return;
  armed = true;
  timer.expires_after(kSweepEvery);
  timer.async_wait([self = shared_from_this()](boost::system::error_code error) {
    self->armed = false;
    if (!error) self->Sweep();
  });
}

void Shard::Sweep() {
  const auto now = Clock::now();
  for (auto it = calls.begin(); it != calls.end();) (*it++)->CheckTime(now);
  if (!calls.empty()) Arm();
}

// grpc.health.v1.Health.Check, https://github.com/grpc/grpc/blob/master/doc/health-checking.md, for the process as a
// whole: the service named "".
void AnswerHealth(const Core& core, wire::ServedCall& call) {
  if (call.body != wire::ServedCall::Body::kMessage) return call.Finish({3, "there is no message, or half of one", ""});
  // HealthCheckRequest has one field, the service's name.
  if (!call.message().empty()) return call.Finish({5, "ask for the service named \"\"", ""});
  // HealthCheckResponse.status: SERVING or NOT_SERVING.
  const char bytes[] = {0x08, core.serving.load() ? '\x01' : '\x02'};
  std::string framed;
  std::copy(std::begin(bytes), std::end(bytes), wire::ServedCall::Reserve(framed, sizeof bytes));
  call.WriteAndFinish(std::move(framed));
}

// A call has arrived in full.
void Take(const std::shared_ptr<Core>& core, std::shared_ptr<wire::ServedCall> wire) {
  const std::string& path = wire->path;
  const auto refuse = [&](const Method& method, const absl::Status& status) {
    auto reactor = std::make_shared<Reactor>(core, wire, method);
    wire->Listen(reactor);
    reactor->Refuse(status);
  };
  // Whoever comes without TLS came by the health port, where nothing else is served.
  if (!wire->tls()) {
    if (path != kHealthCheck) return refuse(core->unknown, NoSuchMethod(path));
    return AnswerHealth(*core, *wire);
  }
  auto found = core->methods.find(path);
  if (found == core->methods.end()) return refuse(core->unknown, NoSuchMethod(path));
  const Method& method = *found->second;
  if (core->draining.load(std::memory_order_acquire)) return refuse(method, Draining());
  std::atomic<int>& count = method.streams ? core->streams : core->in_flight;
  const int max = method.streams ? core->options.streams_max : core->options.in_flight_max;
  if (count.fetch_add(1, std::memory_order_acq_rel) >= max) {
    count.fetch_sub(1, std::memory_order_acq_rel);
    core->shed.Add();
    return refuse(method, Overloaded());
  }
  auto reactor = std::make_shared<Reactor>(core, wire, method);
  wire->Listen(reactor);
  reactor->Begin(&count);
}

}  // namespace server_internal

namespace sin = server_internal;

// The sockets that calls come in by. Accepts on the first loop, serves on all by turns.
struct Server::Impl : std::enable_shared_from_this<Server::Impl> {
  std::shared_ptr<sin::Core> core;
  std::vector<asio::any_io_executor> loops;
  std::shared_ptr<wire::TlsFiles> files;
  std::unique_ptr<wire::tcp::acceptor> acceptor, health_acceptor;  // on the first loop only, once they accept
  int port = 0, health_port = 0;
  bool drained = false;

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::shared_ptr<wire::ServerLink>> links;
  int accepting = 0;
  bool closed = false;

  static asio::awaitable<void> Accept(std::shared_ptr<Impl> self, wire::tcp::acceptor& acceptor, bool tls);
  void Take(wire::tcp::socket socket, bool tls);
  void Gone(wire::ServerLink* link);
  void Each(void (*tell)(wire::ServerLink&));
};

asio::awaitable<void> Server::Impl::Accept(std::shared_ptr<Impl> self, wire::tcp::acceptor& acceptor, bool tls) {
  size_t next = 0;
  for (;;) {
    wire::tcp::socket socket(self->loops[next++ % self->loops.size()]);
    const auto [error] = co_await acceptor.async_accept(socket, asio::as_tuple(asio::use_awaitable));
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) break;
    if (error) {
      // Out of descriptors, most likely: wait for some to be given back instead of turning in a circle.
      asio::steady_timer pause(self->loops.front(), std::chrono::milliseconds(100));
      co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
      continue;
    }
    self->Take(std::move(socket), tls);
  }
  std::lock_guard lock(self->mutex);
  --self->accepting;
  self->changed.notify_all();
}

void Server::Impl::Take(wire::tcp::socket socket, bool tls) {
  wire::ServerLinkOptions options;
  options.age_max = core->options.connection_age_max;
  options.grace = core->options.connection_grace;
  options.request_bytes_max = tls ? static_cast<size_t>(kRequestBytesMax) : sin::kHealthBytesMax;
  auto context = tls ? files->Context() : nullptr;
  if (tls && context == nullptr) return;
  auto executor = socket.get_executor();
  auto link = std::make_shared<wire::ServerLink>(
      std::move(socket), std::move(context), options,
      [core = core](std::shared_ptr<wire::ServedCall> call) { sin::Take(core, std::move(call)); },
      [weak = weak_from_this()](wire::ServerLink* gone) {
        if (auto impl = weak.lock()) impl->Gone(gone);
      });
  {
    std::lock_guard lock(mutex);
    if (closed || links.size() >= sin::kLinksMax) return;
    links.push_back(link);
  }
  asio::post(executor, [link] { link->Begin(); });
}

void Server::Impl::Gone(wire::ServerLink* link) {
  std::lock_guard lock(mutex);
  auto it = std::find_if(links.begin(), links.end(), [link](const auto& one) { return one.get() == link; });
  if (it == links.end()) return;
  *it = std::move(links.back());
  links.pop_back();
  changed.notify_all();
}

void Server::Impl::Each(void (*tell)(wire::ServerLink&)) {
  std::vector<std::shared_ptr<wire::ServerLink>> all;
  {
    std::lock_guard lock(mutex);
    all = links;
  }
  for (auto& link : all) {
    auto executor = link->executor();
    asio::post(executor, [link = std::move(link), tell] { tell(*link); });
  }
}

Server::Server(ServerOptions options, std::vector<asio::any_io_executor> loops, Authenticator& authenticator)
    : impl_(std::make_shared<Impl>()) {
  wire::RouteLog();
  impl_->loops = loops;
  impl_->core = std::make_shared<sin::Core>(std::move(options), authenticator);
  for (auto& loop : loops) impl_->core->shards.push_back(std::make_shared<sin::Shard>(std::move(loop)));
  std::weak_ptr<sin::Core> weak = impl_->core;
  obs::BeforeExposition([weak] {
    if (auto core = weak.lock()) {
      core->in_flight_gauge.Set(core->in_flight.load());
      core->streams_gauge.Set(core->streams.load());
    }
  });
}

Server::~Server() { Drain(std::chrono::milliseconds(0)); }

void Server::Add(std::unique_ptr<Service> service) { impl_->core->services.push_back(std::move(service)); }

int Server::port() const { return impl_->port; }
int Server::health_port() const { return impl_->health_port; }
int Server::in_flight() const { return impl_->core->in_flight.load(); }

absl::Status Server::Start() {
  auto& core = *impl_->core;
  for (const auto& service : core.services) {
    CRM_TRY(CheckService(*service));
    for (const auto& handler : service->methods()) {
      const auto* rpc = google::protobuf::DescriptorPool::generated_pool()
                            ->FindServiceByName(service->full_name())
                            ->FindMethodByName(handler.name);
      auto method = std::make_unique<sin::Method>(rpc->full_name());
      method->handler = &handler;
      method->access = rpc->options().GetExtension(type::v1::access);
      method->streams = rpc->server_streaming();
      method->reads = rpc->options().idempotency_level() == google::protobuf::MethodOptions::NO_SIDE_EFFECTS;
      method->request_id = sin::TextField(rpc->input_type(), "request_id");
      method->etag = sin::TextField(rpc->input_type(), "etag");
      const std::string path = absl::StrCat("/", service->full_name(), "/", handler.name);
      if (!core.methods.emplace(path, std::move(method)).second) {
        return absl::FailedPreconditionError(absl::StrCat(service->full_name(), " is served twice."));
      }
    }
  }

  const auto& options = core.options;
  if (options.listen.empty() && options.health_listen.empty()) return absl::OkStatus();
  auto& impl = *impl_;
  if (!options.health_listen.empty()) {
    CRM_TRY(impl.health_acceptor, ListenOn(impl.loops.front(), options.health_listen));
    impl.health_port = impl.health_acceptor->local_endpoint().port();
  }
  if (!options.listen.empty()) {
    impl.files =
        std::make_shared<wire::TlsFiles>(options.ca_file, options.cert_file, options.key_file, /*server=*/true);
    auto listening = ListenOn(impl.loops.front(), options.listen);
    if (listening.ok() && impl.files->Context() == nullptr) {
      listening =
          absl::FailedPreconditionError(absl::StrCat("The TLS files ", options.ca_file, ", ", options.cert_file,
                                                     " and ", options.key_file, " cannot be used: the log says why."));
    }
    if (!listening.ok()) {
      impl.health_acceptor.reset();
      impl.health_port = 0;
      return listening.status();
    }
    impl.acceptor = *std::move(listening);
    impl.port = impl.acceptor->local_endpoint().port();
  }
  for (auto* acceptor : {impl.acceptor.get(), impl.health_acceptor.get()}) {
    if (acceptor == nullptr) continue;
    ++impl.accepting;
    asio::co_spawn(impl.loops.front(), Impl::Accept(impl_, *acceptor, acceptor == impl.acceptor.get()), asio::detached);
  }
  return absl::OkStatus();
}

void Server::SetServing(bool serving) { impl_->core->serving = serving; }

void Server::Drain(std::chrono::milliseconds patience) {
  if (impl_->drained) return;
  impl_->drained = true;
  SetServing(false);
  impl_->core->draining = true;
  // Refusing first, with an answer that tells the caller to go elsewhere, leaves almost nothing to the moment in which
  // connections close.
  const auto until = sin::Clock::now() + patience;
  while ((impl_->core->in_flight > 0 || impl_->core->streams > 0) && sin::Clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  auto& impl = *impl_;
  if (impl.acceptor == nullptr && impl.health_acceptor == nullptr) return;
  {
    std::lock_guard lock(impl.mutex);
    impl.closed = true;
  }
  asio::post(impl.loops.front(), [impl = impl_] {
    boost::system::error_code ignored;
    for (auto* acceptor : {impl->acceptor.get(), impl->health_acceptor.get()}) {
      if (acceptor != nullptr) acceptor->close(ignored);
    }
  });
  impl.Each([](wire::ServerLink& link) { link.Leave(); });
  const auto gone = [&impl] { return impl.links.empty() && impl.accepting == 0; };
  std::unique_lock lock(impl.mutex);
  if (impl.changed.wait_until(lock, std::max(until, sin::Clock::now()) + sin::kGoodbyeMax, gone)) return;
  lock.unlock();
  impl.Each([](wire::ServerLink& link) { link.Cut(); });
  lock.lock();
  // The loops must run for this; one that has been stopped lets go of everything when it is destroyed.
  impl.changed.wait_for(lock, sin::kGoodbyeMax, gone);
}

}  // namespace crm::rpc
