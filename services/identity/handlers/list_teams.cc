#include "common/pg/records.h"
#include "services/identity/service.h"

namespace crm::identity {

// Lists teams by filter and order.
Async<v1::ListTeamsResponse> TeamService::ListTeams(Call& call, const v1::ListTeamsRequest& request) {
  co_return co_await pg::ListShown(identity_.db, call, identity_.tables.teams, request,
                                   &v1::ListTeamsResponse::mutable_teams);
}

}  // namespace crm::identity
