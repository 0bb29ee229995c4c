#include "services/scheduler/rules/automation_text.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <algorithm>
#include <kainjow/mustache.hpp>
#include <utility>
#include <vector>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "common/base/time.h"
#include "crm/identity/v1/user.pb.h"
#include "crm/type/v1/money.pb.h"
#include "crm/type/v1/options.pb.h"

namespace crm::scheduler::automation {
namespace texts {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using kainjow::mustache::data;

// Deeper messages are nobody's variables.
constexpr int kDataDepthMax = 4;
// Sections inside each other: lists of lists, and a condition or two.
constexpr size_t kSectionsMax = 4;

const std::map<std::string, const Descriptor*>& LinkedTypes() {
  static const auto* types = [] {
    auto* out = new std::map<std::string, const Descriptor*>();
    for (const char* name : {"contact", "company", "deal", "lead", "conversation"}) {
      (*out)[name] = Catalogue::Get().FindObject(name)->record;
    }
    (*out)["owner"] = identity::v1::User::descriptor();
    return out;
  }();
  return *types;
}

// What stands in a tag: its mark ('#', '^', '/', '&', '{', '!', '>', '=' or ' ' for a variable) and its name.
struct Tag {
  char mark = ' ';
  std::string name;
};
std::vector<Tag> TagsOf(absl::string_view text) {
  std::vector<Tag> tags;
  for (size_t at = text.find("{{"); at != absl::string_view::npos; at = text.find("{{", at)) {
    const size_t end = text.find("}}", at + 2);
    if (end == absl::string_view::npos) break;
    absl::string_view inside = absl::StripAsciiWhitespace(text.substr(at + 2, end - at - 2));
    Tag tag;
    if (!inside.empty() && absl::string_view("#^/&{!>=").find(inside[0]) != absl::string_view::npos) {
      tag.mark = inside[0];
      inside.remove_prefix(1);
    }
    tag.name = std::string(absl::StripAsciiWhitespace(inside));
    tags.push_back(std::move(tag));
    at = end + 2;
  }
  return tags;
}

// Whether any field on the way of a dotted name is hidden from other systems.
bool Hidden(const Descriptor* type, const std::vector<std::string>& path, size_t at, bool personal) {
  for (; at < path.size() && type != nullptr; ++at) {
    const FieldDescriptor* field = type->FindFieldByName(path[at]);
    if (field == nullptr) return false;
    const auto& info = field->options().GetExtension(type::v1::field);
    if ((info.personal() && !personal) || info.projected()) return true;
    type = field->message_type();
  }
  return false;
}

// Whether a dotted name leads to something; what it is about is said by `why`.
bool Leads(const Descriptor* type, const std::vector<std::string>& path, size_t at) {
  if (at >= path.size()) return true;
  const FieldDescriptor* field = type == nullptr ? nullptr : type->FindFieldByName(path[at]);
  if (field == nullptr) return false;
  if (at + 1 == path.size()) return true;
  if (field->is_map() || field->message_type() == google::protobuf::Struct::descriptor()) return true;
  if (field->is_repeated() || field->message_type() == nullptr) return false;
  if (field->message_type() == google::protobuf::Timestamp::descriptor()) return false;
  if (field->message_type() == type::v1::Money::descriptor()) return false;  // it is one text
  return Leads(field->message_type(), path, at + 1);
}

std::string EnumText(const google::protobuf::EnumValueDescriptor* value) {
  if (value->number() == 0) return "";
  // TASK_KIND_CALL of TaskKind is "call".
  std::string prefix;
  for (const char c : value->type()->name()) {
    if (absl::ascii_isupper(static_cast<unsigned char>(c)) && !prefix.empty()) prefix.push_back('_');
    prefix.push_back(absl::ascii_toupper(static_cast<unsigned char>(c)));
  }
  absl::string_view name = value->name();
  absl::ConsumePrefix(&name, prefix + "_");
  return absl::StrReplaceAll(absl::AsciiStrToLower(name), {{"_", " "}});
}

data OfStructValue(const google::protobuf::Value& value, int depth);

data OfStruct(const google::protobuf::Struct& fields, int depth) {
  data out(data::type::object);
  if (depth > kDataDepthMax) return out;
  for (const auto& [key, value] : fields.fields()) out.set(key, OfStructValue(value, depth + 1));
  return out;
}

data OfStructValue(const google::protobuf::Value& value, int depth) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kStringValue:
      return data(value.string_value());
    case google::protobuf::Value::kNumberValue:
      return data(absl::StrCat(value.number_value()));
    case google::protobuf::Value::kBoolValue:
      return data(value.bool_value());
    case google::protobuf::Value::kListValue: {
      data list(data::type::list);
      for (const auto& element : value.list_value().values()) list.push_back(OfStructValue(element, depth + 1));
      return list;
    }
    case google::protobuf::Value::kStructValue:
      return OfStruct(value.struct_value(), depth);
    default:
      return data("");
  }
}

