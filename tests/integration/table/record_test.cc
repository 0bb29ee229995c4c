// One record's life: stored, read, changed, deleted, and seen by those who may.
#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>

#include "tests/integration/table/things.h"

namespace crm::table_tests {
namespace {

using google::protobuf::util::MessageDifferencer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RecordTest : public TableTest {};

TEST_F(RecordTest, TheDatabaseHasTheColumnsThatTheLayerExpects) {
  for (const auto& [table, columns] :
       {std::pair<std::string, std::vector<pg::RecordTable::ColumnInfo>>("thing", things_.Columns()),
        {"label", labels_.Columns()}}) {
    std::map<std::string, std::string> expected, found;
    for (const auto& column : columns) expected[column.name] = column.type + (column.nullable ? "" : " NOT NULL");
    for (const auto& row : testing::Servers::Get().Sql(
             "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute WHERE attrelid = 'thing." +
             table + "'::regclass AND attnum > 0 AND NOT attisdropped")) {
      found[row[0]] = row[1] + (row[2] == "t" ? " NOT NULL" : "");
    }
    EXPECT_EQ(found, expected);
  }
}

TEST_F(RecordTest, EveryFieldComesBackAsItWasStored) {
  const uint32_t seed = Seed();
  SCOPED_TRACE(absl::StrCat("CRM_TEST_SEED=", seed));
  Random random(seed);
  for (int i = 0; i < 60; ++i) {
    Thing thing = i == 0 ? Thing() : random.NewThing();
    const Thing stored = Create(thing);
    auto got = Get(NewCall(), stored.id());
    ASSERT_TRUE(got.ok()) << got.status();
    std::string difference;
    MessageDifferencer differencer;
    differencer.ReportDifferencesToString(&difference);
    EXPECT_TRUE(differencer.Compare(stored, *got)) << difference;
  }
}

TEST_F(RecordTest, ExtremesSurvive) {
  Thing thing;
  thing.set_count(std::numeric_limits<int32_t>::min());
  thing.set_size(std::numeric_limits<int32_t>::max());
  thing.set_big(std::numeric_limits<int64_t>::min());
  thing.set_ratio(-1.7976931348623157e308);
  thing.set_due_date("0001-01-01");
  thing.set_price("-123456789012345678901234567890.000000000001");
  thing.mutable_seen_time()->set_seconds(-62135596800);
  thing.mutable_seen_time()->set_nanos(1000);
  thing.set_nickname("");
  thing.set_rank(0);
  thing.set_name(std::string(100'000, 'x'));
  thing.add_tags("");
  thing.add_tags("{\"a\\,\"}");
  const Thing stored = Create(thing);
  auto got = Get(NewCall(), stored.id());
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->name(), stored.name());
  got->clear_name();
  Thing expected = stored;
  expected.clear_name();
  EXPECT_TRUE(MessageDifferencer::Equals(expected, *got)) << got->ShortDebugString();
  EXPECT_TRUE(got->has_nickname());
  EXPECT_TRUE(got->has_rank());
}

TEST_F(RecordTest, AnUpdateRaisesTheEtagAndKeepsWhatWas) {
  const Call maker = NewCall();
  Thing first;
  first.set_name("first");
  first.set_status("s");
  pg::StampNew(maker, things_, first);
  Create(maker, first);

  Call changer = NewCall();
  changer.principal.user_id = NewId("user", absl::Now());
  changer.start = maker.start + absl::Seconds(5);
  Thing patch;
  patch.set_name("second");
  google::protobuf::FieldMask mask;
  mask.add_paths("name");
  auto second = pg::Patched(changer, first, patch, mask, "1");
  ASSERT_TRUE(second.ok());
  auto updated = Update(changer, first, *second);
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->etag(), "2");

  auto got = Get(NewCall(), first.id());
  ASSERT_TRUE(got.ok());
  EXPECT_TRUE(MessageDifferencer::Equals(*updated, *got));
  EXPECT_EQ(got->updater_id(), changer.principal.user_id);
  EXPECT_EQ(got->creator_id(), maker.principal.user_id);

  Thing third = *got;
  third.set_secret("known");
  *third.mutable_delete_time() = ToTimestamp(changer.start + absl::Seconds(9));
  Call deleter = NewCall();
  deleter.start = changer.start + absl::Seconds(9);
  ASSERT_TRUE(Update(deleter, *got, third).ok());

  auto history = loop_.Run(pg::History(db(), NewCall(), things_, first.id()));
  ASSERT_TRUE(history.ok()) << history.status();
  ASSERT_EQ(history->size(), 3u);
  EXPECT_EQ(history->at(0).etag(), "3");
  EXPECT_EQ(history->at(0).actor_id(), deleter.principal.user_id);
  ASSERT_EQ(history->at(0).changes_size(), 2);
  EXPECT_EQ(history->at(0).changes(0).field(), "secret");
  EXPECT_EQ(history->at(0).changes(0).new_value(), "\"known\"");
  EXPECT_EQ(history->at(0).changes(1).field(), "delete_time");
  EXPECT_EQ(history->at(0).changes(1).old_value(), "null");
  EXPECT_EQ(history->at(1).etag(), "2");
  EXPECT_EQ(history->at(1).actor_id(), changer.principal.user_id);
  EXPECT_EQ(FromTimestamp(history->at(1).time()), changer.start);
  ASSERT_EQ(history->at(1).changes_size(), 1);
  EXPECT_EQ(history->at(1).changes(0).field(), "name");
  EXPECT_EQ(history->at(1).changes(0).old_value(), "\"first\"");
  EXPECT_EQ(history->at(1).changes(0).new_value(), "\"second\"");
  EXPECT_EQ(history->at(2).etag(), "1");
  EXPECT_EQ(history->at(2).actor_id(), maker.principal.user_id);
  EXPECT_EQ(history->at(2).changes_size(), 0);

  // A page of it.
  auto page = loop_.Run(pg::History(db(), NewCall(), things_, first.id(), 1, 3));
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->size(), 1u);
  EXPECT_EQ(page->at(0).etag(), "2");
  EXPECT_EQ(page->at(0).changes_size(), 1);

