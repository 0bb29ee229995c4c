#include "common/pg/table.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "common/base/error.h"
#include "common/base/time.h"
#include "common/pg/page_token.h"
#include "crm/testing/v1/thing.pb.h"

namespace crm::pg {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using v1Thing = crm::testing::v1::Thing;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

Uuid Numbered(uint8_t number) {
  Uuid uuid = DerivedUuid({}, "table_test");
  uuid.bytes[15] = number;
  return uuid;
}

// A user with rights to things: READ all, UPDATE team, DELETE own.
Call UserCall() {
  Call call;
  call.principal.kind = Principal::Kind::kUser;
  call.principal.tenant = Numbered(1);
  call.principal.user_id = TypeId("user", Numbered(2));
  call.principal.team = Numbered(3);
  call.principal.team_id = TypeId("team", Numbered(3));
  call.principal.teams = {Numbered(3), Numbered(4)};
  auto rights = std::make_shared<Rights>();
  rights->Grant("thing", type::v1::ACTION_READ, type::v1::SCOPE_ALL);
  rights->Grant("thing", type::v1::ACTION_CREATE, type::v1::SCOPE_OWN);
  rights->Grant("thing", type::v1::ACTION_UPDATE, type::v1::SCOPE_TEAM);
  rights->Grant("thing", type::v1::ACTION_DELETE, type::v1::SCOPE_OWN);
  call.principal.rights = rights;
  call.start = kNow;
  return call;
}

Call WithPersonalData(Call call) {
  auto rights = std::make_shared<Rights>(*call.principal.rights);
  rights->personal_data = true;
  call.principal.rights = rights;
  return call;
}

const Table<v1Thing>& Things() {
  static const Table<v1Thing> table("test");
  return table;
}

v1Thing Stored() {
  v1Thing thing;
  thing.set_id(TypeId("thing", Numbered(9)));
  thing.set_etag("4");
  thing.set_name("old");
  thing.set_code("C1");
  thing.set_secret("s3cret");
  thing.mutable_place()->set_city("Berlin");
  thing.mutable_place()->set_floor(3);
  (*thing.mutable_labels())["a"] = "1";
  (*thing.mutable_labels())["b"] = "2";
  (*thing.mutable_extra()->mutable_fields())["size"].set_string_value("L");
  thing.add_parts()->set_name("wheel");
  *thing.mutable_update_time() = ToTimestamp(kNow - absl::Hours(1));
  *thing.mutable_create_time() = ToTimestamp(kNow - absl::Hours(2));
  return thing;
}

google::protobuf::FieldMask MaskOf(std::initializer_list<const char*> paths) {
  google::protobuf::FieldMask mask;
  for (const char* path : paths) mask.add_paths(path);
  return mask;
}

TEST(Table, ColumnsFollowFromTheFields) {
  std::vector<std::string> lines;
  for (const auto& column : Things().Columns()) {
    lines.push_back(column.name + " " + column.type + (column.nullable ? "" : " not null"));
  }
  EXPECT_THAT(
      lines,
      ElementsAre("tenant_id uuid not null", "id uuid not null", "revision integer not null", "name text not null",
                  "code text not null", "secret text not null", "active boolean not null", "count integer not null",
                  "size integer not null", "big bigint not null", "ratio double precision not null",
                  "blob bytea not null", "kind smallint not null", "due_date date", "price numeric",
                  "cost_amount numeric", "cost_currency_code text", "parent_id uuid", "link_id text",
                  "watcher_ids uuid[] not null", "tags text[] not null", "numbers integer[] not null",
                  "kinds smallint[] not null", "seen_time timestamp with time zone", "parts jsonb not null",
                  "place jsonb", "labels jsonb not null", "extra jsonb", "nickname text", "rank integer", "shop text",
                  "shelf integer", "status text not null", "owner_id uuid", "team_id uuid",
                  "create_time timestamp with time zone not null", "update_time timestamp with time zone not null",
                  "delete_time timestamp with time zone", "creator_id text not null", "updater_id uuid"));
}

TEST(Table, StampNewFillsWhatTheLayerKeeps) {
  const Call call = UserCall();
  v1Thing thing;
  thing.set_etag("77");
  *thing.mutable_delete_time() = ToTimestamp(kNow);
  StampNew(call, Things(), thing);
  EXPECT_TRUE(ParseId(thing.id(), "thing", "id").ok());
  EXPECT_EQ(thing.etag(), "1");
  EXPECT_EQ(RevisionOf(thing), 1u);
  EXPECT_EQ(thing.create_time().seconds(), 1'800'000'000);
  EXPECT_EQ(thing.update_time().seconds(), 1'800'000'000);
  EXPECT_FALSE(thing.has_delete_time());
  EXPECT_EQ(thing.owner_id(), call.principal.user_id);
  EXPECT_EQ(thing.team_id(), call.principal.team_id);
  EXPECT_EQ(thing.creator_id(), call.principal.user_id);
  EXPECT_EQ(thing.updater_id(), call.principal.user_id);
}

TEST(Table, AnActorThatTheFieldCannotNameIsLeftOut) {
  Call call = UserCall();
  call.principal.kind = Principal::Kind::kApiKey;
  call.principal.user_id = TypeId("key", Numbered(5));
  v1Thing thing;
  StampNew(call, Things(), thing);
  EXPECT_EQ(thing.creator_id(), call.principal.user_id);
  EXPECT_EQ(thing.updater_id(), "");  // its ref is "user"
  EXPECT_EQ(thing.owner_id(), "");
}

TEST(Table, AForeignOwnersTeamIsNotGuessed) {
  v1Thing thing;
  thing.set_owner_id(TypeId("user", Numbered(8)));
  StampNew(UserCall(), Things(), thing);
  EXPECT_EQ(thing.team_id(), "");
}

TEST(Table, TouchNeverGoesBackInTime) {
  Call call = UserCall();
  const v1Thing before = Stored();
  v1Thing after = before;
  Touch(call, before, after);
  EXPECT_EQ(after.etag(), "5");
  EXPECT_EQ(FromTimestamp(after.update_time()), kNow);
  call.start = kNow - absl::Hours(5);  // another server's clock
  Touch(call, before, after);
  EXPECT_EQ(FromTimestamp(after.update_time()), FromTimestamp(before.update_time()) + absl::Microseconds(1));
}

TEST(Patched, SetsWhatTheMaskNames) {
  const v1Thing before = Stored();
  v1Thing patch;
  patch.set_name("new");
  patch.set_count(7);
  patch.set_secret("not in the mask");
  auto after = Patched(UserCall(), before, patch, MaskOf({"name", "active"}), "");
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->name(), "new");
  EXPECT_EQ(after->count(), 0);
  EXPECT_EQ(after->secret(), "s3cret");
  EXPECT_EQ(after->etag(), "5");
}

TEST(Patched, ClearsWhatThePatchLacks) {
  auto after = Patched(UserCall(), Stored(), v1Thing(), MaskOf({"place", "parts", "name"}), "");
  ASSERT_TRUE(after.ok());
  EXPECT_FALSE(after->has_place());
  EXPECT_EQ(after->parts_size(), 0);
  EXPECT_EQ(after->name(), "");
}

TEST(Patched, ReachesIntoMessagesMapsAndStructs) {
  v1Thing patch;
  patch.mutable_place()->set_city("Haifa");
  (*patch.mutable_labels())["a"] = "9";
  (*patch.mutable_labels())["c"] = "3";
  (*patch.mutable_extra()->mutable_fields())["color"].set_string_value("red");
  auto after = Patched(UserCall(), Stored(), patch,
                       MaskOf({"place.city", "labels.a", "labels.b", "labels.c", "extra.color", "extra.size"}), "");
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->place().city(), "Haifa");
  EXPECT_EQ(after->place().floor(), 3);
  EXPECT_EQ(after->labels().size(), 2u);
  EXPECT_EQ(after->labels().at("a"), "9");
  EXPECT_EQ(after->labels().at("c"), "3");
  EXPECT_EQ(after->extra().fields().size(), 1u);
  EXPECT_EQ(after->extra().fields().at("color").string_value(), "red");
}

TEST(Patched, WithoutMaskSetsAllThatMayBeSet) {
  v1Thing patch;
  patch.set_name("new");
  patch.set_status("forged");
  patch.set_open_tasks(5);
  patch.set_secret("J***");  // what a masked reader was shown
  patch.mutable_create_time()->set_seconds(1);
  auto after = Patched(UserCall(), Stored(), patch, MaskOf({"*"}), "");
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->name(), "new");
  EXPECT_EQ(after->code(), "C1");
  EXPECT_EQ(after->status(), "");
  EXPECT_EQ(after->open_tasks(), 0);
  EXPECT_EQ(after->secret(), "s3cret");
  EXPECT_EQ(after->create_time().seconds(), Stored().create_time().seconds());
  EXPECT_EQ(after->parts_size(), 0);
  EXPECT_EQ(after->id(), Stored().id());

