#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>

#include <cmath>
#include <cstdlib>
#include <random>

#include "common/base/error.h"
#include "common/json/json.h"
#include "crm/type/v1/money.pb.h"
#include "tests/unit/common/json/types.h"

namespace crm::json::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using type::v1::ERROR_REASON_BODY_INVALID;
using type::v1::ERROR_REASON_FIELD_INVALID;
using type::v1::ERROR_REASON_FIELD_UNKNOWN;
using type::v1::ERROR_REASON_TOO_LARGE;

// "path: description" per violation, or the text of an error that has none.
std::vector<std::string> Problems(const absl::Status& status) {
  std::vector<std::string> problems;
  for (const auto& violation : ViolationsOf(status)) {
    problems.push_back(absl::StrCat(violation.field, ": ", violation.description));
  }
  if (problems.empty() && !status.ok()) problems.push_back(std::string(status.message()));
  return problems;
}

std::string ProblemsOf(const std::string& json, const ReadOptions& options = {}) {
  auto message = SharedTypes().New("Everything");
  std::string all;
  for (const auto& problem : Problems(Read(json, *message, options))) absl::StrAppend(&all, problem, "\n");
  return all;
}

std::string WithinList(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(Reader, ReadsEachFieldOfOurDialect) {
  const struct {
    const char *json, *text;
  } kCases[] = {
      {"{}", ""},
      {" \n{ } \t", ""},
      {R"({"text":"a\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"})", R"(text: "a\"\\/\010\014\n\r\té😀")"},
      {R"({"text":"שלום"})", R"(text: "שלום")"},
      {R"({"text":""})", ""},
      {R"({"a_double":1.5,"a_float":-0.25})", "a_double: 1.5 a_float: -0.25"},
      {R"({"a_double":-0.0})", "a_double: -0.0"},
      {R"({"a_double":3})", "a_double: 3"},
      {R"({"a_double":18446744073709551615})", "a_double: 18446744073709551615"},
      {R"({"a_double":1.7976931348623157e308})", "a_double: 1.7976931348623157e308"},
      {R"({"a_float":3.4e38})", "a_float: 3.4e38"},
      {R"({"an_int32":-2147483648})", "an_int32: -2147483648"},
      {R"({"an_int32":5.0})", "an_int32: 5"},
      {R"({"an_int32":1e3})", "an_int32: 1000"},
      {R"({"an_int64":"-9223372036854775808"})", "an_int64: -9223372036854775808"},
      {R"({"an_int64":9007199254740993})", "an_int64: 9007199254740993"},
      {R"({"a_uint32":4294967295})", "a_uint32: 4294967295"},
      {R"({"a_uint64":"18446744073709551615"})", "a_uint64: 18446744073709551615"},
      {R"({"a_uint64":18446744073709551615})", "a_uint64: 18446744073709551615"},
      {R"({"a_sint32":-1,"a_sint64":"-1","a_fixed32":1,"a_fixed64":"1","a_sfixed32":-1,"a_sfixed64":-1})",
       "a_sint32: -1 a_sint64: -1 a_fixed32: 1 a_fixed64: 1 a_sfixed32: -1 a_sfixed64: -1"},
      {R"({"a_bool":true})", "a_bool: true"},
      {R"({"data":"AP/+"})", R"(data: "\000\377\376")"},
      {R"({"data":"AP_-"})", R"(data: "\000\377\376")"},
      {R"({"data":"YQ"})", R"(data: "a")"},
      {R"({"color":"COLOR_RED"})", "color: COLOR_RED"},
      {R"({"color":"COLOR_CRIMSON"})", "color: COLOR_RED"},
      {R"({"color":"COLOR_NEGATIVE"})", "color: COLOR_NEGATIVE"},
      {R"({"small":{"name":"x","child":{"phones":[{"number":"1"},{}]}}})",
       R"(small { name: "x" child { phones { number: "1" } phones {} } })"},
      {R"({"small":{}})", "small {}"},
      {R"({"small":null,"text":null,"int32s":null,"text_map":null,"color":null,"time":null,"any":null,"struct":null})",
       ""},
      {R"({"maybe_int32":null,"maybe_text":""})", R"(maybe_text: "")"},
      {R"({"maybe_int32":0,"maybe_color":"COLOR_UNSPECIFIED"})", "maybe_int32: 0 maybe_color: COLOR_UNSPECIFIED"},
      {R"({"doubles":[],"int32s":[1,2],"int64s":["3",4],"bools":[true,false],"texts":["",""],"datas":["YQ=="]})",
       R"(int32s: [1, 2] int64s: [3, 4] bools: [true, false] texts: ["", ""] datas: "a")"},
      {R"({"colors":["COLOR_RED","COLOR_FAR"]})", "colors: [COLOR_RED, COLOR_FAR]"},
      {R"({"choice_text":""})", R"(choice_text: "")"},
      {R"({"choice_text":null,"choice_int32":0})", "choice_int32: 0"},
      {R"({"choice_int32":7,"choice_small":null})", "choice_int32: 7"},
      {R"({"text_map":{"":"e","a.b":"v"}})", R"(text_map { key: "" value: "e" } text_map { key: "a.b" value: "v" })"},
      {R"({"int32_map":{"-5":"6","0":7}})", "int32_map { key: -5 value: 6 } int32_map { key: 0 value: 7 }"},
      {R"({"bool_map":{"true":{},"false":{"name":"f"}}})",
       R"(bool_map { key: true value {} } bool_map { key: false value { name: "f" } })"},
      {R"({"sint64_map":{"-9223372036854775808":"COLOR_RED"}})",
       "sint64_map { key: -9223372036854775808 value: COLOR_RED }"},
      {R"({"uint64_map":{"18446744073709551615":"YQ=="}})", R"(uint64_map { key: 18446744073709551615 value: "a" })"},
      {R"({"value_map":{"n":null,"l":[null]}})",
       "value_map { key: 'n' value { null_value: NULL_VALUE } } "
       "value_map { key: 'l' value { list_value { values { null_value: NULL_VALUE } } } }"},
      {R"({"time":"2026-11-23T07:39:03.5+02:00"})", "time { seconds: 1795412343 nanos: 500000000 }"},
      {R"({"duration":"-3.5s"})", "duration { seconds: -3 nanos: -500000000 }"},
      {R"({"mask":"display_name,custom_fields.size_2"})",
       "mask { paths: 'display_name' paths: 'custom_fields.size_2' }"},
      {R"({"mask":"*"})", "mask { paths: '*' }"},
      {R"({"mask":""})", "mask {}"},
      {R"({"struct":{"a":{"b":[1,"x",true,null]}}})",
       "struct { fields { key: 'a' value { struct_value { fields { key: 'b' value { list_value { values { "
       "number_value: 1 } "
       "values { string_value: 'x' } values { bool_value: true } values { null_value: NULL_VALUE } } } } } } } }"},
      {R"({"value":null})", "value { null_value: NULL_VALUE }"},
      {R"({"value":{}})", "value { struct_value {} }"},
      {R"({"value":false})", "value { bool_value: false }"},
      {R"({"value":""})", "value { string_value: '' }"},
      {R"({"list":[1,[]]})", "list { values { number_value: 1 } values { list_value {} } }"},
      {R"({"values":[null,1]})", "values { null_value: NULL_VALUE } values { number_value: 1 }"},
      {R"({"any":{}})", "any {}"},
      {R"({"any":{"number":"5","@type":"type.googleapis.com/test.Phone"}})",
       "any { [type.googleapis.com/test.Phone] { number: '5' } }"},
      {R"({"any":{"@type":"x/google.protobuf.Duration","value":"1s"}})",
       R"(any { type_url: "x/google.protobuf.Duration" value: "\010\001" })"},
      {R"({"times":["1970-01-01T00:00:01Z"]})", "times { seconds: 1 }"},
      {R"({"double_value":0,"int64_value":"5","int32_value":-1,"bool_value":false,"string_value":"s","bytes_value":"YQ=="})",
       "double_value {} int64_value { value: 5 } int32_value { value: -1 } bool_value {} string_value { value: 's' } "
       "bytes_value { value: 'a' }"},
      {R"({"string_value":null})", ""},
      {R"({"string_values":["","b"]})", "string_values {} string_values { value: 'b' }"},
      {R"({"far":"f"})", "far: 'f'"},
      {R"({"te\u0078t":"t"})", "text: 't'"},
  };
  for (const auto& test : kCases) {
    const auto wanted = SharedTypes().New("Everything", test.text);
    auto message = SharedTypes().New("Everything");
    const absl::Status status = Read(test.json, *message);
    EXPECT_TRUE(status.ok()) << test.json << status;
    EXPECT_EQ(message->ShortDebugString(), wanted->ShortDebugString()) << test.json;
  }
}

TEST(Reader, NamesEveryViolation) {
  const struct {
    const char *json, *problem;
  } kCases[] = {
      // Wrong types.
      {R"({"small":{"phones":[{"number":5}]}})", "small.phones[0].number: must be a string"},
      {R"({"text":{}})", "text: must be a string"},
      {R"({"text":["a"]})", "text: must be a string"},
      {R"({"text":true})", "text: must be a string"},
      {R"({"a_bool":"true"})", "a_bool: must be true or false"},
      {R"({"a_bool":1})", "a_bool: must be true or false"},
      {R"({"an_int32":"5"})", "an_int32: must be a whole number from -2147483648 to 2147483647"},
      {R"({"an_int32":true})", "an_int32: must be a whole number from"},
      {R"({"an_int32":1.5})", "an_int32: must be a whole number from"},
      {R"({"a_double":"1.5"})", "a_double: must be a number"},
      {R"({"a_double":"NaN"})", "a_double: must be a number"},
      {R"({"a_float":"Infinity"})", "a_float: must be a number"},
      {R"({"color":1})",
       "color: must be one of COLOR_UNSPECIFIED, COLOR_RED, COLOR_CRIMSON, COLOR_NEGATIVE, COLOR_FAR"},
      {R"({"color":"RED"})", "color: must be one of COLOR_UNSPECIFIED, COLOR_RED,"},
      {R"({"color":"color_red"})", "color: must be one of"},
      {R"({"colors":["COLOR_RED","BLUE"]})", "colors[1]: must be one of"},
      {R"({"data":5})", "data: must be base64 text"},
      {R"({"data":"*"})", "data: must be base64 text"},
      {R"({"small":[]})", "small: must be an object"},
      {R"({"small":"x"})", "small: must be an object"},
      {R"({"smalls":{}})", "smalls: must be a list"},
      {R"({"smalls":[{},5]})", "smalls[1]: must be an object"},
      {R"({"smalls":[null]})", "smalls[0]: must not be null; leave it out"},
      {R"({"texts":"a"})", "texts: must be a list"},
      {R"({"texts":["a",null]})", "texts[1]: must not be null"},
      {R"({"texts":[["a"]]})", "texts[0]: must be a string"},
      {R"({"text_map":[]})", "text_map: must be an object"},
      {R"({"text_map":{"k":5}})", "text_map.k: must be a string"},
      {R"({"text_map":{"a b":5}})", "text_map[\"a b\"]: must be a string"},
      {R"({"text_map":{"a.b":5}})", "text_map[\"a.b\"]: must be a string"},
      {R"({"text_map":{"k":null}})", "text_map.k: must not be null"},
      {R"({"int32_map":{"x":1}})", "int32_map.x: must be a whole number from -2147483648 to 2147483647"},
      {R"({"int32_map":{"2147483648":1}})", "int32_map.2147483648: must be a whole number"},
      {R"({"int32_map":{"01":1}})", "int32_map.01: must be a key in its plain form"},
      {R"({"int32_map":{"-0":1}})", "int32_map[\"-0\"]: must be a key in its plain form"},
      {R"({"int32_map":{"":1}})", "int32_map[\"\"]: must be a whole number"},
      {R"({"bool_map":{"yes":{}}})", "bool_map.yes: must be true or false"},
      {R"({"bool_map":{"true":{"name":1}}})", "bool_map.true.name: must be a string"},
      {R"({"time":5})", "time: must be a time such as"},
      {R"({"time":"yesterday"})", "time: must be a time such as \"2026-11-23T05:39:03Z\""},
      {R"({"times":["2026-11-23"]})", "times[0]: must be a time such as"},
      {R"({"duration":3})", "duration: must be a duration in seconds such as \"3.5s\""},
      {R"({"duration":"3m"})", "duration: must be a duration"},
      {R"({"mask":["a"]})", "mask: must be snake_case field names"},
      {R"({"mask":"displayName"})", "mask: must be snake_case field names"},
      {R"({"mask":"a,,b"})", "mask: must be snake_case field names"},
      {R"({"struct":[]})", "struct: must be an object"},
      {R"({"list":{}})", "list: must be a list"},
      {R"({"string_value":5})", "string_value: must be a string"},
      {R"({"int64_value":"x"})", "int64_value: must be a whole number"},
      {R"({"string_values":[null]})", "string_values[0]: must not be null"},
      {R"({"any":[]})", "any: must be an object"},
      {R"({"any":{"number":"5"}})", "any.@type: must be the name of a message type such as"},
      {R"({"any":{"@type":5}})", "any.@type: must be the name"},
      {R"({"any":{"@type":"test.Phone"}})", "any.@type: must be the name of a message type that this API has"},
      {R"({"any":{"@type":"x/test.Nothing"}})", "any.@type: must be the name of a message type that this API has"},
      {R"({"any":{"@type":"x/test.Phone","number":5}})", "any.number: must be a string"},
      {R"({"any":{"@type":"x/test.Phone","@type":"x/test.Phone"}})", "any.@type: stands twice"},
      {R"({"any":{"@type":"x/google.protobuf.Duration"}})", "any.value: must be given"},
      {R"({"any":{"@type":"x/google.protobuf.Duration","value":"1"}})", "any.value: must be a duration"},
      {R"({"any":{"@type":"x/google.protobuf.Duration","value":"1s","value":"1s"}})", "any.value: stands twice"},
      // Out of range.
      {R"({"an_int32":2147483648})", "an_int32: must be a whole number from -2147483648 to 2147483647"},
      {R"({"an_int32":-2147483649})", "an_int32: must be a whole number"},
      {R"({"an_int32":1e20})", "an_int32: must be a whole number"},
      {R"({"a_uint32":-1})", "a_uint32: must be a whole number from 0 to 4294967295"},
      {R"({"a_uint32":4294967296})", "a_uint32: must be a whole number"},
      {R"({"an_int64":9223372036854775808})",
       "an_int64: must be a whole number from -9223372036854775808 to 9223372036854775807, as text or number"},
      {R"({"an_int64":"9223372036854775808"})", "an_int64: must be a whole number"},
      {R"({"an_int64":" 5"})", "an_int64: must be a whole number"},
      {R"({"an_int64":"+5"})", "an_int64: must be a whole number"},
      {R"({"an_int64":"5.0"})", "an_int64: must be a whole number"},
      {R"({"an_int64":""})", "an_int64: must be a whole number"},
      {R"({"a_uint64":"-1"})", "a_uint64: must be a whole number"},
      {R"({"a_float":1e39})", "a_float: must be a number from -3.4e38 to 3.4e38"},
      {R"({"a_float":-1e39})", "a_float: must be a number from"},
      // Twice, and together.
      {R"({"text":"a","text":"b"})", "text: stands twice; send it once"},
      {R"({"text":null,"text":"b"})", "text: stands twice"},
      {R"({"small":{"name":"a","name":"a"}})", "small.name: stands twice"},
      {R"({"text_map":{"k":"a","k":"b"}})", "text_map.k: stands twice"},
      {R"({"struct":{"k":1,"k":1}})", "struct.k: stands twice"},
      {R"({"choice_text":"a","choice_int32":1})",
       "choice_int32: cannot be given together with choice_text; send one of them"},
      // Text.
      {R"({"text":"a\u0000b"})", "text: must be text without NUL"},
      {R"({"text":"\udc00"})", "text: must be text without NUL"},
      {R"({"text_map":{"\u0000":"v"}})", "text_map[\"\\u0000\"]: must be text without NUL"},
      {R"({"text_map":{"k":"\udfff"}})", "text_map.k: must be text without NUL"},
      {R"({"struct":{"k":"\u0000"}})", "struct.k: must be text without NUL"},
      {R"({"string_value":"\u0000"})", "string_value: must be text without NUL"},
  };
  for (const auto& test : kCases) {
    auto message = SharedTypes().New("Everything");
    const absl::Status status = Read(test.json, *message);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << test.json;
    EXPECT_EQ(ReasonOf(status), ERROR_REASON_FIELD_INVALID) << test.json;
    const auto problems = Problems(status);
    ASSERT_EQ(problems.size(), 1u) << test.json;
    EXPECT_THAT(problems[0], HasSubstr(test.problem)) << test.json;
    EXPECT_TRUE(absl::StartsWith(problems[0], test.problem)) << problems[0];
  }
}

TEST(Reader, RefusesUnknownFieldsByName) {
  const struct {
    const char *json, *problem;
  } kCases[] = {
      {R"({"zzzzzz":1})", "zzzzzz: is no field of Everything\n"},
      {R"({"txet":1})", "txet: is no field of Everything; did you mean text?\n"},
      {R"({"anInt32":1})", "anInt32: is no field of Everything; did you mean an_int32?\n"},
      {R"({"small":{"nickName":"x"}})", "small.nickName: is no field of Small; did you mean nick_name?\n"},
      {R"({"smalls":[{},{"phone":[]}]})", "smalls[1].phone: is no field of Small; did you mean phones?\n"},
      {R"({"bool_map":{"true":{"nam":""}}})", "bool_map.true.nam: is no field of Small; did you mean name?\n"},
      {R"({"":1})", "[\"\"]: is no field of Everything\n"},
      {R"({"a\u0000b\"":1})", "[\"a\\u0000b\\\"\"]: is no field of Everything\n"},
      {R"({"any":{"@type":"x/test.Phone","nmber":"5"}})", "any.nmber: is no field of Phone; did you mean number?\n"},
      {R"({"any":{"@type":"x/google.protobuf.Duration","value":"1s","x":1}})",
       "any.x: is not known here; only @type and value are\n"},
      {R"({"@type":"x"})", "@type: is no field of Everything\n"},
  };
  for (const auto& test : kCases) {
    auto message = SharedTypes().New("Everything");
    const absl::Status status = Read(test.json, *message);
    EXPECT_EQ(ReasonOf(status), ERROR_REASON_FIELD_UNKNOWN) << test.json;
    EXPECT_EQ(ProblemsOf(test.json), test.problem);
  }
}

