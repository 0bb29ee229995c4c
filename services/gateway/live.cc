#include "services/gateway/live.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <google/protobuf/dynamic_message.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/hidden.h"
#include "common/base/id.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "common/events/loop.h"
#include "common/events/tail.h"
#include "common/events/wire.h"
#include "common/json/json.h"
#include "services/gateway/path_template.h"
#include "services/gateway/sse.h"
#include "services/gateway/together.h"

namespace crm::gateway {

namespace pb = google::protobuf;

namespace live {

constexpr auto kHeadsEvery = std::chrono::seconds(5);
constexpr auto kAskTimeout = std::chrono::seconds(5);
constexpr auto kStartPatience = std::chrono::seconds(2);
constexpr uint64_t kBeyondAll = std::numeric_limits<int64_t>::max();
// Events written at once: a large write keeps the socket busy, a small one the processor.
constexpr size_t kWriteEvents = 64;
constexpr size_t kWriteBytes = 256 << 10;

// The payload as JSON; "null" if this gateway's descriptors do not know it.
std::string PayloadJson(const Api& api, const pb::Any& payload, bool personal) {
  const std::string& url = payload.type_url();
  const auto* type = api.pool().FindMessageTypeByName(url.substr(url.rfind('/') + 1));
  if (!type) return "null";
  pb::DynamicMessageFactory factory(&api.pool());
  std::unique_ptr<pb::Message> message(factory.GetPrototype(type)->New());
  if (!message->ParseFromString(payload.value())) return "null";
  ClearHidden(*message, personal);
  const std::string bytes = message->SerializeAsString();
  auto json = api.writer().Write(type, bytes);
  return json.ok() ? *std::move(json) : "null";
}

// Where gateways tell each other of streams.
constexpr int kKnownSeconds = 60;
constexpr int kOwnerEvery = 10;  // syncs
std::string OwnerKey(const std::string& stream_id) { return absl::StrCat("live:owner:", stream_id); }
std::string TopicsKey(const std::string& stream_id) { return absl::StrCat("live:topics:", stream_id); }
std::string OwnerOf(const Principal& reader) { return absl::StrCat(reader.tenant_id(), " ", reader.user_id); }

bool IsNameChar(char c) { return (c >= 'a' && c <= 'z') || c == '_'; }

}  // namespace live

std::string CursorText(const Cursor& cursor) {
  std::string text;
  for (const auto& [service, seq] : cursor) absl::StrAppend(&text, text.empty() ? "" : ".", service, "-", seq);
  return text;
}

absl::StatusOr<Cursor> ParseCursor(std::string_view text) {
  auto broken = [] { return FieldError("cursor", "must be the id of an event of such a stream, as it was received"); };
  Cursor cursor;
  if (text.empty() || text.size() > 500) return broken();
  for (absl::string_view part : absl::StrSplit(absl::string_view(text.data(), text.size()), '.')) {
    size_t dash = part.find('-');
    uint64_t seq = 0;
    if (dash == 0 || dash == absl::string_view::npos ||
        !std::all_of(part.begin(), part.begin() + dash, live::IsNameChar) ||
        !absl::SimpleAtoi(part.substr(dash + 1), &seq) || seq > live::kBeyondAll) {
      return broken();
    }
    if (!cursor.emplace(std::string(part.substr(0, dash)), seq).second) return broken();
  }
  return cursor;
}

const std::string& LiveEvent::Json(const Api& api, bool personal) const {
  std::lock_guard lock(mutex_);
  std::string& json = json_[personal];
  if (!json.empty()) return json;
  auto member = [&](const char* name, std::string_view value) {
    absl::StrAppend(&json, ",\"", name, "\":");
    json::AppendString(absl::string_view(value.data(), value.size()), json);
  };
  member("service", event_.service());
  absl::StrAppend(&json, ",\"seq\":", event_.seq());
  member("type", event_.type());
  member("id", event_.record_id());
  member("etag", event_.revision() ? absl::StrCat(event_.revision()) : "");
  json += ",\"changed_fields\":[";
  for (int i = 0; i < event_.changed_fields_size(); ++i) {
    if (i) json += ',';
    json::AppendString(event_.changed_fields(i), json);
  }
  json += ']';
  member("actor_id", event_.actor_id());
  member("time",
         absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ",
                          absl::FromUnixSeconds(event_.time().seconds()) + absl::Nanoseconds(event_.time().nanos()),
                          absl::UTCTimeZone()));
  absl::StrAppend(&json, ",\"payload\":", live::PayloadJson(api, event_.payload(), personal), "}");
  return json;
}

