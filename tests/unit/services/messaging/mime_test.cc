// Letters on the wire: what we write can be read, and what others write, in whatever state, is read as well as can be.
#include "services/messaging/mime.h"

#include <gtest/gtest.h>

#include "services/messaging/rules/html.h"
#include "services/messaging/rules/threading.h"
#include "tests/unit/common/base/seed.h"

namespace crm::messaging {
namespace {

v1::Message Sample() {
  v1::Message message;
  message.mutable_sender()->set_address("sales@example.com");
  message.mutable_sender()->set_name("Отдел продаж");
  auto* to = message.add_recipients();
  to->set_address("ada@example.org");
  to->set_name("עדה, \"לאבלייס\"");
  message.add_cc()->set_address("b@example.org");
  message.set_subject(
      "Предложение № 5 — הצעה 🙂 и ещё очень длинный хвост, чтобы "
      "заголовок "
      "пришлось "
      "сложить "
      "пополам");
  message.set_text("Здравствуйте!\n.\nТочка в начале строки.\n" + std::string(2000, 'x'));
  message.set_html("<p>שלום</p>");
  message.set_internet_message_id("message_1@example.com");
  message.set_in_reply_to("parent@example.org");
  message.add_reference_ids("root@example.org");
  message.add_reference_ids("parent@example.org");
  return message;
}

TEST(Mime, WhatIsWrittenIsRead) {
  OutgoingFile file{"Договор №1 שלום.pdf", "application/pdf", std::string("%PDF-1.4\0\xff\r\n.\r\n", 15)};
  const v1::Message message = Sample();
  const std::string raw = BuildLetter(message, {file}, absl::FromUnixSeconds(1700000000));
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] == '\n') {
      ASSERT_EQ(raw[i - 1], '\r') << "a bare line feed at " << i;
    }
    ASSERT_LT(static_cast<unsigned char>(raw[i]), 0x80) << "eight bits at " << i;
  }
  size_t line = 0, longest = 0;
  for (char c : raw) {
    line = c == '\n' ? 0 : line + 1;
    longest = std::max(longest, line);
  }
  EXPECT_LE(longest, 998u);
  const v1::ParsedLetter read = ParseLetter(raw);
  EXPECT_EQ(read.message().subject(), message.subject());
  EXPECT_EQ(read.message().sender().name(), message.sender().name());
  EXPECT_EQ(read.message().sender().address(), message.sender().address());
  ASSERT_EQ(read.message().recipients_size(), 1);
  EXPECT_EQ(read.message().recipients(0).name(), message.recipients(0).name());
  ASSERT_EQ(read.message().cc_size(), 1);
  EXPECT_EQ(read.message().text(), message.text());
  EXPECT_EQ(read.message().html(), message.html());
  EXPECT_EQ(read.message().internet_message_id(), message.internet_message_id());
  EXPECT_EQ(read.message().in_reply_to(), "parent@example.org");
  EXPECT_EQ(read.message().reference_ids_size(), 2);
  ASSERT_EQ(read.message().attachments_size(), 1);
  EXPECT_EQ(read.message().attachments(0).name(), file.name);
  EXPECT_EQ(read.message().attachments(0).content_type(), "application/pdf");
  EXPECT_EQ(read.attachment_contents(0), file.content);
  EXPECT_FALSE(read.has_report());
}

TEST(Mime, AnInjectedHeaderIsText) {
  v1::Message message = Sample();
  message.set_subject("Hello\r\nBcc: victim@example.org");
  message.mutable_sender()->set_name("A\r\nX-Evil: 1");
  const std::string raw = BuildLetter(message, {}, absl::FromUnixSeconds(1700000000));
  EXPECT_EQ(raw.find("\r\nBcc:"), std::string::npos);
  EXPECT_EQ(raw.find("\r\nX-Evil:"), std::string::npos);
}

std::string Plain(const std::string& charset, const std::string& body) {
  return "From: a@example.org\r\nContent-Type: text/plain; charset=" + charset +
         "\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + body;
}

TEST(Mime, ReadsTheCharsetsThatPeopleUse) {
  EXPECT_EQ(ParseLetter(Plain("windows-1251", "\xcf\xf0\xe8\xe2\xe5\xf2")).message().text(), "Привет");
  EXPECT_EQ(ParseLetter(Plain("koi8-r", "\xf0\xd2\xc9\xd7\xc5\xd4")).message().text(), "Привет");
  EXPECT_EQ(ParseLetter(Plain("windows-1255", "\xf9\xec\xe5\xed")).message().text(), "שלום");
  EXPECT_EQ(ParseLetter(Plain("iso-8859-8-i", "\xf9\xec\xe5\xed")).message().text(), "שלום");
  EXPECT_EQ(ParseLetter(Plain("utf-8", "שלום")).message().text(), "שלום");
  EXPECT_EQ(ParseLetter("Subject: =?koi8-r?B?8NLJ18XU?= =?windows-1251?Q?_=EC=E8=F0?=\r\n\r\nx").message().subject(),
            "Привет мир");
}

