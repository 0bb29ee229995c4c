// Page tokens: where the next page begins, as opaque text. A token is bound to what it continues (method, tenant,
// filter, order ...) and sealed, so that a broken one, or one of another list, is refused and not misread. It carries
// no rights: whoever presents it sees what its own rights show.
#pragma once

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <optional>
#include <string>
#include <vector>

namespace crm::pg {

// The sort key of a page's last row, one text per order column; nothing for NULL.
using PageKey = std::vector<std::optional<std::string>>;

// `binding` is everything that must be the same on the next page.
std::string MakePageToken(absl::string_view binding, const PageKey& key);
// PAGE_TOKEN_INVALID for anything that MakePageToken did not make for this binding.
absl::StatusOr<PageKey> ReadPageToken(absl::string_view binding, absl::string_view token);

// The key that seals tokens, from the configuration; the same in every process of a service. At start, before the first
// token. Without it tokens are sealed with a key that stands in the source: they are still checked, but can be forged,
// which lets nobody see more than a list from another place on.
void SetPageTokenKey(std::string key);

}  // namespace crm::pg
