// covers: common/redis/client.cc#Convert,HasUnasked,OnReply,AddRead,Cleanup common/redis/stream.cc#SeekToEnd,Read
// What Redis answers, or something in its place (hiredis reads it): every command ends, and only with what was said.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <chrono>

#include "common/redis/stream.h"
#include "tests/fuzz/fuzz.h"

namespace crm::fuzz {

// In Redis' place: says the next part (up to a line "--") whenever it hears something, then hangs up. The socket stays
// with the loop.
struct RedisServer {
  RedisServer(asio::io_context& loop, absl::string_view answers)
      : listener(loop, {asio::ip::address_v4::loopback(), 0}), client(loop), left(answers) {
    listener.async_accept(client, [this](boost::system::error_code error) {
      if (error) return;
      client.set_option(asio::socket_base::linger(true, 0), error);  // no port is to wait for stragglers
      Hear();
    });
  }
  void Hear() {
    client.async_read_some(asio::buffer(heard), [this](boost::system::error_code error, size_t) {
      if (error) return;
      constexpr absl::string_view kNext = "--\r\n";
      const size_t end = std::min(left.find(kNext), left.size());
      asio::write(client, asio::buffer(left.data(), end), error);
      left.remove_prefix(std::min(end + kNext.size(), left.size()));
      if (!left.empty()) return Hear();
      client.shutdown(asio::ip::tcp::socket::shutdown_send, error);
    });
  }
  asio::ip::tcp::acceptor listener;
  asio::ip::tcp::socket client;
  absl::string_view left;
  char heard[4096];
};

}  // namespace crm::fuzz

CRM_FUZZ(redis_reply) {
  using namespace crm;
  const bool stream = (input.Byte() & 1) != 0;
  input.Line();
  asio::io_context loop(1);
  fuzz::RedisServer server(loop, input.Rest());
  redis::Options options;
  options.command_timeout = std::chrono::milliseconds(50);
  options.port = server.listener.local_endpoint().port();
  auto connection = std::make_unique<redis::Connection>(options, loop.get_executor());
  redis::Connection* commands = connection.get();
  redis::StreamReader reader(std::move(connection));
  bool ended = false;
  if (stream) {
    asio::co_spawn(
        loop,
        [](redis::StreamReader& from, bool& done) -> asio::awaitable<void> {
          const std::vector<std::string> streams = {"events:contact:0", "events:deal:0"};
          const absl::Status placed = co_await from.SeekToEnd(streams);
          if (placed.ok()) {
            const auto entries = co_await from.Read(std::chrono::milliseconds(100), 10);
            if (!entries.ok()) fuzz::RequireRefusal(entries.status());
          } else {
            fuzz::Require(absl::IsUnavailable(placed), "whatever Redis says, it is only not available");
          }
          done = true;
        }(reader, ended),
        [](std::exception_ptr thrown) {
          if (thrown) std::rethrow_exception(thrown);
        });
  } else {
    asio::co_spawn(
        loop,
        [](redis::Connection& to, bool& done) -> asio::awaitable<void> {
          std::vector<redis::Args> some;
          for (int i = 0; i < 3; ++i) some.emplace_back("GET", "key");
          const auto replies = co_await to.Pipeline(std::move(some));
          fuzz::Require(replies.ok() && replies->size() == 3, "each command has its answer");
          for (const auto& reply : *replies) {
            fuzz::Require(reply.ok() || absl::IsUnavailable(reply.status()), "an error is that Redis is away");
          }
          done = true;
        }(*commands, ended),
        [](std::exception_ptr thrown) {
          if (thrown) std::rethrow_exception(thrown);
        });
  }
  // Not until the loop is out of work: the connection's timer would go on for half a second.
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!ended && loop.run_one_until(until) > 0) {
  }
  fuzz::Require(ended, "every command ends");
  commands->Close();
  server.listener.close();
  server.client.close();
  loop.restart();
  loop.poll();
}
