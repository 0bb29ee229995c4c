// How letters hang together: Message-IDs (RFC 5322 3.6.4). Pure.
#pragma once

#include <absl/strings/string_view.h>

#include <string>
#include <vector>

#include "crm/messaging/v1/message.pb.h"

namespace crm::messaging {

// The chain that a letter carries: the first one and the newest; a longer header helps nobody.
inline constexpr size_t kReferencesMax = 30;
// A longer Message-ID is none.
inline constexpr size_t kMessageIdBytesMax = 500;

// The ids in a header, without their angle brackets, in order, each once; at most kReferencesMax of them.
std::vector<std::string> MessageIdsIn(absl::string_view header);
// The first id in a header; also one without brackets, as some programs write it. Empty if there is none.
std::string MessageIdOf(absl::string_view header);

// The Message-ID of a letter of ours: follows from the message's id, so that every attempt has the same.
std::string MessageIdFor(const std::string& message_id, const std::string& channel_address);

// Makes `next` an answer to `last`: In-Reply-To and References.
void AnswerTo(const v1::Message& last, v1::Message& next);

// The ids by which a letter's conversation is looked for, the best first: what it answers, then the newest reference.
std::vector<std::string> ParentsOf(const v1::Message& message);

// "Re: " and the subject, once; knows what the clients of other languages put there.
std::string AnswerSubject(const std::string& subject);

}  // namespace crm::messaging
