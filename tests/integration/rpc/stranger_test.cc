// What reaches a server's ports and is no call of ours: nothing of it may stop it from serving.
#include <nghttp2/nghttp2.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <map>
#include <random>

#include "tests/integration/rpc/echo.h"

namespace crm::testing {
namespace {

using tcp = asio::ip::tcp;

constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// One HTTP/2 frame (RFC 9113, 4.1).
std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
  std::string frame;
  frame.push_back(static_cast<char>(payload.size() >> 16));
  frame.push_back(static_cast<char>(payload.size() >> 8));
  frame.push_back(static_cast<char>(payload.size()));
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  for (int shift = 24; shift >= 0; shift -= 8) frame.push_back(static_cast<char>(stream >> shift));
  return frame + payload;
}

// A header field without indexing, names and values shorter than 127 (RFC 7541, 6.2.2).
std::string Field(const std::string& name, const std::string& value) {
  return std::string(1, '\0') + static_cast<char>(name.size()) + name + static_cast<char>(value.size()) + value;
}

// The headers and trailers in what a server has sent.
std::map<std::string, std::string> HeadersIn(const std::string& bytes) {
  std::map<std::string, std::string> found;
  nghttp2_hd_inflater* inflater = nullptr;
  nghttp2_hd_inflate_new(&inflater);
  for (size_t at = 0; at + 9 <= bytes.size();) {
    const auto* head = reinterpret_cast<const uint8_t*>(bytes.data() + at);
    const size_t size = static_cast<size_t>(head[0]) << 16 | static_cast<size_t>(head[1]) << 8 | head[2];
    if (at + 9 + size > bytes.size()) break;
    if (head[3] == NGHTTP2_HEADERS) {
      const uint8_t* in = head + 9;
      for (size_t left = size;;) {
        nghttp2_nv field;
        int flags = 0;
        const ssize_t taken = nghttp2_hd_inflate_hd2(inflater, &field, &flags, in, left, 1);
        if (taken < 0) break;
        in += taken;
        left -= static_cast<size_t>(taken);
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
          found[std::string(field.name, field.name + field.namelen)] =
              std::string(field.value, field.value + field.valuelen);
        }
        if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) {
          nghttp2_hd_inflate_end_headers(inflater);
          break;
        }
        if (left == 0 && (flags & NGHTTP2_HD_INFLATE_EMIT) == 0) break;
      }
    }
    at += 9 + size;
  }
  nghttp2_hd_inflate_del(inflater);
  return found;
}

class StrangerTest : public RpcTest {
 protected:
  // Sends bytes and reads until the server closes, or has sent a header of that name.
  std::string Say(int port, const std::string& bytes, const std::string& enough = "") {
    asio::io_context context;
    tcp::socket socket(context);
    boost::system::error_code error;
    socket.connect({asio::ip::make_address("127.0.0.1"), static_cast<uint16_t>(port)}, error);
    EXPECT_FALSE(error) << error.message();
    asio::write(socket, asio::buffer(bytes), error);
    std::string answer;
    bool done = false;
    std::array<char, 4096> part;
    std::function<void()> read = [&] {
      socket.async_read_some(asio::buffer(part), [&](boost::system::error_code e, size_t size) {
        answer.append(part.data(), size);
        done = e || (!enough.empty() && HeadersIn(answer).contains(enough));
        if (!done) read();
      });
    };
    read();
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!done && std::chrono::steady_clock::now() < until) context.run_one_for(std::chrono::milliseconds(100));
    EXPECT_TRUE(done) << "the server neither answered nor closed";
    return answer;
  }
  void StillServes() { EXPECT_TRUE(Echo(UserCall()).ok()); }
};

TEST_F(StrangerTest, ChanceIsRefused) {
  Start();
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (const int port : {server_->port(), server_->health_port()}) {
    for (int i = 0; i < 20; ++i) {
      std::string bytes(std::uniform_int_distribution<size_t>(30, 3000)(random), 0);
      for (char& c : bytes) c = static_cast<char>(random());
      Say(port, bytes);
      // ... behind a beginning that is right.
      if (port == server_->health_port()) Say(port, kPreface + Frame(4, 0, 0, "") + Frame(9, 0, 1, bytes));
    }
    Say(port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }
  StillServes();
}

TEST_F(StrangerTest, HttpThatIsNoGrpcIsToldSo) {
  Start();
  const std::string begin = kPreface + Frame(4, 0, 0, "");
  const std::string head =
      Field(":method", "POST") + Field(":scheme", "http") + Field(":path", "/x") + Field(":authority", "x");
  // END_STREAM and END_HEADERS.
  EXPECT_EQ(HeadersIn(Say(server_->health_port(), begin + Frame(1, 5, 1, head), ":status"))[":status"], "415");
  StillServes();
}

TEST_F(StrangerTest, TooManyHeadersAreRefused) {
  Start();
  std::string fields = Field(":method", "POST") + Field(":scheme", "http") +
                       Field(":path", "/grpc.health.v1.Health/Check") + Field(":authority", "x") +
                       Field("content-type", "application/grpc");
  for (int i = 0; i < 120; ++i) fields += Field("name" + std::to_string(i), std::string(100, 'x'));
  // 70 times that, by what the table remembers: one header is added to it, and then repeated by its index.
  fields += std::string(1, 0x40) + static_cast<char>(3) + "big" + static_cast<char>(120) + std::string(120, 'y');
  for (int i = 0; i < 1000; ++i) fields.push_back(static_cast<char>(0x80 | 62));
  std::string frames = kPreface + Frame(4, 0, 0, "");
  frames += Frame(1, 1, 1, fields.substr(0, 10'000));  // END_STREAM
  frames += Frame(9, 4, 1, fields.substr(10'000));     // CONTINUATION, END_HEADERS
  EXPECT_EQ(HeadersIn(Say(server_->health_port(), frames, "grpc-status"))["grpc-status"], "8");
  StillServes();
}

TEST_F(StrangerTest, ACallWithoutAMessageOrWithHalfOfOneIsAnError) {
  Start();
  const std::string head = Field(":method", "POST") + Field(":scheme", "http") +
                           Field(":path", "/grpc.health.v1.Health/Check") + Field(":authority", "x") +
                           Field("content-type", "application/grpc") + Field("te", "trailers");
  const std::string begin = kPreface + Frame(4, 0, 0, "") + Frame(1, 4, 1, head);
  const std::string half(
      "\0\0\0\0\x09"
      "ab",
      7);
  for (const std::string& body : {std::string(), half}) {
    const auto said = HeadersIn(Say(server_->health_port(), begin + Frame(0, 1, 1, body), "grpc-status"));
    EXPECT_EQ(said.at("grpc-status"), "3") << body.size();
  }
  StillServes();
}

}  // namespace
}  // namespace crm::testing
