#include "common/rpc/validation.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <google/protobuf/compiler/parser.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/descriptor_database.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "buf/validate/validate.pb.h"
#include "common/base/error.h"
#include "crm/contact/v1/contact.pb.h"
#include "crm/type/v1/options.pb.h"

namespace crm::rpc {
namespace {

using google::protobuf::Message;
using ::testing::HasSubstr;

// Message types from the text of a .proto's body. Kept for the process, as Validate's plans are.
class Schema {
 public:
  explicit Schema(const std::string& body) {
    // Only proto2 has extensions of anything but options.
    const bool extends = absl::StartsWith(body, "extend ");
    const std::string proto = absl::StrCat(extends ? "syntax = 'proto2';" : "syntax = 'proto3';", R"( package test;
      import "buf/validate/validate.proto"; import "crm/type/v1/options.proto"; import "google/protobuf/any.proto";
      import "google/protobuf/duration.proto"; import "google/protobuf/field_mask.proto";
      import "google/protobuf/struct.proto"; import "google/protobuf/timestamp.proto";
      import "google/protobuf/wrappers.proto";
      enum Color { COLOR_UNSPECIFIED = 0; COLOR_RED = 1; COLOR_BLUE = 2; })",
                                           body);
    google::protobuf::io::ArrayInputStream stream(proto.data(), static_cast<int>(proto.size()));
    google::protobuf::io::Tokenizer tokenizer(&stream, nullptr);
    google::protobuf::FileDescriptorProto file;
    EXPECT_TRUE(google::protobuf::compiler::Parser().Parse(&tokenizer, &file)) << body;
    file.set_name("test.proto");
    for (const auto& dependency : file.dependency()) Copy(dependency);
    EXPECT_NE(pool_.BuildFile(file), nullptr) << body;
  }
  const google::protobuf::Descriptor* Type() const { return pool_.FindMessageTypeByName("test.T"); }
  std::unique_ptr<Message> New(const std::string& text) {
    std::unique_ptr<Message> message(factory_.GetPrototype(Type())->New());
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, message.get())) << text;
    return message;
  }

 private:
  void Copy(const std::string& name) {
    if (!copied_.insert(name).second) return;
    google::protobuf::FileDescriptorProto file;
    const auto* from = google::protobuf::DescriptorPool::generated_pool()->FindFileByName(name);
    ASSERT_NE(from, nullptr) << name;
    from->CopyTo(&file);
    for (const auto& dependency : file.dependency()) Copy(dependency);
    EXPECT_NE(pool_.BuildFile(file), nullptr) << name;
  }
  std::set<std::string> copied_;
  google::protobuf::DescriptorPool pool_;
  google::protobuf::DynamicMessageFactory factory_{&pool_};
};

Schema& SchemaOf(const std::string& body) {
  static auto* schemas = new std::map<std::string, std::unique_ptr<Schema>>;
  auto& schema = (*schemas)[body];
  if (schema == nullptr) schema = std::make_unique<Schema>(body);
  return *schema;
}

const absl::Time kNow = absl::FromUnixSeconds(1795412343);  // 2026-11-23T05:39:03Z

// "path: description" per violation, one a line.
std::string ProblemsIn(const absl::Status& status) {
  std::string problems;
  for (const auto& violation : ViolationsOf(status))
    absl::StrAppend(&problems, violation.field, ": ", violation.description, "\n");
  return problems.empty() && !status.ok() ? status.ToString() : problems;
}

struct RuleCase {
  const char *schema, *text, *problems;
};
void RunCases(const std::vector<RuleCase>& cases) {
  for (const auto& test : cases) {
    const bool whole = absl::StrContains(test.schema, "message ");
    Schema& schema = SchemaOf(whole ? test.schema : absl::StrCat("message T { ", test.schema, " }"));
    EXPECT_TRUE(CheckRules(schema.Type()).ok()) << test.schema << CheckRules(schema.Type());
    const absl::Status status = Validate(*schema.New(test.text), kNow);
    EXPECT_EQ(ProblemsIn(status), test.problems) << test.schema << "  " << test.text;
  }
}