TEST(Reader, ReportsAllAtOnce) {
  auto message = SharedTypes().New("Everything");
  const absl::Status status =
      Read(R"({"text":5,"nothing":1,"small":{"name":[]},"int32s":[1,"2",3,null],"color":"X"})", *message);
  EXPECT_THAT(
      Problems(status),
      ElementsAre("text: must be a string", "nothing: is no field of Everything", "small.name: must be a string",
                  "int32s[1]: must be a whole number from -2147483648 to 2147483647",
                  "int32s[3]: must not be null; leave it out", HasSubstr("color: must be one of")));
  EXPECT_EQ(status.message(),
            "text must be a string; nothing is no field of Everything; small.name must be a string; and 3 more");
  EXPECT_EQ(MetadataOf(status)["field"], "text");
}

TEST(Reader, ListsNoMoreThanItsLimit) {
  std::string json = R"({"int32s":[)";
  for (int i = 0; i < 100000; ++i) json += i == 0 ? "\"\"" : ",\"\"";
  json += "]}";
  auto message = SharedTypes().New("Everything");
  const absl::Status status = Read(json, *message);
  EXPECT_EQ(Problems(status).size(), kViolationsMax);
  EXPECT_THAT(std::string(status.message()), HasSubstr("and 99997 more"));
}

