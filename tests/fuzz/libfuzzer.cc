// What libFuzzer (llvm.org/docs/LibFuzzer.html) calls: the one fuzzer that is linked in.
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const crm::fuzz::Run run = crm::fuzz::Registered().begin()->second;
  crm::fuzz::Input input(absl::string_view(reinterpret_cast<const char*>(data), size));
  run(input);
  return 0;
}
