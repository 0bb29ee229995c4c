// Message types of every kind, made from text at run time, as the gateway has them: in a pool of their own, with
// dynamic messages.
#pragma once

#include <google/protobuf/any.pb.h>
#include <google/protobuf/compiler/parser.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace crm::json::test {

inline constexpr char kProto[] = R"pb(
  syntax = "proto3"
  ;
  package test;
  import "google/protobuf/any.proto";
  import "google/protobuf/duration.proto";
  import "google/protobuf/field_mask.proto";
  import "google/protobuf/struct.proto";
  import "google/protobuf/timestamp.proto";
  import "google/protobuf/wrappers.proto";

  enum Color {
    option allow_alias = true;
    COLOR_UNSPECIFIED = 0;
    COLOR_RED = 1;
    COLOR_CRIMSON = 1;
    COLOR_NEGATIVE = -5;
    COLOR_FAR = 100000;
  }

  message Phone {
    string number = 1;
    int32 rank = 2;
  }

  message Small {
    string name = 1;
    optional string nick_name = 2;
    Small child = 3;
    repeated Phone phones = 4;
  }

  message Everything {
    // Not in the order of their numbers.
    string text = 14;
    double a_double = 1;
    float a_float = 2;
    int32 an_int32 = 3;
    int64 an_int64 = 4;
    uint32 a_uint32 = 5;
    uint64 a_uint64 = 6;
    sint32 a_sint32 = 7;
    sint64 a_sint64 = 8;
    fixed32 a_fixed32 = 9;
    fixed64 a_fixed64 = 10;
    sfixed32 a_sfixed32 = 11;
    sfixed64 a_sfixed64 = 12;
    bool a_bool = 13;
    bytes data = 15;
    Color color = 16;
    Small small = 17;

    repeated double doubles = 21;
    repeated int32 int32s = 23;
    repeated int64 int64s = 24;
    repeated sint32 sint32s = 27;
    repeated fixed32 fixed32s = 29;
    repeated bool bools = 33;
    repeated string texts = 34;
    repeated bytes datas = 35;
    repeated Color colors = 36;
    repeated Small smalls = 37;
    repeated int32 loose = 38 [packed = false];

    optional int32 maybe_int32 = 41;
    optional string maybe_text = 42;
    optional Color maybe_color = 43;

    oneof choice {
      string choice_text = 51;
      int32 choice_int32 = 52;
      Small choice_small = 53;
      google.protobuf.Timestamp choice_time = 54;
    }

    map<string, string> text_map = 61;
    map<int32, int64> int32_map = 62;
    map<bool, Small> bool_map = 63;
    map<sint64, Color> sint64_map = 64;
    map<uint64, bytes> uint64_map = 65;
    map<string, google.protobuf.Value> value_map = 66;

    google.protobuf.Timestamp time = 71;
    google.protobuf.Duration duration = 72;
    google.protobuf.FieldMask mask = 73;
    google.protobuf.Struct struct = 74;
    google.protobuf.Value value = 75;
    google.protobuf.ListValue list = 76;
    google.protobuf.Any any = 77;
    repeated google.protobuf.Timestamp times = 78;
    repeated google.protobuf.Value values = 79;
    repeated google.protobuf.Any anys = 80;

    google.protobuf.DoubleValue double_value = 81;
    google.protobuf.Int64Value int64_value = 82;
    google.protobuf.Int32Value int32_value = 83;
    google.protobuf.BoolValue bool_value = 84;
    google.protobuf.StringValue string_value = 85;
    google.protobuf.BytesValue bytes_value = 86;
    repeated google.protobuf.StringValue string_values = 87;

    string far = 20000;
  }
)pb";

class Types {
 public:
  Types() {
    google::protobuf::io::ArrayInputStream stream(kProto, sizeof(kProto) - 1);
    google::protobuf::io::Tokenizer tokenizer(&stream, nullptr);
    google::protobuf::FileDescriptorProto file;
    EXPECT_TRUE(google::protobuf::compiler::Parser().Parse(&tokenizer, &file));
    file.set_name("test.proto");
    for (const auto& dependency : file.dependency()) Copy(dependency);
    EXPECT_NE(pool_.BuildFile(file), nullptr);
  }
  const google::protobuf::DescriptorPool* pool() const { return &pool_; }
  const google::protobuf::Descriptor* Type(const std::string& name) const {
    return pool_.FindMessageTypeByName(name.find('.') == std::string::npos ? "test." + name : name);
  }
  std::unique_ptr<google::protobuf::Message> New(const std::string& name) {
    return std::unique_ptr<google::protobuf::Message>(factory_.GetPrototype(Type(name))->New());
  }
  // From protobuf's text format.
  std::unique_ptr<google::protobuf::Message> New(const std::string& name, const std::string& text) {
    auto message = New(name);
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, message.get())) << text;
    return message;
  }

 private:
  void Copy(const std::string& name) {
    google::protobuf::FileDescriptorProto file;
    google::protobuf::DescriptorPool::generated_pool()->FindFileByName(name)->CopyTo(&file);
    EXPECT_NE(pool_.BuildFile(file), nullptr) << name;
  }
  google::protobuf::DescriptorPool pool_;
  google::protobuf::DynamicMessageFactory factory_{&pool_};
};

// One for the whole binary: building a pool takes milliseconds.
inline Types& SharedTypes() {
  // The generated pool finds a file by name only when something of it is linked in.
  google::protobuf::Any::descriptor(), google::protobuf::Duration::descriptor(),
      google::protobuf::FieldMask::descriptor(), google::protobuf::Struct::descriptor(),
      google::protobuf::Timestamp::descriptor(), google::protobuf::StringValue::descriptor();
  static auto* types = new Types;
  return *types;
}

}  // namespace crm::json::test
