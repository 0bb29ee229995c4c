#include "common/rpc/client.h"

#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <google/protobuf/descriptor.h>

#include <atomic>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <mutex>
#include <optional>
#include <random>

#include "common/base/error.h"
#include "common/obs/metrics.h"
#include "common/obs/trace.h"
#include "common/rpc/channel.h"
#include "common/rpc/shedding.h"
#include "common/rpc/throttle.h"
#include "common/rpc/wire.h"

namespace crm::rpc {
namespace client_internal {

using Clock = std::chrono::steady_clock;

constexpr auto kBackoff = std::chrono::milliseconds(100);  // tripled per attempt, with jitter of a half
// Retries that a client may spend while calls fail: a tenth of what succeeds comes back. As gRPC's retryThrottling.
constexpr double kBudgetMax = 20;
constexpr double kBudgetPerSuccess = 0.1;
// How often a call looks for another connection when those it was sent on took it no more.
constexpr int kUnbegunMax = 3;

// "a.b.C.M" -> "/a.b.C/M"
std::string PathOf(const std::string& method) {
  const size_t dot = method.rfind('.');
  if (dot == std::string::npos) return "/" + method;
  return absl::StrCat("/", method.substr(0, dot), "/", method.substr(dot + 1));
}

absl::Status TooLate() {
  return Error(absl::StatusCode::kDeadlineExceeded, type::v1::ERROR_REASON_DEADLINE_EXCEEDED,
               "The answer did not come in time. Send the request again, with the same idempotency key if it writes.");
}

// The transport's own texts speak of sockets: nothing that a caller could use.
absl::Status Translated(const wire::WireStatus& status, const std::string& peer, bool cancelled_here) {
  absl::Status out = wire::FromWire(status);
  if (ReasonOf(out) != type::v1::ERROR_REASON_UNSPECIFIED) return out;
  if (absl::IsDeadlineExceeded(out)) return TooLate();
  // A server that shuts down answers CANCELLED to what reaches it in that moment.
  if (absl::IsUnavailable(out) || (absl::IsCancelled(out) && !cancelled_here)) {
    return Error(absl::StatusCode::kUnavailable, type::v1::ERROR_REASON_UNAVAILABLE,
                 absl::StrCat("The service ", peer,
                              " does not answer. Send the request again, with the same idempotency key if it writes."),
                 {{"service", peer}, {"cause", std::string(out.message())}});
  }
  return out;
}

// A call whose coroutine waits for it.
struct Waited final : wire::OutCall {
  struct Waiter {
    virtual ~Waiter() = default;
    virtual void Resume() = 0;
  };
  std::unique_ptr<Waiter> waiter;
  wire::Metadata kept;     // what `metadata` points to, where the caller's goes too early
  bool each = false;       // of a stream: a message is worth waking up for
  bool cancelled = false;  // by our own caller

  void OnProgress() override {
    if (!ended && !(each && has_message())) return;
    if (auto told = std::move(waiter)) told->Resume();
  }
};

template <typename Handler>
struct WaiterOf final : Waited::Waiter {
  explicit WaiterOf(Handler h) : handler(std::move(h)) {}
  void Resume() override {
    asio::get_associated_cancellation_slot(handler).clear();
    Handler resumed = std::move(handler);
    std::move(resumed)();
  }
  Handler handler;
};

// Waits for the next message of a stream, or the call's end. `start` runs once the coroutine waits.
template <typename Start>
asio::awaitable<void> Wait(std::shared_ptr<Waited> call, Start start) {
  return asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
      [](auto handler, std::shared_ptr<Waited> call, Start start) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
          slot.assign([weak = std::weak_ptr<Waited>(call)](asio::cancellation_type) {
            if (auto alive = weak.lock()) {
              alive->cancelled = true;
              alive->Cancel(1, "cancelled by its caller");
            }
          });
        }
        call->waiter = std::make_unique<WaiterOf<decltype(handler)>>(std::move(handler));
        start();
      },
      asio::use_awaitable, std::move(call), std::move(start));
}

