#include "common/rpc/validation.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <arpa/inet.h>
#include <re2/re2.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "buf/validate/validate.pb.h"
#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/text.h"
#include "crm/type/v1/options.pb.h"

namespace crm::rpc {
namespace validation {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::OneofDescriptor;
using google::protobuf::Reflection;
namespace bv = buf::validate;

// ---- violations ----

// Where in the message we are: a list up the stack, made into text only for a violation. Null is the top.
struct Path {
  const Path* parent = nullptr;
  const FieldDescriptor* field = nullptr;
  int index = -1;                    // of an element
  const std::string* key = nullptr;  // of a map's entry
};

// Struct, Value and wrappers look like plain JSON from outside: their own fields are no part of a path.
bool Transparent(const Descriptor* type) {
  switch (type->well_known_type()) {
    case Descriptor::WELLKNOWNTYPE_UNSPECIFIED:
    case Descriptor::WELLKNOWNTYPE_ANY:
    case Descriptor::WELLKNOWNTYPE_FIELDMASK:
    case Descriptor::WELLKNOWNTYPE_TIMESTAMP:
    case Descriptor::WELLKNOWNTYPE_DURATION:
      return false;
    default:
      return true;
  }
}

std::string Quoted(absl::string_view text) {
  constexpr std::size_t kShown = 60;  // enough to recognise one's own words
  return IsUtf8(text) ? absl::StrCat("\"", absl::Utf8SafeCEscape(Truncated(text, kShown)), "\"") : "\"...\"";
}

std::string Rendered(const Path* path) {
  if (path == nullptr) return "";
  std::string text = Rendered(path->parent);
  if (path->index >= 0) {
    absl::StrAppend(&text, "[", path->index, "]");
  } else if (path->key != nullptr) {
    constexpr std::size_t kPlainMax = 64;
    const bool plain =
        !path->key->empty() && path->key->size() <= kPlainMax &&
        std::all_of(path->key->begin(), path->key->end(), [](char c) { return absl::ascii_isalnum(c) || c == '_'; });
    absl::StrAppend(&text, plain ? "." : "[", plain ? *path->key : Quoted(*path->key), plain ? "" : "]");
  } else if (!Transparent(path->field->containing_type())) {
    absl::StrAppend(&text, text.empty() ? "" : ".", path->field->name());
  }
  return text;
}

class Violations {
 public:
  // Describing costs; what is not listed is only counted.
  template <typename Describe>
  void Add(const Path* path, Describe describe, Reason reason = type::v1::ERROR_REASON_FIELD_INVALID) {
    if (count_++ == 0) reason_ = reason;
    if (reason != reason_) reason_ = type::v1::ERROR_REASON_FIELD_INVALID;
    if (listed_.size() >= kViolationsMax || bytes_ >= kViolationBytesMax) return;
    listed_.push_back({Rendered(path), describe()});
    bytes_ += listed_.back().field.size() + listed_.back().description.size();
  }
  void Add(const Path* path, const char* description) {
    Add(path, [&] { return std::string(description); });
  }

  absl::Status status() const {
    if (count_ == 0) return absl::OkStatus();
    constexpr std::size_t kInText = 3;  // the sentence names the first few, the details all
    std::string text;
    const std::size_t shown = std::min(kInText, listed_.size());
    for (std::size_t i = 0; i < shown; ++i) {
      absl::StrAppend(&text, i == 0 ? "" : "; ", listed_[i].field, listed_[i].field.empty() ? "" : " ",
                      listed_[i].description);
    }
    if (count_ > shown) absl::StrAppend(&text, "; and ", count_ - shown, " more");
    absl::Status status =
        Error(absl::StatusCode::kInvalidArgument, reason_, std::move(text), {{"field", listed_[0].field}});
    for (const auto& violation : listed_) AddViolation(status, violation);
    return status;
  }

 private:
  // A status travels in HTTP/2 trailers, of which gRPC takes 8 KiB, as base64 beside its text.
  static constexpr std::size_t kViolationBytesMax = 3 << 10;

  std::vector<FieldViolation> listed_;
  std::size_t count_ = 0, bytes_ = 0;
  Reason reason_ = type::v1::ERROR_REASON_UNSPECIFIED;
};

// ---- values ----

// One value of a field, whatever its kind.
struct Value {
  int64_t i = 0;                   // int32, int64, enum, bool
  uint64_t u = 0;                  // uint32, uint64
  double d = 0;                    // double, float
  const std::string* s = nullptr;  // string, bytes
  const Message* m = nullptr;
  std::string scratch;  // where reflection may put `s`

  bool zero() const {
    return s != nullptr ? s->empty() : m == nullptr && i == 0 && u == 0 && std::bit_cast<uint64_t>(d) == 0;
  }
};

void Get(const Message& message, const FieldDescriptor* field, int index, Value& value) {
  const Reflection* r = message.GetReflection();
  const bool one = index < 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      value.i = one ? r->GetInt32(message, field) : r->GetRepeatedInt32(message, field, index);
      break;
    case FieldDescriptor::CPPTYPE_INT64:
      value.i = one ? r->GetInt64(message, field) : r->GetRepeatedInt64(message, field, index);
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
      value.u = one ? r->GetUInt32(message, field) : r->GetRepeatedUInt32(message, field, index);
      break;
    case FieldDescriptor::CPPTYPE_UINT64:
      value.u = one ? r->GetUInt64(message, field) : r->GetRepeatedUInt64(message, field, index);
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      value.d = one ? r->GetDouble(message, field) : r->GetRepeatedDouble(message, field, index);
      break;
    case FieldDescriptor::CPPTYPE_FLOAT:
      value.d = one ? r->GetFloat(message, field) : r->GetRepeatedFloat(message, field, index);
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      value.i = one ? r->GetBool(message, field) : r->GetRepeatedBool(message, field, index);
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      value.i = one ? r->GetEnumValue(message, field) : r->GetRepeatedEnumValue(message, field, index);
      break;
    case FieldDescriptor::CPPTYPE_STRING:
      value.s = one ? &r->GetStringReference(message, field, &value.scratch)
                    : &r->GetRepeatedStringReference(message, field, index, &value.scratch);
      break;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      value.m = one ? &r->GetMessage(message, field) : &r->GetRepeatedMessage(message, field, index);
      break;
  }
}

// ---- rules of one value ----

struct Run {
  absl::Time now;
  Violations violations;
};

class Rule {
 public:
  virtual ~Rule() = default;
  virtual void Check(const Value& value, const Path* path, Run& run) const = 0;
};

template <typename List, typename Name>
std::string Listed(const List& list, Name name) {
  constexpr int kShown = 20;
  std::vector<std::string> names;
  for (const auto& item : list) {
    if (names.size() == kShown) {
      names.push_back("...");
      break;
    }
    names.push_back(name(item));
  }
  return absl::StrJoin(names, ", ");
}

// lt / lte / gt / gte of anything ordered. As the standard has it, a lower bound above the upper one means "outside".
template <typename T>
struct Range {
  std::optional<T> low, high;
  bool low_open = false, high_open = false;

