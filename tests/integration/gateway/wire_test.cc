#include <absl/strings/escaping.h>

#include "crm/identity/v1/team.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "services/gateway/compress.h"
#include "tests/integration/gateway/gateway_fixture.h"

namespace crm::gateway::test {
namespace {

constexpr char kTeams[] = "/crm.identity.v1.TeamService/";
constexpr char kWatch[] = "/crm.analytics.v1.ReportService/WatchFunnelReport";
constexpr char kNoTeam[] = "team_01h455vb4pex5vsknk084sn02q";

std::string Envelope(int flags, const std::string& text) {
  std::string out(1, static_cast<char>(flags));
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(text.size() >> shift & 0xff);
  return out + text;
}

struct Frame {
  int flags;
  std::string text;
};
std::vector<Frame> Frames(const std::string& body) {
  std::vector<Frame> frames;
  for (size_t at = 0; at + 5 <= body.size();) {
    size_t size = 0;
    for (size_t i = 1; i < 5; ++i) size = size << 8 | static_cast<unsigned char>(body[at + i]);
    frames.push_back({static_cast<unsigned char>(body[at]), body.substr(at + 5, size)});
    at += 5 + size;
  }
  return frames;
}

class WireTest : public GatewayTest {
 protected:
  Answer Connect(const std::string& rpc, const std::string& body, Headers more = {}) {
    more.emplace_back("Connect-Protocol-Version", "1");
    return Http("POST", kTeams + rpc, body, Bearer(std::move(more)));
  }
  Answer GrpcWeb(const std::string& path, const std::string& body, const std::string& type, Headers more = {}) {
    more.emplace_back("Content-Type", type);
    return Http("POST", path, body, Bearer(std::move(more)));
  }
  std::string MakeTeam(const std::string& name) {
    return Http("POST", "/v1/teams", R"({"name": ")" + name + "\"}", Bearer()).json.value("id", "");
  }
};

TEST_F(WireTest, ConnectTakesAndAnswersJson) {
  Start();
  // Names of both kinds are read, ours are written.
  Answer made = Connect("CreateTeam", R"({"team": {"name": "North", "headId": "user_01h455vb4pex5vsknk084sn02q"}})",
                        {{"Idempotency-Key", "k1"}});
  ASSERT_EQ(made.status, 200u) << made.body;
  EXPECT_EQ(made["Content-Type"], "application/json");
  EXPECT_EQ(made.json["head_id"], "user_01h455vb4pex5vsknk084sn02q");
  std::string id = made.json["id"];
  // The same key is the same team, on every surface.
  EXPECT_EQ(Http("POST", "/v1/teams", R"({"name": "North"})", Bearer({{"Idempotency-Key", "k1"}})).json["id"], id);
  EXPECT_EQ(Connect("GetTeam", R"({"id": ")" + id + "\"}").json["name"], "North");
  EXPECT_FALSE(made["RateLimit"].empty());
  EXPECT_FALSE(made["X-Request-Id"].empty());
}

TEST_F(WireTest, ConnectTakesAndAnswersBytes) {
  Start();
  identity::v1::GetTeamRequest request;
  request.set_id(MakeTeam("North"));
  Answer got = Connect("GetTeam", request.SerializeAsString(), {{"Content-Type", "application/proto"}});
  ASSERT_EQ(got.status, 200u) << got.body;
  EXPECT_EQ(got["Content-Type"], "application/proto");
  identity::v1::Team team;
  ASSERT_TRUE(team.ParseFromString(got.body));
  EXPECT_EQ(team.name(), "North");
  // Packed, too.
  got = Connect("GetTeam", R"({"id": ")" + request.id() + "\"" + std::string(2000, ' ') + "}",
                {{"Content-Encoding", "gzip"}});
  EXPECT_EQ(got.status, 400u) << "it says gzip and is not";
  got = Connect("GetTeam", Gzip(R"({"id": ")" + request.id() + "\"" + std::string(2000, ' ') + "}"),
                {{"Content-Encoding", "gzip"}});
  EXPECT_EQ(got.json["name"], "North") << got.body;
  EXPECT_EQ(Connect("GetTeam", "x", {{"Content-Encoding", "zebra"}}).json["code"], "unimplemented");
}