// A request with its prefix.
std::string Framed(absl::string_view request) {
  std::string framed;
  framed.reserve(wire::kPrefixBytes + request.size());
  framed.resize(wire::kPrefixBytes);
  wire::PutPrefix(framed.data(), request.size());
  framed.append(request.data(), request.size());
  return framed;
}

// What HTTP/2 cannot carry must not get as far as the connection, which would break for it.
absl::Status CheckMetadata(const RawCall& call) {
  for (const auto& [name, value] : call.metadata) {
    bool good = !name.empty() && name.front() != ':';
    for (char c : name)
      good = good && (absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-' || c == '_' || c == '.');
    for (char c : value) good = good && c >= 0x20 && c <= 0x7e;
    if (!good) return FieldError(absl::CHexEscape(name), "must have a value of printable ASCII characters");
  }
  return absl::OkStatus();
}

// A cancelled coroutine normally throws at its next co_await; here it must still wait for gRPC to let go, and answer.
template <typename R>
asio::awaitable<R> WithoutThrowing(asio::awaitable<R> body) {
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  R result = co_await std::move(body);
  co_await asio::this_coro::throw_if_cancelled(throws);
  co_return result;
}

}  // namespace client_internal

namespace cin = client_internal;

struct Client::Impl : std::enable_shared_from_this<Client::Impl> {
  Async<std::string> Unary(RawCall call);
  Async<> Stream(RawCall call, std::function<Async<>(std::string)> on_message);

  // What belongs to one loop.
  struct OfLoop {
    asio::execution_context* context;
    asio::any_io_executor executor;
    std::shared_ptr<wire::Channel> channel;
    std::shared_ptr<Throttle> throttle;
  };
  // That of the loop that this is called on.
  OfLoop Here(const asio::any_io_executor& executor);

  ClientOptions options;
  std::string peer;
  std::shared_ptr<wire::TlsFiles> files;
  std::mutex mutex;
  std::vector<OfLoop> loops;
  double budget = cin::kBudgetMax;
  obs::Counter retries =
      obs::MakeCounter("crm_rpc_client_retries_total", "Calls that were sent again after UNAVAILABLE");
  obs::Counter throttles = obs::MakeCounter("crm_rpc_client_throttled_total",
                                            "Calls that were not sent because their callee refuses most like them");
  std::atomic<int64_t> throttled{0};

  void Succeeded() {
    std::lock_guard lock(mutex);
    budget = std::min(cin::kBudgetMax, budget + cin::kBudgetPerSuccess);
  }
  // Takes one retry out of the budget, if it is at least half full.
  bool MayRetry() {
    std::lock_guard lock(mutex);
    const bool may = budget > cin::kBudgetMax / 2;
    budget = std::max(0.0, budget - 1);
    return may;
  }
};

Client::Client(ClientOptions options) : impl_(std::make_shared<Impl>()) {
  wire::RouteLog();
  impl_->peer = options.peer.empty() ? options.address : options.peer;
  impl_->files =
      std::make_shared<wire::TlsFiles>(options.ca_file, options.cert_file, options.key_file, /*server=*/false);
  impl_->options = std::move(options);
}

Client::~Client() {
  std::lock_guard lock(impl_->mutex);
  for (auto& of : impl_->loops) {
    asio::post(of.executor, [channel = std::move(of.channel)] { channel->Close(); });
  }
  impl_->loops.clear();
}

Client::Impl::OfLoop Client::Impl::Here(const asio::any_io_executor& executor) {
  asio::execution_context* context = &asio::query(executor, asio::execution::context);
  std::lock_guard lock(mutex);
  for (const auto& of : loops) {
    if (of.context == context) return of;
  }
  loops.push_back(
      {context, executor,
       std::make_shared<wire::Channel>(executor, wire::ChannelOptions{options.address, options.peer}, files),
       std::make_shared<Throttle>()});
  return loops.back();
}