  bool Holds(const T& value) const {
    const bool above = !low || (low_open ? *low < value : *low <= value);
    const bool below = !high || (high_open ? value < *high : value <= *high);
    return low && high && *high < *low ? above || below : above && below;
  }
  template <typename Text>
  std::string Description(Text text) const {
    std::string lower, upper;
    if (low) lower = absl::StrCat(low_open ? "greater than " : "at least ", text(*low));
    if (high) upper = absl::StrCat(high_open ? "less than " : "at most ", text(*high));
    if (lower.empty() || upper.empty()) return absl::StrCat("must be ", lower, upper);
    return *high < *low ? absl::StrCat("must be ", upper, " or ", lower)
                        : absl::StrCat("must be ", lower, " and ", upper);
  }
};

// const, in and not_in of anything comparable; false after a violation.
template <typename T>
struct Members {
  std::optional<T> only;
  std::vector<T> in, not_in;

  template <typename V, typename Text>
  bool Check(const V& value, const Path* path, Run& run, Text text) const {
    if (only && !(*only == value)) {
      return run.violations.Add(path, [&] { return absl::StrCat("must be ", text(*only)); }), false;
    }
    auto is = [&](const T& item) { return item == value; };
    if (!in.empty() && std::none_of(in.begin(), in.end(), is)) {
      return run.violations.Add(path, [&] { return absl::StrCat("must be one of ", Listed(in, text)); }), false;
    }
    if (std::any_of(not_in.begin(), not_in.end(), is)) {
      return run.violations.Add(path, [&] { return absl::StrCat("must not be ", Listed(not_in, text)); }), false;
    }
    return true;
  }
};

template <typename T>
class NumberRule final : public Rule {
 public:
  Range<T> range;
  Members<T> members;

  void Check(const Value& value, const Path* path, Run& run) const override {
    T number;
    if constexpr (std::is_floating_point_v<T>) {
      number = static_cast<T>(value.d);
      if (!std::isfinite(number)) return run.violations.Add(path, "must be a finite number");
    } else if constexpr (std::is_signed_v<T>) {
      number = static_cast<T>(value.i);
    } else {
      number = static_cast<T>(value.u);
    }
    auto text = [](T item) { return absl::StrCat(item); };
    if (!members.Check(number, path, run, text)) return;
    if (!range.Holds(number)) run.violations.Add(path, [&] { return range.Description(text); });
  }
};

class BoolRule final : public Rule {
 public:
  bool only = false;
  void Check(const Value& value, const Path* path, Run& run) const override {
    if ((value.i != 0) != only) run.violations.Add(path, only ? "must be true" : "must be false");
  }
};

class EnumRule final : public Rule {
 public:
  const EnumDescriptor* type = nullptr;
  bool defined_only = false;
  Members<int> members;

  std::string Name(int number) const {
    const auto* value = type->FindValueByNumber(number);
    return value == nullptr ? absl::StrCat(number) : value->name();
  }
  void Check(const Value& value, const Path* path, Run& run) const override {
    if (defined_only && type->FindValueByNumber(static_cast<int>(value.i)) == nullptr) {
      return run.violations.Add(path, [&] {
        std::vector<const google::protobuf::EnumValueDescriptor*> all;
        for (int i = 0; i < type->value_count(); ++i) all.push_back(type->value(i));
        return absl::StrCat("must be one of ", Listed(all, [](const auto* item) { return item->name(); }));
      });
    }
    members.Check(static_cast<int>(value.i), path, run, [&](int number) { return Name(number); });
  }
};

// ---- texts of a known form ----

bool Matches(const RE2& pattern, absl::string_view text) {
  return RE2::FullMatch(re2::StringPiece(text.data(), text.size()), pattern);
}

bool IsIp4(absl::string_view text) {
  in_addr address;
  return text.size() < INET_ADDRSTRLEN && inet_pton(AF_INET, std::string(text).c_str(), &address) == 1;
}

bool IsIp6(absl::string_view text) {
  const auto zone = text.find('%');
  if (zone != absl::string_view::npos) {
    if (zone + 1 == text.size()) return false;
    text = text.substr(0, zone);
  }
  in6_addr address;
  return text.size() < INET6_ADDRSTRLEN && inet_pton(AF_INET6, std::string(text).c_str(), &address) == 1;
}

bool IsIp(absl::string_view text) { return IsIp4(text) || IsIp6(text); }

// The HTML standard's pattern (html.spec.whatwg.org/#valid-e-mail-address), as protovalidate has it.
bool IsEmail(absl::string_view text) {
  static const auto* pattern = new RE2(
      "[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
      "(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*");
  return Matches(*pattern, text);
}

// RFC 1034: labels of 1 to 63 letters, digits and inner hyphens, 253 in all; the last one not all digits.
bool IsHostname(absl::string_view text) {
  static const auto* pattern =
      new RE2("(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\\.)*[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\\.?");
  if (text.size() > 253 || !Matches(*pattern, text)) return false;
  if (absl::EndsWith(text, ".")) text.remove_suffix(1);
  const absl::string_view last = text.substr(text.rfind('.') + 1);
  return !std::all_of(last.begin(), last.end(), [](char c) { return absl::ascii_isdigit(c); });
}

// "host:port", the port 0 to 65535.
bool IsHostAndPort(absl::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == absl::string_view::npos) return false;
  const absl::string_view host = text.substr(0, colon), port = text.substr(colon + 1);
  int number = 0;
  if (port.empty() || port.size() > 5 || !absl::SimpleAtoi(port, &number) || number > 65535) return false;
  if (!std::all_of(port.begin(), port.end(), [](char c) { return absl::ascii_isdigit(c); })) return false;
  if (port.size() > 1 && port[0] == '0') return false;
  if (absl::StartsWith(host, "[")) return absl::EndsWith(host, "]") && IsIp6(host.substr(1, host.size() - 2));
  return IsHostname(host) || IsIp4(host);
}

// RFC 3986, appendix A; relative references too where asked.
bool IsUri(absl::string_view text, bool relative) {
#define CRM_PCHAR "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
#define CRM_NAME "(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*"
#define CRM_AUTHORITY                                                                    \
  "//(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?(?:\\[([^\\]]*)\\]|" CRM_NAME \
  ")(?::[0-9]*)?"                                                                        \
  "(?:/" CRM_PCHAR "*)*"
#define CRM_TAIL "(?:\\?(?:" CRM_PCHAR "|[/?])*)?(?:#(?:" CRM_PCHAR "|[/?])*)?"
  static const auto* absolute = new RE2("[A-Za-z][A-Za-z0-9+.-]*:(?:" CRM_AUTHORITY "|/(?:" CRM_PCHAR "+(?:/" CRM_PCHAR
                                        "*)*)?|" CRM_PCHAR "+(?:/" CRM_PCHAR "*)*|)" CRM_TAIL);
  // The first segment of a relative path has no colon.
  static const auto* reference =
      new RE2("(?:" CRM_AUTHORITY "|/(?:" CRM_PCHAR "+(?:/" CRM_PCHAR
              "*)*)?|(?:[A-Za-z0-9._~!$&'()*+,;=@-]|%[0-9A-Fa-f]{2})+(?:/" CRM_PCHAR "*)*|)" CRM_TAIL);
#undef CRM_PCHAR
#undef CRM_NAME
#undef CRM_AUTHORITY
#undef CRM_TAIL
  static const auto* future = new RE2("[vV][0-9A-Fa-f]+\\.[A-Za-z0-9._~!$&'()*+,;=:-]+");
  const re2::StringPiece piece(text.data(), text.size());
  re2::StringPiece literal;
  if (!RE2::FullMatch(piece, *absolute, &literal)) {
    if (!relative || !RE2::FullMatch(piece, *reference, &literal)) return false;
  }
  if (literal.data() == nullptr) return true;
  const absl::string_view host(literal.data(), literal.size());
  return (IsIp6(host) && !absl::StrContains(host, "%")) || Matches(*future, host);
}

