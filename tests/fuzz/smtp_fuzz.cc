// covers: services/messaging/smtp.cc#Command,Line,CleanAnswer,ReadLetter,Debug services/messaging/rules/letters.cc#FateOf,AddressIsDead
// What a mail server answers (libcurl reads it, we listen in): a letter counts as sent only after a 2xx, and what is kept
// of an answer fits a line.
#include <absl/strings/ascii.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "common/base/text.h"
#include "services/messaging/rules/letters.h"
#include "services/messaging/smtp.h"
#include "tests/fuzz/fuzz.h"

namespace crm::fuzz {

// A server that says the same to whoever comes: all of it at once, whatever it hears.
class MailServer {
 public:
  explicit MailServer(absl::string_view answers) : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* any = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    Require(bind(listener_, any, size) == 0 && listen(listener_, 1) == 0 && getsockname(listener_, any, &size) == 0,
            "there are ports");
    port = ntohs(address.sin_port);
    thread_ = std::thread([this, answers] {
      const int client = accept(listener_, nullptr, nullptr);
      if (client < 0) return;
      (void)!send(client, answers.data(), answers.size(), MSG_NOSIGNAL);
      shutdown(client, SHUT_WR);
      char heard[4096];
      while (recv(client, heard, sizeof heard, 0) > 0) {
      }
      const linger now{1, 0};  // no port is to wait for stragglers
      setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
      close(client);
    });
  }
  ~MailServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }

  int port = 0;

 private:
  const int listener_;
  std::thread thread_;
};

}  // namespace crm::fuzz

CRM_FUZZ(smtp) {
  using namespace crm;
  const bool letter = (input.Byte() & 1) != 0;
  input.Line();
  const fuzz::MailServer server(input.Rest());
  messaging::SmtpRequest request;
  request.server.set_host("127.0.0.1");
  request.server.set_port(server.port);
  request.server.set_security(messaging::v1::SMTP_SECURITY_NONE);
  request.addresses = {"127.0.0.1"};
  request.sender = "a@example.org";
  request.recipients = {"b@example.org", "c@example.org"};
  if (letter) request.letter = "Subject: x\r\n\r\nhello\r\n";
  request.times.all = std::chrono::seconds(5);
  const messaging::SmtpOutcome outcome = messaging::SmtpSend(request);

  fuzz::Require(outcome.recipients.size() == request.recipients.size(), "each recipient has its answer");
  std::vector<messaging::SmtpAnswer> answers = outcome.recipients;
  answers.push_back(outcome.answer);
  for (const auto& answer : answers) {
    fuzz::Require(answer.code == 0 || (answer.code >= 0 && answer.code <= 999), "a code has three digits", answer.text);
    fuzz::Require(IsUtf8(answer.text) && LengthOf(answer.text) <= 500 &&
                      std::none_of(answer.text.begin(), answer.text.end(),
                                   [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); }),
                  "an answer is kept as a line", answer.text);
    const auto fate = messaging::FateOf(answer.code);
    fuzz::Require(!messaging::AddressIsDead(answer.code, answer.text) || fate == messaging::Fate::kRefused,
                  "no address is given up that was not refused", answer.text);
  }
  fuzz::Require(!outcome.sent || (letter && messaging::FateOf(outcome.answer.code) == messaging::Fate::kSent),
                "a letter is sent when the server took it", outcome.answer.text);
  fuzz::Require(!(outcome.sent && outcome.unknown), "what is sent is known");
  fuzz::Require(outcome.sent || !letter || !outcome.error.empty(), "what failed says why");
}
