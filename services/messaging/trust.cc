#include "services/messaging/trust.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <chrono>
#include <map>
#include <memory>
#include <mutex>

namespace crm::messaging {
namespace trust_internal {

constexpr std::chrono::minutes kStoreLife{60};
constexpr std::chrono::minutes kAgainAfter{1};  // when nothing could be read

struct Free {
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
};
using Store = std::unique_ptr<X509_STORE, Free>;

struct Kept {
  Store store;
  std::chrono::steady_clock::time_point until;
};

Store Read(const std::string& ca_file) {
  Store store(X509_STORE_new());
  if (!store) return nullptr;
  // What libcurl sets for a store of its own: an authority that is believed need not be a root.
  X509_STORE_set_flags(store.get(), X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
  const curl_version_info_data* libcurl = curl_version_info(CURLVERSION_NOW);
  bool read = false;
  if (libcurl->cainfo != nullptr) read = X509_STORE_load_file(store.get(), libcurl->cainfo) == 1;
  // Looked into when needed; what is found stays.
  if (libcurl->capath != nullptr) read = X509_STORE_load_path(store.get(), libcurl->capath) == 1 || read;
  if (!ca_file.empty()) read = X509_STORE_load_file(store.get(), ca_file.c_str()) == 1;
  return read ? std::move(store) : nullptr;
}

// A store of the caller's, to be freed; nullptr when there is none.
X509_STORE* Shared(const std::string& ca_file) {
  static std::mutex mutex;
  static auto* stores = new std::map<std::string, Kept>;
  std::lock_guard lock(mutex);
  Kept& kept = (*stores)[ca_file];
  const auto now = std::chrono::steady_clock::now();
  if (now >= kept.until) {
    Store fresh = Read(ca_file);
    kept.until = now + (fresh ? kStoreLife : kAgainAfter);
    // While files are being replaced, what was believed before is believed on.
    if (fresh) kept.store = std::move(fresh);
  }
  if (kept.store) X509_STORE_up_ref(kept.store.get());
  return kept.store.get();
}

CURLcode Give(CURL*, void* ssl_context, void* ca_file) {
  X509_STORE* store = Shared(*static_cast<const std::string*>(ca_file));
  if (store == nullptr) return CURLE_SSL_CACERT_BADFILE;
  SSL_CTX_set_cert_store(static_cast<SSL_CTX*>(ssl_context), store);  // takes the reference
  return CURLE_OK;
}

}  // namespace trust_internal

void Trust(CURL* curl, const std::string& ca_file) {
  if (curl_easy_setopt(curl, CURLOPT_SSL_CTX_FUNCTION, trust_internal::Give) != CURLE_OK) {
    // A libcurl of another TLS library: it reads by itself.
    if (!ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file.c_str());
    return;
  }
  curl_easy_setopt(curl, CURLOPT_SSL_CTX_DATA, const_cast<std::string*>(&ca_file));
  curl_easy_setopt(curl, CURLOPT_CAINFO, nullptr);
  curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
}

}  // namespace crm::messaging
