// covers: common/pg/row_wire.cc
// jsonb of a row -> the wire, the short way: what it reads, the general reader reads as the same; what it does not, it
// leaves untouched.
#include <google/protobuf/stubs/logging.h>

#include <nlohmann/json.hpp>

#include "common/json/json.h"
#include "common/pg/row_wire.h"
#include "crm/testing/v1/thing.pb.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(json_row) {
  using namespace crm;
  using crm::testing::v1::Thing;
  static const google::protobuf::LogSilencer quiet;
  static const char* const kFields[] = {"parts", "place", "labels", "tags", "numbers",
                                        "kinds", "big",   "ratio",  "extra"};
  const auto* field = Thing::descriptor()->FindFieldByName(input.Of(kFields));
  input.Line();
  const absl::string_view text = input.Rest();
  const auto* reader = pg::record::JsonWire::Of(field);
  if (reader == nullptr) return fuzz::Require(field->name() == "extra", "only Structs are not known", field->name());

  std::string wire = "before";
  const bool any = reader->Append(text, wire);
  fuzz::Require(any || wire == "before", "what is not read leaves no trace", text);
  // Beyond that only what PostgreSQL answers has a meaning: well-formed, no member twice (here the last one stays), no
  // NUL.
  const auto parsed = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return;
  const std::string jsonb = parsed.dump();
  if (jsonb.find("\\u0000") != std::string::npos) return;
  wire.clear();
  if (!reader->Append(jsonb, wire)) return;
  Thing quick, general;
  fuzz::Require(quick.ParseFromString(wire), "a wire format comes out", jsonb);
  const absl::Status read = json::ReadField(jsonb, field, general);
  fuzz::Require(read.ok(), "what is read the short way, the general reader reads", read.message());
  fuzz::Require(json::Write(quick).value_or("quick") == json::Write(general).value_or("general"), "both read the same",
                jsonb);
}