TEST(Reader, RefusesWhatIsNoJson) {
  const struct {
    std::string json;
    const char* text;
  } kCases[] = {
      {"", "The body is no JSON: The document is empty. (line 1, column 1)"},
      {"   ", "The document is empty."},
      {"{", "(line 1, column 2)"},
      {"{\n  \"text\": \"a\"\n  \"far\": 1}", "Missing a comma or '}' after an object member. (line 3, column 3)"},
      {"{\"text\":\"שלום\" x}", "(line 1, column 16)"},
      {"{}x", "(line 1, column 3)"},
      {"{} {}", "The document root must not be followed by other values."},
      {"{\"text\":\"a\",}", "Missing a name for object member."},
      {"{'text':'a'}", "The body is no JSON"},
      {"{text:1}", "The body is no JSON"},
      {"{\"text\":\"a\nb\"}", "The body is no JSON"},
      {"{\"text\":\"a\x01\"}", "The body is no JSON"},
      {"{\"text\":\"\\x\"}", "The body is no JSON"},
      {"{\"text\":\"\\u12\"}", "The body is no JSON"},
      {"{\"text\":\"\\ud800\"}", "surrogate"},
      {"{\"text\":\"\\ud800\\u0041\"}", "surrogate"},
      {"{\"text\":\"a}", "Missing a closing quotation mark"},
      {"{\"a_double\":NaN}", "The body is no JSON"},
      {"{\"a_double\":Infinity}", "The body is no JSON"},
      {"{\"a_double\":01}", "The body is no JSON"},
      {"{\"a_double\":+1}", "The body is no JSON"},
      {"{\"a_double\":.5}", "The body is no JSON"},
      {"{\"a_double\":1.}", "The body is no JSON"},
      {"{\"a_double\":0x10}", "The body is no JSON"},
      {"{\"a_double\":1e400}", "Number too big to be stored in double."},
      {"{\"a_bool\":True}", "The body is no JSON"},
      {"// comment\n{}", "The body is no JSON"},
      {"\xEF\xBB\xBF{}", "The body is no JSON"},
      {"[]", "The body must be a JSON object"},
      {"null", "The body must be a JSON object"},
      {"\"x\"", "The body must be a JSON object"},
      {"5", "The body must be a JSON object"},
      {std::string("{}\0{}", 5), "NUL byte at line 1, column 3"},
      {std::string("{\"text\":\"\0\"}", 12), "NUL byte at line 1, column 10"},
      {"{\"text\":\"\xff\"}", "not UTF-8 at line 1, column 10"},
      {"{\"text\":\"\xed\xa0\x80\"}", "not UTF-8 at line 1, column 10"},
      {"{\"text\":\"\xc0\x80\"}", "not UTF-8 at line 1, column 10"},
      {"{\"list\":" + WithinList(64) + "}", "nested deeper than 64 levels at line 1, column"},
      {"{\"list\":" + std::string(1000000, '[') + "}", "nested deeper than 64 levels"},
      {"{\"nothing\":" + WithinList(100) + "}", "nested deeper than 64 levels"},
  };
  for (const auto& test : kCases) {
    auto message = SharedTypes().New("Everything");
    const absl::Status status = Read(test.json, *message);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << test.json.substr(0, 100);
    EXPECT_EQ(ReasonOf(status), ERROR_REASON_BODY_INVALID) << test.json.substr(0, 100);
    EXPECT_THAT(std::string(status.message()), HasSubstr(test.text)) << test.json.substr(0, 100);
  }
  auto message = SharedTypes().New("Everything");
  EXPECT_TRUE(Read("{\"list\":" + WithinList(63) + "}", *message).ok());
}

