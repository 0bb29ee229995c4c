#include "services/messaging/net_guard.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <memory>

namespace crm::messaging {
namespace guard_internal {

namespace ip = boost::asio::ip;

bool Inside(const unsigned char* address, const unsigned char* network, int bits) {
  for (int i = 0; i < bits; ++i) {
    const unsigned char mask = static_cast<unsigned char>(0x80 >> (i % 8));
    if ((address[i / 8] & mask) != (network[i / 8] & mask)) return false;
  }
  return true;
}

// RFC 6890 and its registry (IANA IPv4 special-purpose addresses).
bool IsPublic4(const ip::address_v4& address) {
  static const std::array<std::pair<const char*, int>, 16> kSpecial = {{{"0.0.0.0", 8},
                                                                        {"10.0.0.0", 8},
                                                                        {"100.64.0.0", 10},
                                                                        {"127.0.0.0", 8},
                                                                        {"169.254.0.0", 16},
                                                                        {"172.16.0.0", 12},
                                                                        {"192.0.0.0", 24},
                                                                        {"192.0.2.0", 24},
                                                                        {"192.31.196.0", 24},
                                                                        {"192.52.193.0", 24},
                                                                        {"192.88.99.0", 24},
                                                                        {"192.168.0.0", 16},
                                                                        {"198.18.0.0", 15},
                                                                        {"198.51.100.0", 24},
                                                                        {"203.0.113.0", 24},
                                                                        {"224.0.0.0", 3}}};
  const auto bytes = address.to_bytes();
  return std::none_of(kSpecial.begin(), kSpecial.end(), [&](const auto& special) {
    return Inside(bytes.data(), ip::make_address_v4(special.first).to_bytes().data(), special.second);
  });
}

}  // namespace guard_internal

namespace gi = guard_internal;

bool NetGuard::IsPublic(const boost::asio::ip::address& address) {
  if (address.is_v4()) return gi::IsPublic4(address.to_v4());
  const auto bytes = address.to_v6().to_bytes();
  const auto embedded = [&](size_t at) {
    return gi::IsPublic4(gi::ip::address_v4({bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]}));
  };
  const auto in = [&](const char* network, int bits) {
    return gi::Inside(bytes.data(), gi::ip::make_address_v6(network).to_bytes().data(), bits);
  };
  if (in("::ffff:0:0", 96)) return embedded(12);  // IPv4-mapped
  if (in("64:ff9b::", 96)) return embedded(12);   // NAT64
  if (in("2002::", 16)) return embedded(2);       // 6to4
  if (in("2001::", 23) || in("2001:db8::", 32) || in("3fff::", 20))
    return false;          // protocol assignments (Teredo), documentation
  return in("2000::", 3);  // all else is not global unicast
}

absl::StatusOr<NetGuard> NetGuard::Make(const std::vector<std::string>& allowed) {
  NetGuard guard;
  for (const auto& entry : allowed) {
    const std::vector<std::string> parts = absl::StrSplit(entry, '/');
    boost::system::error_code error;
    const auto address = gi::ip::make_address(parts[0], error);
    if (error) {
      if (parts.size() != 1 || entry.empty())
        return absl::InvalidArgumentError(absl::StrCat("\"", entry, "\" is neither a name, an address nor a network"));
      guard.names_.push_back(absl::AsciiStrToLower(entry));
      continue;
    }
    const int widest = address.is_v4() ? 32 : 128;
    int bits = widest;
    if (parts.size() > 2 || (parts.size() == 2 && (!absl::SimpleAtoi(parts[1], &bits) || bits < 0 || bits > widest)))
      return absl::InvalidArgumentError(absl::StrCat("\"", entry, "\" is no network, such as 10.1.0.0/16"));
    guard.networks_.push_back({address, bits});
  }
  return guard;
}

bool NetGuard::MayReach(const boost::asio::ip::address& address) const {
  if (IsPublic(address)) return true;
  return std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
    if (network.address.is_v4() != address.is_v4()) return false;
    if (address.is_v4())
      return gi::Inside(address.to_v4().to_bytes().data(), network.address.to_v4().to_bytes().data(), network.bits);
    return gi::Inside(address.to_v6().to_bytes().data(), network.address.to_v6().to_bytes().data(), network.bits);
  });
}

bool NetGuard::Allows(const std::string& host) const {
  if (std::find(names_.begin(), names_.end(), absl::AsciiStrToLower(host)) != names_.end()) return true;
  boost::system::error_code error;
  const auto address = gi::ip::make_address(host, error);
  return !error && !IsPublic(address) && MayReach(address);
}

absl::StatusOr<std::vector<std::string>> NetGuard::Resolve(const std::string& host) const {
  if (host.empty()) return absl::NotFoundError("no server is named");
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int failed = getaddrinfo(host.c_str(), nullptr, &hints, &list);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(list, freeaddrinfo);
  if (failed == EAI_NONAME || failed == EAI_NODATA)
    return absl::NotFoundError(absl::StrCat("there is no server named ", host));
  if (failed != 0)
    return absl::UnavailableError(
        absl::StrCat("the name ", host, " cannot be looked up at present: ", gai_strerror(failed)));
  const bool named = std::find(names_.begin(), names_.end(), absl::AsciiStrToLower(host)) != names_.end();
  std::vector<std::string> addresses;
  for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
    char text[NI_MAXHOST] = "";
    if (getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) continue;
    boost::system::error_code error;
    const auto address = gi::ip::make_address(text, error);
    // One forbidden address forbids the name: which one a connection takes is not ours to choose.
    if (error || (!named && !MayReach(address)))
      return absl::PermissionDeniedError(
          absl::StrCat(host, " is inside a private network; only the operator can allow it (messaging.allowed_hosts)"));
    if (std::find(addresses.begin(), addresses.end(), address.to_string()) == addresses.end())
      addresses.push_back(address.to_string());
  }
  if (addresses.empty()) return absl::NotFoundError(absl::StrCat("there is no address for ", host));
  return addresses;
}

}  // namespace crm::messaging
