#include "common/redis/client.h"

#include <hiredis/async.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <fstream>
#include <optional>
#include <random>
#include <utility>

#include "common/base/text.h"
#include "common/obs/log.h"
#include "common/obs/metrics.h"
#include "common/redis/model.h"

namespace crm::redis {

namespace wire {

Model* used_model = nullptr;

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// One command on its way. The timer never fires: it is what the caller's coroutine waits on.
struct Waiter {
  Waiter(const asio::any_io_executor& executor, Args a, steady_clock::time_point until)
      : timer(executor, steady_clock::time_point::max()), args(std::move(a)), deadline(until) {}

  asio::steady_timer timer;
  Args args;  // emptied when hiredis has copied them
  steady_clock::time_point deadline;
  size_t bytes = 0;
  bool done = false;
  absl::StatusOr<Reply> result = absl::UnavailableError("Redis has not answered");
  std::function<void(const absl::Status&)> failed;
};

absl::StatusOr<Reply> Convert(const redisReply* reply) {
  Reply out;
  switch (reply->type) {
    case REDIS_REPLY_ERROR:
      return absl::UnavailableError(absl::StrCat("Redis refused: ", WellFormed({reply->str, reply->len})));
    case REDIS_REPLY_NIL:
      return out;
    case REDIS_REPLY_INTEGER:
      out.type = Reply::Type::kInteger;
      out.integer = reply->integer;
      return out;
    case REDIS_REPLY_ARRAY:
      out.type = Reply::Type::kArray;
      out.items.reserve(reply->elements);
      for (size_t i = 0; i < reply->elements; ++i) {
        absl::StatusOr<Reply> item = Convert(reply->element[i]);
        if (!item.ok()) return item.status();
        out.items.push_back(*std::move(item));
      }
      return out;
    default:  // strings and statuses
      out.type = Reply::Type::kString;
      out.text.assign(reply->str, reply->len);
      return out;
  }
}

absl::Status Unasked() { return absl::UnavailableError("Redis answers what it was not asked"); }

// Whether there is something to read, but for an error, which hiredis takes at any time: "too many clients".
bool HasUnasked(int socket) {
  char first = 0;
  return recv(socket, &first, 1, MSG_PEEK | MSG_DONTWAIT) == 1 && first != '-';
}

absl::StatusOr<std::string> ReadPassword(const std::string& file) {
  std::ifstream in(file);
  std::string password;
  if (!std::getline(in, password))
    return absl::UnavailableError(absl::StrCat("cannot read Redis' password from ", file));
  return password;
}

}  // namespace wire

// Ties a hiredis context to a loop. hiredis owns the socket; the descriptor only waits on it and lets go of it in the
// cleanup hook, which hiredis calls exactly once before it closes the socket. `epoch` tells handlers of an earlier
// context apart.
struct Connection::Impl : std::enable_shared_from_this<Connection::Impl> {
  Impl(Options o, asio::any_io_executor e)
      : options(std::move(o)), executor(std::move(e)), watchdog(executor), resolver(executor) {}

  const Options options;
  asio::any_io_executor executor;
  std::shared_ptr<ModelConnection> model;  // in a simulation
  asio::steady_timer watchdog;
  bool watching = false;
  asio::ip::tcp::resolver resolver;
  bool resolving = false;
  bool closed = false;

  redisAsyncContext* context = nullptr;
  std::optional<asio::posix::stream_descriptor> descriptor;
  uint64_t epoch = 0;
  uint64_t connects = 0;
  bool connected = false;
  bool answered = false;  // this connection has answered at least once
  bool reading = false;
  bool writing = false;
  bool in_write = false;
  absl::Status loss = absl::OkStatus();  // why we close it ourselves

  int failures = 0;  // in a row
  wire::steady_clock::time_point retry_at{};

  std::deque<std::shared_ptr<wire::Waiter>> waiting;    // until the host's name is resolved
  std::deque<std::shared_ptr<wire::Waiter>> in_flight;  // Redis answers in order
  size_t bytes = 0;

