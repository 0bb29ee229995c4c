#include "common/base/id.h"
#include "common/base/status.h"
#include "common/pg/batch.h"
#include "crm/identity/v1/events.pb.h"
#include "services/messaging/consumers/consumers.h"
#include "services/messaging/sql.h"

namespace crm::messaging {
namespace identity_consumer {

const pg::Statement kPutMember{"messaging.put_member",
                               "INSERT INTO member (tenant_id, user_id, team_id) VALUES ($1, $2, $3) "
                               "ON CONFLICT (tenant_id, user_id) DO UPDATE SET team_id = EXCLUDED.team_id"};

template <typename Event>
void OnTenant(events::Consumer& consumer) {
  consumer.On<Event>([](const events::Heard&, const Event& event, pg::Batch& batch) -> Async<> {
    batch.Add(sql::kPutTenant, pg::Params().Id(batch.call().tenant()).Bytes(event.tenant().SerializeAsString()));
    co_return absl::OkStatus();
  });
}

// Both what letters name of a user and which team they belong to: one effect, because an event has one.
template <typename Event>
void OnUser(events::Consumer& consumer) {
  consumer.On<Event>([](const events::Heard&, const Event& event, pg::Batch& batch) -> Async<> {
    const Uuid& tenant = batch.call().tenant();
    CRM_CO_TRY(Uuid id, ParseId(event.user().id(), "user", "user.id"));
    batch.Add(sql::kPutAccount, pg::Params().Id(tenant).Id(id).Bytes(event.user().SerializeAsString()));
    pg::Params member;
    member.Id(tenant).Id(id);
    if (event.user().team_id().empty()) {
      member.Null();
    } else {
      CRM_CO_TRY(Uuid team, ParseId(event.user().team_id(), "team", "user.team_id"));
      member.Id(team);
    }
    batch.Add(kPutMember, std::move(member));
    co_return absl::OkStatus();
  });
}

}  // namespace identity_consumer

void HearIdentity(events::Consumer& consumer) {
  identity_consumer::OnTenant<identity::v1::TenantCreated>(consumer);
  identity_consumer::OnTenant<identity::v1::TenantUpdated>(consumer);
  identity_consumer::OnUser<identity::v1::UserCreated>(consumer);
  identity_consumer::OnUser<identity::v1::UserUpdated>(consumer);
}

}  // namespace crm::messaging
