#include "common/redis/stream.h"

#include <utility>

namespace crm::redis {

Args AddToStream(const std::string& key, const std::string& body, int64_t length_max) {
  return Args("XADD", key, "MAXLEN", "~", length_max, "*", "e", body);
}

Async<> StreamReader::SeekToEnd(const std::vector<std::string>& streams) {
  std::vector<Args> commands;
  for (const std::string& stream : streams) commands.emplace_back("XREVRANGE", stream, "+", "-", "COUNT", 1);
  auto replies = co_await connection_->Pipeline(std::move(commands));
  if (!replies.ok()) co_return replies.status();
  std::map<std::string, std::string> places;
  for (size_t i = 0; i < streams.size(); ++i) {
    const absl::StatusOr<Reply>& reply = (*replies)[i];
    if (!reply.ok()) co_return reply.status();
    bool empty = reply->items.empty() || reply->items[0].items.empty();
    places[streams[i]] = empty ? "0-0" : reply->items[0].items[0].text;
  }
  places_ = std::move(places);
  connects_ = connection_->connects();
  co_return absl::OkStatus();
}

Async<std::vector<Entry>> StreamReader::Read(std::chrono::milliseconds wait, int count_max) {
  // A connection made anew in between: what was published meanwhile may have been lost with the old Redis.
  if (connection_->connects() != connects_) co_return absl::UnavailableError("Redis was away in between");
  Args args("XREAD", "COUNT", count_max, "BLOCK", wait.count(), "STREAMS");
  for (const auto& [stream, place] : places_) args.Add(stream);
  for (const auto& [stream, place] : places_) args.Add(place);
  auto reply = co_await connection_->Command(std::move(args), wait + std::chrono::milliseconds(1000));
  if (!reply.ok()) co_return reply.status();
  if (connection_->connects() != connects_) co_return absl::UnavailableError("Redis was away in between");
  std::vector<Entry> entries;
  for (Reply& stream : reply->items) {  // [[stream, [[id, [field, value, ...]], ...]], ...]
    if (stream.items.size() != 2) co_return absl::UnavailableError("XREAD answered something else");
    std::string& place = places_[stream.items[0].text];
    for (Reply& entry : stream.items[1].items) {
      if (entry.items.size() != 2) co_return absl::UnavailableError("XREAD answered something else");
      place = entry.items[0].text;
      if (entry.items[1].items.size() < 2) continue;
      entries.push_back({stream.items[0].text, place, std::move(entry.items[1].items[1].text)});
    }
  }
  co_return entries;
}

}  // namespace crm::redis
