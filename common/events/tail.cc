#include "common/events/tail.h"

#include <algorithm>
#include <utility>

#include "common/events/loop.h"
#include "common/redis/stream.h"

namespace crm::events {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kReadWait{1000};
constexpr int kReadMax = 200;  // entries per stream and read
// Events that come one by one are gathered a moment: a read costs some 50 us here and in Redis, whether it brings one
// or fifty.
constexpr milliseconds kGather{5};
constexpr size_t kGatherBelow = 64;
constexpr milliseconds kBackoffMin{50};
constexpr milliseconds kBackoffMax{1000};

}  // namespace

struct Tail::Impl : std::enable_shared_from_this<Tail::Impl> {
  Impl(redis::Client& r, TailOptions o) : redis(r), options(std::move(o)) {
    if (!options.shards) {
      options.shards.emplace();
      for (int shard = 0; shard < kShards; ++shard) options.shards->push_back(shard);
    }
  }

  redis::Client& redis;
  TailOptions options;
  asio::any_io_executor executor;
  std::unique_ptr<Bell> bell;
  std::unique_ptr<redis::StreamReader> reader;
  std::map<std::string, std::string> service_of;  // by stream
  bool stopping = false;
  bool seek = true;
  bool listening = false;
  bool broken_off = false;  // the reader has been closed

  // Breaks off a read that waits.
  void Interrupt() {
    seek = true;
    listening = false;
    broken_off = true;
    if (reader) reader->Close();
    if (bell) bell->Ring();
  }

  std::vector<std::string> Streams() {
    service_of.clear();
    std::vector<std::string> streams;
    for (const std::string& service : options.services) {
      for (int shard : *options.shards) {
        streams.push_back(StreamName(service, shard));
        service_of[streams.back()] = service;
      }
    }
    return streams;
  }

  static asio::awaitable<void> Follow(std::shared_ptr<Impl> self, OnEvent on_event, OnGap on_gap) {
    milliseconds backoff = kBackoffMin;
    for (;;) {
      bool cancelled = co_await Cancelled();
      if (cancelled || self->stopping) break;
      if (self->seek) {
        self->seek = false;
        std::vector<std::string> streams = self->Streams();
        if (streams.empty()) {
          co_await self->bell->Wait(std::chrono::hours(1));
          self->seek = true;
          continue;
        }
        if (!self->reader || std::exchange(self->broken_off, false)) {
          self->reader = std::make_unique<redis::StreamReader>(self->redis.Open(self->executor));
          self->broken_off = false;
        }
        absl::Status placed = co_await self->reader->SeekToEnd(streams);
        if (!placed.ok()) {
          self->seek = true;
          milliseconds pause = Jitter(backoff / 2, backoff);
          co_await self->bell->Wait(pause);
          backoff = std::min(2 * backoff, kBackoffMax);
          continue;
        }
        if (self->seek) continue;  // interrupted meanwhile
        self->listening = true;
        on_gap();
      }
      auto entries = co_await self->reader->Read(kReadWait, kReadMax);
      if (!entries.ok()) {
        self->seek = true;
        self->listening = false;
        milliseconds pause = self->broken_off ? milliseconds(0) : Jitter(backoff / 2, backoff);
        co_await self->bell->Wait(pause);
        backoff = std::min(2 * backoff, kBackoffMax);
        continue;
      }
      backoff = kBackoffMin;
      for (redis::Entry& entry : *entries) on_event(self->service_of[entry.stream], std::move(entry.body));
      if (!entries->empty() && entries->size() < kGatherBelow) co_await self->bell->Wait(kGather);
    }
    self->listening = false;
    self->reader.reset();
  }
};

Tail::Tail(redis::Client& redis, TailOptions options) : impl_(std::make_shared<Impl>(redis, std::move(options))) {}
Tail::~Tail() = default;

Async<> Tail::Run(OnEvent on_event, OnGap on_gap) {
  std::shared_ptr<Impl> self = impl_;
  self->executor = co_await asio::this_coro::executor;
  self->bell = std::make_unique<Bell>(self->executor);
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await Impl::Follow(self, std::move(on_event), std::move(on_gap));
  co_return absl::OkStatus();
}

void Tail::Stop() {
  impl_->stopping = true;
  impl_->Interrupt();
}

void Tail::SetShards(std::vector<int> shards) {
  if (shards == *impl_->options.shards) return;
  impl_->options.shards = std::move(shards);
  impl_->Interrupt();
}

void Tail::Reseek() { impl_->Interrupt(); }

bool Tail::listening() const { return impl_->listening; }

}  // namespace crm::events