TEST(Mime, JoinsWordsThatWereCut) {
  // One character in two words, words of base64 with padding, and a name that is cut likewise.
  const std::string raw =
      "Subject: =?utf-8?B?0J8=?=\r\n =?UTF-8?B?0YDQ?= =?utf-8?b?uNCy0LXRgg==?= and =?utf-8?B?0Lw=?=\r\n"
      "From: =?utf-8?B?0JA=?= =?utf-8?B?0JE=?= <a@example.org>\r\n\r\n=?utf-8?B?0J8=?= =?utf-8?B?0J8=?=";
  const v1::ParsedLetter letter = ParseLetter(raw);
  EXPECT_EQ(letter.message().subject(), "Привет and м");
  EXPECT_EQ(letter.message().sender().name(), "АБ");
  EXPECT_EQ(letter.message().text(), "=?utf-8?B?0J8=?= =?utf-8?B?0J8=?=");
}

TEST(Mime, ReadsWhatIsBroken) {
  for (const std::string& raw : std::vector<std::string>{
           "", "\r\n", "no headers at all", "Subject: only a header", std::string(100000, 'a'),
           "From: \r\nTo: ,,,<>;\r\n\r\nx",
           "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; "
           "boundary=b\r\n\r\n--b\r\n\r\nx",
           "Content-Type: multipart/alternative\r\n\r\n--\r\n",
           "Content-Type: text/plain; charset=no-such-charset\r\n\r\n\xff\xfe\x80",
           "Content-Transfer-Encoding: base64\r\n\r\n!!!!not base64", std::string("Subject: a\0b\r\n\r\nc\0d", 20),
           "Subject: =?utf-8?B?\r\n\r\n", "Message-ID: <<<>>>\r\nReferences: <a> <> <b\r\n\r\n"}) {
    const v1::ParsedLetter letter = ParseLetter(raw);
    for (const std::string* text : {&letter.message().subject(), &letter.message().text(), &letter.message().html()}) {
      EXPECT_EQ(text->find('\0'), std::string::npos);
    }
  }
  std::string nested = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
  for (int i = 0; i < 3000; ++i) nested += "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
  EXPECT_EQ(ParseLetter(nested + "x").message().attachments_size(), 0);
}

TEST(Mime, RandomBytesDoNoHarm) {
  auto random = SeededRandom();
  const std::string whole = BuildLetter(Sample(), {{"a.txt", "text/plain", "x"}}, absl::FromUnixSeconds(1700000000));
  for (int i = 0; i < 300; ++i) {
    std::string raw = whole;
    for (int j = 0; j < 20; ++j) raw[random() % raw.size()] = static_cast<char>(random());
    raw.resize(random() % raw.size());
    ParseLetter(raw);
  }
}

TEST(Mime, KnowsMachines) {
  EXPECT_TRUE(ParseLetter("Auto-Submitted: auto-replied\r\n\r\nI am away").message().automatic());
  EXPECT_TRUE(ParseLetter("Precedence: bulk\r\n\r\nNews").message().automatic());
  EXPECT_FALSE(ParseLetter("Auto-Submitted: no\r\n\r\nHello").message().automatic());
}

TEST(Mime, ReadsDeliveryReports) {
  const std::string raw =
      "From: mailer-daemon@example.org\r\nContent-Type: multipart/report; report-type=delivery-status; "
      "boundary=b\r\n\r\n"
      "--b\r\nContent-Type: text/plain\r\n\r\nIt could not be delivered.\r\n"
      "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\r\n"
      "Final-Recipient: rfc822; Ada@Example.org\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 "
      "no\r\n such user\r\n\r\n"
      "--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <message_1@example.com>\r\nSubject: "
      "x\r\n\r\nbody\r\n--b--\r\n";
  const v1::ParsedLetter letter = ParseLetter(raw);
  ASSERT_TRUE(letter.has_report());
  EXPECT_EQ(letter.report().internet_message_id(), "message_1@example.com");
  ASSERT_EQ(letter.report().recipients_size(), 1);
  EXPECT_EQ(letter.report().recipients(0).address(), "ada@example.org");
  EXPECT_EQ(letter.report().recipients(0).action(), "failed");
  EXPECT_EQ(letter.report().recipients(0).status(), "5.1.1");
  EXPECT_EQ(letter.report().recipients(0).diagnostic(), "550 5.1.1 no such user");
}

