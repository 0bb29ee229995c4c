// What a service's main says: its name, its rpcs, what it hears. Everything else is the same for all and stands here:
// strict configuration (crm.app.v1.Config as JSON, unknown fields refused), secrets from files, event loops, the database,
// Redis, relay, consumers, gRPC server with mTLS, plaintext health and metrics port, signals, drain.
//
//   int main(int argc, char** argv) {
//     return crm::app::Main(argc, argv, "contact", [](crm::app::Runtime& runtime) {
//       runtime.Serve(std::make_unique<crm::contact::ContactService>(runtime));
//       runtime.Hear("deal_pipeline", [](crm::events::Consumer& consumer) { ... });
//     });
//   }
// `<binary> --config=FILE` serves; `<binary> migrate --config=FILE` applies migrations and ends. Exit codes: 0 after an
// orderly stop, 1 for an error (the last log line says which), 2 for wrong arguments.
//
// A process whose database or identity does not answer comes up all the same, says that it is not ready, and becomes ready
// when they do. SIGTERM and SIGINT: not ready, wait (drain_wait_seconds), refuse new calls, let those under way end
// (drain_seconds), end consumers, relay and jobs, exit.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/events/consumer.h"
#include "common/pg/db.h"
#include "common/pg/table.h"
#include "common/rpc/access.h"
#include "common/rpc/client.h"
#include "common/rpc/service.h"
#include "crm/app/v1/config.pb.h"

namespace crm::redis {
class Client;
}

namespace crm::app {

class Runtime {
 public:
  virtual ~Runtime() = default;

  virtual const v1::Config& config() const = 0;
  virtual pg::Db& db() = 0;
  // As <service>_worker: sees queue-like tables across tenants, nothing else.
  virtual pg::Db& worker_db() = 0;
  // This replica among its service's others: the same after a restart, so that it takes its own leases up again at once
  // instead of waiting for its dead self.
  virtual std::string holder() const = 0;
  virtual redis::Client& redis() = 0;
  // By name; its address stands in the configuration. Its own name: this process itself.
  virtual rpc::Client& peer(const std::string& service) = 0;
  virtual std::vector<asio::any_io_executor> loops() = 0;

  // EventLog and RefService are served by themselves where there is a database.
  virtual void Serve(std::unique_ptr<rpc::Service> service) = 0;
  // `asynchronous_commit`: effects commit without waiting for the disk, for projections: effect and position are lost
  // together and applied again.
  virtual void Hear(const std::string& producer, std::function<void(events::Consumer&)> subscribe,
                    bool asynchronous_commit = false) = 0;
  // A record type of this service, so that BatchGetRefs and the schema know it. The table outlives the process.
  virtual void Own(const pg::RecordTable& table) = 0;
  // How an answer that was kept for repeats is shown to its reader, where `access` follows from more than the table's owner and team:
  // no handler sees such an answer on its way out. `message` is its full name ("crm.contact.v1.Note").
  virtual void ShowKept(const std::string& message,
                        std::function<void(const Call&, google::protobuf::Message&)> show) = 0;
  // Background work: started on a loop after the server is up, ended by cancellation at drain. Started again a second
  // after it ends with an error.
  virtual void Job(const std::string& name, std::function<Async<>(Call)> body) = 0;
  // A call of the service itself, e.g. for a job: kind kService, this tenant (nil: none), fresh trace.
  virtual Call OwnCall(const Uuid& tenant) = 0;

  // Called once when the process begins to stop, on the first loop, and awaited within the drain's time; for whoever
  // serves something else than rpcs (the gateway's HTTP). New rpcs are refused only afterwards.
  virtual void OnDrain(std::function<Async<>()> body) = 0;
  // Also decides readiness, beside the database and the rights: answers "" or why not. Called on the first loop.
  virtual void ReadyIf(std::function<std::string()> ready) = 0;

  // From a bearer token to who it is; what the rpc server itself uses.
  virtual rpc::Authenticator& authenticator() = 0;
  // Where roles' rights come from; without it, identity is asked. For identity itself.
  virtual void SupplyGrants(std::unique_ptr<rpc::GrantSource> source) = 0;

  // Runs work that blocks (argon2id, libcurl, COPY, PDF) on one bounded pool and comes back to the caller's loop.
  template <typename F>
  auto Offload(F work) -> Async<std::decay_t<decltype(*work())>>;
  virtual Async<> OffloadVoid(std::function<void()> work) = 0;  // UNAVAILABLE when the pool's queue is full
};

template <typename F>
auto Runtime::Offload(F work) -> Async<std::decay_t<decltype(*work())>> {
  decltype(work()) result = absl::InternalError("not run");
  CRM_CO_TRY(co_await OffloadVoid([&] { result = work(); }));
  co_return result;
}

int Main(int argc, char** argv, const std::string& service, std::function<void(Runtime&)> compose);

}  // namespace crm::app
