#include <absl/strings/str_cat.h>

#include <nlohmann/json.hpp>

#include "common/app/members.h"
#include "common/base/status.h"
#include "crm/identity/v1/events.pb.h"
#include "services/scheduler/consumers/consumers.h"
#include "services/scheduler/sql.h"

namespace crm::scheduler {
namespace {

absl::Status PutTenant(pg::Batch& batch, const identity::v1::Tenant& tenant) {
  nlohmann::json hours = nlohmann::json::array();
  for (const auto& one : tenant.working_hours()) {
    hours.push_back({{"weekday", one.weekday()}, {"start", one.start()}, {"end", one.end()}});
  }
  batch.Add(sql::kPutTenant,
            pg::Params().Id(batch.call().tenant()).Text(tenant.time_zone()).Text(tenant.language()).Text(hours.dump()));
  return absl::OkStatus();
}

absl::Status AddOptional(pg::Params& params, const std::string& id, const char* prefix) {
  if (id.empty()) {
    params.Null();
    return absl::OkStatus();
  }
  CRM_TRY(Uuid uuid, ParseId(id, prefix, prefix));
  params.Id(uuid);
  return absl::OkStatus();
}

absl::Status PutPerson(pg::Batch& batch, const identity::v1::User& user) {
  CRM_TRY(Uuid id, ParseId(user.id(), "user", "id"));
  pg::Params params;
  params.Id(batch.call().tenant()).Id(id).Text(user.display_name());
  CRM_TRY(AddOptional(params, user.team_id(), "team"));
  CRM_TRY(AddOptional(params, user.manager_id(), "user"));
  params.Text(user.time_zone()).Text(user.language()).Bool(user.status() != identity::v1::USER_STATUS_SUSPENDED);
  batch.Add(sql::kPutPerson, std::move(params));
  return absl::OkStatus();
}

absl::Status PutTeam(pg::Batch& batch, const identity::v1::Team& team) {
  CRM_TRY(Uuid id, ParseId(team.id(), "team", "id"));
  pg::Params params;
  params.Id(batch.call().tenant()).Id(id).Text(team.name());
  CRM_TRY(AddOptional(params, team.parent_id(), "team"));
  CRM_TRY(AddOptional(params, team.head_id(), "user"));
  params.Bool(team.has_delete_time());
  batch.Add(sql::kPutTeam, std::move(params));
  return absl::OkStatus();
}

}  // namespace

void HearIdentity(events::Consumer& consumer) {
  app::HearMembers(consumer);
  consumer.On<identity::v1::TenantCreated>(
      [](const events::Heard&, const identity::v1::TenantCreated& created, pg::Batch& batch) -> Async<> {
        CRM_CO_TRY(PutTenant(batch, created.tenant()));
        if (created.administrator().id().empty()) co_return absl::OkStatus();
        co_return PutPerson(batch, created.administrator());
      });
  consumer.On<identity::v1::TenantUpdated>(
      [](const events::Heard&, const identity::v1::TenantUpdated& updated, pg::Batch& batch) -> Async<> {
        co_return PutTenant(batch, updated.tenant());
      });
  consumer.On<identity::v1::UserCreated>(
      [](const events::Heard&, const identity::v1::UserCreated& created, pg::Batch& batch) -> Async<> {
        co_return PutPerson(batch, created.user());
      });
  consumer.On<identity::v1::UserUpdated>(
      [](const events::Heard&, const identity::v1::UserUpdated& updated, pg::Batch& batch) -> Async<> {
        co_return PutPerson(batch, updated.user());
      });
  consumer.On<identity::v1::TeamCreated>([](const events::Heard&, const identity::v1::TeamCreated& created,
                                            pg::Batch& batch) -> Async<> { co_return PutTeam(batch, created.team()); });
  consumer.On<identity::v1::TeamUpdated>([](const events::Heard&, const identity::v1::TeamUpdated& updated,
                                            pg::Batch& batch) -> Async<> { co_return PutTeam(batch, updated.team()); });
}

}  // namespace crm::scheduler