int64_t Client::throttled() const { return impl_->throttled.load(); }

std::vector<std::pair<std::string, std::string>> Client::MetadataOf(const Call& call) {
  std::vector<std::pair<std::string, std::string>> metadata;
  if (!call.token.empty()) {
    metadata.emplace_back(kAuthorizationMetadata, absl::StrCat("Bearer ", call.token));
  } else if (call.principal.kind == Principal::Kind::kService) {
    if (!call.tenant().IsNil()) metadata.emplace_back(kTenantMetadata, call.principal.tenant_id());
    if (!call.cause.empty()) {
      metadata.emplace_back(kCauseMetadata,
                            absl::StrCat(call.cause.rule_id, " ", call.cause.run_id, " ", call.cause.depth));
    }
  } else {
    metadata.emplace_back(kAnonymousMetadata, "1");
  }
  if (!call.request_id.empty()) metadata.emplace_back(kRequestIdMetadata, call.request_id);
  metadata.emplace_back(kTraceparentMetadata, obs::ChildTraceparent(call.traceparent));
  metadata.emplace_back(kLanguageMetadata, call.language);
  metadata.emplace_back(kTimeZoneMetadata, call.time_zone);
  return metadata;
}

bool Client::Retriable(const std::string& method, const google::protobuf::Message& request) {
  const auto* descriptor = google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(method);
  if (descriptor != nullptr &&
      descriptor->options().idempotency_level() == google::protobuf::MethodOptions::NO_SIDE_EFFECTS) {
    return true;
  }
  const auto* field = request.GetDescriptor()->FindFieldByName("request_id");
  return field != nullptr && field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_STRING &&
         !field->is_repeated() && !request.GetReflection()->GetString(request, field).empty();
}

Async<std::string> Client::Send(const Call& call, std::string method, std::string request, bool retriable) {
  RawCall raw;
  raw.method = std::move(method);
  raw.request = std::move(request);
  raw.metadata = MetadataOf(call);
  raw.deadline = call.deadline;
  raw.retriable = retriable;
  return UnaryRaw(std::move(raw));
}

Async<std::string> Client::UnaryRaw(RawCall call) { return cin::WithoutThrowing(impl_->Unary(std::move(call))); }

Async<std::string> Client::Impl::Unary(RawCall call) {
  auto impl = shared_from_this();
  CRM_CO_TRY(cin::CheckMetadata(call));
  const auto deadline =
      call.deadline == cin::Clock::time_point::max() ? cin::Clock::now() + kUnaryTimeMax : call.deadline;
  auto pause = cin::kBackoff;
  const auto executor = co_await asio::this_coro::executor;
  const OfLoop here = impl->Here(executor);
  const auto& channel = here.channel;
  const bool throttles = !call.tenant.IsNil();
  int unbegun = 0;
  for (int attempt = 1;; ++attempt) {
    const auto now = cin::Clock::now();
    if (now >= deadline) co_return cin::TooLate();
    if (throttles && here.throttle->Refuses(call.tenant, now)) {
      impl->throttled.fetch_add(1, std::memory_order_relaxed);
      impl->throttles.Add();
      co_return server_internal::RefusalStatus();
    }
    auto state = std::make_shared<cin::Waited>();
    state->path = cin::PathOf(call.method);
    state->metadata = &call.metadata;
    state->request = cin::Framed(call.request);
    state->deadline = deadline;
    state->reply_bytes_max = kReplyBytesMax;
    // What is captured is plain pointers: g++ 12 destroys a temporary lambda of a co_await twice.
    auto start = [c = channel.get(), s = &state] { c->Start(*s); };
    co_await cin::Wait(state, start);
    const wire::WireStatus& status = state->status;
    // What the service has not begun, because its connection was just being closed, goes another way.
    if (state->unbegun && !state->unsent && !state->cancelled && unbegun++ < cin::kUnbegunMax) {
      --attempt;
      continue;
    }
    if (status.code == 0) {
      if (throttles) here.throttle->Sent(call.tenant, /*refused=*/false, cin::Clock::now());
      if (!state->has_message()) co_return absl::InternalError("the answer has no message");
      impl->Succeeded();
      co_return state->TakeMessage();
    }
    absl::Status error = cin::Translated(status, impl->peer, state->cancelled);
    if (throttles) {
      const bool refused = ReasonOf(error) == type::v1::ERROR_REASON_OVERLOADED;
      here.throttle->Sent(call.tenant, refused, cin::Clock::now());
    }
    if (!absl::IsUnavailable(error) || ReasonOf(error) == type::v1::ERROR_REASON_OVERLOADED) co_return error;
    if (!(call.retriable || state->unbegun) || attempt >= kAttemptsMax || !impl->MayRetry()) co_return error;
    thread_local std::minstd_rand random(std::random_device{}());
    const auto wait = pause / 2 + pause * std::uniform_int_distribution<int>(0, 100)(random) / 100;
    pause *= 3;
    if (cin::Clock::now() + wait >= deadline) co_return error;
    asio::steady_timer timer(co_await asio::this_coro::executor, wait);
    boost::system::error_code cancelled;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    if (cancelled) co_return absl::CancelledError("the call was cancelled");
    impl->retries.Add();
  }
}

