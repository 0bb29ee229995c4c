// What making and changing a channel have in common.
#pragma once

#include <string>

#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Fills in what is left open and refuses what cannot work, by field.
absl::Status CheckChannel(const Settings& settings, v1::Channel& channel);

// Stores or, if it is empty, removes the password.
absl::Status AddChannelSecret(pg::Batch& batch, const Settings& settings, const v1::Channel& channel,
                              const std::string& password);
// What a stored password is bound to.
std::string SecretContext(const Uuid& tenant, const std::string& channel_id);
// A channel's password; empty if it has none.
Async<std::string> ChannelSecret(Messaging& app, const Call& call, std::string channel_id);

// An address that is taken, said by its field. Any other status passes.
absl::Status NameAddress(absl::Status status, const v1::Channel& channel);

}  // namespace crm::messaging
