#include "common/base/id.h"

#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "common/base/error.h"
#include "common/base/status.h"

namespace crm {
namespace ids {

constexpr char kHex[] = "0123456789abcdef";
constexpr char kBase32[] = "0123456789abcdefghjkmnpqrstvwxyz";  // Crockford's, lower case
constexpr size_t kPrefixMax = 63;                               // the specification's
constexpr size_t kSuffixSize = 26;
constexpr size_t kShownMax = 100;  // of a bad id, in an error's text
// Ids of one thread that carry nearly the same time are numbered on from each other. A batch that stamps all its ids
// with one time may run ahead of it so far (ticks of 1/4096 ms); a time that is older than that starts anew.
constexpr int64_t kAheadMaxTicks = 4096 * 1000;

struct Digits {
  std::array<int8_t, 256> value;
  constexpr explicit Digits(const char* alphabet) : value() {
    for (auto& v : value) v = -1;
    for (int i = 0; alphabet[i] != 0; ++i) value[static_cast<uint8_t>(alphabet[i])] = static_cast<int8_t>(i);
  }
  int operator[](char c) const { return value[static_cast<uint8_t>(c)]; }
};
constexpr Digits kBase32Digits(kBase32);
constexpr Digits kHexDigits(kHex);

std::string Shown(absl::string_view text) {
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kShownMax)), text.size() > kShownMax ? "..." : "", "\"");
}

absl::Status Invalid(absl::string_view text, absl::string_view why) {
  return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_FIELD_INVALID,
               absl::StrCat(Shown(text), " is not an id: ", why, "."), {{"id", Shown(text)}});
}

bool PrefixOk(absl::string_view prefix) {
  if (prefix.size() > kPrefixMax) return false;
  if (prefix.empty()) return true;
  if (prefix.front() == '_' || prefix.back() == '_') return false;
  return std::all_of(prefix.begin(), prefix.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

void SetMilliseconds(Uuid& uuid, int64_t ms) {
  for (int i = 0; i < 6; ++i) uuid.bytes[i] = static_cast<uint8_t>(ms >> (8 * (5 - i)));
}
void SetVersion(Uuid& uuid, uint8_t version) {
  uuid.bytes[6] = static_cast<uint8_t>((uuid.bytes[6] & 0x0f) | (version << 4));
  uuid.bytes[8] = static_cast<uint8_t>((uuid.bytes[8] & 0x3f) | 0x80);
}

// OpenSSL is asked for many ids' bytes at once: a call of its own costs more than all the rest of an id.
void FillRandom(uint8_t* bytes, size_t count) {
  thread_local std::array<uint8_t, 1024> drawn;
  thread_local size_t used = drawn.size();
  if (drawn.size() - used < count) {
    // Without randomness ids would collide silently.
    if (RAND_bytes(drawn.data(), static_cast<int>(drawn.size())) != 1) std::abort();
    used = 0;
  }
  std::memcpy(bytes, &drawn[used], count);
  used += count;
}

}  // namespace ids

std::string Uuid::ToString() const {
  std::string text;
  text.reserve(36);
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text.push_back('-');
    text.push_back(ids::kHex[bytes[i] >> 4]);
    text.push_back(ids::kHex[bytes[i] & 15]);
  }
  return text;
}

absl::StatusOr<Uuid> Uuid::Parse(absl::string_view text) {
  constexpr char kWant[] = "a UUID looks like 01890a5d-ac96-774b-bcce-b302099a8057";
  if (text.size() != 36) return ids::Invalid(text, kWant);
  Uuid uuid;
  size_t at = 0;
  for (size_t i = 0; i < uuid.bytes.size(); ++i) {
    if ((i == 4 || i == 6 || i == 8 || i == 10) && text[at++] != '-') return ids::Invalid(text, kWant);
    // UUIDs, unlike TypeIDs, are read in either case.
    const int high = ids::kHexDigits[absl::ascii_tolower(static_cast<unsigned char>(text[at]))];
    const int low = ids::kHexDigits[absl::ascii_tolower(static_cast<unsigned char>(text[at + 1]))];
    if (high < 0 || low < 0) return ids::Invalid(text, kWant);
    uuid.bytes[i] = static_cast<uint8_t>(high << 4 | low);
    at += 2;
  }
  return uuid;
}

// Method 3 of RFC 9562 section 6.2: the 12 bits after the version hold the fraction of the millisecond.
Uuid NewUuid(absl::Time now) {
  thread_local int64_t last = 0;
  const int64_t nanos = std::max<int64_t>(0, absl::ToUnixNanos(now));
  int64_t tick = nanos / 1'000'000 * 4096 + nanos % 1'000'000 * 4096 / 1'000'000;
  if (tick <= last && last - tick < ids::kAheadMaxTicks) tick = last + 1;
  last = tick;

  Uuid uuid;
  ids::FillRandom(&uuid.bytes[8], 8);
  const int64_t ms = tick / 4096;
  ids::SetMilliseconds(uuid, ms);
  uuid.bytes[6] = static_cast<uint8_t>(tick % 4096 >> 8);
  uuid.bytes[7] = static_cast<uint8_t>(tick % 256);
  ids::SetVersion(uuid, 7);
  return uuid;
}

