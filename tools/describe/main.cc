// crm-describe DESCRIPTORS             prints every rpc with its routes, rights, fields and rules as JSON
// crm-describe call DESCRIPTORS TLS    calls rpcs, one JSON line each (describe.h); TLS is a folder with certificates
#include <iostream>

#include "tools/describe/describe.h"

int main(int count, char** arguments) {
  const std::vector<std::string> args(arguments + 1, arguments + count);
  const bool call = args.size() == 3 && args[0] == "call";
  if (!call && args.size() != 1) {
    std::cerr << "usage: crm-describe DESCRIPTORS\n       crm-describe call DESCRIPTORS TLS_FOLDER\n";
    return 2;
  }
  const auto descriptors = crm::describe::Descriptors::Load(call ? args[1] : args[0]);
  if (!descriptors.ok()) {
    std::cerr << descriptors.status().message() << "\n";
    return 1;
  }
  if (call) return crm::describe::Serve(**descriptors, args[2]);
  std::cout << (*descriptors)->Json().dump(1) << std::endl;
  return 0;
}
