// Messaging's background work.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "common/base/async.h"
#include "services/messaging/service.h"

namespace crm::messaging {

// Hands a letter to its server and hears the answer. Blocks.
using HandOver = std::function<SmtpOutcome(const SmtpRequest&)>;

// Sends what is due, until it is cancelled.
//
// A letter's fate is decided in three steps that survive each other's failure: a claim (a lease with a fencing token),
// the mark SENDING with the attempt's number, and the answer. Whoever holds an older token records nothing. A crash
// between mark and answer counts as an answer that was lost.
class Sender {
 public:
  // `holder` names this replica, the same after a restart: its own claims are taken up at once.
  Sender(Messaging& app, std::string holder, HandOver hand_over = SmtpSend);
  ~Sender();
  Async<> Run(Call call);
  // Something has been queued: look now. Thread-safe.
  void Wake();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace crm::messaging
