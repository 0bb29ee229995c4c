// A wall around addresses that tenants choose (SMTP servers, webhooks): nothing inside the operator's network is
// reached unless the operator allows it (OWASP API7, server-side request forgery).
#pragma once

#include <absl/status/statusor.h>

#include <boost/asio/ip/address.hpp>
#include <string>
#include <vector>

namespace crm::messaging {

class NetGuard {
 public:
  // `allowed`: names ("relay.internal"), addresses ("127.0.0.1") and networks ("10.1.0.0/16", "fd00::/8") that may be
  // reached although they are not public. INVALID_ARGUMENT for what is none of them.
  static absl::StatusOr<NetGuard> Make(const std::vector<std::string>& allowed);

  // The addresses of a host, looked up once: connect to these and to nothing else. All of them must be public or
  // allowed. PERMISSION_DENIED if one is not, UNAVAILABLE if the name cannot be looked up now, NOT_FOUND if there is no
  // such name. Blocks.
  absl::StatusOr<std::vector<std::string>> Resolve(const std::string& host) const;

  // Whether this host stands on the list itself: such a server may be spoken to without TLS.
  bool Allows(const std::string& host) const;
  bool MayReach(const boost::asio::ip::address& address) const;

  // Neither private, loopback, link-local, shared (CGNAT), multicast, documentation, reserved, nor one of these inside an
  // IPv6 address (mapped, NAT64, 6to4).
  static bool IsPublic(const boost::asio::ip::address& address);

 private:
  struct Network {
    boost::asio::ip::address address;
    int bits = 0;
  };
  std::vector<std::string> names_;
  std::vector<Network> networks_;
};

}  // namespace crm::messaging