TEST_F(WireTest, ConnectErrorsSayWhatRestSays) {
  Start();
  Answer rest = Get(std::string("/v1/teams/") + kNoTeam);
  Answer gone = Connect("GetTeam", std::string(R"({"id": ")") + kNoTeam + "\"}");
  EXPECT_EQ(gone.status, 404u);
  EXPECT_EQ(gone.json["code"], "not_found");
  EXPECT_EQ(gone.json["message"], rest.json["error"]["message"]);
  const Json& info = gone.json["details"][0];
  EXPECT_EQ(info["type"], "google.rpc.ErrorInfo");
  EXPECT_EQ(info["debug"]["reason"], "RECORD_NOT_FOUND");
  std::string bytes, padded = info["value"];
  EXPECT_EQ(padded.find('='), std::string::npos);
  ASSERT_TRUE(absl::Base64Unescape(padded, &bytes));
  google::rpc::ErrorInfo parsed;
  ASSERT_TRUE(parsed.ParseFromString(bytes));
  EXPECT_EQ(parsed.metadata().at("id"), kNoTeam);

  Answer wrong = Connect("CreateTeam", R"({"team": {"nmae": "North"}})");
  EXPECT_EQ(wrong.status, 400u);
  EXPECT_EQ(wrong.json["code"], "invalid_argument");
  EXPECT_NE(wrong.body.find("nmae"), std::string::npos);
  EXPECT_EQ(Http("POST", std::string(kTeams) + "GetTeam", "{}").json["code"], "unauthenticated");
  EXPECT_EQ(Connect("ForgetTeam", "{}").json["code"], "unimplemented");
  EXPECT_EQ(Connect("ForgetTeam", "{}").status, 404u);
  EXPECT_EQ(Connect("GetTeam", "{}", {{"Content-Type", "text/plain"}}).status, 415u);
  EXPECT_EQ(Connect("GetTeam", "{}", {{"Content-Type", "application/connect+json"}}).status, 415u);
  EXPECT_EQ(Connect("GetTeam", "{}", {{"Connect-Protocol-Version", "2"}}).json["code"], "invalid_argument");
  EXPECT_EQ(Connect("GetTeam?id=1", "{}").json["code"], "invalid_argument");
  Answer put = Http("PUT", std::string(kTeams) + "GetTeam", "{}", Bearer());
  EXPECT_EQ(put.status, 405u);
  EXPECT_EQ(put["Allow"], "GET, HEAD, POST");
  // Rpcs for services alone are not there.
  EXPECT_EQ(Http("POST", "/crm.identity.v1.SessionService/ExchangeSession", "{}", Bearer()).status, 404u);
  EXPECT_EQ(Http("POST", "/crm.events.v1.EventLog/ListHeads", "{}", Bearer()).status, 404u);
}

TEST_F(WireTest, ConnectReadsByGet) {
  Start();
  std::string id = MakeTeam("North");
  std::string query = "?connect=v1&encoding=json&message=" + std::string("%7B%22id%22%3A%22") + id + "%22%7D";
  Answer got = Get(kTeams + ("GetTeam" + query));
  ASSERT_EQ(got.status, 200u) << got.body;
  EXPECT_EQ(got.json["name"], "North");
  EXPECT_EQ(Get(kTeams + ("GetTeam" + query), {{"If-None-Match", got["ETag"]}}).status, 304u);
  identity::v1::GetTeamRequest request;
  request.set_id(id);
  Answer bytes = Get(kTeams + ("GetTeam?connect=v1&base64=1&encoding=proto&message=" +
                               absl::WebSafeBase64Escape(request.SerializeAsString())));
  identity::v1::Team team;
  EXPECT_TRUE(team.ParseFromString(bytes.body) && team.name() == "North") << bytes.body;
  EXPECT_EQ(Get(kTeams + std::string("GetTeam?encoding=xml&message=1")).json["code"], "invalid_argument");
  EXPECT_EQ(Get(kTeams + std::string("GetTeam?encoding=json&zebra=1")).json["code"], "invalid_argument");
  EXPECT_EQ(Get(kTeams + std::string("CreateTeam?encoding=json&message=%7B%7D")).status, 405u) << "it is no read";
}

