// A random generator whose seed is printed, and can be given again: CRM_SEED=42 build/dev/bin/unit_common_base
#pragma once

#include <cstdlib>
#include <iostream>
#include <random>

namespace crm {

inline std::mt19937_64 SeededRandom() {
  const char* given = std::getenv("CRM_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  std::cout << "CRM_SEED=" << seed << std::endl;
  return std::mt19937_64(seed);
}

}  // namespace crm