bool IsUuid(absl::string_view text) {
  static const auto* pattern = new RE2("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}");
  return Matches(*pattern, text);
}
bool IsTrimmedUuid(absl::string_view text) {
  static const auto* pattern = new RE2("[0-9a-fA-F]{32}");
  return Matches(*pattern, text);
}
bool IsUlid(absl::string_view text) {
  static const auto* pattern = new RE2("[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}");
  return Matches(*pattern, text);
}

struct Form {
  bool (*holds)(absl::string_view);
  const char* description;
};
// By field number of buf.validate.StringRules; what is missing here is refused at start.
const Form* FormOf(bv::StringRules::WellKnownCase which) {
  static const absl::flat_hash_map<int, Form> forms = {
      {bv::StringRules::kEmail, {IsEmail, "must be an e-mail address"}},
      {bv::StringRules::kHostname, {IsHostname, "must be a host name"}},
      {bv::StringRules::kIp, {IsIp, "must be an IP address"}},
      {bv::StringRules::kIpv4, {IsIp4, "must be an IPv4 address"}},
      {bv::StringRules::kIpv6, {IsIp6, "must be an IPv6 address"}},
      {bv::StringRules::kUri,
       {[](absl::string_view text) { return IsUri(text, false); }, "must be a URI such as https://example.com/"}},
      {bv::StringRules::kUriRef, {[](absl::string_view text) { return IsUri(text, true); }, "must be a URI or a path"}},
      {bv::StringRules::kAddress,
       {[](absl::string_view text) { return IsHostname(text) || IsIp(text); }, "must be a host name or an IP address"}},
      {bv::StringRules::kHostAndPort, {IsHostAndPort, "must be a host and port such as example.com:443"}},
      {bv::StringRules::kUuid, {IsUuid, "must be a UUID"}},
      {bv::StringRules::kTuuid, {IsTrimmedUuid, "must be a UUID without hyphens"}},
      {bv::StringRules::kUlid, {IsUlid, "must be a ULID"}},
  };
  auto it = forms.find(which);
  return it == forms.end() ? nullptr : &it->second;
}

// Strings and bytes; lengths of strings are counted in code points.
class TextRule final : public Rule {
 public:
  bool text = true;
  std::optional<uint64_t> length, length_min, length_max, bytes, bytes_min, bytes_max;
  std::unique_ptr<RE2> pattern;
  std::optional<std::string> prefix, suffix, contains, contains_not;
  Members<std::string> members;
  const Form* form = nullptr;
  std::string reference;  // prefixes separated by commas, "*" for any
  bool listed = false;    // an element: then not empty
  std::vector<std::string> prefixes;

  void Check(const Value& value, const Path* path, Run& run) const override {
    const std::string& s = *value.s;
    if (text && (s.find('\0') != std::string::npos || !IsUtf8(s))) {
      return run.violations.Add(path, "must be UTF-8 text without NUL");
    }
    if (!Length(s, path, run)) return;
    if (!reference.empty() && (listed || !s.empty())) CheckReference(s, path, run);
    if (!members.Check(s, path, run, [](const std::string& item) { return Quoted(item); })) return;
    auto refuse = [&](const char* what, const std::string& part) {
      run.violations.Add(path, [&] { return absl::StrCat("must ", what, " ", Quoted(part)); });
    };
    if (prefix && !absl::StartsWith(s, *prefix)) return refuse("start with", *prefix);
    if (suffix && !absl::EndsWith(s, *suffix)) return refuse("end with", *suffix);
    if (contains && !absl::StrContains(s, *contains)) return refuse("contain", *contains);
    if (contains_not && absl::StrContains(s, *contains_not)) return refuse("not contain", *contains_not);
    if (form != nullptr && !form->holds(s)) return run.violations.Add(path, form->description);
    if (pattern != nullptr && !RE2::PartialMatch(s, *pattern)) {
      run.violations.Add(path, [&] { return absl::StrCat("must match the pattern ", pattern->pattern()); });
    }
  }

 private:
  bool Length(const std::string& s, const Path* path, Run& run) const {
    auto refuse = [&](absl::string_view how, uint64_t wanted, bool characters) {
      run.violations.Add(path, [&] {
        if (wanted == 1 && how == "at least ") return std::string("must not be empty");
        return absl::StrCat("must have ", how, wanted, characters ? " character" : " byte", wanted == 1 ? "" : "s");
      });
      return false;
    };
    if (length || length_min || (length_max && s.size() > *length_max)) {
      // In code points of what has been seen to be UTF-8: every byte but the continuations.
      const auto size =
          static_cast<uint64_t>(std::count_if(s.begin(), s.end(), [](char c) { return (c & 0xC0) != 0x80; }));
      if (length && size != *length) return refuse("", *length, true);
      if (length_min && size < *length_min) return refuse("at least ", *length_min, true);
      if (length_max && size > *length_max) return refuse("at most ", *length_max, true);
    }
    if (bytes && s.size() != *bytes) return refuse("", *bytes, false);
    if (bytes_min && s.size() < *bytes_min) return refuse("at least ", *bytes_min, false);
    if (bytes_max && s.size() > *bytes_max) return refuse("at most ", *bytes_max, false);
    return true;
  }

  void CheckReference(const std::string& s, const Path* path, Run& run) const {
    const auto id = ParseId(s);
    if (id.ok() && (prefixes.empty() || std::find(prefixes.begin(), prefixes.end(), id->prefix) != prefixes.end()))
      return;
    run.violations.Add(
        path,
        [&] {
          const std::string wanted =
              prefixes.empty() ? "a record" : absl::StrCat("a ", absl::StrJoin(prefixes, " or "));
          if (id.ok()) return absl::StrCat("must be the id of ", wanted, "; ", Quoted(s), " names a ", id->prefix);
          return absl::StrCat("must be the id of ", wanted, " such as \"", prefixes.empty() ? "contact" : prefixes[0],
                              "_01h455vb4pex5vsknk084sn02q\"");
        },
        type::v1::ERROR_REASON_REFERENCE_INVALID);
  }
};

// ---- times, masks, Any ----

