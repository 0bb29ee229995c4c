// covers: services/gateway/compress.cc
// gzip: what was packed comes out again, and nothing becomes larger than allowed.
#include "services/gateway/compress.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(gzip) {
  using namespace crm;
  constexpr size_t kMax = 200 << 10;
  const absl::string_view bytes = input.Rest();
  const std::string_view view(bytes.data(), bytes.size());
  const auto unpacked = gateway::Gunzip(view, kMax);
  if (unpacked.ok()) {
    fuzz::Require(unpacked->size() <= kMax, "nothing grows beyond what is allowed");
  } else {
    fuzz::RequireRefusal(unpacked.status());
  }
  const std::string packed = gateway::Gzip(view);
  if (!packed.empty()) fuzz::Require(gateway::Gunzip(packed, kMax).value_or("") == view, "Gunzip(Gzip(x)) == x");
  gateway::AcceptsGzip(view);
}
