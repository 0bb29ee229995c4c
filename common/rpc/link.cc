#include "common/rpc/link.h"

#include <openssl/err.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "common/rpc/wire.h"

namespace crm::rpc::wire {

// A peer that does not finish its handshake by then is none of ours.
constexpr auto kHandshakeMax = std::chrono::seconds(5);
// Both sides ask an idle peer whether it is still there.
constexpr auto kPingAfter = std::chrono::seconds(60);
// Between two gulps: far less than anything waits while there are too many, and enough for some dozens.
constexpr auto kGulpEvery = std::chrono::milliseconds(5);
// How long the peer may take to close its side.
constexpr auto kCloseMax = std::chrono::milliseconds(300);
// What is gathered before it is sent; a few records of TLS.
constexpr size_t kGatherBytes = 64 << 10;

bool Headers::Add(absl::string_view name, absl::string_view value) {
  if (text_.size() + name.size() + value.size() > static_cast<size_t>(kMetadataBytesMax)) return false;
  if (text_.empty()) text_.reserve(1536);
  const auto at = static_cast<uint32_t>(text_.size());
  const auto name_size = static_cast<uint32_t>(name.size());
  text_.append(name.data(), name.size());
  text_.append(value.data(), value.size());
  places_.push_back({at, name_size, at + name_size, static_cast<uint32_t>(value.size())});
  return true;
}

absl::string_view Headers::Find(absl::string_view name) const {
  const absl::string_view text(text_);
  for (const Place& place : places_) {
    if (place.name_size == name.size() && text.substr(place.name, place.name_size) == name) {
      return text.substr(place.value, place.value_size);
    }
  }
  return absl::string_view();
}

bool Headers::Repeats(absl::string_view name) const {
  const absl::string_view text(text_);
  return std::count_if(places_.begin(), places_.end(),
                       [&](const Place& place) { return text.substr(place.name, place.name_size) == name; }) > 1;
}

Link::Link(tcp::socket socket, std::shared_ptr<SSL_CTX> context, bool server, std::chrono::milliseconds ping_patience)
    : executor_(socket.get_executor()),
      socket_(std::move(socket)),
      timer_(executor_),
      gulp_timer_(executor_),
      context_(std::move(context)),
      ping_patience_(ping_patience) {
  if (context_ != nullptr) tls_.emplace(context_.get(), server);
}

Link::~Link() { nghttp2_session_del(session_); }

void Link::Begin() {
  boost::system::error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
  Arm(begun_ + kHandshakeMax);
  if (!Handshake()) return;
  Read();
}

// False if that was the end.
bool Link::Handshake() {
  if (tls_) {
    ERR_clear_error();
    const int done = SSL_do_handshake(tls_->ssl());
    const int error = done == 1 ? SSL_ERROR_NONE : SSL_get_error(tls_->ssl(), done);
    std::string why = error == SSL_ERROR_NONE || error == SSL_ERROR_WANT_READ ? "" : TlsError();
    out_.append(tls_->out);
    tls_->out.clear();
    if (!SendOut()) return false;
    if (!why.empty()) {
      End("TLS: " + why);
      return false;
    }
    if (done != 1) return true;
    const unsigned char* protocol = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(tls_->ssl(), &protocol, &size);
    if (size != 2) {
      End("TLS: the peer does not speak HTTP/2");
      return false;
    }
  }
  if (!Opened()) return false;
  open_ = true;
  last_read_ = Clock::now();
  Arm(last_read_ + kPingAfter);
  Arm(Tick(last_read_));
  FlushSoon();
  return true;
}

void Link::Read() {
  socket_.async_read_some(asio::buffer(in_), [self = shared_from_this()](boost::system::error_code error, size_t size) {
    self->OnRead(error, size);
  });
}

void Link::OnRead(const boost::system::error_code& error, size_t size) {
  if (ended_) return;
  if (error) return End(error == asio::error::eof ? "the peer has closed it" : error.message());
  if (closing_) return Read();
  last_read_ = Clock::now();
  pinged_ = Clock::time_point::max();
  if (!tls_) {
    if (!Feed(in_.data(), size)) return;
  } else {
    tls_->Put(in_.data(), size);
    if (!open_ && !Handshake()) return;
    char plain[16 << 10];
    while (open_) {
      ERR_clear_error();
      const int got = SSL_read(tls_->ssl(), plain, sizeof plain);
      if (got > 0) {
        if (!Feed(plain, static_cast<size_t>(got))) return;
        continue;
      }
      const int why = SSL_get_error(tls_->ssl(), got);
      if (why == SSL_ERROR_WANT_READ) break;
      return End(why == SSL_ERROR_ZERO_RETURN ? "the peer has closed it" : "TLS: " + TlsError());
    }
  }
  if (open_) AfterRead();
  if (ended_) return;
  if (open_) {
    if (nghttp2_session_want_write(session_) != 0) {
      FlushSoon();
    } else if (nghttp2_session_want_read(session_) == 0) {
      Close();
    }
  }
  ReadOn(size < in_.size());
}

void Link::ReadOn(bool all) {
  if (!all || !open_ || !Crowded()) return Read();
  gulp_timer_.expires_after(kGulpEvery);
  gulp_timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
    if (!error && !self->ended_) self->Read();
  });
}

