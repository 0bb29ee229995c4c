#include "common/base/text.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>
#include <unicode/translit.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>

#include "common/base/error.h"

namespace crm {
namespace texts {

using icu::UnicodeString;

constexpr char kReplacement[] = "\xEF\xBF\xBD";  // U+FFFD

// Each character with its bytes; what is not UTF-8 is -1, with those of U+FFFD.
template <typename Each>
void EachCharacter(absl::string_view text, Each each) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  const auto size = static_cast<int64_t>(text.size());
  for (int64_t i = 0; i < size;) {
    const int64_t start = i;
    UChar32 c;
    U8_NEXT(bytes, i, size, c);
    const auto from = static_cast<size_t>(start), length = static_cast<size_t>(i - start);
    each(c, c < 0 ? absl::string_view(kReplacement) : text.substr(from, length));
  }
}

// ICU answers errors here only when its data files are missing or memory is.
void Require(UErrorCode code, const char* what) {
  if (U_SUCCESS(code)) return;
  std::fprintf(stderr, "ICU cannot offer %s: %s. Is libicu-data complete?\n", what, u_errorName(code));
  std::abort();
}

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

UnicodeString FromUtf8(absl::string_view text) {
  return UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
}

std::string ToUtf8(const UnicodeString& text) {
  std::string out;
  text.toUTF8String(out);
  return out;
}

using Instance = const icu::Normalizer2* (*)(UErrorCode&);
UnicodeString Normalized(Instance instance, const UnicodeString& text) {
  UErrorCode code = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = instance(code);
  Require(code, "normalisation");
  UnicodeString out = normalizer->normalize(text, code);
  Require(code, "normalisation");
  return out;
}
const icu::Normalizer2* NfkcCaseFold(UErrorCode& code) { return icu::Normalizer2::getNFKCCasefoldInstance(code); }
const icu::Normalizer2* Nfd(UErrorCode& code) { return icu::Normalizer2::getNFDInstance(code); }
const icu::Normalizer2* Nfc(UErrorCode& code) { return icu::Normalizer2::getNFCInstance(code); }

// Marks that a search may overlook: accents of Latin, Greek and Cyrillic, points of Hebrew and Arabic. Not every
// nonspacing mark: vowels of Indic scripts and Thai are marks too.
bool IsOverlookedMark(UChar32 c) {
  if (u_charType(c) != U_NON_SPACING_MARK) return false;
  const int combining = u_getCombiningClass(c);
  return combining == 1 || (combining >= 10 && combining <= 35) || (combining >= 202 && combining <= 240);
}

// What has no decomposition but is typed without; null if c stays.
const char* Plain(UChar32 c) {
  switch (c) {
    case 0x00E6:  // æ
      return "ae";
    case 0x00F0:  // ð
    case 0x0111:  // đ
      return "d";
    case 0x00F8:  // ø
      return "o";
    case 0x00FE:  // þ
      return "th";
    case 0x0127:  // ħ
      return "h";
    case 0x0131:  // ı
      return "i";
    case 0x0142:  // ł
      return "l";
    case 0x0153:  // œ
      return "oe";
    case 0x02BC:  // modifier apostrophe
    case 0x05F3:  // geresh
    case 0x2018:
    case 0x2019:  // typographic apostrophes
      return "'";
    case 0x05BE:  // maqaf
    case 0x2010:
    case 0x2011:
    case 0x2012:
    case 0x2013:
    case 0x2014:
    case 0x2015:
      return "-";
    default:
      return nullptr;
  }
}

UnicodeString WithoutMarks(const UnicodeString& text) {
  const UnicodeString decomposed = Normalized(Nfd, text);
  UnicodeString out;
  for (int32_t i = 0; i < decomposed.length(); i = decomposed.moveIndex32(i, 1)) {
    const UChar32 c = decomposed.char32At(i);
    if (IsOverlookedMark(c)) continue;
    if (const char* plain = Plain(c)) {
      out.append(UnicodeString::fromUTF8(plain));
    } else {
      out.append(c);
    }
  }
  return Normalized(Nfc, out);
}

// One for all threads: transliterate() is const, and ICU guards what its rules share.
const icu::Transliterator& ToLatin() {
  static const icu::Transliterator* const transliterator = [] {
    UErrorCode code = U_ZERO_ERROR;
    UParseError where;
    auto* made = icu::Transliterator::createInstance("Any-Latin; NFD; [:Mn:] Remove; Latin-ASCII; Lower",
                                                     UTRANS_FORWARD, where, code);
    Require(code, "transliteration");
    return made;
  }();
  return *transliterator;
}

// What the transliterator makes of each small letter of the basic Cyrillic block. It goes letter by letter there (a test
// compares), and most of our users' names are of such letters: a name costs a twentieth of the whole way.
constexpr UChar32 kCyrillicFirst = 0x0430, kCyrillicLast = 0x045F;
using CyrillicTable = std::array<std::string, kCyrillicLast - kCyrillicFirst + 1>;
const CyrillicTable& CyrillicToLatin() {
  static const CyrillicTable* const table = [] {
    auto* made = new CyrillicTable();
    for (UChar32 c = kCyrillicFirst; c <= kCyrillicLast; ++c) {
      UnicodeString letter(c);
      ToLatin().transliterate(letter);
      (*made)[static_cast<size_t>(c - kCyrillicFirst)] = ToUtf8(letter);
    }
    return made;
  }();
  return *table;
}

// Nothing if a letter is neither ASCII nor in the table. `key` is folded.
std::optional<std::string> LatinOfCyrillic(absl::string_view key) {
  std::string latin;
  const auto* bytes = reinterpret_cast<const uint8_t*>(key.data());
  const auto size = static_cast<int64_t>(key.size());
  for (int64_t i = 0; i < size;) {
    UChar32 c;
    U8_NEXT(bytes, i, size, c);
    if (c >= 0 && c < 0x80) {
      latin.push_back(static_cast<char>(c));
    } else if (c >= kCyrillicFirst && c <= kCyrillicLast) {
      latin += CyrillicToLatin()[static_cast<size_t>(c - kCyrillicFirst)];
    } else {
      return std::nullopt;
    }
  }
  return latin;
}

std::string LatinByRules(absl::string_view key) {
  auto latin = FromUtf8(key);
  ToLatin().transliterate(latin);
  return absl::AsciiStrToLower(ToUtf8(latin));
}

struct Reduction {
  absl::string_view from;
  absl::string_view to;
};
// Spellings of one sound in different romanisations, longest first; the ones on the right are what ICU's (ISO 9 without
// its accents) leaves of Cyrillic.
constexpr Reduction kReductions[] = {
    {"shch", "s"}, {"tsch", "c"}, {"sch", "s"}, {"tch", "c"}, {"sh", "s"}, {"ch", "c"}, {"zh", "z"},
    {"kh", "h"},   {"ts", "c"},   {"tz", "c"},  {"th", "t"},  {"ph", "f"}, {"gh", "g"}, {"ck", "k"},
    {"ae", "a"},   {"oe", "o"},   {"ue", "u"},  {"x", "ks"},  {"w", "v"},
};

bool IsI(char c) { return c == 'i' || c == 'j' || c == 'y'; }

// `text` is lower-case ASCII.
std::string Reduced(absl::string_view text) {
  std::string out;
  const auto put = [&out](char c) {
    const bool repeated =
        !out.empty() && out.back() == c && (c == ' ' || absl::ascii_isalpha(static_cast<unsigned char>(c)));
    if (!repeated && !(c == ' ' && out.empty())) out.push_back(c);
  };
  for (size_t i = 0; i < text.size();) {
    if (IsI(text[i])) {
      // "ya", "ia", "ija": я; "yo": ё; otherwise one i however it is spelt.
      while (i < text.size() && IsI(text[i])) ++i;
      const char next = i < text.size() ? text[i] : ' ';
      if (next == 'a' || next == 'e' || next == 'u') continue;  // the vowel itself follows
      if (next == 'o') {
        put('e');
        ++i;
      } else {
        put('i');
      }
      continue;
    }
    const auto* reduction = std::find_if(std::begin(kReductions), std::end(kReductions),
                                         [&](const Reduction& r) { return text.substr(i, r.from.size()) == r.from; });
    if (reduction != std::end(kReductions)) {
      for (char c : reduction->to) put(c);
      i += reduction->from.size();
      continue;
    }
    const char c = text[i++];
    if (absl::ascii_isalnum(static_cast<unsigned char>(c))) {
      put(c);
    } else if (c == ' ' || c == '-') {
      put(' ');
    }
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

struct Unclean {
  size_t index;    // code points before it
  int32_t symbol;  // -1: not UTF-8
};

std::optional<Unclean> FirstUnclean(absl::string_view text, TextKind kind) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  const auto size = static_cast<int64_t>(text.size());
  size_t index = 0;
  for (int64_t i = 0; i < size; ++index) {
    UChar32 c;
    U8_NEXT(bytes, i, size, c);
    if (c < 0) return Unclean{index, -1};
    const bool line_end = c == '\t' || c == '\n' || c == '\r' || c == 0x2028 || c == 0x2029;
    if (line_end && kind == TextKind::kLong) continue;
    const bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
    const bool turns_direction = c >= 0x202A && c <= 0x202E;  // Hebrew's own marks and isolates are welcome
    if (control || line_end || U_IS_UNICODE_NONCHAR(c) || (turns_direction && kind == TextKind::kLine)) {
      return Unclean{index, c};
    }
  }
  return std::nullopt;
}

}  // namespace texts

bool IsUtf8(absl::string_view text) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  const auto size = static_cast<int64_t>(text.size());
  for (int64_t i = 0; i < size;) {
    if (bytes[i] < 0x80) {
      ++i;
      continue;
    }
    UChar32 c;
    U8_NEXT(bytes, i, size, c);
    if (c < 0) return false;
  }
  return true;
}

