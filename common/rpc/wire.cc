#include "common/rpc/wire.h"

#include <absl/synchronization/mutex.h>
#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <map>
#include <mutex>
#include <vector>

#include "common/obs/log.h"
#include "common/rpc/status.h"

namespace crm::rpc::wire {

constexpr unsigned kTlsRefreshSeconds = 3;

void RouteLog() {
  static const bool once = [] {
    gpr_set_log_function([](gpr_log_func_args* args) {
      obs::Log(args->severity == GPR_LOG_SEVERITY_DEBUG ? obs::Level::kDebug : obs::Level::kWarning, args->message,
               {{"source", "grpc"}});
    });
    // protobuf's are about bytes that it could not read, which we refuse with an answer of our own.
    google::protobuf::SetLogHandler([](google::protobuf::LogLevel level, const char*, int, const std::string& text) {
      obs::Log(level == google::protobuf::LOGLEVEL_FATAL ? obs::Level::kError : obs::Level::kDebug, text,
               {{"source", "protobuf"}});
    });
    // Debian builds Abseil with its detector of deadlocks on: every lock and unlock in gRPC would be entered in a graph.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    return true;
  }();
  (void)once;
}

grpc::Status ToWire(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  absl::string_view text = status.message();
  if (text.size() > kErrorBytesMax / 4) {
    text = text.substr(0, kErrorBytesMax / 4);
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80) text.remove_suffix(1);
    if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xc0) text.remove_suffix(1);
  }
  google::rpc::Status details = ToProto(status);
  details.set_message(std::string(text));
  size_t bytes = 0;
  for (int i = 0; i < details.details_size();) {
    if ((bytes += details.details(i).value().size()) <= kErrorBytesMax) {
      ++i;
    } else {
      details.mutable_details()->DeleteSubrange(i, 1);
    }
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(text), details.SerializeAsString());
}

absl::Status FromWire(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  google::rpc::Status details;
  if (status.error_details().empty() || !details.ParseFromString(status.error_details())) details.Clear();
  // The call's own code and text count, whatever the details say.
  details.set_code(static_cast<int>(status.error_code()));
  details.set_message(status.error_message());
  return FromProto(details);
}

grpc::ByteBuffer ToBuffer(absl::string_view bytes) {
  grpc::Slice slice(bytes.data(), bytes.size());
  return grpc::ByteBuffer(&slice, 1);
}

std::string ToString(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string out;
  if (!buffer.Valid() || !buffer.Dump(&slices).ok()) return out;
  out.reserve(buffer.Length());
  for (const auto& slice : slices) out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return out;
}

namespace {

namespace tls = grpc::experimental;

// One watcher, and one thread, per set of files; kept until the process ends, as gRPC's threads may look at it until
// then.
std::shared_ptr<tls::FileWatcherCertificateProvider> Watched(const std::string& ca_file, const std::string& cert_file,
                                                             const std::string& key_file) {
  static std::mutex mutex;
  static auto* watched = new std::map<std::vector<std::string>, std::shared_ptr<tls::FileWatcherCertificateProvider>>();
  std::lock_guard lock(mutex);
  auto& provider = (*watched)[{ca_file, cert_file, key_file}];
  if (!provider) {
    provider = std::make_shared<tls::FileWatcherCertificateProvider>(key_file, cert_file, ca_file, kTlsRefreshSeconds);
  }
  return provider;
}

// The chain has been verified against the CA; this asks whether it is the service that was called.
class PeerVerifier final : public tls::ExternalCertificateVerifier {
 public:
  explicit PeerVerifier(std::string peer) : peer_(std::move(peer)) {}
  bool Verify(tls::TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* sync_status) override {
    if (request->common_name() == peer_) return true;
    for (const auto& name : request->dns_names()) {
      if (name == peer_) return true;
    }
    *sync_status = grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "the certificate is not that of " + peer_);
    return true;
  }
  void Cancel(tls::TlsCustomVerificationCheckRequest*) override {}

 private:
  const std::string peer_;
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> ServerCredentials(const std::string& ca_file, const std::string& cert_file,
                                                           const std::string& key_file) {
  auto provider = Watched(ca_file, cert_file, key_file);
  tls::TlsServerCredentialsOptions options(provider);
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  return tls::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> ChannelCredentials(const std::string& ca_file, const std::string& cert_file,
                                                             const std::string& key_file, const std::string& peer) {
  auto provider = Watched(ca_file, cert_file, key_file);
  tls::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(provider);
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(true);
  if (peer.empty()) {
    options.set_certificate_verifier(std::make_shared<tls::HostNameCertificateVerifier>());
  } else {
    options.set_certificate_verifier(tls::ExternalCertificateVerifier::Create<PeerVerifier>(peer));
    options.set_check_call_host(false);
  }
  return tls::TlsCredentials(options);
}

}  // namespace crm::rpc::wire
