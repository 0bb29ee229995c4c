#include <algorithm>

#include "tests/integration/gateway/gateway_fixture.h"

namespace crm::gateway::test {
namespace {

class RestTest : public GatewayTest {};

TEST_F(RestTest, RecordsAreMadeReadListedAndChanged) {
  Start();
  Answer made = Http("POST", "/v1/teams", R"({"name": "North", "head_id": "user_01h455vb4pex5vsknk084sn02q"})",
                     Bearer({{"Idempotency-Key", "k1"}}));
  ASSERT_EQ(made.status, 200u) << made.body;
  std::string id = made.json["id"];
  EXPECT_EQ(made["ETag"], "\"1\"");
  EXPECT_EQ(made.json["create_time"], nullptr);
  EXPECT_FALSE(made["X-Request-Id"].empty());
  EXPECT_EQ(made["X-Content-Type-Options"], "nosniff");
  // The key travels on: the same key is the same team.
  EXPECT_EQ(Http("POST", "/v1/teams", R"({"name": "North"})", Bearer({{"Idempotency-Key", "k1"}})).json["id"], id);

  Answer got = Get("/v1/teams/" + id);
  EXPECT_EQ(got.json["name"], "North");
  std::string etag = got["ETag"];
  EXPECT_EQ(etag.substr(0, 3), "\"1.");
  EXPECT_EQ(got["Cache-Control"], "private, no-cache");
  Answer same = Get("/v1/teams/" + id, {{"If-None-Match", "\"x\", W/" + etag}});
  EXPECT_EQ(same.status, 304u);
  EXPECT_EQ(same.body, "");
  EXPECT_EQ(same["ETag"], etag);
  Answer head = Http("HEAD", "/v1/teams/" + id, "", Bearer());
  EXPECT_EQ(head.status, 200u);
  EXPECT_EQ(head["ETag"], etag);
  EXPECT_EQ(head["Content-Length"], std::to_string(got.body.size()));

  Answer patched =
      Http("PATCH", "/v1/teams/" + id, R"({"name": "South", "head_id": null})", Bearer({{"If-Match", etag}}));
  ASSERT_EQ(patched.status, 200u) << patched.body;
  EXPECT_EQ(world_.masks.back(), "name,head_id,");
  EXPECT_EQ(patched.json["name"], "South");
  EXPECT_EQ(patched.json["head_id"], "");
  Answer stale = Http("PATCH", "/v1/teams/" + id, R"({"name": "East"})", Bearer({{"If-Match", etag}}));
  EXPECT_EQ(stale.status, 409u);
  EXPECT_EQ(stale.reason(), "ETAG_MISMATCH");
  EXPECT_EQ(stale.json["error"]["details"][0]["metadata"]["etag"], "2");

  Answer list = Get("/v1/teams?page_size=10");
  EXPECT_EQ(list.json["teams"].size(), 1u);
  EXPECT_EQ(list.json["next_page_token"], "");
  Answer search = Http("POST", "/v1/teams:search", R"({"page_size": 10})", Bearer());
  EXPECT_EQ(search.json["teams"].size(), 1u);

  Answer gone = Get("/v1/teams/team_01h455vb4pex5vsknk084sn02q");
  EXPECT_EQ(gone.status, 404u);
  EXPECT_EQ(gone.reason(), "RECORD_NOT_FOUND");
}

TEST_F(RestTest, HeadersTravelToTheService) {
  Start();
  Answer plain = Get("/v1/session");
  EXPECT_EQ(plain.json["language"], "ru") << "the token's";
  EXPECT_EQ(plain.json["time_zone"], "Europe/Berlin");
  Answer asked =
      Get("/v1/session",
          {{"Accept-Language", "he, en;q=0.5"}, {"Crm-Time-Zone", "Asia/Tokyo"}, {"X-Request-Id", "mine-1"}});
  EXPECT_EQ(asked.json["language"], "he");
  EXPECT_EQ(asked.json["time_zone"], "Asia/Tokyo");
  EXPECT_EQ(asked["X-Request-Id"], "mine-1");
}

TEST_F(RestTest, ExpandAddsRefs) {
  Start();
  Http("POST", "/v1/teams", R"({"name": "A", "head_id": "user_01h455vb4pex5vsknk084sn02q"})", Bearer());
  Http("POST", "/v1/teams", R"({"name": "B", "head_id": "user_01h455vb4pex5vsknk084sn02q"})", Bearer());
  Answer list = Get("/v1/teams?expand=head,parent");
  ASSERT_EQ(list.status, 200u) << list.body;
  EXPECT_EQ(list.json["refs"].size(), 1u);
  EXPECT_EQ(list.json["refs"]["user_01h455vb4pex5vsknk084sn02q"]["title"], "Title of user_01h455vb4pex5vsknk084sn02q");
  EXPECT_EQ(world_.ref_calls, 1);
  Answer none = Get("/v1/teams?expand=cousin");
  EXPECT_EQ(none.status, 400u);
  EXPECT_NE(none.body.find("head, parent"), std::string::npos) << none.body;
  // The records are worth answering without their refs.
  world_.refs_down = true;
  Answer without = Get("/v1/teams?expand=head");
  EXPECT_EQ(without.status, 200u);
  EXPECT_EQ(without.json["refs"].size(), 0u);
  EXPECT_EQ(without["Crm-Refs-Missing"], "identity");
}

TEST_F(RestTest, BrowsersSignInByCookie) {
  Start([](auto& config) { config.set_secure_cookies(true); });
  Answer in = Http("POST", "/v1/sessions", R"({"login": "a@b.example", "password": "right", "cookie": true})");
  ASSERT_EQ(in.status, 200u) << in.body;
  std::string set = in["Set-Cookie"];
  for (const char* part : {"crm_session=cs_0123456789abcdefghij;", "HttpOnly", "SameSite=Lax", "Secure", "Path=/"}) {
    EXPECT_NE(set.find(part), std::string::npos) << set;
  }
  EXPECT_EQ(in.body.find(world_.cookie), std::string::npos);
  EXPECT_EQ(in.json["csrf_token"], world_.csrf);
  EXPECT_EQ(in["Cache-Control"], "no-store");

  const std::pair<std::string, std::string> cookie{"Cookie", "a=b; crm_session=" + world_.cookie + "; c=d"};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Http("GET", "/v1/session", "", {cookie}).json["user_id"], claims_.subject);
  EXPECT_EQ(world_.exchanges, 1) << "the token is kept";

