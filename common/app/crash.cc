#include "common/app/crash.h"

#include <execinfo.h>
#include <link.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "common/base/sanitized.h"
#include "common/obs/log.h"

namespace crm::app {
namespace crash_internal {

constexpr int kFrames = 48;
constexpr size_t kStackBytes = 64 << 10;

char service[64];
uintptr_t base = 0;  // where the executable was loaded: addr2line wants addresses relative to it

// Builds a line without allocating.
struct Line {
  char text[4096];
  size_t size = 0;
  void Add(const char* s) {
    while (*s != 0 && size < sizeof text - 1) text[size++] = *s++;
  }
  void AddHex(uintptr_t value) {
    char digits[18] = "0x";
    int n = 2;
    for (int shift = 60; shift >= 0; shift -= 4) digits[n++] = "0123456789abcdef"[(value >> shift) & 15];
    for (int i = 0; i < n && size < sizeof text - 1; ++i) text[size++] = digits[i];
  }
};

void OnSignal(int number) {
  Line line;
  line.Add("{\"level\":\"error\",\"svc\":\"");
  line.Add(service);
  line.Add("\",\"signal\":\"");
  line.Add(sigabbrev_np(number) != nullptr ? sigabbrev_np(number) : "?");
  line.Add("\",\"frames\":[");
  void* frames[kFrames];
  const int count = backtrace(frames, kFrames);
  for (int i = 0; i < count; ++i) {
    line.Add(i == 0 ? "\"" : ",\"");
    const auto address = reinterpret_cast<uintptr_t>(frames[i]);
    line.AddHex(address >= base ? address - base : address);
    line.Add("\"");
  }
  line.Add("],\"msg\":\"crashed; addr2line -e <binary> -fC <frames> names the places\"}\n");
  ssize_t ignored = write(STDOUT_FILENO, line.text, line.size);
  (void)ignored;
  // SA_RESETHAND has restored the default action.
  raise(number);
}

[[noreturn]] void OnTerminate() {
  const char* what = "no exception";
  std::string text;
  if (auto current = std::current_exception()) {
    try {
      std::rethrow_exception(current);
    } catch (const std::exception& e) {
      text = e.what();
      what = text.c_str();
    } catch (...) {
      what = "an exception of an unknown type";
    }
  }
  obs::Log(obs::Level::kError, "std::terminate was called", {{"error", what}});
  obs::StopLog();
  std::abort();
}

}  // namespace crash_internal

void InstallCrashHandler(const std::string& service) {
  namespace cr = crash_internal;
  strncpy(cr::service, service.c_str(), sizeof cr::service - 1);
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void*) {
        cr::base = info->dlpi_addr;
        return 1;  // the first is the executable
      },
      nullptr);
  void* warm[1];
  backtrace(warm, 1);  // loads what it needs now: a crash must not allocate
  static char stack[cr::kStackBytes];
  stack_t alternate{};
  alternate.ss_sp = stack;
  alternate.ss_size = sizeof stack;
  sigaltstack(&alternate, nullptr);
  struct sigaction action {};
  action.sa_handler = cr::OnSignal;
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  if (!kSanitized) {  // sanitizers report crashes better
    for (int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) sigaction(number, &action, nullptr);
  }
  std::set_terminate(cr::OnTerminate);
}

}  // namespace crm::app
