// Against protobuf's own JSON and parser, on random messages, where the dialects agree. The seed is printed: set
// CRM_SEED to run one again.
#include <absl/strings/escaping.h>
#include <google/protobuf/stubs/logging.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "common/json/json.h"
#include "crm/analytics/v1/report.pb.h"
#include "crm/contact/v1/events.pb.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "crm/events/v1/event.pb.h"
#include "crm/identity/v1/events.pb.h"
#include "crm/messaging/v1/events.pb.h"
#include "crm/scheduler/v1/events.pb.h"
#include "tests/unit/common/json/random.h"

namespace crm::json::test {
namespace {

// CRM_LONG=1: ten times as many.
const int kTimes = std::getenv("CRM_LONG") != nullptr && *std::getenv("CRM_LONG") != '\0' ? 10 : 1;

TEST(Differential, WritesAndReadsWhatProtobufDoes) {
  Random random;
  SCOPED_TRACE(random.Trace());
  Peer peer;
  const Writer writer(SharedTypes().pool());
  for (int i = 0; i < 2000 * kTimes; ++i) {
    auto message = SharedTypes().New("Everything");
    random.Fill(*message, 0);
    const ReadOptions options{.stored = random.TakeUnnamed()};
    const auto json = writer.Write(message->GetDescriptor(), message->SerializeAsString());
    ASSERT_TRUE(json.ok()) << json.status();
    const std::string theirs = peer.Print(*message);
    ASSERT_EQ(nlohmann::json::parse(*json), nlohmann::json::parse(theirs)) << *json << "\n" << theirs;

    auto read = SharedTypes().New("Everything");
    absl::Status status = Read(*json, *read, options);
    ASSERT_TRUE(status.ok()) << status << *json;
    ASSERT_EQ(Canonical(*read), Canonical(*message)) << *json;
    read = SharedTypes().New("Everything");
    status = Read(theirs, *read, options);
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

void AddTypes(const google::protobuf::Descriptor* type, std::vector<const google::protobuf::Descriptor*>& out) {
  if (!type->options().map_entry()) out.push_back(type);
  for (int i = 0; i < type->nested_type_count(); ++i) AddTypes(type->nested_type(i), out);
}
void AddTypes(const google::protobuf::FileDescriptor* file, std::set<std::string>& seen,
              std::vector<const google::protobuf::Descriptor*>& out) {
  if (file->package().rfind("crm.", 0) != 0 || !seen.insert(file->name()).second) return;
  for (int i = 0; i < file->message_type_count(); ++i) AddTypes(file->message_type(i), out);
  for (int i = 0; i < file->dependency_count(); ++i) AddTypes(file->dependency(i), seen, out);
}

// The messages that really travel: each type of the services' protos, requests and answers, records and events.
TEST(Differential, TranscodesOurOwnMessagesAsProtobufDoes) {
  Random random;
  SCOPED_TRACE(random.Trace());
  std::set<std::string> seen;
  std::vector<const google::protobuf::Descriptor*> types;
  for (const auto* file :
       {contact::v1::ContactCreated::descriptor()->file(), deal_pipeline::v1::DealMoved::descriptor()->file(),
        messaging::v1::MessageReceived::descriptor()->file(), scheduler::v1::TaskCompleted::descriptor()->file(),
        identity::v1::UserCreated::descriptor()->file(), analytics::v1::RevenueReport::descriptor()->file(),
        events::v1::Event::descriptor()->file()}) {
    AddTypes(file, seen, types);
  }
  ASSERT_GT(types.size(), 200u);
  Peer peer(google::protobuf::DescriptorPool::generated_pool());
  for (const auto* type : types) {
    SCOPED_TRACE(type->full_name());
    const Message* prototype = google::protobuf::MessageFactory::generated_factory()->GetPrototype(type);
    for (int i = 0; i < 10 * kTimes; ++i) {
      std::unique_ptr<Message> message(prototype->New()), read(prototype->New()), theirs_read(prototype->New());
      random.Fill(*message, 1);
      const ReadOptions options{.stored = random.TakeUnnamed()};
      const auto json = Writer::Generated().Write(type, message->SerializeAsString());
      ASSERT_TRUE(json.ok()) << json.status();
      const std::string theirs = peer.Print(*message);
      ASSERT_EQ(nlohmann::json::parse(*json), nlohmann::json::parse(theirs)) << *json << "\n" << theirs;
      const absl::Status status = Read(theirs, *read, options);
      ASSERT_TRUE(status.ok()) << status << theirs;
      ASSERT_EQ(Canonical(*read), Canonical(*message)) << theirs;
      ASSERT_TRUE(theirs_read->ParseFromString(peer.Bytes(*json, type))) << *json;
      // Through our writer again: inside an Any protobuf keeps zeros that it read.
      ASSERT_EQ(*Writer::Generated().Write(type, theirs_read->SerializeAsString()), *json);
    }
  }
}

// Where the dialects differ on purpose (json.h), listed once: everything else above is the same in both directions.
TEST(Differential, DiffersFromProtobufsDialectWhereItSaysSo) {
  Peer peer;
  const Writer writer(SharedTypes().pool());
  const auto ours = [&](const std::string& text) {
    auto message = SharedTypes().New("Everything", text);
    return writer.Write(message->GetDescriptor(), message->SerializeAsString());
  };
  const auto reads = [&](const std::string& json, const ReadOptions& options = {}) {
    auto message = SharedTypes().New("Everything");
    return Read(json, *message, options).ok();
  };
  const auto they_read = [&](const std::string& json) {
    std::string bytes;
    return google::protobuf::util::JsonToBinaryString(peer.resolver.get(), "type.googleapis.com/test.Everything", json,
                                                      &bytes)
        .ok();
  };
  // Numbers that are none: protobuf has texts for them.
  for (const char* number : {"nan", "inf", "-inf"}) {
    EXPECT_FALSE(ours(absl::StrCat("a_double: ", number)).ok()) << number;
    EXPECT_FALSE(ours(absl::StrCat("doubles: ", number)).ok()) << number;
  }
  for (const char* json : {R"({"a_double": "NaN"})", R"({"a_float": "-Infinity"})"}) {
    EXPECT_TRUE(they_read(json) && !reads(json)) << json;
  }
  // Names in camelCase are read only where generated clients send them.
  EXPECT_TRUE(they_read(R"({"anInt32": 1})") && !reads(R"({"anInt32": 1})"));
  EXPECT_TRUE(reads(R"({"anInt32": 1})", {.camel_case = true}));
  // PostgreSQL takes no NUL.
  EXPECT_TRUE(they_read(R"({"text": "\u0000"})") && !reads(R"({"text": "\u0000"})"));
  // Numbers of enums that have no name are written, and read from what we stored, but taken from nobody.
  EXPECT_TRUE(they_read(R"({"color": 77})") && !reads(R"({"color": 77})") &&
              reads(R"({"color": 77})", {.stored = true}));
  // A member that stands twice is a mistake of its sender.
  EXPECT_TRUE(they_read(R"({"text": "a", "text": "b"})") && !reads(R"({"text": "a", "text": "b"})"));
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
  for (int i = 0; i < 20000 * kTimes; ++i) {
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
  for (int i = 0; i < 20000 * kTimes; ++i) {
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
