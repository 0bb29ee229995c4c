#include "services/messaging/rules/letters.h"

#include <absl/strings/match.h>

#include <algorithm>
#include <cmath>

namespace crm::messaging {
namespace letters_internal {

constexpr absl::Duration kRetryMax = absl::Hours(6);
constexpr double kJitter = 0.2;
// Repeats of a letter that may have arrived already.
constexpr int kDoubtfulRepeatsMax = 1;

}  // namespace letters_internal

namespace li = letters_internal;

Fate FateOf(int code) {
  if (code >= 200 && code < 300) return Fate::kSent;
  return code >= 500 && code < 600 ? Fate::kRefused : Fate::kAgain;
}

bool AddressIsDead(int code, const std::string& text) {
  if (code != 550 && code != 551 && code != 553 && code != 556 && code != 521) return false;
  // An enhanced status (RFC 3463) says more than the code: x.1.x is about the address, x.7.x about policy.
  for (const char* other : {" 5.2.", " 5.3.", " 5.4.", " 5.5.", " 5.6.", " 5.7."}) {
    if (absl::StrContains(text, other)) return absl::StrContains(text, " 5.2.1");  // 5.2.1: the mailbox is disabled
  }
  return true;
}

absl::Duration RetryDelay(int attempts, absl::Duration first, double random) {
  const absl::Duration delay = std::min(first * std::ldexp(1.0, std::clamp(attempts - 1, 0, 20)), li::kRetryMax);
  return delay * (1 - li::kJitter * random);
}

bool MayRepeatDoubtful(v1::MessageCategory category, int doubts) {
  return category != v1::MESSAGE_CATEGORY_CAMPAIGN && doubts <= li::kDoubtfulRepeatsMax;
}

}  // namespace crm::messaging
