#include "common/app/app.h"
#include "services/contact/service.h"

int main(int argc, char** argv) {
  return crm::app::Main(argc, argv, "contact", [](crm::app::Runtime& runtime) {
    static const crm::contact::Tables tables;
    runtime.Own(tables.contacts);
    runtime.Own(tables.companies);
    runtime.Serve(std::make_unique<crm::contact::ContactService>(runtime.db(), tables));
    runtime.Serve(std::make_unique<crm::contact::CompanyService>(runtime.db(), tables));
  });
}
