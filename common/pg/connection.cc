#include "common/pg/connection.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <libpq-fe.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <cstring>
#include <random>
#include <utility>

#include "common/base/error.h"
#include "common/base/failpoint.h"
#include "common/obs/log.h"
#include "common/obs/metrics.h"

namespace crm::pg {
namespace link {

using namespace std::chrono_literals;

constexpr auto kConnectTimeout = 5s;
constexpr auto kBackoffMin = 50ms;
constexpr auto kBackoffMax = 1000ms;
// The server stops a little before the caller does, so that the caller hears "undone" and not "unknown".
constexpr auto kAheadMax = 50ms;
// A statement's time when the call has no deadline: nothing runs for ever.
constexpr auto kStatementTimeoutMax = 30s;
// Waiting for a row's lock longer than this is a lost race; the handler loads and decides again.
constexpr auto kLockTimeoutMax = 3s;
// A batch this long past its own statement limit means that the server or the line is dead.
constexpr auto kOverdue = 5s;
constexpr auto kShortLived = 1s;
// Named statements per connection; more than any service has. Beyond it statements are parsed each time.
constexpr size_t kPreparedMax = 2000;
constexpr size_t kParamsMax = 65535;  // a 16-bit count in the protocol
constexpr size_t kNameMax = 63;       // NAMEDATALEN - 1: PostgreSQL cuts longer names

const char* const kConfig =
    "set_config('app.tenant', $1, true), set_config('statement_timeout', $2, true), set_config('lock_timeout', $3, "
    "true)";
const char* const kCustom = ", set_config('plan_cache_mode', 'force_custom_plan', true)";
const char* const kNoScan = ", set_config('enable_seqscan', 'off', true)";
// A transaction that writes has its number before it takes an outbox id: the relay's floors rest on it (common/events/relay.cc).
const char* const kNumbered = ", pg_current_xact_id()";
const Statement kSettings[5] = {
    {"pg.settings", absl::StrCat("SELECT ", kConfig)},
    {"pg.settings_custom", absl::StrCat("SELECT ", kConfig, kCustom)},
    {"pg.settings_no_scan", absl::StrCat("SELECT ", kConfig, kNoScan)},
    {"pg.settings_custom_no_scan", absl::StrCat("SELECT ", kConfig, kCustom, kNoScan)},
    {"pg.settings_write", absl::StrCat("SELECT ", kConfig, kNumbered)},
};
constexpr int kSettingsOfWrites = 4;

// What a batch is counted under: its first statement that is not our own bookkeeping. Names are few and constant;
// should one day somebody make them up at run time, the rest is counted together.
constexpr size_t kLabelsMax = 1000;
void Observe(const Flight& flight) {
  const Batch::Item* first = nullptr;
  for (const Batch::Item& item : flight.items) {
    first = &item;
    if (item.statement->name.rfind("pg.", 0) != 0) break;
  }
  if (first == nullptr) return;
  thread_local absl::flat_hash_map<std::string, obs::Histogram> histograms;
  auto it = histograms.find(first->statement->name);
  if (it == histograms.end()) {
    std::string name = histograms.size() < kLabelsMax ? first->statement->name : "other";
    it = histograms
             .emplace(name, obs::MakeHistogram("crm_pg_batch_seconds", "Time from sending a batch to its outcome",
                                               {{"statement", name}}))
             .first;
  }
  it->second.Observe(std::chrono::steady_clock::now() - flight.sent_time);
}

std::string WireName(const std::string& name) {
  if (name.size() <= kNameMax) return name;
  return absl::StrCat(name.substr(0, 40), "#", absl::Hex(std::hash<std::string>()(name), absl::kZeroPad16));
}

std::string Words(const char* text) {
  std::string out = text == nullptr ? "" : text;
  while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
  return out;
}

std::string FieldOf(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? "" : text;
}

// The one host of the conninfo if its name must be looked up; empty for sockets, addresses and lists of hosts.
std::string HostToResolve(const std::string& conninfo, std::string* port) {
  PQconninfoOption* options = PQconninfoParse(conninfo.c_str(), nullptr);
  std::string host, address;
  for (PQconninfoOption* o = options; o != nullptr && o->keyword != nullptr; ++o) {
    if (o->val == nullptr) continue;
    if (std::strcmp(o->keyword, "host") == 0) host = o->val;
    if (std::strcmp(o->keyword, "hostaddr") == 0) address = o->val;
    if (std::strcmp(o->keyword, "port") == 0) *port = o->val;
  }
  PQconninfoFree(options);
  if (host.empty() || !address.empty() || host[0] == '/' || host[0] == '@' || host.find(',') != std::string::npos)
    return "";
  boost::system::error_code is_name;
  asio::ip::make_address(host, is_name);
  return is_name ? host : "";
}

std::chrono::milliseconds TimeLeft(const Flight& flight) {
  if (flight.deadline == SteadyTime::max()) return kStatementTimeoutMax;
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(flight.deadline - std::chrono::steady_clock::now());
  left -= std::min<std::chrono::milliseconds>(left / 10, kAheadMax);
  return std::clamp<std::chrono::milliseconds>(left, 1ms, kStatementTimeoutMax);
}

}  // namespace link

absl::Status Sendable(const Flight& flight) {
  for (const Batch::Item& item : flight.items) {
    if (item.params.size() > link::kParamsMax) {
      return Error(absl::StatusCode::kInvalidArgument, Reason::ERROR_REASON_TOO_LARGE,
                   "the request has too many values for one statement; split it",
                   {{"limit", std::to_string(link::kParamsMax)}});
    }
    for (const Params::Value& value : item.params.values()) {
      if (!value.binary && value.data.find('\0') != std::string::npos) {
        return Error(absl::StatusCode::kInvalidArgument, Reason::ERROR_REASON_FIELD_INVALID,
                     "a text contains the character U+0000, which cannot be stored; remove it");
      }
    }
  }
  return absl::OkStatus();
}

Batch::Item SettingsItem(const Flight& flight) {
  std::chrono::milliseconds limit = link::TimeLeft(flight);
  if (flight.statement_timeout.count() > 0) limit = std::min(limit, flight.statement_timeout);
  Batch::Item item;
  const int of_reads = (flight.custom_plan ? 1 : 0) + (flight.no_seq_scan ? 2 : 0);
  item.statement = &link::kSettings[flight.writes ? link::kSettingsOfWrites : of_reads];
  item.params.Text(flight.tenant)
      .Int(limit.count())
      .Int(std::min<std::chrono::milliseconds>(limit, link::kLockTimeoutMax).count());
  return item;
}

Connection::Connection(asio::any_io_executor executor, const ConnectOptions& options, std::function<void()> changed)
    : executor_(executor),
      options_(options),
      changed_(std::move(changed)),
      socket_(executor),
      timer_(executor),
      resolver_(executor) {}

Connection::~Connection() { Drop(); }

void Connection::Open() {
  if (state_ == State::kClosed) return;
  state_ = State::kConnecting;
  renew_ = false;
  ++epoch_;
  timer_.expires_after(link::kConnectTimeout);
  timer_.async_wait([self = shared_from_this(), epoch = epoch_](boost::system::error_code ec) {
    if (!ec && self->epoch_ == epoch && self->state_ == State::kConnecting) self->Failed("it did not answer in time");
  });
  // libpq would look the name up itself, but it would block the loop.
  std::string port = "5432";
  std::string host = link::HostToResolve(options_.conninfo, &port);
  if (host.empty()) return Connect("");
  resolver_.async_resolve(host, port,
                          [self = shared_from_this(), epoch = epoch_](boost::system::error_code ec, auto found) {
                            if (self->epoch_ != epoch || self->state_ != State::kConnecting) return;
                            if (ec || found.empty()) return self->Failed("its host name is not known: " + ec.message());
                            self->Connect(found.begin()->endpoint().address().to_string());
                          });
}

void Connection::Connect(const std::string& address) {
  std::string session = absl::StrCat("-c search_path=", options_.schema,
                                     ",public -c TimeZone=UTC -c jit=off -c idle_in_transaction_session_timeout=30s");
  std::vector<const char*> keys, texts;
  auto add = [&](const char* key, const std::string& text) {
    if (text.empty()) return;
    keys.push_back(key);
    texts.push_back(text.c_str());
  };
  // Ours go first and the conninfo, expanded in place, may overrule them; except what must hold. A dead peer is noticed
  // within about 30 s even when nothing is sent.
  const std::string idle = "15", interval = "5", count = "3", user_timeout = "30000", utf8 = "UTF8";
  add("keepalives_idle", idle);
  add("keepalives_interval", interval);
  add("keepalives_count", count);
  add("tcp_user_timeout", user_timeout);
  add("application_name", options_.name);
  add("dbname", options_.conninfo);
  add("hostaddr", address);
  add("password", options_.password);
  add("options", session);
  add("client_encoding", utf8);
  keys.push_back(nullptr);
  texts.push_back(nullptr);
  conn_ = PQconnectStartParams(keys.data(), texts.data(), 1);
  if (conn_ == nullptr || PQstatus(conn_) == CONNECTION_BAD) {
    return Failed(conn_ == nullptr ? "out of memory" : link::Words(PQerrorMessage(conn_)));
  }
  PQsetNoticeProcessor(
      conn_, [](void*, const char*) {}, nullptr);
  if (!Watch()) return Failed("too many files are open");
  socket_.async_wait(asio::posix::stream_descriptor::wait_write,
                     [self = shared_from_this(), epoch = epoch_](boost::system::error_code ec) {
                       if (!ec && self->epoch_ == epoch && self->state_ == State::kConnecting) self->Poll();
                     });
}

// libpq closes its socket by itself when the connection breaks, and its number may be another loop's at once. What is watched is therefore
// a duplicate, which nobody but us closes.
bool Connection::Watch() {
  const int own = fcntl(PQsocket(conn_), F_DUPFD_CLOEXEC, 0);
  if (own < 0) return false;
  socket_.assign(own);
  return true;
}

void Connection::Unwatch() {
  boost::system::error_code ignored;
  socket_.close(ignored);
}

void Connection::Poll() {
  // libpq may close this socket and open another while it connects.
  Unwatch();
  PostgresPollingStatusType next = PQconnectPoll(conn_);
  if (next == PGRES_POLLING_FAILED) return Failed(link::Words(PQerrorMessage(conn_)));
  if (!Watch()) return Failed("too many files are open");
  if (next == PGRES_POLLING_OK) return Established();
  socket_.async_wait(next == PGRES_POLLING_READING ? asio::posix::stream_descriptor::wait_read
                                                   : asio::posix::stream_descriptor::wait_write,
                     [self = shared_from_this(), epoch = epoch_](boost::system::error_code ec) {
                       if (!ec && self->epoch_ == epoch && self->state_ == State::kConnecting) self->Poll();
                     });
}

void Connection::Established() {
  if (PQsetnonblocking(conn_, 1) != 0 || PQenterPipelineMode(conn_) != 1) {
    return Failed(link::Words(PQerrorMessage(conn_)));
  }
  timer_.cancel();
  established_ = std::chrono::steady_clock::now();
  result_seen_ = false;
  writing_ = false;
  state_ = State::kReady;
  WaitRead();
  changed_();
}

void Connection::Failed(const std::string& why) {
  Drop();
  ++failures_;
  auto backoff =
      std::min<std::chrono::milliseconds>(link::kBackoffMin * (1 << std::min(failures_ - 1, 6)), link::kBackoffMax);
  thread_local std::minstd_rand random{std::random_device{}()};
  backoff =
      std::chrono::milliseconds(std::uniform_int_distribution<int64_t>(backoff.count() / 2, backoff.count())(random));
  // What was connected has already been reported as lost.
  if (state_ != State::kReady && (failures_ == 1 || failures_ % 20 == 0)) {
    obs::Log(obs::Level::kWarning, "no connection to the database",
             {{"connection", options_.name}, {"why", why}, {"attempts", failures_}});
  }
  state_ = State::kBackoff;
  timer_.expires_after(backoff);
  timer_.async_wait([self = shared_from_this(), epoch = epoch_](boost::system::error_code ec) {
    if (!ec && self->epoch_ == epoch && self->state_ == State::kBackoff) self->Open();
  });
  changed_();
}

void Connection::Lost(const std::string& why) {
  if (state_ != State::kReady) return;
  if (!renew_) {
    if (options_.losses) options_.losses->fetch_add(1);
    obs::Log(obs::Level::kWarning, "the connection to the database was lost",
             {{"connection", options_.name}, {"why", why}, {"in_flight", load()}});
  }
  Drop();
  std::deque<InFlight> gone;
  gone.swap(in_flight_);
  for (InFlight& entry : gone) {
    Flight& flight = *entry.flight;
    if (flight.outcome != Flight::Outcome::kPending) continue;
    flight.outcome = Flight::Outcome::kLost;
    flight.status = Translate(ServerError{"08006", why, "", "", ""}, "", "");
    Tell(executor_, flight);
  }
  // One that did not live long is being turned away: come back with backoff. Otherwise the first attempt follows at
  // once.
  if (std::chrono::steady_clock::now() - established_ < link::kShortLived) return Failed(why);
  state_ = State::kConnecting;
  asio::post(executor_, [self = shared_from_this(), epoch = epoch_] {
    if (self->epoch_ == epoch && self->state_ == State::kConnecting) self->Open();
  });
  changed_();
}

void Connection::Drop() {
  boost::system::error_code ignored;
  Unwatch();
  timer_.cancel(ignored);
  resolver_.cancel();
  if (conn_ != nullptr) PQfinish(conn_);
  conn_ = nullptr;
  prepared_.clear();
  writing_ = false;
}

void Connection::Close() {
  State before = state_;
  state_ = State::kClosed;
  ++epoch_;
  Drop();
  if (before != State::kReady) return;
  std::deque<InFlight> gone;
  gone.swap(in_flight_);
  for (InFlight& entry : gone) {
    if (entry.flight->outcome != Flight::Outcome::kPending) continue;
    entry.flight->outcome = Flight::Outcome::kLost;
    entry.flight->status = Translate(ServerError{"08006", "closed", "", "", ""}, "", "");
    Tell(executor_, *entry.flight);
  }
}

void Connection::Renew() {
  if (state_ != State::kReady) return;
  renew_ = true;
  if (in_flight_.empty()) Lost("renewed");
}

void Connection::Tell(const asio::any_io_executor& executor, Flight& flight) {
  if (!flight.waiter) return;
  if (flight.waiter->slot.is_connected()) flight.waiter->slot.clear();
  // Posted, so that the caller never runs within the connection's own work.
  asio::post(executor, [waiter = std::move(flight.waiter)] { waiter->Resume(); });
}

void Connection::Leave(const asio::any_io_executor& executor, Flight& flight, absl::Status status) {
  if (flight.outcome != Flight::Outcome::kPending) return;
  flight.outcome = Flight::Outcome::kLeft;
  flight.status = std::move(status);
  Tell(executor, flight);
}

SteadyTime Connection::Expire(SteadyTime now) {
  SteadyTime next = SteadyTime::max();
  for (InFlight& entry : in_flight_) {
    Flight& flight = *entry.flight;
    if (flight.outcome != Flight::Outcome::kPending) continue;
    if (flight.deadline <= now) {
      Leave(executor_, flight,
            Error(absl::StatusCode::kDeadlineExceeded, Reason::ERROR_REASON_DEADLINE_EXCEEDED,
                  "the database did not answer within the deadline; a write may have been done: send it again with the "
                  "same idempotency key"));
    } else {
      next = std::min(next, flight.deadline);
    }
  }
  if (state_ == State::kReady && !in_flight_.empty()) {
    SteadyTime deadline = in_flight_.front().flight->deadline;
    if (deadline != SteadyTime::max()) {
      SteadyTime dead = deadline + link::kOverdue;
      if (dead <= now) {
        Lost("it does not answer");
      } else {
        next = std::min(next, std::max(dead, now));
      }
    }
  }
  return next;
}

bool Connection::ParseAhead(const Batch::Item& item, InFlight& entry) {
  if (item.owned || item.statement->name.empty()) return true;
  const Statement& statement = *item.statement;
  if (prepared_.contains(statement.name) || prepared_.size() >= link::kPreparedMax) return true;
  std::string name = link::WireName(statement.name);
  if (PQsendPrepare(conn_, name.c_str(), statement.sql.c_str(), 0, nullptr) != 1) return false;
  prepared_.emplace(statement.name, Prepared{std::move(name), statement.sql, false});
  entry.parses.push_back(statement.name);
  return true;
}

bool Connection::SendItem(const Batch::Item& item, InFlight& entry) {
  const std::vector<Params::Value>& params = item.params.values();
  values_.clear();
  lengths_.clear();
  formats_.clear();
  for (const Params::Value& value : params) {
    values_.push_back(value.null ? nullptr : value.data.data());
    lengths_.push_back(static_cast<int>(value.data.size()));
    formats_.push_back(value.binary ? 1 : 0);
  }
  int count = static_cast<int>(params.size());
  if (!item.owned) {
    // A statement whose Parse is still on its way with an earlier batch is not relied on: that batch may fail.
    auto it = prepared_.find(item.statement->name);
    if (it != prepared_.end() && it->second.sql == item.statement->sql &&
        (it->second.ready || std::find(entry.parses.begin(), entry.parses.end(), it->first) != entry.parses.end())) {
      return PQsendQueryPrepared(conn_, it->second.name.c_str(), count, values_.data(), lengths_.data(),
                                 formats_.data(), 1) == 1;
    }
  }
  return PQsendQueryParams(conn_, item.statement->sql.c_str(), count, nullptr, values_.data(), lengths_.data(),
                           formats_.data(), 1) == 1;
}

void Connection::Send(const FlightPtr& flight) {
  CRM_FAILPOINT_OF("pg.before_send", flight->method);
  InFlight& entry = in_flight_.emplace_back();
  entry.flight = flight;
  entry.items = static_cast<int>(flight->items.size());
  flight->sent_time = std::chrono::steady_clock::now();
  flight->rows.resize(flight->items.size());
  Batch::Item settings;
  if (flight->settings) {
    settings = SettingsItem(*flight);
    entry.settings = 1;
  }
  // Every Parse goes first: what precedes it in the batch could fail and take it along.
  bool sent = !flight->settings || ParseAhead(settings, entry);
  for (const Batch::Item& item : flight->items) sent = sent && ParseAhead(item, entry);
  if (flight->settings) sent = sent && SendItem(settings, entry);
  for (const Batch::Item& item : flight->items) sent = sent && SendItem(item, entry);
  sent = sent && PQpipelineSync(conn_) == 1;
  if (!sent) return Lost(link::Words(PQerrorMessage(conn_)));
  CRM_FAILPOINT_OF("pg.after_send", flight->method);
  Flush();
}

void Connection::Flush() {
  if (writing_) return;
  int left = PQflush(conn_);
  if (left < 0) return Lost(link::Words(PQerrorMessage(conn_)));
  if (left == 1) WaitWrite();
}

void Connection::WaitWrite() {
  writing_ = true;
  socket_.async_wait(asio::posix::stream_descriptor::wait_write,
                     [self = shared_from_this(), epoch = epoch_](boost::system::error_code ec) {
                       if (ec || self->epoch_ != epoch || self->state_ != State::kReady) return;
                       self->writing_ = false;
                       self->Flush();
                     });
}

void Connection::WaitRead() {
  socket_.async_wait(asio::posix::stream_descriptor::wait_read,
                     [self = shared_from_this(), epoch = epoch_](boost::system::error_code ec) {
                       if (ec || self->epoch_ != epoch || self->state_ != State::kReady) return;
                       self->Readable();
                     });
}

void Connection::Readable() {
  bool alive = PQconsumeInput(conn_) == 1;
  std::string why = alive ? "" : link::Words(PQerrorMessage(conn_));
  // What had arrived before the line broke still counts.
  Drain();
  if (!alive || PQstatus(conn_) == CONNECTION_BAD) return Lost(alive ? link::Words(PQerrorMessage(conn_)) : why);
  if (renew_ && in_flight_.empty()) return Lost("renewed");
  WaitRead();
  changed_();
}

void Connection::Drain() {
  while (!in_flight_.empty() && PQisBusy(conn_) == 0) {
    PGresult* result = PQgetResult(conn_);
    if (result == nullptr) {
      if (!result_seen_) return;  // nothing more for now
      // NULL ends one command's results.
      result_seen_ = false;
      ++in_flight_.front().cursor;
      continue;
    }
    if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
      PQclear(result);
      result_seen_ = false;
      Finish();
      continue;
    }
    result_seen_ = true;
    OnResult(result);
  }
}

