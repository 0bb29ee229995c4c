#include "common/rpc/server.h"

#include <absl/strings/str_cat.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "common/base/listen.h"
#include "common/base/status.h"
#include "common/rpc/server_core.h"
#include "common/rpc/wire.h"

namespace crm::rpc {
namespace server_internal {

constexpr size_t kHealthBytesMax = 4096;  // where nothing else is served
// Connections at once: each neighbour's loops have one each, and whoever brings no certificate gets no further than TLS.
constexpr size_t kLinksMax = 4096;
// How long connections may take to say goodbye when the server ends.
constexpr auto kGoodbyeMax = std::chrono::seconds(1);

const FieldDescriptor* TextField(const google::protobuf::Descriptor* type, const char* name) {
  const auto* field = type->FindFieldByName(name);
  const bool fits = field != nullptr && field->cpp_type() == FieldDescriptor::CPPTYPE_STRING && !field->is_repeated();
  return fits ? field : nullptr;
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
  bool leaving = false, closed = false;  // for callers; for all

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
  if (tls) options.crowded = [core = core, shard = &core->ShardOf(executor)] { return shard->admission.waiting() > 0; };
  auto link = std::make_shared<wire::ServerLink>(
      std::move(socket), std::move(context), options,
      [core = core](std::shared_ptr<wire::ServedCall> call) { sin::Take(core, std::move(call)); },
      [weak = weak_from_this()](wire::ServerLink* gone) {
        if (auto impl = weak.lock()) impl->Gone(gone);
      });
  {
    std::lock_guard lock(mutex);
    if (closed || (leaving && tls) || links.size() >= sin::kLinksMax) return;
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
  const int count = std::max<int>(1, static_cast<int>(loops.size()));
  const int each = std::max(1, (impl_->core->options.in_flight_max + count - 1) / count);
  for (auto& loop : loops) {
    impl_->core->shards.push_back(std::make_shared<sin::Shard>(std::move(loop), each, authenticator));
  }
  impl_->core->in_flight_max_gauge.Set(impl_->core->options.in_flight_max);
  std::weak_ptr<sin::Core> weak = impl_->core;
  obs::BeforeExposition([weak] {
    if (auto core = weak.lock()) {
      core->in_flight_gauge.Set(core->in_flight.load() - core->waiting.load());
      core->waiting_gauge.Set(core->waiting.load());
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
  auto& impl = *impl_;
  const auto close = [&impl](std::unique_ptr<wire::tcp::acceptor> Impl::*which) {
    asio::post(impl.loops.front(), [impl = impl.shared_from_this(), which] {
      boost::system::error_code ignored;
      if (((*impl).*which) != nullptr) ((*impl).*which)->close(ignored);
    });
  };
  // Whoever comes anew finds nobody, and goes elsewhere; what is under way on a connection that is told to leave is
  // answered. Who asks for health learns to the end that there is none.
  if (impl.acceptor != nullptr) {
    {
      std::lock_guard lock(impl.mutex);
      impl.leaving = true;
    }
    close(&Impl::acceptor);
    impl.Each([](wire::ServerLink& link) {
      if (link.tls()) link.Leave();
    });
  }
  const auto until = sin::Clock::now() + patience;
  while ((impl_->core->in_flight > 0 || impl_->core->streams > 0) && sin::Clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  if (impl.acceptor == nullptr && impl.health_acceptor == nullptr) return;
  {
    std::lock_guard lock(impl.mutex);
    impl.closed = true;
  }
  close(&Impl::health_acceptor);
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
