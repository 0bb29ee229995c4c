#include "common/base/phone.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <phonenumbers/phonenumber.pb.h>
#include <phonenumbers/phonenumberutil.h>

#include "tests/unit/common/base/seed.h"

namespace crm {
namespace {

TEST(PhoneTest, AnySpellingIsOneNumber) {
  for (const char* text : {"+49 30 0074321", "0049300074321", "030-0074321", "(030) 007 43 21", "030/0074321",
                           "+49 (0)30 0074321", " 030 0074321 ", "tel:+49-30-0074321", "０３０００７４３２１"}) {
    const Phone phone = ParsePhone(text, "DE");
    EXPECT_TRUE(phone.recognized) << text;
    EXPECT_EQ(phone.number, "+49300074321") << text;
    EXPECT_EQ(phone.region, "DE") << text;
    EXPECT_EQ(PhoneKey(phone), "+49300074321") << text;
  }
  EXPECT_EQ(ParsePhone("8 (495) 123-45-67", "RU").number, "+74951234567");
  EXPECT_EQ(ParsePhone("050-123-4567", "IL").number, "+972501234567");
  EXPECT_EQ(ParsePhone("(206) 555-9857", "us").number, "+12065559857");
  EXPECT_TRUE(ParsePhone("+1 650 253 0000", "").assigned);
  EXPECT_EQ(ParsePhone("+1 650 253 0000", "DE").region, "US");
  EXPECT_EQ(ParsePhone("030 0074321 ext. 12", "DE").extension, "12");
  EXPECT_EQ(ParsePhone("030 0074321 ext. 12", "DE").number, "+49300074321");
}

TEST(PhoneTest, WhatIsNoNumberStaysAsGiven) {
  for (const auto& [text, region, kept, key] :
       std::initializer_list<std::tuple<const char*, const char*, const char*, const char*>>{
           {" ask  Ann ", "DE", "ask Ann", ""},
           {"12", "DE", "12", "12"},
           {"030 0074321", "", "030 0074321", "0300074321"},
           {"(1) 135-555", "US", "(1) 135-555", "1135555"},
           {"555-1234", "US", "555-1234", "5551234"},
           {"+999 123456789", "DE", "+999 123456789", "999123456789"},
           {"030 0074321", "XX", "030 0074321", "0300074321"},
           {"", "DE", "", ""},
       }) {
    const Phone phone = ParsePhone(text, region);
    EXPECT_FALSE(phone.recognized) << text;
    EXPECT_EQ(phone.number, kept);
    EXPECT_EQ(PhoneKey(phone), key);
    EXPECT_EQ(phone.region, "");
  }
  const std::string huge(10'000, '5');
  EXPECT_FALSE(ParsePhone(huge, "US").recognized);
  EXPECT_FALSE(ParsePhone(std::string("+49300074321\0", 13), "DE").recognized);
  EXPECT_FALSE(ParsePhone("\xff\xfe", "DE").recognized);
}

TEST(PhonePropertyTest, E164ReadsAsItself) {
  auto random = SeededRandom();
  const std::string letters = "0123456789+-() /x.";
  int recognized = 0;
  for (int i = 0; i < 3'000; ++i) {
    std::string text = random() % 2 ? "+" : "";
    for (size_t n = random() % 18; n > 0; --n) text += letters[random() % (random() % 4 ? 10 : letters.size())];
    const Phone phone = ParsePhone(text, "DE");
    if (!phone.recognized) continue;
    ++recognized;
    ASSERT_THAT(phone.number, ::testing::MatchesRegex("\\+[1-9][0-9]+")) << text;
    for (const char* region : {"", "US", "DE"})
      ASSERT_EQ(ParsePhone(phone.number, region).number, phone.number) << text;
  }
  EXPECT_GT(recognized, 100);
}

// What ReadPhone leaves out before it asks the library means nothing to the library.
TEST(PhonePropertyTest, PunctuationMeansNothing) {
  auto random = SeededRandom();
  const auto& util = *i18n::phonenumbers::PhoneNumberUtil::GetInstance();
  constexpr absl::string_view kBegins[] = {"7",  "7 8",  "49 ",  "49 (0)", "1-",   "1 1",  "39 0",
                                           "44", "54 9", "54 0", "800 ",   "972-", "52 1", ""};
  int parsed = 0;
  for (int i = 0; i < 5'000; ++i) {
    std::string written = absl::StrCat("+", kBegins[random() % std::size(kBegins)]);
    for (auto n = random() % 14; n > 0; --n) {
      written += static_cast<char>('0' + random() % 10);
      if (random() % 3 == 0) written += " -()"[random() % 4];
    }
    std::string plain = written;
    std::erase_if(plain, [](char c) { return absl::StrContains(" -()", c); });
    i18n::phonenumbers::PhoneNumber of_written, of_plain;
    const auto error = util.Parse(written, "DE", &of_written);
    ASSERT_EQ(error, util.Parse(plain, "DE", &of_plain)) << written;
    if (error != util.NO_PARSING_ERROR) continue;
    ++parsed;
    ASSERT_TRUE(of_written.SerializeAsString() == of_plain.SerializeAsString()) << written;
  }
  EXPECT_GT(parsed, 1'000);
}

TEST(CountryTest, KnowsHowPeopleWriteThem) {
  for (const auto& [name, region] : std::initializer_list<std::pair<const char*, const char*>>{
           {"USA", "US"},
           {"U.S.A.", "US"},
           {"United States", "US"},
           {"us", "US"},
           {"UK", "GB"},
           {"England", "GB"},
           {"Germany", "DE"},
           {"Deutschland", "DE"},
           {"DEU", "DE"},
           {"México", "MX"},
           {"Mexico", "MX"},
           {"mexique", "MX"},
           {"Brasil", "BR"},
           {"Россия", "RU"},
           {"РОССИЙСКАЯ ФЕДЕРАЦИЯ", "RU"},
           {"ישראל", "IL"},
           {"Österreich", "AT"},
           {"Osterreich", "AT"},
           {"España", "ES"},
           {"Côte d’Ivoire", "CI"},
           {"Holland", "NL"},
           {"Czech Republic", "CZ"},
           {" ireland ", "IE"},
           {"Türkiye", "TR"},
           {"Turkey", "TR"},
           {"South Korea", "KR"},
           {"Suisse", "CH"},
           {"日本", "JP"},
           // every country of the Northwind files
           {"Argentina", "AR"},
           {"Austria", "AT"},
           {"Belgium", "BE"},
           {"Brazil", "BR"},
           {"Canada", "CA"},
           {"Denmark", "DK"},
           {"Finland", "FI"},
           {"France", "FR"},
           {"Italy", "IT"},
           {"Norway", "NO"},
           {"Poland", "PL"},
           {"Portugal", "PT"},
           {"Spain", "ES"},
           {"Sweden", "SE"},
           {"Switzerland", "CH"},
           {"Venezuela", "VE"},
           {"Australia", "AU"},
           {"Japan", "JP"},
           {"Netherlands", "NL"},
           {"Singapore", "SG"},
       }) {
    EXPECT_EQ(RegionOfCountry(name), region) << name;
  }
  for (const char* name : {"", " ", "Atlantis", "X", "Europe", "\xff"}) EXPECT_EQ(RegionOfCountry(name), "") << name;
  EXPECT_TRUE(IsRegion("DE"));
  for (const char* code : {"de", "XX", "", "DEU", "ZZ"}) EXPECT_FALSE(IsRegion(code)) << code;
}

}  // namespace
}  // namespace crm
