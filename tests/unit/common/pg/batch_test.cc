#include "common/pg/batch.h"

#include <gmock/gmock.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include "crm/events/v1/event.pb.h"

namespace crm::pg {
namespace {

TEST(PgBatch, WrapsGuardedStatementsUnderAStableName) {
  const Statement statement{"batch_test.touch", "UPDATE t SET x = 1 RETURNING 1 ;\n -- done;\n"};
  Call call;
  Batch batch(call);
  batch.AddGuarded(statement, Params().Int(1), "t_1");
  batch.AddGuarded(statement, Params().Int(2), "t_2");
  ASSERT_EQ(batch.items().size(), 2u);
  EXPECT_EQ(batch.items()[0].statement, batch.items()[1].statement);
  EXPECT_EQ(batch.items()[0].statement->name, "batch_test.touch!");
  EXPECT_EQ(batch.items()[1].guarded_record, "t_2");
  // Neither the closing semicolon nor the comment behind it may end the wrapper.
  EXPECT_EQ(batch.items()[0].statement->sql,
            "WITH changed AS (UPDATE t SET x = 1 RETURNING 1 ) SELECT guard((SELECT count(*) FROM changed))");
}

TEST(PgBatch, MakesOneStatementOfRowsThatFollowOneAnother) {
  const Statement statement{"batch_test.put",
                            "INSERT INTO t SELECT $1, r.a, r.b FROM unnest($2::int[], $3::text[]) AS r (a, b)"};
  const Statement other{"batch_test.other", "SELECT 1"};
  Call call;
  Batch first(call), second(call);
  first.AddRow(statement, Params().Int(7), Params().Int(1).Text("one"));
  first.AddRow(statement, Params().Int(7), Params().Int(2).Null());
  EXPECT_EQ(first.Add(other), 1);
  first.AddRow(statement, Params().Int(7), Params().Int(3).Text("three"));
  second.AddRow(statement, Params().Int(7), Params().Int(4).Text("four"));
  second.AddRow(statement, Params().Int(8), Params().Int(5).Text("five"));  // shares something else

  std::vector<Batch::Item> items = std::move(first.items());
  Batch::Append(items, std::move(second.items()));
  ASSERT_EQ(items.size(), 4u);
  EXPECT_EQ(items[0].rows.size(), 2u);
  EXPECT_EQ(items[1].statement, &other);
  EXPECT_EQ(items[2].rows.size(), 2u);
  EXPECT_EQ(items[3].rows.size(), 1u);
}

TEST(PgBatch, TellsWhoDidWhatInAnEvent) {
  Call call;
  call.start = absl::FromUnixNanos(1700000000123456789);
  call.principal.tenant.bytes[15] = 200;
  call.principal.user_id = "user_1";
  call.traceparent = "00-a-b-01";
  Batch batch(call);
  NewEvent event;
  event.type = "thing.changed";
  event.record_id = "thing_1";
  event.revision = 3;
  event.owner_id = "user_2";
  event.changed_fields = {"name", "size"};
  events::v1::ListHeadsRequest payload;  // any message of ours: its package names the service
  payload.add_buckets(5);
  batch.Emit(event, payload);
  ASSERT_EQ(batch.items().size(), 1u);
  const auto& values = batch.items()[0].params.values();
  ASSERT_EQ(values.size(), 5u);
  EXPECT_EQ(values[1].data, "200");
  EXPECT_EQ(values[2].data, "thing.changed");
  events::v1::Event written;
  ASSERT_TRUE(written.ParseFromString(values[4].data));
  EXPECT_EQ(written.service(), "events");
  EXPECT_EQ(written.actor_id(), "user_1");
  EXPECT_EQ(written.owner_id(), "user_2");
  EXPECT_EQ(written.revision(), 3u);
  EXPECT_EQ(written.changed_fields_size(), 2);
  EXPECT_EQ(written.time().seconds(), 1700000000);
  EXPECT_EQ(written.time().nanos(), 123456000);
  EXPECT_EQ(written.traceparent(), "00-a-b-01");
  EXPECT_TRUE(written.payload().Is<events::v1::ListHeadsRequest>());
}

TEST(PgBatch, ArraysSurviveWhatWouldBreakALiteral) {
  Params params;
  params.TextArray({"a\"b", "c\\d", "e,f", "{g}", ""});
  EXPECT_EQ(params.values()[0].data, R"({"a\"b","c\\d","e,f","{g}",""})");
}

}  // namespace
}  // namespace crm::pg