  auto seeing = Patched(WithPersonalData(UserCall()), Stored(), patch, google::protobuf::FieldMask(), "");
  ASSERT_TRUE(seeing.ok());
  EXPECT_EQ(seeing->secret(), "J***");
}

TEST(Patched, RefusesByName) {
  v1Thing patch;
  patch.set_status("x");
  patch.set_code("C2");
  patch.set_etag("");
  const auto refused = [&](const char* path) {
    auto after = Patched(UserCall(), Stored(), patch, MaskOf({path}), "");
    EXPECT_FALSE(after.ok()) << path;
    return after.status();
  };
  EXPECT_EQ(ViolationsOf(refused("status"))[0].field, "status");
  EXPECT_EQ(ViolationsOf(refused("code"))[0].field, "code");
  EXPECT_EQ(ViolationsOf(refused("create_time"))[0].field, "create_time");
  EXPECT_EQ(ViolationsOf(refused("id"))[0].field, "id");
  EXPECT_EQ(ReasonOf(refused("nmae")), type::v1::ERROR_REASON_FIELD_UNKNOWN);
  EXPECT_EQ(ReasonOf(refused("place.town")), type::v1::ERROR_REASON_FIELD_UNKNOWN);
  EXPECT_EQ(ViolationsOf(refused("parts.name"))[0].field, "parts.name");
  EXPECT_EQ(ReasonOf(refused("secret")), type::v1::ERROR_REASON_RIGHT_MISSING);
  // Immutable fields stop a full update too, if they would change.
  EXPECT_EQ(ViolationsOf(refused("*"))[0].field, "code");
}

