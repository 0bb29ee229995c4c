// covers: common/rpc/wire.cc#ToWire,FromWire,PercentEncoded,PercentDecoded,ParseTimeout,TimeoutText,PutPrefix common/rpc/status.cc
// grpc-message, grpc-timeout and grpc-status-details-bin.
#include <google/protobuf/stubs/logging.h>

#include <algorithm>

#include "common/rpc/wire.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(grpc_text) {
  using namespace crm;
  namespace wire = rpc::wire;
  static const google::protobuf::LogSilencer quiet;
  const int code = input.Byte();
  const absl::string_view text = input.Rest();
  const std::string encoded = wire::PercentEncoded(text);
  fuzz::Require(std::all_of(encoded.begin(), encoded.end(), [](char c) { return c >= ' ' && c <= '~'; }) &&
                    (encoded.empty() || (encoded.front() != ' ' && encoded.back() != ' ')),
                "a header's value", encoded);
  fuzz::Require(wire::PercentDecoded(encoded) == text, "a message stays as it is", encoded);
  wire::PercentDecoded(text);
  if (const auto timeout = wire::ParseTimeout(text)) {
    fuzz::Require(timeout->count() >= 0, "nobody waits for the past", text);
    const auto again = wire::ParseTimeout(wire::TimeoutText(*timeout));
    fuzz::Require(again.has_value(), "a timeout can be sent on", text);
  }
  const absl::Status status = wire::FromWire({code, "", std::string(text)});
  fuzz::Require(status.ok() == (code == 0), "only 0 is OK");
  const wire::WireStatus out = wire::ToWire(status);
  fuzz::Require(out.details.size() <= wire::kErrorBytesMax * 2, "an error fits into its trailers");
}
