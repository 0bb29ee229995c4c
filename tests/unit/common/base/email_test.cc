#include "common/base/email.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/error.h"

namespace crm {
namespace {

TEST(EmailTest, NormalizesWhatMailServersTake) {
  for (const auto& [text, address] : std::initializer_list<std::pair<const char*, const char*>>{
           {" Ann.Lee@Example.COM\n", "ann.lee@example.com"},
           {"a+b_c-d'e/f=g@x-y.co.uk", "a+b_c-d'e/f=g@x-y.co.uk"},
           {"ПОЧТА@Пример.РФ", "почта@пример.рф"},
           {"info@BÜCHER.example", "info@bücher.example"},
           {"a@xn--bcher-kva.example", "a@xn--bcher-kva.example"},
           {"ａｂ@example.com", "ab@example.com"},
       }) {
    auto normal = NormalizeEmail(text);
    ASSERT_TRUE(normal.ok()) << text << normal.status();
    EXPECT_EQ(*normal, address);
    EXPECT_EQ(*NormalizeEmail(*normal), *normal);
  }
}

TEST(EmailTest, RefusesTheRestNamingTheField) {
  const std::string long_local(65, 'a'), long_label(64, 'a');
  for (const std::string& text : {std::string(),
                                  std::string("ann"),
                                  std::string("@x.com"),
                                  std::string("ann@"),
                                  std::string("ann@localhost"),
                                  std::string("a b@x.com"),
                                  std::string("a@b@x.com"),
                                  std::string(".a@x.com"),
                                  std::string("a.@x.com"),
                                  std::string("a..b@x.com"),
                                  std::string("a@.com"),
                                  std::string("a@x..com"),
                                  std::string("a@x.com."),
                                  std::string("a@-x.com"),
                                  std::string("a@x-.com"),
                                  std::string("a@x_y.com"),
                                  std::string("a@[127.0.0.1]"),
                                  std::string("a@127.0.0.1"),
                                  std::string("\"a b\"@x.com"),
                                  std::string("Ann <ann@x.com>"),
                                  std::string("a,b@x.com"),
                                  std::string("a@x.com\0", 8),
                                  std::string("a\x01@x.com"),
                                  std::string("a\xff@x.com"),
                                  long_local + "@x.com",
                                  "a@" + long_label + ".com",
                                  "a@" + std::string(130, 'a') + "." + std::string(130, 'b') + ".com",
                                  std::string(10'000'000, 'a') + "@x.com"}) {
    auto normal = NormalizeEmail(text, "contact.emails[2].address");
    ASSERT_FALSE(normal.ok()) << text.substr(0, 50);
    EXPECT_EQ(ViolationsOf(normal.status()).at(0).field, "contact.emails[2].address");
    EXPECT_LT(normal.status().message().size(), 400u);
  }
}

}  // namespace
}  // namespace crm
