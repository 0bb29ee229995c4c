#include "common/app/app.h"
#include "common/app/members.h"
#include "services/contact/service.h"

int main(int argc, char** argv) {
  return crm::app::Main(argc, argv, "contact", [](crm::app::Runtime& runtime) {
    static const crm::contact::Tables tables;
    runtime.Own(tables.contacts);
    runtime.Own(tables.companies);
    runtime.Serve(std::make_unique<crm::contact::ContactService>(runtime.db(), tables));
    runtime.Serve(std::make_unique<crm::contact::CompanyService>(runtime.db(), tables));
    runtime.Hear("identity", [](crm::events::Consumer& consumer) { crm::app::HearMembers(consumer); });
  });
}
