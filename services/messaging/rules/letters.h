// What becomes of letters: what is sent, when it is tried again, what an answer means. Pure.
#pragma once

#include <absl/time/time.h>

#include <string>

#include "crm/messaging/v1/message.pb.h"

namespace crm::messaging {

// What an attempt at one recipient, or at all, led to.
enum class Fate {
  kSent,     // taken
  kAgain,    // not now: 4xx, no connection, a channel that is set up wrongly
  kRefused,  // never: 5xx
  kUnknown,  // handed over, and nobody knows
};

// The class of a server's answer: 2xx, 4xx, 5xx. No answer counts as "not now".
Fate FateOf(int code);

// Whether a refusal of a recipient means that there is no such address, so that nothing is sent there any more; not for
// full mailboxes (5.2.2), policies (5.7.x) and the like.
bool AddressIsDead(int code, const std::string& text);

// How long until the next attempt: doubled after each, at most six hours, a fifth of it by chance (`random` 0..1), so
// that letters that failed together do not come back together.
absl::Duration RetryDelay(int attempts, absl::Duration first, double random);

// What is left to do for a letter after an attempt whose answer was lost, or that was begun and never ended: another
// attempt with the same Message-ID (once, for transactional letters), or none.
bool MayRepeatDoubtful(v1::MessageCategory category, int doubts);

}  // namespace crm::messaging