std::string WellFormed(absl::string_view text) {
  if (IsUtf8(text)) return std::string(text);
  std::string out;
  texts::EachCharacter(text, [&out](UChar32, absl::string_view bytes) { absl::StrAppend(&out, bytes); });
  return out;
}

size_t LengthOf(absl::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string Truncated(absl::string_view text, size_t length_max) {
  size_t at = 0;
  for (size_t length = 0; at < text.size(); ++at) {
    if ((text[at] & 0xc0) != 0x80 && ++length > length_max) break;
  }
  return std::string(text.substr(0, at));
}

std::string Squeezed(absl::string_view text) {
  std::string out;
  bool space = false;
  texts::EachCharacter(text, [&](UChar32 c, absl::string_view bytes) {
    if (c >= 0 && u_isUWhiteSpace(c)) {
      space = true;
      return;
    }
    if (space && !out.empty()) out.push_back(' ');
    space = false;
    absl::StrAppend(&out, bytes);
  });
  return out;
}

bool IsClean(absl::string_view text, TextKind kind) { return !texts::FirstUnclean(text, kind).has_value(); }

absl::Status CheckText(absl::string_view text, absl::string_view field, size_t length_max, TextKind kind) {
  if (const auto unclean = texts::FirstUnclean(text, kind)) {
    const std::string where = absl::StrCat(" after ", unclean->index, " characters");
    return FieldError(std::string(field),
                      unclean->symbol < 0
                          ? absl::StrCat("is not UTF-8", where, ": check how the text was encoded")
                          : absl::StrCat("has the character ", absl::StrFormat("U+%04X", unclean->symbol), where,
                                         ", which cannot stand in ",
                                         kind == TextKind::kLine ? "a line of text" : "text", ": take it out"));
  }
  const size_t length = LengthOf(text);
  if (length > length_max) {
    return FieldError(std::string(field),
                      absl::StrCat("is ", length, " characters long; at most ", length_max, " fit"));
  }
  return absl::OkStatus();
}

std::string CaseFold(absl::string_view text) {
  if (texts::IsAscii(text)) return absl::AsciiStrToLower(text);
  return texts::ToUtf8(texts::Normalized(texts::NfkcCaseFold, texts::FromUtf8(text)));
}

std::string SearchKey(absl::string_view text) {
  if (texts::IsAscii(text)) return Squeezed(absl::AsciiStrToLower(text));
  const auto folded = texts::Normalized(texts::NfkcCaseFold, texts::FromUtf8(text));
  return Squeezed(texts::ToUtf8(texts::WithoutMarks(folded)));
}

std::string LatinKey(absl::string_view text) {
  std::string key = SearchKey(text);
  if (!texts::IsAscii(key)) {
    const auto latin = texts::LatinOfCyrillic(key);
    key = latin ? *latin : texts::LatinByRules(key);
  }
  return texts::Reduced(key);
}

}  // namespace crm
