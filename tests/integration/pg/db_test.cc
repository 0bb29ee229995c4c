// What Db promises, against the real PostgreSQL.
#include "common/pg/db.h"

#include <absl/strings/str_cat.h>
#include <signal.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <thread>

#include "crm/events/v1/event.pb.h"
#include "tests/integration/pg/shop.h"

namespace crm::pg {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using DbTest = ShopTest;
using RowsOr = absl::StatusOr<std::vector<Rows>>;

TEST_F(DbTest, DecodesEveryType) {
  static const Statement kAll{
      "shop.types",
      "SELECT $1::text, $2::bigint, $2::int::smallint, true, 1.5::real, -2.25::double precision, $3::uuid, "
      "$4::timestamptz, "
      "'2024-02-29'::date, $5::bytea, $6::text[], $7::int[], $8::uuid[], '{\"a\": 1}'::jsonb, NULL::text, $9::boolean, "
      "'infinity'::timestamptz, ARRAY[1, NULL, 3]::bigint[], '{}'::text[]"};
  Call call = TestCall(NewTenant());
  Uuid id = NewTenant(), other = NewTenant();
  absl::Time time = absl::FromUnixMicros(-1234567890123456);
  std::string bytes("\0\x01\xff", 3);
  auto got = loop_.Run(db_->Read(call, kAll,
                                 Params()
                                     .Text("gruß \"\\ שלום")
                                     .Int(-32768)
                                     .Id(id)
                                     .Time(time)
                                     .Bytes(bytes)
                                     .TextArray({"a,b", "quote\" back\\slash", "", "{}", "NULL"})
                                     .IntArray({1, -2})
                                     .IdArray({id, other})
                                     .Bool(false)));
  ASSERT_EQ(got.status(), absl::OkStatus());
  const Rows& r = *got;
  ASSERT_EQ(r.size(), 1);
  EXPECT_EQ(r.Text(0, 0), "gruß \"\\ שלום");
  EXPECT_EQ(r.Int(0, 1), -32768);
  EXPECT_EQ(r.Int(0, 2), -32768);
  EXPECT_TRUE(r.Bool(0, 3));
  EXPECT_EQ(r.Double(0, 4), 1.5);
  EXPECT_EQ(r.Double(0, 5), -2.25);
  EXPECT_EQ(r.Id(0, 6), id);
  EXPECT_EQ(r.Time(0, 7), time);
  EXPECT_EQ(r.Date(0, 8), "2024-02-29");
  EXPECT_EQ(r.Bytes(0, 9), bytes);
  EXPECT_THAT(r.TextArray(0, 10), ElementsAre("a,b", "quote\" back\\slash", "", "{}", "NULL"));
  EXPECT_THAT(r.IntArray(0, 11), ElementsAre(1, -2));
  EXPECT_THAT(r.IdArray(0, 12), ElementsAre(id, other));
  EXPECT_EQ(r.Text(0, 13), "{\"a\": 1}");
  EXPECT_TRUE(r.IsNull(0, 14));
  EXPECT_FALSE(r.Bool(0, 15));
  EXPECT_EQ(r.Time(0, 16), absl::InfiniteFuture());
  EXPECT_THAT(r.IntArray(0, 17), ElementsAre(1, 3));
  EXPECT_THAT(r.TextArray(0, 18), IsEmpty());
}

TEST_F(DbTest, SendsRowsAsArrays) {
  static const Statement kRows{
      "shop.rows",
      "SELECT $1::int, r.id, r.count, r.name, r.time FROM unnest($2::uuid[], $3::bigint[], $4::text[], "
      "$5::timestamptz[]) WITH ORDINALITY AS r (id, count, name, time, at) ORDER BY at"};
  Call call = TestCall(NewTenant());
  const Uuid id = NewTenant();
  const absl::Time time = absl::FromUnixMicros(-1234567890123456);
  Batch batch(call);
  batch.AddRow(kRows, Params().Int(7), Params().Id(id).Int(-5).Text("gruß, \"\\ {שלום}").Time(time));
  batch.AddRow(kRows, Params().Int(7), Params().Null().Null().Text("NULL").Time(absl::InfiniteFuture()));
  batch.AddRow(kRows, Params().Int(7), Params().Id(id).Int(6).Null().Null());
  auto got = loop_.Run(db_->Read(call, std::move(batch)));
  ASSERT_EQ(got.status(), absl::OkStatus());
  ASSERT_EQ(got->size(), 1u);
  const Rows& r = (*got)[0];
  ASSERT_EQ(r.size(), 3);
  EXPECT_EQ(r.Int(2, 0), 7);
  EXPECT_EQ(r.Id(0, 1), id);
  EXPECT_TRUE(r.IsNull(1, 1));
  EXPECT_EQ(r.Id(2, 1), id);
  EXPECT_EQ(r.Int(0, 2), -5);
  EXPECT_TRUE(r.IsNull(1, 2));
  EXPECT_EQ(r.Text(0, 3), "gruß, \"\\ {שלום}");
  EXPECT_EQ(r.Text(1, 3), "NULL");
  EXPECT_TRUE(r.IsNull(2, 3));
  EXPECT_EQ(r.Time(0, 4), time);
  EXPECT_EQ(r.Time(1, 4), absl::InfiniteFuture());
  EXPECT_TRUE(r.IsNull(2, 4));
}

TEST_F(DbTest, DecodesNumericExactly) {
  static const Statement kNumeric{"shop.numeric", "SELECT n, n::text FROM unnest($1::numeric[]) n"};
  std::vector<std::string> texts = {"0",
                                    "0.00",
                                    "1",
                                    "-1",
                                    "1234.50",
                                    "10000",
                                    "100000000",
                                    "99999.9999",
                                    "0.0001",
                                    "0.00001",
                                    "-0.000010",
                                    "12345678901234567890.123456789",
                                    "1e20",
                                    "1e-10",
                                    "10000.01",
                                    "9999.0001",
                                    "-5.10",
                                    "NaN",
                                    "1000000.00000001"};
  auto got = loop_.Run(db_->Read(TestCall(NewTenant()), kNumeric, Params().TextArray(texts)));
  ASSERT_EQ(got.status(), absl::OkStatus());
  ASSERT_EQ(got->size(), static_cast<int>(texts.size()));
  for (int i = 0; i < got->size(); ++i) EXPECT_EQ(got->Decimal(i, 0), got->Text(i, 1));
}

TEST_F(DbTest, NeighbourOfAFailingBatchIsUnharmed) {
  DbOptions options = Servers::Get().Db("shop");
  options.write_connections = 1;
  options.write_depth = 16;  // all in one pipeline
  Use(options);
  Call call = TestCall(NewTenant());
  std::vector<asio::awaitable<RowsOr>> batches;
  for (int i = 0; i < 12; ++i) {
    batches.push_back(
        db_->Write(call, AddItem(call, NewTenant(), i % 4 == 2 ? "forbidden" : absl::StrCat("item ", i))));
  }
  auto answers = loop_.RunAll(std::move(batches));
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(answers[static_cast<size_t>(i)].status().code(),
              i % 4 == 2 ? absl::StatusCode::kInvalidArgument : absl::StatusCode::kOk)
        << i << answers[static_cast<size_t>(i)].status();
  }
  EXPECT_EQ(Count("item"), 9);
}

