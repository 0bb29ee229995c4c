#include "common/redis/stream.h"

#include "tests/integration/redis/redis_fixture.h"

namespace crm::redis {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class StreamTest : public RedisTest {
 protected:
  void Add(const std::string& stream, const std::string& body) {
    ASSERT_TRUE(Run(Command(AddToStream(stream, body, 100))).ok());
  }
  std::vector<std::string> Bodies(absl::StatusOr<std::vector<Entry>> entries) {
    std::vector<std::string> bodies;
    EXPECT_TRUE(entries.ok()) << entries.status();
    for (const Entry& entry : *entries) bodies.push_back(entry.body);
    return bodies;
  }
  std::unique_ptr<StreamReader> Reader() { return std::make_unique<StreamReader>(client().Open(loop_.executor())); }
};

TEST_F(StreamTest, ReadsWhatComesAfterTheSeek) {
  Add("s:1", "old");
  auto reader = Reader();
  ASSERT_TRUE(Run(reader->SeekToEnd({"s:1", "s:2"})).ok());
  EXPECT_TRUE(Bodies(Run(reader->Read(milliseconds(20), 10))).empty());
  std::string binary("x\0\r\ny", 5);
  Add("s:1", binary);
  Add("s:2", "first of a stream that did not exist");
  Add("s:1", "b");
  std::vector<std::string> bodies;
  while (bodies.size() < 3) {
    for (auto& body : Bodies(Run(reader->Read(milliseconds(500), 10)))) bodies.push_back(body);
  }
  std::sort(bodies.begin(), bodies.end());
  EXPECT_EQ(bodies, (std::vector<std::string>{"b", "first of a stream that did not exist", binary}));
  EXPECT_TRUE(Bodies(Run(reader->Read(milliseconds(20), 10))).empty());
}

TEST_F(StreamTest, WaitsWithoutHoldingUpOthers) {
  auto reader = Reader();
  ASSERT_TRUE(Run(reader->SeekToEnd({"s:1"})).ok());
  bool woken = false;
  auto begin = steady_clock::now();
  asio::co_spawn(loop_.executor(), reader->Read(milliseconds(5000), 10),
                 [&](std::exception_ptr, absl::StatusOr<std::vector<Entry>> entries) {
                   EXPECT_TRUE(entries.ok()) << entries.status();
                   EXPECT_EQ(entries->size(), 1u);
                   woken = true;
                 });
  loop_.RunFor(milliseconds(50));
  EXPECT_TRUE(Run(client().Ping()).ok());
  EXPECT_LT(steady_clock::now() - begin, milliseconds(4500));
  EXPECT_FALSE(woken);
  Add("s:1", "a");
  loop_.Until([&] { return woken; });
  EXPECT_LT(steady_clock::now() - begin, milliseconds(2000));
}

TEST_F(StreamTest, KeepsStreamsShort) {
  for (int i = 0; i < 1000; ++i) Add("s:1", "x");
  EXPECT_LE(Run(Command(Args("XLEN", "s:1")))->integer, 300);
}

TEST_F(StreamTest, SaysWhenRedisWasAwayInBetween) {
  Add("s:1", "a");
  auto reader = Reader();
  ASSERT_TRUE(Run(reader->SeekToEnd({"s:1"})).ok());
  EXPECT_TRUE(Run(reader->Read(milliseconds(20), 10)).ok());
  crm::testing::Servers::Get().KillRedis();
  crm::testing::Servers::Get().StartRedis();
  UntilAnswered();
  Add("s:1", "published while nobody listened");
  // Neither an empty answer nor the new entry: the reader cannot know what it missed, and must say so until it seeks
  // again.
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Run(reader->Read(milliseconds(20), 10)).status().code(), absl::StatusCode::kUnavailable);
  }
  absl::Status sought = Run(reader->SeekToEnd({"s:1"}));
  for (int i = 0; i < 200 && !sought.ok(); ++i) {
    loop_.RunFor(milliseconds(10));
    sought = Run(reader->SeekToEnd({"s:1"}));
  }
  ASSERT_TRUE(sought.ok()) << sought;
  Add("s:1", "b");
  EXPECT_EQ(Bodies(Run(reader->Read(milliseconds(500), 10))), std::vector<std::string>{"b"});
}

TEST_F(StreamTest, GoesOnAfterRedisWasEmptied) {
  auto reader = Reader();
  Add("s:1", "a");
  ASSERT_TRUE(Run(reader->SeekToEnd({"s:1"})).ok());
  ASSERT_TRUE(Run(Command(Args("FLUSHALL"))).ok());
  loop_.RunFor(milliseconds(5));  // ids are milliseconds: within one, the new entry could bear the old one's
  Add("s:1", "b");
  EXPECT_EQ(Bodies(Run(reader->Read(milliseconds(500), 10))), std::vector<std::string>{"b"});
}

}  // namespace
}  // namespace crm::redis
