#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <iostream>
#include <map>
#include <thread>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/json/json.h"
#include "common/rpc/client.h"
#include "tools/describe/describe.h"

namespace crm::describe {
namespace {

using nlohmann::json;

// Longer than any deadline of the services, so that what hangs shows as theirs.
constexpr auto kPatience = std::chrono::seconds(40);

class Caller {
 public:
  Caller(const Descriptors& descriptors, std::string tls)
      : descriptors_(descriptors), tls_(std::move(tls)), writer_(&descriptors.pool()) {}

  asio::awaitable<void> Run(json line) {
    json answer = {{"n", line.value("n", 0)}};
    auto reply = co_await Ask(line);
    if (reply.ok()) {
      answer["code"] = "OK";
      answer["reply"] = json::parse(*reply, nullptr, false);
    } else {
      const absl::Status& status = reply.status();
      answer["code"] = absl::StatusCodeToString(status.code());
      answer["message"] = std::string(status.message());
      answer["reason"] = ReasonOf(status) == type::v1::ERROR_REASON_UNSPECIFIED ? "" : ReasonName(ReasonOf(status));
      answer["metadata"] = MetadataOf(status);
      answer["fields"] = json::array();
      for (const auto& violation : ViolationsOf(status)) answer["fields"].push_back(violation.field);
    }
    // Texts may quote bytes of the caller's that are no UTF-8.
    std::cout << answer.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
  }

 private:
  // The reply as JSON.
  Async<std::string> Ask(json line) {
    const auto* method = descriptors_.Method(line.value("method", ""));
    if (method == nullptr) co_return absl::UnknownError(absl::StrCat("no rpc ", line.value("method", "")));
    rpc::RawCall call;
    call.method = method->full_name();
    call.deadline = std::chrono::steady_clock::now() + kPatience;
    const json metadata = line.value("metadata", json::object());
    for (const auto& [name, value] : metadata.items()) {
      // A list: the header that many times.
      for (const json& one : value.is_array() ? value : json::array({value}))
        call.metadata.emplace_back(name, one.get<std::string>());
    }
    if (line.contains("hex")) {
      call.request = absl::HexStringToBytes(line["hex"].get<std::string>());
    } else {
      auto request = descriptors_.New(method->input_type());
      absl::Status read = crm::json::Read(line.value("request", json::object()).dump(), *request);
      if (!read.ok()) co_return absl::UnknownError(absl::StrCat("the request was not sent: ", read.message()));
      call.request = request->SerializeAsString();
    }
    rpc::Client& client = ClientOf(line.value("address", ""), line.value("as", "gateway"));
    std::string bytes;
    if (method->server_streaming()) {
      bool heard = false;
      absl::Status end = co_await client.StreamRaw(std::move(call), [&](std::string message) -> Async<> {
        bytes = std::move(message);
        heard = true;
        co_return absl::CancelledError("one is enough");
      });
      if (!heard) co_return end.ok() ? absl::UnknownError("the stream ended without a message") : end;
    } else {
      CRM_CO_TRY(bytes, co_await client.UnaryRaw(std::move(call)));
    }
    co_return writer_.Write(method->output_type(), bytes);
  }

  rpc::Client& ClientOf(const std::string& address, const std::string& as) {
    auto& client = clients_[{address, as}];
    if (client == nullptr) {
      client = std::make_unique<rpc::Client>(rpc::ClientOptions{.address = address,
                                                                .ca_file = absl::StrCat(tls_, "/ca.pem"),
                                                                .cert_file = absl::StrCat(tls_, "/", as, ".pem"),
                                                                .key_file = absl::StrCat(tls_, "/", as, ".key"),
                                                                .peer = ""});
    }
    return *client;
  }

  const Descriptors& descriptors_;
  const std::string tls_;
  const crm::json::Writer writer_;
  std::map<std::pair<std::string, std::string>, std::unique_ptr<rpc::Client>> clients_;
};

}  // namespace

int Serve(const Descriptors& descriptors, const std::string& tls) {
  asio::io_context loop;
  auto work = asio::make_work_guard(loop);
  Caller caller(descriptors, tls);
  std::atomic<int> open{0};  // calls under way
  std::thread runner([&] { loop.run(); });
  for (std::string text; std::getline(std::cin, text);) {
    json line = json::parse(text, nullptr, false);
    if (!line.is_object()) {
      std::cerr << "not a JSON object: " << text << "\n";
      continue;
    }
    ++open;
    asio::co_spawn(loop, caller.Run(std::move(line)), [&](const std::exception_ptr&) { --open; });
  }
  // What is under way is still answered; connections would stay open for ever.
  while (open > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  work.reset();
  loop.stop();
  runner.join();
  return 0;
}

}  // namespace crm::describe