// Any message whose first two fields are seconds and nanos.
std::pair<int64_t, int32_t> SecondsAndNanos(const Message& message) {
  const Descriptor* type = message.GetDescriptor();
  const Reflection* reflection = message.GetReflection();
  return {reflection->GetInt64(message, type->FindFieldByNumber(1)),
          reflection->GetInt32(message, type->FindFieldByNumber(2))};
}
absl::Duration DurationOf(const Message& message) {
  const auto [seconds, nanos] = SecondsAndNanos(message);
  return absl::Seconds(seconds) + absl::Nanoseconds(nanos);
}
absl::Time TimeOf(const Message& message) { return absl::UnixEpoch() + DurationOf(message); }

class TimeRule final : public Rule {
 public:
  Range<absl::Time> range;
  Members<absl::Time> members;
  bool past = false, future = false;
  std::optional<absl::Duration> within;

  void Check(const Value& value, const Path* path, Run& run) const override {
    const auto [seconds, nanos] = SecondsAndNanos(*value.m);
    // What google/protobuf/timestamp.proto allows: the years 1 to 9999.
    if (seconds < -62135596800 || seconds > 253402300799 || nanos < 0 || nanos > 999999999) {
      return run.violations.Add(path, "must be a time between the years 1 and 9999");
    }
    const absl::Time time = TimeOf(*value.m);
    auto text = [](absl::Time item) { return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", item, absl::UTCTimeZone()); };
    if (!members.Check(time, path, run, text)) return;
    if (!range.Holds(time)) return run.violations.Add(path, [&] { return range.Description(text); });
    if (past && time > run.now) return run.violations.Add(path, "must be in the past");
    if (future && time < run.now) return run.violations.Add(path, "must be in the future");
    if (within && (time < run.now - *within || time > run.now + *within)) {
      run.violations.Add(path,
                         [&] { return absl::StrCat("must be within ", absl::FormatDuration(*within), " of now"); });
    }
  }
};

class DurationRule final : public Rule {
 public:
  Range<absl::Duration> range;
  Members<absl::Duration> members;

  void Check(const Value& value, const Path* path, Run& run) const override {
    const auto [seconds, nanos] = SecondsAndNanos(*value.m);
    // What google/protobuf/duration.proto allows: about 10,000 years, one sign.
    if (std::abs(static_cast<double>(seconds)) > 315576000000 || std::abs(static_cast<double>(nanos)) > 999999999 ||
        (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0)) {
      return run.violations.Add(path, "must be a duration of at most 315576000000 seconds");
    }
    const absl::Duration duration = DurationOf(*value.m);
    auto text = [](absl::Duration item) { return absl::FormatDuration(item); };
    if (!members.Check(duration, path, run, text)) return;
    if (!range.Holds(duration)) run.violations.Add(path, [&] { return range.Description(text); });
  }
};

class MaskRule final : public Rule {
 public:
  std::optional<std::vector<std::string>> only;
  std::vector<std::string> in, not_in;