TEST(Reader, RefusesWhatIsTooLarge) {
  auto message = SharedTypes().New("Everything");
  const std::string json = R"({"text":"12345"})";
  EXPECT_TRUE(Read(json, *message, {.bytes_max = json.size()}).ok());
  const absl::Status status = Read(json, *message, {.bytes_max = json.size() - 1});
  EXPECT_EQ(ReasonOf(status), ERROR_REASON_TOO_LARGE);
  EXPECT_EQ(MetadataOf(status)["limit"], "15");
}

TEST(Reader, SaysWhatTheBodyNamed) {
  auto present_in = [](const std::string& type, const std::string& json) {
    auto message = SharedTypes().New(type);
    std::vector<std::string> present = {"left over"};
    EXPECT_TRUE(Read(json, *message, {}, &present).ok()) << json;
    return present;
  };
  EXPECT_THAT(present_in("Everything", "{}"), ElementsAre());
  EXPECT_THAT(
      present_in("Everything", R"({"far":"f","small":{"name":"n"},"text":null,"text_map":{"a":"b"},"maybe_int32":0})"),
      ElementsAre("text", "small", "maybe_int32", "text_map", "far"));
  EXPECT_THAT(present_in("google.protobuf.Struct", R"({"b":1,"a":null})"), ElementsAre("a", "b"));
}