// All is said. The peer may still be saying something; closing on what has not been read would reset the connection and
// with it what the peer has not read yet.
void Link::Close() {
  if (closing_) return;
  closing_ = true;
  boost::system::error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  Arm(Clock::now() + kCloseMax);
}

// False if that was the end.
bool Link::Feed(const char* bytes, size_t size) {
  const ssize_t taken = nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes), size);
  if (taken >= 0) return true;
  // Calls that ended before the mistake have their answers.
  AfterRead();
  End(nghttp2_strerror(static_cast<int>(taken)));
  return false;
}

void Link::FlushSoon() {
  if (flush_posted_ || ended_) return;
  flush_posted_ = true;
  asio::post(executor_, [self = shared_from_this()] {
    self->flush_posted_ = false;
    self->Flush();
  });
}

void Link::Flush() {
  while (!ended_ && open_ && !sending_ && !closing_) {
    plain_.clear();
    while (plain_.size() < kGatherBytes) {
      const uint8_t* bytes = nullptr;
      const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
      if (size < 0) return End(nghttp2_strerror(static_cast<int>(size)));
      if (size == 0) break;
      plain_.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
    }
    if (plain_.empty()) {
      if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) Close();
      return;
    }
    if (!tls_) {
      out_.swap(plain_);
    } else {
      ERR_clear_error();
      if (SSL_write(tls_->ssl(), plain_.data(), static_cast<int>(plain_.size())) <= 0) return End("TLS: " + TlsError());
      out_.swap(tls_->out);
    }
    if (!SendOut()) return;
  }
}

// Sends out_, at once as far as the socket takes it. False if that was the end.
bool Link::SendOut() {
  if (out_.empty()) return true;
  boost::system::error_code error;
  const size_t sent = socket_.write_some(asio::buffer(out_), error);
  if (error && error != asio::error::would_block && error != asio::error::try_again) {
    End(error.message());
    return false;
  }
  if (sent == out_.size()) {
    out_.clear();
    return true;
  }
  sending_ = true;
  asio::async_write(socket_, asio::buffer(out_.data() + sent, out_.size() - sent),
                    [self = shared_from_this()](boost::system::error_code error, size_t) {
                      if (self->ended_) return;
                      if (error) return self->End(error.message());
                      self->sending_ = false;
                      self->out_.clear();
                      self->Flush();
                    });
  return true;
}

void Link::Leave() {
  if (ended_ || leaving_) return;
  leaving_ = true;
  if (!open_) return End("left before it was open");
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_NO_ERROR, nullptr, 0);
  FlushSoon();
}

void Link::End(std::string why) {
  if (ended_) return;
  ended_ = true;
  auto self = shared_from_this();
  boost::system::error_code ignored;
  timer_.cancel(ignored);
  gulp_timer_.cancel(ignored);
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  socket_.close(ignored);
  Ended(why);
}

void Link::Arm(Clock::time_point when) {
  if (when >= armed_ || ended_) return;
  armed_ = when;
  timer_.expires_at(when);
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    auto self = weak.lock();
    if (!error && self) self->OnTimer();
  });
}

void Link::OnTimer() {
  if (ended_) return;
  armed_ = Clock::time_point::max();
  const auto now = Clock::now();
  if (closing_) return End("all is said");
  if (!open_) {
    if (now >= begun_ + kHandshakeMax) return End("the handshake took too long");
    return Arm(begun_ + kHandshakeMax);
  }
  if (pinged_ != Clock::time_point::max() && now >= pinged_ + ping_patience_) return End("the peer does not answer");
  if (pinged_ == Clock::time_point::max() && now >= last_read_ + kPingAfter) {
    pinged_ = now;
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
    FlushSoon();
  }
  Arm(pinged_ == Clock::time_point::max() ? last_read_ + kPingAfter : pinged_ + ping_patience_);
  Arm(Tick(now));
}

}  // namespace crm::rpc::wire
