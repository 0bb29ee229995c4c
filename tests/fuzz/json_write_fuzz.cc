// covers: common/json/writer.cc common/json/wire.cc common/json/plan.cc
// The wire -> JSON without messages: bytes that protobuf's parser takes are written as the message that it makes of them;
// what it refuses is refused, but for what a later value replaces.
#include <google/protobuf/stubs/logging.h>

#include <nlohmann/json.hpp>

#include "common/json/json.h"
#include "crm/testing/v1/thing.pb.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(json_write) {
  using namespace crm;
  static const google::protobuf::LogSilencer quiet;  // the parser tells of bad UTF-8
  const absl::string_view wire = input.Rest();
  const auto json = json::Writer::Generated().Write(crm::testing::v1::Thing::descriptor(), wire);
  crm::testing::v1::Thing parsed;
  if (json.ok()) fuzz::Require(nlohmann::json::accept(*json), "what is written is JSON", *json);
  if (!parsed.ParseFromArray(wire.data(), static_cast<int>(wire.size()))) return;
  const auto again = json::Write(parsed);
  fuzz::Require(json.ok() == again.ok(), "both can be written, or none", json.status().message());
  if (json.ok()) fuzz::Require(*json == *again, "bytes are written as the message that they are", *json);
}