TEST(Reader, ReplacesOnlyWhatIsNamed) {
  auto message = SharedTypes().New("Everything",
                                   "text: 'old' far: 'kept' small { name: 'old' nick_name: 'old' } int32s: [1, 2] "
                                   "text_map { key: 'old' } choice_int32: 5");
  ASSERT_TRUE(
      Read(R"({"text":"new","small":{"name":"new"},"int32s":[3],"text_map":{"new":"x"},"choice_text":"new"})", *message)
          .ok());
  EXPECT_EQ(message->ShortDebugString(),
            SharedTypes()
                .New("Everything",
                     "text: 'new' far: 'kept' small { name: 'new' } int32s: [3] text_map { key: 'new' value: 'x' } "
                     "choice_text: 'new'")
                ->ShortDebugString());
  ASSERT_TRUE(
      Read(R"({"text":null,"small":null,"int32s":null,"text_map":null,"choice_text":null,"far":null})", *message).ok());
  EXPECT_EQ(message->ShortDebugString(), "");
}

TEST(Reader, LeavesOutWhatAStoredTextHasMore) {
  const struct {
    const char *json, *text;
  } kCases[] = {
      {R"({"text":"a","newer":{"x":[1]},"small":{"name":"n","newer":1}})", "text: 'a' small { name: 'n' }"},
      {R"({"color":"COLOR_NEWER"})", ""},
      {R"({"color":1})", "color: COLOR_RED"},
      {R"({"color":77})", "color: 77"},
      {R"({"colors":["COLOR_RED","COLOR_NEWER","COLOR_FAR"]})", "colors: [COLOR_RED, COLOR_FAR]"},
      {R"({"sint64_map":{"1":"COLOR_NEWER","2":"COLOR_RED"}})", "sint64_map { key: 2 value: COLOR_RED }"},
      {R"({"anys":[{"@type":"x/test.Newer","a":1},{"@type":"x/test.Phone","newer":1}]})",
       "anys { type_url: 'x/test.Phone' }"},
  };
  for (const auto& test : kCases) {
    const auto wanted = SharedTypes().New("Everything", test.text);
    auto message = SharedTypes().New("Everything");
    const absl::Status status = Read(test.json, *message, {.stored = true});
    EXPECT_TRUE(status.ok()) << test.json << status;
    EXPECT_EQ(message->ShortDebugString(), wanted->ShortDebugString()) << test.json;
  }
  EXPECT_THAT(ProblemsOf(R"({"text":5})", {.stored = true}), HasSubstr("text: must be a string"));
}

