// Against protobuf's own JSON and parser, on random messages, where the dialects agree. The seed is printed: set
// CRM_SEED to run one again.
#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>
#include <google/protobuf/util/type_resolver_util.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>

#include "common/json/json.h"
#include "tests/unit/common/json/types.h"

namespace crm::json::test {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::util::MessageDifferencer;

// Equal messages have equal bytes: maps in order.
std::string Canonical(const Message& message) {
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

  void Fill(Message& message, int depth);
  void FillField(Message& message, const FieldDescriptor* field, int depth);

 private:
  void FillKnown(Message& message, int depth);
  unsigned long seed_;
  std::mt19937_64 engine_;
};

void Random::FillField(Message& message, const FieldDescriptor* field, int depth) {
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
    CRM_FILL(CPPTYPE_ENUM, EnumValue, field->enum_type()->value(Below(field->enum_type()->value_count()))->number())
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

void Random::FillKnown(Message& message, int depth) {
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
      auto phone = SharedTypes().New(Chance(50) ? "Phone" : "google.protobuf.Duration");
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

void Random::Fill(Message& message, int depth) {
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

struct Peer {
  std::unique_ptr<google::protobuf::util::TypeResolver> resolver{
      google::protobuf::util::NewTypeResolverForDescriptorPool("type.googleapis.com", SharedTypes().pool())};

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
  std::unique_ptr<Message> Parse(const std::string& json, const std::string& type) {
    std::string bytes;
    const auto status =
        google::protobuf::util::JsonToBinaryString(resolver.get(), "type.googleapis.com/test." + type, json, &bytes);
    EXPECT_TRUE(status.ok()) << status.ToString() << json;
    auto message = SharedTypes().New(type);
    EXPECT_TRUE(message->ParseFromString(bytes));
    return message;
  }
};

TEST(Differential, WritesAndReadsWhatProtobufDoes) {
  Random random;
  SCOPED_TRACE(random.Trace());
  Peer peer;
  const Writer writer(SharedTypes().pool());
  for (int i = 0; i < 2000; ++i) {
    auto message = SharedTypes().New("Everything");
    random.Fill(*message, 0);
    const auto json = writer.Write(message->GetDescriptor(), message->SerializeAsString());
    ASSERT_TRUE(json.ok()) << json.status();
    const std::string theirs = peer.Print(*message);
    ASSERT_EQ(nlohmann::json::parse(*json), nlohmann::json::parse(theirs)) << *json << "\n" << theirs;

    auto read = SharedTypes().New("Everything");
    absl::Status status = Read(*json, *read);
    ASSERT_TRUE(status.ok()) << status << *json;
    ASSERT_EQ(Canonical(*read), Canonical(*message)) << *json;
    read = SharedTypes().New("Everything");
    status = Read(theirs, *read);
    ASSERT_TRUE(status.ok()) << status << theirs;
    ASSERT_EQ(Canonical(*read), Canonical(*message)) << theirs;
    // Through JSON again: inside an Any protobuf keeps zeros that it read.
    const auto parsed = peer.Parse(*json, "Everything");
    ASSERT_EQ(*writer.Write(parsed->GetDescriptor(), Canonical(*parsed)), *json);

    auto stored = SharedTypes().New("Everything");
    for (int f = 0; f < message->GetDescriptor()->field_count(); ++f) {
      const auto* field = message->GetDescriptor()->field(f);
      if (field->real_containing_oneof() != nullptr && !message->GetReflection()->HasField(*message, field)) continue;
      // The one value that absence and presence share in JSON.
      if (field->name() == "value" && !message->GetReflection()->HasField(*message, field)) continue;
      if (i % 20 != 0) break;  // a dynamic type's plan is compiled per call
      std::string text;
      ASSERT_TRUE(AppendField(*message, field, text).ok());
      status = ReadField(text, field, *stored);
      ASSERT_TRUE(status.ok()) << status << text;
    }
    if (i % 20 == 0) ASSERT_EQ(Canonical(*stored), Canonical(*message)) << *json;
  }
}

// Bytes in other orders, in parts, cut and broken: what the parser accepts must print like the message that it makes of
// it; what it refuses is an error too, but for bad UTF-8 in a value that a later one replaces, which is never looked
// at.
TEST(Differential, UnderstandsBytesAsTheParserDoes) {
  Random random;
  SCOPED_TRACE(random.Trace());
  const Writer writer(SharedTypes().pool());
  google::protobuf::LogSilencer quiet;  // the parser logs bad UTF-8
  int accepted = 0, refused = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::string type = i % 2 == 0 ? "Everything" : "Small";
    std::string wire;
    for (uint64_t parts = 1 + random.Below(3); parts > 0; --parts) {
      auto message = SharedTypes().New(type);
      random.Fill(*message, type == "Small" ? 1 : 2);
      wire += message->SerializeAsString();
    }
    if (wire.empty()) continue;
    const uint64_t kind = random.Below(4);
    if (kind == 1) wire.resize(random.Below(wire.size()));  // in whole fields, or refused
    if (kind == 2) wire[random.Below(wire.size())] = static_cast<char>(random.Below(256));
    if (kind == 3) wire.insert(random.Below(wire.size()), 1, static_cast<char>(random.Below(256)));
    const auto json = writer.Write(SharedTypes().Type(type), wire);
    auto parsed = SharedTypes().New(type);
    if (!parsed->ParseFromString(wire)) {
      ++refused;
      if (json.ok()) {
        ASSERT_NE(kind, 1u) << absl::CHexEscape(wire);
        ASSERT_TRUE(nlohmann::json::accept(*json)) << *json;
      }
      continue;
    }
    const auto again = writer.Write(SharedTypes().Type(type), Canonical(*parsed));
    ASSERT_EQ(json.ok(), again.ok()) << json.status() << again.status() << absl::CHexEscape(wire);
    if (!json.ok()) continue;
    ++accepted;
    ASSERT_EQ(*json, *again) << absl::CHexEscape(wire);
    ASSERT_TRUE(nlohmann::json::accept(*json)) << *json;
  }
  EXPECT_GT(accepted, 1000);
  EXPECT_GT(refused, 100);
}

// Broken JSON never crashes and never passes as something else than JSON.
TEST(Differential, RefusesWhatNoJsonParserTakes) {
  Random random;
  SCOPED_TRACE(random.Trace());
  const Writer writer(SharedTypes().pool());
  for (int i = 0; i < 20000; ++i) {
    auto message = SharedTypes().New("Small");
    random.Fill(*message, 1);
    std::string json = *writer.Write(message->GetDescriptor(), message->SerializeAsString());
    for (uint64_t n = 1 + random.Below(3); n > 0; --n) {
      static constexpr char kLetters[] = "{}[]\",:\\u0e-n\xff\x00 tf1.";
      const std::size_t at = random.Below(json.size());
      const char letter = kLetters[random.Below(sizeof kLetters - 1)];
      if (random.Chance(30)) {
        json.erase(at, 1 + random.Below(4));
      } else if (random.Chance(50)) {
        json[at] = letter;
      } else {
        json.insert(at, 1, letter);
      }
      if (json.empty()) json = " ";
    }
    auto read = SharedTypes().New("Small");
    const absl::Status status = Read(json, *read, {.stored = random.Chance(50)});
    if (!status.ok()) continue;
    ASSERT_TRUE(nlohmann::json::accept(json)) << json;
    const auto again = writer.Write(read->GetDescriptor(), read->SerializeAsString());
    ASSERT_TRUE(again.ok()) << json;
    auto twice = SharedTypes().New("Small");
    ASSERT_TRUE(Read(*again, *twice).ok()) << *again;
    ASSERT_EQ(Canonical(*twice), Canonical(*read)) << json;
  }
}

}  // namespace
}  // namespace crm::json::test
