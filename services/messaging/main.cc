#include "common/app/app.h"
#include "services/messaging/service.h"

int main(int argc, char** argv) {
  return crm::app::Main(argc, argv, "messaging", [](crm::app::Runtime&) {});
}
