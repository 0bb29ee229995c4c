#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/identity/service.h"
#include "services/identity/store.h"

namespace crm::identity {

// Makes a team. Its head sees its records from now on: their tokens issued so far end.
Async<v1::Team> TeamService::CreateTeam(Call& call, const v1::CreateTeamRequest& request) {
  v1::Team team = request.team();
  CRM_CO_TRY(co_await CheckTeam(identity_, call, team.parent_id(), "team.parent_id"));
  CRM_CO_TRY(co_await CheckUser(identity_, call, team.head_id(), "team.head_id"));
  pg::StampNew(call, identity_.tables.teams, team);
  CRM_CO_TRY(auto made, co_await identity_.db.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Team> {
    batch.Insert(identity_.tables.teams, team);
    if (!team.head_id().empty()) Revoke(batch, team.head_id());
    v1::TeamCreated event;
    *event.mutable_team() = team;
    batch.Emit(pg::EventOf(identity_.tables.teams, "created", team), event);
    return team;
  }));
  co_return pg::Shown(call, identity_.tables.teams, std::move(made));
}

}  // namespace crm::identity