data OfMessage(const Message& message, absl::TimeZone zone, int depth);

// A field, or an element of a list.
data OfField(const Message& message, const FieldDescriptor* field, int index, absl::TimeZone zone, int depth) {
  const auto* r = message.GetReflection();
  const bool one = index < 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      if (field->type() == FieldDescriptor::TYPE_BYTES) return data("");
      return data(one ? r->GetString(message, field) : r->GetRepeatedString(message, field, index));
    case FieldDescriptor::CPPTYPE_BOOL:
      return data(one ? r->GetBool(message, field) : r->GetRepeatedBool(message, field, index));
    case FieldDescriptor::CPPTYPE_ENUM:
      return data(EnumText(one ? r->GetEnum(message, field) : r->GetRepeatedEnum(message, field, index)));
    case FieldDescriptor::CPPTYPE_INT32:
      return data(absl::StrCat(one ? r->GetInt32(message, field) : r->GetRepeatedInt32(message, field, index)));
    case FieldDescriptor::CPPTYPE_UINT32:
      return data(absl::StrCat(one ? r->GetUInt32(message, field) : r->GetRepeatedUInt32(message, field, index)));
    case FieldDescriptor::CPPTYPE_INT64:
      return data(absl::StrCat(one ? r->GetInt64(message, field) : r->GetRepeatedInt64(message, field, index)));
    case FieldDescriptor::CPPTYPE_UINT64:
      return data(absl::StrCat(one ? r->GetUInt64(message, field) : r->GetRepeatedUInt64(message, field, index)));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return data(absl::StrCat(one ? r->GetFloat(message, field) : r->GetRepeatedFloat(message, field, index)));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return data(absl::StrCat(one ? r->GetDouble(message, field) : r->GetRepeatedDouble(message, field, index)));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  if (one && !r->HasField(message, field)) return data("");
  const Message& sub = one ? r->GetMessage(message, field) : r->GetRepeatedMessage(message, field, index);
  if (sub.GetDescriptor() == google::protobuf::Timestamp::descriptor()) {
    return data(
        absl::FormatTime("%Y-%m-%d %H:%M", FromTimestamp(static_cast<const google::protobuf::Timestamp&>(sub)), zone));
  }
  if (sub.GetDescriptor() == type::v1::Money::descriptor()) {
    const auto& money = static_cast<const type::v1::Money&>(sub);
    return data(std::string(absl::StripAsciiWhitespace(absl::StrCat(money.amount(), " ", money.currency_code()))));
  }
  if (sub.GetDescriptor() == google::protobuf::Struct::descriptor()) {
    return OfStruct(static_cast<const google::protobuf::Struct&>(sub), depth);
  }
  return OfMessage(sub, zone, depth + 1);
}

data OfMessage(const Message& message, absl::TimeZone zone, int depth) {
  data out(data::type::object);
  if (depth > kDataDepthMax) return out;
  const Descriptor* type = message.GetDescriptor();
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (field->is_map()) {
      data map(data::type::object);
      for (int j = 0; j < reflection->FieldSize(message, field); ++j) {
        const Message& entry = reflection->GetRepeatedMessage(message, field, j);
        const auto* key = field->message_type()->map_key();
        if (key->cpp_type() != FieldDescriptor::CPPTYPE_STRING) continue;
        map.set(entry.GetReflection()->GetString(entry, key),
                OfField(entry, field->message_type()->map_value(), -1, zone, depth + 1));
      }
      out.set(field->name(), map);
    } else if (field->is_repeated()) {
      data list(data::type::list);
      for (int j = 0; j < reflection->FieldSize(message, field); ++j) {
        list.push_back(OfField(message, field, j, zone, depth));
      }
      out.set(field->name(), list);
    } else {
      out.set(field->name(), OfField(message, field, -1, zone, depth));
    }
  }
  return out;
}

}  // namespace texts

