#include "common/redis/client.h"

#include <fstream>
#include <thread>

#include "common/redis/cache.h"
#include "tests/integration/redis/redis_fixture.h"

namespace crm::redis {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

using ClientTest = RedisTest;

TEST_F(ClientTest, CarriesBytesNumbersNilsAndLists) {
  std::string binary;
  for (int i = 0; i < 256; ++i) binary.push_back(static_cast<char>(i));
  EXPECT_EQ(Run(Command(Args("SET", "bytes", binary)))->text, "OK");
  EXPECT_EQ(Run(Command(Args("GET", "bytes")))->text, binary);
  EXPECT_TRUE(Run(Command(Args("GET", "nothing")))->IsNil());
  EXPECT_EQ(Run(Command(Args("INCRBY", "n", 41)))->integer, 41);
  ASSERT_TRUE(Run(Command(Args("RPUSH", "list", "a", "", "c"))).ok());
  Reply list = *Run(Command(Args("LRANGE", "list", 0, -1)));
  ASSERT_EQ(list.type, Reply::Type::kArray);
  ASSERT_EQ(list.items.size(), 3u);
  EXPECT_EQ(list.items[1].text, "");
  EXPECT_EQ(list.items[2].text, "c");
  std::string large(4 << 20, 'x');
  EXPECT_EQ(Run(Command(Args("SET", "large", large)))->text, "OK");
  EXPECT_EQ(Run(Command(Args("GET", "large")))->text, large);
}

TEST_F(ClientTest, AnswersRefusalsAsUnavailableAndGoesOn) {
  ASSERT_TRUE(Run(Command(Args("SET", "text", "a"))).ok());
  auto refused = Run(Command(Args("INCR", "text")));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(refused.status().message().find("not an integer"), std::string::npos) << refused.status();
  EXPECT_FALSE(Run(Command(Args("NOSUCHCOMMAND"))).ok());
  EXPECT_EQ(Run(Command(Args("GET", "text")))->text, "a");
}

TEST_F(ClientTest, PipelinesWhatIsAskedAtTheSameTime) {
  std::vector<asio::awaitable<absl::StatusOr<Reply>>> asked;
  for (int i = 0; i < 2000; ++i) asked.push_back(Command(Args("INCR", "counter")));
  auto answers = loop_.RunAll(std::move(asked));
  for (int i = 0; i < 2000; ++i) EXPECT_EQ(answers[static_cast<size_t>(i)]->integer, i + 1);
  // Redis counts the times that it read from a client; one command a read would be 2000 of them.
  std::string stats = Run(Command(Args("INFO", "stats")))->text;
  size_t at = stats.find("total_reads_processed:");
  ASSERT_NE(at, std::string::npos);
  int before = std::stoi(stats.substr(at + 22));
  asked.clear();
  for (int i = 0; i < 2000; ++i) asked.push_back(Command(Args("INCR", "counter")));
  loop_.RunAll(std::move(asked));
  stats = Run(Command(Args("INFO", "stats")))->text;
  int reads = std::stoi(stats.substr(stats.find("total_reads_processed:") + 22)) - before;
  EXPECT_LT(reads, 200);

  auto replies = *Run(client().Pipeline({Args("SET", "a", 1), Args("INCR", "list?"), Args("GET", "a")}));
  ASSERT_EQ(replies.size(), 3u);
  EXPECT_EQ(replies[2]->text, "1");
}

TEST_F(ClientTest, FailsAtOnceWhileRedisIsAwayAndComesBack) {
  ASSERT_TRUE(Run(client().Ping()).ok());
  crm::testing::Servers::Get().KillRedis();
  EXPECT_EQ(Run(Command(Args("GET", "a"))).status().code(), absl::StatusCode::kUnavailable);
  auto begin = steady_clock::now();
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(Run(Command(Args("GET", "a"))).status().code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_LT(steady_clock::now() - begin, milliseconds(20000)) << "commands must not wait for a Redis that is away";
  crm::testing::Servers::Get().StartRedis();
  EXPECT_LT(UntilAnswered(), options_.reconnect_max + milliseconds(1000));
  EXPECT_EQ(Run(Command(Args("SET", "a", "b")))->text, "OK");
}

TEST_F(ClientTest, FailsAtTheDeadlineWhenRedisHangs) {
  ASSERT_TRUE(Run(client().Ping()).ok());
  StopRedis();
  auto begin = steady_clock::now();
  std::vector<asio::awaitable<absl::StatusOr<Reply>>> asked;
  for (int i = 0; i < 10; ++i) asked.push_back(Command(Args("GET", "a")));
  for (const auto& answer : loop_.RunAll(std::move(asked))) {
    EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable);
  }
  auto took = steady_clock::now() - begin;
  EXPECT_GE(took, options_.command_timeout - milliseconds(20));
  EXPECT_LT(took, options_.command_timeout + milliseconds(400));
  ContinueRedis();
  UntilAnswered();
  // The answers of the commands that were given up must not be taken for those of later ones.
  ASSERT_TRUE(Run(Command(Args("SET", "a", "mine"))).ok());
  EXPECT_EQ(Run(Command(Args("GET", "a")))->text, "mine");
}

TEST_F(ClientTest, BoundsWhatWaits) {
  options_.queue_max = 10;
  client_.reset();
  ASSERT_TRUE(Run(client().Ping()).ok());
  StopRedis();
  std::vector<asio::awaitable<absl::StatusOr<Reply>>> asked;
  for (int i = 0; i < 25; ++i) asked.push_back(Command(Args("GET", "a")));
  int refused = 0;
  for (const auto& answer : loop_.RunAll(std::move(asked))) {
    EXPECT_FALSE(answer.ok());
    if (answer.status().message().find("too many") != std::string::npos) ++refused;
  }
  EXPECT_EQ(refused, 15);
}

TEST_F(ClientTest, SignsInWithThePasswordOfTheFile) {
  ASSERT_TRUE(Run(Command(Args("CONFIG", "SET", "requirepass", "s3cret word"))).ok());
  std::string file = ::testing::TempDir() + "/redis-password";
  std::ofstream(file) << "s3cret word\n";
  {
    Options with = options_;
    with.password_file = file;
    Client signed_in(with, {loop_.executor()});
    EXPECT_EQ(Run(signed_in.Command("SET", "a", "b"))->text, "OK");
    Client anonymous(options_, {loop_.executor()});
    EXPECT_EQ(Run(anonymous.Command("GET", "a")).status().code(), absl::StatusCode::kUnavailable);
    with.password_file = file + "-wrong";
    std::ofstream(with.password_file) << "guess\n";
    Client wrong(with, {loop_.executor()});
    EXPECT_EQ(Run(wrong.Command("GET", "a")).status().code(), absl::StatusCode::kUnavailable);
    with.password_file = file + "-missing";
    Client missing(with, {loop_.executor()});
    EXPECT_EQ(Run(missing.Command("GET", "a")).status().code(), absl::StatusCode::kUnavailable);
    ASSERT_TRUE(Run(signed_in.Command("CONFIG", "SET", "requirepass", "")).ok());
  }
}

TEST_F(ClientTest, ResolvesNames) {
  options_.host = "localhost";
  client_.reset();
  std::vector<asio::awaitable<absl::StatusOr<Reply>>> asked;
  for (int i = 0; i < 10; ++i) asked.push_back(Command(Args("INCR", "n")));
  for (const auto& answer : loop_.RunAll(std::move(asked))) EXPECT_TRUE(answer.ok()) << answer.status();
  options_.host = "no-such-host.invalid";
  client_.reset();
  EXPECT_EQ(Run(Command(Args("GET", "a"))).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ClientTest, ServesCoroutinesOfOtherLoops) {
  crm::testing::Loop elsewhere;
  std::thread owner([&] { loop_.RunFor(milliseconds(1500)); });
  absl::StatusOr<Reply> answer = elsewhere.Run(client().Command("SET", "a", "b"));
  EXPECT_TRUE(answer.ok()) << answer.status();
  owner.join();
}

TEST_F(ClientTest, LetsGoOfWhatWaitsWhenItIsClosed) {
  ASSERT_TRUE(Run(client().Ping()).ok());
  auto connection = client().Open(loop_.executor());
  bool done = false;
  asio::co_spawn(loop_.executor(), connection->Command(Args("BLPOP", "nothing", 10), milliseconds(20000)),
                 [&](std::exception_ptr, absl::StatusOr<Reply> answer) {
                   EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable);
                   done = true;
                 });
  loop_.RunFor(milliseconds(100));
  EXPECT_FALSE(done);
  connection->Close();
  loop_.Until([&] { return done; });
}

asio::awaitable<absl::Status> UseCache(Client& client) {
  Cache cache(client, "report");
  EXPECT_FALSE((co_await cache.Get("k")).has_value());
  co_await cache.Set("k", std::string("v\0w", 3), milliseconds(60'000));
  EXPECT_EQ(co_await cache.Get("k"), std::string("v\0w", 3));
  Cache other(client, "other");
  EXPECT_FALSE((co_await other.Get("k")).has_value());
  co_await cache.Forget("k");
  EXPECT_FALSE((co_await cache.Get("k")).has_value());
  co_await cache.Set("short", "v", milliseconds(30));
  co_return absl::OkStatus();
}

asio::awaitable<std::optional<std::string>> CacheGet(Client& client, std::string key) {
  Cache cache(client, "report");
  co_return co_await cache.Get(key);
}

TEST_F(ClientTest, CachesForAWhile) {
  EXPECT_TRUE(Run(UseCache(client())).ok());
  loop_.RunFor(milliseconds(60));
  EXPECT_FALSE(Run(CacheGet(client(), "short")).has_value());
  crm::testing::Servers::Get().KillRedis();
  EXPECT_FALSE(Run(CacheGet(client(), "short")).has_value());
}

}  // namespace
}  // namespace crm::redis