  // Values of personal fields are not for everybody.
  auto masked =
      loop_.Run(pg::History(db(), CallWith(type::v1::SCOPE_ALL, type::v1::SCOPE_UNSPECIFIED), things_, first.id()));
  ASSERT_TRUE(masked.ok());
  EXPECT_EQ(masked->at(0).changes(0).field(), "secret");
  EXPECT_EQ(masked->at(0).changes(0).new_value(), "");

  // As it was.
  const auto as_of = [&](absl::Time time) {
    return loop_.Run(pg::GetAsOf(db(), NewCall(), things_, first.id(), time));
  };
  EXPECT_EQ(as_of(maker.start - absl::Seconds(1)).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(as_of(maker.start)->name(), "first");
  EXPECT_EQ(as_of(changer.start - absl::Microseconds(1))->name(), "first");
  EXPECT_EQ(as_of(changer.start)->name(), "second");
  EXPECT_EQ(as_of(deleter.start).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RecordTest, TheSecondOfTwoWritersLoses) {
  const Thing before = Create(Thing());
  Thing one = before, two = before;
  one.set_name("one");
  two.set_name("two");
  ASSERT_TRUE(Update(NewCall(), before, one).ok());
  auto lost = Update(NewCall(), before, two);
  EXPECT_TRUE(IsLostRace(lost.status())) << lost.status();
  EXPECT_EQ(Get(NewCall(), before.id())->name(), "one");
  EXPECT_EQ(testing::Servers::Get().Value("SELECT count(*) FROM thing.thing_history WHERE tenant_id = '" +
                                          tenant_.ToString() + "'"),
            "1");
}

TEST_F(RecordTest, OfManyWritersAtOnceExactlyOneWins) {
  const Thing before = Create(Thing());
  std::vector<Call> calls;
  std::vector<Thing> afters;
  for (int i = 0; i < 8; ++i) {
    calls.push_back(NewCall());
    Thing after = before;
    after.set_count(i + 1);
    pg::Touch(calls.back(), before, after);
    afters.push_back(after);
  }
  std::vector<Async<Thing>> writes;
  for (int i = 0; i < 8; ++i) {
    writes.push_back(db().Once(calls[i], [&, i](pg::Batch& batch) -> absl::StatusOr<Thing> {
      batch.Update(things_, before, afters[i]);
      return afters[i];
    }));
  }
  int won = 0;
  for (const auto& result : loop_.RunAll(std::move(writes))) {
    if (result.ok()) {
      ++won;
    } else {
      EXPECT_TRUE(IsLostRace(result.status())) << result.status();
    }
  }
  EXPECT_EQ(won, 1);
}

TEST_F(RecordTest, DeletedRecordsAreOnlyShownToThoseWhoAsk) {
  const Thing before = Create(Thing());
  Thing after = before;
  *after.mutable_delete_time() = ToTimestamp(absl::Now());
  ASSERT_TRUE(Update(NewCall(), before, after).ok());
  EXPECT_EQ(Get(NewCall(), before.id()).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(Get(NewCall(), before.id(), type::v1::ACTION_READ, true).ok());
  EXPECT_THAT(Names(List(NewCall(), {})), IsEmpty());
  EXPECT_EQ(Names(List(NewCall(), {.show_deleted = true})).size(), 1u);
}

TEST_F(RecordTest, RemovedRowsLeaveTheirHistory) {
  Thing thing;
  thing.set_name("gone");
  const Thing before = Create(thing);
  const Call call = NewCall();
  auto removed = loop_.Run(db().Once(call, [&](pg::Batch& batch) -> absl::StatusOr<Thing> {
    things_.AddDelete(batch, before);
    return before;
  }));
  ASSERT_TRUE(removed.ok()) << removed.status();
  EXPECT_EQ(Get(NewCall(), before.id(), type::v1::ACTION_READ, true).status().code(), absl::StatusCode::kNotFound);
  auto old = loop_.Run(pg::GetAsOf(db(), NewCall(), things_, before.id(), FromTimestamp(before.update_time())));
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_EQ(old->name(), "gone");
}

TEST_F(RecordTest, AnotherTenantsRecordDoesNotExist) {
  const Thing mine = Create(Thing());
  Call other = NewCall();
  other.principal.tenant = testing::NewTenant();
  EXPECT_EQ(ReasonOf(Get(other, mine.id()).status()), type::v1::ERROR_REASON_RECORD_NOT_FOUND);
  EXPECT_THAT(Names(List(other, {.show_deleted = true})), IsEmpty());
  EXPECT_TRUE(loop_.Run(db().BatchGet(other, things_, {mine.id()}))->empty());
  EXPECT_TRUE(loop_.Run(pg::RefsOf(db(), other, things_, {mine.id()}))->empty());
  Thing after = mine;
  after.set_name("stolen");
  EXPECT_TRUE(IsLostRace(Update(other, mine, after).status()));
  EXPECT_EQ(Get(NewCall(), mine.id())->name(), "");
}

TEST_F(RecordTest, ScopesNarrowReadsAndWrites) {
  const auto owned = [&](const char* name, const std::string& owner, const Uuid& team) {
    Thing thing;
    thing.set_name(name);
    thing.set_owner_id(owner);
    if (!team.IsNil()) thing.set_team_id(TypeId("team", team));
    return Create(thing);
  };
  const Thing mine = owned("mine", user_, Uuid{});
  const Thing ours = owned("ours", NewId("user", absl::Now()), below_);
  const Thing theirs = owned("theirs", NewId("user", absl::Now()), NewUuid(absl::Now()));

  using enum type::v1::Scope;
  const auto names = [&](type::v1::Scope scope) {
    auto found = Names(List(CallWith(scope, SCOPE_UNSPECIFIED), {.order_by = "name", .count = type::v1::COUNT_EXACT}));
    return found;
  };
  EXPECT_THAT(names(SCOPE_OWN), ElementsAre("mine"));
  EXPECT_THAT(names(SCOPE_TEAM), ElementsAre("mine", "ours"));
  EXPECT_THAT(names(SCOPE_ALL), ElementsAre("mine", "ours", "theirs"));
  EXPECT_EQ(ReasonOf(List(CallWith(SCOPE_UNSPECIFIED, SCOPE_UNSPECIFIED), {}).status()),
            type::v1::ERROR_REASON_RIGHT_MISSING);

  const auto code = [&](type::v1::Scope read, type::v1::Scope update, const Thing& thing, type::v1::Action action) {
    return Get(CallWith(read, update), thing.id(), action).status().code();
  };
  EXPECT_EQ(code(SCOPE_OWN, SCOPE_OWN, ours, type::v1::ACTION_READ), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(SCOPE_TEAM, SCOPE_OWN, ours, type::v1::ACTION_READ), absl::StatusCode::kOk);
  EXPECT_EQ(code(SCOPE_TEAM, SCOPE_OWN, ours, type::v1::ACTION_UPDATE), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code(SCOPE_TEAM, SCOPE_UNSPECIFIED, ours, type::v1::ACTION_UPDATE), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code(SCOPE_OWN, SCOPE_OWN, theirs, type::v1::ACTION_UPDATE), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(SCOPE_OWN, SCOPE_TEAM, ours, type::v1::ACTION_UPDATE), absl::StatusCode::kOk);
  EXPECT_EQ(code(SCOPE_OWN, SCOPE_OWN, mine, type::v1::ACTION_UPDATE), absl::StatusCode::kOk);

  // The guard holds even where the handler has read with other rights.
  Thing after = ours;
  after.set_name("changed");
  EXPECT_TRUE(IsLostRace(Update(CallWith(SCOPE_ALL, SCOPE_OWN), ours, after).status()));
  EXPECT_TRUE(Update(CallWith(SCOPE_ALL, SCOPE_TEAM), ours, after).ok());

  auto some = loop_.Run(db().BatchGet(CallWith(SCOPE_TEAM, SCOPE_OWN), things_, {theirs.id(), ours.id(), mine.id()}));
  ASSERT_TRUE(some.ok());
  ASSERT_EQ(some->size(), 2u);
  EXPECT_EQ(some->at(0).id(), ours.id());
  EXPECT_EQ(some->at(1).id(), mine.id());
}

TEST_F(RecordTest, RefsShowTitlesOfWhatMayBeRead) {
  Thing thing;
  thing.set_name("Title");
  thing.set_code("Sub");
  const Thing living = Create(thing);
  const Thing dying = Create(thing);
  Thing dead = dying;
  *dead.mutable_delete_time() = ToTimestamp(absl::Now());
  ASSERT_TRUE(Update(NewCall(), dying, dead).ok());
  auto refs = loop_.Run(pg::RefsOf(db(), NewCall(), things_, {living.id(), dying.id(), NewId("thing", absl::Now())}));
  ASSERT_TRUE(refs.ok()) << refs.status();
  ASSERT_EQ(refs->size(), 2u);
  std::sort(refs->begin(), refs->end(), [](const auto& a, const auto& b) { return a.deleted() < b.deleted(); });
  EXPECT_EQ(refs->at(0).id(), living.id());
  EXPECT_EQ(refs->at(0).type(), "thing");
  EXPECT_EQ(refs->at(0).title(), "Title");
  EXPECT_EQ(refs->at(0).subtitle(), "Sub");
  EXPECT_FALSE(refs->at(0).deleted());
  EXPECT_TRUE(refs->at(1).deleted());
  EXPECT_TRUE(
      loop_.Run(pg::RefsOf(db(), CallWith(type::v1::SCOPE_UNSPECIFIED, type::v1::SCOPE_ALL), things_, {living.id()}))
          ->empty());
}

TEST_F(RecordTest, AnIdOfAnotherKindIsRefusedAtOnce) {
  EXPECT_EQ(ReasonOf(Get(NewCall(), NewId("deal", absl::Now())).status()), type::v1::ERROR_REASON_REFERENCE_INVALID);
  EXPECT_FALSE(Get(NewCall(), "nonsense").ok());
}

TEST_F(RecordTest, AConflictNamesTheRecordThatHasTheValue) {
  static const pg::Statement kKeep{"thing.keep_key",
                                   "INSERT INTO thing_key (tenant_id, key, thing_id) VALUES ($1, $2, $3)"};
  things_.AddUniqueKey({"thing_key_pkey",
                        "code",
                        {"thing.find_key", "SELECT thing_id FROM thing_key_view WHERE key = $1"},
                        [](const google::protobuf::Message& record) {
                          return pg::Params().Text(static_cast<const Thing&>(record).code());
                        }});
  const auto create = [&](const Call& call, Thing& thing) {
    thing.set_code("K1");
    pg::StampNew(call, things_, thing);
    return loop_.Run(db().Once(call, [&](pg::Batch& batch) -> absl::StatusOr<Thing> {
      batch.Insert(things_, thing);
      batch.Add(kKeep, pg::Params().Id(tenant_).Text(thing.code()).Id(ParseId(thing.id())->uuid));
      return thing;
    }));
  };
  Thing first, second;
  ASSERT_TRUE(create(NewCall(), first).ok());
  const Call call = NewCall();
  auto refused = create(call, second);
  ASSERT_FALSE(refused.ok());
  auto named = loop_.Run(pg::NameExisting(db(), call, things_, refused.status(), second));
  EXPECT_EQ(named.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(MetadataOf(named)["existing"], first.id());
  EXPECT_EQ(ViolationsOf(named)[0].field, "code");
  EXPECT_THAT(std::string(named.message()), HasSubstr(first.id()));
  EXPECT_FALSE(Get(NewCall(), second.id()).ok());
}

TEST_F(RecordTest, AnExclusiveTransactionLocksWhatItReads) {
  const Thing before = Create(Thing());
  const Call call = NewCall();
  auto body = [&](pg::Transaction& transaction) -> Async<> {
    CRM_CO_TRY(Thing locked, co_await pg::Lock(transaction, call, things_, before.id()));
    Thing after = locked;
    after.set_count(locked.count() + 1);
    pg::Batch batch(call);
    batch.Update(things_, locked, after);
    co_return co_await transaction.Run(std::move(batch));
  };
  auto done = loop_.Run(db().Transact(call, body));
  EXPECT_TRUE(done.ok()) << done;
  EXPECT_EQ(Get(NewCall(), before.id())->count(), 1);
  const Call other = CallWith(type::v1::SCOPE_OWN, type::v1::SCOPE_OWN);
  auto foreign = [&](pg::Transaction& transaction) -> Async<> {
    CRM_CO_TRY(Thing locked, co_await pg::Lock(transaction, other, things_, before.id()));
    co_return absl::OkStatus();
  };
  Thing theirs = *Get(NewCall(), before.id());
  Thing given = theirs;
  given.set_owner_id(NewId("user", absl::Now()));
  ASSERT_TRUE(Update(NewCall(), theirs, given).ok());
  EXPECT_EQ(loop_.Run(db().Transact(other, foreign)).code(), absl::StatusCode::kNotFound);
}

TEST_F(RecordTest, ARecordWithoutRevisionIsSimplyReplaced) {
  Label label;
  const Call call = NewCall();
  pg::StampNew(call, labels_, label);
  label.set_text("one");
  ASSERT_TRUE(loop_
                  .Run(db().Once(call,
                                 [&](pg::Batch& batch) -> absl::StatusOr<Label> {
                                   batch.Insert(labels_, label);
                                   return label;
                                 }))
                  .ok());
  Label after = label;
  after.set_text("two");
  const Call change = NewCall();
  ASSERT_TRUE(loop_
                  .Run(db().Once(change,
                                 [&](pg::Batch& batch) -> absl::StatusOr<Label> {
                                   batch.Update(labels_, label, after);
                                   return after;
                                 }))
                  .ok());
  EXPECT_EQ(loop_.Run(db().Get(NewCall(), labels_, label.id()))->text(), "two");
}

}  // namespace
}  // namespace crm::table_tests