namespace live {

// Whether the reader's right to read such records reaches the event's owner.
bool Reaches(const Principal& reader, const std::string& object, const events::v1::Event& event) {
  switch (reader.rights->ScopeOf(object, type::v1::ACTION_READ)) {
    case type::v1::SCOPE_ALL:
      return true;
    case type::v1::SCOPE_TEAM:
      if (auto team = ParseId(event.team_id());
          team.ok() && std::find(reader.teams.begin(), reader.teams.end(), team->uuid) != reader.teams.end()) {
        return true;
      }
      [[fallthrough]];
    case type::v1::SCOPE_OWN:
      return !event.owner_id().empty() && event.owner_id() == reader.user_id;
    default:
      return false;
  }
}

}  // namespace live

bool MayHear(const Api& api, const Principal& reader, const events::v1::Event& event) {
  if (event.read_objects_size() > 0) {
    return std::all_of(event.read_objects().begin(), event.read_objects().end(),
                       [&](const std::string& object) { return live::Reaches(reader, object, event); });
  }
  std::string object = event.type().substr(0, event.type().find('.'));
  auto record = api.records().find(object);
  if (record != api.records().end()) {
    // What every signed-in user may get, every one may hear of; of owned records everybody gets their own alone (an inbox).
    if (record->second.read_by_all) {
      return !record->second.options.owned() || (!event.owner_id().empty() && event.owner_id() == reader.user_id);
    }
    object = record->second.read_object;
  }
  type::v1::Scope scope = reader.rights->ScopeOf(object, type::v1::ACTION_READ);
  switch (scope) {
    case type::v1::SCOPE_ALL:
      return true;
    case type::v1::SCOPE_TEAM:
    case type::v1::SCOPE_OWN:
      break;
    default:
      return false;
  }
  if (record != api.records().end() && !record->second.options.owned()) return true;
  return live::Reaches(reader, object, event);
}

// One open connection. What several threads touch is guarded by Live's mutex; the rest belongs to the connection's
// loop.
struct Live::Stream {
  Stream(const asio::any_io_executor& loop, Callers& callers, Caller caller, Call call)
      : executor(loop), bell(loop), recheck(callers, std::move(caller), std::move(call)) {}

  std::string id;
  std::string user_id;
  Uuid tenant;
  const asio::any_io_executor executor;
  events::Bell bell;
  Recheck recheck;
  std::string request_id;
  bool closed = false;
  int syncs = 0;
  Cursor wanted;               // where to resume
  std::set<std::string> skip;  // services that failed to answer about the past; asked again after a while

  // Guarded by Live::mutex_.
  std::weak_ptr<Stream> self;
  std::set<std::string> topics;                             // empty: all
  std::map<std::string, LanePtr> lanes;                     // by service
  std::map<std::string, std::optional<uint64_t>> position;  // by service; none: not known yet
  bool woken = false;
};

Live::Live(const Api& api, const Peers& peers, Callers& callers, redis::Client* redis, asio::any_io_executor home)
    : api_(api), peers_(peers), callers_(callers), redis_(redis), home_(std::move(home)) {
  for (const auto& [prefix, record] : api_.records()) topics_.insert(prefix);
  for (const auto& route : api_.routes()) {
    if (route.access.who_case() == type::v1::Access::kRight) topics_.insert(route.access.right().object());
  }
}

Live::~Live() = default;

size_t Live::streams() const {
  std::lock_guard lock(mutex_);
  return streams_.size();
}

// ---- lanes ----

void Live::Wake(const Lane& lane) {
  for (Stream* stream : lane.listeners) {
    if (stream->woken) continue;
    stream->woken = true;
    asio::post(stream->executor, [weak = stream->self] {
      if (auto alive = weak.lock()) alive->bell.Ring();
    });
  }
}