TEST(Patched, WhatIsSentBackUnchangedDoesNoHarm) {
  v1Thing patch = Stored();
  patch.set_name("new");
  auto after =
      Patched(UserCall(), Stored(), patch,
              MaskOf({"id", "etag", "name", "code", "status", "create_time", "update_time", "open_tasks"}), "");
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->name(), "new");
}

TEST(Patched, GuardsByEtag) {
  v1Thing patch;
  auto lost = Patched(UserCall(), Stored(), patch, MaskOf({"name"}), "3");
  EXPECT_EQ(lost.status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(ReasonOf(lost.status()), type::v1::ERROR_REASON_ETAG_MISMATCH);
  EXPECT_EQ(MetadataOf(lost.status())["etag"], "4");
  EXPECT_TRUE(Patched(UserCall(), Stored(), patch, MaskOf({"name"}), "\"4\"").ok());
  patch.set_etag("3");
  EXPECT_FALSE(Patched(UserCall(), Stored(), patch, MaskOf({"name", "etag"}), "").ok());
}

TEST(Patched, SettingOneOfClearsTheOther) {
  v1Thing before = Stored();
  before.set_shop("here");
  v1Thing patch;
  patch.set_shelf(3);
  auto after = Patched(UserCall(), before, patch, MaskOf({"shelf"}), "");
  ASSERT_TRUE(after.ok());
  EXPECT_FALSE(after->has_shop());
  EXPECT_EQ(after->shelf(), 3);
  auto all = Patched(UserCall(), before, v1Thing(), MaskOf({"*"}), "");
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->shop(), "here");
}

