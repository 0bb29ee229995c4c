#include "common/base/listen.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <boost/asio/ip/address.hpp>
#include <boost/system/error_code.hpp>
#include <cstdint>
#include <utility>

namespace crm {

absl::StatusOr<std::unique_ptr<boost::asio::ip::tcp::acceptor>> ListenOn(const boost::asio::any_io_executor& loop,
                                                                         const std::string& address) {
  using boost::asio::ip::tcp;
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  boost::system::error_code error;
  const auto ip = boost::asio::ip::make_address(host, error);
  int port = -1;
  if (error || colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 0 ||
      port > UINT16_MAX) {
    return absl::FailedPreconditionError(absl::StrCat(
        "Cannot listen on \"", address, "\": it must be an IP address and a port, such as 127.0.0.1:8080."));
  }
  auto acceptor = std::make_unique<tcp::acceptor>(loop);
  const tcp::endpoint endpoint(ip, static_cast<uint16_t>(port));
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(tcp::acceptor::max_listen_connections, error);
  if (error) {
    return absl::FailedPreconditionError(
        absl::StrCat("Cannot listen on ", address, ": ", error.message(), ". Is another process there?"));
  }
  return acceptor;
}

}  // namespace crm