absl::Status CheckTemplate(absl::string_view text, const ObjectKind& object, absl::string_view field) {
  const std::string where(field);
  kainjow::mustache::mustache parsed{std::string(text)};
  if (!parsed.is_valid()) {
    return FieldError(where, absl::StrCat("is no template: ", parsed.error_message(),
                                          "; a variable stands as {{title}}, a list as {{#tags}}{{.}} {{/tags}}"));
  }
  std::vector<std::string> inside;  // sections that are open
  for (const texts::Tag& tag : texts::TagsOf(text)) {
    if (tag.mark == '>' || tag.mark == '=') {
      return FieldError(where, "must not have partials ({{> }}) or other delimiters ({{= }})");
    }
    if (tag.mark == '!') continue;
    if (tag.mark == '/') {
      if (!inside.empty()) inside.pop_back();
      continue;
    }
    const bool section = tag.mark == '#' || tag.mark == '^';
    // What a section's element has is not known here.
    if (inside.empty()) {
      const std::vector<std::string> path = absl::StrSplit(tag.name, '.');
      const auto linked = texts::LinkedTypes().find(path.front());
      const bool known = texts::Leads(object.record, path, 0) ||
                         (linked != texts::LinkedTypes().end() && texts::Leads(linked->second, path, 1));
      if (!known) {
        return FieldError(where,
                          absl::StrCat("there is no variable {{", Truncated(tag.name, 60), "}} for a ", object.name,
                                       "; the catalogue (GET /v1/rules:catalogue) lists its fields, ",
                                       "and contact., company., deal., lead. and owner. name its neighbours"));
      }
    }
    if (!section) continue;
    // A list of ten gone through in itself ten times would be gone through ten thousand million times.
    if (std::find(inside.begin(), inside.end(), tag.name) != inside.end()) {
      return FieldError(
          where, absl::StrCat("{{", std::string(1, tag.mark), Truncated(tag.name, 60), "}} stands inside itself"));
    }
    inside.push_back(tag.name);
    if (inside.size() > texts::kSectionsMax) {
      return FieldError(where, absl::StrCat("has sections more than ", texts::kSectionsMax, " deep"));
    }
  }
  return absl::OkStatus();
}

std::set<std::string> LinkedIn(absl::string_view text, const google::protobuf::Descriptor* record) {
  std::set<std::string> linked;
  for (const texts::Tag& tag : texts::TagsOf(text)) {
    const std::string name = tag.name.substr(0, tag.name.find('.'));
    if (record->FindFieldByName(name) == nullptr && texts::LinkedTypes().contains(name)) linked.insert(name);
  }
  return linked;
}

std::string Render(absl::string_view text, const google::protobuf::Message& record, const Linked& linked,
                   absl::TimeZone zone, std::function<std::string(const std::string&)> escape) {
  if (!absl::StrContains(text, "{{")) return std::string(text);
  kainjow::mustache::mustache parsed{std::string(text)};
  if (!escape) escape = [](const std::string& value) { return value; };
  parsed.set_custom_escape(std::move(escape));
  kainjow::mustache::data values = texts::OfMessage(record, zone, 0);
  for (const auto& [name, message] : linked) {
    if (record.GetDescriptor()->FindFieldByName(name) == nullptr && message != nullptr) {
      values.set(name, texts::OfMessage(*message, zone, 0));
    }
  }
  return parsed.render(values);
}

std::vector<std::string> SamplesOf(absl::string_view text) {
  std::vector<std::string> samples;
  for (const bool shown : {true, false}) {
    std::string sample;
    std::vector<bool> kept = {true};  // of the sections around
    size_t at = 0;
    for (;;) {
      const size_t open = text.find("{{", at);
      const size_t close = open == absl::string_view::npos ? open : text.find("}}", open + 2);
      if (kept.back()) absl::StrAppend(&sample, text.substr(at, close == absl::string_view::npos ? close : open - at));
      if (close == absl::string_view::npos) break;
      const absl::string_view inside = absl::StripAsciiWhitespace(text.substr(open + 2, close - open - 2));
      const char mark = inside.empty() ? ' ' : inside[0];
      if (mark == '#' || mark == '^') {
        kept.push_back(kept.back() && shown == (mark == '#'));
      } else if (mark == '/') {
        if (kept.size() > 1) kept.pop_back();
      } else if (mark != '!' && kept.back()) {
        sample += '0';
      }
      at = close + 2;
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

absl::Status CheckEscaped(absl::string_view text, absl::string_view field) {
  for (const texts::Tag& tag : texts::TagsOf(text)) {
    if (tag.mark == '{' || tag.mark == '&') {
      return FieldError(std::string(field),
                        absl::StrCat("must not put values in as they are; write {{", tag.name, "}}"));
    }
  }
  return absl::OkStatus();
}

std::string HiddenIn(absl::string_view text, const ObjectKind& object, bool personal) {
  for (const texts::Tag& tag : texts::TagsOf(text)) {
    if (tag.mark == '!' || tag.mark == '/') continue;
    const std::vector<std::string> path = absl::StrSplit(tag.name, '.');
    const bool own = object.record->FindFieldByName(path.front()) != nullptr;
    const auto linked = texts::LinkedTypes().find(path.front());
    if (own ? texts::Hidden(object.record, path, 0, personal)
            : linked != texts::LinkedTypes().end() && texts::Hidden(linked->second, path, 1, personal)) {
      return tag.name;
    }
  }
  return "";
}

}  // namespace crm::scheduler::automation
