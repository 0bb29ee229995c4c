#include "common/rpc/channel.h"

#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <cstring>
#include <random>

#include "common/base/text.h"

namespace crm::rpc::wire {

// How long one connection may take to be made.
constexpr auto kDialMax = std::chrono::seconds(5);
// After a failure no connection is tried for this long, twice as long after each further one, with jitter. Calls meanwhile
// fail at once. A restarted neighbour is found again soon.
constexpr auto kBackoffMin = std::chrono::milliseconds(100);
constexpr auto kBackoffMax = std::chrono::milliseconds(1000);
// How often a name is looked up again while its connections hold: replicas come and go. One that went may be back sooner.
constexpr auto kLookUpEvery = std::chrono::seconds(30);
constexpr auto kLostAgain = std::chrono::seconds(1);
constexpr size_t kLinksMax = 16;  // replicas that calls are spread over; twice that while they change

namespace {

// gRPC's codes that the transport itself gives.
constexpr int kCancelled = 1, kUnknown = 2, kDeadline = 4, kExhausted = 8, kInternal = 13, kUnavailable = 14;

nghttp2_nv Field(absl::string_view name, absl::string_view value, uint8_t flags) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(), flags};
}

// What differs from call to call would only push what repeats out of HPACK's table.
bool Repeats(absl::string_view name) {
  return name != kRequestIdMetadata && name != kTraceparentMetadata && name != kIdempotencyKeyMetadata;
}

// "doc/http-grpc-status-mapping.md"
int CodeOfHttp(int status) {
  switch (status) {
    case 400:
      return kInternal;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return kUnavailable;
    default:
      return kUnknown;
  }
}

int CodeOfReset(uint32_t error) {
  switch (error) {
    case NGHTTP2_REFUSED_STREAM:
      return kUnavailable;
    case NGHTTP2_CANCEL:
      return kCancelled;
    case NGHTTP2_ENHANCE_YOUR_CALM:
      return kExhausted;
    default:
      return kInternal;
  }
}

// "dns:///contact:7000", "127.0.0.1:7102", "[::1]:7102"
Target TargetOf(absl::string_view address) {
  for (const absl::string_view scheme : {"dns:///", "dns:", "ipv4:", "ipv6:"}) {
    if (absl::StartsWith(address, scheme)) {
      address.remove_prefix(scheme.size());
      break;
    }
  }
  const size_t colon = address.rfind(':');
  absl::string_view name = address.substr(0, colon);
  if (name.size() > 2 && name.front() == '[' && name.back() == ']') name = name.substr(1, name.size() - 2);
  return {std::string(name),
          colon == absl::string_view::npos ? std::string("443") : std::string(address.substr(colon + 1))};
}

}  // namespace

std::vector<Target> TargetsOf(absl::string_view addresses) {
  std::vector<Target> targets;
  for (const absl::string_view one : absl::StrSplit(addresses, ',', absl::SkipWhitespace())) {
    targets.push_back(TargetOf(absl::StripAsciiWhitespace(one)));
  }
  return targets;
}

// One connection.
class ClientLink final : public Link {
 public:
  ClientLink(tcp::socket socket, std::shared_ptr<SSL_CTX> context, std::weak_ptr<Channel> channel, tcp::endpoint e,
             std::string peer)
      : Link(std::move(socket), std::move(context), /*server=*/false, std::chrono::seconds(10)),
        endpoint(e),
        channel_(std::move(channel)),
        peer_(std::move(peer)) {}

  const tcp::endpoint endpoint;
  // The service has said what it takes; with TLS 1.3 only then it is known that it takes us.
  bool ready = false;
  bool dialled = false;  // told to the channel, one way or the other
  bool usable() const { return ready && open() && !leaving() && !told_to_leave_; }