TEST_F(DbTest, AStatementAfterTheFailingOneIsUndoneToo) {
  Call call = TestCall(NewTenant());
  Batch batch = AddItem(call, NewTenant(), "first");
  batch.Add(kAddItem, Params().Id(call.tenant()).Id(NewTenant()).Text("forbidden"));
  batch.Add(kAddItem, Params().Id(call.tenant()).Id(NewTenant()).Text("third"));
  auto got = loop_.Run(db_->Write(call, std::move(batch)));
  EXPECT_EQ(got.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MetadataOf(got.status())["constraint"], "item_name_allowed");
  EXPECT_EQ(Count("item"), 0);
}

TEST_F(DbTest, ADeferredViolationIsAnErrorThoughEveryStatementSaidOk) {
  DbOptions options = Servers::Get().Db("shop");
  options.write_connections = 1;
  options.write_depth = 4;
  Use(options);
  Call call = TestCall(NewTenant());
  Batch dangling(call);
  dangling.Add(kAddLine, Params().Id(call.tenant()).Id(NewTenant()).Id(NewTenant()));
  std::vector<asio::awaitable<RowsOr>> batches;
  batches.push_back(db_->Write(call, AddItem(call, NewTenant(), "before")));
  batches.push_back(db_->Write(call, std::move(dangling)));
  batches.push_back(db_->Write(call, AddItem(call, NewTenant(), "after")));
  auto answers = loop_.RunAll(std::move(batches));
  EXPECT_EQ(answers[0].status(), absl::OkStatus());
  EXPECT_EQ(answers[1].status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MetadataOf(answers[1].status())["constraint"], "line_item");
  EXPECT_EQ(answers[2].status(), absl::OkStatus());
  EXPECT_EQ(Count("line"), 0);
  EXPECT_EQ(Count("item"), 2);
}

