// One letter to one server by SMTP (RFC 5321), through libcurl. Blocks: call it through Offload.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "crm/messaging/v1/channel.pb.h"

namespace crm::messaging {

// How long a server may take. All of it together stays below what a claim of a letter lasts.
struct SmtpTimes {
  std::chrono::milliseconds connect{15000};
  std::chrono::milliseconds answer{60000};  // to one command
  std::chrono::milliseconds all{180000};
};

struct SmtpRequest {
  v1::SmtpServer server;               // with its port
  std::vector<std::string> addresses;  // where the host may be reached (NetGuard); nothing else is
  std::string password;
  std::string ca_file;  // certificates to believe beside the system's; empty: those alone
  std::string sender;
  std::vector<std::string> recipients;
  std::string letter;  // empty: only connect and sign in
  SmtpTimes times;
};

// How far it came. What fails before kRecipients has nothing to do with the letter.
enum class SmtpStage { kConnect, kTls, kGreeting, kSignIn, kSender, kRecipients, kData, kDone };

struct SmtpAnswer {
  int code = 0;      // 250; 0 if there was none
  std::string text;  // "550 5.1.1 no such user", in one line
};

struct SmtpOutcome {
  SmtpStage stage = SmtpStage::kConnect;  // where it ended
  bool sent = false;                      // the server said 2xx to the letter
  bool unknown = false;                   // the whole letter was handed over and no answer came
  SmtpAnswer answer;                      // the last one that matters
  std::string error;                      // what went wrong, in words; empty if sent
  std::vector<SmtpAnswer> recipients;     // in the order of the request; code 0 where none came
};

SmtpOutcome SmtpSend(const SmtpRequest& request);

}  // namespace crm::messaging
