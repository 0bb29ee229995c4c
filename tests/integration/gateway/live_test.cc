#include "tests/integration/gateway/gateway_fixture.h"

namespace crm::gateway::test {
namespace {

class LiveTest : public GatewayTest {
 protected:
  static auto Heard(size_t count) {
    return [count](Listener& l) {
      size_t events = 0;
      for (const auto& event : l.events) events += event.event.empty();
      return events >= count || l.ended;
    };
  }
  static std::vector<uint64_t> Range(uint64_t first, uint64_t last) {
    std::vector<uint64_t> out;
    for (; first <= last; ++first) out.push_back(first);
    return out;
  }
};

TEST_F(LiveTest, EventsComeInOrderAndAStreamIsResumedWithoutGapOrRepeat) {
  Start();
  StartLive();
  Emit("deal.created");  // before: not heard
  std::string cursor;
  {
    auto stream = Listen("/v1/events");
    ASSERT_NE(Ready(*stream), nullptr);
    EXPECT_EQ(stream->status, 200u);
    for (int i = 0; i < 5; ++i) Emit("deal.moved");
    ASSERT_TRUE(stream->Until(Heard(5)));
    EXPECT_EQ(stream->Seqs(), Range(2, 6));
    EXPECT_EQ(stream->events[1].data["type"], "deal.moved");
    EXPECT_EQ(stream->events[1].data["cursor"], stream->events[1].id);
    cursor = stream->events[3].id;  // the client has seen 4 when its line breaks
  }
  for (int i = 0; i < 1200; ++i) Emit("deal.moved", "", true);  // more than one question to the producer answers
  auto again = Listen("/v1/events", {{"Last-Event-ID", cursor}});
  ASSERT_TRUE(again->Until(Heard(1202)));
  Emit("deal.moved");
  ASSERT_TRUE(again->Until(Heard(1203)));
  EXPECT_EQ(again->Seqs(), Range(5, 1207));
}

TEST_F(LiveTest, WhatRedisLosesIsFetchedFromTheProducer) {
  Start();
  StartLive();
  auto stream = Listen("/v1/events");
  ASSERT_NE(Ready(*stream), nullptr);
  Emit("deal.moved");
  ASSERT_TRUE(stream->Until(Heard(1)));
  Emit("deal.moved", "", true);  // lost ...
  Emit("deal.moved", "", true);
  Emit("deal.moved");  // ... which the next number shows
  ASSERT_TRUE(stream->Until(Heard(4)));
  Emit("deal.moved", "", true);  // a lost tail shows at the next look at the heads
  ASSERT_TRUE(stream->Until(Heard(5)));
  EXPECT_EQ(stream->Seqs(), Range(1, 5));
  // All of Redis away: the heads alone bring events.
  crm::testing::Servers::Get().KillRedis();
  Emit("deal.moved", "", true);
  EXPECT_TRUE(stream->Until(Heard(6)));
  crm::testing::Servers::Get().StartRedis();
  for (int i = 0;
       i < 20 && !Eventually([&] { return asio::co_spawn(edge_.io, redis_->Ping(), asio::use_future).get().ok(); });
       ++i) {
  }
  Emit("deal.moved");
  EXPECT_TRUE(stream->Until(Heard(7)));
  EXPECT_EQ(stream->Seqs(), Range(1, 7));
}

TEST_F(LiveTest, TopicsChooseAndCanBeChanged) {
  Start();
  StartLive();
  auto stream = Listen("/v1/events?topics=deal,lead");
  ASSERT_NE(Ready(*stream), nullptr);
  Emit("contact.created");
  Emit("deal.moved");
  Emit("lead.created");
  ASSERT_TRUE(stream->Until(Heard(2)));
  EXPECT_EQ(stream->Seqs(), (std::vector<uint64_t>{2, 3}));
  Answer changed = Http("POST", "/v1/events/" + stream->stream_id, R"({"topics": ["contact"]})", Bearer());
  EXPECT_EQ(changed.status, 200u) << changed.body;
  Emit("deal.moved");
  Emit("contact.created");
  ASSERT_TRUE(stream->Until(Heard(3)));
  EXPECT_EQ(stream->Seqs(), (std::vector<uint64_t>{2, 3, 5}));
  EXPECT_EQ(Http("POST", "/v1/events/" + stream->stream_id, R"({"topics": ["dragon"]})", Bearer()).status, 400u);
  // It is nobody else's to change.
  claims_.subject = NewId("user", absl::Now());
  token_ = signer_->Sign(claims_);
  EXPECT_EQ(Http("POST", "/v1/events/" + stream->stream_id, R"({"topics": ["deal"]})", Bearer()).status, 404u);
}

TEST_F(LiveTest, TopicsCanBeChangedAtAnotherGateway) {
  Start();
  StartLive();
  auto stream = Listen("/v1/events?topics=deal");
  ASSERT_NE(Ready(*stream), nullptr);
  std::vector<asio::any_io_executor> loops{edge_.io.get_executor()};
  Peers peers;
  peers.Add("identity", identity_.get());
  auto second =
      std::make_unique<Gateway>(app::v1::Config::Gateway(), *api_, peers, *authenticator_, redis_.get(), loops);
  HttpServerOptions options;
  options.listen = "127.0.0.1:0";
  auto server = std::make_unique<HttpServer>(
      options, loops, [&](HttpRequest& request) { return second->Handle(request); },
      [&](HttpRequest& request, absl::Status status, unsigned code) {
        return second->Refuse(request, std::move(status), code);
      });
  ASSERT_TRUE(server->Listen().ok());
  server.swap(server_);
  Answer changed = Http("POST", "/v1/events/" + stream->stream_id, R"({"topics": ["contact"]})", Bearer());
  EXPECT_EQ(changed.status, 200u) << changed.body;
  EXPECT_EQ(Http("POST", "/v1/events/stream_01h455vb4pex5vsknk084sn02q", R"({"topics": []})", Bearer()).status, 404u);
  // It is nobody else's to change, here too.
  const std::string token = token_, subject = claims_.subject;
  claims_.subject = NewId("user", absl::Now());
  token_ = signer_->Sign(claims_);
  EXPECT_EQ(Http("POST", "/v1/events/" + stream->stream_id, R"({"topics": ["deal"]})", Bearer()).status, 404u);
  token_ = token;
  claims_.subject = subject;
  server.swap(server_);
  size_t emitted = 0;
  EXPECT_TRUE(Eventually([&] {
    if (emitted++ % 20 == 0) Emit("contact.created");
    return !stream->Seqs().empty();
  }));
  asio::co_spawn(edge_.io, server->Drain(std::chrono::seconds(3)), asio::use_future).get();
  std::promise<void> done;
  asio::post(edge_.io, [&] {
    second.reset();
    done.set_value();
  });
  done.get_future().wait();
}

TEST_F(LiveTest, ReadersHearWhatTheyMayRead) {
  Start();
  StartLive();
  identity::v1::RoleGrants own;
  auto* grant = own.add_grants();
  grant->set_object("deal");
  grant->set_action(type::v1::ACTION_READ);
  grant->set_scope(type::v1::SCOPE_OWN);
  claims_.roles = {NewId("role", absl::Now())};
  {
    std::lock_guard lock(grants_.mutex);
    grants_.roles[claims_.roles[0]] = own;
  }
  token_ = signer_->Sign(claims_);
  auto stream = Listen("/v1/events");
  ASSERT_NE(Ready(*stream), nullptr);
  Emit("deal.moved", "user_01h455vb4pex5vsknk084sn02q");
  Emit("contact.created", claims_.subject);
  Emit("deal.moved", claims_.subject);
  ASSERT_TRUE(stream->Until(Heard(1)));
  EXPECT_EQ(stream->Seqs(), (std::vector<uint64_t>{3}));

  // Another tenant's stream hears nothing of it.
  std::string tenant = claims_.tenant, token = token_;
  claims_.tenant = NewId("tenant", absl::Now());
  token_ = signer_->Sign(claims_);
  auto other = Listen("/v1/events");
  ASSERT_NE(Ready(*other), nullptr);
  claims_.tenant = tenant;
  Emit("deal.moved", claims_.subject);
  ASSERT_TRUE(stream->Until(Heard(2)));
  EXPECT_TRUE(other->Seqs().empty());
}

TEST_F(LiveTest, ARevokedSessionsStreamEndsWithinFiveSeconds) {
  Start();
  StartLive();
  auto stream = Listen("/v1/events");
  ASSERT_NE(Ready(*stream), nullptr);
  {
    std::lock_guard lock(grants_.mutex);
    grants_.revoked = {claims_.session};
  }
  Poll();
  auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(stream->Until([](Listener& l) { return l.ended; }));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(4));
  EXPECT_EQ(stream->events.back().event, "error");
  EXPECT_EQ(stream->events.back().data["error"]["status"], "UNAUTHENTICATED");
}

TEST_F(LiveTest, ACursorOfAnotherHistoryStartsAtTheHead) {
  Start();
  StartLive();
  Emit("deal.moved");
  auto stream = Listen("/v1/events?cursor=identity-999");
  ASSERT_NE(Ready(*stream), nullptr);
  Emit("deal.moved");
  ASSERT_TRUE(stream->Until(Heard(1)));
  EXPECT_EQ(stream->Seqs(), Range(2, 2));
}

TEST_F(LiveTest, StreamsPerUserAreBounded) {
  Start();
  StartLive();
  std::vector<std::unique_ptr<Listener>> streams;
  for (size_t i = 0; i < Live::kStreamsPerUser; ++i) {
    streams.push_back(Listen("/v1/events"));
    ASSERT_NE(Ready(*streams.back()), nullptr);
  }
  Answer more = Get("/v1/events");
  EXPECT_EQ(more.status, 429u) << more.body;
  streams.pop_back();
  EXPECT_TRUE(Eventually([&] {
    auto stream = Listen("/v1/events");
    return stream->Until([](Listener& l) { return !l.stream_id.empty() || l.ended; }) && stream->status == 200;
  }));
}

TEST_F(LiveTest, StreamingRpcsAreEventsToo) {
  Start({}, true);
  auto stream = Listen("/v1/reports/revenue:watch");
  ASSERT_TRUE(stream->Until([](Listener& l) { return l.events.size() >= 3 || l.ended; }));
  EXPECT_EQ(stream->status, 200u);
  EXPECT_TRUE(stream->events[0].data.is_object());
  EXPECT_EQ(world_.watching, 1);
  stream.reset();  // the browser goes, and with it the call
  EXPECT_TRUE(Eventually([&] { return world_.watch_ended == 1; }));

  auto failed = Listen("/v1/reports/funnel:watch?pipeline_id=pipeline_01h455vb4pex5vsknk084sn02q");
  ASSERT_TRUE(failed->Until([](Listener& l) { return l.ended; }));
  ASSERT_FALSE(failed->events.empty());
  EXPECT_EQ(failed->events.back().event, "error");
  EXPECT_EQ(failed->events.back().data["error"]["status"], "FAILED_PRECONDITION");
}

TEST_F(LiveTest, DrainEndsStreams) {
  Start();
  StartLive();
  auto stream = Listen("/v1/events");
  ASSERT_NE(Ready(*stream), nullptr);
  auto begin = std::chrono::steady_clock::now();
  asio::co_spawn(edge_.io, server_->Drain(std::chrono::seconds(10)), asio::use_future).get();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  EXPECT_TRUE(stream->Until([](Listener& l) { return l.ended; }));
}

}  // namespace
}  // namespace crm::gateway::test