TEST_F(DbTest, AUniqueViolationNamesTheConstraintAndNoValue) {
  Call call = TestCall(NewTenant());
  ASSERT_TRUE(loop_.Run(db_->Write(call, AddItem(call, NewTenant(), "secret lamp"))).ok());
  auto got = loop_.Run(db_->Write(call, AddItem(call, NewTenant(), "secret lamp")));
  EXPECT_EQ(got.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(MetadataOf(got.status())["constraint"], "item_name");
  EXPECT_THAT(std::string(got.status().message()), Not(HasSubstr("secret")));
}

TEST_F(DbTest, TheGuardUndoesTheEvent) {
  Call call = TestCall(NewTenant());
  Uuid id = NewTenant();
  ASSERT_TRUE(loop_.Run(db_->Write(call, AddItem(call, id, "lamp"))).ok());
  auto rename = [&](int revision, const std::string& name) {
    Batch batch(call);
    batch.AddGuarded(kRename, Params().Id(call.tenant()).Id(id).Text(name).Int(revision), "item_1");
    NewEvent event;
    event.type = "item.renamed";
    event.record_id = "item_1";
    event.revision = 2;
    event.changed_fields = {"name"};
    Text payload;
    payload.set_value(name);
    batch.Emit(event, payload);
    return loop_.Run(db_->Write(call, std::move(batch)));
  };
  std::vector<Uuid> emitted;
  db_->OnEmit([&](const Uuid& tenant) { emitted.push_back(tenant); });
  auto lost = rename(7, "too late");
  EXPECT_TRUE(emitted.empty()) << "nothing was committed";
  EXPECT_TRUE(IsLostRace(lost.status())) << lost.status();
  EXPECT_EQ(Count("outbox"), 0);
  EXPECT_EQ(Count("item WHERE name = 'lamp'"), 1);

  ASSERT_EQ(rename(1, "in time").status(), absl::OkStatus());
  EXPECT_EQ(emitted, std::vector<Uuid>{call.tenant()});
  db_->OnEmit({});
  EXPECT_EQ(Count("item WHERE name = 'in time' AND revision = 2"), 1);
  auto rows =
      Servers::Get().Sql("SELECT tenant_id, bucket, seq, type, record_id, encode(event, 'hex') FROM shop.outbox");
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0][0], call.tenant().ToString());
  EXPECT_EQ(rows[0][1], std::to_string(call.tenant().bucket()));
  EXPECT_EQ(rows[0][2], "");
  EXPECT_EQ(rows[0][3], "item.renamed");
  std::string raw;
  for (size_t i = 0; i < rows[0][5].size(); i += 2) {
    raw += static_cast<char>(std::stoi(rows[0][5].substr(i, 2), nullptr, 16));
  }
  events::v1::Event event;
  ASSERT_TRUE(event.ParseFromString(raw));
  EXPECT_EQ(event.actor_id(), call.principal.user_id);
  EXPECT_EQ(event.traceparent(), call.traceparent);
  EXPECT_EQ(event.tenant_id(), call.principal.tenant_id());
  EXPECT_EQ(event.seq(), 0u);
  Text payload;
  ASSERT_TRUE(event.payload().UnpackTo(&payload));
  EXPECT_EQ(payload.value(), "in time");
}

TEST_F(DbTest, EveryWayOfWritingEventsIsTold) {
  Call call = TestCall(NewTenant());
  int told = 0;
  db_->OnEmit([&](const Uuid&) { ++told; });
  const auto event = [&] {
    Batch batch(call);
    NewEvent about;
    about.type = "item.renamed";
    about.record_id = "item_1";
    batch.Emit(about, Text());
    return batch;
  };
  ASSERT_TRUE(loop_.Run(db_->Write(call, event())).ok());
  EXPECT_EQ(told, 1);

  // As consumers do: the effects of several events in one transaction.
  Batch effects = event(), together(call);
  Batch::Append(together.items(), std::move(effects.items()));
  ASSERT_TRUE(loop_.Run(db_->Write(call, std::move(together))).ok());
  EXPECT_EQ(told, 2);

  ASSERT_TRUE(loop_.Run(db_->Transact(call, [&](Transaction& transaction) { return transaction.Run(event()); })).ok());
  EXPECT_EQ(told, 3);
  ASSERT_TRUE(loop_.Run(db_->Write(call, AddItem(call, NewTenant(), "no event"))).ok());
  EXPECT_EQ(told, 3);
  db_->OnEmit({});
  EXPECT_EQ(Count("outbox"), 3);
}

TEST_F(DbTest, OfTwoWritersOneWins) {
  Call call = TestCall(NewTenant());
  Uuid id = NewTenant();
  ASSERT_TRUE(loop_.Run(db_->Write(call, AddItem(call, id, "lamp"))).ok());
  for (int round = 1; round <= 10; ++round) {
    std::vector<asio::awaitable<RowsOr>> batches;
    for (const char* name : {"a", "b", "c"}) {
      Batch batch(call);
      batch.AddGuarded(kRename, Params().Id(call.tenant()).Id(id).Text(absl::StrCat(name, round)).Int(round), "item_1");
      batches.push_back(db_->Write(call, std::move(batch)));
    }
    int won = 0;
    for (const RowsOr& answer : loop_.RunAll(std::move(batches))) {
      won += answer.ok() ? 1 : 0;
      if (!answer.ok()) {
        EXPECT_TRUE(IsLostRace(answer.status())) << answer.status();
      }
    }
    EXPECT_EQ(won, 1);
  }
  EXPECT_EQ(Count("item WHERE revision = 11"), 1);
}

TEST_F(DbTest, ARepeatedRequestGetsTheFirstAnswer) {
  Call call = TestCall(NewTenant());
  auto first = AddOnce(call, NewTenant(), "lamp");
  ASSERT_EQ(first.status(), absl::OkStatus());
  auto second = AddOnce(call, NewTenant(), "another decision");
  ASSERT_EQ(second.status(), absl::OkStatus());
  EXPECT_EQ(second->value(), "lamp");
  EXPECT_EQ(Count("item"), 1);
  EXPECT_EQ(Count("idempotency"), 1);
}

TEST_F(DbTest, AKeyWithAnotherRequestIsRefused) {
  Call call = TestCall(NewTenant());
  ASSERT_TRUE(AddOnce(call, NewTenant(), "lamp").ok());
  Call other_body = call;
  other_body.body_hash = std::string(32, 'x');
  EXPECT_EQ(ReasonOf(AddOnce(other_body, NewTenant(), "b").status()), Reason::ERROR_REASON_IDEMPOTENCY_KEY_REUSED);
  // Who asks whether the key has an answer, is told the same.
  EXPECT_EQ(ReasonOf(loop_.Run(db_->KeptReply(other_body)).status()), Reason::ERROR_REASON_IDEMPOTENCY_KEY_REUSED);
  EXPECT_TRUE(loop_.Run(db_->KeptReply(call))->has_value());
  Call other_method = call;
  other_method.method = "crm.test.v1.TestService.Other";
  EXPECT_EQ(ReasonOf(AddOnce(other_method, NewTenant(), "c").status()), Reason::ERROR_REASON_IDEMPOTENCY_KEY_REUSED);
  // Another tenant's key is another key.
  Call other_tenant = call;
  other_tenant.principal.tenant = NewTenant();
  EXPECT_TRUE(AddOnce(other_tenant, NewTenant(), "d").ok());
  EXPECT_EQ(Count("item"), 2);
}

