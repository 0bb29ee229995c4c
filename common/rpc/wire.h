// What server.cc and client.cc share: metadata names, statuses, TLS. The only header that shows grpcpp; not for others.
#pragma once

#include <absl/status/status.h>
#include <absl/strings/string_view.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <string>
#include <utility>

#include "common/base/async.h"
#include "common/rpc/metadata.h"

namespace crm::rpc::wire {

// Headers and trailers of one call; the default of 8 KiB is too little for a long token or 50 field violations.
inline constexpr int kMetadataBytesMax = 64 << 10;
// Of that, an error's details; the text is cut at a quarter of it.
inline constexpr size_t kErrorBytesMax = 24 << 10;

// To and from the wire. Details travel as google.rpc.Status in grpc-status-details-bin; payloads whose key is no type
// URL stay at home.
grpc::Status ToWire(const absl::Status& status);
absl::Status FromWire(const grpc::Status& status);

grpc::ByteBuffer ToBuffer(absl::string_view bytes);
std::string ToString(const grpc::ByteBuffer& buffer);

// mTLS from files that are read again within 3 s when they change.
std::shared_ptr<grpc::ServerCredentials> ServerCredentials(const std::string& ca_file, const std::string& cert_file,
                                                           const std::string& key_file);
// `peer`: see ClientOptions.
std::shared_ptr<grpc::ChannelCredentials> ChannelCredentials(const std::string& ca_file, const std::string& cert_file,
                                                             const std::string& key_file, const std::string& peer);

// Waits for one value that any thread may deliver, and resumes on the waiting coroutine's loop. `start` receives a
// copyable function to be called exactly once; the loop counts as busy meanwhile.
template <typename T, typename Start>
asio::awaitable<T> WaitFor(Start start) {
  return asio::async_initiate<const asio::use_awaitable_t<>&, void(T)>(
      [](auto handler, Start start) {
        using Handler = decltype(handler);
        struct Waiting {
          Handler handler;
          asio::executor_work_guard<asio::associated_executor_t<Handler>> work;
          explicit Waiting(Handler h) : handler(std::move(h)), work(asio::get_associated_executor(handler)) {}
        };
        auto slot = asio::get_associated_cancellation_slot(handler);
        auto waiting = std::make_shared<Waiting>(std::move(handler));
        start(
            [waiting](T value) {
              auto executor = waiting->work.get_executor();
              asio::post(executor, [waiting, value = std::move(value)]() mutable {
                asio::get_associated_cancellation_slot(waiting->handler).clear();
                auto resume = std::move(waiting->handler);
                waiting->work.reset();
                std::move(resume)(std::move(value));
              });
            },
            slot);
      },
      asio::use_awaitable, std::move(start));
}

}  // namespace crm::rpc::wire
