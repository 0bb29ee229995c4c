// The last words of a process that crashes: one JSON line on stdout with signal and addresses, then the default action
// (a core, if cores are on).
#pragma once

#include <string>

namespace crm::app {

void InstallCrashHandler(const std::string& service);

}  // namespace crm::app