TEST_F(WireTest, ConnectStreamsEndWithTheirError) {
  Start({}, true);
  Answer answer = GrpcWeb(kWatch, Envelope(0, R"({"pipelineId": "pipeline_01h455vb4pex5vsknk084sn02q"})"),
                          "application/connect+json");
  EXPECT_EQ(answer.status, 200u);
  EXPECT_EQ(answer["Content-Type"], "application/connect+json");
  auto frames = Frames(answer.body);
  ASSERT_EQ(frames.size(), 1u) << answer.body;
  EXPECT_EQ(frames[0].flags, 2);
  EXPECT_EQ(Json::parse(frames[0].text)["error"]["code"], "failed_precondition");
  // What is wrong before it begins, comes the same way.
  frames = Frames(GrpcWeb(kWatch, "{}", "application/connect+json").body);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(Json::parse(frames[0].text)["error"]["code"], "invalid_argument");
  EXPECT_EQ(GrpcWeb(kWatch, "{}", "application/json").status, 415u);
  frames = Frames(Http("POST", kWatch, Envelope(0, ""), {{"Content-Type", "application/connect+proto"}}).body);
  EXPECT_EQ(Json::parse(frames[0].text)["error"]["code"], "unauthenticated");
}

TEST_F(WireTest, ConnectStreamsEndAtTheirDeadline) {
  Start({}, true);
  Answer answer = GrpcWeb("/crm.analytics.v1.ReportService/WatchRevenueReport", Envelope(0, "{}"),
                          "application/connect+json", {{"Connect-Timeout-Ms", "300"}});
  auto frames = Frames(answer.body);
  ASSERT_GE(frames.size(), 2u);
  EXPECT_EQ(frames[0].flags, 0);
  EXPECT_TRUE(Json::parse(frames[0].text).is_object());
  EXPECT_EQ(Json::parse(frames.back().text)["error"]["code"], "deadline_exceeded");
  EXPECT_TRUE(Eventually([&] { return world_.watch_ended == world_.watching; }));
}

TEST_F(WireTest, GrpcWebIsFramesAndTrailers) {
  Start();
  identity::v1::GetTeamRequest request;
  request.set_id(MakeTeam("North"));
  for (bool text : {false, true}) {
    std::string type = text ? "application/grpc-web-text+proto" : "application/grpc-web+proto";
    std::string body = Envelope(0, request.SerializeAsString());
    Answer got = GrpcWeb(std::string(kTeams) + "GetTeam", text ? absl::Base64Escape(body) : body, type);
    ASSERT_EQ(got.status, 200u) << got.body;
    EXPECT_EQ(got["Content-Type"], type);
    std::string plain = got.body;
    ASSERT_TRUE(!text || absl::Base64Unescape(got.body, &plain));
    auto frames = Frames(plain);
    ASSERT_EQ(frames.size(), 2u) << got.body;
    identity::v1::Team team;
    ASSERT_TRUE(team.ParseFromString(frames[0].text));
    EXPECT_EQ(team.name(), "North");
    EXPECT_EQ(frames[1].flags, 0x80);
    EXPECT_EQ(frames[1].text, "grpc-status: 0\r\n");
  }
  request.set_id(kNoTeam);
  Answer gone =
      GrpcWeb(std::string(kTeams) + "GetTeam", Envelope(0, request.SerializeAsString()), "application/grpc-web+proto");
  EXPECT_EQ(gone.status, 200u);
  auto frames = Frames(gone.body);
  ASSERT_EQ(frames.size(), 1u);
  const std::string& trailers = frames[0].text;
  EXPECT_EQ(trailers.substr(0, 16), "grpc-status: 5\r\n");
  size_t at = trailers.find("grpc-status-details-bin: ");
  ASSERT_NE(at, std::string::npos);
  std::string bytes, encoded = trailers.substr(at + 25, trailers.size() - at - 27);
  ASSERT_TRUE(absl::Base64Unescape(encoded, &bytes));
  google::rpc::Status status;
  ASSERT_TRUE(status.ParseFromString(bytes));
  EXPECT_EQ(status.code(), 5);
  EXPECT_GE(status.details_size(), 2) << "reason and request id";
  // Unknown rpcs too are told in trailers.
  frames = Frames(GrpcWeb(std::string(kTeams) + "ForgetTeam", "", "application/grpc-web+proto").body);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].text.substr(0, 17), "grpc-status: 12\r\n");
}