  obs::Counter lost =
      obs::MakeCounter("crm_redis_connections_lost_total", "Connections to Redis that failed or were lost");

  // Takes a command in; answers a waiter, which is already done if the command cannot be sent.
  std::shared_ptr<wire::Waiter> Begin(Args args, wire::milliseconds timeout,
                                      std::function<void(const absl::Status&)> failed = nullptr) {
    auto now = wire::steady_clock::now();
    auto waiter = std::make_shared<wire::Waiter>(executor, std::move(args), now + timeout);
    waiter->failed = std::move(failed);
    for (const std::string& item : waiter->args.items()) waiter->bytes += item.size();
    bytes += waiter->bytes;
    if (closed) {
      Finish(waiter, absl::UnavailableError("the connection to Redis is closed"));
    } else if (in_flight.size() + waiting.size() >= static_cast<size_t>(options.queue_max) ||
               bytes > options.queue_bytes_max) {
      Finish(waiter, absl::UnavailableError("too many commands wait for Redis"));
    } else if (!context && !resolving && now < retry_at) {
      Finish(waiter, absl::UnavailableError("Redis is away"));
    } else {
      if (!context && !resolving) Open();
      if (resolving) {
        waiting.push_back(waiter);
      } else if (context) {
        Submit(waiter);
      } else {
        Finish(waiter, absl::UnavailableError("Redis cannot be reached"));
      }
      Watch();
    }
    return waiter;
  }

  void Finish(const std::shared_ptr<wire::Waiter>& waiter, absl::StatusOr<Reply> result) {
    waiter->done = true;
    bytes -= waiter->bytes;
    if (!result.ok() && waiter->failed) asio::post(executor, [waiter, why = result.status()] { waiter->failed(why); });
    waiter->result = std::move(result);
    waiter->timer.cancel();
  }

  void Submit(const std::shared_ptr<wire::Waiter>& waiter) {
    const std::vector<std::string>& items = waiter->args.items();
    std::vector<const char*> data(items.size());
    std::vector<size_t> sizes(items.size());
    for (size_t i = 0; i < items.size(); ++i) {
      data[i] = items[i].data();
      sizes[i] = items[i].size();
    }
    auto* held = new std::shared_ptr<wire::Waiter>(waiter);
    if (redisAsyncCommandArgv(context, &OnReply, held, static_cast<int>(items.size()), data.data(), sizes.data()) !=
        REDIS_OK) {
      delete held;
      Finish(waiter, absl::UnavailableError("the connection to Redis is closing"));
      return;
    }
    waiter->args = Args();
    in_flight.push_back(waiter);
  }

  // Closes the connection when the oldest command's time is over. One timer for all: answers come in order.
  void Watch() {
    if (watching) return;
    const auto& oldest = !in_flight.empty() ? in_flight : waiting;
    if (oldest.empty()) return;
    watching = true;
    watchdog.expires_at(oldest.front()->deadline);
    watchdog.async_wait([weak = weak_from_this()](boost::system::error_code error) {
      auto self = weak.lock();
      if (!self) return;
      self->watching = false;
      if (error || self->closed) return;
      const auto& late = !self->in_flight.empty() ? self->in_flight : self->waiting;
      if (!late.empty() && late.front()->deadline <= wire::steady_clock::now()) {
        self->Drop(absl::UnavailableError("Redis did not answer in time"));
      }
      self->Watch();
    });
  }

  void Open() {
    boost::system::error_code error;
    asio::ip::make_address(options.host, error);
    if (!error) return Connect(options.host);
    resolving = true;
    resolver.async_resolve(options.host, std::to_string(options.port),
                           [weak = weak_from_this()](boost::system::error_code failed,
                                                     const asio::ip::tcp::resolver::results_type& found) {
                             auto self = weak.lock();
                             if (!self || !self->resolving) return;
                             self->resolving = false;
                             if (!failed && !found.empty()) {
                               self->Connect(found.begin()->endpoint().address().to_string());
                             } else {
                               self->Lost(absl::UnavailableError("the name of Redis' host cannot be resolved"));
                             }
                             self->FlushWaiting();
                           });
  }