Async<> Client::StreamBytes(const Call& call, std::string method, std::string request,
                            std::function<Async<>(std::string)> on_message) {
  RawCall raw;
  raw.method = std::move(method);
  raw.request = std::move(request);
  raw.metadata = MetadataOf(call);
  raw.deadline = call.deadline;
  return StreamRaw(std::move(raw), std::move(on_message));
}

Async<> Client::StreamRaw(RawCall call, std::function<Async<>(std::string)> on_message) {
  return cin::WithoutThrowing(impl_->Stream(std::move(call), std::move(on_message)));
}

Async<> Client::Impl::Stream(RawCall call, std::function<Async<>(std::string)> on_message) {
  auto impl = shared_from_this();
  CRM_CO_TRY(cin::CheckMetadata(call));
  const auto executor = co_await asio::this_coro::executor;
  const auto channel = impl->Here(executor).channel;
  const auto made = [&call] {
    auto stream = std::make_shared<cin::Waited>();
    stream->each = true;
    stream->path = cin::PathOf(call.method);
    stream->kept = call.metadata;
    stream->metadata = &stream->kept;
    stream->request = cin::Framed(call.request);
    stream->deadline = call.deadline;
    stream->reply_bytes_max = kReplyBytesMax;
    return stream;
  };
  auto stream = made();
  // Ends the call also when this coroutine is destroyed while it waits.
  struct Guard {
    std::shared_ptr<cin::Waited> stream;
    ~Guard() {
      stream->waiter.reset();
      stream->Cancel(1, "its reader has gone");
    }
  };
  Guard guard{stream};
  auto start = [c = channel.get(), s = &stream] { c->Start(*s); };
  co_await cin::Wait(stream, start);
  // What its server has not begun because it leaves, another does.
  for (int i = 0; i < cin::kUnbegunMax && stream->unbegun && !stream->unsent && !stream->cancelled; ++i) {
    guard.stream = stream = made();
    co_await cin::Wait(stream, start);
  }
  absl::Status own;
  for (;;) {
    if (stream->has_message()) {
      own = co_await on_message(stream->TakeMessage());
      if (!own.ok()) break;
    } else if (stream->ended) {
      break;
    } else {
      auto nothing = [] {};
      co_await cin::Wait(stream, nothing);
    }
  }
  if (!own.ok()) co_return own;
  if (stream->status.code == 0) co_return absl::OkStatus();
  co_return cin::Translated(stream->status, impl->peer, stream->cancelled);
}

}  // namespace crm::rpc
