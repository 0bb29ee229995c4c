// covers: services/gateway/static_files.cc
// Paths of the console's files: whatever a path says, nothing outside of the folder is served.
#include <absl/strings/match.h>

#include <filesystem>
#include <fstream>

#include "services/gateway/static_files.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/common/rpc/keys.h"

CRM_FUZZ(static_file) {
  using namespace crm;
  static const crm::testing::Folder folder;
  static const gateway::Folders folders = [] {
    namespace fs = std::filesystem;
    fs::create_directories(folder / "site/deep");
    for (const char* name : {"site/index.html", "site/deep/index.html", "site/deep/app.js", "site/notes.secret"}) {
      std::ofstream(folder / name) << "open";
    }
    std::ofstream(folder / "outside.html") << "secret";
    fs::create_symlink(folder / "outside.html", folder / "site/link.html");
    gateway::Folders made;
    *made.Add() = folder / "site";
    return made;
  }();
  const absl::string_view path = input.Rest();
  const auto served = gateway::ServeStatic(folders, std::string_view(path.data(), path.size()));
  if (!served.ok()) return fuzz::RequireRefusal(served.status());
  fuzz::Require(served->body == "open", "only what lies in the folder", path);
  fuzz::Require(absl::StartsWith(served->content_type, "text/"), "only of types that are known", path);
}