TEST_F(DbTest, TheSameRequestTwiceAtOnceIsDoneOnce) {
  for (int round = 0; round < 10; ++round) {
    Call call = TestCall(NewTenant());
    std::vector<asio::awaitable<absl::StatusOr<std::string>>> both;
    for (int i = 0; i < 2; ++i) {
      both.push_back(
          db_->OnceBytes(call, AddItem(call, NewTenant(), absl::StrCat("lamp ", i)), absl::StrCat("reply ", i)));
    }
    auto answers = loop_.RunAll(std::move(both));
    ASSERT_EQ(answers[0].status(), absl::OkStatus());
    ASSERT_EQ(answers[1].status(), absl::OkStatus());
    EXPECT_EQ(*answers[0], *answers[1]);
  }
  EXPECT_EQ(Count("item"), 10);
}

TEST_F(DbTest, AFailedRequestMayBeSentAgainWithItsKey) {
  Call call = TestCall(NewTenant());
  EXPECT_FALSE(AddOnce(call, NewTenant(), "forbidden").ok());
  EXPECT_TRUE(AddOnce(call, NewTenant(), "lamp").ok());
}

TEST_F(DbTest, OnceWithoutATenantIsRefused) {
  EXPECT_EQ(AddOnce(TestCall(Uuid()), NewTenant(), "lamp").status().code(), absl::StatusCode::kInternal);
}

TEST_F(DbTest, AStatementHasItsTime) {
  Call call = TestCall(NewTenant());
  Batch batch(call);
  batch.Add(kSleep, Params().Int(20));
  Db::ReadOptions options;
  options.work = Work::kList;
  options.statement_timeout = std::chrono::milliseconds(100);
  auto start = std::chrono::steady_clock::now();
  auto got = loop_.Run(db_->Read(call, std::move(batch), options));
  EXPECT_EQ(got.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ReasonOf(got.status()), Reason::ERROR_REASON_QUERY_TOO_SLOW);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  // The limit was the batch's own.
  EXPECT_TRUE(loop_.Run(db_->Read(call, kItemNames, Params(), Work::kList)).ok());
}

TEST_F(DbTest, PlanModeAndScansAreSetForTheBatchAlone) {
  static const Statement kShow{"shop.show",
                               "SELECT current_setting('plan_cache_mode'), current_setting('enable_seqscan')"};
  DbOptions options = Servers::Get().Db("shop");
  options.list_connections = 1;
  Use(options);
  Call call = TestCall(NewTenant());
  for (auto [custom, no_scan] :
       {std::pair(true, false), std::pair(false, true), std::pair(true, true), std::pair(false, false)}) {
    Batch batch(call);
    batch.Add(kShow);
    Db::ReadOptions read;
    read.work = Work::kList;
    read.force_custom_plan = custom;
    read.no_seq_scan = no_scan;
    auto got = loop_.Run(db_->Read(call, std::move(batch), read));
    ASSERT_EQ(got.status(), absl::OkStatus());
    EXPECT_EQ((*got)[0].Text(0, 0), custom ? "force_custom_plan" : "auto");
    EXPECT_EQ((*got)[0].Text(0, 1), no_scan ? "off" : "on");
  }
}

TEST_F(DbTest, AWriteOutlivesTheCallerThatStoppedWaiting) {
  DbOptions options = Servers::Get().Db("shop");
  options.write_connections = 1;
  Use(options);
  Call call = TestCall(NewTenant());
  ASSERT_TRUE(loop_.Run(db_->Write(call, AddItem(call, NewTenant(), "first"))).ok());
  int backend =
      std::stoi(Servers::Get().Value("SELECT pid FROM pg_stat_activity WHERE application_name = 'shop/write'"));
  kill(backend, SIGSTOP);
  Call hurried = call;
  hurried.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(150);
  auto got = loop_.Run(db_->Write(hurried, AddItem(hurried, NewTenant(), "second")));
  EXPECT_EQ(got.status().code(), absl::StatusCode::kDeadlineExceeded);
  kill(backend, SIGCONT);
  // The batch belonged to the connection: it is done all the same, and the connection serves the next.
  ASSERT_TRUE(loop_.Run(db_->Write(call, AddItem(call, NewTenant(), "third"))).ok());
  EXPECT_EQ(Count("item"), 3);
}

TEST_F(DbTest, AServerThatHangsIsLeftForANewConnection) {
  DbOptions options = Servers::Get().Db("shop");
  options.point_connections = 1;
  Use(options);
  Call call = TestCall(NewTenant());
  ASSERT_TRUE(loop_.Run(db_->Read(call, kItemNames, Params())).ok());
  int backend =
      std::stoi(Servers::Get().Value("SELECT pid FROM pg_stat_activity WHERE application_name = 'shop/point'"));
  kill(backend, SIGSTOP);
  Call hurried = call;
  hurried.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(100);
  EXPECT_EQ(loop_.Run(db_->Read(hurried, kItemNames, Params())).status().code(), absl::StatusCode::kDeadlineExceeded);
  // In the same pipeline, behind the one that hangs.
  EXPECT_EQ(loop_.Run(db_->Read(call, kItemNames, Params())).status(), absl::OkStatus());
  kill(backend, SIGCONT);
}

