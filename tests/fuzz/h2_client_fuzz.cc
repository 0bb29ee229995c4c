// covers: common/rpc/channel.cc#CodeOfHttp,CodeOfReset,OnHeader,OnFrame,OnData,OnClose,Finish,AfterRead,Ended,TakeMessage,EndWith common/rpc/link.cc#Read,Feed,End
// What a service answers to our calls: bytes that need not be HTTP/2, and any headers, messages in any pieces and trailers.
// Every call ends once; it is OK only if the answer says so, and then has all of its messages.
#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>
#include <google/protobuf/stubs/logging.h>
#include <nghttp2/nghttp2.h>

#include <boost/asio/io_context.hpp>
#include <memory>

#include "common/rpc/channel.h"
#include "tests/fuzz/sockets.h"

namespace crm::fuzz {

constexpr size_t kReplyMax = 1000;

struct Asked final : rpc::wire::OutCall {
  std::vector<std::string> messages;
  int ends = 0;

  void OnProgress() override {
    while (has_message()) messages.push_back(TakeMessage());
    if (ended) ++ends;
  }
};

// Answers each call alike, by nghttp2.
class RpcAnswerer {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;

  RpcAnswerer(Fields headers, Fields trailers, absl::string_view body, size_t piece)
      : headers_(std::move(headers)), trailers_(std::move(trailers)), body_(body), piece_(std::max<size_t>(piece, 1)) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
          if (frame->hd.type == NGHTTP2_HEADERS) static_cast<RpcAnswerer*>(self)->Answer(frame->hd.stream_id);
          return 0;
        });
    nghttp2_session_server_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0);
  }
  ~RpcAnswerer() { nghttp2_session_del(session_); }

  // Hears the caller; answers what is said to it.
  std::string Hear(absl::string_view bytes) {
    Require(nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()) >= 0,
            "calls are HTTP/2");
    std::string out;
    const uint8_t* some = nullptr;
    for (ssize_t size; (size = nghttp2_session_mem_send(session_, &some)) > 0;) {
      out.append(reinterpret_cast<const char*>(some), static_cast<size_t>(size));
    }
    return out;
  }

 private:
  static std::vector<nghttp2_nv> Of(const Fields& fields) {
    std::vector<nghttp2_nv> all;
    for (const auto& [name, value] : fields) {
      all.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                     reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
                     NGHTTP2_NV_FLAG_NONE});
    }
    return all;
  }
  void Answer(int32_t stream) {
    nghttp2_data_provider provider;
    provider.source.ptr = this;
    provider.read_callback = [](nghttp2_session* session, int32_t stream, uint8_t* into, size_t size, uint32_t* flags,
                                nghttp2_data_source* source, void*) {
      auto& self = *static_cast<RpcAnswerer*>(source->ptr);
      size_t& at = self.said_[stream];
      const size_t taken = std::min({size, self.piece_, self.body_.size() - at});
      std::copy_n(self.body_.data() + at, taken, into);
      at += taken;
      if (at == self.body_.size()) {
        *flags = NGHTTP2_DATA_FLAG_EOF;
        const auto trailers = Of(self.trailers_);
        if (!trailers.empty() && nghttp2_submit_trailer(session, stream, trailers.data(), trailers.size()) == 0) {
          *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        }
      }
      return static_cast<ssize_t>(taken);
    };
    const auto headers = Of(headers_);
    const bool alone = body_.empty() && trailers_.empty();
    nghttp2_submit_response(session_, stream, headers.data(), headers.size(), alone ? nullptr : &provider);
  }

  nghttp2_session* session_ = nullptr;
  const Fields headers_, trailers_;
  const absl::string_view body_;
  const size_t piece_;
  std::map<int32_t, size_t> said_;
};

// "name: value" lines up to an empty one.
inline RpcAnswerer::Fields FieldsOf(Input& input) {
  RpcAnswerer::Fields fields;
  for (absl::string_view line = input.Line(); !line.empty(); line = input.Line()) {
    const std::pair<absl::string_view, absl::string_view> both = absl::StrSplit(line, absl::MaxSplits(": ", 1));
    fields.emplace_back(both.first, both.second);
  }
  return fields;
}