TEST(Validate, ChecksStrings) {
  RunCases({
      {"string s = 1;", "", ""},
      {"string s = 1 [(buf.validate.field).string.min_len = 1];", "", "s: must not be empty\n"},
      {"string s = 1 [(buf.validate.field).string.min_len = 3];", "s: 'שלום'", ""},
      {"string s = 1 [(buf.validate.field).string.min_len = 3];", "s: 'של'", "s: must have at least 3 characters\n"},
      {"string s = 1 [(buf.validate.field).string.max_len = 3];", "s: 'éé€'", ""},
      {"string s = 1 [(buf.validate.field).string.max_len = 3];", "s: 'éé€x'", "s: must have at most 3 characters\n"},
      {"string s = 1 [(buf.validate.field).string.max_len = 1];", "s: 'ab'", "s: must have at most 1 character\n"},
      {"string s = 1 [(buf.validate.field).string.len = 2];", "s: 'é€'", ""},
      {"string s = 1 [(buf.validate.field).string.len = 2];", "s: 'é'", "s: must have 2 characters\n"},
      {"string s = 1 [(buf.validate.field).string.len = 2];", "s: 'abc'", "s: must have 2 characters\n"},
      {"string s = 1 [(buf.validate.field).string.len_bytes = 2];", "s: 'é'", ""},
      {"string s = 1 [(buf.validate.field).string.len_bytes = 2];", "s: 'a'", "s: must have 2 bytes\n"},
      {"string s = 1 [(buf.validate.field).string.min_bytes = 2];", "s: 'a'", "s: must have at least 2 bytes\n"},
      {"string s = 1 [(buf.validate.field).string.max_bytes = 2];", "s: '€'", "s: must have at most 2 bytes\n"},
      {"string s = 1 [(buf.validate.field).string.pattern = '^[a-z]+$'];", "s: 'ab'", ""},
      {"string s = 1 [(buf.validate.field).string.pattern = '^[a-z]+$'];", "s: 'aB'",
       "s: must match the pattern ^[a-z]+$\n"},
      {"string s = 1 [(buf.validate.field).string.pattern = '^[a-z]+$'];", "", "s: must match the pattern ^[a-z]+$\n"},
      {"string s = 1 [(buf.validate.field).string.pattern = 'b'];", "s: 'abc'", ""},
      {"string s = 1 [(buf.validate.field).string.pattern = '^.$'];", "s: '€'", ""},
      {"string s = 1 [(buf.validate.field).string.prefix = 'ab'];", "s: 'abc'", ""},
      {"string s = 1 [(buf.validate.field).string.prefix = 'ab'];", "s: 'a'", "s: must start with \"ab\"\n"},
      {"string s = 1 [(buf.validate.field).string.suffix = 'bc'];", "s: 'abc'", ""},
      {"string s = 1 [(buf.validate.field).string.suffix = 'bc'];", "s: 'bca'", "s: must end with \"bc\"\n"},
      {"string s = 1 [(buf.validate.field).string.contains = 'b'];", "s: 'ac'", "s: must contain \"b\"\n"},
      {"string s = 1 [(buf.validate.field).string.not_contains = 'b'];", "s: 'abc'", "s: must not contain \"b\"\n"},
      {"string s = 1 [(buf.validate.field).string.const = 'x'];", "s: 'x'", ""},
      {"string s = 1 [(buf.validate.field).string.const = 'x'];", "s: 'y'", "s: must be \"x\"\n"},
      {"string s = 1 [(buf.validate.field).string = {in: ['a', 'b']}];", "s: 'b'", ""},
      {"string s = 1 [(buf.validate.field).string = {in: ['a', 'b']}];", "s: 'c'", "s: must be one of \"a\", \"b\"\n"},
      {"string s = 1 [(buf.validate.field).string = {not_in: ['a', 'b']}];", "s: 'a'", "s: must not be \"a\", \"b\"\n"},
      {"string s = 1 [(buf.validate.field).string = {not_in: ['a', 'b']}];", "s: 'c'", ""},
      // Presence and `ignore`, as the standard has them.
      {"optional string s = 1 [(buf.validate.field).string.min_len = 1];", "", ""},
      {"optional string s = 1 [(buf.validate.field).string.min_len = 1];", "s: ''", "s: must not be empty\n"},
      {"optional string s = 1 [(buf.validate.field).required = true];", "", "s: must be given\n"},
      {"optional string s = 1 [(buf.validate.field).required = true];", "s: ''", ""},
      {"string s = 1 [(buf.validate.field).required = true];", "", "s: must not be empty\n"},
      {"string s = 1 [(buf.validate.field) = {ignore: IGNORE_IF_ZERO_VALUE, string: {min_len: 3}}];", "", ""},
      {"string s = 1 [(buf.validate.field) = {ignore: IGNORE_IF_ZERO_VALUE, string: {min_len: 3}}];", "s: 'a'",
       "s: must have at least 3 characters\n"},
      {"optional string s = 1 [(buf.validate.field) = {ignore: IGNORE_IF_ZERO_VALUE, string: {min_len: 3}}];", "s: ''",
       ""},
      {"string s = 1 [(buf.validate.field) = {ignore: IGNORE_ALWAYS, string: {min_len: 3}}];", "s: 'a'", ""},
      {"oneof o { string s = 1 [(buf.validate.field).string.min_len = 1]; int32 i = 2; }", "i: 1", ""},
      {"oneof o { string s = 1 [(buf.validate.field).string.min_len = 1]; int32 i = 2; }", "s: ''",
       "s: must not be empty\n"},
  });
}