TEST(ChangedFields, NamesTopLevelFieldsOnly) {
  const v1Thing before = Stored();
  v1Thing after = before;
  EXPECT_THAT(ChangedFields(before, after), IsEmpty());
  after.set_name("new");
  after.mutable_parts(0)->set_count(2);
  (*after.mutable_labels())["a"] = "other";
  after.mutable_place()->clear_floor();
  after.set_open_tasks(9);
  after.set_etag("5");
  after.mutable_update_time()->set_seconds(5);
  *after.mutable_delete_time() = ToTimestamp(kNow);
  EXPECT_THAT(ChangedFields(before, after), UnorderedElementsAre("name", "parts", "labels", "place", "delete_time"));
}

TEST(Access, FollowsScopes) {
  const Call call = UserCall();
  v1Thing mine = Stored(), ours = Stored(), theirs = Stored();
  mine.set_owner_id(call.principal.user_id);
  ours.set_team_id(TypeId("team", Numbered(4)));
  theirs.set_team_id(TypeId("team", Numbered(7)));
  for (auto* thing : {&mine, &ours, &theirs}) FillAccess(call, Things(), *thing);
  EXPECT_THAT(mine.access().can(), ElementsAre("update", "delete"));
  EXPECT_THAT(ours.access().can(), ElementsAre("update"));
  EXPECT_THAT(theirs.access().can(), IsEmpty());
  EXPECT_TRUE(CheckCreate(call, Things(), mine).ok());
  EXPECT_EQ(ReasonOf(CheckCreate(call, Things(), theirs)), type::v1::ERROR_REASON_RIGHT_MISSING);

  Call service;
  service.principal.kind = Principal::Kind::kService;
  EXPECT_TRUE(MayDo(service, Things(), theirs, type::v1::ACTION_DELETE));
}

TEST(Access, MaskHidesPersonalFieldsAtAnyDepth) {
  v1Thing thing = Stored();
  thing.set_secret("Жук");
  thing.mutable_parts(0)->set_serial("12345");
  thing.add_parts()->set_name("no serial");
  v1Thing seen = thing;
  Mask(WithPersonalData(UserCall()), seen);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(seen, thing));

  Mask(UserCall(), thing);
  EXPECT_EQ(thing.secret(), "Ж***");
  EXPECT_EQ(thing.parts(0).serial(), "1***");
  EXPECT_EQ(thing.parts(0).name(), "wheel");
  EXPECT_EQ(thing.parts(1).serial(), "");
  EXPECT_THAT(thing.access().masked(), ElementsAre("parts.serial", "secret"));
}

TEST(Table, ABatchWithAnIdOfTheWrongKindIsRefused) {
  const Call call = UserCall();
  v1Thing thing = Stored();
  thing.set_owner_id(TypeId("team", Numbered(3)));
  Batch batch(call);
  batch.Insert(Things(), thing);
  EXPECT_EQ(ReasonOf(batch.status()), type::v1::ERROR_REASON_REFERENCE_INVALID);
}

TEST(Table, AWriteWithoutAnyScopeIsRefused) {
  Call call = UserCall();
  call.principal.rights = std::make_shared<Rights>();
  Batch batch(call);
  batch.Update(Things(), Stored(), Stored());
  EXPECT_EQ(ReasonOf(batch.status()), type::v1::ERROR_REASON_RIGHT_MISSING);
  EXPECT_EQ(MetadataOf(batch.status())["right"], "thing.update");
}

TEST(Table, UpdatesKeepHistoryAndAreGuarded) {
  const Call call = UserCall();
  Batch batch(call);
  batch.Update(Things(), Stored(), Stored());
  ASSERT_TRUE(batch.status().ok()) << batch.status();
  ASSERT_EQ(batch.items().size(), 2u);
  EXPECT_THAT(batch.items()[0].statement->sql, HasSubstr("INSERT INTO thing_history"));
  EXPECT_EQ(batch.items()[1].guarded_record, Stored().id());
  EXPECT_THAT(batch.items()[1].statement->sql, HasSubstr("t.revision = $3"));
  EXPECT_THAT(batch.items()[1].statement->sql, HasSubstr("t.team_id = ANY("));
}