void Live::Append(Lane& lane, EventPtr event) {
  lane.head = event->event().seq();
  lane.recent.push_back(std::move(event));
  if (lane.recent.size() > kRecentMax) lane.recent.pop_front();
}

void Live::Heard(const std::string& service, const std::string& bytes) {
  auto key = events::KeyOf(bytes);
  if (!key.ok()) return;
  std::lock_guard lock(mutex_);
  auto it = lanes_.find({service, key->tenant});
  if (it == lanes_.end()) return;
  Lane& lane = *it->second;
  if (lane.known && key->seq <= lane.head) return;
  events::v1::Event event;
  if (!event.ParseFromString(bytes)) return;
  auto made = std::make_shared<const LiveEvent>(std::move(event));
  if (!lane.known || key->seq > lane.head + 1) {
    if (lane.ahead.size() < kAheadMax) lane.ahead.emplace(key->seq, std::move(made));
    if (lane.known) StartFill(it->second);
    return;
  }
  Append(lane, std::move(made));
  while (!lane.ahead.empty() && lane.ahead.begin()->first <= lane.head + 1) {
    if (lane.ahead.begin()->first == lane.head + 1) Append(lane, lane.ahead.begin()->second);
    lane.ahead.erase(lane.ahead.begin());
  }
  Wake(lane);
}

void Live::Gap() {
  std::lock_guard lock(mutex_);
  for (auto& [key, lane] : lanes_) StartFill(lane);
}

void Live::StartFill(const LanePtr& lane) {
  if (lane->filling) {
    lane->again = true;
    return;
  }
  lane->filling = true;
  // Posted, because the mutex is held and a coroutine spawned on its own loop begins at once.
  asio::post(home_, [this, lane] { asio::co_spawn(home_, Fill(lane), asio::detached); });
}

Async<events::v1::ListEventsResponse> Live::Ask(std::string service, Uuid tenant, uint64_t after, int limit) {
  CRM_CO_TRY(rpc::Client * peer, peers_.Find(service));
  events::v1::ListEventsRequest request;
  request.set_tenant_id(TypeId("tenant", tenant));
  request.set_after_seq(after);
  request.set_limit(limit);
  Call call = events::OwnCall("gateway", "crm.events.v1.EventLog.ListEvents", tenant, live::kAskTimeout);
  filled_.Add();
  co_return co_await peer->Unary<events::v1::ListEventsResponse>(call, "crm.events.v1.EventLog.ListEvents", request);
}

// Asks the producer until nothing is missing. A failure is left to the next look at the heads.
asio::awaitable<void> Live::Fill(LanePtr lane) {
  while (true) {
    uint64_t after;
    {
      std::lock_guard lock(mutex_);
      after = lane->known ? lane->head : live::kBeyondAll;
      lane->again = false;
    }
    auto answer = co_await Ask(lane->service, lane->tenant, after, after == live::kBeyondAll ? 1 : kFetch);
    std::lock_guard lock(mutex_);
    if (!answer.ok()) {
      lane->filling = false;
      if (answer.status().code() == absl::StatusCode::kUnimplemented && !lane->known) {  // a service without events
        lane->known = true;
        for (Stream* stream : lane->listeners) stream->position[lane->service] = 0;
        Wake(*lane);
      }
      co_return;
    }
    if (!lane->known) {
      lane->known = true;
      lane->head = answer->head_seq();
      for (Stream* stream : lane->listeners) {
        auto& position = stream->position[lane->service];
        if (!position) position = lane->head;
      }
    }
    for (auto& event : *answer->mutable_events()) {
      if (event.seq() == lane->head + 1) Append(*lane, std::make_shared<const LiveEvent>(std::move(event)));
    }
    while (!lane->ahead.empty() && lane->ahead.begin()->first <= lane->head + 1) {
      if (lane->ahead.begin()->first == lane->head + 1) Append(*lane, lane->ahead.begin()->second);
      lane->ahead.erase(lane->ahead.begin());
    }
    if (answer->head_seq() <= lane->head) {
      // A cursor beyond what the producer has ever numbered is of another history: it starts at the head.
      for (Stream* stream : lane->listeners) {
        auto& position = stream->position[lane->service];
        if (position && *position > lane->head) position = lane->head;
      }
    }
    Wake(*lane);
    bool more = lane->again || answer->head_seq() > lane->head;
    if (!more || lane->listeners.empty() || (answer->events().empty() && !lane->again && after != live::kBeyondAll)) {
      lane->filling = false;
      co_return;
    }
  }
}

