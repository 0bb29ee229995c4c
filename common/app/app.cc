#include "common/app/app.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>
#include <pthread.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_future.hpp>
#include <csignal>
#include <cstdio>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "common/app/config.h"
#include "common/app/crash.h"
#include "common/app/housekeeping.h"
#include "common/app/inspect.h"
#include "common/app/offload.h"
#include "common/app/refs.h"
#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/events/event_log.h"
#include "common/events/relay.h"
#include "common/events/subscription.h"
#include "common/obs/log.h"
#include "common/obs/metrics.h"
#include "common/obs/trace.h"
#include "common/pg/migrate.h"
#include "common/pg/page_token.h"
#include "common/pg/table.h"
#include "common/redis/client.h"
#include "common/rpc/server.h"
#include "common/rpc/token.h"
#include "crm/identity/v1/time.pb.h"

namespace crm::app {
namespace app_internal {

using Steady = std::chrono::steady_clock;

constexpr auto kBeatEvery = std::chrono::seconds(1);
// A loop that has not turned for this long is stuck: nothing of ours may keep it so long.
constexpr auto kBeatMax = std::chrono::seconds(15);
constexpr auto kProbeEvery = std::chrono::seconds(1);
// Asked more often until it answers for the first time, so that a start is quick.
constexpr auto kProbeEarly = std::chrono::milliseconds(100);
// The database has not answered for this long: not ready.
constexpr auto kProbeMax = std::chrono::seconds(5);
// How soon the health service follows; at a start it shall not wait.
constexpr Steady::duration kPublishEvery = std::chrono::milliseconds(500);
constexpr auto kPublishEarly = std::chrono::milliseconds(20);
constexpr auto kJobAgain = std::chrono::seconds(1);
constexpr auto kDrainDefault = std::chrono::seconds(10);
// What relay, consumers and jobs get to finish what they have in hand.
constexpr auto kEndMax = std::chrono::seconds(5);
// The workers' connections: relay and heads need few.
constexpr int kWorkerConnections = 2;

struct Loop {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> busy{io.get_executor()};
  std::atomic<int64_t> beat{0};  // steady nanoseconds of the last turn
  std::thread thread;
};

int64_t Nanos(Steady::time_point time) { return std::chrono::nanoseconds(time.time_since_epoch()).count(); }

asio::awaitable<bool> SleepFor(Steady::duration time) {
  asio::steady_timer timer(co_await asio::this_coro::executor, time);
  boost::system::error_code cancelled;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  co_return !cancelled;
}

class Process final : public Runtime {
 public:
  Process(std::string name, v1::Config config) : name_(std::move(name)), config_(std::move(config)) {}

