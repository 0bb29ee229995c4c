#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "common/base/sanitized.h"
#include "services/messaging/mime.h"

extern char** environ;

namespace crm::messaging {
namespace child_internal {

using Steady = std::chrono::steady_clock;

// What a child may answer: the letter's own limit and what decoding adds.
constexpr size_t kAnswerBytesMax = size_t{128} << 20;
constexpr size_t kLetterBytesMax = size_t{64} << 20;

struct Pipe {
  int read = -1, write = -1;
  bool Open() { return pipe2(reinterpret_cast<int*>(this), O_CLOEXEC) == 0; }
  void CloseRead() { Close(read); }
  void CloseWrite() { Close(write); }
  ~Pipe() {
    CloseRead();
    CloseWrite();
  }

 private:
  static void Close(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
};
static_assert(sizeof(Pipe) == 2 * sizeof(int));

// Writes the letter and reads the answer at once, so that neither side waits for the other. False when time is up.
bool Talk(Pipe& in, Pipe& out, absl::string_view raw, Steady::time_point deadline, std::string& answer) {
  fcntl(in.write, F_SETFL, O_NONBLOCK);
  char buffer[65536];
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Steady::now()).count();
    if (left <= 0) return false;
    if (raw.empty()) in.CloseWrite();
    pollfd waits[2] = {{out.read, POLLIN, 0}, {in.write, POLLOUT, 0}};
    const int ready = poll(waits, in.write >= 0 ? 2 : 1, static_cast<int>(left));
    if (ready < 0 && errno != EINTR) return false;
    if (ready <= 0) continue;
    if (in.write >= 0 && waits[1].revents != 0) {
      const ssize_t written = write(in.write, raw.data(), raw.size());
      if (written > 0) raw.remove_prefix(static_cast<size_t>(written));
      if (written < 0 && errno != EAGAIN && errno != EINTR) raw = {};  // it has read enough, or died
    }
    if (waits[0].revents != 0) {
      const ssize_t got = read(out.read, buffer, sizeof buffer);
      if (got == 0) return true;
      if (got > 0) answer.append(buffer, static_cast<size_t>(got));
      if (answer.size() > kAnswerBytesMax) return false;
    }
  }
}

}  // namespace child_internal

absl::StatusOr<v1::ParsedLetter> ParseInChild(const std::string& program, absl::string_view raw, ChildLimits limits) {
  namespace ci = child_internal;
  // Writing to a child that has died must be an error, not the end of this process.
  static const bool ignored = signal(SIGPIPE, SIG_IGN) != SIG_ERR;
  (void)ignored;
  ci::Pipe in, out;
  if (!in.Open() || !out.Open())
    return absl::UnavailableError("no pipe could be made for the child that reads letters");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.write, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // The loops block signals for their thread that waits for them; a child must not inherit that.
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const std::string memory = absl::StrCat(limits.memory_bytes);
  const std::string seconds = absl::StrCat(1 + limits.time.count() / 1000);
  const char* arguments[] = {program.c_str(), "parse-mail", memory.c_str(), seconds.c_str(), nullptr};
  const char* environment[] = {"LC_ALL=C.UTF-8", nullptr};  // nothing of ours is its business
  pid_t child = 0;
  const int failed = posix_spawn(&child, program.c_str(), &actions, &attributes, const_cast<char**>(arguments),
                                 const_cast<char**>(environment));
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0)
    return absl::UnavailableError(absl::StrCat("the child that reads letters cannot be started: ", strerror(failed)));
  in.CloseRead();
  out.CloseWrite();
  std::string answer;
  const bool ended = ci::Talk(in, out, raw, ci::Steady::now() + limits.time, answer);
  if (!ended) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  v1::ParsedLetter letter;
  if (!ended) return absl::DataLossError("the letter took too long to read");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !letter.ParseFromString(answer))
    return absl::DataLossError("the letter cannot be read");
  return letter;
}

int ParseMailMain(int argc, char** argv) {
  // Its own limits first: what it reads may be made to eat them up. (Sanitizers reserve terabytes of addresses.)
  if (rlim_t bytes = 0; !kSanitized && argc > 2 && absl::SimpleAtoi(argv[2], &bytes)) {
    const rlimit limit{bytes, bytes};
    setrlimit(RLIMIT_AS, &limit);
  }
  if (rlim_t seconds = 0; argc > 3 && absl::SimpleAtoi(argv[3], &seconds)) {
    const rlimit limit{seconds, seconds};
    setrlimit(RLIMIT_CPU, &limit);
  }
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  setrlimit(RLIMIT_NPROC, &none);
  std::string raw;
  char buffer[65536];
  for (;;) {
    const ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    raw.append(buffer, static_cast<size_t>(got));
    if (raw.size() > child_internal::kLetterBytesMax) return 1;
  }
  const std::string answer = ParseLetter(raw).SerializeAsString();
  size_t written = 0;
  while (written < answer.size()) {
    const ssize_t n = write(STDOUT_FILENO, answer.data() + written, answer.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return 1;
    written += static_cast<size_t>(n);
  }
  return 0;
}

}  // namespace crm::messaging
