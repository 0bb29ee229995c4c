#include <gmock/gmock.h>
#include <google/protobuf/io/coded_stream.h>

#include "common/json/json.h"
#include "common/json/text.h"
#include "crm/type/v1/access.pb.h"
#include "crm/type/v1/money.pb.h"
#include "tests/unit/common/json/types.h"

namespace crm::json::test {
namespace {

using ::testing::HasSubstr;

// Wire bytes by hand.
std::string WireVarint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
std::string WireTag(int number, int wire_type) { return WireVarint(static_cast<uint64_t>(number) << 3 | wire_type); }
std::string WireNumber(int number, uint64_t value) { return WireTag(number, 0) + WireVarint(value); }
std::string WireBytes(int number, const std::string& bytes) {
  return WireTag(number, 2) + WireVarint(bytes.size()) + bytes;
}

const Writer& SharedWriter() {
  static auto* writer = new Writer(SharedTypes().pool());
  return *writer;
}
std::string Written(const std::string& type, const std::string& wire) {
  auto json = SharedWriter().Write(SharedTypes().Type(type), wire);
  return json.ok() ? *json : json.status().ToString();
}

// The members that one field adds, out of a message that prints many.
std::string MemberOf(const std::string& name, const std::string& json) {
  const std::string key = "\"" + name + "\":";
  const auto at = json.find(key);
  if (at == std::string::npos) return "(absent)";
  int depth = 0;
  bool quoted = false;
  std::size_t i = at + key.size();
  for (; i < json.size(); ++i) {
    if (json[i] == '\\') {
      ++i;
    } else if (json[i] == '"') {
      quoted = !quoted;
    } else if (!quoted) {
      if (json[i] == '{' || json[i] == '[') ++depth;
      if (json[i] == '}' || json[i] == ']') --depth;
      if (depth < 0 || (depth == 0 && json[i] == ',')) break;
    }
  }
  return json.substr(at + key.size(), i - at - key.size());
}

TEST(Writer, PrintsDefaultsAndOmitsWhatIsAbsent) {
  EXPECT_EQ(Written("Everything", ""),
            R"({"text":"","a_double":0,"a_float":0,"an_int32":0,"an_int64":"0","a_uint32":0,"a_uint64":"0",)"
            R"("a_sint32":0,"a_sint64":"0","a_fixed32":0,"a_fixed64":"0","a_sfixed32":0,"a_sfixed64":"0",)"
            R"("a_bool":false,"data":"","color":"COLOR_UNSPECIFIED",)"
            R"("doubles":[],"int32s":[],"int64s":[],"sint32s":[],"fixed32s":[],"bools":[],"texts":[],"datas":[],)"
            R"("colors":[],"smalls":[],"loose":[],)"
            R"("text_map":{},"int32_map":{},"bool_map":{},"sint64_map":{},"uint64_map":{},"value_map":{},)"
            R"("times":[],"values":[],"anys":[],"string_values":[],"far":""})");
}

TEST(Writer, PrintsEachFieldInOurDialect) {
  const struct {
    const char *field, *text, *json;
  } kCases[] = {
      {"text", R"(text: "plain")", R"("plain")"},
      {"text", R"(text: "q\" b\\ n\n t\t r\r f\f b\b nul\000 esc\033")",
       R"("q\" b\\ n\n t\t r\r f\f b\b nul\u0000 esc\u001b")"},
      {"text", R"(text: "Щёкин שלום 😀 </script>")", R"("Щёкин שלום 😀 </script>")"},
      {"text", "text: \"\\177\"", "\"\x7f\""},
      {"a_double", "a_double: 1.5", "1.5"},
      {"a_double", "a_double: 100000", "100000"},
      {"a_double", "a_double: 0.1", "0.1"},
      {"a_double", "a_double: -0.0", "-0"},
      {"a_double", "a_double: 1e-7", "1e-07"},
      {"a_double", "a_double: 1.7976931348623157e308", "1.7976931348623157e+308"},
      {"a_double", "a_double: 123456789012345680000", "123456789012345683968"},
      {"a_double", "a_double: 1e21", "1e+21"},
      {"a_double", "a_double: 5e-324", "5e-324"},
      {"a_float", "a_float: 0.1", "0.1"},
      {"a_float", "a_float: 16777216", "16777216"},
      {"an_int32", "an_int32: -2147483648", "-2147483648"},
      {"an_int32", "an_int32: 2147483647", "2147483647"},
      {"an_int64", "an_int64: -9223372036854775808", R"("-9223372036854775808")"},
      {"an_int64", "an_int64: 9007199254740993", R"("9007199254740993")"},
      {"a_uint32", "a_uint32: 4294967295", "4294967295"},
      {"a_uint64", "a_uint64: 18446744073709551615", R"("18446744073709551615")"},
      {"a_sint32", "a_sint32: -2147483648", "-2147483648"},
      {"a_sint32", "a_sint32: 2147483647", "2147483647"},
      {"a_sint64", "a_sint64: -9223372036854775808", R"("-9223372036854775808")"},
      {"a_fixed32", "a_fixed32: 4294967295", "4294967295"},
      {"a_fixed64", "a_fixed64: 18446744073709551615", R"("18446744073709551615")"},
      {"a_sfixed32", "a_sfixed32: -1", "-1"},
      {"a_sfixed64", "a_sfixed64: -1", R"("-1")"},
      {"a_bool", "a_bool: true", "true"},
      {"data", R"(data: "\000\377\376")", R"("AP/+")"},
      {"data", R"(data: "a")", R"("YQ==")"},
      {"color", "color: COLOR_RED", R"("COLOR_RED")"},
      {"color", "color: COLOR_CRIMSON", R"("COLOR_RED")"},
      {"color", "color: COLOR_NEGATIVE", R"("COLOR_NEGATIVE")"},
      {"color", "color: COLOR_FAR", R"("COLOR_FAR")"},
      {"color", "color: 77", "77"},
      {"color", "color: -77", "-77"},
      {"small", "small {}", R"({"name":"","phones":[]})"},
      {"small", R"(small { nick_name: "" child { name: "c" } })",
       R"({"name":"","nick_name":"","child":{"name":"c","phones":[]},"phones":[]})"},
      {"doubles", "doubles: [1.5, 0, -2]", "[1.5,0,-2]"},
      {"int32s", "int32s: [1, -1, 0]", "[1,-1,0]"},
      {"int64s", "int64s: [1, -1]", R"(["1","-1"])"},
      {"sint32s", "sint32s: [1, -1]", "[1,-1]"},
      {"fixed32s", "fixed32s: [1, 4294967295]", "[1,4294967295]"},
      {"bools", "bools: [true, false]", "[true,false]"},
      {"texts", R"(texts: ["", "a,b]"])", R"(["","a,b]"])"},
      {"datas", R"(datas: ["", "a"])", R"(["","YQ=="])"},
      {"colors", "colors: [COLOR_RED, COLOR_UNSPECIFIED]", R"(["COLOR_RED","COLOR_UNSPECIFIED"])"},
      {"smalls", R"(smalls { name: "1" } smalls {})", R"([{"name":"1","phones":[]},{"name":"","phones":[]}])"},
      {"loose", "loose: [5, 6]", "[5,6]"},
      {"maybe_int32", "", "(absent)"},
      {"maybe_int32", "maybe_int32: 0", "0"},
      {"maybe_text", "maybe_text: \"\"", R"("")"},
      {"maybe_color", "maybe_color: COLOR_UNSPECIFIED", R"("COLOR_UNSPECIFIED")"},
      {"choice_text", "choice_text: \"\"", R"("")"},
      {"choice_int32", "choice_int32: 0", "0"},
      {"choice_small", "choice_small {}", R"({"name":"","phones":[]})"},
      {"choice_time", "choice_time {}", R"("1970-01-01T00:00:00Z")"},
      {"text_map", R"(text_map { key: "b" value: "2" } text_map { key: "a\"" value: "1" })", R"({"a\"":"1","b":"2"})"},
      {"text_map", R"(text_map { key: "b" value: "2" } text_map { key: "b" value: "3" })", R"({"b":"3"})"},
      {"text_map", "text_map {}", R"({"":""})"},
      {"int32_map", "int32_map { key: 10 value: 1 } int32_map { key: -2 value: 2 } int32_map { key: 9 }",
       R"({"-2":"2","9":"0","10":"1"})"},
      {"bool_map", "bool_map { key: true } bool_map { key: false value { name: 'x' } }",
       R"({"false":{"name":"x","phones":[]},"true":{"name":"","phones":[]}})"},
      {"sint64_map", "sint64_map { key: -1 value: COLOR_RED } sint64_map { key: -9223372036854775808 }",
       R"({"-9223372036854775808":"COLOR_UNSPECIFIED","-1":"COLOR_RED"})"},
      {"uint64_map", "uint64_map { key: 18446744073709551615 value: 'a' } uint64_map { key: 2 }",
       R"({"2":"","18446744073709551615":"YQ=="})"},
      {"value_map",
       "value_map { key: 'n' value { null_value: NULL_VALUE } } value_map { key: 'x' value { number_value: 1.5 } }",
       R"({"n":null,"x":1.5})"},
      {"time", "time { seconds: 1795412343 }", R"("2026-11-23T05:39:03Z")"},
      {"time", "time { seconds: 1795412343 nanos: 120000000 }", R"("2026-11-23T05:39:03.120Z")"},
      {"time", "time { seconds: 1795412343 nanos: 120 }", R"("2026-11-23T05:39:03.000000120Z")"},
      {"time", "time { seconds: -1 nanos: 999999000 }", R"("1969-12-31T23:59:59.999999Z")"},
      {"time", "time { seconds: -62135596800 }", R"("0001-01-01T00:00:00Z")"},
      {"time", "time { seconds: 253402300799 nanos: 999999999 }", R"("9999-12-31T23:59:59.999999999Z")"},
      {"time", "time { seconds: 951782400 }", R"("2000-02-29T00:00:00Z")"},
      {"duration", "duration {}", R"("0s")"},
      {"duration", "duration { seconds: 3 nanos: 500000000 }", R"("3.500s")"},
      {"duration", "duration { nanos: -1 }", R"("-0.000000001s")"},
      {"duration", "duration { seconds: -315576000000 }", R"("-315576000000s")"},
      {"mask", "mask {}", R"("")"},
      {"mask", "mask { paths: 'display_name' paths: 'size_2' }", R"("display_name,size_2")"},
      {"struct", "struct {}", "{}"},
      {"struct",
       "struct { fields { key: 'b' value { list_value { values { bool_value: true } values { string_value: 'x' } } } } "
       "fields { key: 'a' value { struct_value { fields { key: 'n' value {} } } } } }",
       R"({"a":{"n":null},"b":[true,"x"]})"},
      {"value", "value {}", "null"},
      {"value", "value { number_value: 3 }", "3"},
      {"list", "list { values { number_value: 1 } values { list_value {} } }", "[1,[]]"},
      {"any", "any {}", "{}"},
      {"any", "any { [type.googleapis.com/test.Phone] { number: '5' } }",
       R"({"@type":"type.googleapis.com/test.Phone","number":"5","rank":0})"},
      {"any", "any { [type.googleapis.com/google.protobuf.Duration] { seconds: 1 } }",
       R"({"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"})"},
      {"any", "any { [type.googleapis.com/google.protobuf.Any] { type_url: 'x/test.Phone' } }",
       R"({"@type":"type.googleapis.com/google.protobuf.Any","value":{"@type":"x/test.Phone","number":"","rank":0}})"},
      {"times", "times { seconds: 1 } times {}", R"(["1970-01-01T00:00:01Z","1970-01-01T00:00:00Z"])"},
      {"values", "values {} values { string_value: '' }", R"([null,""])"},
      {"double_value", "", "(absent)"},
      {"double_value", "double_value {}", "0"},
      {"double_value", "double_value { value: 2.5 }", "2.5"},
      {"int64_value", "int64_value { value: 5 }", R"("5")"},
      {"int64_value", "int64_value {}", R"("0")"},
      {"bool_value", "bool_value {}", "false"},
      {"string_value", "string_value {}", R"("")"},
      {"bytes_value", "bytes_value { value: 'a' }", R"("YQ==")"},
      {"string_values", "string_values {} string_values { value: 'a' }", R"(["","a"])"},
      {"far", "far: 'f'", R"("f")"},
  };
  for (const auto& test : kCases) {
    const auto message = SharedTypes().New("Everything", test.text);
    EXPECT_EQ(MemberOf(test.field, Written("Everything", message->SerializeAsString())), test.json) << test.text;
  }
}

