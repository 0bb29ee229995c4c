// covers: common/json/reader.cc
// Query parameters -> messages: what is read can be written as JSON; what is refused names its parameter.
#include <memory>

#include "common/json/json.h"
#include "crm/testing/v1/thing.pb.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/common/json/types.h"

CRM_FUZZ(json_parameters) {
  using namespace crm;
  std::vector<std::pair<std::string, std::string>> parameters;
  while (!input.empty() && parameters.size() < 20) {
    const absl::string_view line = input.Line();
    const size_t equals = std::min(line.find('='), line.size());
    parameters.emplace_back(line.substr(0, equals), line.substr(std::min(equals + 1, line.size())));
  }
  static const crm::testing::v1::Thing thing;
  static const google::protobuf::Message* const everything = json::test::SharedTypes().New("Everything").release();
  const bool all = !parameters.empty() && parameters[0].first == "everything";
  if (all) parameters.erase(parameters.begin());
  const std::unique_ptr<google::protobuf::Message> message(all ? everything->New() : thing.New());
  const absl::Status read = json::ReadParameters(parameters, *message);
  if (!read.ok()) {
    fuzz::Require(!ViolationsOf(read).empty(), "the error names its parameter", read.message());
    return fuzz::RequireRefusal(read);
  }
  fuzz::Require(json::Write(*message).ok(), "what was read can be written");
}
