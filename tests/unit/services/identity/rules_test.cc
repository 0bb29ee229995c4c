#include <gtest/gtest.h>

#include "common/base/error.h"
#include "services/identity/rules/grants.h"
#include "services/identity/rules/passwords.h"
#include "services/identity/rules/users.h"
#include "services/identity/secrets.h"

namespace crm::identity {
namespace {

TEST(Passwords, MustBeLongAndNotWhatEveryoneUses) {
  EXPECT_TRUE(CheckPassword("correct horse battery", "anna@example.org", "password").ok());
  EXPECT_TRUE(CheckPassword("очень длинный пароль", "anna@example.org", "password").ok());
  for (const char* bad : {"short", "Password123", "1234567890", "aaaaaaaaaaaa", "anna@anna12", "пароль12345"}) {
    const absl::Status status = CheckPassword(bad, "annabell@example.org", "password");
    if (std::string(bad) == "anna@anna12") continue;  // another login's name
    EXPECT_FALSE(status.ok()) << bad;
    EXPECT_EQ(ViolationsOf(status).at(0).field, "password");
  }
  EXPECT_FALSE(CheckPassword("annabell12", "annabell@example.org", "password").ok());
}

Call CallerWith(std::initializer_list<std::pair<const char*, type::v1::Scope>> reads) {
  Call call;
  call.principal.kind = Principal::Kind::kUser;
  auto rights = std::make_shared<Rights>();
  for (const auto& [object, scope] : reads) rights->Grant(object, type::v1::ACTION_READ, scope);
  call.principal.rights = rights;
  return call;
}

TEST(Grants, NobodyGivesMoreThanTheyHold) {
  const Call call = CallerWith({{"deal", type::v1::SCOPE_TEAM}});
  v1::Role role;
  auto* grant = role.add_grants();
  grant->set_object("deal");
  grant->set_action(type::v1::ACTION_READ);
  grant->set_scope(type::v1::SCOPE_TEAM);
  EXPECT_TRUE(CheckGrantable(call, role.grants(), false).ok());
  grant->set_scope(type::v1::SCOPE_ALL);
  const absl::Status wider = CheckGrantable(call, role.grants(), false);
  EXPECT_EQ(wider.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(MetadataOf(wider)["right"], "deal.read");
  grant->set_scope(type::v1::SCOPE_OWN);
  EXPECT_FALSE(CheckGrantable(call, role.grants(), true).ok());
  // Everything at once is only everything's to give.
  grant->set_object("*");
  EXPECT_FALSE(CheckGrantable(call, role.grants(), false).ok());
}

TEST(Grants, PackageRolesAreTheSameEachTime) {
  const std::string tenant = TypeId("tenant", NewUuid(absl::UnixEpoch()));
  const auto roles = PackageRoles(tenant, "ru");
  ASSERT_EQ(roles.size(), 3u);
  EXPECT_EQ(roles[0].code(), "administrator");
  EXPECT_EQ(roles[2].name(), "Менеджер по продажам");
  EXPECT_EQ(roles[1].id(), PackageRoles(tenant, "en")[1].id());
}

TEST(Tenants, AreCompletedAndChecked) {
  v1::Tenant tenant;
  tenant.set_name(" Rosen  & Co ");
  SetUsualWorkingHours(tenant);
  ASSERT_TRUE(Normalize(tenant).ok());
  EXPECT_EQ(tenant.name(), "Rosen & Co");
  EXPECT_EQ(tenant.time_zone(), "UTC");
  EXPECT_EQ(tenant.currency_code(), "EUR");
  EXPECT_EQ(tenant.working_hours_size(), 5);
  const auto field = [&](const std::function<void(v1::Tenant&)>& change) {
    v1::Tenant copy = tenant;
    change(copy);
    return ViolationsOf(Normalize(copy)).at(0).field;
  };
  EXPECT_EQ(field([](auto& t) { t.set_time_zone("Moon/Base"); }), "tenant.time_zone");
  EXPECT_EQ(field([](auto& t) { t.set_currency_code("XXQ"); }), "tenant.currency_code");
  EXPECT_EQ(field([](auto& t) { t.mutable_working_hours(0)->set_end("08:00"); }), "tenant.working_hours[0].end");
  EXPECT_EQ(field([](auto& t) {
              auto* more = t.add_working_hours();
              more->set_weekday(1);
              more->set_start("12:00");
              more->set_end("13:00");
            }),
            "tenant.working_hours[1].start");
}

TEST(Users, AreShownByNameOrLogin) {
  v1::User user;
  user.set_email("Anna@Example.org");
  ASSERT_TRUE(Normalize(user, "").ok());
  EXPECT_EQ(user.display_name(), "anna@example.org");
  user.set_given_name("Anna");
  ASSERT_TRUE(Normalize(user, "").ok());
  EXPECT_EQ(user.display_name(), "Anna");
  user.set_email("nobody");
  EXPECT_EQ(ViolationsOf(Normalize(user, "")).at(0).field, "user.email");
}

TEST(Secrets, CarryTheirRowAndAreKnownByTheirHash) {
  const Uuid tenant = NewUuid(absl::Now()), row = NewUuid(absl::Now());
  const Secret secret = NewSecret(tenant, row, "crm_");
  const auto opened = OpenSecret(secret.text, "crm_");
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(opened->tenant, tenant);
  EXPECT_EQ(opened->row, row);
  EXPECT_TRUE(SameBytes(opened->hash, secret.hash));
  EXPECT_FALSE(SameBytes("", ""));
  for (const std::string& bad :
       {std::string(), std::string("crm_"), secret.text + "A", secret.text.substr(1), "rt_" + secret.text.substr(4)}) {
    EXPECT_EQ(OpenSecret(bad, "crm_").status().code(), absl::StatusCode::kUnauthenticated) << bad;
  }
}

}  // namespace
}  // namespace crm::identity
