#include "common/rpc/client.h"

#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>

#include <atomic>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <mutex>
#include <optional>
#include <random>

#include "common/base/error.h"
#include "common/obs/metrics.h"
#include "common/obs/trace.h"
#include "common/rpc/queue.h"
#include "common/rpc/wait.h"
#include "common/rpc/wire.h"

namespace crm::rpc {
namespace client_internal {

using Clock = std::chrono::steady_clock;

constexpr auto kBackoff = std::chrono::milliseconds(100);  // tripled per attempt, with jitter of a half
// Retries that a client may spend while calls fail: a tenth of what succeeds comes back. As gRPC's retryThrottling.
constexpr double kBudgetMax = 20;
constexpr double kBudgetPerSuccess = 0.1;

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

// gRPC's own texts speak of sockets: nothing that a caller could use.
absl::Status Translated(const grpc::Status& status, const std::string& peer, bool cancelled_here) {
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

// One call, until its only event.
struct UnaryState final : wire::Event {
  grpc::ClientContext context;
  std::atomic<bool> cancelled{false};  // by our own caller
  grpc::ByteBuffer request, response;
  grpc::Status status;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  std::shared_ptr<wire::Queue> queue = wire::Queue::Shared();
  std::function<void(grpc::Status)> done;
  std::shared_ptr<UnaryState> held;  // while it is under way

  void Happened(bool) override {
    auto self = std::move(held);
    done(std::move(status));
  }
};

// One server stream. Its coroutine does one operation after the other.
struct StreamState : std::enable_shared_from_this<StreamState> {
  std::shared_ptr<void> owner;  // of the stub
  grpc::GenericStub* stub = nullptr;
  std::string path;
  grpc::ClientContext context;
  std::atomic<bool> cancelled{false};  // by our own caller
  grpc::ByteBuffer request, response;
  grpc::Status status;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> wire;
  std::shared_ptr<wire::Queue> queue = wire::Queue::Shared();

  // Starts an operation on the queue's thread, `work(tag)`, and answers whether it went well.
  template <typename Work>
  asio::awaitable<bool> Do(Work work) {
    return WaitFor<bool>([this, work](auto done, auto slot) {
      if (slot.is_connected()) {
        slot.assign([self = shared_from_this()](asio::cancellation_type) {
          self->cancelled = true;
          self->context.TryCancel();
        });
      }
      queue->Post([self = shared_from_this(), done, work] {
        self->operation_.held = self;
        self->operation_.done = done;
        work(static_cast<wire::Event*>(&self->operation_));
      });
    });
  }

 private:
  struct Operation final : wire::Event {
    std::shared_ptr<StreamState> held;  // while it is under way
    std::function<void(bool)> done;
    void Happened(bool ok) override {
      auto stream = std::move(held);
      auto told = std::move(done);
      told(ok);
    }
  };
  Operation operation_;
};

// gRPC ends the process for metadata that HTTP/2 cannot carry: what comes from outside must not get that far.
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

void SetDeadline(grpc::ClientContext& context, Clock::time_point deadline) {
  if (deadline == Clock::time_point::max()) return;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::duration_cast<std::chrono::system_clock::duration>(deadline - Clock::now()));
}

}  // namespace client_internal

namespace cin = client_internal;

struct Client::Impl : std::enable_shared_from_this<Client::Impl> {
  Async<std::string> Unary(RawCall call);
  Async<> Stream(RawCall call, std::function<Async<>(std::string)> on_message);