  // ---- Runtime ----
  const v1::Config& config() const override { return config_; }
  pg::Db& db() override {
    if (!db_) Stop("the service uses a database, but the configuration has no postgres.");
    return *db_;
  }
  pg::Db& worker_db() override {
    db();
    return *worker_db_;
  }
  redis::Client& redis() override { return *redis_; }
  rpc::Client& peer(const std::string& service) override {
    std::lock_guard lock(peers_mutex_);
    auto& client = peers_[service];
    if (!client) {
      auto address = config_.peers().find(service);
      if (service == name_ && !config_.listen().empty()) {
        client = std::make_unique<rpc::Client>(rpc::ClientOptions{
            OwnAddress(), config_.tls().ca_file(), config_.tls().cert_file(), config_.tls().key_file(), service});
        return *client;
      }
      if (address == config_.peers().end()) {
        Stop(absl::StrCat("the service calls ", service, ", but the configuration's peers do not have its address."));
      }
      client = std::make_unique<rpc::Client>(rpc::ClientOptions{
          address->second, config_.tls().ca_file(), config_.tls().cert_file(), config_.tls().key_file(), service});
    }
    return *client;
  }
  std::vector<asio::any_io_executor> loops() override { return executors_; }
  void Serve(std::unique_ptr<rpc::Service> service) override { services_.push_back(std::move(service)); }
  void Hear(const std::string& producer, std::function<void(events::Consumer&)> subscribe,
            bool asynchronous_commit) override {
    events::ConsumerOptions options;
    options.service = name_;
    options.producer = producer;
    options.holder = holder();
    options.asynchronous_commit = asynchronous_commit;
    subscriptions_.push_back(
        events::MakeConsumer(db(), *worker_db_, *redis_, events::MakeRpcSource(peer(producer)), options));
    subscribe(*subscriptions_.back());
  }
  // The stored reply to a repeated write, as its reader may see it.
  Async<bool> KeptReply(const Call& call, google::protobuf::Message& reply) {
    CRM_CO_TRY(const auto bytes, co_await db_->KeptReply(call));
    if (!bytes || !reply.ParseFromString(*bytes)) co_return false;
    for (const pg::RecordTable* table : tables_) {
      if (table->descriptor() == reply.GetDescriptor()) pg::FillAccess(call, *table, reply);
    }
    const auto show = shown_.find(reply.GetDescriptor()->full_name());
    if (show != shown_.end()) show->second(call, reply);
    pg::Mask(call, reply);
    co_return true;
  }
  // Where this process reaches itself: a service that hears its own events asks its own event log.
  std::string OwnAddress() const {
    for (const char* any : {"0.0.0.0:", "[::]:"}) {
      if (absl::StartsWith(config_.listen(), any)) {
        return absl::StrCat("127.0.0.1:", absl::StripPrefix(config_.listen(), any));
      }
    }
    return config_.listen();
  }
  std::string holder() const override {
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    return absl::StrCat(host, " ", config_.listen());
  }
  void Own(const pg::RecordTable& table) override { tables_.push_back(&table); }
  void ShowKept(const std::string& message,
                std::function<void(const Call&, google::protobuf::Message&)> show) override {
    shown_[message] = std::move(show);
  }
  void Job(const std::string& name, std::function<Async<>(Call)> body) override {
    jobs_.push_back({name, std::move(body)});
  }
  Call OwnCall(const Uuid& tenant) override {
    Call call;
    call.principal.kind = Principal::Kind::kService;
    call.principal.user_id = absl::StrCat("service_", name_);
    call.principal.tenant = tenant;
    call.traceparent = obs::NewTraceparent();
    call.start = Now();
    call.request_id = NewUuid(call.start).ToString();
    return call;
  }
  void OnDrain(std::function<Async<>()> body) override { drains_.push_back(std::move(body)); }
  void ReadyIf(std::function<std::string()> ready) override { conditions_.push_back(std::move(ready)); }
  rpc::Authenticator& authenticator() override { return *authenticator_; }
  void SupplyGrants(std::unique_ptr<rpc::GrantSource> source) override { grants_.target = std::move(source); }
  Async<> OffloadVoid(std::function<void()> work) override { return pool_->Run(std::move(work)); }

  // ---- the process ----
  int Run(const std::function<void(Runtime&)>& compose);

 private:
  // Stands for a source that is known only after composing.
  struct Grants final : rpc::GrantSource {
    std::unique_ptr<rpc::GrantSource> target;
    Async<identity::v1::ListAccessChangesResponse> ListAccessChanges(
        identity::v1::ListAccessChangesRequest request) override {
      return target->ListAccessChanges(std::move(request));
    }
    Async<identity::v1::GetRoleGrantsResponse> GetRoleGrants(identity::v1::GetRoleGrantsRequest request) override {
      return target->GetRoleGrants(std::move(request));
    }
    Async<identity::v1::ExchangeApiKeyResponse> ExchangeApiKey(identity::v1::ExchangeApiKeyRequest request) override {
      return target->ExchangeApiKey(std::move(request));
    }
  };
  struct NamedJob {
    std::string name;
    std::function<Async<>(Call)> body;
  };
  // A coroutine that runs beside the calls, and how to end it.
  struct Background {
    std::string name;
    asio::any_io_executor loop;
    asio::cancellation_signal cancel;
    std::future<void> ended;
  };

