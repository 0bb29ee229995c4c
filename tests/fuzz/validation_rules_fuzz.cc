// covers: common/rpc/validation.cc common/rpc/validation_plans.cc#Compile,Field,Value,Typed,Strings,Bytes,Numbers,EntryOf common/rpc/validation_rules.cc common/rpc/validation_forms.cc
// Every rule that buf.validate has, on messages as text: what breaks one is told by its field.
#include <absl/strings/match.h>
#include <google/protobuf/compiler/parser.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <set>

#include "buf/validate/validate.pb.h"
#include "common/rpc/validation.h"
#include "crm/type/v1/options.pb.h"
#include "tests/fuzz/fuzz.h"

namespace crm::fuzz {

constexpr char kRuled[] = R"pb(
  syntax = "proto3"
  ;
  package test;
  import "buf/validate/validate.proto";
  import "crm/type/v1/options.proto";
  import "google/protobuf/any.proto";
  import "google/protobuf/duration.proto";
  import "google/protobuf/field_mask.proto";
  import "google/protobuf/timestamp.proto";
  import "google/protobuf/wrappers.proto";

  enum Color {
    COLOR_UNSPECIFIED = 0;
    COLOR_RED = 1;
    COLOR_BLUE = 2;
  }
  message Inner {
    string name = 1 [(buf.validate.field).string.min_len = 1];
    Inner inner = 2;
  }
  message Ruled {
    option (buf.validate.message).oneof = {
      fields: [ "text", "other" ],
      required: true
    };
    string text = 1 [(buf.validate.field).string = { min_len: 2, max_len: 5 }];
    string other = 2 [(buf.validate.field).string.len = 3];
    string bytes_text = 3 [(buf.validate.field).string = { min_bytes: 1, max_bytes: 6, not_in: "never" }];
    string shape = 4 [(buf.validate.field).string = { prefix: "a", suffix: "z", contains: "m", not_contains: "q" }];
    string pattern = 5 [(buf.validate.field).string.pattern = "^[a-z]*$"];
    string one_of = 6 [(buf.validate.field).string = { in: "", in: "x", in: "y" }];
    string email = 11 [(buf.validate.field).string.email = true];
    string hostname = 12 [(buf.validate.field).string.hostname = true];
    string ip = 13 [(buf.validate.field).string.ip = true];
    string ipv4 = 14 [(buf.validate.field).string.ipv4 = true];
    string ipv6 = 15 [(buf.validate.field).string.ipv6 = true];
    string uri = 16 [(buf.validate.field).string.uri = true];
    string uri_ref = 17 [(buf.validate.field).string.uri_ref = true];
    string address = 18 [(buf.validate.field).string.address = true];
    string host_and_port = 19 [(buf.validate.field).string.host_and_port = true];
    string uuid = 20 [(buf.validate.field).string.uuid = true];
    string tuuid = 21 [(buf.validate.field).string.tuuid = true];
    string ulid = 22 [(buf.validate.field).string.ulid = true];
    string day = 23 [(crm.type.v1.field).date = true];
    string contact_id = 24 [(crm.type.v1.field).ref = "contact,company"];
    string any_id = 25 [(crm.type.v1.field).ref = "*"];
    bytes blob = 30 [(buf.validate.field).bytes = { min_len: 1, max_len: 4, prefix: "\x01", not_in: "\x01\x02" }];
    bytes blob_shape = 31 [(buf.validate.field).bytes = { len: 3, pattern: "^[a-c]*$", suffix: "c", contains: "b" }];
    bool yes = 32 [(buf.validate.field).bool.const = true];
    Color color = 33 [(buf.validate.field).enum = { defined_only: true, not_in: 2 }];
    Color red = 34 [(buf.validate.field).enum = { const: 1 }];
    int32 int32 = 40 [(buf.validate.field).int32 = { gte: -5, lt: 5 }];
    int64 int64 = 41 [(buf.validate.field).int64 = { gt: 5, lt: -5 }];
    uint32 uint32 = 42 [(buf.validate.field).uint32 = { lte: 5 }];
    uint64 uint64 = 43 [(buf.validate.field).uint64 = { in: 1, in: 2 }];
    sint32 sint32 = 44 [(buf.validate.field).sint32 = { not_in: 3 }];
    fixed64 fixed64 = 45 [(buf.validate.field).fixed64.const = 7];
    sfixed32 sfixed32 = 46 [(buf.validate.field).sfixed32.gte = 0];
    float float = 47 [(buf.validate.field).float = { gt: 0, lte: 1 }];
    double double = 48 [(buf.validate.field).double = { gte: 1, finite: true }];
    double plain = 49;
    google.protobuf.Timestamp time = 50 [(buf.validate.field).timestamp = { gt: { seconds: 1 }, lt_now: true }];
    google.protobuf.Timestamp future = 51 [(buf.validate.field).timestamp = { gt_now: true, within: { seconds: 100 } }];
    google.protobuf.Duration duration = 52 [(buf.validate.field).duration = { gte: { seconds: 1 }, lte: { seconds: 9 } }];
    google.protobuf.Duration some = 53 [(buf.validate.field).duration = { in: { seconds: 1 }, not_in: { seconds: 2 } }];
    google.protobuf.FieldMask mask = 54 [(buf.validate.field).field_mask = { in: "a", not_in: "a.b" }];
    google.protobuf.Any any = 55 [(buf.validate.field).any = { in: "type.googleapis.com/a.B" }];
    google.protobuf.StringValue wrapped = 56 [(buf.validate.field).string.min_len = 2];
    google.protobuf.Any free_any = 57;
    google.protobuf.FieldMask free_mask = 58;
    repeated string list = 60 [(buf.validate.field).repeated = {
      min_items: 1,
      max_items: 3,
      unique: true,
      items: { string: { max_len: 2 } }
    }];
    repeated int32 numbers = 61 [(buf.validate.field).repeated = { unique: true }];
    map<string, int32> map = 62 [(buf.validate.field).map = {
      max_pairs: 2,
      keys: { string: { min_len: 1 } },
      values: { int32: { gt: 0 } }
    }];
    map<uint64, string> keyed = 63;
    map<bool, string> flags = 64 [(buf.validate.field).required = true];
    repeated string maybe = 65 [(buf.validate.field) = { ignore: IGNORE_IF_ZERO_VALUE, repeated: { min_items: 2 } }];
    Inner inner = 66 [(buf.validate.field).required = true];
    repeated Inner inners = 67;
    string must = 68 [(buf.validate.field).required = true];
    optional string must_be_given = 69 [(buf.validate.field).required = true];
    oneof choice {
      option (buf.validate.oneof).required = true;
      string left = 70;
      Inner right = 71;
    }
  }
)pb";