  EXPECT_EQ(Http("POST", "/v1/teams", R"({"name": "A"})", {cookie}).reason(), "CSRF_TOKEN_INVALID");
  EXPECT_EQ(Http("POST", "/v1/teams", R"({"name": "A"})", {cookie, {"X-CSRF-Token", "wrong"}}).status, 403u);
  EXPECT_EQ(Http("POST", "/v1/teams", R"({"name": "A"})", {cookie, {"X-CSRF-Token", world_.csrf}}).status, 200u);

  world_.cookie_alive = false;
  Answer out = Http("DELETE", "/v1/sessions/current", "", {cookie, {"X-CSRF-Token", world_.csrf}});
  EXPECT_EQ(out.status, 200u) << out.body;
  EXPECT_NE(out["Set-Cookie"].find("crm_session=; "), std::string::npos);
  EXPECT_NE(out["Set-Cookie"].find("Max-Age=0"), std::string::npos);
  EXPECT_EQ(Http("GET", "/v1/session", "", {cookie}).status, 401u) << "the kept token is forgotten";

  EXPECT_EQ(Http("POST", "/v1/sessions", R"({"login": "a@b.example", "password": "wrong"})").reason(),
            "CREDENTIALS_INVALID");
}

TEST_F(RestTest, AReadMayWaitForAWriteElsewhere) {
  Start({}, true);  // two services: identity and analytics
  Answer made = Http("POST", "/v1/teams", R"({"name": "North"})", Bearer());
  EXPECT_EQ(made["Crm-Position"], "identity");
  const std::string path = "/v1/teams/" + made.json["id"].get<std::string>();
  EXPECT_EQ(Get(path)["Crm-Position"], "") << "a read is nobody's write";
  EXPECT_EQ(Get(path, {{"Crm-After", "identity"}})["Crm-Stale"], "") << "its own it has at once";
  EXPECT_EQ(world_.awaited, (std::vector<std::string>{"identity"})) << "unless it hears itself";
  world_.awaited.clear();
  EXPECT_EQ(Get(path, {{"Crm-After", "analytics"}})["Crm-Stale"], "") << "nothing was written there";
  Emit("report.changed", "", true);
  Answer stale = Get(path, {{"Crm-After", "analytics, identity,analytics"}});
  EXPECT_EQ(stale.status, 200u);
  EXPECT_EQ(stale["Crm-Stale"], "1");
  Answer batch =
      Http("POST", "/v1/batch", R"({"requests": [{"path": ")" + path + R"("}]})", Bearer({{"Crm-After", "analytics"}}));
  EXPECT_EQ(batch["Crm-Stale"], "1") << batch.body;
  Answer connect = Http("POST", "/crm.identity.v1.TeamService/ListTeams", "{}", Bearer({{"Crm-After", "analytics"}}));
  EXPECT_EQ(connect["Crm-Stale"], "1") << connect.body;
  world_.heard = 1;
  EXPECT_EQ(Get(path, {{"Crm-After", "analytics"}})["Crm-Stale"], "");
  EXPECT_EQ(std::count(world_.awaited.begin(), world_.awaited.end(), "analytics"), 5);
  EXPECT_EQ(Get(path, {{"Crm-After", "dragon"}}).status, 400u);
}

TEST_F(RestTest, ApiKeysAreTraded) {
  Start();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Http("GET", "/v1/session", "", {{"Authorization", "Bearer " + world_.key}}).json["user_id"],
              claims_.subject);
  }
  EXPECT_EQ(world_.exchanges, 1);
  EXPECT_EQ(Http("GET", "/v1/session", "", {{"Authorization", "Bearer crm_unknownunknownunknown"}}).status, 401u);
  EXPECT_EQ(Http("GET", "/v1/session", "", {{"Authorization", "Bearer crm_short"}}).status, 401u);
  EXPECT_EQ(world_.exchanges, 2);
}