Uuid DerivedUuid(const Uuid& source, absl::string_view step) {
  std::string name(reinterpret_cast<const char*>(source.bytes.data()), source.bytes.size());
  name.append(step.data(), step.size());
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(name.data(), name.size(), hash, &size, EVP_sha256(), nullptr) != 1)
    std::abort();  // no SHA-256: no ids
  Uuid uuid;
  std::memcpy(uuid.bytes.data(), hash, uuid.bytes.size());
  ids::SetVersion(uuid, 8);
  return uuid;
}

std::string TypeId(absl::string_view prefix, const Uuid& uuid) {
  const size_t before = prefix.empty() ? 0 : prefix.size() + 1;
  std::string text(before + ids::kSuffixSize, '_');
  prefix.copy(text.data(), prefix.size());
  char* at = text.data() + before;
  // 26 digits of 5 bits hold 130: two zero bits stand before the uuid's 128.
  uint32_t bits = 0;
  int have = 2;
  for (uint8_t byte : uuid.bytes) {
    bits = bits << 8 | byte;
    have += 8;
    while (have >= 5) {
      have -= 5;
      *at++ = ids::kBase32[bits >> have & 31];
    }
  }
  return text;
}

Uuid DerivedUuid(const Uuid& source, absl::string_view step, absl::Time at) {
  Uuid uuid = DerivedUuid(source, step);
  ids::SetMilliseconds(uuid, std::max<int64_t>(0, absl::ToUnixMillis(at)));
  return uuid;
}

namespace ids {

// The whole text of the source counts, its prefix too, so that equal uuids of different kinds derive different ids.
std::string StepOf(absl::string_view prefix, absl::string_view source_id, absl::string_view step) {
  return absl::StrCat(source_id, "\n", prefix, "\n", step);
}

}  // namespace ids

std::string DerivedId(absl::string_view prefix, absl::string_view source_id, absl::string_view step) {
  return TypeId(prefix, DerivedUuid(Uuid{}, ids::StepOf(prefix, source_id, step)));
}
std::string DerivedId(absl::string_view prefix, absl::string_view source_id, absl::string_view step, absl::Time at) {
  return TypeId(prefix, DerivedUuid(Uuid{}, ids::StepOf(prefix, source_id, step), at));
}

absl::StatusOr<ParsedId> ParseId(absl::string_view text) {
  if (text.size() < ids::kSuffixSize) {
    return ids::Invalid(
        text, "a prefix, '_' and 26 letters and digits were expected, like contact_01h455vb4pex5vsknk084sn02q");
  }
  const absl::string_view suffix = text.substr(text.size() - ids::kSuffixSize);
  absl::string_view prefix = text.substr(0, text.size() - ids::kSuffixSize);
  if (!prefix.empty()) {
    if (prefix.back() != '_')
      return ids::Invalid(text, "'_' and then exactly 26 letters and digits must follow the prefix");
    prefix.remove_suffix(1);
    if (prefix.empty()) return ids::Invalid(text, "there is no prefix before '_'");
    if (!ids::PrefixOk(prefix)) {
      return ids::Invalid(text, "the prefix may have a-z and inner '_' only, at most 63 of them");
    }
  }
  if (suffix[0] < '0' || suffix[0] > '7') return ids::Invalid(text, "the first character after '_' must be 0 to 7");
  ParsedId parsed;
  uint32_t bits = 0;
  int have = -2;  // the two zero bits
  size_t at = 0;
  for (char c : suffix) {
    const int digit = ids::kBase32Digits[c];
    if (digit < 0) return ids::Invalid(text, "after '_' only 0-9 and a-z without i, l, o, u may stand");
    bits = bits << 5 | static_cast<uint32_t>(digit);
    have += 5;
    if (have >= 8) {
      have -= 8;
      parsed.uuid.bytes[at++] = static_cast<uint8_t>(bits >> have);
    }
  }
  parsed.prefix = std::string(prefix);
  return parsed;
}

absl::StatusOr<Uuid> ParseId(absl::string_view text, absl::string_view prefix, absl::string_view field) {
  auto parsed = ParseId(text);
  if (!parsed.ok()) {
    return FieldError(std::string(field), absl::StrCat(parsed.status().message(), " An id of a ", prefix,
                                                       " starts with \"", prefix, "_\"."));
  }
  if (parsed->prefix != prefix) {
    const std::string description =
        absl::StrCat(ids::Shown(text), " names a ", parsed->prefix.empty() ? "record of no kind" : parsed->prefix,
                     ", but a ", prefix, " is wanted: give an id that starts with \"", prefix, "_\".");
    auto status = Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_REFERENCE_INVALID,
                        absl::StrCat(field, ": ", description),
                        {{"field", std::string(field)}, {"expected", std::string(prefix)}, {"found", parsed->prefix}});
    AddViolation(status, {std::string(field), description});
    return status;
  }
  return parsed->uuid;
}

}  // namespace crm
