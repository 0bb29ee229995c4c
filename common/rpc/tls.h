// TLS of the services' port, from files that are read again when they change: mutual, HTTP/2 only. Not for others than
// common/rpc.
#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

namespace crm::rpc::wire {

// How long a changed certificate may go unnoticed.
inline constexpr auto kTlsRefresh = std::chrono::seconds(3);

// One side's identity and whom it trusts. Thread-safe.
class TlsFiles {
 public:
  TlsFiles(std::string ca_file, std::string cert_file, std::string key_file, bool server);

  // The context of the files as they are now, for new connections. Null if they could never be read; files that are
  // broken, or half replaced, leave what was read last.
  std::shared_ptr<SSL_CTX> Context();

 private:
  std::shared_ptr<SSL_CTX> Read() const;
  std::string Stamp() const;

  const std::string ca_file_, cert_file_, key_file_;
  const bool server_;
  std::mutex mutex_;
  std::shared_ptr<SSL_CTX> context_;
  std::string stamp_;
  std::chrono::steady_clock::time_point looked_;
};

// What OpenSSL has to say about its last error on this thread.
std::string TlsError();

// The peer's common name; empty if it has none or several.
std::string PeerName(SSL* ssl);

// Whether the peer's certificate is that of `name`: its common name, or one of its DNS names or addresses.
bool IsPeer(SSL* ssl, const std::string& name);

// TLS without a socket: what has come is put in, what is to be sent is taken out.
class TlsPipe {
 public:
  TlsPipe(SSL_CTX* context, bool server);
  ~TlsPipe();
  TlsPipe(const TlsPipe&) = delete;

  SSL* ssl() const { return ssl_; }
  // Bytes from the wire, not copied: to be read (SSL_read, SSL_do_handshake) before they are gone.
  void Put(const char* bytes, size_t size) { in_ = bytes, in_size_ = size; }
  // Bytes for the wire; whoever sends them clears it.
  std::string out;

 private:
  friend int TlsPipeRead(BIO* bio, char* into, int size);
  const char* in_ = nullptr;
  size_t in_size_ = 0;
  SSL* ssl_ = nullptr;
};

}  // namespace crm::rpc::wire
