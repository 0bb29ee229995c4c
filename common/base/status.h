// Early returns for absl::Status and absl::StatusOr, in functions (CRM_TRY) and coroutines (CRM_CO_TRY).
//   CRM_TRY(auto deal, Parse(text));            assigns the value, or returns the status
//   CRM_TRY(Check(deal));                       without a value
//   CRM_CO_TRY(auto deal, co_await db.Get(...)) the same inside a coroutine
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <utility>

namespace crm::internal {
inline absl::Status StatusOf(const absl::Status& status) { return status; }
template <typename T>
absl::Status StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}
}  // namespace crm::internal

#define CRM_CONCAT_(a, b) a##b
#define CRM_CONCAT(a, b) CRM_CONCAT_(a, b)
#define CRM_TRY_VALUE_(ret, tmp, lhs, ...)           \
  auto tmp = (__VA_ARGS__);                          \
  if (!tmp.ok()) ret ::crm::internal::StatusOf(tmp); \
  lhs = *std::move(tmp)
#define CRM_TRY_ONLY_(ret, ...)                                              \
  do {                                                                       \
    auto crm_try_status = (__VA_ARGS__);                                     \
    if (!crm_try_status.ok()) ret ::crm::internal::StatusOf(crm_try_status); \
  } while (false)
#define CRM_TRY_1_(ret, a) CRM_TRY_ONLY_(ret, a)
#define CRM_TRY_N_(ret, a, ...) CRM_TRY_VALUE_(ret, CRM_CONCAT(crm_try_, __COUNTER__), a, __VA_ARGS__)
// With one argument there is no value to assign. An expression with commas needs a left side or parentheses.
#define CRM_TRY_PICK_(_1, _2, _3, _4, _5, _6, _7, _8, NAME, ...) NAME
#define CRM_TRY_DISPATCH_(ret, ...)                                                                              \
  CRM_TRY_PICK_(__VA_ARGS__, CRM_TRY_N_, CRM_TRY_N_, CRM_TRY_N_, CRM_TRY_N_, CRM_TRY_N_, CRM_TRY_N_, CRM_TRY_N_, \
                CRM_TRY_1_, )                                                                                    \
  (ret, __VA_ARGS__)
#define CRM_TRY(...) CRM_TRY_DISPATCH_(return, __VA_ARGS__)
#define CRM_CO_TRY(...) CRM_TRY_DISPATCH_(co_return, __VA_ARGS__)
