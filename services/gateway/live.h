// GET /v1/events: one stream per browser with all that its reader may see, as it happens, resumable without gaps.
//
// A lane is one tenant's events of one service, numbered 1, 2, 3 ... by it. For each lane that somebody listens to, the
// gateway keeps the newest events; they come from Redis (common/events/tail.h), and whatever is missing, from the
// producer's EventLog. A stream is a position per lane, and reads from there on: nothing is queued per connection, so a
// slow reader costs nothing but its own reads. Promised: each event once, in its lane's order; no order between lanes.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/status/statusor.h>

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/obs/metrics.h"
#include "common/redis/client.h"
#include "crm/events/v1/event.pb.h"
#include "services/gateway/api.h"
#include "services/gateway/caller.h"
#include "services/gateway/http.h"
#include "services/gateway/peers.h"

namespace crm::gateway {

// A place in every lane of a tenant: "contact-12.deal_pipeline-5". Opaque to clients.
using Cursor = std::map<std::string, uint64_t>;
std::string CursorText(const Cursor& cursor);
absl::StatusOr<Cursor> ParseCursor(std::string_view text);

// One event, with its JSON made once for all who read it.
class LiveEvent {
 public:
  explicit LiveEvent(events::v1::Event event) : event_(std::move(event)) {}
  const events::v1::Event& event() const { return event_; }
  // What it happened to: "deal" of "deal.moved".
  std::string topic() const { return event_.type().substr(0, event_.type().find('.')); }
  // The members after the cursor, and the closing brace. `personal`: with fields marked personal.
  const std::string& Json(const Api& api, bool personal) const;

 private:
  events::v1::Event event_;
  mutable std::mutex mutex_;
  mutable std::string json_[2];
};

// True if the reader's rights cover the event: the right to read its object for all, for its team, or for its owner.
bool MayHear(const Api& api, const Principal& reader, const events::v1::Event& event);

class Live {
 public:
  static constexpr size_t kRecentMax = 1000;     // events kept per lane; who is further behind reads from the producer
  static constexpr size_t kAheadMax = 1000;      // events that came before their predecessors
  static constexpr int kFetch = 500;             // events per question to a producer
  static constexpr size_t kStreamsMax = 5000;    // open streams in this process
  static constexpr size_t kStreamsPerUser = 20;  // one per tab of one browser, with room
  // How often a stream says in Redis that it is there, and looks whether another gateway has topics for it.
  static constexpr auto kSync = std::chrono::milliseconds(2000);

  // `redis` may be null: then the producers are asked for their heads alone. `home` is the loop of lanes and tail.
  Live(const Api& api, const Peers& peers, Callers& callers, redis::Client* redis, asio::any_io_executor home);
  ~Live();

  // Listens and looks after gaps until cancelled; on the home loop.
  Async<> Run();

  // Opens a stream for a caller: ?topics=deal,contact (none: all), Last-Event-ID or ?cursor= to resume.
  absl::StatusOr<HttpResponse> Open(const HttpRequest& request, const Call& call, Caller caller);
  // POST /v1/events/{stream_id} {"topics": [...]}: the caller's own stream hears these from now on; within kSync if
  // another gateway holds it, which is told through Redis.
  Async<HttpResponse> SetTopics(const std::string& stream_id, const HttpRequest& request, const Caller& caller);

  size_t streams() const;

 private:
  using EventPtr = std::shared_ptr<const LiveEvent>;
  struct Stream;
  struct Lane {
    std::string service;
    Uuid tenant;
    bool known = false;                  // `head` is
    bool filling = false;                // a question to the producer is under way
    bool again = false;                  // and another must follow
    uint64_t head = 0;                   // every event up to here has been seen
    std::deque<EventPtr> recent;         // without gaps, the last one is head
    std::map<uint64_t, EventPtr> ahead;  // beyond a gap
    std::set<Stream*> listeners;
  };
  using LanePtr = std::shared_ptr<Lane>;
  using LaneKey = std::pair<std::string, Uuid>;

  asio::awaitable<void> RunStream(std::shared_ptr<Stream> stream, StreamSink& sink);
  Async<std::vector<EventPtr>> Next(Stream& stream, std::string& service);
  Async<std::vector<EventPtr>> FetchHistory(const Stream& stream, std::string service, uint64_t after);
  Async<events::v1::ListEventsResponse> Ask(std::string service, Uuid tenant, uint64_t after, int limit);
  asio::awaitable<void> Fill(LanePtr lane);
  asio::awaitable<void> CheckHeads();
  asio::awaitable<void> CheckHeadsOf(std::string service, std::vector<int> buckets);
  // What other gateways know of a stream, and what they have to say to it. Redis may be away.
  asio::awaitable<void> Sync(Stream& stream);
  Async<bool> SetElsewhere(std::string stream_id, std::set<std::string> topics, const Caller& caller);
  void Join(Stream& stream);
  void Leave(Stream& stream);
  void Heard(const std::string& service, const std::string& bytes);
  void Gap();
  // With mutex_ held:
  void StartFill(const LanePtr& lane);
  void Append(Lane& lane, EventPtr event);
  void Wake(const Lane& lane);
  absl::StatusOr<std::set<std::string>> ReadTopics(const std::vector<std::string>& names) const;

  const Api& api_;
  const Peers& peers_;
  Callers& callers_;
  redis::Client* const redis_;
  const asio::any_io_executor home_;
  std::set<std::string> topics_;  // all that there are
  obs::Gauge open_ = obs::MakeGauge("crm_gateway_streams", "Open live streams");
  obs::Counter sent_ = obs::MakeCounter("crm_gateway_stream_events_total", "Events sent on live streams");
  obs::Counter filled_ =
      obs::MakeCounter("crm_gateway_stream_fills_total", "Questions to producers about missing events");

  mutable std::mutex mutex_;
  std::map<LaneKey, LanePtr> lanes_;
  absl::flat_hash_map<std::string, std::weak_ptr<Stream>> streams_;
  absl::flat_hash_map<std::string, size_t> per_user_;
};

}  // namespace crm::gateway
