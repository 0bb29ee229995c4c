#include "common/events/event_log.h"

#include <absl/strings/escaping.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "common/base/error.h"
#include "common/events/wire.h"

namespace crm::events {

namespace answering {

constexpr int kEventsDefault = 500;
constexpr int kEventsMax = 1000;
// An answer must fit into a gRPC message of 4 MiB; the consumer asks again for the rest.
constexpr size_t kBytesMax = 2u << 20;
constexpr int kLettersDefault = 50;
constexpr int kLettersMax = 500;

const pg::Statement kListEvents{
    "events.list_events",
    "SELECT seq, event FROM outbox WHERE tenant_id = $1 AND seq > $2::bigint ORDER BY seq LIMIT $3::int"};
const pg::Statement kHead{"events.head", "SELECT seq FROM lane WHERE tenant_id = $1"};
// The newest event without a number, then whether any up to it is left.
const pg::Statement kUnsettled{
    "events.unsettled",
    "SELECT coalesce(max(id), 0) FROM outbox WHERE bucket = $2::smallint AND tenant_id = $1 AND seq IS NULL"};
const pg::Statement kStillUnsettled{
    "events.still_unsettled",
    "SELECT EXISTS (SELECT 1 FROM outbox WHERE bucket = $2::smallint AND tenant_id = $1 AND seq IS NULL "
    "AND id <= $3::bigint)"};
const pg::Statement kReached{"events.reached", "SELECT seq FROM position WHERE tenant_id = $1 AND producer = $2"};
// How long a reader waits for its own write, and how often it is looked for: an event takes 20-100 ms.
constexpr auto kSettleMax = std::chrono::milliseconds(1000);
constexpr auto kLookEvery = std::chrono::milliseconds(10);
const pg::Statement kListHeads{
    "events.list_heads",
    "SELECT tenant_id, seq FROM lane WHERE seq > 0 AND (cardinality($1::int[]) = 0 OR bucket = ANY ($1::int[]))"};
const pg::Statement kListLetters{
    "events.list_letters",
    "SELECT producer, seq, event, attempts, error, create_time FROM dead_letter "
    "WHERE tenant_id = $1 AND (create_time, producer, seq) > ($2::timestamptz, $3, $4::bigint) "
    "ORDER BY create_time, producer, seq LIMIT $5::int"};

// Waits a moment; false when it is time to answer.
asio::awaitable<bool> Pause(std::chrono::steady_clock::time_point until) {
  if (std::chrono::steady_clock::now() + kLookEvery > until) co_return false;
  asio::steady_timer timer(co_await asio::this_coro::executor, kLookEvery);
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  co_return true;
}

// Where a page of dead letters ended.
struct Place {
  int64_t micros = 0;
  std::string producer;
  int64_t seq = 0;
};

std::string TokenOf(const Place& place) {
  return absl::WebSafeBase64Escape(absl::StrCat(place.micros, " ", place.seq, " ", place.producer));
}

std::optional<Place> PlaceOf(const std::string& token) {
  Place place;
  if (token.empty()) return place;
  std::string text;
  if (!absl::WebSafeBase64Unescape(token, &text)) return std::nullopt;
  std::vector<std::string> parts = absl::StrSplit(text, ' ');
  if (parts.size() != 3 || !absl::SimpleAtoi(parts[0], &place.micros) || !absl::SimpleAtoi(parts[1], &place.seq)) {
    return std::nullopt;
  }
  // What PostgreSQL can hold, and text that it takes.
  if (place.micros < 0 || place.micros > 4'102'444'800'000'000) return std::nullopt;
  for (char c : parts[2]) {
    if (!(c >= 'a' && c <= 'z') && c != '_') return std::nullopt;
  }
  place.producer = parts[2];
  return place;
}

}  // namespace answering

Async<v1::ListEventsResponse> EventLog::ListEvents(Call& call, const v1::ListEventsRequest& request) {
  CRM_CO_TRY(Uuid tenant, ParseId(request.tenant_id(), "tenant", "tenant_id"));
  if (!call.tenant().IsNil() && call.tenant() != tenant) {
    co_return FieldError("tenant_id", "must be the tenant that the call is made for");
  }
  Call own = call;
  own.principal.tenant = tenant;
  int limit = request.limit() == 0 ? answering::kEventsDefault : std::min(request.limit(), answering::kEventsMax);
  pg::Batch batch(own);
  batch.Add(answering::kListEvents, pg::Params().Id(tenant).Int(static_cast<int64_t>(request.after_seq())).Int(limit));
  batch.Add(answering::kHead, pg::Params().Id(tenant));
  pg::Db::ReadOptions options;
  options.work = pg::Work::kList;
  CRM_CO_TRY(std::vector<pg::Rows> results, co_await db_.Read(own, std::move(batch), options));
  v1::ListEventsResponse response;
  size_t bytes = 0;
  const pg::Rows& rows = results[0];
  for (int i = 0; i < rows.size(); ++i) {
    absl::string_view event = rows.Bytes(i, 1);
    bytes += event.size();
    if (i > 0 && bytes > answering::kBytesMax) break;
    v1::Event* out = response.add_events();
    if (!out->ParseFromArray(event.data(), static_cast<int>(event.size()))) {
      co_return absl::DataLossError(absl::StrCat("event ", rows.Int(i, 0), " of the outbox cannot be read"));
    }
    out->set_seq(static_cast<uint64_t>(rows.Int(i, 0)));
  }
  if (!results[1].empty()) response.set_head_seq(static_cast<uint64_t>(results[1].Int(0, 0)));
  co_return response;
}

Async<v1::SettleLaneResponse> EventLog::SettleLane(Call& call, const v1::SettleLaneRequest& request) {
  CRM_CO_TRY(Uuid tenant, ParseId(request.tenant_id(), "tenant", "tenant_id"));
  Call own = call;
  own.principal.tenant = tenant;
  const auto until = std::min(call.deadline, std::chrono::steady_clock::now() + answering::kSettleMax);
  const auto lane = pg::Params().Id(tenant).Int(tenant.bucket());
  CRM_CO_TRY(pg::Rows newest, co_await db_.Read(own, answering::kUnsettled, lane));
  const int64_t last = newest.Int(0, 0);
  v1::SettleLaneResponse response;
  response.set_settled(last == 0);
  if (last != 0 && poke_) poke_(tenant);
  while (!response.settled()) {
    const bool on = co_await answering::Pause(until);
    if (!on) break;
    CRM_CO_TRY(pg::Rows left, co_await db_.Read(own, answering::kStillUnsettled, pg::Params(lane).Int(last)));
    response.set_settled(!left.Bool(0, 0));
  }
  CRM_CO_TRY(pg::Rows head, co_await db_.Read(own, answering::kHead, pg::Params().Id(tenant)));
  if (!head.empty()) response.set_seq(static_cast<uint64_t>(head.Int(0, 0)));
  co_return response;
}

Async<v1::AwaitPositionResponse> EventLog::AwaitPosition(Call& call, const v1::AwaitPositionRequest& request) {
  CRM_CO_TRY(Uuid tenant, ParseId(request.tenant_id(), "tenant", "tenant_id"));
  v1::AwaitPositionResponse response;
  const bool heard = std::any_of(heard_.begin(), heard_.end(),
                                 [&](const Subscription* one) { return one->producer() == request.producer(); });
  uint64_t seq = request.seq();
  if (heard && seq == kCommitted) {
    v1::SettleLaneRequest settle;
    settle.set_tenant_id(request.tenant_id());
    CRM_CO_TRY(const v1::SettleLaneResponse lane, co_await SettleLane(call, settle));
    if (!lane.settled()) co_return response;
    seq = lane.seq();
  }
  response.set_reached(!heard || seq == 0);
  Call own = call;
  own.principal.tenant = tenant;
  const auto until = std::min(call.deadline, std::chrono::steady_clock::now() + answering::kSettleMax);
  while (!response.reached()) {
    CRM_CO_TRY(pg::Rows rows,
               co_await db_.Read(own, answering::kReached, pg::Params().Id(tenant).Text(request.producer())));
    response.set_reached(!rows.empty() && static_cast<uint64_t>(rows.Int(0, 0)) >= seq);
    if (response.reached()) break;
    const bool on = co_await answering::Pause(until);
    if (!on) break;
  }
  co_return response;
}

Async<v1::ListHeadsResponse> EventLog::ListHeads(Call& call, const v1::ListHeadsRequest& request) {
  std::vector<int64_t> buckets(request.buckets().begin(), request.buckets().end());
  Call own = call;
  own.principal.tenant = Uuid{};
  CRM_CO_TRY(pg::Rows rows,
             co_await worker_db_.Read(own, answering::kListHeads, pg::Params().IntArray(buckets), pg::Work::kList));
  v1::ListHeadsResponse response;
  response.mutable_heads()->Reserve(rows.size());
  for (int i = 0; i < rows.size(); ++i) {
    auto* head = response.add_heads();
    head->set_tenant_id(TypeId("tenant", rows.Id(i, 0)));
    head->set_seq(static_cast<uint64_t>(rows.Int(i, 1)));
  }
  co_return response;
}

Async<v1::ListDeadLettersResponse> EventLog::ListDeadLetters(Call& call, const v1::ListDeadLettersRequest& request) {
  std::optional<answering::Place> place = answering::PlaceOf(request.page_token());
  if (!place) {
    co_return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_PAGE_TOKEN_INVALID,
                    "page_token is not one that this list has answered; leave it out to begin anew");
  }
  int size =
      request.page_size() == 0 ? answering::kLettersDefault : std::min(request.page_size(), answering::kLettersMax);
  CRM_CO_TRY(pg::Rows rows, co_await db_.Read(call, answering::kListLetters,
                                              pg::Params()
                                                  .Id(call.tenant())
                                                  .Time(absl::FromUnixMicros(place->micros))
                                                  .Text(place->producer)
                                                  .Int(place->seq)
                                                  .Int(size + 1),
                                              pg::Work::kList));
  v1::ListDeadLettersResponse response;
  for (int i = 0; i < std::min(rows.size(), size); ++i) {
    v1::DeadLetter* letter = response.add_dead_letters();
    letter->set_id(absl::StrCat(rows.Text(i, 0), ":", rows.Int(i, 1)));
    absl::string_view event = rows.Bytes(i, 2);
    letter->mutable_event()->ParseFromArray(event.data(), static_cast<int>(event.size()));
    letter->set_attempts(static_cast<int32_t>(rows.Int(i, 3)));
    letter->set_error(std::string(rows.Text(i, 4)));
    int64_t micros = absl::ToUnixMicros(rows.Time(i, 5));
    letter->mutable_create_time()->set_seconds(micros / 1'000'000);
    letter->mutable_create_time()->set_nanos(static_cast<int32_t>(micros % 1'000'000) * 1000);
    if (rows.size() > size && i == size - 1) {
      response.set_next_page_token(answering::TokenOf({micros, std::string(rows.Text(i, 0)), rows.Int(i, 1)}));
    }
  }
  co_return response;
}

Async<v1::DeadLetter> EventLog::ReplayDeadLetter(Call& call, const v1::ReplayDeadLetterRequest& request) {
  std::vector<std::string> parts = absl::StrSplit(request.id(), ':');
  uint64_t seq = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[1], &seq) || seq == 0 || seq > INT64_MAX) {
    co_return FieldError("id", "must be a dead letter's id as ListDeadLetters answers it: \"<producer>:<number>\"");
  }
  for (Subscription* subscription : heard_) {
    if (subscription->producer() == parts[0]) co_return co_await subscription->Replay(call, seq);
  }
  co_return NotFound(request.id());
}

}  // namespace crm::events