  static bool Covers(const std::vector<std::string>& list, const std::string& path) {
    return std::any_of(list.begin(), list.end(), [&](const std::string& item) {
      return path == item || (absl::StartsWith(path, item) && path[item.size()] == '.');
    });
  }
  void Check(const Value& value, const Path* path, Run& run) const override {
    const FieldDescriptor* field = value.m->GetDescriptor()->FindFieldByNumber(1);
    std::vector<std::string> paths;
    for (int i = 0; i < value.m->GetReflection()->FieldSize(*value.m, field); ++i) {
      paths.push_back(value.m->GetReflection()->GetRepeatedString(*value.m, field, i));
      if (paths.back().find('\0') != std::string::npos || !IsUtf8(paths.back())) {
        return run.violations.Add(path, "must be UTF-8 text without NUL");
      }
    }
    auto name = [](const std::string& item) { return item; };
    if (only && paths != *only) {
      return run.violations.Add(path, [&] { return absl::StrCat("must name ", Listed(*only, name)); });
    }
    for (const auto& item : paths) {
      if (!in.empty() && !Covers(in, item)) {
        return run.violations.Add(
            path, [&] { return absl::StrCat("must name only ", Listed(in, name), ", not ", Quoted(item)); });
      }
      if (Covers(not_in, item)) {
        return run.violations.Add(path, [&] { return absl::StrCat("must not name ", Quoted(item)); });
      }
    }
  }
};

class AnyRule final : public Rule {
 public:
  Members<std::string> urls;
  void Check(const Value& value, const Path* path, Run& run) const override {
    Value url;
    Get(*value.m, value.m->GetDescriptor()->FindFieldByNumber(1), -1, url);
    if (url.s->find('\0') != std::string::npos || !IsUtf8(*url.s)) {
      return run.violations.Add(path, "must have a type that is UTF-8 text without NUL");
    }
    urls.Check(*url.s, path, run, [](const std::string& item) { return Quoted(item); });
  }
};

// ---- plans ----

struct Plan;

class MessageRule final : public Rule {
 public:
  const Plan* plan = nullptr;
  void Check(const Value& value, const Path* path, Run& run) const override;
};

// The rules of a wrapper's type are about the value inside.
class WrapperRule final : public Rule {
 public:
  std::unique_ptr<Rule> inner;
  void Check(const Value& value, const Path* path, Run& run) const override {
    Value wrapped;
    Get(*value.m, value.m->GetDescriptor()->FindFieldByNumber(1), -1, wrapped);
    inner->Check(wrapped, path, run);
  }
};

// What is checked of one value: the standard's rules, and what is inside a message.
struct Checks {
  std::vector<std::unique_ptr<Rule>> rules;
  bool skip_zero = false;
  bool Any() const { return !rules.empty(); }
  void Run(const Value& value, const Path* path, validation::Run& run) const {
    if (skip_zero && value.zero()) return;
    for (const auto& rule : rules) rule->Check(value, path, run);
  }
};

struct FieldPlan {
  const FieldDescriptor* field = nullptr;
  bool presence = false;
  bool required = false;
  bool skip_empty = false;  // of a list or map
  bool unique = false;
  uint64_t size_min = 0, size_max = ~uint64_t{0};
  Checks keys, values;
  const Plan* record = nullptr;  // of a single stored record: what an update changes in part
};

struct OneOf {
  std::vector<const FieldDescriptor*> fields;
  bool required = false;
};

struct Plan {
  const Descriptor* type = nullptr;
  std::vector<FieldPlan> fields;
  std::vector<const OneofDescriptor*> oneofs;  // required ones
  std::vector<OneOf> message_oneofs;
  std::vector<const Plan*> inside;
  std::vector<std::string> errors;  // rules that we do not know
};

std::string NamesOf(const std::vector<const FieldDescriptor*>& fields) {
  return Listed(fields, [](const FieldDescriptor* field) { return field->name(); });
}

bool Present(const Message& message, const FieldDescriptor* field) {
  const Reflection* reflection = message.GetReflection();
  return field->is_repeated() ? reflection->FieldSize(message, field) > 0 : reflection->HasField(message, field);
}

bool UniqueItems(const Message& message, const FieldDescriptor* field, int size) {
  absl::flat_hash_set<std::string> texts;
  absl::flat_hash_set<uint64_t> numbers;
  for (int i = 0; i < size; ++i) {
    Value value;
    Get(message, field, i, value);
    const bool added =
        value.s != nullptr
            ? texts.insert(*value.s).second
            : numbers.insert(static_cast<uint64_t>(value.i) ^ value.u ^ std::bit_cast<uint64_t>(value.d)).second;
    if (!added) return false;
  }
  return true;
}

std::string KeyText(const Message& entry, const FieldDescriptor* key) {
  Value value;
  Get(entry, key, -1, value);
  if (value.s != nullptr) return *value.s;
  if (key->cpp_type() == FieldDescriptor::CPPTYPE_BOOL) return value.i != 0 ? "true" : "false";
  const bool is_unsigned =
      key->cpp_type() == FieldDescriptor::CPPTYPE_UINT32 || key->cpp_type() == FieldDescriptor::CPPTYPE_UINT64;
  return is_unsigned ? absl::StrCat(value.u) : absl::StrCat(value.i);
}

void CheckList(const Message& message, const FieldPlan& plan, const Path* path, Run& run) {
  const Reflection* reflection = message.GetReflection();
  const FieldDescriptor* field = plan.field;
  const int size = reflection->FieldSize(message, field);
  const char* things = field->is_map() ? " entr" : " item";
  auto plural = [&](uint64_t n) { return field->is_map() ? (n == 1 ? "y" : "ies") : (n == 1 ? "" : "s"); };
  if (size == 0 && plan.required) return run.violations.Add(path, "must not be empty");
  if (size == 0 && plan.skip_empty) return;
  if (static_cast<uint64_t>(size) < plan.size_min) {
    return run.violations.Add(
        path, [&] { return absl::StrCat("must have at least ", plan.size_min, things, plural(plan.size_min)); });
  }
  if (static_cast<uint64_t>(size) > plan.size_max) {
    return run.violations.Add(
        path, [&] { return absl::StrCat("must have at most ", plan.size_max, things, plural(plan.size_max)); });
  }
  if (plan.unique && size > 1 && !UniqueItems(message, field, size))
    run.violations.Add(path, "must not have the same item twice");
  if (field->is_map()) {
    if (!plan.keys.Any() && !plan.values.Any()) return;
    const FieldDescriptor* key_field = field->message_type()->map_key();
    const FieldDescriptor* value_field = field->message_type()->map_value();
    for (int i = 0; i < size; ++i) {
      const Message& entry = reflection->GetRepeatedMessage(message, field, i);
      const std::string text = KeyText(entry, key_field);
      const Path at{path, field, -1, &text};
      Value key, value;
      Get(entry, key_field, -1, key);
      plan.keys.Run(key, &at, run);
      Get(entry, value_field, -1, value);
      plan.values.Run(value, &at, run);
    }
  } else if (plan.values.Any()) {
    for (int i = 0; i < size; ++i) {
      const Path at{path, field, i};
      Value value;
      Get(message, field, i, value);
      plan.values.Run(value, &at, run);
    }
  }
}

// The fields that an update sets: the first segments of its mask's paths. Empty: all of them ("*", or no mask).
std::vector<std::string> MaskedFields(const Message& request) {
  const FieldDescriptor* mask = request.GetDescriptor()->FindFieldByName("update_mask");
  if (mask == nullptr || mask->is_repeated() || mask->message_type() == nullptr ||
      mask->message_type()->well_known_type() != Descriptor::WELLKNOWNTYPE_FIELDMASK) {
    return {};
  }
  const Message& paths = request.GetReflection()->GetMessage(request, mask);
  const FieldDescriptor* field = paths.GetDescriptor()->FindFieldByNumber(1);
  std::vector<std::string> names;
  for (int i = 0; i < paths.GetReflection()->FieldSize(paths, field); ++i) {
    const std::string path = paths.GetReflection()->GetRepeatedString(paths, field, i);
    if (path == "*") return {};
    names.push_back(path.substr(0, path.find('.')));
  }
  if (!names.empty()) names.push_back("id");
  return names;
}

void CheckMessage(const Message& message, const Plan& plan, const Path* parent, Run& run,
                  const std::vector<std::string>* only) {
  const Reflection* reflection = message.GetReflection();
  std::vector<std::string> masked;
  if (parent == nullptr) masked = MaskedFields(message);
  for (const FieldPlan& field : plan.fields) {
    const Path path{parent, field.field};
    if (only != nullptr && std::find(only->begin(), only->end(), field.field->name()) == only->end()) continue;
    if (!masked.empty() && !field.field->is_repeated() && field.record != nullptr) {
      if (reflection->HasField(message, field.field)) {
        CheckMessage(reflection->GetMessage(message, field.field), *field.record, &path, run, &masked);
      } else if (field.required) {
        run.violations.Add(&path, "must be given");
      }
      continue;
    }
    if (field.field->is_repeated()) {
      CheckList(message, field, &path, run);
      continue;
    }
    if (field.presence && !reflection->HasField(message, field.field)) {
      if (field.required) run.violations.Add(&path, "must be given");
      continue;
    }
    Value value;
    Get(message, field.field, -1, value);
    if (field.required && !field.presence && value.zero()) {
      run.violations.Add(
          &path, field.field->cpp_type() == FieldDescriptor::CPPTYPE_STRING ? "must not be empty" : "must be given");
      continue;
    }
    field.values.Run(value, &path, run);
  }
  for (const OneofDescriptor* oneof : plan.oneofs) {
    if (reflection->HasOneof(message, oneof)) continue;
    run.violations.Add(parent, [&] {
      std::vector<const FieldDescriptor*> fields;
      for (int i = 0; i < oneof->field_count(); ++i) fields.push_back(oneof->field(i));
      return absl::StrCat("must have one of ", NamesOf(fields));
    });
  }
  for (const OneOf& oneof : plan.message_oneofs) {
    const auto given = std::count_if(oneof.fields.begin(), oneof.fields.end(),
                                     [&](const auto* field) { return Present(message, field); });
    if (given > 1) {
      run.violations.Add(parent, [&] { return absl::StrCat("must have only one of ", NamesOf(oneof.fields)); });
    } else if (given == 0 && oneof.required) {
      run.violations.Add(parent, [&] { return absl::StrCat("must have one of ", NamesOf(oneof.fields)); });
    }
  }
}

void MessageRule::Check(const Value& value, const Path* path, Run& run) const {
  CheckMessage(*value.m, *plan, path, run, nullptr);
}

// ---- compiling ----

// The plan of every message type met, for the life of the process.
class Compiler {
 public:
  const Plan* Compile(const Descriptor* type);