TEST(Reader, ReadsCamelCaseWhereAsked) {
  auto message = SharedTypes().New("Everything");
  std::vector<std::string> present;
  ASSERT_TRUE(Read(R"({"anInt32":5,"a_bool":true,"mask":"displayName,phones","small":{"nickName":"n"}})", *message,
                   {.camel_case = true}, &present)
                  .ok());
  EXPECT_EQ(message->ShortDebugString(),
            SharedTypes()
                .New("Everything",
                     "an_int32: 5 a_bool: true mask { paths: 'display_name' paths: 'phones' } small { nick_name: 'n' }")
                ->ShortDebugString());
  EXPECT_THAT(present, ElementsAre("an_int32", "a_bool", "small", "mask"));
  EXPECT_EQ(ProblemsOf(R"({"anInt32":5,"an_int32":5})", {.camel_case = true}),
            "an_int32: stands twice; send it once\n");
}

TEST(Reader, FillsGeneratedMessages) {
  type::v1::Money money;
  ASSERT_TRUE(Read(R"({"amount":"1234.50","currency_code":"EUR"})", money).ok());
  EXPECT_EQ(money.amount(), "1234.50");
  google::protobuf::Struct structure;
  ASSERT_TRUE(Read(R"({"a":[1,null]})", structure).ok());
  EXPECT_EQ(*Write(structure), R"({"a":[1,null]})");
  google::protobuf::Any any;
  ASSERT_TRUE(Read(R"({"@type":"type.googleapis.com/crm.type.v1.Money","amount":"1"})", any).ok());
  ASSERT_TRUE(any.UnpackTo(&money));
  EXPECT_EQ(money.amount(), "1");
  google::protobuf::Timestamp time;
  ASSERT_TRUE(Read(R"("1970-01-01T00:00:01Z")", time).ok());
  EXPECT_EQ(time.seconds(), 1);
}

// RapidJSON's exact mode against the C library, on numbers of every size and length.
TEST(Reader, ReadsNumbersExactly) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  auto message = SharedTypes().New("Everything");
  const auto* field = message->GetDescriptor()->FindFieldByName("a_double");
  for (int i = 0; i < 20000; ++i) {
    std::string number = random() % 2 ? "-" : "";
    const int before = 1 + random() % (i % 50 == 0 ? 150 : 20), after = random() % (i % 50 == 0 ? 150 : 20);
    number += static_cast<char>('1' + random() % 9);
    for (int j = 1; j < before; ++j) number += static_cast<char>('0' + random() % 10);
    if (after > 0) number += '.';
    for (int j = 0; j < after; ++j) number += static_cast<char>('0' + random() % 10);
    if (random() % 2) absl::StrAppend(&number, "e", static_cast<int>(random() % 490) - 330);
    const double wanted = std::strtod(number.c_str(), nullptr);
    const absl::Status status = Read(absl::StrCat("{\"a_double\":", number, "}"), *message);
    if (std::isinf(wanted)) {
      EXPECT_FALSE(status.ok()) << number;
    } else {
      ASSERT_TRUE(status.ok()) << number << status;
      ASSERT_EQ(message->GetReflection()->GetDouble(*message, field), wanted) << number;
    }
  }
}

