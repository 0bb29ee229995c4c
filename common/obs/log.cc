#include "common/obs/log.h"

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/sink.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <thread>

#include "common/base/text.h"
#include "common/obs/trace.h"

namespace crm::obs {
namespace log_internal {

constexpr size_t kBufferBytesMax = 1 << 20;  // about 3,000 lines: half a second of a busy service
constexpr size_t kMessageBytesMax = 4096;    // one line stays one write
constexpr auto kGather = std::chrono::milliseconds(20);

void WriteAll(int fd, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return;  // nobody reads any more: nothing that a log could do about it
    }
    text.remove_prefix(static_cast<size_t>(n));
  }
}

// spdlog's own asynchronous logger wakes its thread and writes once per line, which costs a request several
// microseconds; this sink gathers lines for kGather and writes them together.
class GatheringSink final : public spdlog::sinks::sink {
 public:
  GatheringSink() : writer_([this] { Run(); }) {}

  // Writes out what is there and ends the thread; later lines are written at once.
  void Stop() {
    {
      std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wake_.notify_one();
    if (writer_.joinable()) writer_.join();
  }

  void log(const spdlog::details::log_msg& message) override {
    bool first = false;
    {
      std::lock_guard lock(mutex_);
      if (buffer_.size() + message.payload.size() + 1 > kBufferBytesMax) {
        ++dropped_;
        return;
      }
      first = buffer_.empty();
      buffer_.append(message.payload.data(), message.payload.size());
      buffer_ += '\n';
      if (ended_) {
        WriteAll(STDOUT_FILENO, buffer_);
        buffer_.clear();
        return;
      }
    }
    if (first) wake_.notify_one();
  }
  void flush() override {}
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

  uint64_t dropped() {
    std::lock_guard lock(mutex_);
    return dropped_;
  }

 private:
  void Run() {
    std::string out;
    uint64_t reported = 0;
    for (bool last = false; !last;) {
      uint64_t dropped = 0;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return ending_ || !buffer_.empty(); });
        if (!ending_) {
          lock.unlock();
          std::this_thread::sleep_for(kGather);
          lock.lock();
        }
        last = ending_;
        out.swap(buffer_);
        dropped = dropped_;
      }
      WriteAll(STDOUT_FILENO, out);
      out.clear();
      if (dropped != reported) {
        Log(Level::kWarning, "log lines were dropped because the buffer was full", {{"dropped", dropped - reported}});
        reported = dropped;
      }
    }
    std::lock_guard lock(mutex_);
    WriteAll(STDOUT_FILENO, buffer_);
    buffer_.clear();
    ended_ = true;
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::string buffer_;
  uint64_t dropped_ = 0;
  bool ending_ = false;
  bool ended_ = false;
  std::thread writer_;
};

struct State {
  std::mutex mutex;                     // guards what follows, except the atomics
  std::shared_ptr<GatheringSink> sink;  // once made, it and the logger live until the process ends
  std::function<void(absl::string_view)> capture;
  std::atomic<int> level{static_cast<int>(Level::kWarning)};
  std::atomic<spdlog::logger*> running{nullptr};
};

State& TheState() {
  static State* state = new State;  // never destroyed: threads may log until the very end
  return *state;
}

constexpr absl::string_view kLevelNames[] = {"debug", "info", "warning", "error"};

void AppendTime(std::string& out) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  // The calendar part changes once a second; formatting it costs more than the rest of the line.
  thread_local time_t cached_second = -1;
  thread_local char cached[24];
  if (now.tv_sec != cached_second) {
    tm parts;
    gmtime_r(&now.tv_sec, &parts);
    strftime(cached, sizeof cached, "%Y-%m-%dT%H:%M:%S", &parts);
    cached_second = now.tv_sec;
  }
  out += cached;
  fmt::format_to(std::back_inserter(out), ".{:06d}Z", now.tv_nsec / 1000);
}

