#include "common/pg/records.h"
#include "services/identity/service.h"

namespace crm::identity {

// Answers one team.
Async<v1::Team> TeamService::GetTeam(Call& call, const v1::GetTeamRequest& request) {
  co_return co_await pg::GetShown(identity_.db, call, identity_.tables.teams, request.id());
}

}  // namespace crm::identity