TEST_F(RestTest, ARevokedTokenIsTradedAnewOnceAndThenRefused) {
  Start();
  const Headers key{{"Authorization", "Bearer " + world_.key}};
  EXPECT_EQ(Http("GET", "/v1/session", "", key).status, 200u);
  // The old token's session is shut out; the key still gives new ones.
  {
    std::lock_guard lock(grants_.mutex);
    grants_.revoked = {claims_.session};
  }
  Poll();
  claims_.session = "session_01h455vb4pex5vsknk084sn0zz";
  token_ = signer_->Sign(claims_);
  EXPECT_EQ(Http("GET", "/v1/session", "", key).status, 200u);
  EXPECT_EQ(world_.exchanges, 2);
  {
    std::lock_guard lock(grants_.mutex);
    grants_.revoked = {claims_.subject};
  }
  Poll();
  EXPECT_EQ(Http("GET", "/v1/session", "", key).status, 401u);
}

TEST_F(RestTest, TokensAreChecked) {
  Start();
  EXPECT_EQ(Http("GET", "/v1/teams").status, 401u);
  EXPECT_EQ(Http("GET", "/v1/teams")["WWW-Authenticate"], "Bearer realm=\"crm\"");
  claims_.expire_time = absl::Now() - absl::Minutes(5);
  claims_.issue_time = claims_.expire_time - absl::Minutes(10);
  std::string expired = signer_->Sign(claims_);
  for (const std::string& header :
       {"Bearer " + expired, std::string("Bearer x.y.z"), "Bearer " + token_ + "x", std::string("Basic YTpi"),
        std::string("Bearer"), std::string("Bearer ") + std::string(9000, 'a')}) {
    Answer answer = Http("GET", "/v1/teams", "", {{"Authorization", header}});
    EXPECT_EQ(answer.status, 401u) << header.substr(0, 40) << answer.body;
    EXPECT_EQ(answer.reason(), "TOKEN_INVALID");
  }
  // Without the right.
  claims_ = crm::testing::SomeClaims(absl::Now());
  token_ = signer_->Sign(claims_);
  Answer denied = Http("POST", "/v1/teams", R"({"name": "A"})", Bearer());
  EXPECT_EQ(denied.status, 403u);
  EXPECT_EQ(denied.reason(), "RIGHT_MISSING");
}