  void Send(const std::shared_ptr<OutCall>& call);
  void Reset(OutCall& call, uint32_t error) {
    if (ended() || call.stream_ == 0) return;
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, call.stream_, error);
    FlushSoon();
  }
  // Gives a stream's window back for what has been read of it.
  void GiveBack(OutCall& call) {
    if (ended() || call.stream_ == 0 || call.unread_ == 0) return;
    nghttp2_session_consume_stream(session_, call.stream_, call.unread_);
    call.unread_ = 0;
    FlushSoon();
  }

 protected:
  bool Opened() override;
  void AfterRead() override;
  void Ended(const std::string& why) override;

 private:
  struct Callbacks;
  void Finish(OutCall& call);
  static ssize_t Pull(nghttp2_session*, int32_t, uint8_t* into, size_t size, uint32_t* flags,
                      nghttp2_data_source* source, void*);
  void Progress(OutCall& call) {
    if (call.told_) return;
    call.told_ = true;
    progress_.push_back(call.shared_from_this());
  }

  std::weak_ptr<Channel> channel_;
  const std::string peer_;
  bool told_to_leave_ = false;
  std::vector<OutCall*> calls_;
  std::vector<std::shared_ptr<OutCall>> progress_;  // to be told after reading
};

ssize_t ClientLink::Pull(nghttp2_session*, int32_t, uint8_t* into, size_t size, uint32_t* flags,
                         nghttp2_data_source* source, void*) {
  auto* call = static_cast<OutCall*>(source->ptr);
  const size_t taken = std::min(size, call->request.size() - call->sent_);
  std::memcpy(into, call->request.data() + call->sent_, taken);
  call->sent_ += taken;
  if (call->sent_ == call->request.size()) *flags = NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(taken);
}

