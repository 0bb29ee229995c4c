#include <absl/container/inlined_vector.h>
#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <memory>
#include <string>
#include <vector>

#include "common/base/text.h"
#include "common/json/json.h"
#include "common/json/plan.h"
#include "common/json/text.h"
#include "common/json/wire.h"

namespace crm::json {
namespace writing {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using Plan = Writer::Plan;

// ---- strings ----

// 0: as it is; 'u': \u00XX; other: backslash and that letter; 1: not ASCII.
constexpr std::array<char, 256> EscapeTable() {
  std::array<char, 256> table{};
  for (int c = 0; c < 0x20; ++c) table[c] = 'u';
  for (int c = 0x80; c < 0x100; ++c) table[c] = 1;
  table['\b'] = 'b';
  table['\f'] = 'f';
  table['\n'] = 'n';
  table['\r'] = 'r';
  table['\t'] = 't';
  table['"'] = '"';
  table['\\'] = '\\';
  return table;
}
constexpr std::array<char, 256> kEscape = EscapeTable();

void AppendEscaped(absl::string_view text, std::string& out) {
  std::size_t plain = 0;  // where the run that needs no escape begins
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const char escape = kEscape[c];
    if (escape == 0 || escape == 1) continue;
    out.append(text.data() + plain, i - plain);
    plain = i + 1;
    if (escape == 'u') {
      constexpr char kHex[] = "0123456789abcdef";
      const char code[] = {'\\', 'u', '0', '0', kHex[c >> 4], kHex[c & 15]};
      out.append(code, sizeof code);
    } else {
      const char pair[] = {'\\', escape};
      out.append(pair, sizeof pair);
    }
  }
  out.append(text.data() + plain, text.size() - plain);
}

// With quotes. False if the text is no UTF-8.
bool AppendChecked(absl::string_view text, std::string& out) {
  unsigned char seen = 0;
  std::size_t i = 0;
  while (i < text.size() && (seen = kEscape[static_cast<unsigned char>(text[i])]) == 0) ++i;
  out += '"';
  if (i == text.size()) {
    out.append(text.data(), text.size());
  } else {
    if (!google::protobuf::internal::IsStructurallyValidUTF8(text.data(), static_cast<int>(text.size()))) return false;
    AppendEscaped(text, out);
  }
  out += '"';
  return true;
}

// ---- writing ----

struct Job {
  const Writer* writer;
  const google::protobuf::DescriptorPool* pool;
  std::string& out;
  absl::InlinedVector<Slot, 64> slots;  // a stack: each open message has one per field
  std::string path;                     // of an error, built on the way out
  const char* error = nullptr;

  Job(const Writer* writer, const google::protobuf::DescriptorPool* pool, std::string& out)
      : writer(writer), pool(pool), out(out) {}

  bool Fail(const char* what) {
    if (error == nullptr) error = what;
    return false;
  }
  // Names a part of the path of the error that is on its way out.
  bool Under(absl::string_view part) {
    path = path.empty() || path[0] == '[' ? absl::StrCat(part, path) : absl::StrCat(part, ".", path);
    return false;
  }

  // Finds every field of the message in `wire` and pushes its slots.
  bool Scan(const Plan* plan, absl::string_view wire, int depth);
  void Pop(const Plan* plan) { slots.resize(slots.size() - plan->fields.size()); }

  bool Message(const Plan* plan, absl::string_view wire, int depth, absl::string_view extra = {});
  bool Members(const Plan* plan, absl::string_view wire, int depth);
  bool Field(const FieldPlan& field, Slot slot, int depth);
  bool Element(const FieldPlan& field, const Slot& slot, int depth);
  bool Scalar(const FieldPlan& field, const Slot& slot);
  bool List(const FieldPlan& field, const Slot& slot, int depth);
  bool Map(const FieldPlan& field, const Slot& slot, int depth);
  bool KnownType(const Plan* plan, absl::string_view wire, int depth);
  bool Any(const Plan* plan, absl::string_view wire, int depth);

