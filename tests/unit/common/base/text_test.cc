#include "common/base/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "common/base/error.h"
#include "tests/unit/common/base/seed.h"

namespace crm {
namespace {

using ::testing::HasSubstr;

TEST(TextTest, KnowsUtf8) {
  for (absl::string_view good : {"", "a", "é", "שלום", "日本", "😀", "\xF4\x8F\xBF\xBF"})
    EXPECT_TRUE(IsUtf8(good)) << good;
  EXPECT_TRUE(IsUtf8(absl::string_view("a\0b", 3)));
  for (absl::string_view bad : {"\x80", "\xC3", "a\xFF", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                "\xF5\x80\x80\x80", "ab\xE2\x82"}) {
    EXPECT_FALSE(IsUtf8(bad));
  }
}

TEST(TextTest, CutsAtCodePoints) {
  EXPECT_EQ(LengthOf("Zoë😀"), 4u);
  EXPECT_EQ(Truncated("Zoë😀x", 3), "Zoë");
  EXPECT_EQ(Truncated("Zoë😀x", 4), "Zoë😀");
  EXPECT_EQ(Truncated("Zoë", 100), "Zoë");
  EXPECT_EQ(Truncated("ë", 0), "");
}

TEST(TextTest, Squeezes) {
  EXPECT_EQ(Squeezed("  Ann \t\n Lee\u00a0\u3000x "), "Ann Lee x");
  EXPECT_EQ(Squeezed(" \n"), "");
  EXPECT_EQ(Squeezed("a\xFF"
                     "b"),
            "a\uFFFDb");
}

TEST(TextTest, RefusesWhatIsNoText) {
  EXPECT_TRUE(IsClean("O'Brien-Müller, 3rd (שלום)"));
  for (absl::string_view bad :
       {absl::string_view("a\0b", 3), absl::string_view("\x07"), absl::string_view("\x7f"), absl::string_view("\u0085"),
        absl::string_view("\uFFFF"), absl::string_view("\xff"), absl::string_view("a\u202Eb")}) {
    EXPECT_FALSE(IsClean(bad));
  }
  EXPECT_FALSE(IsClean("a\nb"));
  EXPECT_TRUE(IsClean("a\n\tb\r\n", TextKind::kLong));
  EXPECT_FALSE(IsClean(absl::string_view("a\n\0", 3), TextKind::kLong));

  EXPECT_TRUE(CheckText("Ann", "name", 3).ok());
  auto nul = CheckText(absl::string_view("Än\0n", 5), "contact.name", 100);
  ASSERT_FALSE(nul.ok());
  EXPECT_EQ(ViolationsOf(nul).at(0).field, "contact.name");
  EXPECT_THAT(std::string(nul.message()), HasSubstr("U+0000 after 2 characters"));
  EXPECT_THAT(std::string(CheckText("\xff", "name", 9).message()), HasSubstr("not UTF-8 after 0"));
  EXPECT_THAT(std::string(CheckText("Ännchen", "name", 6).message()), HasSubstr("7 characters long; at most 6"));
  EXPECT_TRUE(CheckText("Ännchen", "name", 7).ok());
}

TEST(TextTest, CaseFolds) {
  EXPECT_EQ(CaseFold("STRASSE"), CaseFold("Straße"));
  EXPECT_EQ(CaseFold("ＡＢＣ"), "abc");
  EXPECT_EQ(CaseFold("ЩЁКИН"), "щёкин");
  EXPECT_EQ(CaseFold("Σίσυφος"), CaseFold("ΣΊΣΥΦΟΣ"));
  EXPECT_EQ(CaseFold("e\u0301"), "é");
}

TEST(TextTest, SearchKeys) {
  for (const auto& [text, key] : std::initializer_list<std::pair<const char*, const char*>>{
           {"Żółć  Müller", "zolc muller"},
           {"Łukasz Øre Đoković Æsir", "lukasz ore dokovic aesir"},
           {"İstanbul ISPARTA ılık", "istanbul isparta ilik"},
           {"Щёкин Йошкар", "щекин иошкар"},
           {"Ἀθήνα", "αθηνα"},
           {"שָׁלוֹם", "שלום"},
           {"O’Brien–Lee", "o'brien-lee"},
           {"がぎ", "がぎ"},
           {"हिन्दी", "हिन्दी"},
           {"", ""},
       }) {
    EXPECT_EQ(SearchKey(text), key) << text;
  }
}

// Words of Cyrillic alone take a short way, by a table of letters; beside a letter of another script they take ICU's.
TEST(TextTest, CyrillicLettersMeanTheSameAloneAndInEveryCompany) {
  const std::string hebrew = "ש", beside = " " + LatinKey(hebrew);
  std::vector<std::string> letters;
  for (int c = 0x430; c <= 0x45F; ++c) {
    letters.push_back({static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3F))});
  }
  for (const std::string& first : letters) {
    for (const std::string& second : letters) {
      for (const std::string& word : {first + second, "а" + first + second + "т", first + "-" + second + " x"}) {
        const std::string key = LatinKey(word);
        ASSERT_EQ(LatinKey(word + " " + hebrew), key.empty() ? beside.substr(1) : key + beside) << word;
      }
    }
  }
}