asio::awaitable<void> Live::CheckHeadsOf(std::string service, std::vector<int> buckets) {
  auto peer = peers_.Find(service);
  if (!peer.ok()) co_return;
  events::v1::ListHeadsRequest request;
  for (int bucket : buckets) request.add_buckets(bucket);
  Call call = events::OwnCall("gateway", "crm.events.v1.EventLog.ListHeads", Uuid(), live::kAskTimeout);
  auto answer =
      co_await (*peer)->Unary<events::v1::ListHeadsResponse>(call, "crm.events.v1.EventLog.ListHeads", request);
  if (!answer.ok()) co_return;
  std::lock_guard lock(mutex_);
  for (const auto& head : answer->heads()) {
    auto tenant = ParseId(head.tenant_id());
    if (!tenant.ok()) continue;
    auto it = lanes_.find({service, tenant->uuid});
    if (it != lanes_.end() && it->second->known && it->second->head < head.seq()) StartFill(it->second);
  }
  // A tenant without any event has no head to be listed: its lane is at 0, and known by asking.
  for (auto& [key, lane] : lanes_) {
    if (key.first == service && !lane->known) StartFill(lane);
  }
}

asio::awaitable<void> Live::CheckHeads() {
  std::map<std::string, std::set<int>> buckets;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [key, lane] : lanes_) buckets[key.first].insert(key.second.bucket());
  }
  std::vector<std::pair<std::string, std::vector<int>>> questions;
  for (auto& [service, set] : buckets) questions.emplace_back(service, std::vector<int>(set.begin(), set.end()));
  auto ask = [&](size_t i) { return CheckHeadsOf(questions[i].first, questions[i].second); };
  co_await Together(questions.size(), ask);
}