  struct Entry {
    Slot key, value;
    std::size_t order;
  };
  using Entries = absl::InlinedVector<Entry, 8>;
  bool MapOf(const Plan* entry_plan, Entries& entries, int depth);

  // Calls `each` with every occurrence of a repeated field, packed ones one by one.
  template <typename Each>
  bool ForEach(const FieldPlan& field, const Slot& slot, Each each);
  // Seconds and nanos of a Timestamp or Duration.
  bool Time(const Plan* plan, absl::string_view wire, int depth, int64_t& seconds, int32_t& nanos);
};

constexpr char kNoMessage[] = "the bytes are no message of this type";
constexpr char kTooDeep[] = "the messages are nested too deep";

bool Job::Scan(const Plan* plan, absl::string_view wire, int depth) {
  if (depth > kWireDepthMax) return Fail(kTooDeep);
  const std::size_t base = slots.size();
  slots.resize(base + plan->fields.size());
  Slot* const at = slots.data() + base;
  const char* p = wire.data();
  const char* const end = p + wire.size();
  while (p < end) {
    const char* const start = p;
    uint32_t tag = 0;
    p = TakeTag(p, end, tag);
    if (p == nullptr) return Fail(kNoMessage);
    const int index = plan->IndexOf(tag >> 3);
    const auto wire_type = static_cast<WireType>(tag & 7);
    // A field of another wire type than ours counts as unknown, as in protobuf.
    if (index < 0 ||
        (plan->fields[index].wire_type != wire_type && !(wire_type == kBytes && plan->fields[index].packable))) {
      Slot ignored;
      p = TakeValue(p, end, tag, ignored, depth);
      if (p == nullptr) return Fail(kNoMessage);
      continue;
    }
    const FieldPlan& field = plan->fields[index];
    Slot& slot = at[index];
    if (field.oneof >= 0) {  // the last member wins and starts afresh
      for (std::size_t i = 0; i < plan->fields.size(); ++i) {
        if (plan->fields[i].oneof == field.oneof && static_cast<int>(i) != index) at[i] = Slot();
      }
    }
    p = TakeValue(p, end, tag, slot, depth);
    if (p == nullptr) return Fail(kNoMessage);
    if (slot.count++ == 0) slot.first = start;
    slot.last = p;
  }
  return true;
}

template <typename Each>
bool Job::ForEach(const FieldPlan& field, const Slot& slot, Each each) {
  const char* p = slot.first;
  while (p < slot.last) {  // Scan has seen that these bytes are well-formed
    uint32_t tag = 0;
    Slot one;
    p = TakeTag(p, slot.last, tag);
    p = TakeValue(p, slot.last, tag, one, 0);
    if (tag >> 3 != field.number) continue;
    if ((tag & 7) == field.wire_type) {
      if (!each(one)) return false;
    } else if (field.packable && (tag & 7) == kBytes) {
      const char* q = one.data;
      const char* const end = q + one.size;
      while (q < end) {
        Slot packed;
        q = TakeValue(q, end, field.wire_type, packed, 0);
        if (q == nullptr) return Fail(kNoMessage);
        if (!each(packed)) return false;
      }
    }
  }
  return true;
}

bool Job::Scalar(const FieldPlan& field, const Slot& slot) {
  switch (field.type) {
    case FieldDescriptor::TYPE_STRING:
      return AppendChecked(slot.bytes(), out) || Fail("the text is not UTF-8");
    case FieldDescriptor::TYPE_BYTES:
      out += '"';
      out += absl::Base64Escape(slot.bytes());
      out += '"';
      return true;
    case FieldDescriptor::TYPE_BOOL:
      out += slot.value != 0 ? "true" : "false";
      return true;
    case FieldDescriptor::TYPE_ENUM:
      field.enum_type->Append(static_cast<int32_t>(slot.value), out);
      return true;
    case FieldDescriptor::TYPE_DOUBLE:
      return text::AppendNumber(std::bit_cast<double>(slot.value), out) || Fail("the number is not finite");
    case FieldDescriptor::TYPE_FLOAT:
      return text::AppendNumber(std::bit_cast<float>(static_cast<uint32_t>(slot.value)), out) ||
             Fail("the number is not finite");
    default:
      break;
  }
  char buffer[24];  // -9223372036854775808 is 20
  char* p = buffer;
  auto print = [&](auto value) { p = std::to_chars(buffer, buffer + sizeof buffer, value).ptr; };
  bool quotes = false;
  switch (field.type) {
    case FieldDescriptor::TYPE_INT32:
    case FieldDescriptor::TYPE_SFIXED32:
      print(static_cast<int32_t>(slot.value));
      break;
    case FieldDescriptor::TYPE_SINT32: {
      const auto zigzag = static_cast<uint32_t>(slot.value);
      print(static_cast<int32_t>((zigzag >> 1) ^ (~(zigzag & 1) + 1)));
      break;
    }
    case FieldDescriptor::TYPE_UINT32:
    case FieldDescriptor::TYPE_FIXED32:
      print(static_cast<uint32_t>(slot.value));
      break;
    case FieldDescriptor::TYPE_SINT64: {
      quotes = true;
      const int64_t value = static_cast<int64_t>((slot.value >> 1) ^ (~(slot.value & 1) + 1));
      print(value);
      break;
    }
    case FieldDescriptor::TYPE_INT64:
    case FieldDescriptor::TYPE_SFIXED64:
      quotes = true;
      print(static_cast<int64_t>(slot.value));
      break;
    default:  // TYPE_UINT64, TYPE_FIXED64
      quotes = true;
      print(slot.value);
  }
  if (quotes) out += '"';
  out.append(buffer, p - buffer);
  if (quotes) out += '"';
  return true;
}

// One value: a singular field, an element, or a map's value.
bool Job::Element(const FieldPlan& field, const Slot& slot, int depth) {
  if (field.message != nullptr) return Message(field.message, slot.bytes(), depth + 1);
  return Scalar(field, slot);
}

bool Job::List(const FieldPlan& field, const Slot& slot, int depth) {
  const std::size_t start = out.size();
  std::size_t index = 0;
  const bool good = ForEach(field, slot, [&](const Slot& element) {
    out += ',';
    if (!Element(field, element, depth)) return Under(absl::StrCat("[", index, "]"));
    ++index;
    return true;
  });
  if (!good) return false;
  if (out.size() == start) {
    out += "[]";
  } else {
    out[start] = '[';
    out += ']';
  }
  return true;
}

bool SignedKey(FieldDescriptor::Type type) {
  return type == FieldDescriptor::TYPE_INT32 || type == FieldDescriptor::TYPE_INT64 ||
         type == FieldDescriptor::TYPE_SINT32 || type == FieldDescriptor::TYPE_SINT64 ||
         type == FieldDescriptor::TYPE_SFIXED32 || type == FieldDescriptor::TYPE_SFIXED64;
}

// Prints entries in the order of their keys; of equal keys the last one.
bool Job::MapOf(const Plan* entry_plan, Entries& entries, int depth) {
  const FieldPlan& key = entry_plan->fields[0];
  const FieldPlan& value = entry_plan->fields[1];
  const bool text_keys = key.type == FieldDescriptor::TYPE_STRING;
  // Comparable as unsigned numbers: two's complement with the sign bit turned; zigzag undone.
  const bool zigzag = key.type == FieldDescriptor::TYPE_SINT32 || key.type == FieldDescriptor::TYPE_SINT64;
  const bool narrow = key.field->cpp_type() == FieldDescriptor::CPPTYPE_INT32;
  auto number = [&](const Slot& slot) -> uint64_t {
    uint64_t n = slot.value;
    if (key.type == FieldDescriptor::TYPE_BOOL) return n != 0;
    if (!SignedKey(key.type)) return key.field->cpp_type() == FieldDescriptor::CPPTYPE_UINT32 ? uint32_t(n) : n;
    if (zigzag) n = (n >> 1) ^ (~(n & 1) + 1);
    if (narrow) n = static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(n)));
    return n ^ (uint64_t{1} << 63);
  };
  auto before = [&](const Entry& a, const Entry& b) {
    if (text_keys) {
      const int order = a.key.bytes().compare(b.key.bytes());
      return order != 0 ? order < 0 : a.order < b.order;
    }
    const uint64_t x = number(a.key), y = number(b.key);
    return x != y ? x < y : a.order < b.order;
  };
  auto same = [&](const Entry& a, const Entry& b) {
    return text_keys ? a.key.bytes() == b.key.bytes() : number(a.key) == number(b.key);
  };
  std::sort(entries.begin(), entries.end(), before);
  const std::size_t start = out.size();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i + 1 < entries.size() && same(entries[i], entries[i + 1])) continue;
    out += ',';
    const std::size_t key_start = out.size();
    if (text_keys) {
      if (!AppendChecked(entries[i].key.bytes(), out)) return Fail("a key is not UTF-8");
    } else {
      const bool quoted = key.zero[0] == '"';  // 64-bit ones quote themselves
      if (!quoted) out += '"';
      Scalar(key, entries[i].key);
      if (!quoted) out += '"';
    }
    const std::size_t key_end = out.size();
    out += ':';
    const bool absent = entries[i].value.count == 0 && value.message == nullptr;
    if (absent) {
      out += value.zero;
    } else if (!Element(value, entries[i].value, depth)) {
      return Under(absl::StrCat("[", out.substr(key_start, std::min<std::size_t>(key_end - key_start, 80)), "]"));
    }
  }
  if (out.size() == start) {
    out += "{}";
  } else {
    out[start] = '{';
    out += '}';
  }
  return true;
}