TEST(ReadField, ReadsWhatAppendFieldWrote) {
  const struct {
    const char *field, *text;
  } kCases[] = {
      {"small", "small { name: 'x' }"},
      {"small", ""},
      {"smalls", "smalls { name: 'x' } smalls {}"},
      {"smalls", ""},
      {"text_map", "text_map { key: 'a' value: 'v' }"},
      {"text_map", ""},
      {"struct", "struct { fields { key: 'k' value { number_value: 2 } } }"},
      {"times", "times { seconds: 1 }"},
      {"sint32s", "sint32s: [-2147483648, 2147483647]"},
      {"value", "value { null_value: NULL_VALUE }"},
      {"anys", "anys { type_url: 'x/test.Phone' value: '\\n\\0011' }"},
      {"color", "color: 77"},
  };
  for (const auto& test : kCases) {
    const auto wanted = SharedTypes().New("Everything", test.text);
    const auto* field = wanted->GetDescriptor()->FindFieldByName(test.field);
    std::string stored;
    ASSERT_TRUE(AppendField(*wanted, field, stored).ok()) << test.text;
    // Whatever it held before is replaced.
    auto message =
        SharedTypes().New("Everything", "small { nick_name: 'old' } smalls {} text_map { key: 'old' } times {}");
    for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
      const auto* other = message->GetDescriptor()->field(i);
      if (other != field) message->GetReflection()->ClearField(message.get(), other);
    }
    ASSERT_TRUE(ReadField(stored, field, *message).ok()) << stored;
    EXPECT_EQ(message->ShortDebugString(), wanted->ShortDebugString()) << stored;
  }
  auto message = SharedTypes().New("Everything");
  const auto* smalls = message->GetDescriptor()->FindFieldByName("smalls");
  EXPECT_TRUE(ReadField(R"([{"newer":1}])", smalls, *message).ok());
  EXPECT_THAT(Problems(ReadField(R"([{"newer":1}])", smalls, *message, {})),
              ElementsAre("smalls[0].newer: is no field of Small"));
  EXPECT_THAT(Problems(ReadField(R"([{},{"name":1}])", smalls, *message)),
              ElementsAre("smalls[1].name: must be a string"));
}

TEST(SetField, SetsFromText) {
  const struct {
    const char *path, *value, *text;
  } kCases[] = {
      {"text", "", ""},
      {"text", "a b", "text: 'a b'"},
      {"an_int32", "-5", "an_int32: -5"},
      {"an_int64", "9223372036854775807", "an_int64: 9223372036854775807"},
      {"a_uint64", "18446744073709551615", "a_uint64: 18446744073709551615"},
      {"a_double", "1.5e3", "a_double: 1500"},
      {"a_float", "0.25", "a_float: 0.25"},
      {"a_bool", "true", "a_bool: true"},
      {"a_bool", "false", ""},
      {"data", "YQ==", "data: 'a'"},
      {"color", "COLOR_RED", "color: COLOR_RED"},
      {"maybe_int32", "0", "maybe_int32: 0"},
      {"texts", "x", "texts: 'x'"},
      {"int32s", "7", "int32s: 7"},
      {"colors", "COLOR_FAR", "colors: COLOR_FAR"},
      {"small.child.name", "n", "small { child { name: 'n' } }"},
      {"choice_text", "t", "choice_text: 't'"},
      {"choice_small.name", "n", "choice_small { name: 'n' }"},
      {"time", "1970-01-01T00:00:01Z", "time { seconds: 1 }"},
      {"times", "1970-01-01T00:00:01Z", "times { seconds: 1 }"},
      {"duration", "1.5s", "duration { seconds: 1 nanos: 500000000 }"},
      {"mask", "a,b_c", "mask { paths: 'a' paths: 'b_c' }"},
      {"string_value", "s", "string_value { value: 's' }"},
      {"int64_value", "5", "int64_value { value: 5 }"},
      {"bool_value", "false", "bool_value {}"},
  };
  for (const auto& test : kCases) {
    const auto wanted = SharedTypes().New("Everything", test.text);
    auto message = SharedTypes().New("Everything");
    const absl::Status status = SetField(*message, test.path, test.value);
    EXPECT_TRUE(status.ok()) << test.path << status;
    EXPECT_EQ(message->ShortDebugString(), wanted->ShortDebugString()) << test.path;
  }
}

