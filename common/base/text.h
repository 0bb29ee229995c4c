// Text as people write it: UTF-8 checks, keys to compare and search by. Unicode by ICU; ASCII takes a short way. All
// functions are thread-safe; what is not UTF-8 in comes out with U+FFFD in its place.
#pragma once

#include <absl/status/status.h>
#include <absl/strings/string_view.h>

#include <cstddef>
#include <string>

namespace crm {

// Whether the bytes are well-formed UTF-8 (Unicode 3.9, table 3-7).
bool IsUtf8(absl::string_view text);
// The same text with U+FFFD for whatever in it is not UTF-8: one for each maximal subpart (Unicode 3.9, table 3-8).
std::string WellFormed(absl::string_view text);

// In code points, of well-formed UTF-8.
size_t LengthOf(absl::string_view text);
// At most `length_max` code points; never cuts one.
std::string Truncated(absl::string_view text, size_t length_max);

// Without white space at both ends, and with single spaces for every run of it inside.
std::string Squeezed(absl::string_view text);

// Whether it is UTF-8 that PostgreSQL and screens can take: no NUL, no control characters but, in long texts, tab and
// line ends; no code points that are none (surrogates, U+FFFE, U+FFFF), no characters that turn the direction of what
// follows.
enum class TextKind { kLine, kLong };
bool IsClean(absl::string_view text, TextKind kind = TextKind::kLine);
// The same as an error that names the field and says what was found where; OK for clean text.
absl::Status CheckText(absl::string_view text, absl::string_view field, size_t length_max,
                       TextKind kind = TextKind::kLine);

// Equal for texts that differ in case or form only (NFKC_Casefold): "Straße" and "STRASSE", fullwidth and plain.
std::string CaseFold(absl::string_view text);

// The first search key: case-folded, without diacritics and points, squeezed: "Żółć  Müller" -> "zolc muller", "Щёкин"
// -> "щекин". Scripts stay.
std::string SearchKey(absl::string_view text);

// The second search key: in rough Latin letters, so that a name is found from another script and in most romanisations:
// "Щёкин", "Shchyokin" and "Schekin" -> "sekin". Lossy; never shown. Hebrew gives its consonants.
std::string LatinKey(absl::string_view text);

}  // namespace crm