bool Job::Map(const FieldPlan& field, const Slot& slot, int depth) {
  const Plan* entry_plan = field.message;
  Entries entries;
  std::vector<std::unique_ptr<std::string>> merged;
  const bool good = ForEach(field, slot, [&](const Slot& element) {
    if (!Scan(entry_plan, element.bytes(), depth + 1)) return false;
    Entry entry{slots[slots.size() - 2], slots[slots.size() - 1], entries.size()};
    Pop(entry_plan);
    const FieldPlan& value = entry_plan->fields[1];
    if (value.message != nullptr && entry.value.count > 1) {
      auto& whole = *merged.emplace_back(std::make_unique<std::string>());
      ForEach(value, entry.value, [&](const Slot& part) { return absl::StrAppend(&whole, part.bytes()), true; });
      entry.value.data = whole.data();
      entry.value.size = whole.size();
    }
    entries.push_back(entry);
    return true;
  });
  return good && MapOf(entry_plan, entries, depth);
}

// A field that is there. The slot comes by value: the stack of slots may move below.
bool Job::Field(const FieldPlan& field, Slot slot, int depth) {
  if (field.map) return Map(field, slot, depth);
  if (field.repeated) return List(field, slot, depth);
  if (field.message != nullptr && slot.count > 1) {  // a message sent in parts is their concatenation
    std::string whole;
    ForEach(field, slot, [&](const Slot& part) { return absl::StrAppend(&whole, part.bytes()), true; });
    slot.data = whole.data();
    slot.size = whole.size();
    return Element(field, slot, depth);
  }
  return Element(field, slot, depth);
}

