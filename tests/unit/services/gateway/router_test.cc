#include "services/gateway/router.h"

#include <gtest/gtest.h>

#include "common/base/error.h"
#include "services/gateway/path_template.h"

namespace crm::gateway {
namespace {

TEST(PathTemplateTest, ReadsWhatTheSpecificationHas) {
  struct {
    const char* text;
    const char* shape;
  } const cases[] = {{"/v1/deals", "/v1/deals"},
                     {"/v1/deals/{id}", "/v1/deals/*"},
                     {"/v1/deals/{id}:move", "/v1/deals/*:move"},
                     {"/v1/deals:import", "/v1/deals:import"},
                     {"/v1/contacts/{contact.id}", "/v1/contacts/*"},
                     {"/v1/{name=files/*}/parts/**", "/v1/files/*/parts/**"},
                     {"/v1/{name=files/**}", "/v1/files/**"},
                     {"/v1/public/{tenant_id}/forms/{form_id}:submit", "/v1/public/*/forms/*:submit"}};
  for (const auto& c : cases) {
    auto parsed = ParsePathTemplate(c.text);
    ASSERT_TRUE(parsed.ok()) << c.text << parsed.status();
    EXPECT_EQ(parsed->Shape(), c.shape);
  }
}

TEST(PathTemplateTest, RefusesWhatItHasNot) {
  for (const char* text : {"", "v1/deals", "/", "/v1//deals", "/v1/deals/", "/v1/{id", "/v1/{id}x", "/v1/x{id}",
                           "/v1/{}", "/v1/{1d}", "/v1/{a.}", "/v1/{id}/{id}", "/v1/**/deals", "/v1/{n=**}/deals",
                           "/v1/deals:", "/v1/a b", "/v1/d\xc3\xa9", "/v1/{n=}"}) {
    EXPECT_FALSE(ParsePathTemplate(text).ok()) << text;
  }
}

TEST(PercentDecodeTest, Table) {
  EXPECT_EQ(*PercentDecode("a%20b%C3%A9"), "a b\xc3\xa9");
  EXPECT_EQ(*PercentDecode("a+b"), "a+b");
  EXPECT_EQ(*PercentDecode("a+b", true), "a b");
  EXPECT_EQ(*PercentDecode("a%2Fb", false, true), "a%2Fb");
  EXPECT_EQ(*PercentDecode("a%2Fb"), "a/b");
  EXPECT_EQ(*PercentDecode("%41"), "A");
  for (const char* text : {"%", "%4", "%zz", "a%0", "%00", "%ff", "%C3", "%ED%A0%80", "%C0%AF"}) {
    EXPECT_FALSE(PercentDecode(text).ok()) << text;
  }
}

TEST(QueryTest, KeepsOrderAndRepeats) {
  auto got = ParseQuery("a=1&b=x%20y&a=2&c&d=&&e=1%3D2");
  ASSERT_TRUE(got.ok());
  std::vector<std::pair<std::string, std::string>> want = {{"a", "1"}, {"b", "x y"}, {"a", "2"},
                                                           {"c", ""},  {"d", ""},    {"e", "1=2"}};
  EXPECT_EQ(*got, want);
  std::string many;
  for (int i = 0; i < 300; ++i) many += "a=1&";
  EXPECT_EQ(ReasonOf(ParseQuery(many).status()), type::v1::ERROR_REASON_TOO_LARGE);
}

class RouterTest : public testing::Test {
 protected:
  void SetUp() override {
    struct {
      const char* method;
      const char* path;
    } const routes[] = {{"GET", "/v1/deals"},
                        {"POST", "/v1/deals"},
                        {"GET", "/v1/deals/{id}"},
                        {"PATCH", "/v1/deals/{deal.id}"},
                        {"POST", "/v1/deals/{id}:move"},
                        {"POST", "/v1/deals:import"},
                        {"GET", "/v1/deals/latest"},
                        {"GET", "/v1/{name=files/*}/parts/**"},
                        {"GET", "/v1/users/me/teams"},
                        {"DELETE", "/v1/users/{id}/keys"}};
    for (const auto& route : routes)
      ASSERT_TRUE(router_.Add(route.method, route.path, next_++, route.path).ok()) << route.path;
  }
  Router router_;
  size_t next_ = 0;
};

TEST_F(RouterTest, MatchesByMethodAndPath) {
  struct {
    const char* method;
    const char* path;
    size_t route;
    std::string value;
  } const cases[] = {{"GET", "/v1/deals", 0, ""},
                     {"HEAD", "/v1/deals", 0, ""},
                     {"POST", "/v1/deals", 1, ""},
                     {"GET", "/v1/deals/deal_1", 2, "deal_1"},
                     {"PATCH", "/v1/deals/deal_1", 3, "deal_1"},
                     {"POST", "/v1/deals/deal_1:move", 4, "deal_1"},
                     {"POST", "/v1/deals:import", 5, ""},
                     {"GET", "/v1/deals/latest", 6, ""},
                     {"GET", "/v1/files/a/parts/b/c", 7, "files/a"},
                     {"GET", "/v1/files/a/parts", 7, "files/a"},
                     {"GET", "/v1/deals/a%3Ab", 2, "a:b"},
                     {"GET", "/v1/deals/a%2Fb", 2, "a/b"},
                     {"DELETE", "/v1/users/me/keys", 9, "me"}};
  for (const auto& c : cases) {
    auto match = router_.Match(c.method, c.path);
    ASSERT_TRUE(match.ok()) << c.method << c.path << match.status();
    EXPECT_EQ(match->route, c.route) << c.path;
    if (!c.value.empty()) {
      EXPECT_EQ(match->variables.at(0).second, c.value) << c.path;
    }
  }
  EXPECT_EQ(router_.Match("PATCH", "/v1/deals/x")->variables.at(0).first, "deal.id");
}

TEST_F(RouterTest, TellsNoSuchAddressFromWrongMethod) {
  for (const char* path : {"/", "/v1", "/v1/deals/", "/v1//deals", "/v1/deals/a/b", "/v1/deals/a:fly", "/v2/deals", "",
                           "*", "/v1/deals:"}) {
    EXPECT_EQ(router_.Match("GET", path).status().code(), absl::StatusCode::kNotFound) << path;
  }
  auto wrong = router_.Match("DELETE", "/v1/deals/deal_1");
  EXPECT_EQ(wrong.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(MetadataOf(wrong.status())["allow"], "GET, PATCH");
  EXPECT_EQ(router_.AllowedMethods("/v1/deals/deal_1"), (std::vector<std::string>{"GET", "HEAD", "PATCH"}));
  EXPECT_TRUE(router_.AllowedMethods("/nothing").empty());
}

TEST_F(RouterTest, ManySegmentsAreOnlyNotFound) {
  std::string path;
  for (int i = 0; i < 5000; ++i) path += "/a";
  EXPECT_EQ(router_.Match("GET", path).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RouterTest, RefusesBadEscapesInVariables) {
  EXPECT_EQ(router_.Match("GET", "/v1/deals/%zz").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(router_.Match("GET", "/v1/deals/%00").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(RouterTest, RefusesCollisionsNamingBoth) {
  absl::Status status = router_.Add("GET", "/v1/deals/{deal_id}", 99, "crm.other.v1.Other.Get");
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_NE(status.message().find("crm.other.v1.Other.Get"), absl::string_view::npos);
  EXPECT_NE(status.message().find("/v1/deals/{id}"), absl::string_view::npos);
  EXPECT_FALSE(router_.Add("GET", "/v1/{any=files/*}/parts/**", 99, "x").ok());
}

}  // namespace
}  // namespace crm::gateway
