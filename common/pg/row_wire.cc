#include "common/pg/row_wire.h"

#include <absl/strings/numbers.h>
#include <google/protobuf/wire_format_lite.h>

#include <charconv>
#include <cstring>
#include <mutex>
#include <type_traits>

namespace crm::pg::record {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;

namespace {

// Writes a varint; answers the place after it. At most 10 bytes.
char* PutVarint(uint64_t value, char* at) {
  while (value >= 128) {
    *at++ = static_cast<char>(value | 128);
    value >>= 7;
  }
  *at++ = static_cast<char>(value);
  return at;
}

char* PutTag(int number, int type, char* at) {
  return PutVarint(static_cast<uint64_t>(number) << 3 | static_cast<uint64_t>(type), at);
}

}  // namespace

void WireVarint(uint64_t value, std::string& out) {
  char bytes[10];
  out.append(bytes, static_cast<size_t>(PutVarint(value, bytes) - bytes));
}

void WireTag(int number, int type, std::string& out) {
  WireVarint(static_cast<uint64_t>(number) << 3 | static_cast<uint64_t>(type), out);
}

void WireText(int number, absl::string_view text, std::string& out) {
  char head[20];
  const char* end = PutVarint(text.size(), PutTag(number, WireFormatLite::WIRETYPE_LENGTH_DELIMITED, head));
  out.append(head, static_cast<size_t>(end - head));
  out.append(text.data(), text.size());
}

void WireInt(int number, uint64_t value, std::string& out) {
  char bytes[20];
  const char* end = PutVarint(value, PutTag(number, WireFormatLite::WIRETYPE_VARINT, bytes));
  out.append(bytes, static_cast<size_t>(end - bytes));
}

namespace {

// Fixed-width values are little-endian on the wire, as on every machine that we run on.
template <typename T>
void WireFixed(int number, int type, T value, std::string& out) {
  WireTag(number, type, out);
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

// Writes a length-delimited field whose length is known only afterwards.
template <typename F>
bool WireNested(int number, std::string& out, F content) {
  WireTag(number, WireFormatLite::WIRETYPE_LENGTH_DELIMITED, out);
  const size_t at = out.size();
  out.push_back(0);
  if (!content()) return false;
  const size_t length = out.size() - at - 1;
  if (length < 128) {
    out[at] = static_cast<char>(length);
    return true;
  }
  std::string varint;
  WireVarint(length, varint);
  out.replace(at, 1, varint);
  return true;
}

}  // namespace

void WireDouble(int number, double value, std::string& out) {
  WireFixed(number, WireFormatLite::WIRETYPE_FIXED64, value, out);
}

void WireFloat(int number, float value, std::string& out) {
  WireFixed(number, WireFormatLite::WIRETYPE_FIXED32, value, out);
}

void WireTime(int number, absl::Time time, std::string& out) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  const int64_t nanos = absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds));
  WireNested(number, out, [&] {
    if (seconds != 0) WireInt(1, static_cast<uint64_t>(seconds), out);
    if (nanos != 0) WireInt(2, static_cast<uint64_t>(nanos), out);
    return true;
  });
}

void WireId(int number, absl::string_view prefix, const Uuid& id, std::string& out) {
  WireText(number, TypeId(prefix, id), out);
}

struct JsonWire::Field {
  std::string name;
  int number = 0;
  FieldDescriptor::Type type = FieldDescriptor::TYPE_STRING;
  bool repeated = false;
  bool map = false;
  const Plan* message = nullptr;  // of a message, or a map's entry
  absl::flat_hash_map<std::string, int> enum_numbers;
};

struct JsonWire::Plan {
  bool known = true;
  std::vector<Field> fields;
};

namespace {

using Field = JsonWire::Field;
using Plan = JsonWire::Plan;

// Plans by message type, made once; the lock is held only while a table is compiled.
class Plans {
 public:
  // Null if the type, or one below it, is not known.
  std::unique_ptr<Field> FieldOf(const FieldDescriptor* descriptor) {
    auto field = std::make_unique<Field>();
    field->name = descriptor->name();
    field->number = descriptor->number();
    field->type = descriptor->type();
    field->repeated = descriptor->is_repeated();
    field->map = descriptor->is_map();
    switch (field->type) {
      case FieldDescriptor::TYPE_STRING:
      case FieldDescriptor::TYPE_BOOL:
      case FieldDescriptor::TYPE_INT32:
      case FieldDescriptor::TYPE_UINT32:
      case FieldDescriptor::TYPE_INT64:
      case FieldDescriptor::TYPE_UINT64:
      case FieldDescriptor::TYPE_DOUBLE:
        return field;
      case FieldDescriptor::TYPE_ENUM:
        for (int i = 0; i < descriptor->enum_type()->value_count(); ++i) {
          const auto* value = descriptor->enum_type()->value(i);
          field->enum_numbers.emplace(value->name(), value->number());
        }
        return field;
      case FieldDescriptor::TYPE_MESSAGE: {
        if (field->map && descriptor->message_type()->map_key()->type() != FieldDescriptor::TYPE_STRING) return nullptr;
        const Plan* plan = PlanOf(descriptor->message_type());
        if (!plan->known) return nullptr;
        field->message = plan;
        return field;
      }
      default:
        return nullptr;
    }
  }