struct ClientLink::Callbacks {
  static ClientLink& Self(void* link) { return *static_cast<ClientLink*>(link); }
  static OutCall* Of(nghttp2_session* session, int32_t stream) {
    return static_cast<OutCall*>(nghttp2_session_get_stream_user_data(session, stream));
  }

  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                      const uint8_t* value, size_t value_size, uint8_t, void*) {
    OutCall* call = Of(session, frame->hd.stream_id);
    if (call == nullptr || call->ended) return 0;
    const absl::string_view n(reinterpret_cast<const char*>(name), name_size);
    const absl::string_view v(reinterpret_cast<const char*>(value), value_size);
    if (n == ":status") {
      if (!absl::SimpleAtoi(v, &call->http_status_)) call->http_status_ = 0;
    } else if (n == "grpc-status") {
      call->grpc_status_seen_ = true;
      if (!absl::SimpleAtoi(v, &call->status.code)) call->status.code = kUnknown;
    } else if (n == "grpc-message") {
      call->status.text = WellFormed(PercentDecoded(v.substr(0, kMetadataBytesMax)));
    } else if (n == "grpc-status-details-bin") {
      if (!absl::Base64Unescape(v, &call->status.details)) call->status.details.clear();
    }
    return 0;
  }

  static int OnFrame(nghttp2_session* session, const nghttp2_frame* frame, void* link) {
    ClientLink& self = Self(link);
    switch (frame->hd.type) {
      case NGHTTP2_SETTINGS:
        self.ready = true;  // told to the channel after reading
        return 0;
      case NGHTTP2_GOAWAY:
        self.told_to_leave_ = true;
        // It may only have grown old: then it takes a new connection at once.
        if (auto channel = self.channel_.lock()) channel->LookAgain(Clock::now());
        return 0;
      case NGHTTP2_HEADERS:
      case NGHTTP2_DATA: {
        OutCall* call = Of(session, frame->hd.stream_id);
        if (call == nullptr || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
        self.Finish(*call);
        // Answered before all was said: the rest is of no use.
        if (call->sent_ < call->request.size()) {
          nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_CANCEL);
        }
        return 0;
      }
      default:
        return 0;
    }
  }

  static int OnData(nghttp2_session* session, uint8_t, int32_t stream, const uint8_t* bytes, size_t size, void* link) {
    OutCall* call = Of(session, stream);
    // The connection's window serves all of its calls, whoever is slow.
    nghttp2_session_consume_connection(session, size);
    // What comes with another status is a proxy's page.
    if (call == nullptr || call->ended || call->http_status_ != 200) {
      nghttp2_session_consume_stream(session, stream, size);
      return 0;
    }
    call->unread_ += size;
    call->incoming_.append(reinterpret_cast<const char*>(bytes), size);
    std::string& in = call->incoming_;
    while (in.size() >= kPrefixBytes) {
      const size_t length = LengthOf(in.data());
      if (length > call->reply_bytes_max || in[0] != 0) {
        call->EndWith(in[0] != 0 ? kInternal : kExhausted,
                      in[0] != 0 ? "the answer is compressed" : "the answer is too large", false);
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
        Self(link).Progress(*call);
        return 0;
      }
      if (in.size() < kPrefixBytes + length) {
        // Half of a message cannot be taken: without its window the rest would never come. A reader that is behind has
        // whole ones to take first.
        in.reserve(kPrefixBytes + std::min<size_t>(length, 1 << 20));
        if (!call->messages_.empty()) break;
        nghttp2_session_consume_stream(session, stream, call->unread_);
        call->unread_ = 0;
        break;
      }
      if (in.size() == kPrefixBytes + length) {
        in.erase(0, kPrefixBytes);
        call->messages_.push_back(std::move(in));
        in.clear();
      } else {
        call->messages_.emplace_back(in, kPrefixBytes, length);
        in.erase(0, kPrefixBytes + length);
      }
      Self(link).Progress(*call);
    }
    return 0;
  }

  static int OnClose(nghttp2_session* session, int32_t stream, uint32_t error, void* link) {
    OutCall* call = Of(session, stream);
    if (call == nullptr) return 0;
    ClientLink& self = Self(link);
    auto& calls = self.calls_;
    if (auto it = std::find(calls.begin(), calls.end(), call); it != calls.end()) {
      *it = calls.back();
      calls.pop_back();
    }
    if (!call->ended) {
      // nghttp2 closes what a GOAWAY leaves out as REFUSED_STREAM: it has not been begun.
      const bool unbegun = error == NGHTTP2_REFUSED_STREAM || call->unsent_;
      call->EndWith(unbegun ? kUnavailable : CodeOfReset(error), "the service broke the call off", unbegun);
      self.Progress(*call);
    }
    call->stream_ = 0;
    call->link_.reset();
    call->self_.reset();
    return 0;
  }

  static int OnNotSent(nghttp2_session* session, const nghttp2_frame* frame, int, void*) {
    OutCall* call = Of(session, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_HEADERS && call != nullptr) call->unsent_ = true;
    return 0;
  }

  static const nghttp2_session_callbacks* All() {
    static const nghttp2_session_callbacks* all = [] {
      nghttp2_session_callbacks* made = nullptr;
      nghttp2_session_callbacks_new(&made);
      nghttp2_session_callbacks_set_on_header_callback(made, OnHeader);
      nghttp2_session_callbacks_set_on_frame_recv_callback(made, OnFrame);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, OnData);
      nghttp2_session_callbacks_set_on_stream_close_callback(made, OnClose);
      nghttp2_session_callbacks_set_on_frame_not_send_callback(made, OnNotSent);
      return made;
    }();
    return all;
  }
};

// What the trailers say.
void ClientLink::Finish(OutCall& call) {
  if (call.ended) return;
  // What says OK under another status than 200 had no messages that were read.
  if (!call.grpc_status_seen_ || (call.status.code == 0 && call.http_status_ != 200)) {
    const bool grpc = call.http_status_ == 200;
    call.status.code = grpc ? kInternal : CodeOfHttp(call.http_status_);
    call.status.text = grpc ? "the answer has no status" : absl::StrCat("the answer is HTTP ", call.http_status_);
  } else if (call.status.code == 0 && !call.incoming_.empty()) {
    call.status = {kInternal, "the answer ends within a message", ""};
  }
  WireStatus status = std::move(call.status);
  call.EndWith(status.code, std::move(status.text), false);
  call.status.details = std::move(status.details);
  Progress(call);
}

