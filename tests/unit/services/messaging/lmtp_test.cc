// The words of LMTP, the end of a letter, and what becomes of letters.
#include "services/messaging/rules/lmtp.h"

#include <gtest/gtest.h>

#include "services/messaging/net_guard.h"
#include "services/messaging/rules/letters.h"
#include "services/messaging/secrets.h"
#include "tests/unit/common/base/seed.h"

namespace crm::messaging {
namespace {

TEST(Lmtp, ReadsCommands) {
  using Verb = LmtpCommand::Verb;
  EXPECT_EQ(ReadCommand("LHLO mx.example.org").verb, Verb::kLhlo);
  EXPECT_EQ(ReadCommand("lhlo x").verb, Verb::kLhlo);
  EXPECT_FALSE(ReadCommand("LHLO").error.empty());
  EXPECT_EQ(ReadCommand("EHLO x").verb, Verb::kHelo);
  auto mail = ReadCommand("MAIL FROM:<a@example.org> SIZE=1000 BODY=8BITMIME SMTPUTF8");
  EXPECT_EQ(mail.verb, Verb::kMail);
  EXPECT_EQ(mail.address, "a@example.org");
  EXPECT_EQ(mail.size, 1000);
  EXPECT_EQ(mail.error, "");
  EXPECT_EQ(ReadCommand("MAIL FROM:<>").error, "");
  EXPECT_EQ(ReadCommand("RCPT TO:<@relay:b@example.org>").address, "b@example.org");
  EXPECT_EQ(ReadCommand("RCPT TO:<Ивáн@пример.рф>").address, "Ивáн@пример.рф");
  for (const char* line :
       {"RCPT TO:b@example.org", "RCPT TO:<>", "RCPT TO:<nobody>", "RCPT TO:<a b@c>", "MAIL FROM:<a@b",
        "MAIL FROM:<a@b> X=1", "DATA now", "BOGUS", "", "NOOP\nRSET", "RCPT TO:<a@b>\r", "\xff\xfe"}) {
    EXPECT_FALSE(ReadCommand(line).error.empty()) << line;
  }
  EXPECT_EQ(DirectoryAddress("Sales+Tag.x@Example.COM"), "sales@example.com");
  EXPECT_EQ(DirectoryAddress("+x@example.com"), "+x@example.com");
}

TEST(Lmtp, FindsTheEndAndUndoesDots) {
  struct Case {
    std::string sent, letter;
    size_t left;
  };
  const Case kCases[] = {
      {"a\r\n.\r\nQUIT\r\n", "a\r\n", 6},
      {".\r\n", "", 0},
      {"..a\r\n...\r\n.\r\n", ".a\r\n..\r\n", 0},
      {"a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", 0},      // bare line feeds end nothing
      {"a\r.\rb\r\n.\r\n", "a\r.\rb\r\n", 0},      // nor do bare carriage returns
      {"a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n", 0},  // the classic of smuggling
      {"a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", 0},
      {"a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", 0},
      {"a\r\r\n.\r\n", "a\r\r\n", 0},
  };
  for (const Case& c : kCases) {
    for (size_t step = 1; step <= c.sent.size(); ++step) {  // however it is cut
      LmtpData data(1000);
      size_t at = 0;
      while (at < c.sent.size() && !data.ended()) at += data.Feed(absl::string_view(c.sent).substr(at, step));
      EXPECT_TRUE(data.ended()) << c.sent;
      EXPECT_EQ(data.letter(), c.letter) << c.sent << " by " << step;
      EXPECT_EQ(c.sent.size() - at, c.left) << c.sent << " by " << step;
    }
  }
}

TEST(Lmtp, ALetterTooLargeIsReadToItsEnd) {
  LmtpData data(10);
  data.Feed(std::string(1000, 'x') + "\r\n");
  EXPECT_TRUE(data.too_large());
  EXPECT_FALSE(data.ended());
  EXPECT_EQ(data.Feed(".\r\nQUIT\r\n"), 3u);
  EXPECT_TRUE(data.ended());
}

// Any text, stuffed as senders do, comes out as it was.
TEST(Lmtp, RandomLettersRoundTrip) {
  auto random = SeededRandom();
  const std::string alphabet = ".\r\nab";
  for (int i = 0; i < 500; ++i) {
    std::string letter;
    for (size_t j = random() % 40; j > 0; --j) letter += alphabet[random() % alphabet.size()];
    letter += "\r\n";
    std::string sent;
    bool start = true;
    for (size_t j = 0; j < letter.size(); ++j) {
      if (start && letter[j] == '.') sent += '.';
      sent += letter[j];
      start = letter[j] == '\n' && j > 0 && letter[j - 1] == '\r';
    }
    sent += ".\r\nrest";
    LmtpData data(1000);
    size_t at = 0;
    while (at < sent.size() && !data.ended()) at += data.Feed(absl::string_view(sent).substr(at, 1 + random() % 7));
    ASSERT_TRUE(data.ended());
    EXPECT_EQ(data.letter(), letter);
    EXPECT_EQ(sent.substr(at), "rest");
  }
}

TEST(Letters, AnswersMeanWhatTheyMean) {
  EXPECT_EQ(FateOf(250), Fate::kSent);
  EXPECT_EQ(FateOf(451), Fate::kAgain);
  EXPECT_EQ(FateOf(550), Fate::kRefused);
  EXPECT_EQ(FateOf(0), Fate::kAgain);
  EXPECT_TRUE(AddressIsDead(550, "550 5.1.1 no such user"));
  EXPECT_TRUE(AddressIsDead(550, "550 unknown"));
  EXPECT_FALSE(AddressIsDead(550, "550 5.7.1 blocked by policy"));
  EXPECT_FALSE(AddressIsDead(552, "552 5.2.2 mailbox full"));
  EXPECT_FALSE(AddressIsDead(554, "554 no"));
  EXPECT_TRUE(MayRepeatDoubtful(v1::MESSAGE_CATEGORY_TRANSACTIONAL, 1));
  EXPECT_FALSE(MayRepeatDoubtful(v1::MESSAGE_CATEGORY_TRANSACTIONAL, 2));
  EXPECT_FALSE(MayRepeatDoubtful(v1::MESSAGE_CATEGORY_CAMPAIGN, 1));
}

TEST(Letters, AttemptsDrawApart) {
  EXPECT_EQ(RetryDelay(1, absl::Minutes(1), 0), absl::Minutes(1));
  EXPECT_EQ(RetryDelay(3, absl::Minutes(1), 0), absl::Minutes(4));
  EXPECT_EQ(RetryDelay(100, absl::Minutes(1), 0), absl::Hours(6));
  EXPECT_EQ(RetryDelay(1, absl::Minutes(1), 1), absl::Seconds(48));
}

TEST(Secrets, OpenOnlyWhereTheyWereSealed) {
  const std::string key(64, 'a');
  auto box = SecretBox::Make(key);
  ASSERT_TRUE(box.ok());
  const std::string sealed = box->Seal("pass word", "tenant/channel");
  EXPECT_EQ(sealed.find("pass"), std::string::npos);
  EXPECT_NE(sealed, box->Seal("pass word", "tenant/channel"));
  EXPECT_EQ(*box->Open(sealed, "tenant/channel"), "pass word");
  EXPECT_TRUE(absl::IsDataLoss(box->Open(sealed, "tenant/other").status()));
  EXPECT_TRUE(absl::IsDataLoss(SecretBox::Make(std::string(64, 'b'))->Open(sealed, "tenant/channel").status()));
  EXPECT_TRUE(absl::IsDataLoss(box->Open("short", "tenant/channel").status()));
  EXPECT_FALSE(SecretBox::Make("too short").ok());
  EXPECT_FALSE(SecretBox::Make(std::string(64, 'z')).ok());
}

TEST(NetGuard, KnowsWhatIsInside) {
  const auto is_public = [](const char* text) { return NetGuard::IsPublic(boost::asio::ip::make_address(text)); };
  for (const char* address : {"8.8.8.8", "93.184.216.34", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::808:808",
                              "172.32.0.1", "100.128.0.1"})
    EXPECT_TRUE(is_public(address)) << address;
  for (const char* address : {"127.0.0.1",
                              "10.1.2.3",
                              "172.16.0.1",
                              "172.31.255.255",
                              "192.168.1.1",
                              "169.254.169.254",
                              "100.64.0.1",
                              "0.0.0.0",
                              "224.0.0.1",
                              "255.255.255.255",
                              "198.18.0.1",
                              "192.0.2.1",
                              "::1",
                              "::",
                              "fe80::1",
                              "fd00::1",
                              "ff02::1",
                              "::ffff:127.0.0.1",
                              "::ffff:10.0.0.1",
                              "64:ff9b::7f00:1",
                              "2002:7f00:1::",
                              "2002:a00:1::",
                              "2001:db8::1",
                              "::127.0.0.1"})
    EXPECT_FALSE(is_public(address)) << address;
}

TEST(NetGuard, LetsThroughWhatTheOperatorNames) {
  auto guard = NetGuard::Make({"127.0.0.0/8", "relay.internal"});
  ASSERT_TRUE(guard.ok());
  EXPECT_TRUE(guard->Allows("127.0.0.1"));
  EXPECT_TRUE(guard->Allows("Relay.Internal"));
  EXPECT_FALSE(guard->Allows("10.0.0.1"));
  EXPECT_FALSE(guard->Allows("smtp.example.com"));
  EXPECT_TRUE(guard->Resolve("127.0.0.1").ok());
  EXPECT_TRUE(absl::IsPermissionDenied(guard->Resolve("10.0.0.1").status()));
  EXPECT_TRUE(absl::IsPermissionDenied(guard->Resolve("::1").status()));
  // Spellings that some libraries read as loopback.
  auto none = NetGuard::Make({});
  for (const char* host :
       {"127.1", "0x7f000001", "2130706433", "0177.0.0.1", "localhost", "[::1]", "::ffff:7f00:1", "0"})
    EXPECT_FALSE(none->Resolve(host).ok()) << host;
  EXPECT_FALSE(NetGuard::Make({"10.0.0.0/33"}).ok());
  EXPECT_FALSE(NetGuard::Make({""}).ok());
}

}  // namespace
}  // namespace crm::messaging