 private:
  void Field(const FieldDescriptor* field, Plan& plan);
  // The rules of one value into `checks`. `what` names it in errors.
  void Value(const FieldDescriptor* field, const bv::FieldRules& rules, const std::string& what, Plan& plan,
             Checks& checks);
  std::unique_ptr<Rule> Typed(const FieldDescriptor* field, const bv::FieldRules& rules, const std::string& what,
                              Plan& plan);
  std::unique_ptr<Rule> Strings(const FieldDescriptor* field, const bv::StringRules* rules, const std::string& what,
                                Plan& plan);
  std::unique_ptr<Rule> Bytes(const bv::BytesRules& rules, const std::string& what, Plan& plan);
  std::unique_ptr<RE2> Pattern(const std::string& pattern, bool text, const std::string& what, Plan& plan);
  // Refuses unknown fields and extensions of a rules message: what we do not see we cannot check.
  void Known(const Message& rules, const std::string& what, Plan& plan);

  absl::flat_hash_map<const Descriptor*, std::unique_ptr<Plan>> plans_;
};

void Compiler::Known(const Message& rules, const std::string& what, Plan& plan) {
  const Reflection* reflection = rules.GetReflection();
  if (!reflection->GetUnknownFields(rules).empty())
    plan.errors.push_back(what + ": has a rule that is not in our validate.proto");
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(rules, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->is_extension())
      plan.errors.push_back(absl::StrCat(what, ": the predefined rule ", field->full_name(), " is not known"));
  }
}

std::unique_ptr<RE2> Compiler::Pattern(const std::string& pattern, bool text, const std::string& what, Plan& plan) {
  RE2::Options options;
  options.set_log_errors(false);
  if (!text) options.set_encoding(RE2::Options::EncodingLatin1);
  auto compiled = std::make_unique<RE2>(pattern, options);
  if (compiled->ok()) return compiled;
  plan.errors.push_back(absl::StrCat(what, ": the pattern ", pattern, " cannot be read: ", compiled->error()));
  return nullptr;
}

template <typename T, typename Rules>
std::unique_ptr<Rule> Numbers(const Rules& rules) {
  auto rule = std::make_unique<NumberRule<T>>();
  if (rules.has_const_()) rule->members.only = rules.const_();
  rule->members.in.assign(rules.in().begin(), rules.in().end());
  rule->members.not_in.assign(rules.not_in().begin(), rules.not_in().end());
  if (rules.has_lt()) rule->range.high = rules.lt(), rule->range.high_open = true;
  if (rules.has_lte()) rule->range.high = rules.lte();
  if (rules.has_gt()) rule->range.low = rules.gt(), rule->range.low_open = true;
  if (rules.has_gte()) rule->range.low = rules.gte();
  return rule;
}

template <typename T, typename Rules, typename Convert>
void TimesInto(const Rules& rules, Range<T>& range, Members<T>& members, Convert convert) {
  if (rules.has_const_()) members.only = convert(rules.const_());
  if (rules.has_lt()) range.high = convert(rules.lt()), range.high_open = true;
  if (rules.has_lte()) range.high = convert(rules.lte());
  if (rules.has_gt()) range.low = convert(rules.gt()), range.low_open = true;
  if (rules.has_gte()) range.low = convert(rules.gte());
}

std::unique_ptr<Rule> Compiler::Strings(const FieldDescriptor* field, const bv::StringRules* rules,
                                        const std::string& what, Plan& plan) {
  auto rule = std::make_unique<TextRule>();
  rule->reference = field->options().GetExtension(type::v1::field).ref();
  if (!rule->reference.empty() && rule->reference != "*") {
    rule->prefixes = absl::StrSplit(rule->reference, absl::ByAnyChar(", "), absl::SkipEmpty());
  }
  rule->listed = field->is_repeated();
  if (rules == nullptr) {
    rule->bytes_max = kStringBytesMax;
    return rule;
  }
  if (rules->has_const_()) rule->members.only = rules->const_();
  rule->members.in.assign(rules->in().begin(), rules->in().end());
  rule->members.not_in.assign(rules->not_in().begin(), rules->not_in().end());
  if (rules->has_len()) rule->length = rules->len();
  if (rules->has_min_len()) rule->length_min = rules->min_len();
  if (rules->has_max_len()) rule->length_max = rules->max_len();
  if (rules->has_len_bytes()) rule->bytes = rules->len_bytes();
  if (rules->has_min_bytes()) rule->bytes_min = rules->min_bytes();
  if (rules->has_max_bytes()) rule->bytes_max = rules->max_bytes();
  if (!rule->length && !rule->length_max && !rule->bytes && !rule->bytes_max) rule->bytes_max = kStringBytesMax;
  if (rules->has_pattern()) rule->pattern = Pattern(rules->pattern(), true, what, plan);
  if (rules->has_prefix()) rule->prefix = rules->prefix();
  if (rules->has_suffix()) rule->suffix = rules->suffix();
  if (rules->has_contains()) rule->contains = rules->contains();
  if (rules->has_not_contains()) rule->contains_not = rules->not_contains();
  if (rules->well_known_case() != bv::StringRules::WELL_KNOWN_NOT_SET) {
    const auto* which = bv::StringRules::descriptor()->FindFieldByNumber(rules->well_known_case());
    const Form* form = FormOf(rules->well_known_case());
    if (form == nullptr) {
      plan.errors.push_back(absl::StrCat(what, ": string.", which->name(), " is not known"));
    } else if (rules->GetReflection()->GetBool(*rules, which)) {
      rule->form = form;
    }
  }
  return rule;
}

std::unique_ptr<Rule> Compiler::Bytes(const bv::BytesRules& rules, const std::string& what, Plan& plan) {
  auto rule = std::make_unique<TextRule>();
  rule->text = false;
  if (rules.has_const_()) rule->members.only = rules.const_();
  rule->members.in.assign(rules.in().begin(), rules.in().end());
  rule->members.not_in.assign(rules.not_in().begin(), rules.not_in().end());
  if (rules.has_len()) rule->bytes = rules.len();
  if (rules.has_min_len()) rule->bytes_min = rules.min_len();
  if (rules.has_max_len()) rule->bytes_max = rules.max_len();
  if (rules.has_pattern()) rule->pattern = Pattern(rules.pattern(), false, what, plan);
  if (rules.has_prefix()) rule->prefix = rules.prefix();
  if (rules.has_suffix()) rule->suffix = rules.suffix();
  if (rules.has_contains()) rule->contains = rules.contains();
  if (rules.well_known_case() != bv::BytesRules::WELL_KNOWN_NOT_SET) {
    plan.errors.push_back(absl::StrCat(what, ": bytes.",
                                       bv::BytesRules::descriptor()->FindFieldByNumber(rules.well_known_case())->name(),
                                       " is not known"));
  }
  return rule;
}

