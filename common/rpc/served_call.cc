#include "common/rpc/served_call.h"

#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <cstring>
#include <random>

#include "common/obs/log.h"

namespace crm::rpc::wire {

// After the notice that this connection will take no more calls, those on their way still count.
constexpr auto kNotice = std::chrono::seconds(1);
constexpr uint32_t kStreamsMax = 4096;  // of one connection
// Requests that have not arrived in full, of one connection: beyond it streams are refused.
constexpr size_t kBufferedMax = 64 << 20;
// Calls that one connection may break off, in store and a second. nghttp2's own 1,000 and 33 (against CVE-2023-44487) are
// for browsers: a gateway breaks off all calls whose deadline has passed, and the connection would end for everybody's.
// Whoever comes by TLS is one of ours, and a call that is broken off keeps its place until its handler has ended.
constexpr uint64_t kResetsStored = 100'000, kResetsPerSecond = 20'000;

namespace {

nghttp2_nv Pair(absl::string_view name, absl::string_view value, uint8_t flags) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(), flags};
}
constexpr uint8_t kStatic = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
constexpr uint8_t kOnce = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_INDEX;

absl::string_view View(const uint8_t* bytes, size_t size) {
  return absl::string_view(reinterpret_cast<const char*>(bytes), size);
}

// A status as trailers; the texts live as long as this.
class Trailers {
 public:
  explicit Trailers(const WireStatus& status)
      : code_(std::to_string(status.code)),
        text_(PercentEncoded(status.text)),
        details_(absl::Base64Escape(status.details)) {}
  void AddTo(std::vector<nghttp2_nv>& out) const {
    out.push_back(Pair("grpc-status", code_, NGHTTP2_NV_FLAG_NO_COPY_NAME));
    if (!text_.empty()) out.push_back(Pair("grpc-message", text_, kOnce));
    if (!details_.empty()) out.push_back(Pair("grpc-status-details-bin", details_, kOnce));
  }

 private:
  const std::string code_, text_, details_;
};

}  // namespace

absl::string_view ServedCall::message() const {
  return body == Body::kMessage ? absl::string_view(request_).substr(kPrefixBytes) : absl::string_view();
}

void ServedCall::DropMessage() {
  body = Body::kNone;
  std::string().swap(request_);
}

char* ServedCall::Reserve(std::string& framed, size_t size) {
  framed.resize(kPrefixBytes + size);
  PutPrefix(framed.data(), size);
  return framed.data() + kPrefixBytes;
}

