#include "services/messaging/smtp.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>
#include <curl/curl.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "common/base/failpoint.h"
#include "common/base/text.h"
#include "services/messaging/trust.h"

namespace crm::messaging {
namespace smtp_internal {

constexpr size_t kAnswerLengthMax = 500;

// What is seen on the wire: libcurl's result alone says neither which recipient was refused nor whether a letter had
// been handed over whole.
struct Wire {
  const SmtpRequest& request;
  size_t sent = 0;     // bytes of the letter handed to libcurl
  bool whole = false;  // its end was asked for
  SmtpStage stage = SmtpStage::kConnect;
  bool in_data = false;
  bool answering = false;  // a many-line answer goes on
  size_t rcpt_asked = 0, rcpt_answered = 0;
  std::string lines;  // of the answer that is being read
  SmtpAnswer last;
  SmtpOutcome* out;

  void Command(absl::string_view command) {
    if (stage == SmtpStage::kData) return;  // the letter itself
    if (absl::StartsWithIgnoreCase(command, "EHLO") || absl::StartsWithIgnoreCase(command, "HELO")) {
      stage = SmtpStage::kGreeting;
    } else if (absl::StartsWithIgnoreCase(command, "STARTTLS")) {
      stage = SmtpStage::kTls;
    } else if (absl::StartsWithIgnoreCase(command, "AUTH")) {
      stage = SmtpStage::kSignIn;
    } else if (absl::StartsWithIgnoreCase(command, "MAIL FROM")) {
      stage = SmtpStage::kSender;
    } else if (absl::StartsWithIgnoreCase(command, "RCPT TO")) {
      stage = SmtpStage::kRecipients;
      ++rcpt_asked;
    } else if (absl::StartsWithIgnoreCase(command, "DATA")) {
      stage = SmtpStage::kData;
    }
  }

  void Line(absl::string_view line) {
    line = absl::StripTrailingAsciiWhitespace(line);
    const auto is_digit = [](char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); };
    if (line.size() < 3 || !std::all_of(line.begin(), line.begin() + 3, is_digit)) return;
    if (lines.size() < 4 * kAnswerLengthMax)
      absl::StrAppend(&lines, lines.empty() ? "" : " ",
                      lines.empty() ? line : line.substr(std::min<size_t>(4, line.size())));
    if (line.size() > 3 && line[3] == '-') return;
    last.code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    last.text = CleanAnswer(lines);
    lines.clear();
    if (stage == SmtpStage::kRecipients && rcpt_answered < out->recipients.size() && rcpt_answered < rcpt_asked) {
      out->recipients[rcpt_answered++] = last;
    }
  }