// The type, in a pool of its own. Kept for ever, as its plan is.
inline const google::protobuf::Message& Ruled() {
  static const google::protobuf::Message* const prototype = [] {
    auto* pool = new google::protobuf::DescriptorPool;
    static std::set<std::string> copied;
    struct Copy {
      google::protobuf::DescriptorPool* into;
      void operator()(const google::protobuf::FileDescriptor* from) const {
        if (!copied.insert(from->name()).second) return;
        for (int i = 0; i < from->dependency_count(); ++i) (*this)(from->dependency(i));
        google::protobuf::FileDescriptorProto file;
        from->CopyTo(&file);
        if (into->BuildFile(file) == nullptr) std::abort();
      }
    };
    google::protobuf::io::ArrayInputStream stream(kRuled, sizeof kRuled - 1);
    google::protobuf::io::Tokenizer tokenizer(&stream, nullptr);
    google::protobuf::FileDescriptorProto file;
    if (!google::protobuf::compiler::Parser().Parse(&tokenizer, &file)) std::abort();
    file.set_name("test.proto");
    buf::validate::FieldRules::descriptor(), type::v1::FieldInfo::descriptor();  // linked in, so that they are found
    for (const auto& name : file.dependency()) {
      Copy{pool}(google::protobuf::DescriptorPool::generated_pool()->FindFileByName(name));
    }
    if (pool->BuildFile(file) == nullptr) std::abort();
    return (new google::protobuf::DynamicMessageFactory(pool))->GetPrototype(pool->FindMessageTypeByName("test.Ruled"));
  }();
  return *prototype;
}

}  // namespace crm::fuzz

CRM_FUZZ(validation_rules) {
  using namespace crm;
  static const google::protobuf::LogSilencer quiet;
  std::unique_ptr<google::protobuf::Message> message(fuzz::Ruled().New());
  google::protobuf::TextFormat::Parser parser;
  parser.AllowPartialMessage(true);
  struct Deaf : google::protobuf::io::ErrorCollector {
    void AddError(int, int, const std::string&) override {}
  } deaf;
  parser.RecordErrorsTo(&deaf);
  if (!parser.ParseFromString(std::string(input.Rest()), message.get())) return;
  const absl::Status valid = rpc::Validate(*message, absl::FromUnixSeconds(1795424400));
  if (valid.ok()) return;
  const auto violations = ViolationsOf(valid);
  for (const auto& violation : violations) {
    const std::string name = violation.field.substr(0, violation.field.find_first_of(".["));
    fuzz::Require(name.empty() || message->GetDescriptor()->FindFieldByName(name) != nullptr,
                  "a violation is a field's", violation.field);
  }
  // A rule about several fields of the request itself has no field of its own.
  const bool whole = std::any_of(violations.begin(), violations.end(), [](const auto& v) { return v.field.empty(); });
  if (!whole) fuzz::RequireRefusal(valid);
}