TEST(Table, DeletingAsksForTheRightToDelete) {
  const Call call = UserCall();
  v1Thing after = Stored();
  *after.mutable_delete_time() = ToTimestamp(kNow);
  Batch batch(call);
  batch.Update(Things(), Stored(), after);
  EXPECT_THAT(batch.items()[1].statement->sql, HasSubstr("t.owner_id = $"));
  EXPECT_THAT(batch.items()[1].statement->sql, ::testing::Not(HasSubstr("team_id = ANY(")));
}

TEST(Table, ARecordWithoutRevisionIsGuardedByItsIdAlone) {
  const Table<crm::testing::v1::Label> labels("test");
  crm::testing::v1::Label label;
  label.set_id(TypeId("label", Numbered(1)));
  const Call call = UserCall();
  Batch batch(call);
  batch.Update(labels, label, label);
  ASSERT_EQ(batch.items().size(), 1u);
  EXPECT_THAT(batch.items()[0].statement->sql,
              HasSubstr("UPDATE label t SET text = $5 WHERE t.tenant_id = $1 AND t.id = $2"));
}

TEST(Table, EventsSayWhoseTheRecordIs) {
  v1Thing thing = Stored();
  thing.set_owner_id(TypeId("user", Numbered(2)));
  const auto event = EventOf(Things(), "created", thing);
  EXPECT_EQ(event.type, "thing.created");
  EXPECT_EQ(event.record_id, thing.id());
  EXPECT_EQ(event.revision, 4u);
  EXPECT_EQ(event.owner_id, thing.owner_id());
}

TEST(Table, ListArgsComeFromTheStandardFields) {
  crm::testing::v1::ListThingsRequest request;
  request.set_filter("active = true");
  request.mutable_filter_tree()->mutable_compare()->set_field("count");
  request.set_order_by("name");
  request.set_page_size(7);
  request.set_page_token("t");
  request.set_count(type::v1::COUNT_EXACT);
  request.set_show_deleted(true);
  request.mutable_as_of()->set_seconds(5);
  const auto args = ListArgsOf(request);
  EXPECT_EQ(args.filter, "active = true");
  EXPECT_EQ(args.tree->compare().field(), "count");
  EXPECT_EQ(args.order_by, "name");
  EXPECT_EQ(args.page_size, 7);
  EXPECT_EQ(args.page_token, "t");
  EXPECT_EQ(args.count, type::v1::COUNT_EXACT);
  EXPECT_TRUE(args.show_deleted);
  EXPECT_EQ(args.as_of, absl::FromUnixSeconds(5));
}

TEST(PageToken, BringsItsKeyBack) {
  const PageKey key = {"a", std::nullopt, "", std::string(300, 'x'), std::string("\0\x80", 2)};
  const auto token = MakePageToken("list 1", key);
  auto read = ReadPageToken("list 1", token);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, key);
}

TEST(PageToken, IsRefusedWhenItIsNotOfThisList) {
  const auto token = MakePageToken("list 1", {"a", "b"});
  EXPECT_EQ(ReasonOf(ReadPageToken("list 2", token).status()), type::v1::ERROR_REASON_PAGE_TOKEN_INVALID);
  for (size_t i = 0; i < token.size(); ++i) {
    std::string broken = token;
    broken[i] = broken[i] == 'A' ? 'Q' : 'A';
    EXPECT_FALSE(ReadPageToken("list 1", broken).ok()) << i;
    EXPECT_FALSE(ReadPageToken("list 1", token.substr(0, i)).ok()) << i;
  }
  EXPECT_FALSE(ReadPageToken("list 1", "").ok());
  EXPECT_FALSE(ReadPageToken("list 1", "?!").ok());
}

}  // namespace
}  // namespace crm::pg
