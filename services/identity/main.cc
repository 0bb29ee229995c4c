#include <cstdio>

#include "common/app/app.h"
#include "services/identity/jobs/jobs.h"
#include "services/identity/service.h"
#include "services/identity/store.h"

int main(int argc, char** argv) {
  return crm::app::Main(argc, argv, "identity", [](crm::app::Runtime& runtime) {
    namespace id = crm::identity;
    const auto& tokens = runtime.config().tokens();
    static auto signer = crm::rpc::TokenSigner::Make(tokens.signing_key_file(), tokens.jwks_file());
    if (!signer.ok()) {
      std::fprintf(stderr, "identity: %s\n", signer.status().ToString().c_str());
      std::exit(1);
    }
    static id::Identity identity{runtime, runtime.db(), {}, **signer};
    runtime.Own(identity.tables.tenants);
    runtime.Own(identity.tables.users);
    runtime.Own(identity.tables.teams);
    runtime.Own(identity.tables.roles);
    runtime.Own(identity.tables.api_keys);
    runtime.Serve(std::make_unique<id::TenantService>(identity));
    runtime.Serve(std::make_unique<id::UserService>(identity));
    runtime.Serve(std::make_unique<id::TeamService>(identity));
    runtime.Serve(std::make_unique<id::RoleService>(identity));
    runtime.Serve(std::make_unique<id::SessionService>(identity));
    runtime.Serve(std::make_unique<id::ApiKeyService>(identity));
    runtime.Serve(std::make_unique<id::AccessService>(identity));
    runtime.Serve(std::make_unique<id::TimeService>());
    runtime.SupplyGrants(id::LocalGrantSource(identity));
    runtime.Job("prune_access_changes",
                [](crm::Call call) { return id::PruneAccessChanges(identity, std::move(call)); });
  });
}
