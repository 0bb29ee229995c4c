#include "services/gateway/live.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <nlohmann/json.hpp>

#include "services/gateway/compress.h"
#include "services/gateway/limiter.h"
#include "services/gateway/sse.h"
#include "tests/unit/services/gateway/descriptors.h"

namespace crm::gateway {
namespace {

const Api& LiveApi() {
  static const Api* api = Api::Make(CompiledIn())->release();
  return *api;
}

TEST(CursorTest, GoesThereAndBack) {
  Cursor cursor{{"contact", 12}, {"deal_pipeline", 9'007'199'254'740'993}, {"identity", 0}};
  EXPECT_EQ(CursorText(cursor), "contact-12.deal_pipeline-9007199254740993.identity-0");
  EXPECT_EQ(*ParseCursor(CursorText(cursor)), cursor);
  for (const char* text :
       {"", "contact", "contact-", "-1", "contact--1", "contact-1.", ".contact-1", "contact-1.contact-2", "Contact-1",
        "contact-1x", "contact-99999999999999999999", "contact-9223372036854775808", "a b-1"}) {
    EXPECT_FALSE(ParseCursor(text).ok()) << text;
  }
  EXPECT_FALSE(ParseCursor(std::string(600, 'a') + "-1").ok());
}

class MayHearTest : public testing::Test {
 protected:
  void SetUp() override {
    reader_.user_id = "user_01h455vb4pex5vsknk084sn02q";
    own_team_ = NewUuid(absl::Now());
    reader_.teams = {own_team_};
  }
  void Grant(const std::string& object, type::v1::Scope scope) {
    auto rights = std::make_shared<Rights>();
    rights->Grant(object, type::v1::ACTION_READ, scope);
    reader_.rights = rights;
  }
  events::v1::Event Event(const std::string& type, const std::string& owner = "", const std::string& team = "") {
    events::v1::Event event;
    event.set_type(type);
    event.set_owner_id(owner);
    event.set_team_id(team);
    return event;
  }
  Principal reader_;
  Uuid own_team_;
};

TEST_F(MayHearTest, FollowsTheReadersRights) {
  const std::string me = reader_.user_id, other = "user_01h455vb4pex5vsknk084sn02z";
  const std::string mine = TypeId("team", own_team_), theirs = NewId("team", absl::Now());
  struct {
    type::v1::Scope scope;
    std::string owner, team;
    bool heard;
  } const cases[] = {{type::v1::SCOPE_UNSPECIFIED, me, mine, false}, {type::v1::SCOPE_OWN, me, mine, true},
                     {type::v1::SCOPE_OWN, other, mine, false},      {type::v1::SCOPE_OWN, "", "", false},
                     {type::v1::SCOPE_TEAM, other, mine, true},      {type::v1::SCOPE_TEAM, other, theirs, false},
                     {type::v1::SCOPE_TEAM, me, theirs, true},       {type::v1::SCOPE_TEAM, "", "", false},
                     {type::v1::SCOPE_ALL, other, theirs, true}};
  for (const auto& c : cases) {
    Grant("deal", c.scope);
    EXPECT_EQ(MayHear(LiveApi(), reader_, Event("deal.moved", c.owner, c.team)), c.heard)
        << c.scope << c.owner << c.team;
  }
  Grant("deal", type::v1::SCOPE_ALL);
  EXPECT_FALSE(MayHear(LiveApi(), reader_, Event("contact.created", me, mine)));
  Grant("*", type::v1::SCOPE_ALL);
  EXPECT_TRUE(MayHear(LiveApi(), reader_, Event("contact.created", other, theirs)));
  EXPECT_TRUE(MayHear(LiveApi(), reader_, Event("report.changed", other, theirs)));
}

TEST_F(MayHearTest, AnEventMayNeedTheRightToSeveralKinds) {
  const std::string me = reader_.user_id, other = "user_01h455vb4pex5vsknk084sn02z";
  const auto entry = [&](const std::string& owner) {
    auto event = Event("activity.created", owner, "");
    event.add_read_objects("deal");
    event.add_read_objects("task");
    return event;
  };
  auto rights = std::make_shared<Rights>();
  rights->Grant("contact", type::v1::ACTION_READ, type::v1::SCOPE_ALL);
  rights->Grant("deal", type::v1::ACTION_READ, type::v1::SCOPE_ALL);
  reader_.rights = rights;
  EXPECT_FALSE(MayHear(LiveApi(), reader_, entry(me))) << "tasks are not for this reader";
  rights->Grant("task", type::v1::ACTION_READ, type::v1::SCOPE_OWN);
  EXPECT_TRUE(MayHear(LiveApi(), reader_, entry(me)));
  EXPECT_FALSE(MayHear(LiveApi(), reader_, entry(other))) << "nor those of others' deals";
  EXPECT_FALSE(MayHear(LiveApi(), reader_, entry("")));
  rights->Grant("task", type::v1::ACTION_READ, type::v1::SCOPE_ALL);
  EXPECT_TRUE(MayHear(LiveApi(), reader_, entry(other)));
}

TEST_F(MayHearTest, DictionariesAreHeardByWhoeverMayGetThem) {
  // The rpcs that get users and roles are for every signed-in user.
  Grant("deal", type::v1::SCOPE_OWN);
  EXPECT_TRUE(MayHear(LiveApi(), reader_, Event("user.created")));
  EXPECT_FALSE(MayHear(LiveApi(), reader_, Event("key.created"))) << "API keys are for administrators";
}

TEST_F(MayHearTest, AnInboxIsHeardByItsUserAlone) {
  Grant("*", type::v1::SCOPE_ALL);
  EXPECT_TRUE(MayHear(LiveApi(), reader_, Event("notification.created", reader_.user_id)));
  EXPECT_FALSE(MayHear(LiveApi(), reader_, Event("notification.created", "user_01h455vb4pex5vsknk084sn02z")));
  EXPECT_FALSE(MayHear(LiveApi(), reader_, Event("notification.created")));
}

TEST(LiveEventTest, JsonHasWhatIsPromisedAndMasksPersonalFields) {
  contact::v1::ContactCreated payload;
  payload.mutable_contact()->set_id("contact_01h455vb4pex5vsknk084sn02q");
  payload.mutable_contact()->set_next_task_title("Not for all");
  payload.mutable_contact()->set_given_name("Ada");
  payload.mutable_contact()->add_emails()->set_address("ada@example.com");
  events::v1::Event event;
  event.set_seq(7);
  event.set_service("contact");
  event.set_type("contact.created");
  event.set_record_id("contact_01h455vb4pex5vsknk084sn02q");
  event.set_revision(3);
  event.add_changed_fields("given_name");
  event.set_actor_id("user_1");
  event.mutable_time()->set_seconds(1'700'000'000);
  event.mutable_payload()->PackFrom(payload);
  LiveEvent live(event);
  EXPECT_EQ(live.topic(), "contact");
  auto full = nlohmann::json::parse("{\"cursor\":\"c\"" + live.Json(LiveApi(), true));
  EXPECT_EQ(full["seq"], 7);
  EXPECT_EQ(full["etag"], "3");
  EXPECT_EQ(full["time"], "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(full["changed_fields"][0], "given_name");
  EXPECT_NE(full["payload"].dump().find("ada@example.com"), std::string::npos);
  EXPECT_EQ(full["payload"].dump().find("Not for all"), std::string::npos) << "what cards show is no part of an event";
  auto masked = nlohmann::json::parse("{\"cursor\":\"c\"" + live.Json(LiveApi(), false));
  EXPECT_EQ(masked["payload"].dump().find("ada@example.com"), std::string::npos) << masked["payload"];
  EXPECT_EQ(masked["payload"]["contact"]["id"], "contact_01h455vb4pex5vsknk084sn02q");
}

TEST(LiveEventTest, UnknownPayloadsAreNull) {
  events::v1::Event event;
  event.set_type("x.y");
  event.mutable_payload()->set_type_url("type.googleapis.com/crm.future.v1.Thing");
  EXPECT_TRUE(nlohmann::json::parse("{\"cursor\":\"c\"" + LiveEvent(event).Json(LiveApi(), true))["payload"].is_null());
}

TEST(SseTest, Format) {
  EXPECT_EQ(SseEvent("a-1", "", "{}"), "id: a-1\ndata: {}\n\n");
  EXPECT_EQ(SseEvent("", "error", "{}"), "event: error\ndata: {}\n\n");
}

TEST(GzipTest, Table) {
  for (const char* yes : {"gzip", "deflate, gzip;q=1.0, *;q=0.5", "*", "x-gzip", "GZIP"})
    EXPECT_TRUE(AcceptsGzip(yes)) << yes;
  for (const char* no : {"", "identity", "gzip;q=0", "*;q=0", "br", "gzip;q=0, *"}) EXPECT_FALSE(AcceptsGzip(no)) << no;
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "{\"id\":" + std::to_string(i) + "}";
  std::string small = Gzip(text);
  ASSERT_LT(small.size(), text.size() / 2);
  std::string back(text.size(), '\0');
  z_stream stream{};
  ASSERT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(small.data());
  stream.avail_in = small.size();
  stream.next_out = reinterpret_cast<Bytef*>(back.data());
  stream.avail_out = back.size();
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  inflateEnd(&stream);
  EXPECT_EQ(back, text);
  EXPECT_EQ(Gzip("a"), "");
}

TEST(LimitedAddressTest, Ipv6ClientsAreLimitedByTheirNetwork) {
  EXPECT_EQ(LimitedAddress("10.1.2.3"), "10.1.2.3");
  EXPECT_EQ(LimitedAddress("2001:db8:1:2:3:4:5:6"), LimitedAddress("2001:db8:1:2::1"));
  EXPECT_NE(LimitedAddress("2001:db8:1:3::1"), LimitedAddress("2001:db8:1:2::1"));
}

}  // namespace
}  // namespace crm::gateway