  static std::string CleanAnswer(absl::string_view text) {
    std::string out;
    for (char c : text) {
      if (!absl::ascii_iscntrl(static_cast<unsigned char>(c))) out += c;
    }
    // Servers may answer in anything; what is stored is UTF-8.
    if (!IsUtf8(out))
      std::replace_if(
          out.begin(), out.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
    return Truncated(out, kAnswerLengthMax);
  }
};

size_t ReadLetter(char* buffer, size_t size, size_t count, void* user) {
  auto& wire = *static_cast<Wire*>(user);
  wire.in_data = true;
  const size_t n = std::min(size * count, wire.request.letter.size() - wire.sent);
  std::memcpy(buffer, wire.request.letter.data() + wire.sent, n);
  wire.sent += n;
  if (n == 0) wire.whole = true;
  return n;
}

int Debug(CURL*, curl_infotype type, char* data, size_t size, void* user) {
  auto& wire = *static_cast<Wire*>(user);
  if (type == CURLINFO_HEADER_OUT) wire.Command(absl::string_view(data, size));
  if (type == CURLINFO_HEADER_IN) {
    for (absl::string_view line : absl::StrSplit(absl::string_view(data, size), '\n')) wire.Line(line);
  }
  return 0;
}

size_t Ignore(char*, size_t size, size_t count, void*) { return size * count; }

struct Free {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, Free>;

void Append(List& list, const std::string& text) { list.reset(curl_slist_append(list.release(), text.c_str())); }

bool Settled(const SmtpAnswer& answer) { return answer.code >= 200 && answer.code < 300; }

}  // namespace smtp_internal

namespace sm = smtp_internal;

SmtpOutcome SmtpSend(const SmtpRequest& request) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)ready;
  SmtpOutcome outcome;
  outcome.recipients.resize(request.recipients.size());
  std::unique_ptr<CURL, sm::Free> owned(curl_easy_init());
  CURL* curl = owned.get();
  if (curl == nullptr) {
    outcome.error = "libcurl cannot be used";
    return outcome;
  }
  sm::Wire wire{request};
  wire.out = &outcome;
  const bool tls = request.server.security() == v1::SMTP_SECURITY_TLS;
  const std::string host = absl::StrContains(request.server.host(), ":") ? absl::StrCat("[", request.server.host(), "]")
                                                                         : request.server.host();
  // The part behind the slash is the name in EHLO: the sender's domain.
  const std::string url =
      absl::StrCat(tls ? "smtps://" : "smtp://", host, ":", request.server.port(), "/",
                   request.sender.substr(std::min(request.sender.rfind('@'), request.sender.size() - 1) + 1));
  sm::List resolve, recipients;
  sm::Append(resolve,
             absl::StrCat(request.server.host(), ":", request.server.port(), ":",
                          absl::StrJoin(request.addresses, ",", [](std::string* out, const std::string& address) {
                            absl::StrAppend(
                                out, absl::StrContains(address, ":") ? absl::StrCat("[", address, "]") : address);
                          })));
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_RESOLVE, resolve.get());
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.times.connect.count()));
  curl_easy_setopt(curl, CURLOPT_SERVER_RESPONSE_TIMEOUT,
                   static_cast<long>(std::max<long>(1, request.times.answer.count() / 1000)));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.times.all.count()));
  curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
  curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, sm::Debug);
  curl_easy_setopt(curl, CURLOPT_DEBUGDATA, &wire);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, sm::Ignore);
  if (request.server.security() != v1::SMTP_SECURITY_NONE) {
    curl_easy_setopt(curl, CURLOPT_USE_SSL, static_cast<long>(CURLUSESSL_ALL));
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    Trust(curl, request.ca_file);
    if (!request.server.user().empty()) {
      curl_easy_setopt(curl, CURLOPT_USERNAME, request.server.user().c_str());
      curl_easy_setopt(curl, CURLOPT_PASSWORD, request.password.c_str());
    }
  }
  if (request.letter.empty()) {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, "NOOP");
  } else {
    const std::string sender = absl::StrCat("<", request.sender, ">");
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, sender.c_str());
    for (const auto& recipient : request.recipients) sm::Append(recipients, absl::StrCat("<", recipient, ">"));
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, recipients.get());
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, sm::ReadLetter);
    curl_easy_setopt(curl, CURLOPT_READDATA, &wire);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.letter.size()));
  }

  CRM_FAILPOINT_OF("provider.before_request", "smtp");
  const CURLcode code = curl_easy_perform(curl);
  CRM_FAILPOINT_OF("provider.after_answer", "smtp");
  outcome.stage = wire.stage;
  outcome.answer = wire.last;
  if (code == CURLE_OK) {
    outcome.stage = SmtpStage::kDone;
    outcome.sent = !request.letter.empty() && sm::Settled(wire.last);
    // libcurl says OK without a word of the server only if it has nothing to wait for.
    if (outcome.sent || request.letter.empty()) return outcome;
  }
  if (wire.in_data && !(wire.last.code >= 400)) {
    // 354 was the last word. A letter cut before its end is none; one that was handed over whole may have arrived.
    if (sm::Settled(wire.last) && wire.whole && wire.stage == SmtpStage::kData) {
      outcome.sent = true;  // accepted; only the farewell failed
      outcome.stage = SmtpStage::kDone;
      return outcome;
    }
    outcome.unknown = wire.whole || wire.sent == request.letter.size();
  }
  switch (code) {
    case CURLE_LOGIN_DENIED:
      outcome.stage = SmtpStage::kSignIn;
      break;
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      outcome.stage = SmtpStage::kTls;
      break;
    default:
      break;
  }
  outcome.error = curl_easy_strerror(code);
  if (wire.last.code >= 400) outcome.error = wire.last.text;
  if (code == CURLE_USE_SSL_FAILED)
    outcome.error = "the server offers no TLS (STARTTLS); choose another port or security";
  if (code == CURLE_OPERATION_TIMEDOUT) outcome.error = "the server did not answer in time";
  if (code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR) outcome.error = "the server cut the connection";
  return outcome;
}

}  // namespace crm::messaging
