// Links that open a file for a while without signing in: sealed by the key that the service's replicas share
// (common/pg/page_token.h), bound to tenant and file.
#pragma once

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>

#include <string>

#include "common/base/id.h"

namespace crm::messaging {

// How long a link lives unless it is to live longer: long enough for a download to begin.
inline constexpr absl::Duration kFileLinkTime = absl::Minutes(5);

struct FileLinkTerms {
  absl::Time expire;
  bool inline_ = false;
};

std::string SignFileLink(const Uuid& tenant, absl::string_view file_id, absl::Time expire, bool inline_);
// NOT_FOUND for a link that was not made here, or not for this file; FAILED_PRECONDITION for one that has expired.
absl::StatusOr<FileLinkTerms> ReadFileLink(const Uuid& tenant, absl::string_view file_id, absl::string_view token,
                                           absl::Time now);

}  // namespace crm::messaging