// The messages of a body, as long as it has whole ones that may be read.
inline std::vector<std::string> MessagesIn(absl::string_view body, bool& whole) {
  std::vector<std::string> messages;
  while (body.size() >= rpc::wire::kPrefixBytes) {
    const size_t length = rpc::wire::LengthOf(body.data());
    if (body[0] != 0 || length > kReplyMax || body.size() < rpc::wire::kPrefixBytes + length) break;
    messages.emplace_back(body.substr(rpc::wire::kPrefixBytes, length));
    body.remove_prefix(rpc::wire::kPrefixBytes + length);
  }
  whole = body.empty();
  return messages;
}

}  // namespace crm::fuzz

CRM_FUZZ(h2_client) {
  using namespace crm;
  namespace wire = rpc::wire;
  static const google::protobuf::LogSilencer quiet;
  static const wire::Metadata kMetadata = {{"authorization", "Bearer x"}, {"x-crm-request-id", "r"}};
  const absl::string_view first = input.Line();  // "raw", "cut", "leave", "2" (calls): in any order
  const bool raw = first.find("raw") != absl::string_view::npos, cut = first.find("cut") != absl::string_view::npos;
  const size_t piece = raw ? 1 : 1 + input.Byte() * 8u;
  if (!raw) input.Line();
  const auto headers = raw ? fuzz::RpcAnswerer::Fields() : fuzz::FieldsOf(input);
  const auto trailers = raw ? fuzz::RpcAnswerer::Fields() : fuzz::FieldsOf(input);
  const absl::string_view body = input.Rest();

  asio::io_context loop(1);
  fuzz::Peer peer;
  auto channel =
      std::make_shared<wire::Channel>(loop.get_executor(), wire::ChannelOptions{"127.0.0.1:1", "contact"}, nullptr);
  channel->Adopt(peer.Socket(loop), nullptr, {}, "contact");
  std::vector<std::shared_ptr<fuzz::Asked>> calls;
  for (size_t n = first.find('2') != absl::string_view::npos ? 2 : 1; n > 0; --n) {
    auto call = calls.emplace_back(std::make_shared<fuzz::Asked>());
    call->path = "/crm.contact.v1.ContactService/GetContact";
    call->metadata = &kMetadata;
    call->request = std::string("\0\0\0\0\2hi", 7);
    call->reply_bytes_max = fuzz::kReplyMax;
    channel->Start(call);
  }
  loop.poll();
  if (raw) {
    peer.Say(absl::string_view("\0\0\0\4\0\0\0\0\0", 9));  // empty settings
    loop.poll();
    peer.Say(body);
    loop.poll();
  } else {
    fuzz::RpcAnswerer answerer(headers, trailers, body, piece);
    for (int turn = 0; turn < 5; ++turn) {
      const std::string said = answerer.Hear(peer.Heard());
      peer.Say(absl::string_view(said).substr(0, cut && turn > 0 ? said.size() / 2 : said.size()));
      loop.poll();
      if (cut && turn > 0) break;
    }
  }
  peer.Hush();
  loop.run();
  channel->Close();
  loop.restart();
  loop.run();

  bool whole = false;
  const auto expected = fuzz::MessagesIn(body, whole);
  for (const auto& call : calls) {
    fuzz::Require(call->ended && call->ends > 0, "every call ends, and says so");
    const absl::Status status = wire::FromWire(call->status);
    fuzz::Require(status.ok() == (call->status.code == 0), "0 is OK, and nothing else");
    fuzz::Require(IsUtf8(status.message()), "an error is told in UTF-8", status.message());
    ReasonOf(status);
    MetadataOf(status);
    ViolationsOf(status);
    for (const std::string& message : call->messages) {
      fuzz::Require(message.size() <= fuzz::kReplyMax, "a message is not larger than allowed");
    }
    if (raw) continue;
    fuzz::Require(call->messages.size() <= expected.size() &&
                      std::equal(call->messages.begin(), call->messages.end(), expected.begin()),
                  "messages are those that were sent");
    if (!status.ok()) continue;
    fuzz::Require(call->messages.size() == expected.size() && whole, "an answer that is OK is whole");
    bool said = false;
    for (const auto* fields : {&headers, &trailers}) {
      for (const auto& [name, value] : *fields) {
        int code = -1;
        said = said || (name == "grpc-status" && absl::SimpleAtoi(value, &code) && code == 0);
      }
    }
    fuzz::Require(said, "nothing is OK that was not called so");
  }
}