// `,"a":1,"b":2`: the caller turns the first comma into its brace.
bool Job::Members(const Plan* plan, absl::string_view wire, int depth) {
  if (!Scan(plan, wire, depth)) return false;
  const std::size_t base = slots.size() - plan->fields.size();
  for (std::size_t i = 0; i < plan->fields.size(); ++i) {
    const FieldPlan& field = plan->fields[i];
    if (slots[base + i].count == 0) {
      out += field.absent;
      continue;
    }
    out += field.member;
    if (!Field(field, slots[base + i], depth)) return Under(field.field->name());
  }
  Pop(plan);
  return true;
}

bool Job::Message(const Plan* plan, absl::string_view wire, int depth, absl::string_view extra) {
  const std::size_t start = out.size();
  if (plan->known == Descriptor::WELLKNOWNTYPE_UNSPECIFIED) {
    if (!Members(plan, wire, depth)) return false;
    if (out.size() == start) {
      out += "{}";
    } else {
      out[start] = '{';
      out += '}';
    }
  } else if (!KnownType(plan, wire, depth)) {
    return false;
  }
  if (!extra.empty()) {
    out.pop_back();
    if (out.size() > start + 1) out += ',';
    absl::StrAppend(&out, extra, "}");
  }
  return true;
}

bool Job::Time(const Plan* plan, absl::string_view wire, int depth, int64_t& seconds, int32_t& nanos) {
  if (!Scan(plan, wire, depth)) return false;
  seconds = static_cast<int64_t>(slots[slots.size() - 2].value);
  nanos = static_cast<int32_t>(slots[slots.size() - 1].value);
  Pop(plan);
  return true;
}

