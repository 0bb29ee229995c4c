// Webhooks without a network: which addresses may be posted to, signatures, bodies, waits.
#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/base/time.h"
#include "crm/contact/v1/events.pb.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {
namespace {

NetGuard Guard(std::vector<std::string> allowed = {}) { return *NetGuard::Make(allowed); }

// Every way to write an address that is not a public one (OWASP's and others' corpora).
TEST(WebhookUrl, NothingInsideIsReached) {
  std::vector<std::string> hosts = {"127.0.0.1",
                                    "127.1",
                                    "127.0.1",
                                    "127.255.255.254",
                                    "0",
                                    "0.0.0.0",
                                    "0x7f.0.0.1",
                                    "0x7f000001",
                                    "0X7F000001",
                                    "2130706433",
                                    "017700000001",
                                    "0177.0.0.1",
                                    "0177.0.0.0x1",
                                    "127.0.0.0x1",
                                    "10.0.0.1",
                                    "10.255.255.255",
                                    "0xa.0.0.1",
                                    "167772161",
                                    "012.0.0.1",
                                    "172.16.0.1",
                                    "172.31.255.255",
                                    "192.168.0.1",
                                    "192.168.1.1",
                                    "3232235777",
                                    "0xc0a80101",
                                    "0300.0250.1.1",
                                    "169.254.169.254",
                                    "169.254.0.1",
                                    "2852039166",
                                    "0xa9fea9fe",
                                    "0251.0376.0251.0376",
                                    "100.64.0.1",
                                    "100.127.255.255",
                                    "198.18.0.1",
                                    "198.19.255.255",
                                    "192.0.0.1",
                                    "192.0.0.170",
                                    "192.0.2.1",
                                    "198.51.100.1",
                                    "203.0.113.1",
                                    "224.0.0.1",
                                    "239.255.255.255",
                                    "240.0.0.1",
                                    "255.255.255.255",
                                    "192.88.99.1",
                                    "[::1]",
                                    "[::]",
                                    "[0:0:0:0:0:0:0:1]",
                                    "[::ffff:127.0.0.1]",
                                    "[::ffff:7f00:1]",
                                    "[0:0:0:0:0:ffff:127.0.0.1]",
                                    "[::ffff:10.0.0.1]",
                                    "[::ffff:a00:1]",
                                    "[::ffff:169.254.169.254]",
                                    "[::127.0.0.1]",
                                    "[64:ff9b::127.0.0.1]",
                                    "[64:ff9b::7f00:1]",
                                    "[64:ff9b::a00:1]",
                                    "[64:ff9b::a9fe:a9fe]",
                                    "[64:ff9b:1::1]",
                                    "[2002:7f00:1::]",
                                    "[2002:a00:1::1]",
                                    "[2002:c0a8:101::]",
                                    "[fc00::1]",
                                    "[fd00::1]",
                                    "[fdff:ffff::1]",
                                    "[fe80::1]",
                                    "[febf::1]",
                                    "[fec0::1]",
                                    "[ff02::1]",
                                    "[ff0e::1]",
                                    "[2001:db8::1]",
                                    "[2001::1]",
                                    "[100::1]",
                                    "localhost",
                                    "LOCALHOST",
                                    "localhost.",
                                    "foo.localhost",
                                    "ip6-localhost",
                                    "ip6-loopback"};
  const NetGuard guard = Guard();
  int asked = 0;
  for (const std::string& host : hosts) {
    for (const char* rest : {"/", ":8443/hook?x=1"}) {
      ++asked;
      const auto url = ParseWebhookUrl(absl::StrCat("https://", host, rest), guard);
      if (!url.ok()) continue;  // not even an address
      const auto addresses = guard.Resolve(url->host);
      EXPECT_FALSE(addresses.ok()) << host << " is reached at "
                                   << (addresses.ok() && !addresses->empty() ? addresses->front() : "");
    }
  }
  EXPECT_GE(asked, 150);
}

TEST(WebhookBody, ACallsOwnBodyGoesAsItStands) {
  v1::WebhookCall own;
  own.set_body("{\"a\":  1}");
  events::v1::Event event;
  event.set_type("rule.called");
  event.mutable_payload()->PackFrom(own);
  for (const bool personal_data : {false, true}) EXPECT_EQ(*WebhookBody(event, personal_data), own.body());
  own.set_personal_data(true);
  event.mutable_payload()->PackFrom(own);
  EXPECT_EQ(*WebhookBody(event, true), own.body());
  EXPECT_TRUE(absl::IsFailedPrecondition(WebhookBody(event, false).status()));
}

TEST(WebhookUrl, WhatIsNoAddressIsRefused) {
  const NetGuard guard = Guard();
  for (const char* bad : {"",
                          "example.com/hook",
                          "http://example.com/",
                          "ftp://example.com/",
                          "file:///etc/passwd",
                          "gopher://example.com/",
                          "dict://example.com/",
                          "https://",

                          "https://user@example.com/",
                          "https://%99example.com/",
                          "https://a%2fb.example/",
                          "https://user:pw@example.com/",
                          "https://example.com@127.0.0.1/",
                          "https://example.com/#fragment",
                          "https://exa mple.com/",
                          "https://example.com/\r\nX: y",
                          "https://example.com:0x50/",
                          "https://example.com:99999/",
                          "https://example.com:port/",
                          "javascript:alert(1)",
                          "//example.com/",
                          "https:\\\\example.com\\",
                          "https://exam\xc2\xa0ple.com/",
                          "https://[::1",
                          "https://[not:an:address]/",
                          "HTTP://example.com/",
                          "jar:https://example.com!/",
                          "ldap://example.com",
                          "smtp://example.com",
                          "telnet://example.com:25",
                          "ws://example.com/",
                          "data:text/plain,x"}) {
    EXPECT_FALSE(ParseWebhookUrl(bad, guard).ok()) << bad;
  }
  const auto good = ParseWebhookUrl("https://hooks.example.com/a/b?c=d", guard);
  ASSERT_TRUE(good.ok()) << good.status();
  EXPECT_EQ(good->host, "hooks.example.com");
  EXPECT_EQ(good->port, 443);
  EXPECT_EQ(ParseWebhookUrl("https://hooks.example.com:8443/", guard)->port, 8443);
  // http, and what is inside, only where the operator allows it.
  EXPECT_FALSE(ParseWebhookUrl("http://127.0.0.1:9/", guard).ok());
  const NetGuard local = Guard({"127.0.0.1"});
  EXPECT_TRUE(ParseWebhookUrl("http://127.0.0.1:9/", local).ok());
  EXPECT_TRUE(local.Resolve("127.0.0.1").ok());
  EXPECT_FALSE(local.Resolve("127.0.0.2").ok());
}

// The example of the specification (standardwebhooks.com, "Signature scheme").
TEST(WebhookSignature, IsThatOfTheSpecification) {
  const std::string secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  EXPECT_EQ(SignWebhook({secret}, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, "{\"test\": 2432232314}"),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  const std::string both =
      SignWebhook({NewWebhookSecret(), secret}, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, "{\"test\": 2432232314}");
  EXPECT_NE(both.find(" v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="), std::string::npos);
  EXPECT_NE(NewWebhookSecret(), NewWebhookSecret());
  std::string key;
  ASSERT_TRUE(absl::Base64Unescape(NewWebhookSecret().substr(6), &key));
  EXPECT_EQ(key.size(), 32u);
}

TEST(WebhookBody, HoldsTheEventAndHidesWhatItMust) {
  contact::v1::ContactUpdated payload;
  payload.mutable_contact()->set_id("contact_01h455vb4pex5vsknk084sn02q");
  payload.mutable_contact()->set_given_name("Ada \"L\"");
  payload.mutable_contact()->set_birth_date("1985-05-03");
  payload.mutable_contact()->set_next_task_title("Call");
  events::v1::Event event;
  event.set_service("contact");
  event.set_seq(12);
  event.set_type("contact.updated");
  event.set_record_id(payload.contact().id());
  event.set_revision(3);
  event.set_actor_id("user_1");
  event.add_changed_fields("given_name");
  *event.mutable_time() = ToTimestamp(absl::FromUnixSeconds(1'700'000'000));
  event.mutable_payload()->PackFrom(payload);
  auto body = WebhookBody(event, false);
  ASSERT_TRUE(body.ok()) << body.status();
  auto json = nlohmann::json::parse(*body);
  EXPECT_EQ(json["type"], "contact.updated");
  EXPECT_EQ(json["timestamp"], "2023-11-14T22:13:20.000000Z");
  EXPECT_EQ(json["seq"], 12);
  EXPECT_EQ(json["changed_fields"], nlohmann::json::array({"given_name"}));
  EXPECT_EQ(json["data"]["contact"]["given_name"], "Ada \"L\"");
  EXPECT_EQ(json["data"]["contact"]["birth_date"], "");
  EXPECT_EQ(json["data"]["contact"]["next_task_title"], "");
  EXPECT_EQ(nlohmann::json::parse(*WebhookBody(event, true))["data"]["contact"]["birth_date"], "1985-05-03");
}

TEST(WebhookDelay, GrowsToDaysAndEnds) {
  const absl::Duration retry = absl::Seconds(5);
  absl::Duration all, before;
  for (int attempt = 1; attempt < kWebhookAttemptsMax; ++attempt) {
    const auto delay = WebhookDelay(attempt, retry, 0.5);
    ASSERT_TRUE(delay) << attempt;
    EXPECT_GT(*delay, before);
    EXPECT_LT(*WebhookDelay(attempt, retry, 0), *delay);
    EXPECT_GT(*WebhookDelay(attempt, retry, 1), *delay);
    before = *delay;
    all += *delay;
  }
  EXPECT_GT(all, absl::Hours(48));
  EXPECT_LT(all, absl::Hours(120));
  EXPECT_FALSE(WebhookDelay(kWebhookAttemptsMax, retry, 0.5));
  EXPECT_FALSE(WebhookDelay(0, retry, 0.5));
}

}  // namespace
}  // namespace crm::messaging
