#include "services/messaging/file_link.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include "common/base/error.h"
#include "common/pg/page_token.h"

namespace crm::messaging {
namespace file_link {

std::string Binding(const Uuid& tenant, absl::string_view file_id) {
  return absl::StrCat("file link\n", tenant.ToString(), "\n", file_id);
}

}  // namespace file_link

std::string SignFileLink(const Uuid& tenant, absl::string_view file_id, absl::Time expire, bool inline_) {
  pg::PageKey key;
  key.push_back(absl::StrCat(absl::ToUnixSeconds(expire)));
  key.push_back(inline_ ? "inline" : "");
  return pg::MakePageToken(file_link::Binding(tenant, file_id), key);
}

absl::StatusOr<FileLinkTerms> ReadFileLink(const Uuid& tenant, absl::string_view file_id, absl::string_view token,
                                           absl::Time now) {
  const auto key = pg::ReadPageToken(file_link::Binding(tenant, file_id), token);
  int64_t seconds = 0;
  if (!key.ok() || key->size() != 2 || !(*key)[0] || !absl::SimpleAtoi(*(*key)[0], &seconds)) return NotFound(file_id);
  FileLinkTerms terms{absl::FromUnixSeconds(seconds), (*key)[1] == "inline"};
  if (terms.expire <= now) return StateError("this link has expired; ask for a new one");
  return terms;
}

}  // namespace crm::messaging