bool ClientLink::Opened() {
  if (tls_ && !IsPeer(tls_->ssl(), peer_)) {
    End("the certificate is not that of " + peer_);
    return false;
  }
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_session_client_new2(&session_, Callbacks::All(), this, option);
  nghttp2_option_del(option);
  const std::array<nghttp2_settings_entry, 3> settings = {{{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                                           {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
                                                           {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kMetadataBytesMax}}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kLinkWindow);
  return true;
}

void ClientLink::Send(const std::shared_ptr<OutCall>& call) {
  static constexpr uint8_t kStatic = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
  static constexpr uint8_t kOnce = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_INDEX;
  thread_local std::vector<nghttp2_nv> fields;
  fields.clear();
  fields.push_back(Field(":method", "POST", kStatic));
  fields.push_back(Field(":scheme", tls() ? "https" : "http", kStatic));
  fields.push_back(Field(":path", call->path, NGHTTP2_NV_FLAG_NO_COPY_NAME));
  fields.push_back(Field(":authority", peer_, NGHTTP2_NV_FLAG_NO_COPY_NAME));
  fields.push_back(Field("te", "trailers", kStatic));
  fields.push_back(Field("content-type", "application/grpc", kStatic));
  fields.push_back(Field("user-agent", "crm", kStatic));
  std::string timeout;
  if (call->deadline != Clock::time_point::max()) {
    timeout = TimeoutText(call->deadline - Clock::now());
    fields.push_back(Field("grpc-timeout", timeout, kOnce));
  }
  for (const auto& [name, value] : *call->metadata) {
    fields.push_back(Field(name, value, Repeats(name) ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX));
  }
  nghttp2_data_provider provider;
  provider.source.ptr = call.get();
  provider.read_callback = Pull;
  const int32_t stream = nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(), &provider, call.get());
  if (stream < 0) {
    // Its numbers are used up after a thousand million calls.
    told_to_leave_ = true;
    call->EndWith(kUnavailable, nghttp2_strerror(stream), true);
    call->self_.reset();
    if (auto channel = channel_.lock()) channel->TellSoon(call);
    return;
  }
  call->stream_ = stream;
  call->link_ = std::static_pointer_cast<ClientLink>(shared_from_this());
  calls_.push_back(call.get());
  FlushSoon();
}

void ClientLink::AfterRead() {
  if (ready && !dialled) {
    dialled = true;
    if (auto channel = channel_.lock()) channel->LinkReady(this);
  }
  while (!progress_.empty()) {
    std::vector<std::shared_ptr<OutCall>> calls;
    calls.swap(progress_);
    for (const auto& call : calls) {
      call->told_ = false;
      call->OnProgress();
    }
  }
}

void ClientLink::Ended(const std::string& why) {
  auto channel = channel_.lock();
  std::vector<OutCall*> calls;
  calls.swap(calls_);
  for (OutCall* one : calls) {
    auto call = std::move(one->self_);
    one->stream_ = 0;
    one->link_.reset();
    if (one->ended) continue;
    one->EndWith(kUnavailable, "the connection was lost: " + why, false);
    if (channel) channel->TellSoon(std::move(call));
  }
  for (auto& call : progress_) {
    call->told_ = false;
    if (channel) channel->TellSoon(std::move(call));
  }
  progress_.clear();
  if (channel) channel->LinkEnded(this, why);
}

// ---- calls ----

std::string OutCall::TakeMessage() {
  std::string message = std::move(messages_.front());
  messages_.pop_front();
  if (messages_.empty()) {
    if (auto link = link_.lock()) link->GiveBack(*this);
  }
  return message;
}

void OutCall::EndWith(int code, std::string text, bool not_begun) {
  if (ended) return;
  ended = true;
  status = {code, std::move(text), ""};
  unbegun = not_begun;
  if (channel_ != nullptr) channel_->Left(*this);
}

void OutCall::Cancel(int code, std::string text) {
  if (ended) return;
  auto self = shared_from_this();
  Channel* channel = channel_;
  EndWith(code, std::move(text), false);
  if (auto link = link_.lock()) {
    link->Reset(*this, NGHTTP2_CANCEL);
  } else {
    self_.reset();
  }
  if (channel != nullptr) channel->TellSoon(std::move(self));
}

// ---- the channel ----

Channel::Channel(asio::any_io_executor executor, ChannelOptions options, std::shared_ptr<TlsFiles> files)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      targets_(TargetsOf(options_.address)),
      files_(std::move(files)),
      resolver_(executor_),
      timer_(executor_) {}

void Channel::Start(const std::shared_ptr<OutCall>& call) {
  call->self_ = call;
  Enter(call);
  if (closed_) {
    call->EndWith(kUnavailable, "the client is closed", false);
  } else if (ClientLink* link = Choose()) {
    return link->Send(call);
  } else if (attempts_ == 0 && Clock::now() < again_at_) {
    call->EndWith(kUnavailable, why_, true);
    call->unsent = true;
  } else {
    waiting_.push_back(call);
    return Connect();
  }
  call->self_.reset();
  TellSoon(call);
}

ClientLink* Channel::Choose() {
  for (size_t i = 0; i < links_.size(); ++i) {
    ClientLink* link = links_[next_++ % links_.size()].get();
    if (!link->usable()) continue;
    if (attempts_ == 0 && Clock::now() >= look_at_) Connect();
    return link;
  }
  return nullptr;
}

void Channel::Connect() {
  if (attempts_ > 0 || closed_) return;
  if (targets_.empty()) return AttemptFailed("it has no address");
  look_at_ = Clock::now() + kLookUpEvery;
  // All are counted before the first can fail.
  attempts_ += static_cast<int>(targets_.size());
  for (const Target& target : targets_) {
    boost::system::error_code is_name;
    const auto literal = asio::ip::make_address(target.host, is_name);
    int number = 0;
    if (!is_name && absl::SimpleAtoi(target.port, &number) && number > 0 && number <= 65535) {
      Open(tcp::endpoint(literal, static_cast<uint16_t>(number)), target.host);
      --attempts_;
      continue;
    }
    resolver_.async_resolve(
        target.host, target.port,
        [self = shared_from_this(), host = target.host](boost::system::error_code error, auto found) {
          --self->attempts_;
          if (self->closed_) return;
          if (error || found.empty()) return self->AttemptFailed("its name is not known: " + error.message());
          ++self->attempts_;
          for (const auto& entry : found) self->Open(entry.endpoint(), host);
          --self->attempts_;
        });
  }
}

void Channel::Open(const tcp::endpoint& endpoint, const std::string& host) {
  const bool have = std::any_of(links_.begin(), links_.end(), [&](const auto& link) {
    return link->endpoint == endpoint && (link->usable() || !link->dialled);
  });
  if (!have && links_.size() + static_cast<size_t>(attempts_) < 2 * kLinksMax) Dial(endpoint, host);
}

void Channel::Dial(tcp::endpoint endpoint, const std::string& host) {
  struct Dialling {
    explicit Dialling(const asio::any_io_executor& executor) : socket(executor), timer(executor, kDialMax) {}
    tcp::socket socket;
    asio::steady_timer timer;
  };
  ++attempts_;
  auto dialling = std::make_shared<Dialling>(executor_);
  dialling->timer.async_wait([weak = std::weak_ptr(dialling)](boost::system::error_code error) {
    boost::system::error_code ignored;
    auto alive = weak.lock();
    if (!error && alive) alive->socket.close(ignored);
  });
  dialling->socket.async_connect(
      endpoint, [self = shared_from_this(), dialling, endpoint, host](boost::system::error_code error) {
        boost::system::error_code ignored;
        dialling->timer.cancel(ignored);
        --self->attempts_;
        if (self->closed_) return;
        if (error)
          return self->AttemptFailed(error == asio::error::operation_aborted ? "it takes too long" : error.message());
        auto context = self->files_->Context();
        if (context == nullptr) return self->AttemptFailed("the TLS files cannot be read");
        self->Adopt(std::move(dialling->socket), std::move(context), endpoint, host);
      });
}

void Channel::Adopt(tcp::socket socket, std::shared_ptr<SSL_CTX> context, tcp::endpoint endpoint,
                    const std::string& host) {
  ++attempts_;  // until the service has answered
  links_.push_back(std::make_shared<ClientLink>(std::move(socket), std::move(context), weak_from_this(), endpoint,
                                                options_.peer.empty() ? host : options_.peer));
  auto link = links_.back();
  link->Begin();
}

void Channel::LinkReady(ClientLink*) {
  --attempts_;
  failures_ = 0;
  again_at_ = Clock::time_point::min();
  std::list<std::shared_ptr<OutCall>> waiting;
  waiting.swap(waiting_);
  for (const auto& call : waiting) {
    if (call->ended) continue;
    if (ClientLink* link = Choose()) {
      link->Send(call);
    } else {
      waiting_.push_back(call);
    }
  }
  if (!waiting_.empty()) Connect();
}

void Channel::LinkEnded(ClientLink* link, const std::string& why) {
  auto it = std::find_if(links_.begin(), links_.end(), [&](const auto& one) { return one.get() == link; });
  std::shared_ptr<ClientLink> held;
  if (it != links_.end()) {
    held = std::move(*it);
    links_.erase(it);
  }
  LookAgain(Clock::now());
  if (link->dialled) return;  // the next call looks for another
  link->dialled = true;
  --attempts_;
  AttemptFailed(why);
}

void Channel::AttemptFailed(const std::string& why) {
  if (closed_) return;
  why_ = why;
  look_at_ = Clock::now() + kLostAgain;
  const bool others =
      attempts_ > 0 || std::any_of(links_.begin(), links_.end(), [](const auto& l) { return l->usable(); });
  if (others) return;
  auto backoff = std::min<Clock::duration>(kBackoffMin * (1 << std::min(failures_++, 6)), kBackoffMax);
  thread_local std::minstd_rand random{std::random_device{}()};
  again_at_ = Clock::now() + backoff * std::uniform_int_distribution<int>(75, 125)(random) / 100;
  std::list<std::shared_ptr<OutCall>> waiting;
  waiting.swap(waiting_);
  for (auto& call : waiting) {
    if (call->ended) continue;
    call->EndWith(kUnavailable, why, true);
    call->unsent = true;
    call->self_.reset();
    TellSoon(std::move(call));
  }
}

void Channel::Enter(const std::shared_ptr<OutCall>& call) {
  call->channel_ = this;
  call->place_ = pending_.size();
  pending_.push_back(call.get());
  if (call->deadline != Clock::time_point::max()) Arm(call->deadline);
}

void Channel::Left(OutCall& call) {
  OutCall* last = pending_.back();
  pending_[call.place_] = last;
  last->place_ = call.place_;
  pending_.pop_back();
  call.channel_ = nullptr;
}

// One timer for all calls, set to the earliest deadline.
void Channel::Arm(Clock::time_point when) {
  if (when >= armed_) return;
  armed_ = when;
  timer_.expires_at(when);
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    auto self = weak.lock();
    if (!error && self) self->OnTimer();
  });
}

