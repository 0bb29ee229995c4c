#include "services/contact/rules/counterparty.h"

#include <gtest/gtest.h>

#include "common/base/error.h"

namespace crm::contact {
namespace {

v1::Contact Anna() {
  v1::Contact contact;
  contact.set_given_name("  Anna ");
  contact.set_family_name("Щёкина");
  return contact;
}

TEST(NormalizeContact, ShowsNamesAndSqueezesThem) {
  v1::Contact contact = Anna();
  contact.set_middle_name("Петровна");
  ASSERT_TRUE(Normalize(contact, "").ok());
  EXPECT_EQ(contact.display_name(), "Anna Петровна Щёкина");
}

TEST(NormalizeContact, ShowsAnAddressWhereThereIsNoName) {
  v1::Contact contact;
  contact.add_emails()->set_address("Anna@Example.ORG");
  ASSERT_TRUE(Normalize(contact, "").ok());
  EXPECT_EQ(contact.display_name(), "anna@example.org");
}

TEST(NormalizeContact, RefusesOneThatSaysNothing) {
  v1::Contact contact;
  const absl::Status status = Normalize(contact, "");
  EXPECT_EQ(ReasonOf(status), type::v1::ERROR_REASON_FIELD_INVALID);
  EXPECT_EQ(ViolationsOf(status).at(0).field, "contact");
}

TEST(NormalizeContact, ReadsPhonesByTheNearestCountry) {
  v1::Contact own = Anna(), address = Anna(), tenant = Anna();
  own.set_country_code("DE");
  address.add_addresses()->set_country("Deutschland");
  for (auto* contact : {&own, &address, &tenant}) contact->add_phones()->set_number("030 0074321");
  ASSERT_TRUE(Normalize(own, "US").ok());
  ASSERT_TRUE(Normalize(address, "US").ok());
  ASSERT_TRUE(Normalize(tenant, "DE").ok());
  for (const auto* contact : {&own, &address, &tenant}) {
    EXPECT_EQ(contact->phones(0).number(), "+49300074321");
    EXPECT_FALSE(contact->phones(0).unparsed());
    EXPECT_TRUE(contact->phones(0).primary());
  }
  EXPECT_EQ(address.country_code(), "DE");
}

TEST(NormalizeContact, KeepsWhatIsNoNumberAsGivenAndSaysSo) {
  v1::Contact contact = Anna();
  contact.add_phones()->set_number("ask at the desk");
  ASSERT_TRUE(Normalize(contact, "DE").ok());
  EXPECT_EQ(contact.phones(0).number(), "ask at the desk");
  EXPECT_TRUE(contact.phones(0).unparsed());
}

TEST(NormalizeContact, KeepsOnePrimaryAndDropsRepeats) {
  v1::Contact contact = Anna();
  for (const char* address : {"a@example.org", "A@Example.org", "b@example.org", "c@example.org"}) {
    auto* email = contact.add_emails();
    email->set_address(address);
    email->set_primary(std::string(address) != "a@example.org");
  }
  ASSERT_TRUE(Normalize(contact, "").ok());
  ASSERT_EQ(contact.emails_size(), 3);
  EXPECT_FALSE(contact.emails(0).primary());
  EXPECT_TRUE(contact.emails(1).primary());
  EXPECT_FALSE(contact.emails(2).primary());
}

TEST(NormalizeContact, NamesTheFieldThatIsWrong) {
  v1::Contact email = Anna(), birth = Anna(), zone = Anna(), country = Anna(), twice = Anna();
  email.add_emails()->set_address("good@example.org");
  email.add_emails()->set_address("no address");
  birth.set_birth_date("2026-02-30");
  zone.set_time_zone("Mars/Olympus");
  country.set_country_code("ZZ");
  for (const char* id : {"1", "2"}) {
    auto* external = twice.add_external_ids();
    external->set_system("shop");
    external->set_id(id);
  }
  const auto field = [](v1::Contact contact) { return ViolationsOf(Normalize(contact, "")).at(0).field; };
  EXPECT_EQ(field(email), "contact.emails[1].address");
  EXPECT_EQ(field(birth), "contact.birth_date");
  EXPECT_EQ(field(zone), "contact.time_zone");
  EXPECT_EQ(field(country), "contact.country_code");
  EXPECT_EQ(field(twice), "contact.external_ids[1].system");
}

TEST(NormalizeCompany, NeedsAName) {
  v1::Company company;
  company.set_name("   ");
  EXPECT_EQ(ViolationsOf(Normalize(company, "")).at(0).field, "company.name");
}

TEST(Keys, AreWhatAnySpellingLeadsTo) {
  v1::Contact contact = Anna();
  contact.add_phones()->set_number("+49 (30) 007-4321");
  contact.add_emails()->set_address("ANNA@example.org");
  auto* messenger = contact.add_messengers();
  messenger->set_kind("telegram");
  messenger->set_handle("AnnaS");
  ASSERT_TRUE(Normalize(contact, "DE").ok());
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"email", "anna@example.org"}, {"messenger", "telegram:annas"}, {"phone", "+49300074321"}};
  EXPECT_EQ(KeysOf(contact), expected);
}

TEST(SearchText, FoldsAndTransliterates) {
  v1::Contact contact = Anna();
  contact.add_phones()->set_number("+49300074321");
  ASSERT_TRUE(Normalize(contact, "DE").ok());
  const SearchText search = SearchTextOf(contact);
  EXPECT_EQ(search.name, "anna щекина");
  EXPECT_NE(search.text.find("sekina"), std::string::npos) << search.text;
  EXPECT_NE(search.text.find("49300074321"), std::string::npos) << search.text;
}

TEST(SearchTerms, KnowWhatWasTyped) {
  EXPECT_EQ(TermsOf("Щёк", "").key, "щек");
  EXPECT_EQ(TermsOf("030 0074321", "DE").phone, "+49300074321");
  EXPECT_EQ(TermsOf("Anna@Example.org", "").email, "anna@example.org");
  EXPECT_TRUE(TermsOf("12", "").digits.empty());
  EXPECT_TRUE(TermsOf("   ", "").key.empty());
}

}  // namespace
}  // namespace crm::contact