  std::mutex mutex;
  absl::flat_hash_map<const FieldDescriptor*, std::unique_ptr<const JsonWire>> roots;

 private:
  const Plan* PlanOf(const Descriptor* type) {
    auto& plan = plans_[type];
    if (plan != nullptr) return plan.get();  // perhaps still being made: a message that contains itself
    plan = std::make_unique<Plan>();
    Plan* made = plan.get();
    // Google's own types have JSON of their own.
    if (type->file()->package() == "google.protobuf") made->known = false;
    for (int i = 0; i < type->field_count() && made->known; ++i) {
      auto field = FieldOf(type->field(i));
      if (field == nullptr) {
        made->known = false;
      } else {
        made->fields.push_back(std::move(*field));
      }
    }
    return made;
  }

  absl::flat_hash_map<const Descriptor*, std::unique_ptr<Plan>> plans_;
};

// PostgreSQL's own output of jsonb: well-formed, UTF-8, no member twice.
class Reader {
 public:
  Reader(absl::string_view json, std::string& out) : at_(json.data()), end_(json.data() + json.size()), out_(out) {}

  bool All(const Field& field) {
    if (!Values(field, 0)) return false;
    Space();
    return at_ == end_;
  }

 private:
  static constexpr int kDepthMax = 32;

  void Space() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }
  bool Take(char c) {
    Space();
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }
  bool Word(absl::string_view word) {
    if (static_cast<size_t>(end_ - at_) < word.size() || std::memcmp(at_, word.data(), word.size()) != 0) return false;
    at_ += word.size();
    return true;
  }
  bool Null() {
    Space();
    return Word("null");
  }

  // A string's text: in place where it has no escapes.
  bool Text(absl::string_view& text) {
    if (!Take('"')) return false;
    const char* begin = at_;
    while (at_ < end_ && *at_ != '"' && *at_ != '\\') ++at_;
    if (at_ == end_) return false;
    if (*at_ == '"') {
      text = absl::string_view(begin, static_cast<size_t>(at_ - begin));
      ++at_;
      return true;
    }
    scratch_.assign(begin, static_cast<size_t>(at_ - begin));
    while (at_ < end_ && *at_ != '"') {
      if (*at_ != '\\') {
        scratch_.push_back(*at_++);
        continue;
      }
      if (++at_ == end_) return false;
      switch (*at_++) {
        case '"':
          scratch_.push_back('"');
          break;
        case '\\':
          scratch_.push_back('\\');
          break;
        case '/':
          scratch_.push_back('/');
          break;
        case 'b':
          scratch_.push_back('\b');
          break;
        case 'f':
          scratch_.push_back('\f');
          break;
        case 'n':
          scratch_.push_back('\n');
          break;
        case 'r':
          scratch_.push_back('\r');
          break;
        case 't':
          scratch_.push_back('\t');
          break;
        case 'u': {
          // jsonb escapes control characters only.
          unsigned code = 0;
          if (end_ - at_ < 4) return false;
          auto parsed = std::from_chars(at_, at_ + 4, code, 16);
          if (parsed.ptr != at_ + 4 || code >= 128) return false;
          at_ += 4;
          scratch_.push_back(static_cast<char>(code));
          break;
        }
        default:
          return false;
      }
    }
    if (at_ == end_) return false;
    ++at_;
    text = scratch_;
    return true;
  }

  template <typename T>
  bool Number(T& value) {
    Space();
    const bool quoted =
        std::is_integral_v<T> && sizeof(T) == 8 && at_ < end_ && *at_ == '"';  // only 64-bit numbers are text
    if (quoted) ++at_;
    const auto parsed = std::from_chars(at_, end_, value);
    if (parsed.ec != std::errc() || parsed.ptr == at_) return false;
    at_ = parsed.ptr;
    if (quoted) return at_ < end_ && *at_++ == '"';  // at once: no space is part of a number
    // "1.5" for a whole number stops at the point.
    return at_ == end_ || *at_ == ',' || *at_ == ']' || *at_ == '}' || *at_ == ' ';
  }