TEST_F(DbTest, ServesSeveralLoops) {
  constexpr int kLoops = 3;
  std::vector<testing::Loop> loops(kLoops);
  std::vector<asio::any_io_executor> executors;
  for (testing::Loop& loop : loops) executors.push_back(loop.executor());
  Db db(Servers::Get().Db("shop"), executors);
  Call call = TestCall(NewTenant());
  std::vector<std::thread> threads;
  for (int i = 0; i < kLoops; ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < 50; ++n) {
        testing::Loop& loop = loops[static_cast<size_t>(i)];
        EXPECT_TRUE(loop.Run(db.Write(call, AddItem(call, NewTenant(), absl::StrCat(i, "-", n)))).ok());
        EXPECT_TRUE(loop.Run(db.Read(call, kItemNames, Params())).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Count("item"), kLoops * 50);
}

Async<> WriteAndTell(Db& db, const Call& call, Batch batch, absl::Status& told) {
  auto answer = co_await db.Write(call, std::move(batch));
  told = answer.status();
  co_return absl::OkStatus();
}

TEST_F(DbTest, ACancelledCallerLeavesItsBatchBehind) {
  DbOptions options = Servers::Get().Db("shop");
  options.write_connections = 1;
  Use(options);
  Call call = TestCall(NewTenant());
  ASSERT_TRUE(loop_.Run(db_->Write(call, AddItem(call, NewTenant(), "warm"))).ok());
  Batch slow = AddItem(call, NewTenant(), "slow");
  slow.Add(kSleep, Params().Text("2"));
  // One that is under way and one that waits in line.
  asio::cancellation_signal sent, waiting;
  absl::Status told_sent, told_waiting;
  int ended = 0;
  auto end = [&](std::exception_ptr, absl::Status) { ++ended; };
  asio::co_spawn(loop_.context(), WriteAndTell(*db_, call, std::move(slow), told_sent),
                 asio::bind_cancellation_slot(sent.slot(), end));
  asio::co_spawn(loop_.context(), WriteAndTell(*db_, call, AddItem(call, NewTenant(), "never"), told_waiting),
                 asio::bind_cancellation_slot(waiting.slot(), end));
  loop_.RunFor(std::chrono::milliseconds(50));
  auto start = std::chrono::steady_clock::now();
  sent.emit(asio::cancellation_type::terminal);
  waiting.emit(asio::cancellation_type::terminal);
  loop_.Until([&] { return ended == 2; });
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(1500));
  EXPECT_EQ(told_sent.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(told_waiting.code(), absl::StatusCode::kCancelled);
  ASSERT_TRUE(loop_.Run(db_->Write(call, AddItem(call, NewTenant(), "next"))).ok());
  EXPECT_EQ(Servers::Get().Value("SELECT string_agg(name, ' ' ORDER BY name) FROM shop.item"), "next slow warm");
}

TEST_F(DbTest, FindsTheServerByItsName) {
  DbOptions options = Servers::Get().Db("shop");
  options.conninfo.replace(options.conninfo.find("127.0.0.1"), 9, "localhost");
  Use(options);
  EXPECT_EQ(loop_.Run(db_->Ping()), absl::OkStatus());
  options.conninfo.replace(options.conninfo.find("localhost"), 9, "no-such-host.invalid");
  Use(options);
  Call call = TestCall(NewTenant());
  call.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  EXPECT_FALSE(loop_.Run(db_->Read(call, kItemNames, Params())).ok());
}

TEST_F(DbTest, WhatDoesNotFitTheLineIsRefusedAtOnce) {
  DbOptions options = Servers::Get().Db("shop");
  options.write_connections = 1;
  options.queue_max = 4;
  Use(options);
  Call call = TestCall(NewTenant());
  ASSERT_TRUE(loop_.Run(db_->Write(call, AddItem(call, NewTenant(), "warm"))).ok());
  std::vector<asio::awaitable<RowsOr>> batches;
  Batch slow(call);
  slow.Add(kSleep, Params().Text("0.4"));
  batches.push_back(db_->Write(call, std::move(slow)));
  for (int i = 0; i < 9; ++i) batches.push_back(db_->Write(call, AddItem(call, NewTenant(), absl::StrCat("item ", i))));
  auto answers = loop_.RunAll(std::move(batches));
  for (size_t i = 0; i < answers.size(); ++i) {
    if (i <= 4) {
      EXPECT_EQ(answers[i].status(), absl::OkStatus()) << i;
    } else {
      EXPECT_EQ(answers[i].status().code(), absl::StatusCode::kUnavailable) << i;
      EXPECT_EQ(ReasonOf(answers[i].status()), Reason::ERROR_REASON_OVERLOADED);
      EXPECT_TRUE(RetryDelayOf(answers[i].status()).has_value());
    }
  }
  EXPECT_EQ(Count("item"), 5);
}

TEST_F(DbTest, WhoWaitedTooLongIsNeverSent) {
  DbOptions options = Servers::Get().Db("shop");
  options.write_connections = 1;
  Use(options);
  Call call = TestCall(NewTenant());
  ASSERT_TRUE(loop_.Run(db_->Write(call, AddItem(call, NewTenant(), "warm"))).ok());
  Batch slow(call);
  slow.Add(kSleep, Params().Text("0.4"));
  Call hurried = call;
  hurried.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(100);
  std::vector<asio::awaitable<RowsOr>> batches;
  batches.push_back(db_->Write(call, std::move(slow)));
  batches.push_back(db_->Write(hurried, AddItem(hurried, NewTenant(), "late")));
  auto answers = loop_.RunAll(std::move(batches));
  EXPECT_TRUE(answers[0].ok());
  EXPECT_EQ(answers[1].status().code(), absl::StatusCode::kDeadlineExceeded);
  loop_.RunFor(std::chrono::milliseconds(100));
  EXPECT_EQ(Count("item"), 1);
}

TEST_F(DbTest, ATenantSeesAndTouchesItsOwnRowsOnly) {
  Call mine = TestCall(NewTenant()), theirs = TestCall(NewTenant()), none = TestCall(Uuid());
  Uuid id = NewTenant();
  ASSERT_TRUE(loop_.Run(db_->Write(mine, AddItem(mine, id, "mine"))).ok());
  auto seen = [&](const Call& call) { return loop_.Run(db_->Read(call, kItemNames, Params())); };
  EXPECT_EQ(seen(mine)->size(), 1);
  EXPECT_EQ(seen(theirs)->size(), 0);
  EXPECT_EQ(seen(none).status().code(), absl::StatusCode::kInternal);
  // The table itself, past the view.
  static const Statement kTable{"shop.table", "SELECT name FROM item"};
  EXPECT_EQ(loop_.Run(db_->Read(theirs, kTable, Params()))->size(), 0);
  EXPECT_FALSE(loop_.Run(db_->Read(none, kTable, Params())).ok());
  static const Statement kTwin{"shop.twin", "SELECT name FROM item_history_view"};
  EXPECT_FALSE(loop_.Run(db_->Read(none, kTwin, Params())).ok());
  // Writing into another tenant, or moving a row there.
  Batch smuggled(theirs);
  smuggled.Add(kAddItem, Params().Id(mine.tenant()).Id(NewTenant()).Text("smuggled"));
  EXPECT_FALSE(loop_.Run(db_->Write(theirs, std::move(smuggled))).ok());
  static const Statement kMove{"shop.move", "UPDATE item SET tenant_id = $1"};
  Batch moved(mine);
  moved.Add(kMove, Params().Id(theirs.tenant()));
  EXPECT_FALSE(loop_.Run(db_->Write(mine, std::move(moved))).ok());
  Batch renamed(theirs);
  renamed.AddGuarded(kRename, Params().Id(mine.tenant()).Id(id).Text("stolen").Int(1), "item_1");
  EXPECT_TRUE(IsLostRace(loop_.Run(db_->Write(theirs, std::move(renamed))).status()));
  EXPECT_EQ(Count("item"), 1);
  EXPECT_EQ(Count("item WHERE name = 'mine'"), 1);
}

TEST_F(DbTest, TheTenantDoesNotStayOnTheConnection) {
  DbOptions options = Servers::Get().Db("shop");
  options.point_connections = 1;
  Use(options);
  Call mine = TestCall(NewTenant()), none = TestCall(Uuid());
  ASSERT_TRUE(loop_.Run(db_->Write(mine, AddItem(mine, NewTenant(), "mine"))).ok());
  std::vector<asio::awaitable<absl::StatusOr<Rows>>> mixed;
  for (int i = 0; i < 20; ++i) mixed.push_back(db_->Read(i % 2 ? none : mine, kItemNames, Params()));
  auto answers = loop_.RunAll(std::move(mixed));
  for (size_t i = 0; i < answers.size(); ++i) EXPECT_EQ(answers[i].ok(), i % 2 == 0) << i;
}

TEST_F(DbTest, ATextWithNulIsRefusedBeforeItIsCutOff) {
  Call call = TestCall(NewTenant());
  auto got = loop_.Run(db_->Write(call, AddItem(call, NewTenant(), std::string("la\0mp", 5))));
  EXPECT_EQ(got.status().code(), absl::StatusCode::kInvalidArgument);
  auto bad_utf8 = loop_.Run(db_->Write(call, AddItem(call, NewTenant(), "la\xffmp")));
  EXPECT_EQ(bad_utf8.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Count("item"), 0);
}

TEST_F(DbTest, CarriesMoreThanTheSocketsBufferBothWays) {
  static const Statement kEcho{"shop.echo", "SELECT $1::bytea || $1::bytea"};
  DbOptions options = Servers::Get().Db("shop");
  options.point_connections = 1;
  Use(options);
  Call call = TestCall(NewTenant());
  std::string big(12 << 20, 'x');
  std::vector<asio::awaitable<absl::StatusOr<Rows>>> reads;
  for (int i = 0; i < 6; ++i) reads.push_back(db_->Read(call, kEcho, Params().Bytes(i % 2 ? "small" : big)));
  auto answers = loop_.RunAll(std::move(reads));
  for (size_t i = 0; i < answers.size(); ++i) {
    ASSERT_EQ(answers[i].status(), absl::OkStatus());
    EXPECT_EQ(answers[i]->Bytes(0, 0).size(), i % 2 ? 10u : 2 * big.size());
  }
}

TEST_F(DbTest, AStatementWhoseParseFailedIsParsedAgain) {
  static const Statement kLater{"shop.later", "SELECT x FROM later"};
  DbOptions options = Servers::Get().Db("shop");
  options.point_connections = 1;
  Use(options);
  Call call = TestCall(NewTenant());
  // Several at once: the later ones must not rely on the first one's Parse.
  std::vector<asio::awaitable<absl::StatusOr<Rows>>> reads;
  for (int i = 0; i < 4; ++i) reads.push_back(db_->Read(call, i == 3 ? kItemNames : kLater, Params()));
  auto answers = loop_.RunAll(std::move(reads));
  for (size_t i = 0; i < 4; ++i)
    EXPECT_EQ(answers[i].status().code(), i == 3 ? absl::StatusCode::kOk : absl::StatusCode::kInternal);
  Servers::Get().Sql("CREATE TABLE shop.later AS SELECT 7 AS x; GRANT SELECT ON shop.later TO shop");
  auto got = loop_.Run(db_->Read(call, kLater, Params()));
  ASSERT_EQ(got.status(), absl::OkStatus());
  EXPECT_EQ(got->Int(0, 0), 7);
  // A migration changes the column's type under the prepared statement: a new connection answers.
  Servers::Get().Sql("ALTER TABLE shop.later ALTER x TYPE text USING 'seven'");
  got = loop_.Run(db_->Read(call, kLater, Params()));
  ASSERT_EQ(got.status(), absl::OkStatus());
  EXPECT_EQ(got->Text(0, 0), "seven");
  Servers::Get().Sql("DROP TABLE shop.later");
}

TEST_F(DbTest, AnotherTextUnderTheSameNameIsStillRight) {
  Call call = TestCall(NewTenant());
  Statement one{"shop.twice", "SELECT 1"}, two{"shop.twice", "SELECT 2"};
  EXPECT_EQ(loop_.Run(db_->Read(call, one, Params()))->Int(0, 0), 1);
  EXPECT_EQ(loop_.Run(db_->Read(call, two, Params()))->Int(0, 0), 2);
  Statement grab{"shop.grab", "SELECT 1 WHERE $1::int = 1"}, other{"shop.grab", "SELECT 1 WHERE $1::int = 2"};
  for (int value : {1, 2}) {
    Batch batch(call);
    batch.AddGuarded(value == 1 ? grab : other, Params().Int(value), "x");
    EXPECT_EQ(loop_.Run(db_->Write(call, std::move(batch))).status(), absl::OkStatus());
  }
}

TEST_F(DbTest, ARoleIsRefusedOutsideItsSchema) {
  ASSERT_TRUE(Migrate(ShopOptions("rival")).ok());
  Call call = TestCall(NewTenant());
  for (const char* sql :
       {"SELECT name FROM rival.item_view", "SELECT name FROM rival.item", "DELETE FROM rival.line",
        "SELECT tenant FROM rival.directory", "CREATE TABLE rival.mine (x int)", "CREATE TABLE mine (x int)",
        "DELETE FROM item", "DELETE FROM item_history", "UPDATE item_history SET name = ''", "DROP TABLE item",
        "ALTER TABLE item DISABLE ROW LEVEL SECURITY", "SELECT name FROM migration", "SET ROLE shop_owner",
        "SET ROLE shop_reader", "SET ROLE shop_worker", "UPDATE item_view SET name = ''"}) {
    Statement statement{"shop.foreign", sql};
    EXPECT_EQ(loop_.Run(db_->Read(call, statement, Params())).status().code(), absl::StatusCode::kInternal) << sql;
  }
  // The worker sees the queues of all tenants, and nothing else.
  static const Statement kAddJob{"shop.add_job", "INSERT INTO job (tenant_id, bucket) VALUES ($1, 1)"};
  Batch add(call);
  add.Add(kAddJob, Params().Id(call.tenant()));
  ASSERT_TRUE(loop_.Run(db_->Write(call, std::move(add))).ok());
  Use(Servers::Get().Db("shop", "shop_worker"));
  Call worker = TestCall(Uuid());
  EXPECT_EQ(loop_.Run(db_->Read(worker, Statement{"w", "SELECT tenant_id FROM job"}, Params()))->size(), 1);
  for (const char* sql :
       {"SELECT name FROM item", "SELECT name FROM item_view", "INSERT INTO line VALUES (NULL, NULL, NULL)"}) {
    EXPECT_EQ(loop_.Run(db_->Read(worker, Statement{"w2", sql}, Params())).status().code(), absl::StatusCode::kInternal)
        << sql;
  }
}

// ---- Transact ----

Async<> Adjust(Transaction& transaction, const Call& call, Uuid id, std::string suffix) {
  static const Statement kLock{"shop.lock",
                               "SELECT name, revision FROM item WHERE tenant_id = $1 AND id = $2 FOR UPDATE"};
  CRM_CO_TRY(Rows rows, co_await transaction.Run(kLock, Params().Id(call.tenant()).Id(id)));
  std::string name = absl::StrCat(std::string(rows.Text(0, 0)), suffix);
  Batch batch(call);
  batch.AddGuarded(kRename, Params().Id(call.tenant()).Id(id).Text(name).Int(rows.Int(0, 1)), "item_1");
  co_return co_await transaction.Run(std::move(batch));
}

TEST_F(DbTest, TransactReadsLocksAndCommits) {
  Call call = TestCall(NewTenant());
  Uuid id = NewTenant();
  ASSERT_TRUE(loop_.Run(db_->Write(call, AddItem(call, id, ""))).ok());
  std::vector<asio::awaitable<absl::Status>> all;
  for (int i = 0; i < 20; ++i)
    all.push_back(db_->Transact(call, [&](Transaction& t) { return Adjust(t, call, id, "x"); }));
  for (const absl::Status& status : loop_.RunAll(std::move(all))) EXPECT_EQ(status, absl::OkStatus());
  EXPECT_EQ(Servers::Get().Value("SELECT name FROM shop.item"), std::string(20, 'x'));
}

Async<> Careless(Transaction& transaction, const Call& call, absl::Status answer) {
  static const Statement kFail{"shop.fail", "SELECT 1 / (SELECT 0)"};
  Batch batch(call);
  batch.Add(kAddItem, Params().Id(call.tenant()).Id(NewTenant()).Text("half"));
  CRM_CO_TRY(co_await transaction.Run(std::move(batch)));
  if (answer.ok()) (void)co_await transaction.Run(kFail, Params());
  co_return answer;
}

TEST_F(DbTest, TransactIsUndoneUnlessTheBodyAnswersOk) {
  Call call = TestCall(NewTenant());
  absl::Status refused =
      loop_.Run(db_->Transact(call, [&](Transaction& t) { return Careless(t, call, StateError("no")); }));
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  // A body that overlooks a failed statement does not commit either.
  absl::Status overlooked =
      loop_.Run(db_->Transact(call, [&](Transaction& t) { return Careless(t, call, absl::OkStatus()); }));
  EXPECT_FALSE(overlooked.ok());
  EXPECT_EQ(Count("item"), 0);
  // The connections are as good as before.
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(loop_.Run(db_->Write(call, AddItem(call, NewTenant(), absl::StrCat(i)))).ok());
  EXPECT_EQ(Count("item"), 20);
}

Async<> Dangling(Transaction& transaction, const Call& call) {
  Batch batch(call);
  batch.Add(kAddLine, Params().Id(call.tenant()).Id(NewTenant()).Id(NewTenant()));
  co_return co_await transaction.Run(std::move(batch));
}

TEST_F(DbTest, TransactAnswersADeferredViolation) {
  Call call = TestCall(NewTenant());
  absl::Status status = loop_.Run(db_->Transact(call, [&](Transaction& t) { return Dangling(t, call); }));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MetadataOf(status)["constraint"], "line_item");
  EXPECT_EQ(Count("line"), 0);
}

