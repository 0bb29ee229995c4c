// Random messages of any type, and protobuf's own JSON to compare with. The seed is printed: set CRM_SEED to run one
// again.
#pragma once

#include <absl/strings/str_cat.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver_util.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "tests/unit/common/json/types.h"

namespace crm::json::test {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Equal messages have equal bytes: maps in order.
inline std::string Canonical(const Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializePartialToCodedStream(&coded);
  }
  return bytes;
}

class Random {
 public:
  Random() {
    const char* given = std::getenv("CRM_SEED");
    seed_ = given != nullptr ? std::strtoul(given, nullptr, 10) : std::random_device{}();
    engine_.seed(seed_);
  }
  std::string Trace() const { return absl::StrCat("CRM_SEED=", seed_); }
  uint64_t Below(uint64_t limit) { return engine_() % limit; }
  bool Chance(int percent) { return Below(100) < static_cast<uint64_t>(percent); }
  uint64_t Bits() { return Chance(50) ? engine_() : engine_() >> Below(64); }

  std::string Text() {
    static const char* const kPieces[] = {"a",    "Z",    "9",    " ", "\"", "\\", "/", "\n", "\t",
                                          "\x01", "\x1f", "\x7f", "é", "ש",  "€",  "😀", "<"};
    std::string text;
    for (uint64_t i = Below(12); i > 0; --i) text += kPieces[Below(std::size(kPieces))];
    return text;
  }
  std::string Bytes() {
    std::string bytes;
    for (uint64_t i = Below(9); i > 0; --i) bytes += static_cast<char>(Below(256));
    return bytes;
  }
  double Number() {
    for (;;) {
      const uint64_t bits = engine_();
      double number = 0;
      std::memcpy(&number, &bits, sizeof number);
      if (Chance(50)) return static_cast<double>(static_cast<int64_t>(Bits())) / 1024;
      if (std::isfinite(number)) return number;
    }
  }
  // protobuf prints floats with more digits than it needs; these are exact in both.
  float ShortNumber() { return static_cast<float>(static_cast<int>(Below(20000)) - 10000) / 8; }

  // Now and then one that this build has no name for. (NullValue has no other.)
  int EnumNumber(const google::protobuf::EnumDescriptor* type) {
    if (type->value_count() > 1 && Chance(5)) {
      unnamed_ = true;
      return 1000 + static_cast<int>(Below(1000));
    }
    return type->value(static_cast<int>(Below(static_cast<uint64_t>(type->value_count()))))->number();
  }

  // Whether that has happened since it was last asked.
  bool TakeUnnamed() { return std::exchange(unnamed_, false); }

  void Fill(Message& message, int depth);
  void FillField(Message& message, const FieldDescriptor* field, int depth);

 private:
  void FillKnown(Message& message, int depth);
  bool unnamed_ = false;
  unsigned long seed_;
  std::mt19937_64 engine_;
};

inline void Random::FillField(Message& message, const FieldDescriptor* field, int depth) {
  const auto* reflection = message.GetReflection();
  const bool repeated = field->is_repeated();
  switch (field->cpp_type()) {
#define CRM_FILL(CPPTYPE, Name, value)                                                                        \
  case FieldDescriptor::CPPTYPE:                                                                              \
    repeated ? reflection->Add##Name(&message, field, value) : reflection->Set##Name(&message, field, value); \
    break;
    CRM_FILL(CPPTYPE_INT32, Int32, static_cast<int32_t>(Bits()))
    CRM_FILL(CPPTYPE_INT64, Int64, static_cast<int64_t>(Bits()))
    CRM_FILL(CPPTYPE_UINT32, UInt32, static_cast<uint32_t>(Bits()))
    CRM_FILL(CPPTYPE_UINT64, UInt64, Bits())
    CRM_FILL(CPPTYPE_DOUBLE, Double, Number())
    CRM_FILL(CPPTYPE_FLOAT, Float, ShortNumber())
    CRM_FILL(CPPTYPE_BOOL, Bool, Chance(50))
    CRM_FILL(CPPTYPE_STRING, String, field->type() == FieldDescriptor::TYPE_BYTES ? Bytes() : Text())
    CRM_FILL(CPPTYPE_ENUM, EnumValue, EnumNumber(field->enum_type()))
#undef CRM_FILL
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (field->is_map()) {  // an entry always has both, or protobuf's parser and printer differ on it
        Message* entry = reflection->AddMessage(&message, field);
        FillField(*entry, field->message_type()->map_key(), depth);
        for (int i = 0; i + 1 < reflection->FieldSize(message, field); ++i) {  // each key once
          std::unique_ptr<Message> other(entry->New());
          other->CopyFrom(reflection->GetRepeatedMessage(message, field, i));
          other->GetReflection()->ClearField(other.get(), field->message_type()->map_value());
          if (Canonical(*other) == Canonical(*entry)) return reflection->RemoveLast(&message, field);
        }
        FillField(*entry, field->message_type()->map_value(), depth);
      } else {
        Fill(*(repeated ? reflection->AddMessage(&message, field) : reflection->MutableMessage(&message, field)),
             depth);
      }
  }
}