TEST(Writer, ReadsWireBytesAsEveryParserMust) {
  const std::string phone_a = WireBytes(1, "a"), phone_b = WireBytes(1, "b");
  const struct {
    const char* what;
    const char* field;
    std::string wire;
    const char* json;
  } kCases[] = {
      {"the last of several wins", "an_int32", WireNumber(3, 1) + WireNumber(3, 2), "2"},
      {"unknown fields are skipped", "an_int32",
       WireNumber(9999, 1) + WireBytes(9998, "x") + WireTag(9997, 1) + std::string(8, 'x') + WireTag(9996, 5) +
           std::string(4, 'x') + WireNumber(3, 2),
       "2"},
      {"unknown groups are skipped", "an_int32",
       WireTag(900, 3) + WireNumber(1, 5) + WireTag(2, 3) + WireTag(2, 4) + WireTag(900, 4) + WireNumber(3, 2), "2"},
      {"a field of another wire type is unknown", "an_int32", WireBytes(3, "x"), "0"},
      {"packed", "int32s", WireBytes(23, WireVarint(1) + WireVarint(2)), "[1,2]"},
      {"not packed", "int32s", WireNumber(23, 1) + WireNumber(23, 2), "[1,2]"},
      {"both, with others in between", "int32s",
       WireNumber(23, 1) + WireNumber(3, 7) + WireBytes(23, WireVarint(2) + WireVarint(3)) + WireNumber(24, 9),
       "[1,2,3]"},
      {"declared not packed, sent packed", "loose", WireBytes(38, WireVarint(1) + WireVarint(2)), "[1,2]"},
      {"an empty packed list", "int32s", WireBytes(23, ""), "[]"},
      {"a negative int32 of ten bytes", "an_int32", WireNumber(3, ~uint64_t{0}), "-1"},
      {"an int32 that is too long is cut", "an_int32", WireNumber(3, (uint64_t{1} << 40) + 5), "5"},
      {"a message in parts is merged", "small",
       WireBytes(17, WireBytes(1, "x")) + WireNumber(3, 1) + WireBytes(17, WireBytes(4, phone_a) + WireBytes(2, "n")) +
           WireBytes(17, WireBytes(4, phone_b)),
       R"({"name":"x","nick_name":"n","phones":[{"number":"a","rank":0},{"number":"b","rank":0}]})"},
      {"the last member of a oneof wins", "choice_text", WireNumber(52, 1) + WireBytes(51, "t"), R"("t")"},
      {"the last member of a oneof wins", "choice_int32", WireNumber(52, 1) + WireBytes(51, "t"), "(absent)"},
      {"a oneof's message starts afresh", "choice_small",
       WireBytes(53, WireBytes(2, "old")) + WireNumber(52, 1) + WireBytes(53, WireBytes(1, "new")),
       R"({"name":"new","phones":[]})"},
      {"a oneof's message is merged", "choice_small",
       WireBytes(53, WireBytes(2, "n")) + WireBytes(53, WireBytes(1, "a")),
       R"({"name":"a","nick_name":"n","phones":[]})"},
      {"a map's entry with its value first", "text_map", WireBytes(61, WireBytes(2, "v") + WireBytes(1, "k")),
       R"({"k":"v"})"},
      {"a map's message value in parts", "bool_map",
       WireBytes(63, WireNumber(1, 1) + WireBytes(2, WireBytes(1, "a")) + WireBytes(2, WireBytes(2, "n"))),
       R"({"true":{"name":"a","nick_name":"n","phones":[]}})"},
      {"a bool of any number", "a_bool", WireNumber(13, 300), "true"},
  };
  for (const auto& test : kCases) {
    EXPECT_EQ(MemberOf(test.field, Written("Everything", test.wire)), test.json) << test.what;
  }
}

