#include <cstdlib>

#include "common/app/app.h"
#include "common/obs/log.h"
#include "services/gateway/edge.h"

int main(int argc, char** argv) {
  return crm::app::Main(argc, argv, "gateway", [](crm::app::Runtime& runtime) {
    absl::Status started = crm::gateway::Start(runtime);
    if (started.ok()) return;
    crm::obs::Log(crm::obs::Level::kError, "the gateway cannot start", {{"why", started.message()}});
    crm::obs::StopLog();
    std::_Exit(1);
  });
}