// Whatever comes in, the answer is the JSON error, and the next request is served.
TEST_F(RestTest, BadInput) {
  Start([](auto& config) { config.set_body_bytes_max(100'000); });
  std::string deep(20'000, '[');
  std::string nul = R"({"name": "a)" + std::string(1, '\0') + R"(b"})";
  struct {
    std::string name, method, target, body;
    Headers headers;
    unsigned status;
    std::string reason;
  } const cases[] = {
      {"broken JSON", "POST", "/v1/teams", "{\"name\": ", {}, 400, "BODY_INVALID"},
      {"no object", "POST", "/v1/teams", "[1]", {}, 400, "BODY_INVALID"},
      {"unknown field", "POST", "/v1/teams", R"({"nmae": "A"})", {}, 400, "FIELD_UNKNOWN"},
      {"wrong type", "POST", "/v1/teams", R"({"name": {"a": 1}})", {}, 400, "FIELD_INVALID"},
      {"rule broken", "POST", "/v1/teams", R"({"name": ""})", {}, 400, "FIELD_INVALID"},
      {"wrong kind of id",
       "POST",
       "/v1/teams",
       R"({"name": "A", "head_id": "team_01h455vb4pex5vsknk084sn02q"})",
       {},
       400,
       "REFERENCE_INVALID"},
      {"bad UTF-8", "POST", "/v1/teams", "{\"name\": \"\xc3\x28\"}", {}, 400, "BODY_INVALID"},
      {"NUL byte", "POST", "/v1/teams", nul, {}, 400, ""},
      {"escaped NUL", "POST", "/v1/teams", R"({"name": "a\u0000b"})", {}, 400, ""},
      {"lone surrogate", "POST", "/v1/teams", R"({"name": "\ud800"})", {}, 400, ""},
      {"deep nesting", "POST", "/v1/teams", deep, {}, 400, "BODY_INVALID"},
      {"name twice", "POST", "/v1/teams", R"({"name": "A", "name": "B"})", {}, 400, "FIELD_INVALID"},
      {"oversized", "POST", "/v1/teams", "{\"name\": \"" + std::string(200'000, 'a') + "\"}", {}, 413, "TOO_LARGE"},
      {"long field", "POST", "/v1/teams", "{\"name\": \"" + std::string(5'000, 'a') + "\"}", {}, 400, "FIELD_INVALID"},
      {"content type", "POST", "/v1/teams", "name=A", {{"Content-Type", "text/plain"}}, 415, "BODY_INVALID"},
      {"form where none is taken",
       "POST",
       "/v1/teams",
       "name=A",
       {{"Content-Type", "application/x-www-form-urlencoded"}},
       415,
       "BODY_INVALID"},
      {"compressed body", "POST", "/v1/teams", "x", {{"Content-Encoding", "br"}}, 415, "BODY_INVALID"},
      {"gzip that is none", "POST", "/v1/teams", "x", {{"Content-Encoding", "gzip"}}, 400, "BODY_INVALID"},
      {"unknown parameter", "GET", "/v1/teams?colour=red", "", {}, 400, "FIELD_UNKNOWN"},
      {"bad number", "GET", "/v1/teams?page_size=1e9", "", {}, 400, "FIELD_INVALID"},
      {"huge number", "GET", "/v1/teams?page_size=99999999999", "", {}, 400, "FIELD_INVALID"},
      {"negative page", "GET", "/v1/teams?page_size=-1", "", {}, 400, "FIELD_INVALID"},
      {"bad escape", "GET", "/v1/teams/%zz", "", {}, 400, ""},
      {"NUL in path", "GET", "/v1/teams/%00", "", {}, 400, ""},
      {"bad UTF-8 in path", "GET", "/v1/teams/%ff", "", {}, 400, ""},
      {"bad id", "GET", "/v1/teams/TEAM_1", "", {}, 400, "REFERENCE_INVALID"},
      {"body of a GET", "GET", "/v1/teams", "{}", {}, 400, "BODY_INVALID"},
      {"no such address", "GET", "/v1/dragons", "", {}, 404, "METHOD_NOT_FOUND"},
      {"no such verb", "POST", "/v1/teams/team_01h455vb4pex5vsknk084sn02q:fly", "{}", {}, 404, "METHOD_NOT_FOUND"},
      {"wrong method", "PUT", "/v1/teams", "{}", {}, 405, "METHOD_NOT_FOUND"},
      {"strange method", "BREW", "/v1/teams", "", {}, 405, "METHOD_NOT_FOUND"},
      {"internal", "POST", "/v1/teams", R"({"name": "internal"})", {}, 500, ""},
      {"bad key",
       "POST",
       "/v1/teams",
       R"({"name": "A"})",
       {{"Idempotency-Key", std::string(200, 'k')}},
       400,
       "FIELD_INVALID"},
      {"bad timeout", "GET", "/v1/teams", "", {{"X-Timeout", "soon"}}, 400, "FIELD_INVALID"},
      {"service that is not set up", "GET", "/v1/contacts", "", {}, 503, "UNAVAILABLE"},
      {"batch of nothing", "POST", "/v1/batch", R"({"requests": []})", {}, 400, "FIELD_INVALID"},
      {"batch that is none", "POST", "/v1/batch", R"({"requests": [{"path": 1}]})", {}, 400, "FIELD_INVALID"},
      {"batch body broken", "POST", "/v1/batch", "{", {}, 400, "BODY_INVALID"},
      {"topics of no stream", "POST", "/v1/events/stream_x", R"({"topics": ["deal"]})", {}, 404, "RECORD_NOT_FOUND"},
      {"bad cursor", "GET", "/v1/events?cursor=x", "", {}, 400, "FIELD_INVALID"},
      {"unknown topic", "GET", "/v1/events?topics=dragon", "", {}, 400, "FIELD_INVALID"},
  };
  for (const auto& c : cases) {
    Answer answer = Http(c.method, c.target, c.body, Bearer(c.headers));
    EXPECT_EQ(answer.status, c.status) << c.name << ": " << answer.body;
    ASSERT_TRUE(answer.json.is_object() && answer.json.contains("error")) << c.name << ": " << answer.body;
    EXPECT_EQ(answer.json["error"]["code"], c.status) << c.name;
    if (!c.reason.empty()) {
      EXPECT_EQ(answer.reason(), c.reason) << c.name << ": " << answer.body;
    }
    EXPECT_FALSE(answer["X-Request-Id"].empty()) << c.name;
    EXPECT_EQ(answer.body.find("secret of the handler"), std::string::npos) << c.name;
    if (c.status == 405) {
      EXPECT_NE(answer["Allow"].find("GET, HEAD"), std::string::npos) << c.name << answer["Allow"];
    }
  }
  EXPECT_EQ(Get("/v1/teams").status, 200u);
  EXPECT_TRUE(world_.teams.empty());
}

TEST_F(RestTest, ManyReadsInOneBatch) {
  Start();
  std::string id =
      Http("POST", "/v1/teams", R"({"name": "A", "head_id": "user_01h455vb4pex5vsknk084sn02q"})", Bearer()).json["id"];
  Json requests = Json::array();
  requests.push_back({{"path", "/v1/teams/" + id + "?expand=head"}});
  requests.push_back({{"path", "/v1/teams/team_01h455vb4pex5vsknk084sn02q"}});
  requests.push_back({{"path", "/v1/nothing"}});
  requests.push_back({{"path", "/v1/batch"}});
  requests.push_back({{"path", "/v1/events"}});
  requests.push_back({{"path", "/v1/session"}});
  Answer answer = Http("POST", "/v1/batch", Json{{"requests", requests}}.dump(), Bearer());
  ASSERT_EQ(answer.status, 200u) << answer.body;
  auto& responses = answer.json["responses"];
  ASSERT_EQ(responses.size(), 6u);
  const std::vector<unsigned> want = {200, 404, 404, 405, 400, 200};
  for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ(responses[i]["status"], want[i]) << responses[i];
  EXPECT_EQ(responses[0]["body"]["id"], id);
  EXPECT_EQ(responses[0]["body"]["refs"].size(), 1u);
  EXPECT_EQ(responses[1]["body"]["error"]["status"], "NOT_FOUND");
  EXPECT_EQ(responses[5]["body"]["user_id"], claims_.subject);
  while (requests.size() <= Gateway::kBatchMax) requests.push_back({{"path", "/v1/session"}});
  EXPECT_EQ(Http("POST", "/v1/batch", Json{{"requests", requests}}.dump(), Bearer()).status, 400u);
}

TEST_F(RestTest, TenantsAreLimited) {
  Start([](auto& config) { config.set_rate_per_second(5); });
  int refused = 0, allowed = 0;
  for (int i = 0; i < 15; ++i) {
    Answer answer = Get("/v1/session");
    EXPECT_EQ(answer["RateLimit-Policy"], "\"tenant\";q=5;w=1");
    EXPECT_FALSE(answer["RateLimit"].empty());
    if (answer.status == 429) {
      ++refused;
      EXPECT_EQ(answer.reason(), "RATE_LIMITED");
      EXPECT_GE(std::stoi(answer["Retry-After"]), 1);
    } else {
      ++allowed;
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_GE(allowed, 5);
  // Another tenant is not held up by it.
  std::string role = claims_.roles[0];
  claims_ = crm::testing::SomeClaims(absl::Now());
  claims_.roles = {role};
  token_ = signer_->Sign(claims_);
  EXPECT_EQ(Get("/v1/session").status, 200u);
}

TEST_F(RestTest, SignInIsLimitedByAddressAndOnlyTrustedProxiesAreBelieved) {
  Start([](auto& config) { config.set_public_per_minute(9); });
  std::map<unsigned, int> seen;
  for (int i = 0; i < 8; ++i) {
    ++seen[Http("POST", "/v1/sessions", R"({"login": "a@b.example", "password": "wrong"})",
                {{"X-Forwarded-For", "10.0.0." + std::to_string(i)}})
               .status];
  }
  EXPECT_EQ(seen[401], 3);
  EXPECT_EQ(seen[429], 5);
}

TEST_F(RestTest, ATrustedProxySaysWhoTheClientIs) {
  Start([](auto& config) {
    config.set_public_per_minute(9);
    config.add_trusted_proxies("127.0.0.1");
    config.add_trusted_proxies("10.9.9.9");
  });
  for (int i = 0; i < 8; ++i) {
    Headers via{{"X-Forwarded-For", "1.2.3.4, 10.0.0." + std::to_string(i) + ", 10.9.9.9"}};
    EXPECT_EQ(Http("POST", "/v1/sessions", R"({"login": "a@b.example", "password": "wrong"})", via).status, 401u);
  }
}

TEST_F(RestTest, CorsIsForNamedOriginsOnly) {
  Start([](auto& config) { config.add_cors_origins("https://app.example"); });
  Answer named = Get("/v1/session", {{"Origin", "https://app.example"}});
  EXPECT_EQ(named["Access-Control-Allow-Origin"], "https://app.example");
  EXPECT_EQ(named["Access-Control-Allow-Credentials"], "true");
  EXPECT_NE(named["Access-Control-Expose-Headers"].find("ETag"), std::string::npos);
  Answer other = Get("/v1/session", {{"Origin", "https://app.example.evil"}});
  EXPECT_EQ(other["Access-Control-Allow-Origin"], "");
  EXPECT_NE(other["Vary"].find("Origin"), std::string::npos);
  Headers preflight{{"Origin", "https://app.example"}, {"Access-Control-Request-Method", "PATCH"}};
  Answer options = Http("OPTIONS", "/v1/teams/team_x", "", preflight);
  EXPECT_EQ(options.status, 204u);
  EXPECT_NE(options["Access-Control-Allow-Methods"].find("PATCH"), std::string::npos);
  EXPECT_NE(options["Access-Control-Allow-Headers"].find("If-Match"), std::string::npos);
  preflight[0].second = "https://evil.example";
  options = Http("OPTIONS", "/v1/teams/team_x", "", preflight);
  EXPECT_EQ(options["Access-Control-Allow-Methods"], "");
  EXPECT_EQ(Http("OPTIONS", "/v1/dragons").status, 404u);
  // Errors carry it too, or browsers would hide them.
  EXPECT_EQ(Http("GET", "/v1/teams", "", {{"Origin", "https://app.example"}})["Access-Control-Allow-Origin"],
            "https://app.example");
}

TEST_F(RestTest, SchemaAndCompression) {
  Start();
  EXPECT_EQ(Http("GET", "/v1/schema").status, 401u);
  Answer schema = Get("/v1/schema");
  ASSERT_EQ(schema.status, 200u);
  EXPECT_EQ(schema["Content-Encoding"], "");
  EXPECT_EQ(schema.json["routes"].size(), api_->routes().size());
  EXPECT_EQ(Get("/v1/schema", {{"If-None-Match", schema["ETag"]}}).status, 304u);
  Answer small = Get("/v1/schema", {{"Accept-Encoding", "gzip"}});
  EXPECT_EQ(small["Content-Encoding"], "gzip");
  EXPECT_EQ(small["ETag"], "W/" + schema["ETag"]);
  EXPECT_LT(small.body.size(), schema.body.size() / 3);
  EXPECT_EQ(Get("/v1/session", {{"Accept-Encoding", "gzip"}})["Content-Encoding"], "") << "too small to be worth it";
}

TEST_F(RestTest, AServiceThatIsAwayIsSaidSo) {
  Start();
  backend_->Drain(std::chrono::seconds(1));
  backend_.reset();
  Answer away = Get("/v1/session", {{"X-Timeout", "3"}});
  EXPECT_TRUE(away.status == 503u || away.status == 504u) << away.body;
  EXPECT_EQ(Http("GET", "/healthz").status, 200u);
}

}  // namespace
}  // namespace crm::gateway::test