TEST(Writer, RefusesBytesThatAreNoMessage) {
  std::string deep;
  for (int i = 0; i < 150; ++i) deep = WireBytes(i == 149 ? 17 : 3, deep);
  std::string deep_group;
  for (int i = 0; i < 150; ++i) deep_group = WireTag(900, 3) + deep_group + WireTag(900, 4);
  const struct {
    const char* what;
    std::string wire;
    const char* error;
  } kCases[] = {
      {"a cut varint", std::string("\x18\xff", 2), "no message of this type"},
      {"a varint of eleven bytes", WireTag(3, 0) + std::string(10, '\xff') + "\x01", "no message of this type"},
      {"a cut text", WireTag(14, 2) + WireVarint(5) + "abc", "no message of this type"},
      {"a length beyond all", WireTag(14, 2) + WireVarint(~uint64_t{0}), "no message of this type"},
      {"a cut fixed32", WireTag(9, 5) + "abc", "no message of this type"},
      {"a cut fixed64", WireTag(10, 1) + "abc", "no message of this type"},
      {"field number 0", WireNumber(0, 1), "no message of this type"},
      {"wire type 6", WireTag(9999, 6), "no message of this type"},
      {"a group's end alone", WireTag(9999, 4), "no message of this type"},
      {"a group that ends as another", WireTag(900, 3) + WireTag(901, 4), "no message of this type"},
      {"a group that does not end", WireTag(900, 3) + WireNumber(3, 1), "no message of this type"},
      {"a tag above 32 bits", WireVarint(uint64_t{1} << 35), "no message of this type"},
      {"a packed list that ends in a value", WireBytes(23, "\xff"), "int32s: the bytes are no message"},
      {"a broken message inside", WireBytes(37, "") + WireBytes(37, WireBytes(4, "\x0a\x05")),
       "smalls[1].phones[0]: the bytes"},
      {"bad UTF-8", WireBytes(14, "\xc3\x28"), "text: the text is not UTF-8"},
      {"half a surrogate", WireBytes(14, "\xed\xa0\x80"), "text: the text is not UTF-8"},
      {"an overlong character", WireBytes(14, "\xc0\xaf"), "text: the text is not UTF-8"},
      {"bad UTF-8 in a key", WireBytes(61, WireBytes(1, "\xff")), "text_map: a key is not UTF-8"},
      {"bad UTF-8 in a mask", WireBytes(73, WireBytes(1, "\xff")), "mask: the text is not UTF-8"},
      {"not a number", WireTag(1, 1) + std::string("\0\0\0\0\0\0\xf8\x7f", 8), "a_double: the number is not finite"},
      {"infinite", WireTag(2, 5) + std::string("\0\0\x80\x7f", 4), "a_float: the number is not finite"},
      {"infinite in a Value", WireBytes(75, WireTag(2, 1) + std::string("\0\0\0\0\0\0\xf0\xff", 8)),
       "value: the number is not finite"},
      {"the year 10000", WireBytes(71, WireNumber(1, 253402300800)), "time: the time is not between"},
      {"a second of nanos", WireBytes(71, WireNumber(2, 1000000000)), "time: the time is not between"},
      {"a duration of two signs", WireBytes(72, WireNumber(1, 1) + WireNumber(2, ~uint64_t{0})),
       "duration: the duration is"},
      {"a map's value", WireBytes(66, WireBytes(1, "k\"") + WireBytes(2, WireBytes(3, "\xff"))),
       "value_map[\"k\\\"\"]: the text"},
      {"an Any of a type unknown", WireBytes(77, WireBytes(1, "x/test.Nothing")),
       "any: an Any of a type that is not known"},
      {"an Any without type", WireBytes(77, WireBytes(2, "x")), "any: an Any without a type"},
      {"an Any with a broken inside", WireBytes(77, WireBytes(1, "x/test.Phone") + WireBytes(2, "\xff")),
       "any: the bytes"},
      {"an Any in a list", WireBytes(80, WireBytes(1, "x/no")), "anys[0]: an Any of a type"},
      {"150 messages deep", deep, "nested too deep"},
      {"150 groups deep", deep_group, "no message of this type"},
  };
  for (const auto& test : kCases) {
    std::string out = "before";
    const Writer::Plan* plan = SharedWriter().PlanOf(SharedTypes().Type("Everything"));
    const absl::Status status = SharedWriter().Append(plan, test.wire, out);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << test.what;
    EXPECT_THAT(std::string(status.message()), HasSubstr(test.error)) << test.what;
    EXPECT_EQ(out, "before") << test.what;
  }
}