  void FlushWaiting() {
    std::deque<std::shared_ptr<wire::Waiter>> commands = std::exchange(waiting, {});
    for (auto& waiter : commands) {
      if (context) {
        Submit(waiter);
      } else {
        Finish(waiter, absl::UnavailableError("Redis cannot be reached"));
      }
    }
  }

  void Connect(const std::string& address) {
    absl::StatusOr<std::string> password = std::string();
    if (!options.password_file.empty()) password = wire::ReadPassword(options.password_file);
    if (!password.ok()) return Lost(password.status());
    context = redisAsyncConnect(address.c_str(), options.port);
    if (!context || context->err) {
      std::string why = context ? context->errstr : "out of memory";
      if (context) redisAsyncFree(context);
      context = nullptr;
      return Lost(absl::UnavailableError(why));
    }
    ++epoch;
    ++connects;
    loss = absl::OkStatus();
    connected = answered = reading = writing = in_write = false;
    descriptor.emplace(executor, context->c.fd);
    context->data = this;
    context->ev = {this, &AddRead, &Ignore, &AddWrite, &Ignore, &Cleanup};
    redisAsyncSetConnectCallback(context, &OnConnect);
    if (password->empty()) return;
    Submit(OwnWaiter(Args("AUTH", *password), [this](const absl::Status& why) {
      Drop(absl::UnavailableError(absl::StrCat("Redis refuses the password: ", why.message())));
    }));
  }

  // A waiter of our own, not counted against the queue.
  std::shared_ptr<wire::Waiter> OwnWaiter(Args args, std::function<void(const absl::Status&)> failed) {
    auto waiter =
        std::make_shared<wire::Waiter>(executor, std::move(args), wire::steady_clock::now() + options.command_timeout);
    // The waiter may outlive this; the connection that it would drop is then gone.
    waiter->failed = [weak = weak_from_this(), at = epoch, failed = std::move(failed)](const absl::Status& why) {
      auto self = weak.lock();
      if (self && self->epoch == at) failed(why);
    };
    return waiter;
  }

  void Lost(const absl::Status& why) {
    lost.Add();
    if (answered) failures = 0;
    answered = false;
    auto pause = failures == 0 ? wire::milliseconds(0) : options.reconnect_min * (1 << std::min(failures - 1, 10));
    pause = std::min(pause, options.reconnect_max);
    if (pause.count() > 0) {  // jitter, so that the processes do not come back in step
      thread_local std::minstd_rand random(std::random_device{}());
      pause = pause / 2 + wire::milliseconds(random() % static_cast<unsigned>(pause.count() / 2 + 1));
    }
    retry_at = wire::steady_clock::now() + pause;
    if (failures < 30) ++failures;
    if (failures == 1)
      obs::Log(obs::Level::kWarning, "the connection to Redis is lost", {{"error", std::string(why.message())}});
  }

  void Drop(absl::Status why) {
    if (resolving) {
      resolving = false;
      resolver.cancel();
      Lost(why);
      FlushWaiting();
    }
    if (!context) return;
    loss = std::move(why);
    redisAsyncFree(context);  // answers what waits, then calls Cleanup
  }

  // ---- called by hiredis ----

  static Impl* Of(void* data) { return static_cast<Impl*>(data); }

