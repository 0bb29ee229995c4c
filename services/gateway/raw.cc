#include "services/gateway/raw.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <google/protobuf/dynamic_message.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <utility>

#include "common/base/status.h"
#include "common/events/loop.h"
#include "crm/type/v1/content.pb.h"

namespace crm::gateway {
namespace raw {

// Messages that wait to be written: few, because each may be a megabyte.
constexpr size_t kWaitingMax = 4;
constexpr std::chrono::hours kForever{1};

// What comes from the service and goes to the client.
struct Pipe {
  explicit Pipe(const asio::any_io_executor& loop) : filled(loop), emptied(loop) {}
  events::Bell filled, emptied;
  std::deque<std::string> messages;
  bool closed = false;  // nobody reads any more
  bool done = false;    // nothing comes any more
  absl::Status status;
  asio::cancellation_signal cancel;

  static Async<> Push(std::shared_ptr<Pipe> pipe, std::string message) {
    while (pipe->messages.size() >= kWaitingMax && !pipe->closed) co_await pipe->emptied.Wait(kForever);
    if (pipe->closed) co_return absl::CancelledError("the client has gone");
    pipe->messages.push_back(std::move(message));
    pipe->filled.Ring();
    co_return absl::OkStatus();
  }
};
using PipePtr = std::shared_ptr<Pipe>;

// Ends the call when the answer is not wanted any more, sent or not.
struct Reader {
  explicit Reader(PipePtr p) : pipe(std::move(p)) {}
  ~Reader() {
    pipe->closed = true;
    pipe->emptied.Ring();
    if (!pipe->done) pipe->cancel.emit(asio::cancellation_type::terminal);
  }
  PipePtr pipe;
};

PipePtr Start(const asio::any_io_executor& executor, rpc::Client& peer, rpc::RawCall call) {
  auto pipe = std::make_shared<Pipe>(executor);
  auto on_message = [pipe](std::string message) { return Pipe::Push(pipe, std::move(message)); };
  asio::co_spawn(
      executor, peer.StreamRaw(std::move(call), on_message),
      asio::bind_cancellation_slot(pipe->cancel.slot(), [pipe](std::exception_ptr error, absl::Status status) {
        pipe->done = true;
        pipe->status = error ? absl::InternalError("the stream broke") : std::move(status);
        pipe->filled.Ring();
      }));
  return pipe;
}

// The next message; nullopt at the end.
Async<std::optional<std::string>> Next(PipePtr pipe) {
  while (pipe->messages.empty() && !pipe->done && !pipe->closed) co_await pipe->filled.Wait(kForever);
  if (!pipe->messages.empty()) {
    std::string message = std::move(pipe->messages.front());
    pipe->messages.pop_front();
    pipe->emptied.Ring();
    co_return message;
  }
  CRM_CO_TRY(pipe->status);
  co_return std::nullopt;
}

asio::awaitable<void> Write(std::shared_ptr<Reader> reader, std::string first, StreamSink& sink) {
  PipePtr pipe = reader->pipe;
  sink.OnClose([weak = std::weak_ptr(pipe)] {
    if (auto alive = weak.lock()) {
      alive->closed = true;
      alive->filled.Ring();
      alive->emptied.Ring();
    }
  });
  absl::Status written;
  if (!first.empty()) written = co_await sink.Write(std::move(first));
  while (written.ok()) {
    auto message = co_await Next(pipe);
    // An error now cannot be told: the length that was promised is not reached, and the client sees that.
    if (!message.ok() || !*message) co_return;
    type::v1::Content content;
    if (!content.ParseFromString(**message)) co_return;
    if (!content.data().empty()) written = co_await sink.Write(std::move(*content.mutable_data()));
  }
}

// Appends a text field to a message on the wire.
void AppendText(int number, std::string_view text, std::string& bytes) {
  const auto varint = [&](uint64_t value) {
    for (; value >= 128; value >>= 7) bytes.push_back(static_cast<char>(value | 128));
    bytes.push_back(static_cast<char>(value));
  };
  varint(static_cast<uint64_t>(number) << 3 | 2);
  varint(text.size());
  bytes.append(text);
}

HttpResponse Answer(const type::v1::Content& content) {
  HttpResponse response;
  response.status = content.content_range().empty() ? 200 : 206;
  response.content_type = content.content_type().empty() ? "application/octet-stream" : content.content_type();
  if (!content.content_range().empty()) response.Set("Content-Range", content.content_range());
  response.Set("Accept-Ranges", "bytes");
  response.Set("Content-Disposition", ContentDisposition(content.inline_(), content.file_name()));
  // Whatever it holds, it is nobody's page.
  response.Set("Content-Security-Policy", "sandbox; default-src 'none'");
  response.Set("Cache-Control", "private, no-cache");
  if (!content.etag().empty()) response.Set("ETag", absl::StrCat("\"", content.etag(), "\""));
  response.content_length = content.size_bytes();
  return response;
}

}  // namespace raw

bool IsRaw(const google::protobuf::Descriptor* type) {
  return type->full_name() == type::v1::Content::descriptor()->full_name();
}

bool AnswersRaw(const RpcRoute& route) { return IsRaw(route.method->output_type()); }

std::string ContentDisposition(bool inline_, std::string_view file_name) {
  std::string header = inline_ ? "inline" : "attachment";
  if (file_name.empty()) return header;
  std::string plain, coded;
  for (const char c : file_name) {
    const auto byte = static_cast<unsigned char>(c);
    plain += byte < 0x20 || byte > 0x7e || c == '"' || c == '\\' || c == '%' ? '_' : c;
    if (absl::ascii_isalnum(byte) || c == '.' || c == '-' || c == '_') {
      coded += c;
    } else {
      absl::StrAppend(&coded, "%", absl::Hex(byte, absl::kZeroPad2));
    }
  }
  absl::StrAppend(&header, "; filename=\"", plain, "\"");
  if (plain != file_name) absl::StrAppend(&header, "; filename*=UTF-8''", coded);
  return header;
}

Async<HttpResponse> ServeRaw(const RpcRoute& route, const HttpRequest& request, rpc::Client& peer, rpc::RawCall call) {
  const auto executor = co_await asio::this_coro::executor;
  const std::string plain = call.request;
  const auto* range = route.method->input_type()->FindFieldByName("range");
  const std::string_view wanted = request.Header("Range");
  const bool ranged = range != nullptr && !wanted.empty();
  if (ranged) raw::AppendText(range->number(), wanted, call.request);
  call.deadline = std::chrono::steady_clock::time_point::max();
  std::shared_ptr<raw::Reader> reader;
  type::v1::Content first;
  for (const bool whole : {false, true}) {
    if (whole) call.request = plain;
    reader = std::make_shared<raw::Reader>(raw::Start(executor, peer, call));
    CRM_CO_TRY(auto message, co_await raw::Next(reader->pipe));
    first.Clear();
    if (!message || !first.ParseFromString(*message)) co_return absl::InternalError("the content cannot be read");
    // If-Range: the rest is wanted only of the content that the client has the beginning of; otherwise all of it.
    const std::string_view unless = request.Header("If-Range");
    if (!ranged || unless.empty() || unless == absl::StrCat("\"", first.etag(), "\"")) break;
  }
  HttpResponse response = raw::Answer(first);
  const std::string_view known = request.Header("If-None-Match");
  if (!first.etag().empty() && known == absl::StrCat("\"", first.etag(), "\"")) {
    response.status = 304;
    response.content_length.reset();
    co_return response;
  }
  response.stream = [reader = std::move(reader), data = std::move(*first.mutable_data())](StreamSink& sink) mutable {
    return raw::Write(reader, std::move(data), sink);
  };
  co_return response;
}

}  // namespace crm::gateway
