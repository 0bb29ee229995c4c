#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/identity/handlers/change_team.h"
#include "services/identity/service.h"

namespace crm::identity {

// Restores a deleted team.
Async<v1::Team> TeamService::UndeleteTeam(Call& call, const v1::UndeleteTeamRequest& request) {
  CRM_CO_TRY(auto change,
             co_await pg::Undeleting(identity_.db, call, identity_.tables.teams, request.id(), request.etag()));
  co_return co_await StoreTeam(identity_, call, std::move(change.before), std::move(change.after));
}

}  // namespace crm::identity
