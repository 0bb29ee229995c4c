// Whether a sanitizer watches this build (CONTRIBUTING.md): it is several times as slow, reserves terabytes of addresses, and
// reports crashes itself.
#pragma once

namespace crm {

// g++ says __SANITIZE_ADDRESS__; what it says of threads is taken back by cmake/Toolchain.cmake, which tells the standard
// library instead. clang has features.
#if defined(__SANITIZE_ADDRESS__) || defined(_GLIBCXX_TSAN)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
inline constexpr bool kSanitized = __has_feature(address_sanitizer);
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace crm
