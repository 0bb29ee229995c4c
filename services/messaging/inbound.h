// Letters that arrive: from whom, about what, into which conversation.
#pragma once

#include <absl/strings/string_view.h>

#include <optional>
#include <string>

#include "crm/messaging/v1/letter.pb.h"
#include "services/messaging/service.h"

namespace crm::messaging {

class Inbound {
 public:
  explicit Inbound(Messaging& app);

  // Whose an address is.
  struct Box {
    Uuid tenant;
    std::string channel_id;
  };
  Async<std::optional<Box>> Find(std::string address);

  // Stores a letter for one recipient; OK means committed. Delivering the same letter again (by its Message-ID, or by
  // `fingerprint` if it has none) changes nothing. A report about a letter of ours changes that letter instead.
  // `sender` is the envelope's, for letters that name no author.
  Async<> Deliver(Box box, const v1::ParsedLetter& letter, std::string fingerprint, std::string sender);

 private:
  Async<> Store(const Call& call, const v1::Channel& channel, const v1::ParsedLetter& letter, v1::Message message);
  Async<> Report(const Call& call, const v1::DeliveryReport& report, const v1::Message& letter);

  Messaging& app_;
};

}  // namespace crm::messaging