bool Job::KnownType(const Plan* plan, absl::string_view wire, int depth) {
  int64_t seconds = 0;
  int32_t nanos = 0;
  switch (plan->known) {
    case Descriptor::WELLKNOWNTYPE_TIMESTAMP:
      if (!Time(plan, wire, depth, seconds, nanos)) return false;
      return text::AppendTimestamp(seconds, nanos, out) || Fail("the time is not between the years 1 and 9999");
    case Descriptor::WELLKNOWNTYPE_DURATION:
      if (!Time(plan, wire, depth, seconds, nanos)) return false;
      return text::AppendDuration(seconds, nanos, out) || Fail("the duration is out of range");
    case Descriptor::WELLKNOWNTYPE_ANY:
      return Any(plan, wire, depth);
    default:
      break;
  }
  if (!Scan(plan, wire, depth)) return false;
  const std::size_t base = slots.size() - plan->fields.size();
  bool good = true;
  switch (plan->known) {
    case Descriptor::WELLKNOWNTYPE_FIELDMASK: {
      std::string paths;
      good = ForEach(plan->fields[0], slots[base], [&](const Slot& path) {
        if (!paths.empty()) paths += ',';
        absl::StrAppend(&paths, path.bytes());
        return true;
      });
      good = good && (AppendChecked(paths, out) || Fail("the text is not UTF-8"));
      break;
    }
    case Descriptor::WELLKNOWNTYPE_VALUE: {
      std::size_t i = 0;
      while (i < plan->fields.size() && slots[base + i].count == 0) ++i;
      if (i == plan->fields.size()) {
        out += "null";
      } else {
        good = Field(plan->fields[i], slots[base + i], depth);
      }
      break;
    }
    case Descriptor::WELLKNOWNTYPE_STRUCT:
      good = Map(plan->fields[0], slots[base], depth);
      break;
    case Descriptor::WELLKNOWNTYPE_LISTVALUE:
      good = List(plan->fields[0], slots[base], depth);
      break;
    default:  // a wrapper
      if (slots[base].count == 0) {
        out += plan->fields[0].zero;
      } else {
        good = Scalar(plan->fields[0], slots[base]);
      }
  }
  if (good) Pop(plan);
  return good;
}

bool Job::Any(const Plan* plan, absl::string_view wire, int depth) {
  if (!Scan(plan, wire, depth)) return false;
  const Slot url = slots[slots.size() - 2], value = slots[slots.size() - 1];
  Pop(plan);
  if (url.size == 0) {
    if (value.size != 0) return Fail("an Any without a type");
    out += "{}";
    return true;
  }
  const std::string name(url.bytes().substr(url.bytes().rfind('/') + 1));
  const Descriptor* type = pool->FindMessageTypeByName(name);
  if (type == nullptr) return Fail("an Any of a type that is not known here");
  const Plan* inner = writer->PlanOf(type);
  out += "{\"@type\":";
  if (!AppendChecked(url.bytes(), out)) return Fail("the text is not UTF-8");
  if (inner->known == Descriptor::WELLKNOWNTYPE_UNSPECIFIED) {
    if (!Members(inner, value.bytes(), depth + 1)) return false;
  } else {
    out += ",\"value\":";
    if (!Message(inner, value.bytes(), depth + 1)) return false;
  }
  out += '}';
  return true;
}

