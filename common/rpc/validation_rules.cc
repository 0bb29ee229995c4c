#include "common/rpc/validation_rules.h"

#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/match.h>

#include <utility>

#include "common/base/id.h"
#include "common/base/text.h"
#include "common/base/time.h"

namespace crm::rpc::validation {

using google::protobuf::Reflection;

// ---- violations ----

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

absl::Status Violations::status() const {
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

// ---- values ----

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

// ---- rules ----

void BoolRule::Check(const Value& value, const Path* path, Run& run) const {
  if ((value.i != 0) != only) run.violations.Add(path, only ? "must be true" : "must be false");
}

std::string EnumRule::Name(int number) const {
  const auto* value = type->FindValueByNumber(number);
  return value == nullptr ? absl::StrCat(number) : value->name();
}

void EnumRule::Check(const Value& value, const Path* path, Run& run) const {
  if (defined_only && type->FindValueByNumber(static_cast<int>(value.i)) == nullptr) {
    return run.violations.Add(path, [&] {
      std::vector<const google::protobuf::EnumValueDescriptor*> all;
      for (int i = 0; i < type->value_count(); ++i) all.push_back(type->value(i));
      return absl::StrCat("must be one of ", Listed(all, [](const auto* item) { return item->name(); }));
    });
  }
  members.Check(static_cast<int>(value.i), path, run, [&](int number) { return Name(number); });
}

void TextRule::Check(const Value& value, const Path* path, Run& run) const {
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
    return run.violations.Add(path, [&] { return absl::StrCat("must match the pattern ", pattern->pattern()); });
  }
  if (day && !s.empty() && !ParseDate(s).ok()) {
    run.violations.Add(path, "must be a day of the calendar such as 2026-11-23");
  }
}

bool TextRule::Length(const std::string& s, const Path* path, Run& run) const {
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

void TextRule::CheckReference(const std::string& s, const Path* path, Run& run) const {
  const auto id = ParseId(s);
  if (id.ok() && (prefixes.empty() || std::find(prefixes.begin(), prefixes.end(), id->prefix) != prefixes.end()))
    return;
  run.violations.Add(
      path,
      [&] {
        const std::string wanted = prefixes.empty() ? "a record" : absl::StrCat("a ", absl::StrJoin(prefixes, " or "));
        if (id.ok())
          return absl::StrCat("must be the id of ", wanted, "; ", Quoted(s), " names ",
                              id->prefix.empty() ? "no kind of record" : absl::StrCat("a ", id->prefix));
        return absl::StrCat("must be the id of ", wanted, " such as \"", prefixes.empty() ? "contact" : prefixes[0],
                            "_01h455vb4pex5vsknk084sn02q\"");
      },
      type::v1::ERROR_REASON_REFERENCE_INVALID);
}

void TimeRule::Check(const Value& value, const Path* path, Run& run) const {
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
    run.violations.Add(path, [&] { return absl::StrCat("must be within ", absl::FormatDuration(*within), " of now"); });
  }
}

void DurationRule::Check(const Value& value, const Path* path, Run& run) const {
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

bool MaskRule::Covers(const std::vector<std::string>& list, const std::string& path) {
  return std::any_of(list.begin(), list.end(), [&](const std::string& item) {
    return path == item || (absl::StartsWith(path, item) && path[item.size()] == '.');
  });
}

void MaskRule::Check(const Value& value, const Path* path, Run& run) const {
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

void AnyRule::Check(const Value& value, const Path* path, Run& run) const {
  Value url;
  Get(*value.m, value.m->GetDescriptor()->FindFieldByNumber(1), -1, url);
  if (url.s->find('\0') != std::string::npos || !IsUtf8(*url.s)) {
    return run.violations.Add(path, "must have a type that is UTF-8 text without NUL");
  }
  urls.Check(*url.s, path, run, [](const std::string& item) { return Quoted(item); });
}

void WrapperRule::Check(const Value& value, const Path* path, Run& run) const {
  Value wrapped;
  Get(*value.m, value.m->GetDescriptor()->FindFieldByNumber(1), -1, wrapped);
  inner->Check(wrapped, path, run);
}

}  // namespace crm::rpc::validation