ssize_t ServedCall::Pull(nghttp2_session* session, int32_t stream, uint8_t* into, size_t size, uint32_t* flags,
                         nghttp2_data_source* source, void*) {
  auto* call = static_cast<ServedCall*>(source->ptr);
  const size_t left = call->reply_.size() - call->sent_;
  const size_t taken = std::min(left, size);
  if (taken == 0 && !call->finishing_) {
    call->deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  std::memcpy(into, call->reply_.data() + call->sent_, taken);
  call->sent_ += taken;
  if (taken < left) return static_cast<ssize_t>(taken);
  if (call->finishing_) {
    *flags = NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    if (call->status_.code == 0) {
      static const nghttp2_nv kOk = Pair("grpc-status", "0", kStatic);
      nghttp2_submit_trailer(session, stream, &kOk, 1);
    } else {
      std::vector<nghttp2_nv> fields;
      const Trailers trailers(call->status_);
      trailers.AddTo(fields);
      nghttp2_submit_trailer(session, stream, fields.data(), fields.size());
    }
  } else {
    asio::post(call->executor_, [self = call->shared_from_this()] {
      if (self->listener_) self->listener_->OnWritten();
    });
  }
  return static_cast<ssize_t>(taken);
}

void ServedCall::Begin() {
  begun_ = true;
  static const std::array<nghttp2_nv, 2> kHead = {Pair(":status", "200", kStatic),
                                                  Pair("content-type", "application/grpc", kStatic)};
  nghttp2_data_provider provider;
  provider.source.ptr = this;
  provider.read_callback = Pull;
  nghttp2_submit_response(link_->session_, stream_, kHead.data(), kHead.size(), &provider);
}

void ServedCall::Kick() {
  if (!begun_) {
    Begin();
  } else if (deferred_) {
    deferred_ = false;
    nghttp2_session_resume_data(link_->session_, stream_);
  }
  link_->FlushSoon();
}

void ServedCall::Write(std::string framed) {
  if (link_ == nullptr || finishing_) return;
  reply_ = std::move(framed);
  sent_ = 0;
  Kick();
}

void ServedCall::WriteAndFinish(std::string framed) {
  if (link_ == nullptr || finishing_) return;
  reply_ = std::move(framed);
  sent_ = 0;
  finishing_ = true;
  Kick();
}

void ServedCall::Finish(const WireStatus& status) {
  if (link_ == nullptr || finishing_) return;
  finishing_ = true;
  status_ = status;
  if (begun_) return Kick();
  begun_ = true;
  std::vector<nghttp2_nv> fields = {Pair(":status", "200", kStatic), Pair("content-type", "application/grpc", kStatic)};
  const Trailers trailers(status);
  trailers.AddTo(fields);
  nghttp2_submit_response(link_->session_, stream_, fields.data(), fields.size(), nullptr);
  link_->FlushSoon();
}

PreparedStatus::PreparedStatus(const WireStatus& status)
    : code_(std::to_string(status.code)),
      text_(PercentEncoded(status.text)),
      details_(absl::Base64Escape(status.details)) {}

void ServedCall::Finish(const PreparedStatus& status) {
  if (link_ == nullptr || finishing_ || begun_) return;
  begun_ = finishing_ = true;
  // The connection's table of headers takes them all: the next one of these is a few bytes.
  const std::array<nghttp2_nv, 5> fields = {
      Pair(":status", "200", kStatic), Pair("content-type", "application/grpc", kStatic),
      Pair("grpc-status", status.code_, kStatic), Pair("grpc-message", status.text_, kStatic),
      Pair("grpc-status-details-bin", status.details_, kStatic)};
  nghttp2_submit_response(link_->session_, stream_, fields.data(), fields.size(), nullptr);
  link_->FlushSoon();
}

void ServedCall::SendAway() {
  if (link_ == nullptr || finishing_ || begun_) return;
  begun_ = finishing_ = over_ = true;
  nghttp2_submit_rst_stream(link_->session_, NGHTTP2_FLAG_NONE, stream_, NGHTTP2_REFUSED_STREAM);
  link_->FlushSoon();
}

// All that the caller says has come.
void ServedCall::Complete() {
  complete_ = true;
  if (body == Body::kTooLarge) return;  // what came of it has been thrown away
  if (request_.empty()) {
    body = Body::kNone;
  } else if (request_.size() < kPrefixBytes || request_.size() - kPrefixBytes != LengthOf(request_.data())) {
    body = Body::kBroken;
  } else {
    body = request_[0] == 0 ? Body::kMessage : Body::kCompressed;
  }
}

// What nghttp2 tells. No call's handler runs within it.
struct ServerLink::Callbacks {
  static ServerLink& Self(void* link) { return *static_cast<ServerLink*>(link); }
  static ServedCall* Of(nghttp2_session* session, int32_t stream) {
    return static_cast<ServedCall*>(nghttp2_session_get_stream_user_data(session, stream));
  }

  static int OnBeginHeaders(nghttp2_session* session, const nghttp2_frame* frame, void* link) {
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    ServerLink& self = Self(link);
    if (self.leaving()) {
      // GOAWAY names the last call that is answered, and may still wait to be sent.
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
      return 0;
    }
    auto call = std::make_shared<ServedCall>(&self, frame->hd.stream_id);
    call->executor_ = self.executor();
    call->tls_ = self.tls();
    call->peer_ = self.peer_;
    call->self_ = call;
    self.open_calls_.push_back(call.get());
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call.get());
    return 0;
  }

  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                      const uint8_t* value, size_t value_size, uint8_t, void*) {
    ServedCall* call = Of(session, frame->hd.stream_id);
    if (call == nullptr || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    const absl::string_view n = View(name, name_size), v = View(value, value_size);
    if (n == ":path") {
      call->path.assign(v.data(), v.size());
    } else if (n == "content-type") {
      call->http_ok_ = absl::StartsWith(v, "application/grpc");
    } else if (n.empty() || n[0] != ':') {
      call->fits_ = call->headers.Add(n, v) && call->fits_;
    } else if (n == ":method" && v != "POST") {
      call->fits_ = false;
    }
    return 0;
  }

  static int OnFrame(nghttp2_session* session, const nghttp2_frame* frame, void* link) {
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    ServedCall* call = Of(session, frame->hd.stream_id);
    if (call == nullptr) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      if (!call->http_ok_) {
        // Somebody who speaks HTTP, but not gRPC.
        static const nghttp2_nv kNo = Pair(":status", "415", kStatic);
        call->begun_ = call->finishing_ = true;
        nghttp2_submit_response(session, frame->hd.stream_id, &kNo, 1, nullptr);
        return 0;
      }
      if (!call->fits_) {
        call->Finish({8, "the call's metadata are too large, or it is no POST", ""});
        return 0;
      }
    }
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && !call->complete_) {
      Self(link).buffered_ -= call->request_.size();
      const bool told = call->body == ServedCall::Body::kTooLarge;
      call->Complete();
      if (!told && !call->finishing_) Self(link).arrived_.push_back(call->shared_from_this());
    }
    return 0;
  }

  static int OnData(nghttp2_session* session, uint8_t, int32_t stream, const uint8_t* bytes, size_t size, void* link) {
    ServedCall* call = Of(session, stream);
    if (call == nullptr || call->finishing_ || call->body == ServedCall::Body::kTooLarge) return 0;
    ServerLink& self = Self(link);
    if (self.buffered_ + size > kBufferedMax) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_REFUSED_STREAM);
      return 0;
    }
    if (call->request_.empty() && size >= kPrefixBytes) {
      call->request_.reserve(
          std::min<size_t>(kPrefixBytes + LengthOf(reinterpret_cast<const char*>(bytes)), 256 << 10));
    }
    call->request_.append(reinterpret_cast<const char*>(bytes), size);
    self.buffered_ += size;
    if (call->request_.size() >= kPrefixBytes &&
        (LengthOf(call->request_.data()) > self.options_.request_bytes_max ||
         call->request_.size() > self.options_.request_bytes_max + kPrefixBytes)) {
      // Answered without waiting for the rest.
      self.buffered_ -= call->request_.size();
      std::string().swap(call->request_);
      call->body = ServedCall::Body::kTooLarge;
      self.arrived_.push_back(call->shared_from_this());
    }
    return 0;
  }

  static int OnSent(nghttp2_session* session, const nghttp2_frame* frame, void*) {
    if ((frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) ||
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
      return 0;
    }
    ServedCall* call = Of(session, frame->hd.stream_id);
    if (call == nullptr) return 0;
    call->over_ = true;
    // The caller need not send the rest of what was answered early.
    if (!call->complete_) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    }
    return 0;
  }

  static int OnClose(nghttp2_session* session, int32_t stream, uint32_t, void* link) {
    ServedCall* call = Of(session, stream);
    if (call == nullptr) return 0;
    ServerLink& self = Self(link);
    auto& open = self.open_calls_;
    if (auto it = std::find(open.begin(), open.end(), call); it != open.end()) {
      *it = open.back();
      open.pop_back();
    }
    if (!call->complete_) self.buffered_ -= call->request_.size();
    call->link_ = nullptr;
    auto held = std::move(call->self_);
    auto listener = std::move(call->listener_);
    if (listener && !call->over_) listener->OnCancel();
    return 0;
  }

  static const nghttp2_session_callbacks* All() {
    static const nghttp2_session_callbacks* all = [] {
      nghttp2_session_callbacks* made = nullptr;
      nghttp2_session_callbacks_new(&made);
      nghttp2_session_callbacks_set_on_begin_headers_callback(made, OnBeginHeaders);
      nghttp2_session_callbacks_set_on_header_callback(made, OnHeader);
      nghttp2_session_callbacks_set_on_frame_recv_callback(made, OnFrame);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, OnData);
      nghttp2_session_callbacks_set_on_frame_send_callback(made, OnSent);
      nghttp2_session_callbacks_set_on_stream_close_callback(made, OnClose);
      return made;
    }();
    return all;
  }
};