std::unique_ptr<Rule> Compiler::Typed(const FieldDescriptor* field, const bv::FieldRules& rules,
                                      const std::string& what, Plan& plan) {
  const auto which = rules.type_case();
  const auto type = field->type();
  const Descriptor* message = field->message_type();
  const auto known = message == nullptr ? Descriptor::WELLKNOWNTYPE_UNSPECIFIED : message->well_known_type();
  if (which != bv::FieldRules::TYPE_NOT_SET) {
    const auto* rules_field = bv::FieldRules::descriptor()->FindFieldByNumber(which);
    Known(rules.GetReflection()->GetMessage(rules, rules_field), what, plan);
  }
  auto mismatch = [&]() -> std::unique_ptr<Rule> {
    plan.errors.push_back(absl::StrCat(what, ": has ", bv::FieldRules::descriptor()->FindFieldByNumber(which)->name(),
                                       " rules, but is ",
                                       message != nullptr ? message->full_name() : field->type_name()));
    return nullptr;
  };
  switch (which) {
#define CRM_NUMBERS(Case, name, TYPE, T) \
  case bv::FieldRules::Case:             \
    return type == FieldDescriptor::TYPE ? Numbers<T>(rules.name()) : mismatch();
    CRM_NUMBERS(kFloat, float_, TYPE_FLOAT, float)
    CRM_NUMBERS(kDouble, double_, TYPE_DOUBLE, double)
    CRM_NUMBERS(kInt32, int32, TYPE_INT32, int32_t)
    CRM_NUMBERS(kInt64, int64, TYPE_INT64, int64_t)
    CRM_NUMBERS(kUint32, uint32, TYPE_UINT32, uint32_t)
    CRM_NUMBERS(kUint64, uint64, TYPE_UINT64, uint64_t)
    CRM_NUMBERS(kSint32, sint32, TYPE_SINT32, int32_t)
    CRM_NUMBERS(kSint64, sint64, TYPE_SINT64, int64_t)
    CRM_NUMBERS(kFixed32, fixed32, TYPE_FIXED32, uint32_t)
    CRM_NUMBERS(kFixed64, fixed64, TYPE_FIXED64, uint64_t)
    CRM_NUMBERS(kSfixed32, sfixed32, TYPE_SFIXED32, int32_t)
    CRM_NUMBERS(kSfixed64, sfixed64, TYPE_SFIXED64, int64_t)
#undef CRM_NUMBERS
    case bv::FieldRules::kBool: {
      if (type != FieldDescriptor::TYPE_BOOL) return mismatch();
      if (!rules.bool_().has_const_()) return nullptr;
      auto rule = std::make_unique<BoolRule>();
      rule->only = rules.bool_().const_();
      return rule;
    }
    case bv::FieldRules::kString:
      if (type != FieldDescriptor::TYPE_STRING) return mismatch();
      return Strings(field, &rules.string(), what, plan);
    case bv::FieldRules::kBytes:
      if (type != FieldDescriptor::TYPE_BYTES) return mismatch();
      return Bytes(rules.bytes(), what, plan);
    case bv::FieldRules::kEnum: {
      if (type != FieldDescriptor::TYPE_ENUM) return mismatch();
      auto rule = std::make_unique<EnumRule>();
      const auto& r = rules.enum_();
      rule->type = field->enum_type();
      rule->defined_only = r.defined_only();
      if (r.has_const_()) rule->members.only = r.const_();
      rule->members.in.assign(r.in().begin(), r.in().end());
      rule->members.not_in.assign(r.not_in().begin(), r.not_in().end());
      return rule;
    }
    case bv::FieldRules::kTimestamp: {
      if (known != Descriptor::WELLKNOWNTYPE_TIMESTAMP) return mismatch();
      auto rule = std::make_unique<TimeRule>();
      const auto& r = rules.timestamp();
      TimesInto(r, rule->range, rule->members, TimeOf);
      rule->past = r.lt_now();
      rule->future = r.gt_now();
      if (r.has_within()) rule->within = DurationOf(r.within());
      return rule;
    }
    case bv::FieldRules::kDuration: {
      if (known != Descriptor::WELLKNOWNTYPE_DURATION) return mismatch();
      auto rule = std::make_unique<DurationRule>();
      const auto& r = rules.duration();
      TimesInto(r, rule->range, rule->members, DurationOf);
      for (const auto& item : r.in()) rule->members.in.push_back(DurationOf(item));
      for (const auto& item : r.not_in()) rule->members.not_in.push_back(DurationOf(item));
      return rule;
    }
    case bv::FieldRules::kFieldMask: {
      if (known != Descriptor::WELLKNOWNTYPE_FIELDMASK) return mismatch();
      auto rule = std::make_unique<MaskRule>();
      const auto& r = rules.field_mask();
      if (r.has_const_()) rule->only.emplace(r.const_().paths().begin(), r.const_().paths().end());
      rule->in.assign(r.in().begin(), r.in().end());
      rule->not_in.assign(r.not_in().begin(), r.not_in().end());
      return rule;
    }
    case bv::FieldRules::kAny: {
      if (known != Descriptor::WELLKNOWNTYPE_ANY) return mismatch();
      auto rule = std::make_unique<AnyRule>();
      rule->urls.in.assign(rules.any().in().begin(), rules.any().in().end());
      rule->urls.not_in.assign(rules.any().not_in().begin(), rules.any().not_in().end());
      return rule;
    }
    case bv::FieldRules::kRepeated:
    case bv::FieldRules::kMap:
      return mismatch();
    case bv::FieldRules::TYPE_NOT_SET:
      break;
  }
  // Without rules: what holds for every message.
  switch (type) {
    case FieldDescriptor::TYPE_STRING:
      return Strings(field, nullptr, what, plan);
    case FieldDescriptor::TYPE_DOUBLE:
      return std::make_unique<NumberRule<double>>();
    case FieldDescriptor::TYPE_FLOAT:
      return std::make_unique<NumberRule<float>>();
    default:
      break;
  }
  switch (known) {
    case Descriptor::WELLKNOWNTYPE_TIMESTAMP:
      return std::make_unique<TimeRule>();
    case Descriptor::WELLKNOWNTYPE_DURATION:
      return std::make_unique<DurationRule>();
    case Descriptor::WELLKNOWNTYPE_FIELDMASK:
      return std::make_unique<MaskRule>();
    case Descriptor::WELLKNOWNTYPE_ANY:
      return std::make_unique<AnyRule>();
    default:
      break;
  }
  if (message == nullptr) return nullptr;
  auto rule = std::make_unique<MessageRule>();
  rule->plan = Compile(message);
  plan.inside.push_back(rule->plan);
  return rule;
}

bool IsWrapper(const Descriptor* type) {
  return type != nullptr && Transparent(type) && type->field_count() == 1 && !type->field(0)->is_repeated();
}

void Compiler::Value(const FieldDescriptor* field, const bv::FieldRules& rules, const std::string& what, Plan& plan,
                     Checks& checks) {
  Known(rules, what, plan);
  if (rules.cel_size() > 0 || rules.cel_expression_size() > 0) {
    plan.errors.push_back(what + ": CEL rules are not known; write a rule in rules/ instead");
  }
  const bool always = rules.ignore() == bv::IGNORE_ALWAYS;
  if (always && field->message_type() != nullptr) {
    plan.errors.push_back(what + ": IGNORE_ALWAYS on a message would leave its texts unchecked");
  }
  checks.skip_zero = rules.ignore() == bv::IGNORE_IF_ZERO_VALUE;
  std::unique_ptr<Rule> rule;
  if (IsWrapper(field->message_type()) && rules.type_case() != bv::FieldRules::TYPE_NOT_SET) {
    auto wrapper = std::make_unique<WrapperRule>();
    wrapper->inner = Typed(field->message_type()->field(0), rules, what, plan);
    if (wrapper->inner != nullptr) rule = std::move(wrapper);
  } else {
    rule = Typed(field, always ? bv::FieldRules::default_instance() : rules, what, plan);
  }
  if (rule != nullptr) checks.rules.push_back(std::move(rule));
}