Async<> Live::Run() {
  std::unique_ptr<events::Tail> tail;
  bool tailing = false;
  if (redis_) {
    tail = std::make_unique<events::Tail>(*redis_, events::TailOptions{.services = peers_.names()});
    tailing = true;
    asio::co_spawn(
        home_,
        tail->Run([this](const std::string& service, std::string event) { Heard(service, event); }, [this] { Gap(); }),
        [&tailing](std::exception_ptr, absl::Status) { tailing = false; });
  }
  asio::steady_timer timer(home_);
  co_await asio::this_coro::throw_if_cancelled(false);
  while (!co_await events::Cancelled()) {
    timer.expires_after(live::kHeadsEvery);
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (co_await events::Cancelled()) break;
    co_await CheckHeads();
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  if (tail) tail->Stop();
  while (tailing) {
    timer.expires_after(std::chrono::milliseconds(10));
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  co_return absl::OkStatus();
}

// ---- streams ----

absl::StatusOr<std::set<std::string>> Live::ReadTopics(const std::vector<std::string>& names) const {
  std::set<std::string> topics;
  for (const auto& name : names) {
    if (!topics_.count(name)) {
      return FieldError("topics", absl::StrCat("there is no topic \"", Truncated(name, 60), "\": use ",
                                               absl::StrJoin(topics_, ", ")));
    }
    topics.insert(name);
  }
  return topics;
}

absl::StatusOr<HttpResponse> Live::Open(const HttpRequest& request, const Call& call, Caller caller) {
  std::vector<std::string> names;
  std::string cursor(request.Header("Last-Event-ID"));
  CRM_TRY(auto parameters, ParseQuery(request.query));
  for (const auto& [name, value] : parameters) {
    if (name == "topics") {
      std::vector<std::string> more = absl::StrSplit(value, ',', absl::SkipWhitespace());
      names.insert(names.end(), more.begin(), more.end());
    } else if (name == "cursor") {
      if (cursor.empty()) cursor = value;  // a browser that reconnects knows better than the address it was given
    } else {
      absl::Status status =
          Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_FIELD_UNKNOWN,
                absl::StrCat("there is no parameter \"", name, "\": use topics and cursor"), {{"field", name}});
      return status;
    }
  }
  CRM_TRY(std::set<std::string> topics, ReadTopics(names));
  Cursor wanted;
  if (!cursor.empty()) {
    CRM_TRY(wanted, ParseCursor(cursor));
  }
  {
    std::lock_guard lock(mutex_);
    auto mine = per_user_.find(caller.identity->principal.user_id);
    bool full = streams_.size() >= kStreamsMax;
    if (full || (mine != per_user_.end() && mine->second >= kStreamsPerUser)) {
      absl::Status status = Error(absl::StatusCode::kResourceExhausted,
                                  full ? type::v1::ERROR_REASON_OVERLOADED : type::v1::ERROR_REASON_RATE_LIMITED,
                                  full ? "too many live streams are open: try again later"
                                       : absl::StrCat("you have ", kStreamsPerUser,
                                                      " live streams open: close one, or share one between tabs"));
      SetRetryDelay(status, std::chrono::seconds(5));
      return status;
    }
  }
  HttpResponse response = SseResponse();
  response.stream = [this, call, caller = std::move(caller), topics = std::move(topics), wanted = std::move(wanted),
                     request_id = request.request_id](StreamSink& sink) -> asio::awaitable<void> {
    auto stream = std::make_shared<Stream>(sink.executor(), callers_, caller, call);
    stream->id = NewId("stream", Now());
    stream->user_id = caller.identity->principal.user_id;
    stream->tenant = caller.identity->principal.tenant;
    stream->topics = topics;
    stream->wanted = wanted;
    stream->request_id = request_id;
    stream->self = stream;
    return RunStream(std::move(stream), sink);
  };
  return response;
}

Async<HttpResponse> Live::SetTopics(const std::string& stream_id, const HttpRequest& request, const Caller& caller) {
  auto body = nlohmann::json::parse(request.body, nullptr, false);
  if (body.is_discarded() || !body.is_object() || body.size() != 1 || !body.contains("topics") ||
      !body["topics"].is_array() || body["topics"].size() > 100) {
    co_return FieldError("topics",
                         "must be the body's only member, a list such as {\"topics\": [\"deal\", \"contact\"]}");
  }
  std::vector<std::string> names;
  for (const auto& name : body["topics"]) {
    if (!name.is_string()) co_return FieldError("topics", "must be a list of texts");
    names.push_back(name.get<std::string>());
  }
  CRM_CO_TRY(std::set<std::string> topics, ReadTopics(names));
  bool found = false;
  {
    std::lock_guard lock(mutex_);
    auto it = streams_.find(stream_id);
    auto stream = it == streams_.end() ? nullptr : it->second.lock();
    found = stream && stream->user_id == caller.identity->principal.user_id &&
            stream->tenant == caller.identity->principal.tenant;
    if (found) stream->topics = topics;
  }
  if (!found) {
    auto told = co_await SetElsewhere(stream_id, topics, caller);
    found = told.ok() && *told;
  }
  if (!found) {
    co_return Error(absl::StatusCode::kNotFound, type::v1::ERROR_REASON_RECORD_NOT_FOUND,
                    "there is no such open stream: open one at /v1/events with the topics that you want",
                    {{"id", Truncated(stream_id, 100)}});
  }
  HttpResponse response;
  response.body = nlohmann::json({{"stream_id", stream_id}, {"topics", topics}}).dump();
  co_return response;
}

Async<bool> Live::SetElsewhere(std::string stream_id, std::set<std::string> topics, const Caller& caller) {
  if (!redis_ || !ParseId(stream_id, "stream", "stream_id").ok()) co_return false;
  CRM_CO_TRY(redis::Reply owner, co_await redis_->Command(redis::Args("GET", live::OwnerKey(stream_id))));
  if (owner.IsNil() || owner.text != live::OwnerOf(caller.identity->principal)) co_return false;
  CRM_CO_TRY(co_await redis_->Command(
      redis::Args("SET", live::TopicsKey(stream_id), absl::StrJoin(topics, ","), "EX", live::kKnownSeconds)));
  co_return true;
}

asio::awaitable<void> Live::Sync(Stream& stream) {
  if (!redis_) co_return;
  const Principal& reader = stream.recheck.caller().identity->principal;
  if (stream.syncs++ % live::kOwnerEvery == 0) {
    auto said = co_await redis_->Command(
        redis::Args("SET", live::OwnerKey(stream.id), live::OwnerOf(reader), "EX", live::kKnownSeconds));
    if (!said.ok()) {
      stream.syncs = 0;  // the next time
      co_return;
    }
  }
  auto asked = co_await redis_->Command(redis::Args("GETDEL", live::TopicsKey(stream.id)));
  if (!asked.ok() || asked->IsNil()) co_return;
  auto topics = ReadTopics(absl::StrSplit(asked->text, ',', absl::SkipEmpty()));
  if (!topics.ok()) co_return;  // of a gateway that knows other ones
  std::lock_guard lock(mutex_);
  stream.topics = *topics;
}

void Live::Join(Stream& stream) {
  std::lock_guard lock(mutex_);
  streams_[stream.id] = stream.self;
  ++per_user_[stream.user_id];
  open_.Set(static_cast<double>(streams_.size()));
  for (const auto& service : peers_.names()) {
    auto& lane = lanes_[{service, stream.tenant}];
    if (!lane) {
      lane = std::make_shared<Lane>();
      lane->service = service;
      lane->tenant = stream.tenant;
    }
    lane->listeners.insert(&stream);
    stream.lanes[service] = lane;
    auto& position = stream.position[service];
    auto wanted = stream.wanted.find(service);
    if (wanted != stream.wanted.end()) {
      position = wanted->second;
    } else if (lane->known) {
      position = lane->head;
    }
    if (!lane->known || *position > lane->head) StartFill(lane);
  }
}

void Live::Leave(Stream& stream) {
  std::lock_guard lock(mutex_);
  streams_.erase(stream.id);
  auto mine = per_user_.find(stream.user_id);
  if (mine != per_user_.end() && --mine->second == 0) per_user_.erase(mine);
  open_.Set(static_cast<double>(streams_.size()));
  for (auto& [service, lane] : stream.lanes) {
    lane->listeners.erase(&stream);
    if (lane->listeners.empty()) lanes_.erase({service, stream.tenant});
  }
}

// Some events of one lane from the stream's position on; its position is moved by the caller, event by event. Empty
// when there is nothing new.
Async<std::vector<Live::EventPtr>> Live::Next(Stream& stream, std::string& service) {
  std::vector<EventPtr> out;
  uint64_t after = 0;
  {
    std::lock_guard lock(mutex_);
    stream.woken = false;
    for (auto& [name, lane] : stream.lanes) {
      auto& position = stream.position[name];
      if (!position || !lane->known || *position >= lane->head || stream.skip.count(name)) continue;
      service = name;
      after = *position;
      if (!lane->recent.empty() && lane->recent.front()->event().seq() <= after + 1) {
        size_t first = after + 1 - lane->recent.front()->event().seq();
        for (size_t i = first; i < lane->recent.size() && out.size() < live::kWriteEvents; ++i)
          out.push_back(lane->recent[i]);
        co_return out;
      }
      break;
    }
  }
  if (service.empty()) co_return out;
  co_return co_await FetchHistory(stream, service, after);
}

Async<std::vector<Live::EventPtr>> Live::FetchHistory(const Stream& stream, std::string service, uint64_t after) {
  CRM_CO_TRY(auto answer, co_await Ask(service, stream.tenant, after, kFetch));
  std::vector<EventPtr> out;
  for (auto& event : *answer.mutable_events()) {
    if (event.seq() == after + 1 + out.size()) out.push_back(std::make_shared<const LiveEvent>(std::move(event)));
  }
  co_return out;
}

asio::awaitable<void> Live::RunStream(std::shared_ptr<Stream> stream, StreamSink& sink) {
  using Clock = std::chrono::steady_clock;
  sink.OnClose([weak = stream->self] {
    if (auto alive = weak.lock()) {
      alive->closed = true;
      alive->bell.Ring();
    }
  });
  Join(*stream);
  struct Leaving {
    Live* live;
    Stream* stream;
    ~Leaving() { live->Leave(*stream); }
  } leaving{this, stream.get()};

  // The places of all lanes, so that what happens from "ready" on is heard. A producer that is away joins later.
  auto patience = Clock::now() + live::kStartPatience;
  while (!stream->closed && Clock::now() < patience) {
    bool ready = true;
    {
      std::lock_guard lock(mutex_);
      stream->woken = false;
      for (const auto& [service, position] : stream->position)
        ready &= position.has_value() && stream->lanes[service]->known;
    }
    if (ready) break;
    co_await stream->bell.Wait(std::chrono::duration_cast<std::chrono::milliseconds>(patience - Clock::now()) +
                               std::chrono::milliseconds(1));
  }
  auto here = [&] {
    std::lock_guard lock(mutex_);
    Cursor cursor;
    for (const auto& [service, position] : stream->position) {
      if (position) cursor[service] = *position;
    }
    return cursor;
  };
  co_await Sync(*stream);  // from "ready" on, every gateway knows it
  auto sync = Clock::now() + kSync;
  std::string last_id = CursorText(here());
  std::string ready = absl::StrCat("{\"stream_id\":\"", stream->id, "\",\"cursor\":\"", last_id, "\"}");
  if (!(co_await sink.Write(absl::StrCat("retry: 2000\n", SseEvent(last_id, "ready", ready)))).ok()) co_return;
  auto heartbeat = Clock::now() + kHeartbeat;

  while (!stream->closed) {
    absl::Status allowed = co_await stream->recheck.IfDue();
    if (!allowed.ok()) {
      co_await sink.Write(SseError(allowed, stream->request_id));
      co_return;
    }
    if (Clock::now() >= sync) {
      co_await Sync(*stream);
      sync = Clock::now() + kSync;
    }
    std::string service;
    auto events = co_await Next(*stream, service);
    std::string text;
    if (events.ok() && !events->empty()) {
      const Principal& reader = stream->recheck.caller().identity->principal;
      std::set<std::string> topics;
      {
        std::lock_guard lock(mutex_);
        topics = stream->topics;
      }
      Cursor cursor = here();
      uint64_t reached = 0;
      for (const auto& event : *events) {
        reached = event->event().seq();
        if ((!topics.empty() && !topics.count(event->topic())) || !MayHear(api_, reader, event->event())) continue;
        cursor[service] = reached;
        last_id = CursorText(cursor);
        text +=
            SseEvent(last_id, "",
                     absl::StrCat("{\"cursor\":\"", last_id, "\"", event->Json(api_, reader.rights->personal_data)));
        sent_.Add();
        if (text.size() > live::kWriteBytes) break;
      }
      if (!text.empty()) {
        if (!(co_await sink.Write(std::move(text))).ok()) co_return;
        heartbeat = Clock::now() + kHeartbeat;
      }
      std::lock_guard lock(mutex_);
      stream->position[service] = reached;
      continue;
    }
    if (!service.empty()) {  // this producer does not answer: the other lanes go on
      stream->skip.insert(service);
      continue;
    }
    auto now = Clock::now();
    if (now >= heartbeat) {
      // With the place reached, which events that this reader may not hear have moved on.
      std::string id = CursorText(here());
      std::string beat = id == last_id ? ": still here\n\n" : absl::StrCat("id: ", id, "\n: still here\n\n");
      last_id = id;
      if (!(co_await sink.Write(std::move(beat))).ok()) co_return;
      heartbeat = now + kHeartbeat;
    }
    auto until = std::min({heartbeat, stream->recheck.due(), sync});
    if (!stream->skip.empty()) until = std::min(until, now + std::chrono::milliseconds(1000));
    co_await stream->bell.Wait(
        std::max(std::chrono::duration_cast<std::chrono::milliseconds>(until - now), std::chrono::milliseconds(1)));
    if (Clock::now() >= until) stream->skip.clear();
  }
}

}  // namespace crm::gateway
