// The right side of a condition, read as the type of its field wants it.
#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <string>
#include <vector>

#include "common/base/filter.h"
#include "common/base/filter_parts.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "common/base/time.h"

namespace crm::filter {
namespace values {

constexpr int kEnumNamesMax = 40;

// The text of a value that is one, without wildcards.
absl::StatusOr<absl::string_view> Plain(const Compare& compare, absl::string_view wanted) {
  if (compare.value.kind != Value::Kind::kText || compare.value.any_before || compare.value.any_after) {
    return ErrorAt(compare, absl::StrCat(compare.PathText(), " needs ", wanted));
  }
  return absl::string_view(compare.value.text);
}

absl::Status Unreadable(const Compare& compare, absl::string_view wanted) {
  return ErrorAt(compare, absl::StrCat("\"", Truncated(compare.value.text, parts::kFoundMax),
                                       "\" will not do: ", compare.PathText(), " needs ", wanted));
}

constexpr absl::string_view kWantsDay = "a day like 2026-11-23, today() or days(-7)";

absl::StatusOr<absl::CivilDay> DayOf(const Compare& compare, const Call& call) {
  if (compare.value.kind == Value::Kind::kDays) {
    return LocalDay(call.now(), ZoneOrUtc(call.time_zone)) + compare.value.days;
  }
  CRM_TRY(const absl::string_view text, Plain(compare, kWantsDay));
  auto day = ParseDate(text);
  if (!day.ok()) return Unreadable(compare, kWantsDay);
  return day;
}

}  // namespace values

absl::StatusOr<std::string> TextOf(const Compare& compare) {
  if (compare.value.kind != Value::Kind::kText) {
    return ErrorAt(compare, absl::StrCat(compare.PathText(), " needs a text: put it in quotes"));
  }
  return compare.value.text;
}

absl::StatusOr<std::string> NumberOf(const Compare& compare) {
  constexpr absl::string_view kWanted = "a number like 1200.50 or -3";
  CRM_TRY(const absl::string_view text, values::Plain(compare, kWanted));
  absl::string_view rest = text;
  if (!rest.empty() && rest[0] == '-') rest.remove_prefix(1);
  const std::vector<absl::string_view> parts = absl::StrSplit(rest, '.');
  const bool good = parts.size() <= 2 && std::all_of(parts.begin(), parts.end(), [](absl::string_view part) {
                      return !part.empty() && part.size() <= kDigitsMax &&
                             std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
                    });
  if (!good) return values::Unreadable(compare, kWanted);
  return std::string(text);
}

absl::StatusOr<int64_t> IntegerOf(const Compare& compare, int64_t min, int64_t max) {
  const std::string wanted = absl::StrCat("a whole number from ", min, " to ", max);
  CRM_TRY(const absl::string_view text, values::Plain(compare, wanted));
  // SimpleAtoi by itself would take spaces and a plus sign.
  const bool shape = !text.empty() && (absl::ascii_isdigit(static_cast<unsigned char>(text[0])) || text[0] == '-') &&
                     absl::ascii_isdigit(static_cast<unsigned char>(text.back()));
  int64_t number = 0;
  if (!shape || !absl::SimpleAtoi(text, &number) || number < min || number > max)
    return values::Unreadable(compare, wanted);
  return number;
}

absl::StatusOr<bool> BoolOf(const Compare& compare) {
  constexpr absl::string_view kWanted = "true or false";
  CRM_TRY(const absl::string_view text, values::Plain(compare, kWanted));
  if (text != "true" && text != "false") return values::Unreadable(compare, kWanted);
  return text == "true";
}

absl::StatusOr<int> EnumOf(const Compare& compare, const google::protobuf::EnumDescriptor* descriptor) {
  std::vector<absl::string_view> names;
  for (int i = 0; i < std::min(descriptor->value_count(), values::kEnumNamesMax); ++i) {
    names.push_back(descriptor->value(i)->name());
  }
  const std::string wanted = absl::StrCat("one of ", absl::StrJoin(names, ", "));
  CRM_TRY(const absl::string_view text, values::Plain(compare, wanted));
  const auto* value = descriptor->FindValueByName(std::string(text));
  if (value == nullptr) return values::Unreadable(compare, wanted);
  return value->number();
}

absl::StatusOr<std::vector<std::string>> IdTextsOf(const Compare& compare, const Call& call,
                                                   absl::string_view prefixes) {
  const std::vector<absl::string_view> kinds = absl::StrSplit(prefixes, ',');
  const auto allowed = [&](absl::string_view kind) {
    return prefixes == "*" || std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
  };
  std::vector<std::string> ids;
  if (compare.value.kind == Value::Kind::kMe) {
    if (!allowed("user"))
      return ErrorAt(compare, absl::StrCat(compare.PathText(), " names no user: me cannot stand here"));
    if (call.principal.kind == Principal::Kind::kUser) ids.push_back(call.principal.user_id);
    return ids;
  }
  if (compare.value.kind == Value::Kind::kMyTeam) {
    if (!allowed("team")) {
      return ErrorAt(compare, absl::StrCat(compare.PathText(), " names no team: my_team() stands with team_id"));
    }
    for (const Uuid& team : call.principal.teams) ids.push_back(TypeId("team", team));
    return ids;
  }
  const std::string wanted = prefixes == "*"
                                 ? std::string("an id such as contact_01h455vb4pex5vsknk084sn02q")
                                 : absl::StrCat("an id that starts with ", absl::StrJoin(kinds, "_ or "), "_");
  CRM_TRY(const absl::string_view text, values::Plain(compare, wanted));
  auto parsed = ParseId(text);
  if (!parsed.ok() || !allowed(parsed->prefix)) return values::Unreadable(compare, wanted);
  ids.emplace_back(text);
  return ids;
}

absl::StatusOr<std::vector<Uuid>> IdsOf(const Compare& compare, const Call& call, absl::string_view prefixes) {
  CRM_TRY(const std::vector<std::string> texts, IdTextsOf(compare, call, prefixes));
  std::vector<Uuid> ids;
  for (const auto& text : texts) {
    CRM_TRY(const ParsedId parsed, ParseId(text));
    ids.push_back(parsed.uuid);
  }
  return ids;
}

absl::StatusOr<std::string> DateOf(const Compare& compare, const Call& call) {
  CRM_TRY(const absl::CivilDay day, values::DayOf(compare, call));
  return DateText(day);
}

absl::StatusOr<TimeRange> TimeRangeOf(const Compare& compare, const Call& call) {
  if (compare.value.kind == Value::Kind::kText && compare.value.text.find_first_of("Tt") != std::string::npos) {
    constexpr absl::string_view kWanted = "a time like 2026-11-23T10:15:00Z or a day like 2026-11-23";
    CRM_TRY(const absl::string_view text, values::Plain(compare, kWanted));
    auto time = ParseTime(text);
    if (!time.ok()) return values::Unreadable(compare, kWanted);
    return TimeRange{*time, *time};
  }
  CRM_TRY(const absl::CivilDay day, values::DayOf(compare, call));
  const absl::TimeZone zone = ZoneOrUtc(call.time_zone);
  return TimeRange{StartOfDay(day, zone), StartOfDay(day + 1, zone)};
}

}  // namespace crm::filter