Async<> KilledInTheMiddle(Transaction& transaction, const Call& call) {
  static const Statement kPid{"shop.pid", "SELECT pg_backend_pid()"};
  auto add = [&](const char* name) {
    Batch batch(call);
    batch.Add(kAddItem, Params().Id(call.tenant()).Id(NewTenant()).Text(name));
    return batch;
  };
  CRM_CO_TRY(co_await transaction.Run(add("before")));
  CRM_CO_TRY(Rows pid, co_await transaction.Run(kPid, Params()));
  Servers::Get().Sql(absl::StrCat("SELECT pg_terminate_backend(", pid.Int(0, 0), ", 5000)"));
  // Until the pool has a new connection in the old one's place.
  auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (Servers::Get().Value(
             "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'shop/write' AND state = 'idle'") == "0" &&
         std::chrono::steady_clock::now() < limit) {
    asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(5));
    co_await timer.async_wait(asio::use_awaitable);
  }
  (void)co_await transaction.Run(add("after"));
  co_return absl::OkStatus();
}

TEST_F(DbTest, TransactIsAllOrNothingWhenItsConnectionDies) {
  DbOptions options = Servers::Get().Db("shop");
  options.write_connections = 1;
  Use(options);
  Call call = TestCall(NewTenant());
  absl::Status status = loop_.Run(db_->Transact(call, [&](Transaction& t) { return KilledInTheMiddle(t, call); }));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(Count("item"), 0);
  EXPECT_TRUE(loop_.Run(db_->Write(call, AddItem(call, NewTenant(), "later"))).ok());
}

Async<> TooSlow(Transaction& transaction, const Call& call) {
  Batch batch(call);
  batch.Add(kAddItem, Params().Id(call.tenant()).Id(NewTenant()).Text("slow"));
  CRM_CO_TRY(co_await transaction.Run(std::move(batch)));
  auto rows = co_await transaction.Run(kSleep, Params().Int(20));
  co_return rows.status();
}

TEST_F(DbTest, TransactEndsWithTheDeadlineAndUndoes) {
  DbOptions options = Servers::Get().Db("shop");
  options.write_connections = 1;
  Use(options);
  Call call = TestCall(NewTenant());
  Call hurried = call;
  hurried.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  absl::Status status = loop_.Run(db_->Transact(hurried, [&](Transaction& t) { return TooSlow(t, hurried); }));
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  ASSERT_TRUE(loop_.Run(db_->Write(call, AddItem(call, NewTenant(), "next"))).ok());
  EXPECT_EQ(Servers::Get().Value("SELECT string_agg(name, ',') FROM shop.item"), "next");
}

}  // namespace
}  // namespace crm::pg