void Connection::OnResult(PGresult* result) {
  InFlight& entry = in_flight_.front();
  int parses = static_cast<int>(entry.parses.size());
  int item = entry.cursor - parses - entry.settings;
  switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
      if (entry.cursor < parses) {
        auto it = prepared_.find(entry.parses[static_cast<size_t>(entry.cursor)]);
        if (it != prepared_.end()) it->second.ready = true;
      } else if (item >= 0 && item < entry.items && entry.flight->outcome == Flight::Outcome::kPending) {
        entry.flight->rows[static_cast<size_t>(item)] =
            Rows(std::shared_ptr<void>(result, [](void* r) { PQclear(static_cast<PGresult*>(r)); }));
        return;
      }
      break;
    case PGRES_PIPELINE_ABORTED:
      break;  // an earlier statement of this batch failed
    default:
      if (!entry.failed) {
        entry.failed = true;
        entry.failed_command = item;
        ServerError& error = entry.flight->error;
        error.sqlstate = link::FieldOf(result, PG_DIAG_SQLSTATE);
        error.message = link::FieldOf(result, PG_DIAG_MESSAGE_PRIMARY);
        error.constraint = link::FieldOf(result, PG_DIAG_CONSTRAINT_NAME);
        error.table = link::FieldOf(result, PG_DIAG_TABLE_NAME);
        error.column = link::FieldOf(result, PG_DIAG_COLUMN_NAME);
      }
      break;
  }
  PQclear(result);
}