TEST(SetField, NamesWhatIsWrong) {
  const struct {
    const char* path;
    std::string value;
    const char* problem;
    Reason reason;
  } kCases[] = {
      {"nothing", "1", "nothing: is no field of Everything", ERROR_REASON_FIELD_UNKNOWN},
      {"", "1", "[\"\"]: is no field of Everything", ERROR_REASON_FIELD_UNKNOWN},
      {"small.", "1", "small.: is no field of Small", ERROR_REASON_FIELD_UNKNOWN},
      {"small.nme", "1", "small.nme: is no field of Small; did you mean name?", ERROR_REASON_FIELD_UNKNOWN},
      {"small\xff", "1", "[\"small\xEF\xBF\xBD\"]: is no field of Everything", ERROR_REASON_FIELD_UNKNOWN},
      {"text.x", "1", "text.x: goes too far: text has no fields", ERROR_REASON_FIELD_UNKNOWN},
      {"smalls.name", "1", "smalls.name: cannot be reached by a path; send smalls in the body",
       ERROR_REASON_FIELD_INVALID},
      {"time.seconds", "1", "time.seconds: cannot be reached by a path", ERROR_REASON_FIELD_INVALID},
      {"text_map", "1", "text_map: is a map; send it in the body", ERROR_REASON_FIELD_INVALID},
      {"text_map.a", "1", "text_map.a: cannot be reached by a path", ERROR_REASON_FIELD_INVALID},
      {"small", "1", "small: cannot be given as one text", ERROR_REASON_FIELD_INVALID},
      {"struct", "{}", "struct: cannot be given as one text", ERROR_REASON_FIELD_INVALID},
      {"value", "1", "value: cannot be given as one text", ERROR_REASON_FIELD_INVALID},
      {"any", "1", "any: cannot be given as one text", ERROR_REASON_FIELD_INVALID},
      {"an_int32", "", "an_int32: must be a whole number from -2147483648 to 2147483647", ERROR_REASON_FIELD_INVALID},
      {"an_int32", "5x", "an_int32: must be a whole number", ERROR_REASON_FIELD_INVALID},
      {"an_int32", " 5", "an_int32: must be a whole number", ERROR_REASON_FIELD_INVALID},
      {"an_int32", "1.0", "an_int32: must be a whole number", ERROR_REASON_FIELD_INVALID},
      {"an_int32", "2147483648", "an_int32: must be a whole number", ERROR_REASON_FIELD_INVALID},
      {"a_uint32", "-1", "a_uint32: must be a whole number from 0 to 4294967295", ERROR_REASON_FIELD_INVALID},
      {"a_double", "nan", "a_double: must be a number", ERROR_REASON_FIELD_INVALID},
      {"a_double", "inf", "a_double: must be a number", ERROR_REASON_FIELD_INVALID},
      {"a_double", "1e400", "a_double: must be a number", ERROR_REASON_FIELD_INVALID},
      {"a_double", "0x10", "a_double: must be a number", ERROR_REASON_FIELD_INVALID},
      {"a_float", "1e39", "a_float: must be a number from -3.4e38 to 3.4e38", ERROR_REASON_FIELD_INVALID},
      {"a_bool", "1", "a_bool: must be true or false", ERROR_REASON_FIELD_INVALID},
      {"color", "1", "color: must be one of COLOR_UNSPECIFIED", ERROR_REASON_FIELD_INVALID},
      {"colors", "RED", "colors: must be one of COLOR_UNSPECIFIED", ERROR_REASON_FIELD_INVALID},
      {"data", "*", "data: must be base64 text", ERROR_REASON_FIELD_INVALID},
      {"time", "today", "time: must be a time such as", ERROR_REASON_FIELD_INVALID},
      {"small.name", std::string("a\0b", 3), "small.name: must be UTF-8 text without NUL", ERROR_REASON_FIELD_INVALID},
      {"text", "\xff", "text: must be UTF-8 text without NUL", ERROR_REASON_FIELD_INVALID},
  };
  for (const auto& test : kCases) {
    auto message = SharedTypes().New("Everything");
    const absl::Status status = SetField(*message, test.path, test.value);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << test.path;
    EXPECT_EQ(ReasonOf(status), test.reason) << test.path;
    const auto problems = Problems(status);
    ASSERT_EQ(problems.size(), 1u) << test.path;
    EXPECT_TRUE(absl::StartsWith(problems[0], test.problem)) << problems[0];
  }
}

TEST(ReadParameters, ReadsThemAll) {
  auto message = SharedTypes().New("Everything");
  ASSERT_TRUE(
      ReadParameters({{"texts", "a"}, {"an_int32", "50"}, {"texts", "b"}, {"small.name", "n"}, {"small.nick_name", ""}},
                     *message)
          .ok());
  EXPECT_EQ(message->ShortDebugString(),
            SharedTypes()
                .New("Everything", "an_int32: 50 small { name: 'n' nick_name: '' } texts: ['a', 'b']")
                ->ShortDebugString());
  EXPECT_TRUE(ReadParameters({}, *message).ok());
}

TEST(ReadParameters, ReportsAllAtOnce) {
  auto message = SharedTypes().New("Everything");
  EXPECT_THAT(Problems(ReadParameters({{"an_int32", "x"},
                                       {"text", "a"},
                                       {"text", "a"},
                                       {"nothing", ""},
                                       {"choice_text", "a"},
                                       {"choice_int32", "1"},
                                       {"mask", "a"},
                                       {"mask", "b"}},
                                      *message)),
              ElementsAre(HasSubstr("an_int32: must be a whole number"), "text: stands twice; send it once",
                          "nothing: is no field of Everything",
                          "choice_int32: cannot be given together with choice_text; send one of them",
                          "mask: stands twice; send it once"));
}

}  // namespace
}  // namespace crm::json::test
