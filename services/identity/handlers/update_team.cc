#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/identity/handlers/change_team.h"
#include "services/identity/service.h"
#include "services/identity/sql.h"
#include "services/identity/store.h"

namespace crm::identity {

// Changes a team; a team cannot stand below itself.
Async<v1::Team> TeamService::UpdateTeam(Call& call, const v1::UpdateTeamRequest& request) {
  CRM_CO_TRY(v1::Team before, co_await identity_.db.Get(call, identity_.tables.teams, request.team().id()));
  CRM_CO_TRY(v1::Team after, pg::Patched(call, before, request.team(), request.update_mask(), request.etag()));
  CRM_CO_TRY(co_await CheckTeam(identity_, call, after.parent_id(), "team.parent_id"));
  if (after.head_id() != before.head_id()) {
    CRM_CO_TRY(co_await CheckUser(identity_, call, after.head_id(), "team.head_id"));
  }
  if (!after.parent_id().empty()) {
    CRM_CO_TRY(pg::Rows above,
               co_await identity_.db.Read(call, sql::kTeamAncestors, pg::Params().Id(UuidOf(after.parent_id()))));
    for (int i = 0; i < above.size(); ++i) {
      if (above.Id(i, 0) != UuidOf(after.id())) continue;
      co_return FieldError("team.parent_id", "stands below this team; teams are a tree");
    }
  }
  co_return co_await StoreTeam(identity_, call, std::move(before), std::move(after));
}

}  // namespace crm::identity
