#include "common/rpc/tls.h"

#include <absl/strings/str_cat.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "common/obs/log.h"

namespace crm::rpc::wire {

constexpr unsigned char kProtocols[] = {2, 'h', '2'};

int ChooseProtocol(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* offered,
                   unsigned int offered_size, void*) {
  for (unsigned int at = 0; at < offered_size; at += 1u + offered[at]) {
    if (offered[at] == 2 && at + 3 <= offered_size && std::memcmp(offered + at + 1, "h2", 2) == 0) {
      *out = offered + at + 1;
      *size = 2;
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

std::string TlsError() {
  const unsigned long code = ERR_peek_error();
  if (code == 0) return "it ended in the middle";
  const char* reason = ERR_reason_error_string(code);
  std::string text = reason != nullptr ? reason : absl::StrCat("error ", code);
  ERR_clear_error();
  return text;
}

TlsFiles::TlsFiles(std::string ca_file, std::string cert_file, std::string key_file, bool server)
    : ca_file_(std::move(ca_file)), cert_file_(std::move(cert_file)), key_file_(std::move(key_file)), server_(server) {}

std::string TlsFiles::Stamp() const {
  std::string stamp;
  for (const auto* file : {&ca_file_, &cert_file_, &key_file_}) {
    struct stat info;
    if (stat(file->c_str(), &info) != 0) continue;
    absl::StrAppend(&stamp, info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec, " ", info.st_size, " ", info.st_ino, "\n");
  }
  return stamp;
}

std::shared_ptr<SSL_CTX> TlsFiles::Read() const {
  ERR_clear_error();
  std::shared_ptr<SSL_CTX> made(SSL_CTX_new(server_ ? TLS_server_method() : TLS_client_method()), SSL_CTX_free);
  SSL_CTX* context = made.get();
  if (context == nullptr || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
      SSL_CTX_load_verify_locations(context, ca_file_.c_str(), nullptr) != 1 ||
      SSL_CTX_use_certificate_chain_file(context, cert_file_.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, key_file_.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return nullptr;
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (server_ ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // Connections live for minutes; nothing is resumed.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  if (server_) {
    SSL_CTX_set_alpn_select_cb(context, ChooseProtocol, nullptr);
  } else if (SSL_CTX_set_alpn_protos(context, kProtocols, sizeof kProtocols) != 0) {
    return nullptr;
  }
  return made;
}

std::shared_ptr<SSL_CTX> TlsFiles::Context() {
  std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (context_ && now - looked_ < kTlsRefresh) return context_;
  looked_ = now;
  std::string stamp = Stamp();
  if (context_ && stamp == stamp_) return context_;
  auto made = Read();
  if (made == nullptr) {
    obs::Log(obs::Level::kWarning, "the TLS files cannot be used", {{"certificate", cert_file_}, {"why", TlsError()}});
    return context_;
  }
  context_ = std::move(made);
  stamp_ = std::move(stamp);
  return context_;
}

std::string PeerName(SSL* ssl) {
  std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(ssl), X509_free);
  if (certificate == nullptr) return "";
  const X509_NAME* subject = X509_get_subject_name(certificate.get());
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return "";
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (size < 0) return "";
  std::string name(reinterpret_cast<const char*>(text), static_cast<size_t>(size));
  OPENSSL_free(text);
  return name;
}

bool IsPeer(SSL* ssl, const std::string& name) {
  if (!name.empty() && PeerName(ssl) == name) return true;
  std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(ssl), X509_free);
  if (certificate == nullptr) return false;
  return X509_check_host(certificate.get(), name.data(), name.size(), X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) ==
             1 ||
         X509_check_ip_asc(certificate.get(), name.c_str(), 0) == 1;
}

int TlsPipeRead(BIO* bio, char* into, int size) {
  auto* pipe = static_cast<TlsPipe*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (pipe->in_size_ == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const size_t taken = std::min(pipe->in_size_, static_cast<size_t>(size));
  std::memcpy(into, pipe->in_, taken);
  pipe->in_ += taken;
  pipe->in_size_ -= taken;
  return static_cast<int>(taken);
}

int TlsPipeWrite(BIO* bio, const char* bytes, int size) {
  static_cast<TlsPipe*>(BIO_get_data(bio))->out.append(bytes, static_cast<size_t>(size));
  return size;
}

long TlsPipeControl(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* TlsPipeMethod() {
  static const BIO_METHOD* method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pipe");
    BIO_meth_set_read(made, TlsPipeRead);
    BIO_meth_set_write(made, TlsPipeWrite);
    BIO_meth_set_ctrl(made, TlsPipeControl);
    return made;
  }();
  return method;
}

TlsPipe::TlsPipe(SSL_CTX* context, bool server) {
  BIO* bio = BIO_new(TlsPipeMethod());
  ssl_ = SSL_new(context);
  if (bio == nullptr || ssl_ == nullptr) std::abort();  // out of memory
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
  server ? SSL_set_accept_state(ssl_) : SSL_set_connect_state(ssl_);
}

TlsPipe::~TlsPipe() { SSL_free(ssl_); }

}  // namespace crm::rpc::wire
