#include "services/gateway/openapi.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "tests/unit/services/gateway/descriptors.h"

namespace crm::gateway {
namespace {

using Json = nlohmann::json;

class OpenApiTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto api = Api::Make(CompiledIn());
    ASSERT_TRUE(api.ok()) << api.status();
    document_ = new Json(Json::parse(OpenApiJson(**api)));
  }
  static void TearDownTestSuite() { delete document_; }

  // Every "$ref" below a value.
  static void Refs(const Json& value, std::set<std::string>& found) {
    if (value.is_object() && value.contains("$ref")) found.insert(value["$ref"].get<std::string>());
    if (!value.is_structured()) return;
    for (const auto& below : value) Refs(below, found);
  }
  static std::set<std::string> Parameters(const Json& operation, const std::string& in) {
    std::set<std::string> names;
    for (const auto& parameter : operation.value("parameters", Json::array())) {
      if (parameter.value("in", "") == in) names.insert(parameter["name"]);
    }
    return names;
  }

  inline static Json* document_ = nullptr;
};

TEST_F(OpenApiTest, EveryReferenceAndOperationIsThere) {
  std::set<std::string> refs, ids;
  Refs(*document_, refs);
  EXPECT_GT(refs.size(), 50u);
  for (const auto& ref : refs) EXPECT_TRUE(document_->contains(Json::json_pointer(ref.substr(1)))) << ref;
  for (const auto& [path, methods] : (*document_)["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      EXPECT_TRUE(ids.insert(operation["operationId"]).second) << path << ": " << operation["operationId"];
      for (const auto& name : Parameters(operation, "path"))
        EXPECT_NE(path.find("{" + name + "}"), std::string::npos) << path << ": " << name;
    }
  }
  EXPECT_TRUE(ids.count("SearchContacts")) << "the second binding of ListContacts";
}

TEST_F(OpenApiTest, RequestsAndAnswersDiffer) {
  const Json& schemas = (*document_)["components"]["schemas"];
  const Json& answer = schemas["Contact"];
  const Json& input = schemas["ContactInput"];
  const Json& patch = schemas["ContactPatch"];
  EXPECT_EQ(answer["properties"]["id"]["readOnly"], true);
  EXPECT_FALSE(answer["properties"]["given_name"].contains("maxLength")) << "an answer is what it is";
  std::set<std::string> required = answer["required"];
  EXPECT_TRUE(required.count("given_name")) << "defaults are printed";
  EXPECT_FALSE(required.count("create_time")) << "an absent message is not";
  EXPECT_FALSE(input["properties"].contains("id"));
  EXPECT_EQ(input["properties"]["given_name"]["maxLength"], 200);
  EXPECT_EQ(input["additionalProperties"], false);
  EXPECT_EQ(patch["properties"]["given_name"]["type"], (Json{"string", "null"}));
  EXPECT_TRUE(patch["properties"].contains("etag"));
  EXPECT_FALSE(patch.contains("required"));
}

TEST_F(OpenApiTest, ParametersAreWhatAddressesTake) {
  const Json& paths = (*document_)["paths"];
  const Json& list = paths["/v1/contacts"]["get"];
  std::set<std::string> query = Parameters(list, "query");
  for (const char* name : {"page_size", "page_token", "filter", "expand"}) EXPECT_TRUE(query.count(name)) << name;
  EXPECT_FALSE(list.contains("requestBody"));
  // A variable is called by its last part, and is not asked for twice.
  const Json& update = paths["/v1/contacts/{id}"]["patch"];
  EXPECT_EQ(Parameters(update, "path"), std::set<std::string>{"id"});
  EXPECT_EQ(Parameters(update, "query"), std::set<std::string>{"expand"});
  EXPECT_EQ(update["requestBody"]["content"]["application/json"]["schema"]["$ref"],
            "#/components/schemas/ContactPatch");
  const Json& move = paths["/v1/deals/{id}:move"]["post"];
  std::string body = move["requestBody"]["content"]["application/json"]["schema"]["$ref"];
  const Json& schema = (*document_)[Json::json_pointer(body.substr(1))];
  EXPECT_TRUE(schema["properties"].contains("stage_id"));
  EXPECT_FALSE(schema["properties"].contains("id")) << "it stands in the path";
  // No secret is ever a parameter.
  for (const auto& [path, methods] : paths.items()) {
    for (const auto& [method, operation] : methods.items()) {
      for (const auto& name : Parameters(operation, "query")) EXPECT_FALSE(IsSecretName(name)) << path << ": " << name;
    }
  }
}

TEST_F(OpenApiTest, SaysWhoMayCall) {
  const Json& paths = (*document_)["paths"];
  EXPECT_EQ(paths["/v1/sessions"]["post"]["security"], Json::array());
  EXPECT_FALSE(paths["/v1/contacts"]["get"].contains("security")) << "the document's own holds";
  EXPECT_EQ((*document_)["security"].size(), 2u);
  EXPECT_NE(paths["/v1/contacts"]["post"]["description"].get<std::string>().find("contact.create"), std::string::npos);
  EXPECT_EQ(paths["/v1/contacts"]["post"]["x-rpc"], "crm.contact.v1.ContactService.CreateContact");
}

}  // namespace
}  // namespace crm::gateway