TEST(Writer, AppendsFurtherMembers) {
  auto write = [](const char* type, const std::string& wire) {
    auto json = SharedWriter().Write(SharedTypes().Type(type), wire, R"("refs":{"a":1})");
    return json.ok() ? *json : json.status().ToString();
  };
  EXPECT_EQ(write("Phone", WireBytes(1, "5")), R"({"number":"5","rank":0,"refs":{"a":1}})");
  EXPECT_EQ(write("google.protobuf.Struct", ""), R"({"refs":{"a":1}})");
  EXPECT_EQ(write("google.protobuf.Any", WireBytes(1, "x/test.Phone")),
            R"({"@type":"x/test.Phone","number":"","rank":0,"refs":{"a":1}})");
  EXPECT_THAT(write("google.protobuf.Timestamp", ""), HasSubstr("is no JSON object"));
  EXPECT_THAT(write("google.protobuf.Value", ""), HasSubstr("is no JSON object"));
}

TEST(Writer, WritesGeneratedMessages) {
  type::v1::Money money;
  money.set_amount("1234.50");
  EXPECT_EQ(*Write(money), R"({"amount":"1234.50","currency_code":""})");
  EXPECT_EQ(*Write(money, R"("x":1)"), R"({"amount":"1234.50","currency_code":"","x":1})");
  EXPECT_EQ(Writer::Generated().PlanOf(type::v1::Money::descriptor()),
            Writer::Generated().PlanOf(type::v1::Money::descriptor()));
}

