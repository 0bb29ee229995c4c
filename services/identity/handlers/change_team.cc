#include "services/identity/handlers/change_team.h"

#include <vector>

#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/identity/service.h"
#include "services/identity/sql.h"

namespace crm::identity {

Async<v1::Team> StoreTeam(Identity& identity, const Call& call, v1::Team before, v1::Team after) {
  std::vector<Uuid> teams;
  for (const auto& from : {before.id(), before.parent_id(), after.parent_id()}) {
    if (from.empty()) continue;
    CRM_CO_TRY(pg::Rows above, co_await identity.db.Read(call, sql::kTeamAncestors, pg::Params().Id(UuidOf(from))));
    for (int i = 0; i < above.size(); ++i) teams.push_back(above.Id(i, 0));
  }
  CRM_CO_TRY(pg::Rows touched,
             co_await identity.db.Read(call, sql::kUsersOfTeamBelow, pg::Params().IdArray(teams), pg::Work::kList));
  CRM_CO_TRY(auto stored, co_await identity.db.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Team> {
    batch.Update(identity.tables.teams, before, after);
    for (int i = 0; i < touched.size(); ++i) Revoke(batch, TypeId("user", touched.Id(i, 0)));
    if (!after.head_id().empty() && after.head_id() != before.head_id()) Revoke(batch, after.head_id());
    v1::TeamUpdated event;
    *event.mutable_team() = after;
    pg::NewEvent about = pg::EventOf(identity.tables.teams, "updated", after);
    about.changed_fields = pg::ChangedFields(before, after);
    batch.Emit(about, event);
    return after;
  }));
  co_return pg::Shown(call, identity.tables.teams, std::move(stored));
}

}  // namespace crm::identity