  static void OnReply(redisAsyncContext* ac, void* answer, void* privdata) {
    std::unique_ptr<std::shared_ptr<wire::Waiter>> waiter(static_cast<std::shared_ptr<wire::Waiter>*>(privdata));
    Impl* self = Of(ac->data);
    if (!self->in_flight.empty()) self->in_flight.pop_front();
    if (answer) {
      self->answered = true;
      self->failures = 0;
      self->Finish(*waiter, wire::Convert(static_cast<redisReply*>(answer)));
      // hiredis ends the process over an answer that nobody waits for: bytes behind the last one must not reach it.
      const redisReader* reader = ac->c.reader;
      if (ac->replies.head == nullptr && reader->pos < reader->len) self->Drop(wire::Unasked());
    } else if (!self->loss.ok()) {
      self->Finish(*waiter, self->loss);
    } else {
      self->Finish(*waiter, absl::UnavailableError(absl::StrCat("the connection to Redis was lost: ",
                                                                ac->errstr ? ac->errstr : "closed")));
    }
  }

  static void OnConnect(const redisAsyncContext* ac, int status) {
    if (status == REDIS_OK) Of(ac->data)->connected = true;
  }

  static void AddRead(void* data) {
    Impl* self = Of(data);
    if (self->reading || !self->descriptor) return;
    self->reading = true;
    self->descriptor->async_wait(asio::posix::descriptor_base::wait_read,
                                 [held = self->shared_from_this(), at = self->epoch](boost::system::error_code error) {
                                   if (held->epoch != at || error) return;
                                   held->reading = false;
                                   if (held->in_flight.empty() && wire::HasUnasked(held->context->c.fd)) {
                                     return held->Drop(wire::Unasked());
                                   }
                                   redisAsyncHandleRead(held->context);
                                 });
  }

  // A connected socket is nearly always writable, so what was queued in this turn of the loop is written at its end;
  // only what did not fit waits for the socket.
  static void AddWrite(void* data) {
    Impl* self = Of(data);
    if (self->writing || !self->descriptor) return;
    self->writing = true;
    auto flush = [held = self->shared_from_this(), at = self->epoch](boost::system::error_code error) {
      if (held->epoch != at || error) return;
      held->writing = false;
      held->in_write = true;
      redisAsyncHandleWrite(held->context);
      held->in_write = false;
    };
    if (self->connected && !self->in_write) {
      asio::post(self->executor, [flush] { flush({}); });
    } else {
      self->descriptor->async_wait(asio::posix::descriptor_base::wait_write, std::move(flush));
    }
  }

  static void Ignore(void*) {}

  static void Cleanup(void* data) {
    Impl* self = Of(data);
    ++self->epoch;
    if (self->descriptor) self->descriptor->release();
    self->descriptor.reset();
    std::string why = self->loss.ok() ? (self->context->errstr ? self->context->errstr : "closed")
                                      : std::string(self->loss.message());
    self->context = nullptr;
    self->connected = self->reading = self->writing = self->in_write = false;
    if (!self->closed) self->Lost(absl::UnavailableError(why));
  }

  static Async<Reply> Await(std::shared_ptr<Impl> self, Args args, wire::milliseconds timeout) {
    auto waiter = self->Begin(std::move(args), timeout);
    co_return co_await Result(std::move(waiter));
  }

  static Async<Reply> Result(std::shared_ptr<wire::Waiter> waiter) {
    if (!waiter->done) co_await waiter->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (!waiter->done) co_return absl::CancelledError("not waited for");
    co_return std::move(waiter->result);
  }

  static Async<std::vector<absl::StatusOr<Reply>>> AwaitAll(std::shared_ptr<Impl> self, std::vector<Args> commands) {
    std::vector<std::shared_ptr<wire::Waiter>> waiters;
    waiters.reserve(commands.size());
    for (Args& args : commands) waiters.push_back(self->Begin(std::move(args), self->options.command_timeout));
    std::vector<absl::StatusOr<Reply>> replies;
    replies.reserve(waiters.size());
    for (auto& waiter : waiters) replies.push_back(co_await Result(std::move(waiter)));
    co_return replies;
  }

