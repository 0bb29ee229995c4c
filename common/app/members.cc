#include "common/app/members.h"

#include "common/base/id.h"
#include "common/base/status.h"
#include "crm/identity/v1/events.pb.h"

namespace crm::app {
namespace {

const pg::Statement kPutMember{"common.put_member",
                               "INSERT INTO member (tenant_id, user_id, team_id) VALUES ($1, $2, $3) "
                               "ON CONFLICT (tenant_id, user_id) DO UPDATE SET team_id = EXCLUDED.team_id"};
const pg::Statement kFindMember{"common.find_member", "SELECT team_id FROM member_view WHERE user_id = $1"};

absl::Status PutMember(pg::Batch& batch, const identity::v1::User& user) {
  CRM_TRY(Uuid id, ParseId(user.id(), "user", "id"));
  pg::Params params;
  params.Id(batch.call().tenant()).Id(id);
  if (user.team_id().empty()) {
    params.Null();
  } else {
    CRM_TRY(Uuid team, ParseId(user.team_id(), "team", "team_id"));
    params.Id(team);
  }
  batch.Add(kPutMember, std::move(params));
  return absl::OkStatus();
}

const google::protobuf::FieldDescriptor* FieldOf(const google::protobuf::Message& record, const char* name) {
  return record.GetDescriptor()->FindFieldByName(name);
}

std::string ValueOf(const google::protobuf::Message& record, const char* name) {
  return record.GetReflection()->GetString(record, FieldOf(record, name));
}

}  // namespace

void HearMembers(events::Consumer& consumer) {
  consumer.On<identity::v1::UserCreated>(
      [](const events::Heard&, const identity::v1::UserCreated& created, pg::Batch& batch) -> Async<> {
        co_return PutMember(batch, created.user());
      });
  consumer.On<identity::v1::UserUpdated>(
      [](const events::Heard&, const identity::v1::UserUpdated& updated, pg::Batch& batch) -> Async<> {
        co_return PutMember(batch, updated.user());
      });
}

Async<> FillTeam(pg::Db& db, const Call& call, google::protobuf::Message& record) {
  const std::string owner = ValueOf(record, "owner_id");
  if (owner.empty() || owner == call.principal.user_id || !ValueOf(record, "team_id").empty())
    co_return absl::OkStatus();
  CRM_CO_TRY(Uuid user, ParseId(owner, "user", "owner_id"));
  CRM_CO_TRY(pg::Rows rows, co_await db.Read(call, kFindMember, pg::Params().Id(user)));
  if (!rows.empty() && !rows.IsNull(0, 0)) {
    record.GetReflection()->SetString(&record, FieldOf(record, "team_id"), TypeId("team", rows.Id(0, 0)));
  }
  co_return absl::OkStatus();
}

Async<> FillTeam(pg::Db& db, const Call& call, const google::protobuf::Message& before,
                 google::protobuf::Message& after) {
  if (ValueOf(before, "owner_id") == ValueOf(after, "owner_id")) co_return absl::OkStatus();
  if (ValueOf(before, "team_id") != ValueOf(after, "team_id")) co_return absl::OkStatus();
  const auto* team = FieldOf(after, "team_id");
  after.GetReflection()->ClearField(&after, team);
  if (ValueOf(after, "owner_id") == call.principal.user_id) {
    after.GetReflection()->SetString(&after, team, call.principal.team_id);
    co_return absl::OkStatus();
  }
  co_return co_await FillTeam(db, call, after);
}

}  // namespace crm::app
