#include "common/base/failpoint.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <optional>
#include <sstream>
#include <thread>
#include <tuple>

#include "common/base/error.h"
#include "common/base/status.h"

namespace crm::failpoint {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::chrono::milliseconds kLookAgain(
    50);  // a test waits so long at most; a busy process stats 20 times a second
constexpr int kDelayMaxMs = 10 * 60 * 1000;

struct Action {
  enum class Kind { kKill, kStop, kError, kDelay };
  Kind kind = Kind::kKill;
  std::chrono::milliseconds delay{0};
  int64_t only_hit = 0;  // 0: each
  int64_t hits = 0;
  std::string only_of;  // empty: whatever it is for
};

absl::StatusOr<Action> ParseAction(absl::string_view text) {
  Action action;
  const size_t at = text.find('@');
  if (at != absl::string_view::npos) {
    action.only_of = std::string(text.substr(at + 1));
    if (action.only_of.empty()) return absl::InvalidArgumentError("after @ must follow whom it is for");
    text = text.substr(0, at);
  }
  const size_t star = text.find('*');
  if (star != absl::string_view::npos) {
    if (!absl::SimpleAtoi(text.substr(star + 1), &action.only_hit) || action.only_hit < 1) {
      return absl::InvalidArgumentError("after * the number of the hit must follow, 1 or more");
    }
    text = text.substr(0, star);
  }
  int delay_ms = 0;
  if (text == "kill") {
    action.kind = Action::Kind::kKill;
  } else if (text == "stop") {
    action.kind = Action::Kind::kStop;
  } else if (text == "error") {
    action.kind = Action::Kind::kError;
  } else if (absl::ConsumePrefix(&text, "delay:") && absl::SimpleAtoi(text, &delay_ms) && delay_ms >= 0 &&
             delay_ms <= kDelayMaxMs) {
    action.kind = Action::Kind::kDelay;
    action.delay = std::chrono::milliseconds(delay_ms);
  } else {
    return absl::InvalidArgumentError("the action must be kill, stop, error or delay:MILLISECONDS");
  }
  return action;
}

absl::StatusOr<std::map<std::string, Action>> ParseFile(const std::string& path) {
  std::map<std::string, Action> actions;
  std::ifstream in(path);  // without the file nothing is armed
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    absl::string_view text = line;
    text = absl::StripAsciiWhitespace(text.substr(0, text.find('#')));
    if (text.empty()) continue;
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits('=', 1));
    const absl::string_view name = absl::StripAsciiWhitespace(parts.first);
    auto action = ParseAction(absl::StripAsciiWhitespace(parts.second));
    if (name.empty() || !action.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(path, ", line ", number, ": ",
                                                     name.empty() ? "the name is missing" : action.status().message()));
    }
    actions[std::string(name)] = *action;
  }
  return actions;
}

// Which version of the file is meant; changes when it is written or replaced.
using Stamp = std::tuple<ino_t, off_t, time_t, long>;
Stamp StampOf(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return {};
  return {info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

struct State {
  std::mutex mutex;
  std::string path;
  Stamp stamp;
  SteadyTime looked;
  std::map<std::string, Action> actions;
  std::map<std::string, int64_t> hits;
};
State& TheState() {
  static State* const state = new State();
  return *state;
}

// The fault itself; the lock is not held.
absl::Status Act(const char* name, const Action& action) {
  switch (action.kind) {
    case Action::Kind::kKill:
      kill(getpid(), SIGKILL);
      while (true) pause();
    case Action::Kind::kStop:
      raise(SIGSTOP);  // to this thread, which so goes no further; the others stop with it
      return absl::OkStatus();
    case Action::Kind::kError:
      return Error(absl::StatusCode::kUnavailable, type::v1::ERROR_REASON_UNAVAILABLE,
                   absl::StrCat("The failpoint ", name, " says no. Try again."), {{"failpoint", name}});
    case Action::Kind::kDelay:
      std::this_thread::sleep_for(action.delay);
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

[[maybe_unused]] const bool from_environment = [] {
  if (const char* path = std::getenv("CRM_FAILPOINT_FILE")) {
    auto status = UseFile(path);
    if (!status.ok()) {
      std::fprintf(stderr, "CRM_FAILPOINT_FILE: %s\n", std::string(status.message()).c_str());
      std::abort();
    }
  }
  return true;
}();

}  // namespace

namespace internal {

std::atomic<bool> watched = false;

Registration::Registration(const char* name) {
  auto& state = TheState();
  std::lock_guard lock(state.mutex);
  state.hits.emplace(name, 0);
}

absl::Status Hit(const char* name, absl::string_view of) {
  auto& state = TheState();
  std::optional<Action> action;
  {
    std::lock_guard lock(state.mutex);
    if (state.path.empty()) return absl::OkStatus();
    ++state.hits[name];
    const auto now = std::chrono::steady_clock::now();
    if (now - state.looked >= kLookAgain) {
      state.looked = now;
      const Stamp stamp = StampOf(state.path);
      if (stamp != state.stamp) {
        auto actions = ParseFile(state.path);
        if (actions.ok()) {
          state.actions = *std::move(actions);
          state.stamp = stamp;
        } else {  // perhaps half written: looked at again soon
          std::fprintf(stderr, "%s\n", std::string(actions.status().message()).c_str());
        }
      }
    }
    auto it = state.actions.find(name);
    if (it == state.actions.end()) return absl::OkStatus();
    if (!it->second.only_of.empty() && it->second.only_of != of) return absl::OkStatus();
    ++it->second.hits;
    if (it->second.only_hit == 0 || it->second.only_hit == it->second.hits) action = it->second;
  }
  return action ? Act(name, *action) : absl::OkStatus();
}

}  // namespace internal

absl::Status UseFile(const std::string& path) {
  auto& state = TheState();
  std::lock_guard lock(state.mutex);
  state.path = path;
  state.actions.clear();
  state.stamp = {};
  state.looked = std::chrono::steady_clock::now();
  internal::watched = !path.empty();
  if (path.empty()) return absl::OkStatus();
  state.stamp = StampOf(path);
  CRM_TRY(state.actions, ParseFile(path));
  return absl::OkStatus();
}

std::map<std::string, int64_t> Hits() {
  auto& state = TheState();
  std::lock_guard lock(state.mutex);
  return state.hits;
}

}  // namespace crm::failpoint
