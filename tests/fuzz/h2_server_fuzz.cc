// covers: common/rpc/served_call.cc#OnBeginHeaders,OnHeader,OnFrame,OnData,OnClose,WriteAndFinish,Finish,Complete,AfterRead common/rpc/link.cc#Read,Feed,End
// What comes in at a service's port: bytes that need not be HTTP/2, and calls whose messages come in any pieces. Every
// call is handed on once, as what it is, and the answers are HTTP/2.
#include <array>
#include <boost/asio/io_context.hpp>

#include "common/rpc/served_call.h"
#include "tests/fuzz/sockets.h"

namespace crm::fuzz {

namespace wire = rpc::wire;

// A caller by nghttp2, which believes itself to be connected.
class RpcCaller {
 public:
  RpcCaller() {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks,
                                                           [](nghttp2_session*, int32_t, uint32_t, void* self) {
                                                             ++static_cast<RpcCaller*>(self)->ended;
                                                             return 0;
                                                           });
    nghttp2_session_client_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0);
  }
  ~RpcCaller() { nghttp2_session_del(session_); }

  // The bytes of a call whose body is sent in pieces of that size.
  std::string Call(absl::string_view type, absl::string_view body, size_t piece) {
    const auto pair = [](absl::string_view name, absl::string_view value) {
      return nghttp2_nv{reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                        reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
                        NGHTTP2_NV_FLAG_NONE};
    };
    const std::array<nghttp2_nv, 6> fields = {pair(":authority", "a"),    pair(":method", "POST"),
                                              pair(":scheme", "http"),    pair(":path", "/a.B/C"),
                                              pair("content-type", type), pair("te", "trailers")};
    body_ = body;
    piece_ = std::max<size_t>(piece, 1);
    nghttp2_data_provider provider;
    provider.source.ptr = this;
    provider.read_callback = [](nghttp2_session*, int32_t, uint8_t* into, size_t size, uint32_t* flags,
                                nghttp2_data_source* source, void*) {
      auto& self = *static_cast<RpcCaller*>(source->ptr);
      const size_t taken = std::min({size, self.piece_, self.body_.size()});
      std::copy_n(self.body_.data(), taken, into);
      self.body_.remove_prefix(taken);
      if (self.body_.empty()) *flags = NGHTTP2_DATA_FLAG_EOF;
      return static_cast<ssize_t>(taken);
    };
    nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(), &provider, nullptr);
    return Sent();
  }
  std::string Sent() {
    std::string out;
    const uint8_t* bytes = nullptr;
    for (ssize_t size; (size = nghttp2_session_mem_send(session_, &bytes)) > 0;) {
      out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
    }
    return out;
  }
  // False for what is no HTTP/2.
  bool Hear(absl::string_view bytes) {
    return nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()) >= 0;
  }

  int ended = 0;

 private:
  nghttp2_session* session_ = nullptr;
  absl::string_view body_;
  size_t piece_ = 1;
};

// Hands the bytes to a server's connection that answers every call, and answers what it says.
template <typename Taken>
std::string Serve(absl::string_view bytes, Taken taken) {
  asio::io_context loop(1);
  Peer peer;
  wire::ServerLinkOptions options;
  options.request_bytes_max = 1000;
  {
    auto link =
        std::make_shared<wire::ServerLink>(peer.Socket(loop), nullptr, options, taken, [](wire::ServerLink*) {});
    link->Begin();
    peer.Say(bytes);
    loop.poll();
    peer.Hush();
  }
  loop.run();
  return peer.Heard();
}

}  // namespace crm::fuzz

CRM_FUZZ(h2_server) {
  using namespace crm;
  namespace wire = rpc::wire;
  using Body = wire::ServedCall::Body;
  const uint8_t how = input.Byte();
  std::vector<std::pair<Body, std::string>> taken;
  const auto take = [&](std::shared_ptr<wire::ServedCall> call) {
    taken.emplace_back(call->body, std::string(call->message()));
    if (how & 2) return call->Finish({3, "no\n", "details"});
    std::string framed;
    std::copy_n("ab", 2, wire::ServedCall::Reserve(framed, 2));
    call->WriteAndFinish(std::move(framed));
  };
  if (how & 1) {  // anything, after the words that begin HTTP/2, or not
    std::string bytes = how & 4 ? "" : "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    bytes += how & 8 ? std::string(9, '\0') : std::string("\0\0\0\x04\0\0\0\0\0", 9);  // empty settings
    const absl::string_view rest = input.Rest();
    bytes.append(rest.data(), rest.size());
    fuzz::Serve(bytes, take);
    return;
  }
  static const char* const kTypes[] = {"application/grpc", "application/grpc+proto", "text/html"};
  const std::string type = input.Of(kTypes);
  const size_t piece = input.Byte();
  const absl::string_view body = input.Rest().substr(0, 4000);
  fuzz::RpcCaller caller;
  const std::string said = fuzz::Serve(caller.Call(type, body, piece), take);
  fuzz::Require(caller.Hear(said), "answers are HTTP/2");
  if (type == "text/html") return fuzz::Require(taken.empty() && caller.ended == 1, "who speaks no gRPC is told so");
  fuzz::Require(taken.size() == 1, "every call is handed on once");
  fuzz::Require(caller.ended == 1, "every call is answered");
  const size_t length = body.size() < wire::kPrefixBytes ? 0 : wire::LengthOf(body.data());
  Body expected = Body::kMessage;
  if (body.empty()) {
    expected = Body::kNone;
  } else if (length > 1000 || body.size() > 1000 + wire::kPrefixBytes) {
    expected = Body::kTooLarge;
  } else if (body.size() < wire::kPrefixBytes || body.size() - wire::kPrefixBytes != length) {
    expected = Body::kBroken;
  } else if (body[0] != 0) {
    expected = Body::kCompressed;
  }
  fuzz::Require(taken[0].first == expected, "a body is taken for what it is");
  if (expected == Body::kMessage) {
    fuzz::Require(taken[0].second == body.substr(wire::kPrefixBytes), "a message stays as it is");
  }
}