TEST(Html, OnlyHarmlessThingsStay) {
  struct Case {
    const char* html;
    const char* expected;
  };
  const Case kCases[] = {
      {"<p>Hello <b>you</b></p>", "<p>Hello <b>you</b></p>"},
      {"<script>alert(1)</script>x", "<p>x</p>"},
      {"<img src=x onerror=alert(1)>", "<img>"},
      {"<img src=\"https://a.example/i.png\" width=\"5\">", "<img src=\"https://a.example/i.png\" width=\"5\">"},
      {"<svg onload=alert(1)><p>x</p></svg>", ""},
      {"<iframe src=\"https://a.example\"></iframe>", ""},
      {"<div style=\"color:red;background:url(https://t.example/);position:fixed\">x</div>",
       "<div style=\"color: red\">x</div>"},
      {"<p>&lt;script&gt;</p>", "<p>&lt;script&gt;</p>"},
  };
  for (const Case& c : kCases) EXPECT_EQ(SanitizedHtml(c.html), c.expected) << c.html;
  for (const char* link :
       {"javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\nscript:alert(1)", " javascript:alert(1)",
        "data:text/html,x", "vbscript:x", "&#106;avascript:alert(1)", "//evil.example", "file:///etc/passwd"}) {
    EXPECT_EQ(SanitizedHtml(std::string("<a href=\"") + link + "\">x</a>").find("href"), std::string::npos) << link;
  }
  EXPECT_NE(
      SanitizedHtml("<a href=\"https://a.example/?a=1&b=2\">x</a>").find("href=\"https://a.example/?a=1&amp;b=2\""),
      std::string::npos);
}

TEST(Html, WordsOfIt) {
  EXPECT_EQ(HtmlToText("<h1>Offer</h1><p>Dear  Ada,<br>see:</p><ul><li>one</li><li>two</li></ul><style>p{}</style>"),
            "Offer\n\nDear Ada,\nsee:\n\n- one\n- two");
  EXPECT_EQ(HtmlToText("a&nbsp;b &amp; c"), "a b & c");
  EXPECT_EQ(HtmlToText(""), "");
  EXPECT_EQ(PreviewOf("> quoted\nHello\n  there"), "Hello there");
}

TEST(Html, ListsShortenWhatIsVeryLong) {
  std::string text = std::string(kListedBytesMax - 1, 'a') + "пр", html(kListedBytesMax + 1, 'h');
  size_t left = kPageBytesMax;
  Shorten(text, html, left);
  EXPECT_EQ(text, std::string(kListedBytesMax - 1, 'a') + "…");  // not half of a letter
  EXPECT_EQ(html, "");
  text = "short", html = "<p>short</p>";
  Shorten(text, html, left);
  EXPECT_EQ(text, "short");
  EXPECT_EQ(html, "<p>short</p>");
  left = 3;
  Shorten(text, html, left);
  EXPECT_EQ(text, "sho…");
  EXPECT_EQ(html, "");
}

TEST(Threading, ReadsAndMakesChains) {
  EXPECT_EQ(MessageIdsIn("<a@b> <c@d>\r\n\t<a@b> <> <e f@g>"), (std::vector<std::string>{"a@b", "c@d"}));
  EXPECT_EQ(MessageIdOf("no-brackets@example.org"), "no-brackets@example.org");
  EXPECT_EQ(MessageIdOf("nonsense"), "");
  std::string long_chain;
  for (int i = 0; i < 100; ++i) long_chain += "<" + std::to_string(i) + "@x> ";
  const auto ids = MessageIdsIn(long_chain);
  ASSERT_EQ(ids.size(), kReferencesMax);
  EXPECT_EQ(ids.front(), "0@x");
  EXPECT_EQ(ids.back(), "99@x");
  v1::Message last, next;
  last.set_internet_message_id("2@x");
  last.add_reference_ids("1@x");
  AnswerTo(last, next);
  EXPECT_EQ(next.in_reply_to(), "2@x");
  EXPECT_EQ(ParentsOf(next), (std::vector<std::string>{"2@x", "1@x"}));
  EXPECT_EQ(MessageIdFor("message_1", "sales@example.com"), "message_1@example.com");
  EXPECT_EQ(AnswerSubject("Offer"), "Re: Offer");
  EXPECT_EQ(AnswerSubject("RE: Offer"), "RE: Offer");
  EXPECT_EQ(AnswerSubject("Отв: Offer"), "Отв: Offer");
}

}  // namespace
}  // namespace crm::messaging
