#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/identity/handlers/change_team.h"
#include "services/identity/service.h"

namespace crm::identity {

// Deletes a team; its users keep their own records and lose the team's.
Async<v1::Team> TeamService::DeleteTeam(Call& call, const v1::DeleteTeamRequest& request) {
  CRM_CO_TRY(auto change,
             co_await pg::Deleting(identity_.db, call, identity_.tables.teams, request.id(), request.etag()));
  co_return co_await StoreTeam(identity_, call, std::move(change.before), std::move(change.after));
}

}  // namespace crm::identity