TEST(TextTest, LatinKeysMeetAcrossScriptsAndRomanisations) {
  for (const auto& same : std::vector<std::vector<const char*>>{
           {"Щёкин", "Shchyokin", "Schekin", "ЩЕКИН"},
           {"Шевченко", "Shevchenko", "Schewtschenko"},
           {"Чайковский", "Tchaikovsky", "Tschaikowski", "Chaykovskiy", "Čajkovskij"},
           {"Юлия", "Yulia", "Julija", "Yuliya"},
           {"Юрий", "Yuri", "Jurij", "Yury"},
           {"Алексей", "Alexey", "Aleksei"},
           {"Дмитрий", "Dmitry", "Dmitriy", "Dmitrij"},
           {"Михайлов", "Mikhaylov", "Mihailov"},
           {"Müller", "Mueller", "MULLER"},
           {"Żółć", "zolc"},
           {"Жуков", "Zhukov", "Žukov"},
       }) {
    for (const char* text : same) EXPECT_EQ(LatinKey(text), LatinKey(same[0])) << text << " and " << same[0];
  }
  EXPECT_EQ(LatinKey("Щёкин"), "sekin");
  EXPECT_NE(LatinKey("Ivanov"), LatinKey("Petrov"));
  EXPECT_EQ(LatinKey("Дом 1100-22"), "dom 1100 22");
  EXPECT_EQ(LatinKey("שלום"), LatinKey("שָׁלוֹם"));
  EXPECT_THAT(LatinKey("שלום"), ::testing::MatchesRegex("[a-z]+"));
  EXPECT_EQ(LatinKey(" - "), "");
}

// Keys of keys are the keys: what was stored and what is asked for meet. And any bytes come through.
TEST(TextPropertyTest, KeysAreStableForAnyBytes) {
  auto random = SeededRandom();
  for (int i = 0; i < 3'000; ++i) {
    std::string text;
    for (size_t n = random() % 12; n > 0; --n) {
      if (random() % 8 == 0) {
        text += static_cast<char>(random());
        continue;
      }
      const uint32_t c = static_cast<uint32_t>(random() % (random() % 2 ? 0x700 : 0x11000));
      if (c < 0x80) {
        text += static_cast<char>(c);
      } else if (c < 0x800) {
        text += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
      } else if (c < 0x10000) {
        text += {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 63)),
                 static_cast<char>(0x80 | (c & 63))};
      }
    }
    SCOPED_TRACE(::testing::PrintToString(text));
    const std::string key = SearchKey(text);
    ASSERT_TRUE(IsUtf8(key) || !IsUtf8(text));
    ASSERT_EQ(SearchKey(key), key);
    ASSERT_EQ(CaseFold(CaseFold(text)), CaseFold(text));
    ASSERT_THAT(LatinKey(text), ::testing::MatchesRegex("[a-z0-9 ]*"));
    ASSERT_TRUE(IsUtf8(Truncated(key, 3)) || !IsUtf8(key));
    ASSERT_LE(LengthOf(Truncated(key, 3)), 3u);
  }
}

TEST(TextTest, KeysAreThreadSafe) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int n = 0; n < 200; ++n) {
        ASSERT_EQ(LatinKey("Щёкин"), "sekin");
        ASSERT_EQ(LatinKey("Αθήνα שלום"), LatinKey("ΑΘΉΝΑ שלום"));
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace crm