TEST_F(WireTest, BrokenEnvelopesAreRefused) {
  Start();
  const std::string path = std::string(kTeams) + "GetTeam", type = "application/grpc-web+proto";
  std::string whole = Envelope(0, "\n\1x"), huge = std::string("\0\x7f\xff\xff\xff", 5) + "x";
  for (const std::string& body :
       {std::string("\0\0", 2), huge, whole + whole, Envelope(1, "not packed"), Envelope(0x40, ""), std::string()}) {
    auto frames = Frames(GrpcWeb(path, body, type).body);
    ASSERT_EQ(frames.size(), 1u) << absl::CHexEscape(body);
    EXPECT_EQ(frames[0].text.substr(0, 16), "grpc-status: 3\r\n") << absl::CHexEscape(body);
  }
  // A small body that unpacks to a large one.
  std::string bomb = Envelope(1, Gzip(std::string(64 << 20, ' ')));
  auto frames = Frames(GrpcWeb(path, bomb, type, {{"grpc-encoding", "gzip"}}).body);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_NE(frames[0].text.find("larger than"), std::string::npos) << frames[0].text;
  EXPECT_EQ(GrpcWeb(path, "????", "application/grpc-web-text").status, 200u);
  for (const char* timeout : {"1", "S", "123456789S", "1x", "-1S"}) {
    frames = Frames(GrpcWeb(path, whole, type, {{"grpc-timeout", timeout}}).body);
    EXPECT_EQ(frames.at(0).text.substr(0, 16), "grpc-status: 3\r\n") << timeout;
  }
}

TEST_F(WireTest, CookiesServeTheseSurfacesToo) {
  Start();
  Answer in = Http("POST", "/crm.identity.v1.SessionService/CreateSession",
                   R"({"login": "a@b.example", "password": "right", "cookie": true})");
  ASSERT_EQ(in.status, 200u) << in.body;
  EXPECT_NE(in["Set-Cookie"].find(world_.cookie), std::string::npos);
  EXPECT_EQ(in.body.find(world_.cookie), std::string::npos);
  const std::pair<std::string, std::string> cookie{"Cookie", "crm_session=" + world_.cookie};
  const std::string path = std::string(kTeams) + "CreateTeam", body = R"({"team": {"name": "A"}})";
  EXPECT_EQ(Http("POST", path, body, {cookie}).json["code"], "permission_denied");
  EXPECT_EQ(Http("POST", path, body, {cookie, {"X-CSRF-Token", world_.csrf}}).status, 200u);
  Answer out = Http("POST", "/crm.identity.v1.SessionService/DeleteSession", R"({"id": "current"})",
                    {cookie, {"X-CSRF-Token", world_.csrf}});
  EXPECT_NE(out["Set-Cookie"].find("Max-Age=0"), std::string::npos) << out.body;
}

TEST_F(WireTest, OtherSitesAskFirst) {
  Start([](auto& config) { config.add_cors_origins("https://front.example"); });
  Answer asked = Http("OPTIONS", std::string(kTeams) + "GetTeam", "",
                      {{"Origin", "https://front.example"}, {"Access-Control-Request-Method", "POST"}});
  EXPECT_EQ(asked.status, 204u);
  EXPECT_EQ(asked["Access-Control-Allow-Methods"], "GET, HEAD, POST, OPTIONS");
  EXPECT_EQ(asked["Access-Control-Max-Age"], "7200");
  for (const char* name : {"Connect-Protocol-Version", "Connect-Timeout-Ms", "Grpc-Timeout", "X-Grpc-Web",
                           "X-User-Agent", "Idempotency-Key", "traceparent", "Authorization", "X-CSRF-Token"}) {
    EXPECT_NE(asked["Access-Control-Allow-Headers"].find(name), std::string::npos) << name;
  }
  Answer got = Connect("GetTeam", "{}", {{"Origin", "https://front.example"}});
  for (const char* name : {"Grpc-Status", "Grpc-Status-Details-Bin", "ETag", "Retry-After", "RateLimit"}) {
    EXPECT_NE(got["Access-Control-Expose-Headers"].find(name), std::string::npos) << name;
  }
  EXPECT_NE(got["Vary"].find("Origin"), std::string::npos);
  EXPECT_EQ(Connect("GetTeam", "{}", {{"Origin", "https://evil.example"}})["Access-Control-Allow-Origin"], "");
}

}  // namespace
}  // namespace crm::gateway::test