TEST(Writer, WritesDynamicMessages) {
  EXPECT_EQ(*Write(*SharedTypes().New("Phone", "rank: 2")), R"({"number":"","rank":2})");
}

TEST(AppendField, WritesWhatAColumnStores) {
  const struct {
    const char *field, *text, *json;
  } kCases[] = {
      {"small", "", "null"},
      {"small", "small { name: 'x' }", R"({"name":"x","phones":[]})"},
      {"smalls", "", "[]"},
      {"smalls", "smalls { name: 'x' } smalls {}", R"([{"name":"x","phones":[]},{"name":"","phones":[]}])"},
      {"text_map", "", "{}"},
      {"text_map", "text_map { key: 'b' } text_map { key: 'a' value: 'v' }", R"({"a":"v","b":""})"},
      {"sint64_map", "sint64_map { key: -3 value: COLOR_RED }", R"({"-3":"COLOR_RED"})"},
      {"bool_map", "bool_map { key: true value { name: 'x' } }", R"({"true":{"name":"x","phones":[]}})"},
      {"value_map", "value_map { key: 'k' value { bool_value: true } }", R"({"k":true})"},
      {"struct", "struct { fields { key: 'k' value { number_value: 2 } } }", R"({"k":2})"},
      {"times", "times { seconds: 1 }", R"(["1970-01-01T00:00:01Z"])"},
      {"doubles", "doubles: [1.5, -0.25]", "[1.5,-0.25]"},
      {"int64s", "int64s: -7", R"(["-7"])"},
      {"sint32s", "sint32s: [-2147483648, 2147483647]", "[-2147483648,2147483647]"},
      {"a_sint64", "a_sint64: -9223372036854775808", R"("-9223372036854775808")"},
      {"a_float", "a_float: 1.25", "1.25"},
      {"bools", "bools: [true, false]", "[true,false]"},
      {"colors", "colors: [COLOR_RED, COLOR_NEGATIVE]", R"(["COLOR_RED","COLOR_NEGATIVE"])"},
      {"texts", "texts: ['a', 'b']", R"(["a","b"])"},
      {"datas", "datas: 'a'", R"(["YQ=="])"},
      {"fixed32s", "fixed32s: 4294967295", "[4294967295]"},
      {"a_uint64", "a_uint64: 18446744073709551615", R"("18446744073709551615")"},
      {"maybe_int32", "", "null"},
      {"maybe_int32", "maybe_int32: 0", "0"},
      {"text", "", R"("")"},
  };
  for (const auto& test : kCases) {
    const auto message = SharedTypes().New("Everything", test.text);
    std::string out = "x";
    const auto* field = message->GetDescriptor()->FindFieldByName(test.field);
    EXPECT_TRUE(AppendField(*message, field, out).ok()) << test.text;
    EXPECT_EQ(out, std::string("x") + test.json) << test.text;
  }
  const auto message = SharedTypes().New("Everything", "times { seconds: 1 } times { nanos: -1 }");
  std::string out = "x";
  const absl::Status status = AppendField(*message, message->GetDescriptor()->FindFieldByName("times"), out);
  EXPECT_THAT(std::string(status.message()), HasSubstr("times[1]: the time is not"));
  EXPECT_EQ(out, "x");
}