TEST(Validate, ChecksFormsOfText) {
  const struct {
    const char* rule;
    std::vector<std::string> good, bad;
  } kForms[] = {
      {"email",
       {"a@b", "anna.k+x@mail.example.com", "a@xn--e1afmkfd.xn--p1ai", "o'neil@example.org"},
       {"", "a", "@b", "a@", "a@b@c", "a b@c", "a@-b.com", "a@b-.com", "a@b..c", "a@b.", "ä@b.com", "a@b.com\n",
        "<a@b.com>"}},
      {"hostname",
       {"a", "example.com", "example.com.", "a-b.c", "1.a", "xn--e1afmkfd.com", std::string(63, 'a') + ".b"},
       {"", ".", "-a", "a-", "a..b", "a_b", "1.2.3.4", "a.1", std::string(64, 'a'), "é.com", "a b",
        std::string(63, 'a') + "." + std::string(63, 'a') + "." + std::string(63, 'a') + "." + std::string(63, 'a')}},
      {"ip",
       {"1.2.3.4", "::1", "2001:db8::1", "fe80::1%eth0"},
       {"", "1.2.3", "1.2.3.256", "01.2.3.4", ":::", "x", "::1%"}},
      {"ipv4", {"0.0.0.0", "255.255.255.255"}, {"", "::1", "1.2.3.4 ", "1.2.3.4.5"}},
      {"ipv6", {"::", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4"}, {"", "1.2.3.4", "1:2:3:4:5:6:7:8:9", "g::"}},
      {"uri",
       {"https://example.com", "https://example.com/", "https://u:p@example.com:8080/a/b;c?q=1&r=%20#f", "mailto:a@b.c",
        "urn:isbn:0", "http://[::1]:80/", "http://[v1.a:b]/", "file:///etc", "x:", "https://example.com?", "tel:+1-2",
        "a:/b", "https://%D7%A9/"},
       {"", "example.com", "/a", "//example.com", "1a:b", "https://exa mple.com", "https://example.com/%2",
        "https://example.com/<", "http://[::1", "http://[1.2.3.4]/", "http://[x]/", "http://a:b/",
        "https://example.com/#a#b", "http://שלום/", "://a"}},
      {"uri_ref",
       {"", "/a", "a/b", "//example.com/x", "?q", "#f", "https://example.com", "./a:b", "../x"},
       {"a b", "1:b", "%2", "\\"}},
      {"address", {"example.com", "1.2.3.4", "::1"}, {"", "a b", "1.2.3.256"}},
      {"host_and_port",
       {"example.com:443", "1.2.3.4:0", "[::1]:65535"},
       {"", "example.com", "example.com:", "example.com:65536", "example.com:01", "example.com:+1", "::1:80",
        "[1.2.3.4]:80", ":80", "a:b"}},
      {"uuid",
       {"01890a5d-ac96-774b-bcce-b302099a8057", "01890A5D-AC96-774B-BCCE-B302099A8057"},
       {"", "01890a5dac96774bbcceb302099a8057", "01890a5d-ac96-774b-bcce-b302099a805",
        "g1890a5d-ac96-774b-bcce-b302099a8057"}},
      {"tuuid", {"01890a5dac96774bbcceb302099a8057"}, {"", "01890a5d-ac96-774b-bcce-b302099a8057"}},
      {"ulid",
       {"01ARZ3NDEKTSV4RRFFQ69G5FAV", "01arz3ndektsv4rrffq69g5fav"},
       {"", "81ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAU!", "01ARZ3NDEKTSV4RRFFQ69G5FAI"}},
  };
  for (const auto& form : kForms) {
    Schema& schema =
        SchemaOf(absl::StrCat("message T { string s = 1 [(buf.validate.field).string.", form.rule, " = true]; }"));
    ASSERT_TRUE(CheckRules(schema.Type()).ok()) << CheckRules(schema.Type());
    auto message = schema.New("");
    const auto* field = schema.Type()->field(0);
    for (const auto& text : form.good) {
      message->GetReflection()->SetString(message.get(), field, text);
      EXPECT_TRUE(Validate(*message, kNow).ok()) << form.rule << " " << text;
    }
    for (const auto& text : form.bad) {
      message->GetReflection()->SetString(message.get(), field, text);
      EXPECT_THAT(ProblemsIn(Validate(*message, kNow)), HasSubstr("s: must be ")) << form.rule << " " << text;
    }
  }
}

TEST(Validate, ChecksNumbersBoolsEnumsAndBytes) {
  RunCases({
      {"int32 i = 1 [(buf.validate.field).int32.gte = 0];", "i: 0", ""},
      {"int32 i = 1 [(buf.validate.field).int32.gte = 0];", "i: -1", "i: must be at least 0\n"},
      {"int32 i = 1 [(buf.validate.field).int32.gt = 0];", "i: 0", "i: must be greater than 0\n"},
      {"int32 i = 1 [(buf.validate.field).int32.lte = 5];", "i: 6", "i: must be at most 5\n"},
      {"int32 i = 1 [(buf.validate.field).int32.lt = 5];", "i: 5", "i: must be less than 5\n"},
      {"int32 i = 1 [(buf.validate.field).int32 = {gte: 1, lte: 5}];", "i: 5", ""},
      {"int32 i = 1 [(buf.validate.field).int32 = {gte: 1, lte: 5}];", "i: 6", "i: must be at least 1 and at most 5\n"},
      {"int32 i = 1 [(buf.validate.field).int32 = {gt: 1, lt: 5}];", "i: 1",
       "i: must be greater than 1 and less than 5\n"},
      {"int32 i = 1 [(buf.validate.field).int32 = {lt: 1, gt: 5}];", "i: 6", ""},
      {"int32 i = 1 [(buf.validate.field).int32 = {lt: 1, gt: 5}];", "i: 0", ""},
      {"int32 i = 1 [(buf.validate.field).int32 = {lt: 1, gt: 5}];", "i: 5",
       "i: must be less than 1 or greater than 5\n"},
      {"int32 i = 1 [(buf.validate.field).int32.const = 7];", "i: 8", "i: must be 7\n"},
      {"int32 i = 1 [(buf.validate.field).int32 = {in: [1, 2]}];", "i: 3", "i: must be one of 1, 2\n"},
      {"int32 i = 1 [(buf.validate.field).int32 = {not_in: [1, 2]}];", "i: 2", "i: must not be 1, 2\n"},
      {"int32 i = 1 [(buf.validate.field).required = true];", "", "i: must be given\n"},
      {"int64 i = 1 [(buf.validate.field).int64.gte = -9223372036854775807];", "i: -9223372036854775808",
       "i: must be at least -9223372036854775807\n"},
      {"uint32 i = 1 [(buf.validate.field).uint32.lte = 4000000000];", "i: 4000000001",
       "i: must be at most 4000000000\n"},
      {"uint64 i = 1 [(buf.validate.field).uint64.gte = 18446744073709551615];", "i: 5",
       "i: must be at least 18446744073709551615\n"},
      {"sint32 i = 1 [(buf.validate.field).sint32.gte = 0];", "i: -1", "i: must be at least 0\n"},
      {"sint64 i = 1 [(buf.validate.field).sint64.gte = 0];", "i: -1", "i: must be at least 0\n"},
      {"fixed32 i = 1 [(buf.validate.field).fixed32.gte = 2];", "i: 1", "i: must be at least 2\n"},
      {"fixed64 i = 1 [(buf.validate.field).fixed64.gte = 2];", "i: 1", "i: must be at least 2\n"},
      {"sfixed32 i = 1 [(buf.validate.field).sfixed32.gte = 2];", "i: -1", "i: must be at least 2\n"},
      {"sfixed64 i = 1 [(buf.validate.field).sfixed64.gte = 2];", "i: -1", "i: must be at least 2\n"},
      {"double d = 1 [(buf.validate.field).double = {gte: 0, lt: 1.5}];", "d: 1.25", ""},
      {"double d = 1 [(buf.validate.field).double = {gte: 0, lt: 1.5}];", "d: 1.5",
       "d: must be at least 0 and less than 1.5\n"},
      {"double d = 1;", "d: nan", "d: must be a finite number\n"},
      {"double d = 1;", "d: inf", "d: must be a finite number\n"},
      {"float d = 1;", "d: -inf", "d: must be a finite number\n"},
      {"float d = 1 [(buf.validate.field).float.gt = 0.5];", "d: 0.5", "d: must be greater than 0.5\n"},
      {"repeated double d = 1;", "d: [1, nan]", "d[1]: must be a finite number\n"},
      {"bool b = 1 [(buf.validate.field).bool.const = true];", "", "b: must be true\n"},
      {"bool b = 1 [(buf.validate.field).bool.const = false];", "b: true", "b: must be false\n"},
      {"bool b = 1 [(buf.validate.field).bool.const = true];", "b: true", ""},
      {"Color e = 1 [(buf.validate.field).enum.defined_only = true];", "e: COLOR_RED", ""},
      {"Color e = 1 [(buf.validate.field).enum.defined_only = true];", "e: 7",
       "e: must be one of COLOR_UNSPECIFIED, COLOR_RED, COLOR_BLUE\n"},
      {"Color e = 1;", "e: 7", ""},
      {"Color e = 1 [(buf.validate.field).enum = {in: [1]}];", "e: COLOR_BLUE", "e: must be one of COLOR_RED\n"},
      {"Color e = 1 [(buf.validate.field).enum = {not_in: [0]}];", "", "e: must not be COLOR_UNSPECIFIED\n"},
      {"Color e = 1 [(buf.validate.field).enum.const = 2];", "", "e: must be COLOR_BLUE\n"},
      {"bytes b = 1 [(buf.validate.field).bytes.len = 2];", "b: '\\377'", "b: must have 2 bytes\n"},
      {"bytes b = 1 [(buf.validate.field).bytes.min_len = 2];", "b: '\\377'", "b: must have at least 2 bytes\n"},
      {"bytes b = 1 [(buf.validate.field).bytes.max_len = 2];", "b: '\\377\\000'", ""},
      {"bytes b = 1 [(buf.validate.field).bytes.max_len = 2];", "b: 'abc'", "b: must have at most 2 bytes\n"},
      {"bytes b = 1 [(buf.validate.field).bytes.prefix = '\\x89P'];", "b: 'GIF'", "b: must start with \"...\"\n"},
      {"bytes b = 1 [(buf.validate.field).bytes.pattern = '^.$'];", "b: '\\377'", ""},
      {"bytes b = 1 [(buf.validate.field).bytes = {in: ['a', 'b']}];", "b: 'c'", "b: must be one of \"a\", \"b\"\n"},
  });
}

TEST(Validate, ChecksListsAndMaps) {
  RunCases({
      {"repeated string s = 1 [(buf.validate.field).repeated.min_items = 1];", "", "s: must have at least 1 item\n"},
      {"repeated string s = 1 [(buf.validate.field).repeated.max_items = 2];", "s: ['a', 'b', 'c']",
       "s: must have at most 2 items\n"},
      {"repeated string s = 1 [(buf.validate.field).required = true];", "", "s: must not be empty\n"},
      {"repeated string s = 1 [(buf.validate.field) = {ignore: IGNORE_IF_ZERO_VALUE, repeated: {min_items: 2}}];", "",
       ""},
      {"repeated string s = 1 [(buf.validate.field) = {ignore: IGNORE_IF_ZERO_VALUE, repeated: {min_items: 2}}];",
       "s: 'a'", "s: must have at least 2 items\n"},
      {"repeated string s = 1 [(buf.validate.field) = {ignore: IGNORE_ALWAYS, repeated: {min_items: 2}}];", "s: 'a'",
       ""},
      {"repeated string s = 1 [(buf.validate.field).repeated.unique = true];", "s: ['a', 'b']", ""},
      {"repeated string s = 1 [(buf.validate.field).repeated.unique = true];", "s: ['a', 'b', 'a']",
       "s: must not have the same item twice\n"},
      {"repeated int32 i = 1 [(buf.validate.field).repeated.unique = true];", "i: [1, -1, 1]",
       "i: must not have the same item twice\n"},
      {"repeated int32 i = 1 [(buf.validate.field).repeated.unique = true];", "i: [1, -1, 0]", ""},
      {"repeated double i = 1 [(buf.validate.field).repeated.unique = true];", "i: [1, 1]",
       "i: must not have the same item twice\n"},
      {"repeated Color i = 1 [(buf.validate.field).repeated.unique = true];", "i: [COLOR_RED, COLOR_RED]",
       "i: must not have the same item twice\n"},
      {"repeated uint64 i = 1 [(buf.validate.field).repeated.unique = true];", "i: [5, 5]",
       "i: must not have the same item twice\n"},
      {"repeated string s = 1 [(buf.validate.field).repeated.items.string.min_len = 1];", "s: ['a', '', 'b', '']",
       "s[1]: must not be empty\ns[3]: must not be empty\n"},
      {"repeated string s = 1 [(buf.validate.field).repeated.items = {ignore: IGNORE_IF_ZERO_VALUE, string: {min_len: "
       "2}}];",
       "s: ['', 'a']", "s[1]: must have at least 2 characters\n"},
      {"repeated Color e = 1 [(buf.validate.field).repeated.items.enum.defined_only = true];", "e: [COLOR_RED, 9]",
       "e[1]: must be one of COLOR_UNSPECIFIED, COLOR_RED, COLOR_BLUE\n"},
      {"map<string, string> m = 1 [(buf.validate.field).map.min_pairs = 2];", "m { key: 'a' }",
       "m: must have at least 2 entries\n"},
      {"map<string, string> m = 1 [(buf.validate.field).map.max_pairs = 1];", "m { key: 'a' } m { key: 'b' }",
       "m: must have at most 1 entry\n"},
      {"map<string, string> m = 1 [(buf.validate.field).map.keys.string.pattern = '^[a-z]+$'];",
       "m { key: 'a' } m { key: 'B c' }", "m[\"B c\"]: must match the pattern ^[a-z]+$\n"},
      {"map<string, string> m = 1 [(buf.validate.field).map.values.string.min_len = 1];", "m { key: 'color' }",
       "m.color: must not be empty\n"},
      {"map<int32, string> m = 1 [(buf.validate.field).map.keys.int32.gt = 0];", "m { key: -3 }",
       "m[\"-3\"]: must be greater than 0\n"},
      {"map<uint64, string> m = 1 [(buf.validate.field).map.keys.uint64.lt = 5];", "m { key: 18446744073709551615 }",
       "m.18446744073709551615: must be less than 5\n"},
      {"map<bool, Color> m = 1 [(buf.validate.field).map.values.enum = {not_in: [0]}];", "m { key: true }",
       "m.true: must not be COLOR_UNSPECIFIED\n"},
      {"message N { string s = 1 [(buf.validate.field).string.min_len = 1]; } message T { map<string, N> m = 1; }",
       "m { key: 'k' value {} }", "m.k.s: must not be empty\n"},
  });
}

TEST(Validate, ChecksMessagesAndOneofs) {
  const char* const kNested =
      "message Phone { string number = 1 [(buf.validate.field).string.min_len = 1]; Phone other = 2; }"
      "message T { Phone phone = 1; repeated Phone phones = 2; oneof o { Phone a = 3; string b = 4; } }";
  RunCases({
      {kNested, "", ""},
      {kNested, "phone { number: '1' } phones { number: '2' }", ""},
      {kNested, "phone {} phones { number: '1' } phones { number: '2' other { number: '' } } a {}",
       "phone.number: must not be empty\nphones[1].other.number: must not be empty\na.number: must not be empty\n"},
      {"message N {} message T { N n = 1 [(buf.validate.field).required = true]; }", "", "n: must be given\n"},
      {"message N {} message T { N n = 1 [(buf.validate.field).required = true]; }", "n {}", ""},
      {"oneof o { option (buf.validate.oneof).required = true; string a = 1; int32 b = 2; }", "",
       ": must have one of a, b\n"},
      {"oneof o { option (buf.validate.oneof).required = true; string a = 1; int32 b = 2; }", "b: 0", ""},
      {"message N { oneof o { option (buf.validate.oneof).required = true; string a = 1; } } message T { repeated N n "
       "= 1; }",
       "n {}", "n[0]: must have one of a\n"},
      {"message T { option (buf.validate.message).oneof = {fields: ['a', 'b']}; string a = 1; repeated string b = 2; }",
       "", ""},
      {"message T { option (buf.validate.message).oneof = {fields: ['a', 'b']}; string a = 1; repeated string b = 2; }",
       "a: 'x' b: 'y'", ": must have only one of a, b\n"},
      {"message T { option (buf.validate.message).oneof = {fields: ['a', 'b'], required: true}; string a = 1; repeated "
       "string b = 2; }",
       "", ": must have one of a, b\n"},
      {"message T { option (buf.validate.message).oneof = {fields: ['a', 'b'], required: true}; string a = 1; repeated "
       "string b = 2; }",
       "b: 'y'", ""},
  });
}

TEST(Validate, ChecksKnownTypes) {
  RunCases({
      {"google.protobuf.Timestamp t = 1;", "t { seconds: 253402300799 nanos: 999999999 }", ""},
      {"google.protobuf.Timestamp t = 1;", "t { seconds: 253402300800 }",
       "t: must be a time between the years 1 and 9999\n"},
      {"google.protobuf.Timestamp t = 1;", "t { seconds: -62135596801 }",
       "t: must be a time between the years 1 and 9999\n"},
      {"google.protobuf.Timestamp t = 1;", "t { nanos: -1 }", "t: must be a time between the years 1 and 9999\n"},
      {"google.protobuf.Timestamp t = 1;", "t { nanos: 1000000000 }",
       "t: must be a time between the years 1 and 9999\n"},
      {"repeated google.protobuf.Timestamp t = 1;", "t {} t { nanos: -1 }",
       "t[1]: must be a time between the years 1 and 9999\n"},
      {"google.protobuf.Timestamp t = 1 [(buf.validate.field).required = true];", "", "t: must be given\n"},
      {"google.protobuf.Timestamp t = 1 [(buf.validate.field).timestamp.lt_now = true];", "t { seconds: 1795412343 }",
       ""},
      {"google.protobuf.Timestamp t = 1 [(buf.validate.field).timestamp.lt_now = true];",
       "t { seconds: 1795412343 nanos: 1 }", "t: must be in the past\n"},
      {"google.protobuf.Timestamp t = 1 [(buf.validate.field).timestamp.gt_now = true];", "t { seconds: 1795412342 }",
       "t: must be in the future\n"},
      {"google.protobuf.Timestamp t = 1 [(buf.validate.field).timestamp.gt_now = true];", "t { seconds: 1795412344 }",
       ""},
      {"google.protobuf.Timestamp t = 1 [(buf.validate.field).timestamp.within.seconds = 60];",
       "t { seconds: 1795412403 }", ""},
      {"google.protobuf.Timestamp t = 1 [(buf.validate.field).timestamp.within.seconds = 60];",
       "t { seconds: 1795412404 }", "t: must be within 1m of now\n"},
      {"google.protobuf.Timestamp t = 1 [(buf.validate.field).timestamp.within.seconds = 60];",
       "t { seconds: 1795412282 }", "t: must be within 1m of now\n"},
      {"google.protobuf.Timestamp t = 1 [(buf.validate.field).timestamp.gte.seconds = 86400];", "t { seconds: 86399 }",
       "t: must be at least 1970-01-02T00:00:00Z\n"},
      {"google.protobuf.Timestamp t = 1 [(buf.validate.field).timestamp = {gt: {seconds: 1}, lt: {seconds: 3}}];",
       "t { seconds: 2 }", ""},
      {"google.protobuf.Timestamp t = 1 [(buf.validate.field).timestamp.const.seconds = 5];", "t { seconds: 4 }",
       "t: must be 1970-01-01T00:00:05Z\n"},
      {"google.protobuf.Duration d = 1;", "d { seconds: 315576000001 }",
       "d: must be a duration of at most 315576000000 seconds\n"},
      {"google.protobuf.Duration d = 1;", "d { seconds: 1 nanos: -1 }",
       "d: must be a duration of at most 315576000000 seconds\n"},
      {"google.protobuf.Duration d = 1;", "d { seconds: -9223372036854775808 }",
       "d: must be a duration of at most 315576000000 seconds\n"},
      {"google.protobuf.Duration d = 1 [(buf.validate.field).duration = {gt: {seconds: 0}, lte: {seconds: 60}}];",
       "d { seconds: 60 }", ""},
      {"google.protobuf.Duration d = 1 [(buf.validate.field).duration = {gt: {seconds: 0}, lte: {seconds: 60}}];",
       "d {}", "d: must be greater than 0 and at most 1m\n"},
      {"google.protobuf.Duration d = 1 [(buf.validate.field).duration = {in: [{seconds: 1}, {nanos: 500000000}]}];",
       "d { seconds: 2 }", "d: must be one of 1s, 500ms\n"},
      {"google.protobuf.Duration d = 1 [(buf.validate.field).duration = {not_in: [{seconds: 1}]}];", "d { seconds: 1 }",
       "d: must not be 1s\n"},
      {"google.protobuf.FieldMask f = 1 [(buf.validate.field).field_mask = {in: ['a', 'b']}];",
       "f { paths: ['a', 'b.c'] }", ""},
      {"google.protobuf.FieldMask f = 1 [(buf.validate.field).field_mask = {in: ['a', 'b']}];", "f { paths: ['bc'] }",
       "f: must name only a, b, not \"bc\"\n"},
      {"google.protobuf.FieldMask f = 1 [(buf.validate.field).field_mask = {not_in: ['a']}];", "f { paths: ['a.b'] }",
       "f: must not name \"a.b\"\n"},
      {"google.protobuf.FieldMask f = 1 [(buf.validate.field).field_mask.const = {paths: ['a']}];",
       "f { paths: ['b'] }", "f: must name a\n"},
      {"google.protobuf.Any a = 1 [(buf.validate.field).any = {in: ['x/a.B']}];", "a { type_url: 'x/a.C' }",
       "a: must be one of \"x/a.B\"\n"},
      {"google.protobuf.Any a = 1 [(buf.validate.field).any = {not_in: ['x/a.B']}];", "a { type_url: 'x/a.B' }",
       "a: must not be \"x/a.B\"\n"},
      {"google.protobuf.StringValue w = 1 [(buf.validate.field).string.min_len = 1];", "", ""},
      {"google.protobuf.StringValue w = 1 [(buf.validate.field).string.min_len = 1];", "w {}",
       "w: must not be empty\n"},
      {"google.protobuf.Int32Value w = 1 [(buf.validate.field).int32.gt = 0];", "w {}", "w: must be greater than 0\n"},
      {"google.protobuf.StringValue w = 1;", "w { value: 'a\\000' }", "w: must be UTF-8 text without NUL\n"},
      {"google.protobuf.DoubleValue w = 1;", "w { value: nan }", "w: must be a finite number\n"},
      {"google.protobuf.Struct s = 1;",
       "s { fields { key: 'a b' value { list_value { values {} values { string_value: '\\000' } } } } fields { key: "
       "'n' value { number_value: inf } } }",
       "s[\"a b\"][1]: must be UTF-8 text without NUL\ns.n: must be a finite number\n"},
      {"google.protobuf.Struct s = 1;", "s { fields { key: '\\000' value {} } }",
       "s[\"\\000\"]: must be UTF-8 text without NUL\n"},
  });
}

TEST(Validate, ChecksEveryString) {
  auto problems = [](const std::string& text, const char* field = "string s = 1;") {
    Schema& schema = SchemaOf(absl::StrCat("message T { ", field, " }"));
    auto message = schema.New("");
    message->GetReflection()->SetString(message.get(), schema.Type()->field(0), text);
    return ProblemsIn(Validate(*message, kNow));
  };
  EXPECT_EQ(problems("שלום 😀\n\t"), "");
  EXPECT_EQ(problems(std::string("a\0b", 3)), "s: must be UTF-8 text without NUL\n");
  EXPECT_EQ(problems("\xff"), "s: must be UTF-8 text without NUL\n");
  EXPECT_EQ(problems("\xed\xa0\x80"), "s: must be UTF-8 text without NUL\n");
  EXPECT_EQ(problems("\xff", "string s = 1 [(buf.validate.field).ignore = IGNORE_ALWAYS];"),
            "s: must be UTF-8 text without NUL\n");
  EXPECT_EQ(problems(std::string(kStringBytesMax, 'a')), "");
  EXPECT_EQ(problems(std::string(kStringBytesMax + 1, 'a')), "s: must have at most 65536 bytes\n");
  EXPECT_EQ(problems(std::string(kStringBytesMax + 1, 'a'), "string s = 1 [(buf.validate.field).string.min_len = 1];"),
            "s: must have at most 65536 bytes\n");
  EXPECT_EQ(problems(std::string(100000, 'a'), "string s = 1 [(buf.validate.field).string.max_len = 100000];"), "");
  EXPECT_EQ(problems(std::string(100000, 'a'), "string s = 1 [(buf.validate.field).string.max_bytes = 99999];"),
            "s: must have at most 99999 bytes\n");
}

TEST(Validate, ChecksReferences) {
  const std::string contact = "contact_01h455vb4pex5vsknk084sn02q", company = "company_01h455vb4pex5vsknk084sn02q";
  const char* const kOne = "string id = 1 [(crm.type.v1.field).ref = 'contact'];";
  const char* const kTwo = "string id = 1 [(crm.type.v1.field).ref = 'contact,company'];";
  const char* const kAll = "string id = 1 [(crm.type.v1.field).ref = '*'];";
  const char* const kMany = "repeated string ids = 1 [(crm.type.v1.field).ref = 'contact'];";
  const struct {
    const char* schema;
    std::string text, problems;
  } kCases[] = {
      {kOne, "", ""},
      {kOne, "id: '" + contact + "'", ""},
      {kOne, "id: '" + company + "'", "id: must be the id of a contact; \"" + company + "\" names a company\n"},
      {kOne, "id: 'x'", "id: must be the id of a contact such as \"contact_01h455vb4pex5vsknk084sn02q\"\n"},
      {kOne, "id: '01890a5d-ac96-774b-bcce-b302099a8057'",
       "id: must be the id of a contact such as \"contact_01h455vb4pex5vsknk084sn02q\"\n"},
      {kTwo, "id: '" + contact + "'", ""},
      {kTwo, "id: '" + company + "'", ""},
      {kTwo, "id: 'deal_01h455vb4pex5vsknk084sn02q'",
       "id: must be the id of a contact or company; \"deal_01h455vb4pex5vsknk084sn02q\" names a deal\n"},
      {kAll, "id: 'deal_01h455vb4pex5vsknk084sn02q'", ""},
      {kAll, "id: 'deal'", "id: must be the id of a record such as \"contact_01h455vb4pex5vsknk084sn02q\"\n"},
      {kMany, "ids: ['" + contact + "', '" + company + "']",
       "ids[1]: must be the id of a contact; \"" + company + "\" names a company\n"},
      {kMany, "ids: ''", "ids[0]: must be the id of a contact such as \"contact_01h455vb4pex5vsknk084sn02q\"\n"},
  };
  for (const auto& test : kCases) {
    Schema& schema = SchemaOf(absl::StrCat("message T { ", test.schema, " }"));
    const absl::Status status = Validate(*schema.New(test.text), kNow);
    EXPECT_EQ(ProblemsIn(status), test.problems);
    if (!status.ok()) {
      EXPECT_EQ(ReasonOf(status), type::v1::ERROR_REASON_REFERENCE_INVALID);
    }
  }
  Schema& mixed =
      SchemaOf(absl::StrCat("message T { ", kOne, " string s = 2 [(buf.validate.field).string.min_len = 1]; }"));
  EXPECT_EQ(ReasonOf(Validate(*mixed.New("id: 'x'"), kNow)), type::v1::ERROR_REASON_FIELD_INVALID);
  EXPECT_EQ(ReasonOf(Validate(*mixed.New("s: 'x' id: 'x'"), kNow)), type::v1::ERROR_REASON_REFERENCE_INVALID);
}

TEST(Validate, ChecksDays) {
  Schema& schema = SchemaOf("message T { string day = 1 [(crm.type.v1.field).date = true]; string free = 2; }");
  for (const char* good : {"", "day: '2026-11-23'", "day: '2024-02-29'", "free: '2026-02-30'"}) {
    EXPECT_EQ(ProblemsIn(Validate(*schema.New(good), kNow)), "") << good;
  }
  for (const char* bad : {"2026-02-30", "2025-02-29", "0000-00-00", "2026-1-1", "tomorrow", "2026-11-23 "}) {
    EXPECT_EQ(ProblemsIn(Validate(*schema.New(absl::StrCat("day: '", bad, "'")), kNow)),
              "day: must be a day of the calendar such as 2026-11-23\n")
        << bad;
  }
}

TEST(Validate, FitsItsErrorIntoTrailers) {
  Schema& schema = SchemaOf(
      "message T { repeated string s = 1 [(buf.validate.field).repeated.items.string.min_len = 1]; "
      "map<string, string> m = 2 [(buf.validate.field).map.values.string.min_len = 1]; }");
  auto message = schema.New("");
  for (int i = 0; i < 10000; ++i) message->GetReflection()->AddString(message.get(), schema.Type()->field(0), "");
  absl::Status status = Validate(*message, kNow);
  EXPECT_EQ(ViolationsOf(status).size(), kViolationsMax);
  EXPECT_EQ(status.message(), "s[0] must not be empty; s[1] must not be empty; s[2] must not be empty; and 9997 more");
  message = schema.New("");
  for (int i = 0; i < 1000; ++i) {
    Message* entry = message->GetReflection()->AddMessage(message.get(), schema.Type()->field(1));
    entry->GetReflection()->SetString(entry, entry->GetDescriptor()->field(0),
                                      absl::StrCat(std::string(60000, 'k'), i));
  }
  status = Validate(*message, kNow);
  std::size_t size = status.message().size();
  for (const auto& violation : ViolationsOf(status)) size += violation.field.size() + violation.description.size();
  EXPECT_GT(ViolationsOf(status).size(), 5u);
  EXPECT_LT(size, 4u << 10);
}

TEST(CheckRules, RefusesWhatItDoesNotKnow) {
  const struct {
    const char *schema, *error;
  } kCases[] = {
      {"message T { string s = 1 [(buf.validate.field).cel = {id: 'a', expression: 'true'}]; }",
       "test.T.s: CEL rules are not known"},
      {"message T { string s = 1 [(buf.validate.field).cel_expression = 'true']; }",
       "test.T.s: CEL rules are not known"},
      {"message T { option (buf.validate.message).cel = {id: 'a', expression: 'true'}; }",
       "test.T: CEL rules are not known"},
      {"message T { repeated string s = 1 [(buf.validate.field).cel = {id: 'a'}]; }",
       "test.T.s: CEL rules are not known"},
      {"message T { repeated string s = 1 [(buf.validate.field).repeated.items.cel = {id: 'a'}]; }",
       "test.T.s (items): CEL rules"},
      {"message T { map<string, string> m = 1 [(buf.validate.field).map.keys.cel = {id: 'a'}]; }",
       "test.T.m (keys): CEL rules"},
      {"message T { map<string, string> m = 1 [(buf.validate.field).map.values.cel = {id: 'a'}]; }",
       "test.T.m (values): CEL rules"},
      {"message T { string s = 1 [(buf.validate.field).string.pattern = '(']; }",
       "test.T.s: the pattern ( cannot be read"},
      {"message T { string s = 1 [(buf.validate.field).string.ip_prefix = true]; }",
       "test.T.s: string.ip_prefix is not known"},
      {"message T { string s = 1 [(buf.validate.field).string.well_known_regex = KNOWN_REGEX_HTTP_HEADER_NAME]; }",
       "test.T.s: string.well_known_regex is not known"},
      {"message T { bytes b = 1 [(buf.validate.field).bytes.ip = true]; }", "test.T.b: bytes.ip is not known"},
      {"message T { string s = 1 [(buf.validate.field).int32.gt = 0]; }", "test.T.s: has int32 rules, but is string"},
      {"message T { int32 i = 1 [(buf.validate.field).string.min_len = 1]; }",
       "test.T.i: has string rules, but is int32"},
      {"message T { int32 i = 1 [(buf.validate.field).sint32.gt = 1]; }", "test.T.i: has sint32 rules, but is int32"},
      {"message T { int32 i = 1 [(buf.validate.field).repeated.min_items = 1]; }",
       "test.T.i: has repeated rules, but is int32"},
      {"message T { repeated string s = 1 [(buf.validate.field).string.min_len = 1]; }",
       "test.T.s: has string rules, but is a list"},
      {"message T { map<string, string> m = 1 [(buf.validate.field).repeated.min_items = 1]; }",
       "test.T.m: has repeated rules, but is a map"},
      {"message T { google.protobuf.Duration d = 1 [(buf.validate.field).timestamp.lt_now = true]; }",
       "test.T.d: has timestamp rules, but is google.protobuf.Duration"},
      {"message T { google.protobuf.StringValue w = 1 [(buf.validate.field).int32.gt = 1]; }",
       "test.T.w: has int32 rules, but is string"},
      {"message N {} message T { N n = 1 [(buf.validate.field).string.min_len = 1]; }",
       "test.T.n: has string rules, but is test.N"},
      {"message N {} message T { N n = 1 [(buf.validate.field).ignore = IGNORE_ALWAYS]; }",
       "test.T.n: IGNORE_ALWAYS on a message"},
      {"message N {} message T { repeated N n = 1 [(buf.validate.field).repeated.unique = true]; }",
       "test.T.n: `unique` is for scalars"},
      {"message T { repeated string s = 1 [(buf.validate.field).repeated.items.required = true]; }",
       "test.T.s: `required` has no meaning"},
      {"message T { option (buf.validate.message).oneof = {fields: ['x']}; string s = 1; }",
       "test.T: its oneof rule names x"},
      {"message N { T t = 1; string s = 1000 [(buf.validate.field).cel = {id: 'a'}]; } message T { repeated N n = 1; }",
       "test.N.s: CEL rules"},
      {"extend buf.validate.StringRules { optional bool shouted = 50000; } message T { optional string s = 1 "
       "[(buf.validate.field).string.(test.shouted) = true]; }",
       "test.T.s: has a rule that is not in our validate.proto"},
  };
  for (const auto& test : kCases) {
    Schema& schema = SchemaOf(test.schema);
    const absl::Status status = CheckRules(schema.Type());
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << test.schema;
    EXPECT_THAT(std::string(status.message()), HasSubstr(test.error)) << test.schema;
    EXPECT_EQ(Validate(*schema.New(""), kNow), status) << "what cannot be checked is not let through";
  }
}

// Every request type that is compiled in is one that the interpreter knows in full.
TEST(CheckRules, KnowsTheRulesOfOurProtos) {
  std::vector<std::string> files;
  google::protobuf::DescriptorPool::internal_generated_database()->FindAllFileNames(&files);
  int types = 0;
  for (const auto& name : files) {
    if (!absl::StartsWith(name, "crm/")) continue;
    const auto* file = google::protobuf::DescriptorPool::generated_pool()->FindFileByName(name);
    for (int i = 0; i < file->message_type_count(); ++i, ++types) {
      EXPECT_TRUE(CheckRules(file->message_type(i)).ok()) << CheckRules(file->message_type(i));
    }
  }
  EXPECT_GT(types, 100);
}

TEST(Validate, ChecksAContact) {
  contact::v1::CreateContactRequest request;
  EXPECT_EQ(ProblemsIn(Validate(request, kNow)), "contact: must be given\n");
  auto* contact = request.mutable_contact();
  contact->set_given_name("Anna");
  contact->set_family_name("Щёкина");
  contact->set_company_id("company_01h455vb4pex5vsknk084sn02q");
  contact->add_tags("vip");
  EXPECT_EQ(ProblemsIn(Validate(request, kNow)), "");
  contact->set_given_name(std::string(201, 'a'));
  contact->set_company_id("contact_01h455vb4pex5vsknk084sn02q");
  contact->add_tags("vip");
  contact->add_tags("");
  contact->set_country_code("xx");
  EXPECT_EQ(ProblemsIn(Validate(request, kNow)),
            "contact.given_name: must have at most 200 characters\n"
            "contact.company_id: must be the id of a company; \"contact_01h455vb4pex5vsknk084sn02q\" names a contact\n"
            "contact.country_code: must match the pattern ^([A-Z]{2})?$\n"
            "contact.tags: must not have the same item twice\n"
            "contact.tags[2]: must not be empty\n");
  EXPECT_EQ(ReasonOf(Validate(request, kNow)), type::v1::ERROR_REASON_FIELD_INVALID);
}

}  // namespace
}  // namespace crm::rpc