// Turns the outcome into a status, and the text back to what it was after an error.
absl::Status Finish(const Job& job, bool good, std::size_t start, const Plan* plan) {
  if (good) return absl::OkStatus();
  job.out.resize(start);
  return absl::DataLossError(absl::StrCat(
      plan->type->full_name(), " cannot be written as JSON: ", job.path.empty() ? "" : job.path + ": ", job.error));
}

template <typename Use>
auto WithWriterFor(const google::protobuf::Message& message, Use use) {
  const auto* pool = message.GetDescriptor()->file()->pool();
  if (pool == google::protobuf::DescriptorPool::generated_pool()) return use(Writer::Generated());
  Writer writer(pool);
  return use(writer);
}

}  // namespace writing

absl::Status Writer::Append(const Plan* plan, absl::string_view wire, std::string& out, absl::string_view extra) const {
  if (!extra.empty() && !plan->object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(plan->type->full_name(), " is no JSON object and takes no further members"));
  }
  const std::size_t start = out.size();
  writing::Job job(this, impl_->pool, out);
  return writing::Finish(job, job.Message(plan, wire, 0, extra), start, plan);
}

absl::StatusOr<std::string> Writer::Write(const google::protobuf::Descriptor* type, absl::string_view wire,
                                          absl::string_view extra) const {
  std::string out;
  out.reserve(2 * wire.size() + 256);  // names and defaults, without a second allocation for most messages
  absl::Status status = Append(PlanOf(type), wire, out, extra);
  if (!status.ok()) return status;
  return out;
}

absl::StatusOr<std::string> Write(const google::protobuf::Message& message, absl::string_view extra) {
  return writing::WithWriterFor(message, [&](const Writer& writer) {
    return writer.Write(message.GetDescriptor(), message.SerializePartialAsString(), extra);
  });
}

absl::Status AppendField(const google::protobuf::Message& message, const google::protobuf::FieldDescriptor* field,
                         std::string& out) {
  using namespace writing;
  return WithWriterFor(message, [&](const Writer& writer) {
    const Plan* plan = writer.PlanOf(message.GetDescriptor());
    const FieldPlan& field_plan = plan->fields[plan->IndexOf(field->number())];
    const auto* reflection = message.GetReflection();
    const std::size_t start = out.size();
    Job job(&writer, field->file()->pool(), out);
    std::string bytes;
    bool good = true;
    if (field->is_map()) {
      Job::Entries entries;
      std::vector<std::unique_ptr<std::string>> kept;
      const auto* entry_type = field->message_type();
      for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
        const auto& entry = reflection->GetRepeatedMessage(message, field, i);
        auto& key = *kept.emplace_back(std::make_unique<std::string>());
        auto& value = *kept.emplace_back(std::make_unique<std::string>());
        entries.push_back({SlotOf(entry, entry_type->map_key(), 0, key),
                           SlotOf(entry, entry_type->map_value(), 0, value), entries.size()});
      }
      good = job.MapOf(field_plan.message, entries, 0);
    } else if (field->is_repeated()) {
      const int size = reflection->FieldSize(message, field);
      out += '[';
      for (int i = 0; i < size && good; ++i) {
        if (i > 0) out += ',';
        good = job.Element(field_plan, SlotOf(message, field, i, bytes), 0);
        if (!good) job.Under(absl::StrCat("[", i, "]"));
      }
      out += ']';
    } else if (field->has_presence() && !reflection->HasField(message, field)) {
      out += "null";
    } else {
      good = job.Element(field_plan, SlotOf(message, field, 0, bytes), 0);
    }
    if (!good) job.Under(field->name());
    return Finish(job, good, start, plan);
  });
}

void AppendString(absl::string_view text, std::string& out) {
  const std::size_t start = out.size();
  if (writing::AppendChecked(text, out)) return;
  out.resize(start);
  writing::AppendChecked(WellFormed(text), out);
}

}  // namespace crm::json