TEST(AppendString, IsAlwaysJson) {
  auto quoted = [](absl::string_view text) {
    std::string out;
    AppendString(text, out);
    return out;
  };
  EXPECT_EQ(quoted("a\"b"), R"("a\"b")");
  EXPECT_EQ(quoted("é"), "\"é\"");
  EXPECT_EQ(quoted("a\xff\"b\xc3"), "\"a\xEF\xBF\xBD\\\"b\xEF\xBF\xBD\"");
  EXPECT_EQ(quoted(""), R"("")");
}

TEST(Text, ReadsTimes) {
  const struct {
    const char* text;
    int64_t seconds;
    int32_t nanos;
  } kGood[] = {
      {"2026-11-23T05:39:03Z", 1795412343, 0},
      {"2026-11-23t05:39:03z", 1795412343, 0},
      {"2026-11-23T05:39:03.5Z", 1795412343, 500000000},
      {"2026-11-23T05:39:03.123456789Z", 1795412343, 123456789},
      {"2026-11-23T07:39:03+02:00", 1795412343, 0},
      {"2026-11-22T23:09:03-06:30", 1795412343, 0},
      {"1969-12-31T23:59:59.5Z", -1, 500000000},
      {"0001-01-01T00:00:00Z", text::kTimestampSecondsMin, 0},
      {"9999-12-31T23:59:59.999999999Z", text::kTimestampSecondsMax, 999999999},
      {"2024-02-29T00:00:00Z", 1709164800, 0},
  };
  for (const auto& test : kGood) {
    const auto time = text::ParseTimestamp(test.text);
    ASSERT_TRUE(time.has_value()) << test.text;
    EXPECT_EQ(time->seconds, test.seconds) << test.text;
    EXPECT_EQ(time->nanos, test.nanos) << test.text;
  }
  for (const char* bad : {"",
                          "now",
                          "2026-11-23",
                          "2026-11-23T05:39:03",
                          "2026-11-23 05:39:03Z",
                          "2026-11-23T05:39Z",
                          "2026-13-01T00:00:00Z",
                          "2026-00-01T00:00:00Z",
                          "2026-02-30T00:00:00Z",
                          "2023-02-29T00:00:00Z",
                          "2026-11-23T24:00:00Z",
                          "2026-11-23T05:60:03Z",
                          "2026-11-23T05:39:60Z",
                          "2026-11-23T05:39:03.Z",
                          "2026-11-23T05:39:03.1234567890Z",
                          "2026-11-23T05:39:03+2:00",
                          "2026-11-23T05:39:03+24:00",
                          "2026-11-23T05:39:03+02:60",
                          "2026-11-23T05:39:03Zx",
                          "0000-01-01T00:00:00Z",
                          "0001-01-01T00:00:00+01:00",
                          "9999-12-31T23:59:59-01:00",
                          "0000-12-31T23:30:00-01:00",
                          "12026-11-23T05:39:03Z",
                          "-026-11-23T05:39:03Z",
                          "2026-11-23T05:39:03 Z",
                          "2026-11-23T05:39:03,5Z",
                          "2026-1-23T05:39:03Z"}) {
    EXPECT_FALSE(text::ParseTimestamp(bad).has_value()) << bad;
  }
}