inline void Random::FillKnown(Message& message, int depth) {
  const auto* type = message.GetDescriptor();
  const auto* reflection = message.GetReflection();
  using google::protobuf::Descriptor;
  switch (type->well_known_type()) {
    case Descriptor::WELLKNOWNTYPE_TIMESTAMP:
      reflection->SetInt64(&message, type->FindFieldByNumber(1),
                           -62135596800 + static_cast<int64_t>(Below(62135596800 + 253402300800)));
      reflection->SetInt32(&message, type->FindFieldByNumber(2),
                           Chance(50) ? 0 : static_cast<int32_t>(Below(1000) * (Chance(50) ? 1 : 1000000)));
      break;
    case Descriptor::WELLKNOWNTYPE_DURATION: {
      const int sign = Chance(50) ? 1 : -1;
      reflection->SetInt64(&message, type->FindFieldByNumber(1), sign * static_cast<int64_t>(Below(315576000000)));
      reflection->SetInt32(&message, type->FindFieldByNumber(2), sign * static_cast<int32_t>(Below(1000) * 1000));
      break;
    }
    case Descriptor::WELLKNOWNTYPE_VALUE: {
      const int kind = static_cast<int>(Below(depth > 3 ? 4 : 6)) + 1;
      FillField(message, type->FindFieldByNumber(kind), depth + 1);
      break;
    }
    case Descriptor::WELLKNOWNTYPE_FIELDMASK:
      for (uint64_t i = Below(3); i > 0; --i) {  // one word each: the same in snake_case and camelCase
        reflection->AddString(&message, type->FindFieldByNumber(1), absl::StrCat("field", Below(100)));
      }
      break;
    case Descriptor::WELLKNOWNTYPE_ANY: {
      // Of a type that the message's own pool has.
      const bool ours = type->file()->pool() == SharedTypes().pool();
      auto phone = SharedTypes().New(ours && Chance(50) ? "Phone" : "google.protobuf.Duration");
      Fill(*phone, depth + 1);
      // protobuf prints the members of an Any only if it has bytes at all.
      while (phone->ByteSizeLong() == 0) FillField(*phone, phone->GetDescriptor()->field(0), depth);
      reflection->SetString(&message, type->FindFieldByNumber(1),
                            absl::StrCat("type.googleapis.com/", phone->GetDescriptor()->full_name()));
      reflection->SetString(&message, type->FindFieldByNumber(2), phone->SerializeAsString());
      break;
    }
    case Descriptor::WELLKNOWNTYPE_STRUCT:
    case Descriptor::WELLKNOWNTYPE_LISTVALUE:
      for (uint64_t i = Below(4); i > 0; --i) FillField(message, type->field(0), depth + 1);
      break;
    default:  // wrappers
      FillField(message, type->field(0), depth);
  }
}

inline void Random::Fill(Message& message, int depth) {
  const auto* type = message.GetDescriptor();
  if (type->well_known_type() != google::protobuf::Descriptor::WELLKNOWNTYPE_UNSPECIFIED)
    return FillKnown(message, depth);
  if (depth > 4) return;
  const int percent = static_cast<int>(Below(60));
  for (int i = 0; i < type->field_count(); ++i) {
    for (uint64_t n = type->field(i)->is_repeated() ? Below(4) : 1; n > 0; --n) {
      if (Chance(percent)) FillField(message, type->field(i), depth + 1);
    }
  }
}

// protobuf's own JSON over the types of a pool.
struct Peer {
  explicit Peer(const google::protobuf::DescriptorPool* pool = SharedTypes().pool())
      : resolver(google::protobuf::util::NewTypeResolverForDescriptorPool("type.googleapis.com", pool)) {}
  std::unique_ptr<google::protobuf::util::TypeResolver> resolver;

  std::string Print(const Message& message) {
    google::protobuf::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;
    options.always_print_primitive_fields = true;
    std::string json;
    const auto status = google::protobuf::util::BinaryToJsonString(
        resolver.get(), "type.googleapis.com/" + message.GetDescriptor()->full_name(), Canonical(message), &json,
        options);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return json;
  }
  // The wire format of JSON; empty if it is refused.
  std::string Bytes(const std::string& json, const google::protobuf::Descriptor* type) {
    std::string bytes;
    const auto status = google::protobuf::util::JsonToBinaryString(
        resolver.get(), "type.googleapis.com/" + type->full_name(), json, &bytes);
    EXPECT_TRUE(status.ok()) << status.ToString() << json;
    return bytes;
  }
  std::unique_ptr<Message> Parse(const std::string& json, const std::string& type) {
    auto message = SharedTypes().New(type);
    EXPECT_TRUE(message->ParseFromString(Bytes(json, message->GetDescriptor())));
    return message;
  }
};

}  // namespace crm::json::test
