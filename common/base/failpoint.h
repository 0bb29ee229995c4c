// Named places where a test can break the process. Compiled in where CRM_FAILPOINTS is defined; nothing otherwise.
//
//   CRM_FAILPOINT("pg.before_commit");                     may kill the process or wait
//   CRM_FAILPOINT_OF("pg.before_commit", call.method);     ... also for only some of what passes here
//   CRM_FAILPOINT_RETURN("relay.publish");                 may also return UNAVAILABLE from a function
//   CRM_FAILPOINT_CO_RETURN("pg.before_commit");           ... from a coroutine
//
// The environment's CRM_FAILPOINT_FILE names a file of lines `name=action`; `#` starts a comment:
//
//   pg.before_commit=kill          SIGKILL to itself
//   timers.before_effect=stop      SIGSTOP to itself: the whole process stands still until somebody sends SIGCONT
//   relay.publish=error            the RETURN forms return UNAVAILABLE; the plain form ignores it
//   pg.before_commit=delay:250     waits 250 ms (blocks the thread: that is the fault)
//   pg.before_commit=kill*3        only the third hit in this process since the line was read
//   pg.before_commit=kill*3@crm.contact.v1.ContactService.CreateContact     ... of those on behalf of this rpc
//
// Write it aside and rename it, so that nobody reads half of it. It is looked at again at most every 50 ms and read
// when it has changed; hits are counted anew then. A process that is started again reads it again: take a kill out
// before. While no file is named, a failpoint costs one relaxed atomic load. A name must be a literal: it is registered
// at its first hit.
#pragma once

#include <absl/status/status.h>
#include <absl/strings/string_view.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace crm::failpoint {

// Names a file, or none (""): for tests inside a process; otherwise the environment does. Read at once.
// INVALID_ARGUMENT, with the line's number, for a line that is not understood; nothing is armed then.
absl::Status UseFile(const std::string& path);

// Every name that was reached so far, with its number of hits while a file was named.
std::map<std::string, int64_t> Hits();

namespace internal {
extern std::atomic<bool> watched;  // a file is named
absl::Status Hit(const char* name, absl::string_view of);
struct Registration {
  explicit Registration(const char* name);
};
}  // namespace internal

}  // namespace crm::failpoint

#ifdef CRM_FAILPOINTS
#define CRM_FAILPOINT_STATUS_(name, of)                                                  \
  ([&]() -> ::absl::Status {                                                             \
    static const ::crm::failpoint::internal::Registration registration(name);            \
    if (!::crm::failpoint::internal::watched.load(std::memory_order_relaxed)) return {}; \
    return ::crm::failpoint::internal::Hit(name, of);                                    \
  }())
#define CRM_FAILPOINT_OF(name, of) CRM_FAILPOINT_STATUS_(name, of).IgnoreError()
#define CRM_FAILPOINT_RETURN_(ret, name, of)                     \
  do {                                                           \
    auto crm_failpoint_status = CRM_FAILPOINT_STATUS_(name, of); \
    if (!crm_failpoint_status.ok()) ret crm_failpoint_status;    \
  } while (false)
#else
#define CRM_FAILPOINT_OF(name, of) static_cast<void>(0)
#define CRM_FAILPOINT_RETURN_(ret, name, of) static_cast<void>(0)
#endif
#define CRM_FAILPOINT(name) CRM_FAILPOINT_OF(name, "")
#define CRM_FAILPOINT_RETURN(name) CRM_FAILPOINT_RETURN_(return, name, "")
#define CRM_FAILPOINT_CO_RETURN(name) CRM_FAILPOINT_RETURN_(co_return, name, "")
#define CRM_FAILPOINT_CO_RETURN_OF(name, of) CRM_FAILPOINT_RETURN_(co_return, name, of)