TEST(Text, ReadsDurations) {
  const struct {
    const char* text;
    int64_t seconds;
    int32_t nanos;
  } kGood[] = {
      {"3s", 3, 0},  {"3.5s", 3, 500000000}, {"-3.5s", -3, -500000000},          {"-0.000000001s", 0, -1}, {"0s", 0, 0},
      {"-0s", 0, 0}, {"007s", 7, 0},         {"315576000000s", 315576000000, 0},
  };
  for (const auto& test : kGood) {
    const auto time = text::ParseDuration(test.text);
    ASSERT_TRUE(time.has_value()) << test.text;
    EXPECT_EQ(time->seconds, test.seconds) << test.text;
    EXPECT_EQ(time->nanos, test.nanos) << test.text;
  }
  for (const char* bad : {"", "s", "3", "3 s", "3S", "+3s", "--3s", ".5s", "3.s", "3.1234567890s", "1e3s", "3ss", "3m",
                          "315576000001s", "315576000000.1s", "99999999999999999999s", "-", "- 3s"}) {
    EXPECT_FALSE(text::ParseDuration(bad).has_value()) << bad;
  }
}

TEST(Text, ReadsBase64) {
  const struct {
    const char *text, *bytes;
  } kGood[] = {{"", ""},        {"YQ==", "a"},        {"YQ", "a"},          {"YWI=", "ab"},     {"YWI", "ab"},
               {"YWJj", "abc"}, {"_-8=", "\xff\xef"}, {"/+8=", "\xff\xef"}, {"_-8", "\xff\xef"}};
  for (const auto& test : kGood) EXPECT_EQ(text::ParseBase64(test.text), std::string(test.bytes)) << test.text;
  for (const char* bad : {"Y", "YQ=", "Y Q==", "YQ==\n", "YQ==YQ==", "=", "Y*==", "é"}) {
    EXPECT_FALSE(text::ParseBase64(bad).has_value()) << bad;
  }
}

TEST(Text, QuotesWithoutSplittingCharacters) {
  EXPECT_EQ(text::Quoted("a\"b"), R"("a\"b")");
  std::string yiddish;
  for (int i = 0; i < 100; ++i) yiddish += "ש";
  EXPECT_TRUE(text::IsText(text::Quoted("x" + yiddish)));
  EXPECT_TRUE(text::IsText(text::Quoted(yiddish)));
  EXPECT_LT(text::Quoted(yiddish).size(), 80u);
  EXPECT_TRUE(text::IsText("שלום"));
  EXPECT_FALSE(text::IsText(absl::string_view("a\0b", 3)));
  EXPECT_FALSE(text::IsText("\xff"));
}

}  // namespace
}  // namespace crm::json::test
