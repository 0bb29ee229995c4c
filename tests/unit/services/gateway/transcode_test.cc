#include "services/gateway/transcode.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/base/error.h"
#include "common/json/json.h"
#include "services/gateway/expand.h"
#include "services/gateway/schema.h"
#include "tests/unit/services/gateway/descriptors.h"

namespace crm::gateway {
namespace {

const Api& TestApi() {
  static const Api* api = [] {
    auto made = Api::Make(CompiledIn());
    if (!made.ok()) {
      ADD_FAILURE() << made.status();
      abort();
    }
    return made->release();
  }();
  return *api;
}

// What a request becomes, as the JSON of its message; or its error.
struct Outcome {
  absl::Status status;
  unsigned http_status = 0;
  nlohmann::json message;
  std::vector<std::string> expand;
  std::string rpc;

  Reason reason() const { return ReasonOf(status); }
  std::string field() const {
    auto violations = ViolationsOf(status);
    return violations.empty() ? "" : violations[0].field;
  }
};
Outcome Send(const std::string& method, const std::string& target, const std::string& body = "",
             const std::string& type = "application/json",
             const std::vector<std::pair<std::string, std::string>>& headers = {}) {
  Outcome out;
  HttpRequest request;
  request.method = method;
  request.path = target.substr(0, target.find('?'));
  if (target.find('?') != std::string::npos) request.query = target.substr(target.find('?') + 1);
  request.body = body;
  if (!type.empty()) request.headers.set("Content-Type", type);
  for (const auto& [name, value] : headers) request.headers.set(name, value);
  auto found = TestApi().Find(method, request.path);
  if (!found.ok()) {
    out.status = found.status();
    return out;
  }
  out.rpc = found->rpc->method->name();
  auto read = ReadRequest(*found->rpc, found->match, request, 4 << 20, out.http_status);
  out.status = read.status();
  if (read.ok()) {
    out.expand = read->expand;
    auto json = TestApi().writer().Write(found->rpc->method->input_type(), read->bytes);
    EXPECT_TRUE(json.ok()) << json.status();
    if (json.ok()) out.message = nlohmann::json::parse(*json);
  }
  return out;
}

TEST(ApiTest, EveryRouteIsFoundByItsOwnTemplate) {
  EXPECT_GT(TestApi().routes().size(), 40u);
  EXPECT_EQ(TestApi().records().at("contact").service, "contact");
  EXPECT_EQ(TestApi().records().at("user").service, "identity");
  for (const auto& route : TestApi().routes()) {
    EXPECT_NE(route.access.who_case(), type::v1::Access::kService) << route.full_name;
    auto parsed = ParsePathTemplate(route.path);
    std::string path;
    for (const auto& segment : parsed->segments) path += "/" + (segment == "*" ? "some_id" : segment);
    if (!parsed->verb.empty()) path += ":" + parsed->verb;
    auto found = TestApi().Find(route.http_method, path);
    ASSERT_TRUE(found.ok()) << path;
    EXPECT_EQ(found->rpc, &route) << path;
  }
}

TEST(ApiTest, RefusesWhatCannotBeServed) {
  auto change = [](auto edit) {
    auto set = CompiledIn();
    for (auto& file : *set.mutable_file()) {
      if (file.name() == "crm/contact/v1/contact.proto") edit(file);
    }
    return Api::Make(set).status();
  };
  auto again = change([](auto& file) {
    auto* copy = file.mutable_service(0)->add_method();
    *copy = file.service(0).method(0);
    copy->set_name("CreateContactAgain");
  });
  EXPECT_EQ(again.code(), absl::StatusCode::kAlreadyExists) << again;
  EXPECT_NE(again.message().find("CreateContactAgain"), absl::string_view::npos);
  auto no_access = change([](auto& file) {
    file.mutable_service(0)->mutable_method(0)->mutable_options()->ClearExtension(type::v1::access);
  });
  EXPECT_NE(no_access.message().find("access"), absl::string_view::npos);
  auto service_only = change([](auto& file) {
    file.mutable_service(0)
        ->mutable_method(0)
        ->mutable_options()
        ->MutableExtension(type::v1::access)
        ->set_service(true);
  });
  EXPECT_NE(service_only.message().find("only for services"), absl::string_view::npos) << service_only;
  auto same_prefix = change([](auto& file) {
    for (auto& message : *file.mutable_message_type()) {
      if (message.name() == "Contact")
        message.mutable_options()->MutableExtension(type::v1::record)->set_prefix("company");
    }
  });
  EXPECT_NE(same_prefix.message().find("prefix"), absl::string_view::npos);
}

TEST(TranscodeTest, PathQueryAndBody) {
  auto get = Send("GET", "/v1/contacts/contact_01h455vb4pex5vsknk084sn02q", "", "");
  ASSERT_TRUE(get.status.ok()) << get.status;
  EXPECT_EQ(get.rpc, "GetContact");
  EXPECT_EQ(get.message["id"], "contact_01h455vb4pex5vsknk084sn02q");

  auto list = Send("GET",
                   "/v1/"
                   "contacts?page_size=20&filter=display_name:%22a%22&order_by=create_time%20desc&view=VIEW_FULL&"
                   "expand=owner,company&expand=owner",
                   "", "");
  ASSERT_TRUE(list.status.ok()) << list.status;
  EXPECT_EQ(list.message["page_size"], 20);
  EXPECT_EQ(list.message["filter"], "display_name:\"a\"");
  EXPECT_EQ(list.message["view"], "VIEW_FULL");
  EXPECT_EQ(list.expand, (std::vector<std::string>{"owner", "company"}));

  auto search = Send("POST", "/v1/contacts:search", R"({"page_size": 5})");
  ASSERT_TRUE(search.status.ok()) << search.status;
  EXPECT_EQ(search.rpc, "ListContacts");
  EXPECT_EQ(search.message["page_size"], 5);

  auto empty = Send("POST", "/v1/contacts:search", "", "");
  EXPECT_TRUE(empty.status.ok()) << empty.status;

  auto create = Send("POST", "/v1/contacts", R"({"given_name": "Ada"})");
  ASSERT_TRUE(create.status.ok()) << create.status;
  EXPECT_EQ(create.message["contact"]["given_name"], "Ada");
}

TEST(TranscodeTest, PatchTakesItsMaskFromTheBodysKeys) {
  auto patch =
      Send("PATCH", "/v1/contacts/contact_01h455vb4pex5vsknk084sn02q", R"({"given_name": "Ada", "job_title": null})");
  ASSERT_TRUE(patch.status.ok()) << patch.status;
  EXPECT_EQ(patch.message["contact"]["id"], "contact_01h455vb4pex5vsknk084sn02q");
  EXPECT_EQ(patch.message["update_mask"], "given_name,job_title");

  auto with_etag = Send("PATCH", "/v1/contacts/contact_01h455vb4pex5vsknk084sn02q",
                        R"({"id": "contact_01h455vb4pex5vsknk084sn02q", "etag": "7", "given_name": "Ada"})");
  ASSERT_TRUE(with_etag.status.ok()) << with_etag.status;
  EXPECT_EQ(with_etag.message["update_mask"], "given_name");
  EXPECT_EQ(with_etag.message["etag"], "7");

  EXPECT_EQ(Send("PATCH", "/v1/contacts/contact_01h455vb4pex5vsknk084sn02q", "{}").reason(),
            type::v1::ERROR_REASON_FIELD_INVALID);
  auto other =
      Send("PATCH", "/v1/contacts/contact_01h455vb4pex5vsknk084sn02q", R"({"id": "contact_x", "given_name": "Ada"})");
  EXPECT_EQ(other.field(), "contact.id") << other.status;
}

TEST(TranscodeTest, IfMatchGoesToTheEtag) {
  const std::string path = "/v1/contacts/contact_01h455vb4pex5vsknk084sn02q";
  for (const char* header : {"\"7\"", "W/\"7\"", "\"7.0a1b2c3d\"", "W/\"7.0a1b2c3d\""}) {
    auto sent = Send("DELETE", path, "", "", {{"If-Match", header}});
    ASSERT_TRUE(sent.status.ok()) << header << sent.status;
    EXPECT_EQ(sent.message["etag"], "7") << header;
  }
  EXPECT_TRUE(Send("DELETE", path, "", "", {{"If-Match", "*"}}).status.ok());
  for (const char* header : {"7", "\"7", "\"\"", "\"7\", \"8\""})
    EXPECT_EQ(Send("DELETE", path, "", "", {{"If-Match", header}}).field(), "If-Match") << header;
  EXPECT_EQ(Send("POST", "/v1/contacts", R"({"given_name":"A"})", "application/json", {{"If-Match", "\"7\""}}).field(),
            "If-Match");
  EXPECT_EQ(Send("DELETE", path + "?etag=8", "", "", {{"If-Match", "\"7\""}}).field(), "If-Match");
}

TEST(TranscodeTest, RefusesWhatTheMessageDoesNotKnow) {
  const std::string path = "/v1/contacts";
  EXPECT_EQ(Send("GET", path + "?colour=red", "", "").reason(), type::v1::ERROR_REASON_FIELD_UNKNOWN);
  EXPECT_EQ(Send("GET", path + "?page_size=many", "", "").reason(), type::v1::ERROR_REASON_FIELD_INVALID);
  EXPECT_EQ(Send("GET", path + "?page_size=1&page_size=2", "", "").reason(), type::v1::ERROR_REASON_FIELD_INVALID);
  EXPECT_EQ(Send("GET", path + "?expand=owner,cousin", "", "").field(), "expand");
  EXPECT_EQ(Send("GET", path + "?filter=%ff", "", "").status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Send("GET", "/v1/contacts/contact_01h455vb4pex5vsknk084sn02q?id=other", "", "").reason(),
            type::v1::ERROR_REASON_FIELD_UNKNOWN);
  EXPECT_EQ(Send("POST", path + "?contact.given_name=A", "{}").reason(), type::v1::ERROR_REASON_FIELD_UNKNOWN);
  EXPECT_EQ(Send("POST", path + ":search?page_size=5", "{}").reason(), type::v1::ERROR_REASON_FIELD_UNKNOWN);
  EXPECT_EQ(Send("GET", path, "{}").reason(), type::v1::ERROR_REASON_BODY_INVALID);

  auto unknown = Send("POST", path, R"({"given_name": "A", "colour": "red"})");
  EXPECT_EQ(unknown.reason(), type::v1::ERROR_REASON_FIELD_UNKNOWN);
  EXPECT_EQ(unknown.field(), "contact.colour");
  EXPECT_EQ(Send("POST", path, R"({"given_name": 7})").field(), "contact.given_name");
}

TEST(TranscodeTest, RefusesBodiesThatAreNoJson) {
  std::string deep = R"({"phones":)" + std::string(5000, '[') + std::string(5000, ']') + "}";
  for (const std::string& body : {std::string("{"), std::string("[]"), std::string("null"), std::string("\"a\""),
                                  std::string("{}{}"), std::string(""), std::string("{\"given_name\":\"\xff\"}"),
                                  std::string("{\"given_name\":\"a\0b\"}", 21), deep, std::string("{'a':1}")}) {
    auto sent = Send("POST", "/v1/contacts", body);
    EXPECT_EQ(sent.status.code(), absl::StatusCode::kInvalidArgument) << body.substr(0, 40);
  }
  for (const char* type : {"", "text/plain", "application/xml", "application/json; charset=latin1",
                           "application/x-www-form-urlencoded", "multipart/form-data"}) {
    auto sent = Send("POST", "/v1/contacts", R"({"given_name":"A"})", type);
    EXPECT_EQ(sent.http_status, 415u) << type;
    EXPECT_EQ(sent.reason(), type::v1::ERROR_REASON_BODY_INVALID);
  }
  EXPECT_TRUE(Send("POST", "/v1/contacts", R"({"given_name":"A"})", "Application/JSON; charset=UTF-8").status.ok());
  EXPECT_EQ(Send("POST", "/v1/contacts", "x", "application/json", {{"Content-Encoding", "gzip"}}).http_status, 415u);
}

TEST(TranscodeTest, PublicFormsMayBeUrlencoded) {
  auto sent = Send("POST", "/v1/public/tenant_01h455vb4pex5vsknk084sn02q/forms/form_01h455vb4pex5vsknk084sn02q:submit",
                   "name=Ada+L%C3%B6w&email=a%40b.example&utm%5Bsource%5D=ad&answers.size=XL",
                   "application/x-www-form-urlencoded");
  ASSERT_TRUE(sent.status.ok()) << sent.status;
  EXPECT_EQ(sent.message["name"], "Ada L\xc3\xb6w");
  EXPECT_EQ(sent.message["tenant_id"], "tenant_01h455vb4pex5vsknk084sn02q");
  EXPECT_EQ(sent.message["utm"]["source"], "ad");
  EXPECT_EQ(sent.message["answers"]["size"], "XL");
  // Never for what sets a cookie: a foreign page's form could sign a browser in.
  EXPECT_EQ(Send("POST", "/v1/sessions", "login=a%40b.c&password=x", "application/x-www-form-urlencoded").http_status,
            415u);
}

TEST(TranscodeTest, SecretsNeverStandInAddresses) {
  auto sent = Send("GET", "/v1/sessions?password=hunter2hunter2", "", "");
  EXPECT_EQ(sent.field(), "password");
  EXPECT_EQ(std::string(sent.status.message()).find("hunter2"), std::string::npos) << sent.status;
}

TEST(CallHeadersTest, Table) {
  auto read = [](const std::vector<std::pair<std::string, std::string>>& headers, Call& call) {
    HttpRequest request;
    request.start = std::chrono::steady_clock::now();
    for (const auto& [name, value] : headers) request.headers.set(name, value);
    absl::Status status = ReadCallHeaders(request, call);
    call.deadline = std::chrono::steady_clock::time_point(call.deadline - request.start);  // relative
    return status;
  };
  auto ms = [](const Call& call) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(call.deadline.time_since_epoch()).count();
  };
  Call call;
  ASSERT_TRUE(read({}, call).ok());
  EXPECT_EQ(ms(call), 10'000);
  EXPECT_EQ(call.traceparent.size(), 55u);
  for (const auto& [text, want] :
       std::vector<std::pair<std::string, int>>{{"2.5", 2500}, {"2.5s", 2500}, {"500ms", 500}, {"3600", 30'000}}) {
    ASSERT_TRUE(read({{"X-Timeout", text}}, call).ok());
    EXPECT_EQ(ms(call), want) << text;
  }
  for (const char* text : {"-1", "0", "soon", "nan", "inf", "1e99"})
    EXPECT_FALSE(read({{"X-Timeout", text}}, call).ok()) << text;
  ASSERT_TRUE(read({{"Idempotency-Key", "\"abc-1\""}}, call).ok());
  EXPECT_EQ(call.idempotency_key, "abc-1");
  for (const std::string& text :
       {std::string(101, 'a'), std::string("a b"), std::string("\xc3\xa9"), std::string("\"\"")}) {
    EXPECT_FALSE(read({{"Idempotency-Key", text}}, call).ok()) << text;
  }
  EXPECT_FALSE(read({{"Crm-Time-Zone", "../../etc/passwd\x01"}}, call).ok());
  ASSERT_TRUE(read({{"Crm-Time-Zone", "Europe/Berlin"},
                    {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
                   call)
                  .ok());
  EXPECT_EQ(call.time_zone, "Europe/Berlin");
  EXPECT_EQ(call.traceparent.substr(0, 36), "00-0af7651916cd43dd8448eb211c80319c-");
}

TEST(LanguageTest, Table) {
  for (const auto& [header, want] : std::vector<std::pair<std::string, std::string>>{{"", ""},
                                                                                     {"de", ""},
                                                                                     {"ru", "ru"},
                                                                                     {"de, ru;q=0.5, en;q=0.8", "en"},
                                                                                     {"he-IL, en;q=0.1", "he"},
                                                                                     {"iw", "he"},
                                                                                     {"en;q=0", ""},
                                                                                     {"en;q=x", ""},
                                                                                     {",;,", ""}}) {
    EXPECT_EQ(PickLanguage(header), want) << header;
  }
}

TEST(ExpandTest, FindsIdsOnTheWire) {
  const auto* list = TestApi().Find("GET", "/v1/deals")->rpc;
  EXPECT_TRUE(list->ref_names.count("owner"));
  EXPECT_TRUE(list->ref_names.count("contact"));
  deal_pipeline::v1::ListDealsResponse response;
  for (int i = 0; i < 3; ++i) {
    auto* deal = response.add_deals();
    deal->set_id("deal_" + std::to_string(i));
    deal->set_owner_id("user_1");
    deal->set_contact_id("contact_" + std::to_string(i));
  }
  std::set<std::string> ids;
  ASSERT_TRUE(CollectRefs(*list->refs, response.SerializeAsString(), {"owner", "contact"}, ids).ok());
  EXPECT_EQ(ids, (std::set<std::string>{"user_1", "contact_0", "contact_1", "contact_2"}));
  ids.clear();
  ASSERT_TRUE(CollectRefs(*list->refs, response.SerializeAsString(), {"owner"}, ids).ok());
  EXPECT_EQ(ids.size(), 1u);
  // What is no message is an error, never a read beyond its end.
  std::string bytes = response.SerializeAsString();
  for (size_t cut = 1; cut < bytes.size(); ++cut) {
    std::set<std::string> some;
    CollectRefs(*list->refs, absl::string_view(bytes.data(), cut), {"owner"}, some).IgnoreError();
  }
  EXPECT_FALSE(CollectRefs(*list->refs, "\x0a\xff\xff\xff\xff\x07", {"owner"}, ids).ok());
}

TEST(SchemaTest, TellsFieldsEnumsAndRoutes) {
  auto schema = nlohmann::json::parse(SchemaJson(TestApi()));
  EXPECT_EQ(schema["routes"].size(), TestApi().routes().size());
  std::map<std::string, nlohmann::json> objects;
  for (auto& object : schema["objects"]) objects[object["type"]] = object;
  ASSERT_TRUE(objects.count("contact"));
  std::map<std::string, nlohmann::json> fields;
  for (auto& field : objects["contact"]["fields"]) fields[field["name"]] = field;
  EXPECT_EQ(fields["owner_id"]["type"], "reference");
  EXPECT_EQ(fields["owner_id"]["ref"][0], "user");
  EXPECT_EQ(fields["create_time"]["output_only"], true);
  EXPECT_EQ(fields["create_time"]["type"], "timestamp");
  EXPECT_NE(objects["contact"]["rights"].dump().find("contact.read"), std::string::npos);
  EXPECT_FALSE(schema["enums"].empty());
}

}  // namespace
}  // namespace crm::gateway