  [[noreturn]] static void Stop(const std::string& why) {
    obs::Log(obs::Level::kError, why);
    obs::StopLog();
    std::_Exit(1);
  }
  static void Need(const absl::Status& status) {
    if (!status.ok()) Stop(std::string(status.message()));
  }
  template <typename T>
  static T Need(absl::StatusOr<T> result) {
    if (!result.ok()) Stop(std::string(result.status().message()));
    return *std::move(result);
  }

  void StartLoops();
  void MakeParts();
  void StartServing();
  void StartBackground();
  void Drain();
  int WaitForSignal();

  void Beside(std::string name, std::function<Async<>()> body);
  void BesideInTime(std::string name, std::function<Async<>()> body);
  asio::awaitable<void> RunJob(const NamedJob& job);
  asio::awaitable<void> Probe();
  asio::awaitable<void> AskTime();
  asio::awaitable<void> Publish();
  asio::awaitable<void> Beat(Loop& loop);
  std::string NotLive() const;
  std::string NotReady() const;
  asio::any_io_executor NextLoop() { return executors_[next_loop_++ % executors_.size()]; }

  const std::string name_;
  const v1::Config config_;
  sigset_t signals_{};
  std::vector<std::unique_ptr<Loop>> loops_;
  std::vector<asio::any_io_executor> executors_;
  size_t next_loop_ = 0;
  std::unique_ptr<OffloadPool> pool_;
  std::unique_ptr<pg::Db> db_, worker_db_;
  std::unique_ptr<redis::Client> redis_;
  std::mutex peers_mutex_;
  std::map<std::string, std::unique_ptr<rpc::Client>> peers_;
  std::unique_ptr<rpc::TokenVerifier> verifier_;
  Grants grants_;
  std::unique_ptr<Housekeeping> housekeeping_;
  std::unique_ptr<rpc::AccessDirectory> directory_;
  std::unique_ptr<rpc::Authenticator> authenticator_;
  std::vector<std::unique_ptr<rpc::Service>> services_;
  std::vector<std::unique_ptr<events::Subscription>> subscriptions_;
  std::vector<const pg::RecordTable*> tables_;
  std::map<std::string, std::function<void(const Call&, google::protobuf::Message&)>> shown_;
  std::unique_ptr<events::Relay> relay_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<Inspect> inspect_;
  std::vector<NamedJob> jobs_;
  std::vector<std::function<Async<>()>> drains_;
  std::vector<std::function<std::string()>> conditions_;
  std::vector<std::unique_ptr<Background>> background_;
  std::atomic<int64_t> database_answered_{0};
  std::atomic<bool> draining_{false};
};

void Process::StartLoops() {
  const int count = std::max(1, config_.loops());
  for (int i = 0; i < count; ++i) {
    loops_.push_back(std::make_unique<Loop>());
    executors_.push_back(loops_.back()->io.get_executor());
  }
  for (int i = 0; i < count; ++i) {
    Loop& loop = *loops_[i];
    loop.beat = Nanos(Steady::now());
    loop.thread = std::thread([&loop, i] {
      pthread_setname_np(pthread_self(), absl::StrCat("loop-", i).c_str());
      loop.io.run();
    });
    asio::co_spawn(loop.io, Beat(loop), asio::detached);
  }
}

void Process::MakeParts() {
  pool_ = std::make_unique<OffloadPool>(config_.offload_threads() > 0 ? config_.offload_threads() : 2);
  if (config_.has_postgres()) {
    const auto& postgres = config_.postgres();
    pg::DbOptions options;
    options.conninfo = ConnInfo(postgres, name_);
    options.password = Need(ReadSecret(postgres.password_file(), "postgres.password_file"));
    // Replicas of a service share its password, and so the key that seals their page tokens.
    const auto sealed = rpc::Sha256(absl::StrCat("page tokens of ", name_, "\n", options.password));
    pg::SetPageTokenKey(std::string(reinterpret_cast<const char*>(sealed.data()), sealed.size()));
    options.schema = name_;
    if (postgres.point_connections() > 0) options.point_connections = postgres.point_connections();
    if (postgres.list_connections() > 0) options.list_connections = postgres.list_connections();
    if (postgres.write_connections() > 0) options.write_connections = postgres.write_connections();
    db_ = std::make_unique<pg::Db>(options, executors_);
    options.conninfo = ConnInfo(postgres, name_ + "_worker");
    options.password = Need(ReadSecret(postgres.worker_password_file(), "postgres.worker_password_file"));
    options.point_connections = 1;
    options.list_connections = 1;
    options.write_connections = kWorkerConnections;
    worker_db_ = std::make_unique<pg::Db>(options, executors_);
  }
  redis::Options redis;
  redis.host = config_.redis().host();
  redis.port = config_.redis().port();
  redis.password_file = config_.redis().password_file();
  redis_ = std::make_unique<redis::Client>(redis, executors_);
  verifier_ = Need(rpc::TokenVerifier::Make(config_.tokens().issuer(), config_.tokens().jwks_file()));
  directory_ = std::make_unique<rpc::AccessDirectory>(grants_);
  authenticator_ = std::make_unique<rpc::Authenticator>(*verifier_, *directory_);
}

void Process::StartServing() {
  if (!grants_.target) grants_.target = rpc::RemoteGrantSource(peer("identity"), name_);
  rpc::ServerOptions options;
  // A process without rpcs (the gateway) listens itself.
  if (!services_.empty()) options.listen = config_.listen();
  options.health_listen = config_.health_listen();
  options.ca_file = config_.tls().ca_file();
  options.cert_file = config_.tls().cert_file();
  options.key_file = config_.tls().key_file();
  if (config_.in_flight_max() > 0) options.in_flight_max = config_.in_flight_max();
  if (db_)
    options.kept_reply = [this](const Call& call, google::protobuf::Message& reply) { return KeptReply(call, reply); };
  server_ = std::make_unique<rpc::Server>(options, executors_, *authenticator_);
  std::function<void(const Uuid&)> poke;
  if (db_) {
    events::RelayOptions relay;
    relay.service = name_;
    relay.holder = holder();
    relay_ = std::make_unique<events::Relay>(*worker_db_, *redis_, relay);
    // What is committed is numbered at once, not at the relay's next look.
    poke = [relay = relay_.get()](const Uuid& tenant) { relay->Poke(tenant); };
    db_->OnEmit(poke);
    worker_db_->OnEmit(poke);
  }
  if (db_ && !services_.empty()) {
    std::vector<events::Subscription*> heard;
    for (const auto& subscription : subscriptions_) heard.push_back(subscription.get());
    server_->Add(std::make_unique<events::EventLog>(*db_, *worker_db_, heard, poke));
    server_->Add(std::make_unique<RefService>(*db_, tables_));
  }
  for (auto& service : services_) server_->Add(std::move(service));
  Need(server_->Start());
  InspectOptions inspect;
  inspect.listen = Need(MetricsAddress(config_));
  inspect.live = [this] { return NotLive(); };
  inspect.ready = [this] { return NotReady(); };
  inspect_ = std::make_unique<Inspect>(std::move(inspect), executors_.front(), *pool_);
  Need(inspect_->Start());
}

void Process::Beside(std::string name, std::function<Async<>()> body) {
  auto background = std::make_unique<Background>();
  background->name = std::move(name);
  background->loop = NextLoop();
  auto ended = std::make_shared<std::promise<void>>();
  background->ended = ended->get_future();
  Background* raw = background.get();
  background_.push_back(std::move(background));
  auto run = [](Background* self, std::function<Async<>()> body) -> asio::awaitable<void> {
    const absl::Status status = co_await body();
    if (!status.ok() && !absl::IsCancelled(status)) {
      obs::Log(obs::Level::kError, "background work ended", {{"name", self->name}, {"error", status.message()}});
    }
  };
  // The signal is connected on the loop, which alone may touch it from then on.
  asio::post(raw->loop, [raw, run, body = std::move(body), ended]() mutable {
    asio::co_spawn(
        raw->loop, run(raw, std::move(body)),
        asio::bind_cancellation_slot(raw->cancel.slot(), [raw, ended](std::exception_ptr thrown) {
          if (thrown) {
            try {
              std::rethrow_exception(thrown);
            } catch (const boost::system::system_error& e) {
              if (e.code() != asio::error::operation_aborted) {
                obs::Log(obs::Level::kError, "background work threw", {{"name", raw->name}, {"error", e.what()}});
              }
            } catch (const std::exception& e) {
              obs::Log(obs::Level::kError, "background work threw", {{"name", raw->name}, {"error", e.what()}});
            }
          }
          ended->set_value();
        }));
  });
}

// What stamps what it does: not before it is known what time it is.
void Process::BesideInTime(std::string name, std::function<Async<>()> body) {
  Beside(std::move(name), [body = std::move(body)]() -> Async<> {
    while (!TimeIsKnown()) {
      const bool on = co_await SleepFor(kPublishEarly);
      if (!on) co_return absl::OkStatus();
    }
    co_return co_await body();
  });
}

asio::awaitable<void> Process::RunJob(const NamedJob& job) {
  while (!draining_) {
    std::string error;
    try {
      const absl::Status status = co_await job.body(OwnCall(Uuid()));
      if (status.ok()) co_return;
      error = std::string(status.message());
    } catch (const boost::system::system_error& e) {
      if (e.code() == asio::error::operation_aborted) throw;
      error = e.what();
    } catch (const std::exception& e) {
      error = e.what();
    }
    if (draining_) co_return;
    obs::Log(obs::Level::kError, "a job ended with an error; it is started again",
             {{"job", job.name}, {"error", error}});
    const bool on = co_await SleepFor(kJobAgain);
    if (!on) co_return;
  }
}

void Process::StartBackground() {
  Beside("access", [this]() { return directory_->Run(); });
  Beside("keys", [this]() -> Async<> {
    for (;;) {
      const bool on = co_await SleepFor(std::chrono::duration_cast<Steady::duration>(rpc::AccessDirectory::kPollEvery));
      if (!on) co_return absl::OkStatus();
      verifier_->Refresh();
    }
  });
  Beside("probe", [this]() -> Async<> {
    co_await Probe();
    co_return absl::OkStatus();
  });
  if (relay_) BesideInTime("relay", [this]() { return relay_->Run(); });
  if (worker_db_) {
    housekeeping_ = std::make_unique<Housekeeping>(*worker_db_);
    Beside("purge", [this]() { return housekeeping_->PurgeForever(OwnCall(Uuid())); });
    Beside("measure", [this]() { return housekeeping_->MeasureForever(OwnCall(Uuid())); });
  }
  for (auto& subscription : subscriptions_) {
    BesideInTime("hear " + subscription->producer(), [heard = subscription.get()]() { return heard->Run(); });
  }
  for (const auto& job : jobs_) {
    BesideInTime("job " + job.name, [this, &job]() -> Async<> {
      co_await RunJob(job);
      co_return absl::OkStatus();
    });
  }
  asio::co_spawn(executors_.front(), Publish(), asio::detached);
}

asio::awaitable<void> Process::Beat(Loop& loop) {
  // No co_await in a condition or an if's initialiser: g++ 12 turns some of them into traps.
  for (;;) {
    loop.beat = Nanos(Steady::now());
    const bool on = co_await SleepFor(kBeatEvery);
    if (!on) co_return;
  }
}

// Who has no database asks identity what time it is there.
asio::awaitable<void> Process::AskTime() {
  for (;;) {
    Call call = OwnCall(Uuid());
    const auto asked = Steady::now();
    call.deadline = asked + kProbeEvery;
    const auto answer = co_await peer("identity")
                            .Unary<identity::v1::GetTimeResponse>(call, "crm.identity.v1.TimeService.GetTime",
                                                                  identity::v1::GetTimeRequest());
    const bool first = answer.ok() && !TimeIsKnown();
    if (answer.ok()) LearnTime(asked, Steady::now(), FromTimestamp(answer->time()));
    if (first) continue;  // it waited for its connection, which says little about the time: another one at once
    const bool on = co_await SleepFor(TimeIsKnown() ? Steady::duration(kProbeEvery) : Steady::duration(kProbeEarly));
    if (!on) co_return;
  }
}

asio::awaitable<void> Process::Probe() {
  if (!db_) {
    co_await AskTime();
    co_return;
  }
  bool answered = false;
  for (;;) {
    const bool first = database_answered_ == 0;
    const absl::Status status = co_await db_->Ping();
    if (status.ok()) database_answered_ = Nanos(Steady::now());
    if (status.ok() != answered) {
      answered = status.ok();
      if (answered) {
        obs::Log(obs::Level::kInfo, "the database answers");
      } else {
        obs::Log(obs::Level::kWarning, "the database does not answer", {{"error", status.message()}});
      }
    }
    const bool ever = database_answered_ != 0;
    if (first && ever) continue;  // as above
    const bool on = co_await SleepFor(ever ? Steady::duration(kProbeEvery) : Steady::duration(kProbeEarly));
    if (!on) co_return;
  }
}

// Keeps the health service at what readiness is, and logs each change.
asio::awaitable<void> Process::Publish() {
  bool was = false;
  const auto started = Steady::now();
  while (!draining_) {
    const std::string why = NotReady();
    if (why.empty() != was) {
      was = why.empty();
      server_->SetServing(was);
      if (was) {
        const auto ms = std::chrono::duration<double, std::milli>(Steady::now() - started).count();
        obs::Log(obs::Level::kInfo, "ready", {{"ms", ms}});
      } else {
        obs::Log(obs::Level::kWarning, "not ready", {{"why", why}});
      }
    }
    const bool on = co_await SleepFor(was ? kPublishEvery : Steady::duration(kPublishEarly));
    if (!on) co_return;
  }
}

std::string Process::NotLive() const {
  const int64_t now = Nanos(Steady::now());
  for (size_t i = 0; i < loops_.size(); ++i) {
    if (now - loops_[i]->beat > std::chrono::nanoseconds(kBeatMax).count())
      return absl::StrCat("loop ", i, " is stuck");
  }
  return "";
}

std::string Process::NotReady() const {
  if (draining_) return "the process is being stopped";
  if (db_) {
    const int64_t answered = database_answered_;
    if (answered == 0 || Nanos(Steady::now()) - answered > std::chrono::nanoseconds(kProbeMax).count()) {
      return "the database does not answer";
    }
  }
  if (!TimeIsKnown()) return std::string(db_ ? "the database" : "identity") + " has not said yet what time it is";
  if (!directory_->fresh()) return "identity has not said yet what roles grant";
  for (const auto& condition : conditions_) {
    if (std::string why = condition(); !why.empty()) return why;
  }
  return "";
}

int Process::WaitForSignal() {
  int number = 0;
  while (sigwait(&signals_, &number) != 0) {
  }
  return number;
}

void Process::Drain() {
  const auto started = Steady::now();
  draining_ = true;
  server_->SetServing(false);
  std::this_thread::sleep_for(std::chrono::seconds(config_.drain_wait_seconds()));
  const auto patience = config_.drain_seconds() > 0 ? Steady::duration(std::chrono::seconds(config_.drain_seconds()))
                                                    : Steady::duration(kDrainDefault);
  const auto until = Steady::now() + patience;
  for (auto& body : drains_) {
    auto done = asio::co_spawn(
        executors_.front(), [&body]() -> asio::awaitable<void> { (co_await body()).IgnoreError(); }, asio::use_future);
    if (done.wait_until(until) != std::future_status::ready) {
      obs::Log(obs::Level::kWarning, "something that is served did not end in time");
      break;
    }
  }
  server_->Drain(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::max(until - Steady::now(), Steady::duration(0))));
  // Handlers whose callers have gone may still run: they end before the database does.
  while (server_->in_flight() > 0 && Steady::now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(5));

