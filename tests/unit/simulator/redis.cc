#include "tests/unit/simulator/redis.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

namespace crm::sim {

namespace {

std::string IdText(const std::pair<int64_t, int64_t>& id) { return absl::StrCat(id.first, "-", id.second); }

std::pair<int64_t, int64_t> IdOf(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, '-');
  std::pair<int64_t, int64_t> id{};
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &id.first) || !absl::SimpleAtoi(parts[1], &id.second))
    std::abort();
  return id;
}

redis::Reply String(std::string text) {
  redis::Reply reply;
  reply.type = redis::Reply::Type::kString;
  reply.text = std::move(text);
  return reply;
}

redis::Reply Array(std::vector<redis::Reply> items) {
  redis::Reply reply;
  reply.type = redis::Reply::Type::kArray;
  reply.items = std::move(items);
  return reply;
}

absl::Status Gone() { return absl::UnavailableError("Redis is away"); }

}  // namespace

class RedisConnection final : public redis::ModelConnection, public std::enable_shared_from_this<RedisConnection> {
 public:
  RedisConnection(Redis& server, Life& life) : server_(server), life_(life) {}

  Async<redis::Reply> Command(redis::Args args, Millis) override { return Ask(shared_from_this(), std::move(args)); }
  void Send(redis::Args args, std::function<void(const absl::Status&)> failed) override {
    asio::co_spawn(server_.network_.executor(), Publish(shared_from_this(), std::move(args), std::move(failed)),
                   asio::detached);
  }
  uint64_t connects() const override { return connects_; }
  void Close() override {
    closed_ = true;
    server_.Wake();
  }

 private:
  using Self = std::shared_ptr<RedisConnection>;

  // A connection that was lost is made anew by the next command.
  bool Connect() {
    if (closed_ || !life_.alive || !server_.up()) return false;
    if (epoch_ != server_.epoch_) ++connects_;
    epoch_ = server_.epoch_;
    return true;
  }

  static Async<redis::Reply> Ask(Self self, redis::Args args) {
    Redis& server = self->server_;
    co_await server.network_.Sleep(Millis(1));
    if (server.network_.note)
      server.network_.note(absl::StrCat("  process ", self->life_.number, " asks Redis ", args.items()[0]));
    if (!self->Connect()) co_return Gone();
    co_await server.network_.Travel(self->life_);
    const std::vector<std::string>& items = args.items();
    if (items[0] == "XREVRANGE") {
      redis::Reply newest = server.Newest(items[1]);
      co_await server.network_.Travel(self->life_);
      if (!self->life_.alive || self->closed_ || self->epoch_ != server.epoch_) co_return Gone();
      co_return newest;
    }
    if (items[0] != "XREAD") std::abort();
    const Steady end = std::chrono::steady_clock::now() + Millis(std::stoll(items[4]));
    for (;;) {
      if (!self->life_.alive || self->closed_ || self->epoch_ != server.epoch_ || !server.up()) co_return Gone();
      bool any = false;
      redis::Reply found = server.After(items, &any);
      if (any) {
        co_await server.network_.Travel(self->life_);
        if (!self->life_.alive || self->closed_) co_return Gone();
        co_return found;
      }
      if (std::chrono::steady_clock::now() >= end) co_return redis::Reply();
      asio::steady_timer bell(server.network_.executor(), end);
      server.waiting_.push_back(&bell);
      co_await bell.async_wait(asio::as_tuple(asio::use_awaitable));
      std::erase(server.waiting_, &bell);
    }
  }

  static asio::awaitable<void> Publish(Self self, redis::Args args, std::function<void(const absl::Status&)> failed) {
    Redis& server = self->server_;
    Network& network = server.network_;
    const std::vector<std::string> items = args.items();  // XADD stream MAXLEN ~ max * e body
    if (!self->Connect()) co_return failed(Gone());
    if (network.OneIn(network.weather.redis_lost_in)) co_return;
    const int times = network.OneIn(network.weather.redis_twice_in) ? network.Between(2, 5) : 1;
    for (int i = 0; i < times; ++i) {
      if (network.weather.redis_shuffle_ms > 0)
        co_await network.Sleep(Millis(network.Below(network.weather.redis_shuffle_ms)));
      if (!self->life_.alive || !server.up()) co_return;
      if (network.note) network.note(absl::StrCat("  process ", self->life_.number, " publishes"));
      server.Add(items[1], items.back());
    }
  }

  Redis& server_;
  Life& life_;
  uint64_t epoch_ = 0, connects_ = 0;
  bool closed_ = false;
};

std::shared_ptr<redis::ModelConnection> Redis::Open(const redis::Options& options, asio::any_io_executor) {
  return std::make_shared<RedisConnection>(*this, network_.LifeOf(options.host));
}

void Redis::Add(const std::string& stream, const std::string& body) {
  const int64_t now = std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now().time_since_epoch()).count();
  last_ = now > last_.first ? std::pair<int64_t, int64_t>{now, 0} : std::pair{last_.first, last_.second + 1};
  streams_[stream].push_back({last_, body});
  Wake();
}

redis::Reply Redis::Newest(const std::string& stream) const {
  auto found = streams_.find(stream);
  if (found == streams_.end() || found->second.empty()) return Array({});
  const Entry& entry = found->second.back();
  std::vector<redis::Reply> fields{String("e"), String(entry.body)};
  std::vector<redis::Reply> one{String(IdText(entry.id)), Array(std::move(fields))};
  std::vector<redis::Reply> all{Array(std::move(one))};
  return Array(std::move(all));
}

// XREAD COUNT n BLOCK ms STREAMS names... places...
redis::Reply Redis::After(const std::vector<std::string>& args, bool* any) const {
  const size_t first = 6, count = (args.size() - first) / 2;
  const size_t most = static_cast<size_t>(std::stoll(args[2]));
  std::vector<redis::Reply> streams;
  for (size_t i = 0; i < count; ++i) {
    auto found = streams_.find(args[first + i]);
    if (found == streams_.end()) continue;
    const auto place = IdOf(args[first + count + i]);
    std::vector<redis::Reply> entries;
    for (const Entry& entry : found->second) {
      if (entry.id <= place || entries.size() >= most) continue;
      std::vector<redis::Reply> fields{String("e"), String(entry.body)};
      std::vector<redis::Reply> one{String(IdText(entry.id)), Array(std::move(fields))};
      entries.push_back(Array(std::move(one)));
    }
    if (entries.empty()) continue;
    std::vector<redis::Reply> stream{String(args[first + i]), Array(std::move(entries))};
    streams.push_back(Array(std::move(stream)));
  }
  *any = !streams.empty();
  return *any ? Array(std::move(streams)) : redis::Reply();
}

}  // namespace crm::sim
