// Redis streams read plainly: no groups, no acks. Each reader keeps its own place.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/redis/client.h"

namespace crm::redis {

// XADD <key> MAXLEN ~ <max> * e <body>: one field, trimmed roughly so that a stream stays bounded without readers.
Args AddToStream(const std::string& key, const std::string& body, int64_t length_max);

struct Entry {
  std::string stream;
  std::string id;
  std::string body;
};

// Reads several streams from a place in each. One loop, one connection of its own.
class StreamReader {
 public:
  explicit StreamReader(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}

  // Places each stream behind its newest entry. Streams that do not exist yet are read from their beginning.
  Async<> SeekToEnd(const std::vector<std::string>& streams);

  // The next entries of all streams, in order within a stream; none when nothing came within `wait`. After an error, or
  // when Redis was emptied in between, entries may have been missed: seek again.
  Async<std::vector<Entry>> Read(std::chrono::milliseconds wait, int count_max);

  void Close() { connection_->Close(); }

 private:
  std::unique_ptr<Connection> connection_;
  std::map<std::string, std::string> places_;  // stream -> id of the last entry read
  uint64_t connects_ = 0;                      // of the connection that the places were found on
};

}  // namespace crm::redis