  std::string peer;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<grpc::GenericStub> stub;
  std::mutex mutex;
  double budget = cin::kBudgetMax;
  obs::Counter retries =
      obs::MakeCounter("crm_rpc_client_retries_total", "Calls that were sent again after UNAVAILABLE");

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
  grpc::ChannelArguments args;
  args.SetMaxReceiveMessageSize(kReplyBytesMax);
  args.SetInt(GRPC_ARG_MAX_METADATA_SIZE, wire::kMetadataBytesMax);
  // The server takes one ping per 30 s (rpc/server.cc): ours must be clearly rarer.
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // A restarted neighbour is found again at once, not after gRPC's usual second and more.
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2'000);  // also the time for one connection attempt
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  // Only what no server has begun, e.g. because its connection was just being closed; the rest is for UnaryRaw, which
  // knows what may be repeated.
  args.SetInt(GRPC_ARG_ENABLE_RETRIES, 1);
  args.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  args.SetServiceConfigJSON(R"({"loadBalancingConfig":[{"round_robin":{}}]})");
  // A connection of its own: a cancelled or slow neighbour's flow control is then nobody else's.
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  impl_->channel = grpc::CreateCustomChannel(
      options.address, wire::ChannelCredentials(options.ca_file, options.cert_file, options.key_file, options.peer),
      args);
  impl_->stub = std::make_unique<grpc::GenericStub>(impl_->channel);
}

Client::~Client() = default;

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
  const std::string path = cin::PathOf(call.method);
  auto pause = cin::kBackoff;
  for (int attempt = 1;; ++attempt) {
    if (cin::Clock::now() >= deadline) co_return cin::TooLate();
    auto state = std::make_shared<cin::UnaryState>();
    state->request = wire::ToBuffer(call.request);
    for (const auto& [name, value] : call.metadata) state->context.AddMetadata(name, value);
    cin::SetDeadline(state->context, deadline);
    const grpc::Status status = co_await WaitFor<grpc::Status>([&](auto done, auto slot) {
      if (slot.is_connected()) {
        slot.assign([state](asio::cancellation_type) {
          state->cancelled = true;
          state->context.TryCancel();
        });
      }
      state->done = done;
      state->queue->Post([impl, state, path] {
        state->held = state;
        state->reader = impl->stub->PrepareUnaryCall(&state->context, path, state->request, state->queue->get());
        state->reader->StartCall();
        state->reader->Finish(&state->response, &state->status, static_cast<wire::Event*>(state.get()));
      });
    });
    if (status.ok()) {
      impl->Succeeded();
      co_return wire::ToString(state->response);
    }
    absl::Status error = cin::Translated(status, impl->peer, state->cancelled);
    if (!absl::IsUnavailable(error) || ReasonOf(error) == type::v1::ERROR_REASON_OVERLOADED) co_return error;
    if (!call.retriable || attempt >= kAttemptsMax || !impl->MayRetry()) co_return error;
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
  auto stream = std::make_shared<cin::StreamState>();
  stream->owner = impl;
  stream->stub = impl->stub.get();
  stream->path = cin::PathOf(call.method);
  stream->request = wire::ToBuffer(call.request);
  for (const auto& [name, value] : call.metadata) stream->context.AddMetadata(name, value);
  cin::SetDeadline(stream->context, call.deadline);
  // Ends the call also when this coroutine is destroyed while it waits.
  struct Guard {
    std::shared_ptr<cin::StreamState> stream;
    ~Guard() {
      if (stream) stream->context.TryCancel();
    }
  };
  Guard guard{stream};
  // What is captured below is plain pointers: g++ 12 destroys a temporary lambda of a co_await twice.
  bool more = co_await stream->Do([s = stream.get()](void* tag) {
    s->wire = s->stub->PrepareCall(&s->context, s->path, s->queue->get());
    s->wire->StartCall(tag);
  });
  if (more) {
    more = co_await stream->Do(
        [s = stream.get()](void* tag) { s->wire->WriteLast(s->request, grpc::WriteOptions(), tag); });
  }
  absl::Status own;
  while (more) {
    more = co_await stream->Do([s = stream.get()](void* tag) { s->wire->Read(&s->response, tag); });
    if (!more) break;
    own = co_await on_message(wire::ToString(stream->response));
    if (!own.ok()) {
      stream->context.TryCancel();
      break;
    }
  }
  co_await stream->Do([s = stream.get()](void* tag) { s->wire->Finish(&s->status, tag); });
  guard.stream = nullptr;
  const grpc::Status& status = stream->status;
  if (!own.ok()) co_return own;
  if (status.ok()) co_return absl::OkStatus();
  co_return cin::Translated(status, impl->peer, stream->cancelled);
}

}  // namespace crm::rpc