  bool Values(const Field& field, int depth) {
    if (depth > kDepthMax) return false;
    if (Null()) return true;
    if (field.map) return Map(field, depth);
    if (!field.repeated) return One(field, depth);
    if (!Take('[')) return false;
    if (Take(']')) return true;
    do {
      if (!One(field, depth)) return false;
    } while (Take(','));
    return Take(']');
  }

  bool Map(const Field& field, int depth) {
    if (!Take('{')) return false;
    if (Take('}')) return true;
    do {
      absl::string_view key;
      if (!Text(key)) return false;
      const bool done = WireNested(field.number, out_, [&] {
        WireText(1, key, out_);
        return Take(':') && One(field.message->fields[1], depth + 1);  // null is no value of a map
      });
      if (!done) return false;
    } while (Take(','));
    return Take('}');
  }

  bool One(const Field& field, int depth) {
    switch (field.type) {
      case FieldDescriptor::TYPE_STRING: {
        absl::string_view text;
        if (!Text(text)) return false;
        WireText(field.number, text, out_);
        return true;
      }
      case FieldDescriptor::TYPE_BOOL: {
        Space();
        const bool value = Word("true");
        if (!value && !Word("false")) return false;
        WireInt(field.number, value ? 1 : 0, out_);
        return true;
      }
      case FieldDescriptor::TYPE_ENUM: {
        absl::string_view name;
        if (!Text(name)) return false;
        auto it = field.enum_numbers.find(name);
        if (it == field.enum_numbers.end()) return false;
        WireInt(field.number, static_cast<uint64_t>(static_cast<int64_t>(it->second)), out_);
        return true;
      }
      case FieldDescriptor::TYPE_INT32: {
        int32_t value = 0;
        if (!Number(value)) return false;
        WireInt(field.number, static_cast<uint64_t>(static_cast<int64_t>(value)), out_);
        return true;
      }
      case FieldDescriptor::TYPE_INT64: {
        int64_t value = 0;
        if (!Number(value)) return false;
        WireInt(field.number, static_cast<uint64_t>(value), out_);
        return true;
      }
      case FieldDescriptor::TYPE_UINT32: {
        uint32_t value = 0;
        if (!Number(value)) return false;
        WireInt(field.number, value, out_);
        return true;
      }
      case FieldDescriptor::TYPE_UINT64: {
        uint64_t value = 0;
        if (!Number(value)) return false;
        WireInt(field.number, value, out_);
        return true;
      }
      case FieldDescriptor::TYPE_DOUBLE: {
        double value = 0;
        if (!Number(value)) return false;
        WireDouble(field.number, value, out_);
        return true;
      }
      default:
        return WireNested(field.number, out_, [&] { return Object(*field.message, depth + 1); });
    }
  }

  bool Object(const Plan& plan, int depth) {
    if (!Take('{')) return false;
    if (Take('}')) return true;
    do {
      absl::string_view name;
      if (!Text(name)) return false;
      const Field* field = nullptr;
      for (const auto& candidate : plan.fields) {
        if (candidate.name == name) {
          field = &candidate;
          break;
        }
      }
      if (field == nullptr || !Take(':') || !Values(*field, depth)) return false;
    } while (Take(','));
    return Take('}');
  }

  const char* at_;
  const char* end_;
  std::string& out_;
  std::string scratch_;
};

}  // namespace

const JsonWire* JsonWire::Of(const FieldDescriptor* field) {
  static Plans& plans = *new Plans();
  std::lock_guard lock(plans.mutex);
  auto it = plans.roots.find(field);
  if (it == plans.roots.end()) {
    auto made = plans.FieldOf(field);
    it = plans.roots.emplace(field, made == nullptr ? nullptr : std::make_unique<JsonWire>(std::move(made))).first;
  }
  return it->second.get();
}

JsonWire::JsonWire(std::unique_ptr<Field> field) : field_(std::move(field)) {}
JsonWire::~JsonWire() = default;

bool JsonWire::Append(absl::string_view json, std::string& out) const {
  const size_t before = out.size();
  if (Reader(json, out).All(*field_)) return true;
  out.resize(before);
  return false;
}

}  // namespace crm::pg::record