  static Async<std::vector<absl::StatusOr<Reply>>> AskModel(std::shared_ptr<ModelConnection> model,
                                                            std::vector<Args> commands, wire::milliseconds timeout) {
    std::vector<absl::StatusOr<Reply>> replies;
    for (Args& args : commands) replies.push_back(co_await model->Command(std::move(args), timeout));
    co_return replies;
  }
};

Connection::Connection(Options options, asio::any_io_executor executor)
    : impl_(std::make_shared<Impl>(std::move(options), std::move(executor))) {
#ifdef CRM_FAILPOINTS
  if (wire::used_model != nullptr) impl_->model = wire::used_model->Open(impl_->options, impl_->executor);
#endif
}

void UseModel(Model* model) { wire::used_model = model; }

Connection::~Connection() { Close(); }

Async<Reply> Connection::Command(Args args, std::chrono::milliseconds timeout) {
  if (impl_->model) return impl_->model->Command(std::move(args), timeout);
  return Impl::Await(impl_, std::move(args), timeout);
}

Async<Reply> Connection::Command(Args args) { return Command(std::move(args), impl_->options.command_timeout); }

void Connection::Send(Args args, std::function<void(const absl::Status&)> failed) {
  if (impl_->model) return impl_->model->Send(std::move(args), std::move(failed));
  impl_->Begin(std::move(args), impl_->options.command_timeout, std::move(failed));
}

Async<std::vector<absl::StatusOr<Reply>>> Connection::Pipeline(std::vector<Args> commands) {
  if (impl_->model) return Impl::AskModel(impl_->model, std::move(commands), impl_->options.command_timeout);
  return Impl::AwaitAll(impl_, std::move(commands));
}

uint64_t Connection::connects() const { return impl_->model ? impl_->model->connects() : impl_->connects; }

void Connection::Close() {
  if (impl_->model) impl_->model->Close();
  impl_->closed = true;
  impl_->watchdog.cancel();
  impl_->Drop(absl::UnavailableError("the connection to Redis is closed"));
}

struct Client::Impl {
  Options options;
  std::vector<asio::any_io_executor> loops;
  std::vector<std::unique_ptr<Connection>> connections;  // one per loop

  size_t IndexOf(const asio::any_io_executor& executor) const {
    asio::execution_context* context = &asio::query(executor, asio::execution::context);
    size_t index = 0;
    while (index < loops.size() && &asio::query(loops[index], asio::execution::context) != context) ++index;
    return index;
  }
};

Client::Client(Options options, std::vector<asio::any_io_executor> loops) : impl_(std::make_unique<Impl>()) {
  impl_->options = std::move(options);
  impl_->loops = std::move(loops);
  for (const auto& loop : impl_->loops)
    impl_->connections.push_back(std::make_unique<Connection>(impl_->options, loop));
}

Client::~Client() = default;

Async<Reply> Client::Command(Args args, std::chrono::milliseconds timeout) {
  size_t index = impl_->IndexOf(co_await asio::this_coro::executor);
  if (index < impl_->loops.size()) co_return co_await impl_->connections[index]->Command(std::move(args), timeout);
  co_return co_await asio::co_spawn(impl_->loops[0], impl_->connections[0]->Command(std::move(args), timeout),
                                    asio::use_awaitable);
}

Async<Reply> Client::Command(Args args) { return Command(std::move(args), impl_->options.command_timeout); }

Async<std::vector<absl::StatusOr<Reply>>> Client::Pipeline(std::vector<Args> commands) {
  size_t index = impl_->IndexOf(co_await asio::this_coro::executor);
  if (index < impl_->loops.size()) co_return co_await impl_->connections[index]->Pipeline(std::move(commands));
  co_return co_await asio::co_spawn(impl_->loops[0], impl_->connections[0]->Pipeline(std::move(commands)),
                                    asio::use_awaitable);
}

std::unique_ptr<Connection> Client::Open(asio::any_io_executor executor) const {
  return std::make_unique<Connection>(impl_->options, std::move(executor));
}

Async<> Client::Ping() {
  absl::StatusOr<Reply> reply = co_await Command(Args("PING"));
  co_return reply.status();
}

const Options& Client::options() const { return impl_->options; }

}  // namespace crm::redis
