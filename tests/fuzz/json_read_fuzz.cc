// covers: common/json/reader.cc common/json/parse.cc common/json/violations.cc common/json/writer.cc common/json/wire.cc common/json/plan.cc
// JSON -> messages: what is read, is written as JSON that reads the same; what is refused names its fields. The reader
// of what we stored ourselves takes whatever the strict one takes.
#include <google/protobuf/util/message_differencer.h>

#include <memory>

#include "common/json/json.h"
#include "crm/contact/v1/contact.pb.h"
#include "crm/scheduler/v1/rule.pb.h"
#include "crm/testing/v1/thing.pb.h"
#include "crm/type/v1/filter.pb.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/common/json/types.h"

CRM_FUZZ(json_read) {
  using namespace crm;
  using google::protobuf::Message;
  static const Message* const kTypes[] = {
      &crm::testing::v1::Thing::default_instance(), &contact::v1::Contact::default_instance(),
      &scheduler::v1::Rule::default_instance(), &type::v1::FilterTree::default_instance(),
      json::test::SharedTypes().New("Everything").release()};
  const Message* type = input.Of(kTypes);
  json::ReadOptions options;
  options.camel_case = (input.Byte() & 1) != 0;
  const absl::string_view text = input.Rest();
  std::unique_ptr<Message> message(type->New());
  std::vector<std::string> present;
  const absl::Status read = json::Read(text, *message, options, &present);
  if (!read.ok()) return fuzz::RequireRefusal(read);
  for (const auto& name : present) {
    fuzz::Require(type->GetDescriptor()->FindFieldByName(name) != nullptr, "what is present is a field", name);
  }
  options.stored = true;
  std::unique_ptr<Message> stored(type->New());
  fuzz::Require(json::Read(text, *stored, options).ok(), "what the strict reader takes, the other takes too", text);
  const auto written = json::Write(*message);
  fuzz::Require(written.ok(), "what was read can be written", written.status().message());
  std::unique_ptr<Message> again(type->New());
  const absl::Status twice = json::Read(*written, *again);
  fuzz::Require(twice.ok(), "what was written can be read", twice.message());
  fuzz::Require(json::Write(*again).value_or("") == *written, "Write(Read(Write(x))) == Write(x)", *written);
  // As a table keeps it: field by field.
  std::vector<const google::protobuf::FieldDescriptor*> set;
  message->GetReflection()->ListFields(*message, &set);
  std::unique_ptr<Message> row(type->New());
  for (const auto* field : set) {
    std::string column;
    fuzz::Require(json::AppendField(*message, field, column).ok(), "what was read can be kept", field->name());
    const absl::Status kept = json::ReadField(column, field, *row);
    fuzz::Require(kept.ok(), "what was kept can be read", kept.message());
  }
  fuzz::Require(json::Write(*row).value_or("") == *written, "fields are kept as they were", *written);
}