void Connection::Finish() {
  InFlight entry = std::move(in_flight_.front());
  in_flight_.pop_front();
  failures_ = 0;
  Flight& flight = *entry.flight;
  // A statement whose Parse was refused or skipped is parsed again next time.
  for (const std::string& name : entry.parses) {
    auto it = prepared_.find(name);
    if (it != prepared_.end() && !it->second.ready) prepared_.erase(it);
  }
  bool renew = entry.failed && NeedsNewConnection(flight.error);
  if (renew) renew_ = true;
  if (flight.outcome != Flight::Outcome::kPending) return;  // nobody waits
  link::Observe(flight);
  if (!entry.failed) {
    flight.outcome = Flight::Outcome::kDone;
  } else {
    flight.rows.clear();
    const Batch::Item* item = entry.failed_command >= 0 && entry.failed_command < entry.items
                                  ? &flight.items[static_cast<size_t>(entry.failed_command)]
                                  : nullptr;
    int command = entry.failed_command + static_cast<int>(entry.parses.size()) + entry.settings;
    flight.failed = item != nullptr                                   ? item->statement->name
                    : command < static_cast<int>(entry.parses.size()) ? entry.parses[static_cast<size_t>(command)]
                                                                      : "commit";
    flight.outcome = renew ? Flight::Outcome::kUndone : Flight::Outcome::kFailed;
    flight.status = Translate(flight.error, flight.failed, item != nullptr ? item->guarded_record : "");
  }
  Tell(executor_, flight);
}

}  // namespace crm::pg