void Compiler::Field(const FieldDescriptor* field, Plan& plan) {
  const bv::FieldRules& rules = field->options().GetExtension(bv::field);
  const std::string& what = field->full_name();
  FieldPlan out;
  out.field = field;
  out.presence = !field->is_repeated() && field->has_presence();
  out.required = rules.required();
  if (field->options().HasExtension(bv::predefined)) plan.errors.push_back(what + ": predefined rules are not known");
  if (!field->is_repeated()) {
    Value(field, rules, what, plan, out.values);
    if (field->message_type() != nullptr && field->message_type()->options().HasExtension(type::v1::record)) {
      out.record = Compile(field->message_type());
    }
    if (out.required || out.values.Any()) plan.fields.push_back(std::move(out));
    return;
  }
  Known(rules, what, plan);
  if (rules.cel_size() > 0 || rules.cel_expression_size() > 0) {
    plan.errors.push_back(what + ": CEL rules are not known; write a rule in rules/ instead");
  }
  const bool ignore = rules.ignore() == bv::IGNORE_ALWAYS;
  out.skip_empty = rules.ignore() == bv::IGNORE_IF_ZERO_VALUE;
  const auto wanted = field->is_map() ? bv::FieldRules::kMap : bv::FieldRules::kRepeated;
  if (rules.type_case() != bv::FieldRules::TYPE_NOT_SET && rules.type_case() != wanted) {
    plan.errors.push_back(absl::StrCat(what, ": has ",
                                       bv::FieldRules::descriptor()->FindFieldByNumber(rules.type_case())->name(),
                                       " rules, but is a ", field->is_map() ? "map" : "list"));
    return;
  }
  if (field->is_map()) {
    const bv::MapRules& map = ignore ? bv::MapRules::default_instance() : rules.map();
    Known(map, what, plan);
    if (map.has_min_pairs()) out.size_min = map.min_pairs();
    if (map.has_max_pairs()) out.size_max = map.max_pairs();
    Value(field->message_type()->map_key(), map.keys(), what + " (keys)", plan, out.keys);
    Value(field->message_type()->map_value(), map.values(), what + " (values)", plan, out.values);
    if (map.keys().required() || map.values().required())
      plan.errors.push_back(what + ": `required` has no meaning inside a map");
  } else {
    const bv::RepeatedRules& list = ignore ? bv::RepeatedRules::default_instance() : rules.repeated();
    Known(list, what, plan);
    if (list.has_min_items()) out.size_min = list.min_items();
    if (list.has_max_items()) out.size_max = list.max_items();
    out.unique = list.unique();
    if (out.unique && field->message_type() != nullptr)
      plan.errors.push_back(what + ": `unique` is for scalars and enums only");
    Value(field, list.items(), what + " (items)", plan, out.values);
    if (list.items().required()) plan.errors.push_back(what + ": `required` has no meaning inside a list");
  }
  plan.fields.push_back(std::move(out));
}

const Plan* Compiler::Compile(const Descriptor* type) {
  auto [it, added] = plans_.try_emplace(type);
  if (!added) return it->second.get();
  it->second = std::make_unique<Plan>();
  Plan& plan = *it->second;  // `it` does not survive the recursion
  plan.type = type;
  for (int i = 0; i < type->field_count(); ++i) Field(type->field(i), plan);
  for (int i = 0; i < type->real_oneof_decl_count(); ++i) {
    const OneofDescriptor* oneof = type->oneof_decl(i);
    const auto& rules = oneof->options().GetExtension(bv::oneof);
    Known(rules, oneof->full_name(), plan);
    if (rules.required()) plan.oneofs.push_back(oneof);
  }
  const auto& rules = type->options().GetExtension(bv::message);
  Known(rules, type->full_name(), plan);
  if (rules.cel_size() > 0 || rules.cel_expression_size() > 0) {
    plan.errors.push_back(type->full_name() + ": CEL rules are not known; write a rule in rules/ instead");
  }
  for (const auto& rule : rules.oneof()) {
    OneOf oneof;
    oneof.required = rule.required();
    for (const auto& name : rule.fields()) {
      const FieldDescriptor* field = type->FindFieldByName(name);
      if (field == nullptr) {
        plan.errors.push_back(absl::StrCat(type->full_name(), ": its oneof rule names ", name, ", which is no field"));
      } else {
        oneof.fields.push_back(field);
      }
    }
    plan.message_oneofs.push_back(std::move(oneof));
  }
  return &plan;
}

struct Entry {
  const Plan* plan;
  absl::Status rules;  // whether all that it contains is known
};

void Collect(const Plan* plan, absl::flat_hash_set<const Plan*>& seen, std::vector<std::string>& errors) {
  if (!seen.insert(plan).second) return;
  errors.insert(errors.end(), plan->errors.begin(), plan->errors.end());
  for (const Plan* inside : plan->inside) Collect(inside, seen, errors);
}

const Entry& EntryOf(const Descriptor* type) {
  static auto* mutex = new std::shared_mutex;
  static auto* compiler = new Compiler;
  static auto* entries = new absl::flat_hash_map<const Descriptor*, std::unique_ptr<const Entry>>;
  {
    std::shared_lock lock(*mutex);
    auto it = entries->find(type);
    if (it != entries->end()) return *it->second;
  }
  std::unique_lock lock(*mutex);
  auto& entry = (*entries)[type];
  if (entry == nullptr) {
    const Plan* plan = compiler->Compile(type);
    absl::flat_hash_set<const Plan*> seen;
    std::vector<std::string> errors;
    Collect(plan, seen, errors);
    absl::Status rules = absl::OkStatus();
    if (!errors.empty()) {
      rules = absl::FailedPreconditionError(
          absl::StrCat("Requests of ", type->full_name(), " cannot be validated: ", absl::StrJoin(errors, "; ")));
    }
    entry = std::make_unique<const Entry>(Entry{plan, std::move(rules)});
  }
  return *entry;
}

}  // namespace validation

absl::Status Validate(const google::protobuf::Message& message, absl::Time now) {
  const validation::Entry& entry = validation::EntryOf(message.GetDescriptor());
  if (!entry.rules.ok()) return entry.rules;
  validation::Run run{now, {}};
  validation::CheckMessage(message, *entry.plan, nullptr, run, nullptr);
  return run.violations.status();
}

absl::Status CheckRules(const google::protobuf::Descriptor* type) { return validation::EntryOf(type).rules; }

}  // namespace crm::rpc