ServerLink::ServerLink(tcp::socket socket, std::shared_ptr<SSL_CTX> context, const ServerLinkOptions& options,
                       Take take, std::function<void(ServerLink*)> gone)
    : Link(std::move(socket), std::move(context), /*server=*/true, std::chrono::seconds(20)),
      options_(options),
      take_(std::move(take)),
      gone_(std::move(gone)) {
  // Not all that were made in one moment (a neighbour's restart) at once.
  thread_local std::minstd_rand random{std::random_device{}()};
  leave_at_ = Clock::now() + options_.age_max * std::uniform_int_distribution<int>(90, 110)(random) / 100;
}

bool ServerLink::Opened() {
  if (tls_) peer_ = PeerName(tls_->ssl());
  // Spaces at a value's ends ("Bearer ") are for the rpc's own checks to judge, which say what is wrong; breaking the
  // stream off would not.
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(option, 1);
  if (tls_) nghttp2_option_set_stream_reset_rate_limit(option, kResetsStored, kResetsPerSecond);
  nghttp2_session_server_new2(&session_, Callbacks::All(), this, option);
  nghttp2_option_del(option);
  const std::array<nghttp2_settings_entry, 3> settings = {{{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kStreamsMax},
                                                           {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
                                                           {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kMetadataBytesMax}}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kLinkWindow);
  return true;
}

void ServerLink::AfterRead() {
  // Whoever is taken may be answered, and the link ended, at once.
  std::vector<std::shared_ptr<ServedCall>> arrived;
  arrived.swap(arrived_);
  for (auto& call : arrived) {
    if (call->link_ != nullptr) take_(std::move(call));
  }
  arrived.clear();
  if (arrived_.empty()) arrived_.swap(arrived);
}

void ServerLink::Ended(const std::string& why) {
  if (session_ == nullptr && tls()) {
    obs::Log(obs::Level::kWarning, "a connection was refused", {{"why", why}});
  }
  std::vector<ServedCall*> calls;
  calls.swap(open_calls_);
  for (ServedCall* call : calls) {
    call->link_ = nullptr;
    auto held = std::move(call->self_);
    auto listener = std::move(call->listener_);
    if (listener && !call->over_) listener->OnCancel();
  }
  arrived_.clear();
  gone_(this);
}

Clock::time_point ServerLink::Tick(Clock::time_point now) {
  if (now >= end_at_) {
    Cut();
    return Clock::time_point::max();
  }
  if (leaving()) return end_at_;
  if (now < leave_at_) return leave_at_;
  if (end_at_ == Clock::time_point::max()) {
    nghttp2_submit_shutdown_notice(session_);
    FlushSoon();
    end_at_ = now + kNotice + options_.grace;
    leave_at_ = now + kNotice;
    return leave_at_;
  }
  Leave();
  return end_at_;
}

}  // namespace crm::rpc::wire
