// Letters on the wire: MIME (RFC 2045-2049, 2047 and 2231 headers, RFC 3464 reports) by GMime 3.
#pragma once

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>

#include <chrono>
#include <string>
#include <vector>

#include "crm/messaging/v1/channel.pb.h"
#include "crm/messaging/v1/letter.pb.h"
#include "crm/messaging/v1/message.pb.h"

namespace crm::messaging {

struct OutgoingFile {
  std::string name, content_type, content;
};

// The whole letter with CRLF line ends: text and HTML as alternatives, files after them; headers in UTF-8 as RFC 2047
// wants them. Thread-safe.
std::string BuildLetter(const v1::Message& message, const std::vector<OutgoingFile>& files, absl::Time date);

// Reads a letter in any state: whatever is broken is left out, never refused. Text and HTML in UTF-8. May loop or grow
// on malicious input: call it in a child (ParseInChild), except in tests and fuzzers.
v1::ParsedLetter ParseLetter(absl::string_view raw);

// What a child may use.
struct ChildLimits {
  std::chrono::milliseconds time{20000};
  size_t memory_bytes = size_t{1} << 30;
};
// Runs `program` with the argument "parse-mail", hands it the letter and reads the answer; kills it when its time is up.
// Blocks: call it through Offload. DATA_LOSS if the child was killed or died: the letter cannot be read.
absl::StatusOr<v1::ParsedLetter> ParseInChild(const std::string& program, absl::string_view raw,
                                              ChildLimits limits = {});
// The child's main: limits itself as its arguments say, then stdin to stdout.
int ParseMailMain(int argc, char** argv);

}  // namespace crm::messaging
