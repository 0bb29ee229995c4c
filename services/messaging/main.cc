#include "common/app/app.h"
#include "services/messaging/service.h"

int main(int argc, char** argv) {
  return crm::app::Main(argc, argv, "messaging", [](crm::app::Runtime& runtime) {
    static const crm::messaging::Tables tables;
    runtime.Own(tables.templates);
    runtime.Serve(std::make_unique<crm::messaging::TemplateService>(runtime.db(), tables));
  });
}
