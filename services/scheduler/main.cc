#include "common/app/app.h"
#include "services/scheduler/service.h"

int main(int argc, char** argv) {
  return crm::app::Main(argc, argv, "scheduler", [](crm::app::Runtime& runtime) {
    static const crm::scheduler::Tables tables;
    runtime.Own(tables.tasks);
    runtime.Serve(std::make_unique<crm::scheduler::TaskService>(runtime.db(), tables));
  });
}
