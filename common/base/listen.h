// The listening end of a TCP port, the same for gRPC, HTTP, LMTP and metrics.
#pragma once

#include <absl/status/statusor.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <string>

namespace crm {

// Listens on "IP:port", "[IPv6]:port" or "localhost:port"; port 0 takes any that is free. FAILED_PRECONDITION says what
// stands in the way. The caller accepts on `loop`.
absl::StatusOr<std::unique_ptr<boost::asio::ip::tcp::acceptor>> ListenOn(const boost::asio::any_io_executor& loop,
                                                                         const std::string& address);

}  // namespace crm
