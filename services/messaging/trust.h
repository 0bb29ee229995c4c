// Whom libcurl believes: the system's certificate authorities, and the operator's own.
//
// libcurl reads and parses the system's bundle for every connection (19 ms of CPU, where the handshake takes one); here it is
// read once and shared by all connections. What the system believes is read anew every hour.
#pragma once

#include <curl/curl.h>

#include <string>

namespace crm::messaging {

// To be called before the transfer, which fails with CURLE_SSL_CACERT_BADFILE when they cannot be read. `ca_file`: a PEM file of
// authorities beside the system's, empty for none; the string outlives the transfer. Thread-safe.
void Trust(CURL* curl, const std::string& ca_file);

}  // namespace crm::messaging