void Channel::OnTimer() {
  armed_ = Clock::time_point::max();
  const auto now = Clock::now();
  auto next = Clock::time_point::max();
  std::vector<std::shared_ptr<OutCall>> late;
  for (OutCall* call : pending_) {
    if (call->deadline <= now) {
      late.push_back(call->shared_from_this());
    } else {
      next = std::min(next, call->deadline);
    }
  }
  for (const auto& call : late) call->Cancel(kDeadline, "the deadline has passed");
  if (next != Clock::time_point::max()) Arm(next);
}

void Channel::TellSoon(std::shared_ptr<OutCall> call) {
  to_tell_.push_back(std::move(call));
  if (telling_) return;
  telling_ = true;
  asio::post(executor_, [self = shared_from_this()] {
    self->telling_ = false;
    std::vector<std::shared_ptr<OutCall>> calls;
    calls.swap(self->to_tell_);
    for (const auto& one : calls) one->OnProgress();
  });
}

void Channel::Close() {
  if (closed_) return;
  auto self = shared_from_this();
  closed_ = true;
  boost::system::error_code ignored;
  timer_.cancel(ignored);
  resolver_.cancel();
  auto links = std::move(links_);
  links_.clear();
  for (const auto& link : links) link->End("the client is closed");
  auto pending = pending_;
  for (OutCall* call : pending) call->Cancel(kUnavailable, "the client is closed");
  waiting_.clear();
}

}  // namespace crm::rpc::wire