void Write(Level level, const Call* call, absl::string_view message, std::initializer_list<Field> fields) {
  State& state = TheState();
  thread_local std::string line;
  line.clear();
  line += "{\"ts\":\"";
  AppendTime(line);
  line += "\",\"level\":\"";
  line.append(kLevelNames[static_cast<int>(level)].data(), kLevelNames[static_cast<int>(level)].size());
  line += '"';
  spdlog::logger* logger = state.running.load(std::memory_order_acquire);
  if (logger != nullptr) {
    line += ",\"svc\":\"";
    line += logger->name();
    line += '"';
  }
  if (call != nullptr) {
    if (const auto id = TraceIdOf(call->traceparent); !id.empty()) {
      line += ",\"trace_id\":";
      AppendJsonString(line, id);
      line += ",\"span_id\":";
      AppendJsonString(line, SpanIdOf(call->traceparent));
    }
    if (!call->tenant().IsNil()) {
      line += ",\"tenant\":";
      AppendJsonString(line, call->principal.tenant_id());
    }
    if (!call->method.empty()) {
      line += ",\"rpc\":";
      AppendJsonString(line, call->method);
    }
    if (!call->request_id.empty()) {
      line += ",\"request_id\":";
      AppendJsonString(line, call->request_id);
    }
  }
  for (const Field& field : fields) {
    line += ',';
    AppendJsonString(line, field.name);
    line += ':';
    if (const auto* text = std::get_if<absl::string_view>(&field.value)) {
      AppendJsonString(line, text->substr(0, kMessageBytesMax));
    } else if (const auto* number = std::get_if<int64_t>(&field.value)) {
      fmt::format_to(std::back_inserter(line), "{}", *number);
    } else if (const auto* real = std::get_if<double>(&field.value)) {
      fmt::format_to(std::back_inserter(line), "{:.3f}", *real);
    } else {
      line += std::get<bool>(field.value) ? "true" : "false";
    }
  }
  line += ",\"msg\":";
  AppendJsonString(line, message.substr(0, kMessageBytesMax));
  line += '}';

  if (logger != nullptr) {
    logger->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
    return;
  }
  std::lock_guard lock(state.mutex);
  if (state.capture) {
    state.capture(line);
  } else {
    line += '\n';
    WriteAll(STDERR_FILENO, line);
  }
}

}  // namespace log_internal

using log_internal::TheState;

bool Enabled(Level level) { return static_cast<int>(level) >= TheState().level.load(std::memory_order_relaxed); }

void Log(Level level, absl::string_view message, std::initializer_list<Field> fields) {
  if (Enabled(level)) log_internal::Write(level, nullptr, message, fields);
}

void Log(Level level, const Call& call, absl::string_view message, std::initializer_list<Field> fields) {
  if (Enabled(level)) log_internal::Write(level, &call, message, fields);
}

void StartLog(std::string service, Level level) {
  auto& state = TheState();
  std::lock_guard lock(state.mutex);
  state.level = static_cast<int>(level);
  if (state.sink) return;
  state.sink = std::make_shared<log_internal::GatheringSink>();
  state.running = new spdlog::logger(std::move(service), state.sink);
  static const bool registered = std::atexit(StopLog) == 0;
  (void)registered;
}

void StopLog() {
  auto& state = TheState();
  std::lock_guard lock(state.mutex);
  if (state.sink) state.sink->Stop();
}

uint64_t DroppedLines() {
  auto& state = TheState();
  std::lock_guard lock(state.mutex);
  return state.sink ? state.sink->dropped() : 0;
}

bool ParseLevel(absl::string_view text, Level* level) {
  if (text.empty()) {
    *level = Level::kInfo;
    return true;
  }
  for (int i = 0; i < 4; ++i) {
    if (text == log_internal::kLevelNames[i]) {
      *level = static_cast<Level>(i);
      return true;
    }
  }
  return false;
}

void CaptureLog(std::function<void(absl::string_view)> sink, Level level) {
  auto& state = TheState();
  std::lock_guard lock(state.mutex);
  state.level = static_cast<int>(sink ? level : Level::kWarning);
  state.capture = std::move(sink);
}

void AppendJsonString(std::string& out, absl::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  if (!IsUtf8(text)) return AppendJsonString(out, WellFormed(text));
  out += '"';
  for (const char symbol : text) {
    const auto c = static_cast<unsigned char>(symbol);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (c >= 0x20 && c != 0x7f) {
          out += symbol;
        } else {
          out += "\\u00";
          out += kDigits[c >> 4];
          out += kDigits[c & 15];
        }
    }
  }
  out += '"';
}

}  // namespace crm::obs