  const auto end = Steady::now() + kEndMax;
  for (auto& subscription : subscriptions_) subscription->Stop();
  if (relay_) relay_->Stop();
  for (auto& background : background_) {
    asio::post(background->loop, [raw = background.get()] { raw->cancel.emit(asio::cancellation_type::terminal); });
  }
  for (auto& background : background_) {
    if (background->ended.wait_until(end) != std::future_status::ready) {
      obs::Log(obs::Level::kWarning, "background work did not end in time", {{"name", background->name}});
    }
  }
  obs::Log(obs::Level::kInfo, "stopped",
           {{"ms", std::chrono::duration<double, std::milli>(Steady::now() - started).count()}});
}

int Process::Run(const std::function<void(Runtime&)>& compose) {
  // Before any thread starts, so that all of them inherit the mask and only WaitForSignal hears these.
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  obs::Level level = obs::Level::kInfo;
  obs::ParseLevel(config_.log_level(), &level);
  obs::StartLog(name_, level);
  InstallCrashHandler(name_);
  Need(CheckServing(config_, name_));
  if (!config_.failpoints_file().empty()) Need(failpoint::UseFile(config_.failpoints_file()));

  StartLoops();
  MakeParts();
  compose(*this);
  StartServing();
  StartBackground();
  obs::Log(obs::Level::kInfo, "serving", {{"listen", config_.listen()}, {"pid", static_cast<int>(getpid())}});

  const int number = WaitForSignal();
  obs::Log(obs::Level::kInfo, "stopping", {{"signal", sigabbrev_np(number)}});
  Drain();
  obs::StopLog();
  // Everything that was promised is done and nothing more may begin. Destroying loops under threads of gRPC's that
  // still run would only add a race to every stop.
  std::_Exit(0);
}

int RunMigrate(const std::string& service, const v1::Config& config) {
  auto fail = [](const absl::Status& status) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return 1;
  };
  if (absl::Status checked = CheckMigrating(config); !checked.ok()) return fail(checked);
  const auto& postgres = config.postgres();
  pg::MigrateOptions options;
  options.conninfo = ConnInfo(postgres, postgres.admin_user());
  options.password = *ReadSecret(postgres.admin_password_file(), "postgres.admin_password_file");
  options.schema = service;
  options.common_dir = config.common_migrations_dir();
  options.service_dir = config.migrations_dir();
  options.service_password = *ReadSecret(postgres.password_file(), "postgres.password_file");
  options.worker_password = *ReadSecret(postgres.worker_password_file(), "postgres.worker_password_file");
  auto report = pg::Migrate(options);
  if (!report.ok()) return fail(report.status());
  for (const auto& file : report->applied) std::printf("%s: applied %s\n", service.c_str(), file.c_str());
  std::printf("%s: %zu files applied, %zu derived statements\n", service.c_str(), report->applied.size(),
              report->derived.size());
  return 0;
}

}  // namespace app_internal

int Main(int argc, char** argv, const std::string& service, std::function<void(Runtime&)> compose) {
  std::string path;
  bool migrate = false, understood = true;
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    if (argument == "migrate" && !migrate) {
      migrate = true;
    } else if (absl::StartsWith(argument, "--config=")) {
      path = std::string(absl::StripPrefix(argument, "--config="));
    } else {
      understood = false;
    }
  }
  if (!understood || path.empty()) {
    std::fprintf(stderr,
                 "usage: %s --config=FILE          serves\n"
                 "       %s migrate --config=FILE  applies migrations and ends\n"
                 "The configuration's reference is protos/crm/app/v1/config.proto.\n",
                 service.c_str(), service.c_str());
    return 2;
  }
  auto config = LoadConfig(path);
  if (!config.ok()) {
    std::fprintf(stderr, "%s\n", std::string(config.status().message()).c_str());
    return 1;
  }
  if (migrate) return app_internal::RunMigrate(service, *config);
  // Never destroyed: see the end of Run.
  auto* process = new app_internal::Process(service, *std::move(config));
  return process->Run(compose);
}

}  // namespace crm::app
