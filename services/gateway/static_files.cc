#include "services/gateway/static_files.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "common/base/error.h"
#include "common/base/status.h"
#include "services/gateway/path_template.h"

namespace crm::gateway {
namespace static_files {

namespace fs = std::filesystem;

constexpr uintmax_t kBytesMax = 16 << 20;

absl::Status Absent() {
  return Error(absl::StatusCode::kNotFound, type::v1::ERROR_REASON_METHOD_NOT_FOUND, "there is no such file");
}

const char* TypeOf(const std::string& extension) {
  static const std::map<std::string, const char*> kTypes = {
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".mjs", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".json", "application/json; charset=utf-8"},
      {".svg", "image/svg+xml; charset=utf-8"},
      {".png", "image/png"},
      {".jpg", "image/jpeg"},
      {".ico", "image/x-icon"},
      {".woff2", "font/woff2"},
      {".txt", "text/plain; charset=utf-8"},
      {".webmanifest", "application/manifest+json; charset=utf-8"},
      {".map", "application/json; charset=utf-8"}};
  auto it = kTypes.find(extension);
  return it == kTypes.end() ? nullptr : it->second;
}

// The file's canonical path; empty if this folder does not have it.
fs::path FileIn(const std::string& folder, const std::string& name) {
  std::error_code error;
  fs::path root = fs::canonical(folder, error);
  if (error) return {};
  // Resolved with its links: what then lies outside of the folder is not ours to give.
  fs::path file = fs::canonical(root / fs::path("./" + name), error);
  if (error || std::mismatch(root.begin(), root.end(), file.begin(), file.end()).first != root.end()) return {};
  return fs::is_regular_file(file, error) ? file : fs::path();
}

}  // namespace static_files

absl::StatusOr<HttpResponse> ServeStatic(const Folders& folders, std::string_view path) {
  if (path.empty() || path[0] != '/') return static_files::Absent();
  CRM_TRY(std::string name, PercentDecode(path.substr(1)));
  if (name.empty() || name.back() == '/') name += "index.html";
  std::filesystem::path file;
  for (const auto& folder : folders) {
    file = static_files::FileIn(folder, name);
    if (!file.empty()) break;
  }
  const char* type = static_files::TypeOf(file.extension().string());
  std::error_code error;
  if (!type || std::filesystem::file_size(file, error) > static_files::kBytesMax || error)
    return static_files::Absent();
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) return static_files::Absent();
  HttpResponse response;
  response.content_type = type;
  response.body = text.str();
  response.Set("Cache-Control", "no-cache");  // asked for again each time, answered 304 as long as it is the same
  response.Set("Content-Security-Policy",
               "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
               "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
  return response;
}

}  // namespace crm::gateway
