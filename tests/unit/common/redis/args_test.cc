#include <gtest/gtest.h>

#include "common/redis/client.h"
#include "common/redis/stream.h"

namespace crm::redis {
namespace {

TEST(Args, KeepsBytesAndWritesNumbers) {
  std::string binary("a\0b\r\n", 5);
  Args args("SET", binary, 42, -7, 2.5);
  EXPECT_EQ(args.items(), (std::vector<std::string>{"SET", binary, "42", "-7", "2.5"}));
}

TEST(AddToStream, TrimsRoughly) {
  EXPECT_EQ(AddToStream("events:contact:3", "body", 100).items(),
            (std::vector<std::string>{"XADD", "events:contact:3", "MAXLEN", "~", "100", "*", "e", "body"}));
}

}  // namespace
}  // namespace crm::redis
