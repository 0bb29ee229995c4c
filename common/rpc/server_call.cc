#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <utility>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/obs/log.h"
#include "common/obs/trace.h"
#include "common/rpc/server_core.h"
#include "common/rpc/validation.h"
#include "common/rpc/wire.h"

namespace crm::rpc::server_internal {

constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";
// Late answers are noticed this exactly.
constexpr auto kSweepEvery = std::chrono::milliseconds(50);

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

// One call. Everything happens on its connection's loop, which is the shard's.
class Reactor final : public wire::Listener, public Admission::Waiter, public std::enable_shared_from_this<Reactor> {
 public:
  // What a call that is taken holds until it and its handler have ended.
  enum class Place { kNone, kStream, kService, kUser, kWaiting };

  Reactor(std::shared_ptr<Core> core, std::shared_ptr<wire::ServedCall> wire, const Method& method)
      : core_(std::move(core)),
        wire_(std::move(wire)),
        method_(method),
        started_(Clock::now()),
        shard_(&core_->ShardOf(wire_->executor())) {}
  ~Reactor() override {
    Leave();
    if (held_ == Place::kNone) return;
    (held_ == Place::kStream ? core_->streams : core_->in_flight).fetch_sub(1, std::memory_order_acq_rel);
    if (held_ == Place::kService) --shard_->services;
    if (held_ == Place::kUser && shard_->admission.End()) shard_->PumpSoon();
  }

  // Takes the place, which has been counted where it is limited, and runs the handler unless it is to wait.
  void Take(Place place) {
    held_ = place;
    (place == Place::kStream ? core_->streams : core_->in_flight).fetch_add(1, std::memory_order_acq_rel);
    if (place == Place::kWaiting) {
      core_->waiting.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    Start();
  }
  void Refuse(const absl::Status& status) { Answer(status); }

  // ---- Admission::Waiter ----
  void Begin(Clock::duration waited) override {
    Leave();
    held_ = Place::kUser;
    core_->shed.wait_seconds.Observe(waited);
    Start();
  }
  void Refuse(Admission::Why why) override {
    answered_ = true;
    CountShed(*core_, *shard_, method_, ShedOf(why));
    wire_->Finish(Refusal());
  }
  bool gone() const override { return answered_; }

  static void CountShed(Core& core, Shard& shard, const Method& method, Shed why) {
    core.shed.refused[static_cast<size_t>(why)].Add();
    method.Count(absl::StatusCode::kUnavailable);
    shard.shed_log.Add(why);
    shard.Arm();
  }
  static Clock::time_point DeadlineOf(const ServerOptions& options, const Method& method, const wire::ServedCall& wire,
                                      Clock::time_point started) {
    const auto left = wire::ParseTimeout(wire.headers.Find("grpc-timeout"));
    const bool unlimited = !left || *left > std::chrono::hours(24 * 365);
    if (method.streams) return unlimited ? Clock::time_point::max() : started + *left;
    return started + (unlimited ? Clock::duration(options.deadline_default)
                                : std::min<Clock::duration>(*left, options.deadline_max));
  }

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
  void Start() { asio::co_spawn(wire_->executor(), Run(shared_from_this()), asio::detached); }
  // Waits no more.
  void Leave() {
    if (held_ != Place::kWaiting || left_) return;
    left_ = true;
    core_->waiting.fetch_sub(1, std::memory_order_relaxed);
  }

  static asio::awaitable<void> Run(std::shared_ptr<Reactor> self) {
    Shard& shard = *self->shard_;
    const auto begun = Clock::now();
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
    if (status.ok() && !self->method_.streams) self->method_.Took(Clock::now() - begun);
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
    call_.start = Now();
    const absl::string_view request_id = Header(kRequestIdMetadata);
    call_.request_id = IsKey(request_id) ? std::string(request_id) : NewUuid(call_.start).ToString();
    call_.traceparent = obs::ChildTraceparent(Header(kTraceparentMetadata));
    authorization_ = Header(kAuthorizationMetadata);
    call_.deadline = DeadlineOf(core_->options, method_, *wire_, started_);
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
    if (call_.request_id.empty()) call_.request_id = NewUuid(Now()).ToString();
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
  Shard* const shard_;
  Place held_ = Place::kNone;
  bool left_ = false;  // the line that it waited in
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
  admission.Expire(now);
  shed_log.Flush(now, admission.longest());
  if (!calls.empty() || admission.waiting() > 0 || !shed_log.empty()) Arm();
}

// In a turn of the loop of its own: whoever ends a call is not to run another within it.
void Shard::PumpSoon() {
  if (pumping) return;
  pumping = true;
  asio::post(executor, [self = shared_from_this()] {
    self->pumping = false;
    self->admission.Pump(Clock::now());
  });
}

// Another of our services asks, by itself or on behalf of a user whose call it has admitted.
bool OfService(const wire::ServedCall& wire) {
  const std::string& peer = wire.peer();
  if (peer.empty() || peer == kEdgeCertificate) return false;
  if (peer != kGatewayCertificate) return true;
  return wire.headers.Find(kAuthorizationMetadata).empty() && wire.headers.Find(kAnonymousMetadata).empty();
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
  Shard& shard = core->ShardOf(wire->executor());
  if (core->draining.load(std::memory_order_acquire)) {
    method.Count(absl::StatusCode::kUnavailable);
    return wire->SendAway();
  }
  const auto take = [&](Reactor::Place place) {
    auto reactor = std::make_shared<Reactor>(core, wire, method);
    wire->Listen(reactor);
    reactor->Take(place);
    return reactor;
  };
  const auto shed = [&](Shed why) {
    Reactor::CountShed(*core, shard, method, why);
    wire->Finish(Refusal());
  };
  if (method.streams) {
    if (core->streams.load(std::memory_order_acquire) >= core->options.streams_max) return shed(Shed::kStreams);
    take(Reactor::Place::kStream);
  } else if (OfService(*wire)) {
    if (shard.services >= shard.services_max) return shed(Shed::kServices);
    ++shard.services;
    take(Reactor::Place::kService);
  } else if (shard.admission.Begin()) {
    take(Reactor::Place::kUser);
  } else {
    const auto now = Clock::now();
    const std::string tenant = shard.tenants.Of(wire->headers.Find(kAuthorizationMetadata));
    const Admission::Ask ask{Reactor::DeadlineOf(core->options, method, *wire, now), method.typical(),
                             wire->message().size()};
    Admission::Why why = Admission::Why::kDeadline;
    if (!shard.admission.MayWait(tenant, ask, now, why)) return shed(ShedOf(why));
    shard.admission.Wait(tenant, ask, now, take(Reactor::Place::kWaiting));
    shard.Arm();
  }
}

}  // namespace crm::rpc::server_internal
