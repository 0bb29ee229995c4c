// covers: common/app/config.cc
// The configuration: whatever stands in the file, the answer names it; what can be read can be asked for addresses.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "common/app/config.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(config) {
  using namespace crm;
  struct File {
    std::string path = "/tmp/crm_fuzz_config_XXXXXX";
    int descriptor = mkstemp(path.data());
    ~File() {
      close(descriptor);
      unlink(path.c_str());
    }
  };
  static const File file;
  const absl::string_view text = input.Rest();
  fuzz::Require(ftruncate(file.descriptor, 0) == 0 &&
                    pwrite(file.descriptor, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()),
                "the file can be written");
  const auto config = app::LoadConfig(file.path);
  if (!config.ok()) return fuzz::RequireRefusal(config.status());
  for (const absl::Status& status : {app::CheckServing(*config, "contact"), app::CheckMigrating(*config)}) {
    if (!status.ok()) fuzz::RequireRefusal(status);
  }
  if (const auto address = app::ParseAddress(config->listen(), "listen"); address.ok()) {
    fuzz::Require(!address->host.empty() && address->port >= 0 && address->port <= 65535, "an address has two parts",
                  config->listen());
  }
  // libpq reads what we quote as it was meant.
  const std::string info = app::ConnInfo(config->postgres(), config->postgres().admin_user());
  fuzz::Require(info.find("user=") != std::string::npos, "the role is named", info);
}
