// Services behind the gateway as the tests need them: on our own protos, over real gRPC with mTLS, in memory.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/status.h"
#include "common/events/event_log.h"
#include "common/rpc/access.h"
#include "common/rpc/service.h"
#include "crm/analytics/v1/report.pb.h"
#include "crm/events/v1/event.pb.h"
#include "crm/identity/v1/api_key.pb.h"
#include "crm/identity/v1/events.pb.h"
#include "crm/identity/v1/session.pb.h"
#include "crm/identity/v1/team.pb.h"
#include "crm/type/v1/ref_service.pb.h"

namespace crm::gateway::test {

// What the services hold and what was seen of them.
struct World {
  std::mutex mutex;
  std::map<std::string, identity::v1::Team> teams;  // by tenant + id
  std::map<std::string, std::string> replies;       // idempotency key -> team id
  std::vector<std::string> masks;
  uint64_t heard = 0;                                            // events that every service has heard of
  std::vector<std::string> awaited;                              // producers that readers waited for
  std::map<std::string, std::vector<events::v1::Event>> events;  // by tenant
  std::function<std::string()> token;                            // what cookies and keys are traded for
  std::string cookie = "cs_0123456789abcdefghij", csrf = "csrf-token", key = "crm_0123456789abcdefghij";
  std::string cookie_session = "session_01h455vb4pex5vsknk084sn02q";
  std::atomic<int> exchanges{0}, ref_calls{0}, watching{0}, watch_ended{0}, list_events{0};
  std::atomic<bool> cookie_alive{true}, refs_down{false};

  void Add(events::v1::Event event) {
    std::lock_guard lock(mutex);
    auto& lane = events[event.tenant_id()];
    event.set_seq(lane.size() + 1);
    lane.push_back(std::move(event));
  }
};

inline absl::Status NotThere() {
  return Error(absl::StatusCode::kUnimplemented, type::v1::ERROR_REASON_METHOD_NOT_FOUND, "not in this test");
}

class TeamService final : public rpc::Service {
 public:
  explicit TeamService(World& world) : rpc::Service("crm.identity.v1.TeamService"), world_(world) {}
  CRM_RPC(CreateTeam, identity::v1::CreateTeamRequest, identity::v1::Team)
  CRM_RPC(GetTeam, identity::v1::GetTeamRequest, identity::v1::Team)
  CRM_RPC(ListTeams, identity::v1::ListTeamsRequest, identity::v1::ListTeamsResponse)
  CRM_RPC(UpdateTeam, identity::v1::UpdateTeamRequest, identity::v1::Team)
  CRM_RPC(DeleteTeam, identity::v1::DeleteTeamRequest, identity::v1::Team)
  CRM_RPC(UndeleteTeam, identity::v1::UndeleteTeamRequest, identity::v1::Team)

 private:
  World& world_;
};

inline Async<identity::v1::Team> TeamService::CreateTeam(Call& call, const identity::v1::CreateTeamRequest& request) {
  std::lock_guard lock(world_.mutex);
  if (request.team().name() == "internal") co_return absl::InternalError("a secret of the handler");
  auto& id = world_.replies[call.idempotency_key];
  if (id.empty()) id = NewId("team", call.now());
  auto& team = world_.teams[call.principal.tenant_id() + id];
  if (team.id().empty()) {
    team = request.team();
    team.set_id(id);
    team.set_etag("1");
  }
  co_return team;
}
inline Async<identity::v1::Team> TeamService::GetTeam(Call& call, const identity::v1::GetTeamRequest& request) {
  std::lock_guard lock(world_.mutex);
  auto it = world_.teams.find(call.principal.tenant_id() + request.id());
  if (it == world_.teams.end()) co_return NotFound(request.id());
  co_return it->second;
}
inline Async<identity::v1::ListTeamsResponse> TeamService::ListTeams(Call& call,
                                                                     const identity::v1::ListTeamsRequest& request) {
  identity::v1::ListTeamsResponse response;
  std::lock_guard lock(world_.mutex);
  for (const auto& [key, team] : world_.teams) {
    if (key.rfind(call.principal.tenant_id(), 0) == 0) *response.add_teams() = team;
  }
  if (request.page_size() > 0 && request.page_size() < response.teams_size()) {
    response.mutable_teams()->DeleteSubrange(request.page_size(), response.teams_size() - request.page_size());
    response.set_next_page_token("more");
  }
  co_return response;
}
inline Async<identity::v1::Team> TeamService::UpdateTeam(Call& call, const identity::v1::UpdateTeamRequest& request) {
  std::lock_guard lock(world_.mutex);
  auto it = world_.teams.find(call.principal.tenant_id() + request.team().id());
  if (it == world_.teams.end()) co_return NotFound(request.team().id());
  if (!request.etag().empty() && request.etag() != it->second.etag()) {
    Metadata metadata;
    metadata["etag"] = it->second.etag();
    co_return Error(absl::StatusCode::kAborted, type::v1::ERROR_REASON_ETAG_MISMATCH, "it has changed",
                    std::move(metadata));
  }
  std::string mask;
  for (const auto& path : request.update_mask().paths()) {
    mask += path + ",";
    if (path == "name") it->second.set_name(request.team().name());
    if (path == "head_id") it->second.set_head_id(request.team().head_id());
  }
  world_.masks.push_back(mask);
  it->second.set_etag(std::to_string(std::stoi(it->second.etag()) + 1));
  co_return it->second;
}
inline Async<identity::v1::Team> TeamService::DeleteTeam(Call&, const identity::v1::DeleteTeamRequest&) {
  co_return NotThere();
}
inline Async<identity::v1::Team> TeamService::UndeleteTeam(Call&, const identity::v1::UndeleteTeamRequest&) {
  co_return NotThere();
}

class SessionService final : public rpc::Service {
 public:
  explicit SessionService(World& world) : rpc::Service("crm.identity.v1.SessionService"), world_(world) {}
  CRM_RPC(CreateSession, identity::v1::CreateSessionRequest, identity::v1::Session)
  CRM_RPC(RefreshSession, identity::v1::RefreshSessionRequest, identity::v1::Session)
  CRM_RPC(ListSessions, identity::v1::ListSessionsRequest, identity::v1::ListSessionsResponse)
  CRM_RPC(DeleteSession, identity::v1::DeleteSessionRequest, identity::v1::DeleteSessionResponse)
  CRM_RPC(GetCurrentSession, identity::v1::GetCurrentSessionRequest, identity::v1::CurrentSession)
  CRM_RPC(ExchangeSession, identity::v1::ExchangeSessionRequest, identity::v1::ExchangeSessionResponse)

 private:
  World& world_;
};

inline Async<identity::v1::Session> SessionService::CreateSession(Call& call,
                                                                  const identity::v1::CreateSessionRequest& request) {
  if (request.password() != "right") {
    co_return Error(absl::StatusCode::kUnauthenticated, type::v1::ERROR_REASON_CREDENTIALS_INVALID,
                    "wrong login or password");
  }
  identity::v1::Session session;
  session.set_id(world_.cookie_session);
  session.mutable_expire_time()->set_seconds(absl::ToUnixSeconds(call.now()) + 1000);
  if (request.cookie()) {
    session.set_cookie_secret(world_.cookie);
    session.set_csrf_token(world_.csrf);
  } else {
    session.set_access_token(world_.token());
  }
  co_return session;
}
inline Async<identity::v1::ExchangeSessionResponse> SessionService::ExchangeSession(
    Call& call, const identity::v1::ExchangeSessionRequest& request) {
  ++world_.exchanges;
  if (request.cookie_secret() != world_.cookie || !world_.cookie_alive) {
    co_return Error(absl::StatusCode::kUnauthenticated, type::v1::ERROR_REASON_TOKEN_INVALID, "unknown");
  }
  identity::v1::ExchangeSessionResponse response;
  response.set_access_token(world_.token());
  response.set_session_id(world_.cookie_session);
  response.mutable_expire_time()->set_seconds(absl::ToUnixSeconds(call.now()) + 600);
  std::string hash;
  for (uint8_t byte : rpc::Sha256(world_.csrf)) absl::StrAppend(&hash, absl::Hex(byte, absl::kZeroPad2));
  response.set_csrf_hash(hash);
  co_return response;
}
inline Async<identity::v1::DeleteSessionResponse> SessionService::DeleteSession(
    Call&, const identity::v1::DeleteSessionRequest&) {
  co_return identity::v1::DeleteSessionResponse();
}
inline Async<identity::v1::CurrentSession> SessionService::GetCurrentSession(
    Call& call, const identity::v1::GetCurrentSessionRequest&) {
  identity::v1::CurrentSession session;
  session.set_user_id(call.principal.user_id);
  session.set_language(call.language);
  session.set_time_zone(call.time_zone);
  co_return session;
}
inline Async<identity::v1::Session> SessionService::RefreshSession(Call&, const identity::v1::RefreshSessionRequest&) {
  co_return NotThere();
}
inline Async<identity::v1::ListSessionsResponse> SessionService::ListSessions(
    Call&, const identity::v1::ListSessionsRequest&) {
  co_return NotThere();
}

class ApiKeyService final : public rpc::Service {
 public:
  explicit ApiKeyService(World& world) : rpc::Service("crm.identity.v1.ApiKeyService"), world_(world) {}
  CRM_RPC(CreateApiKey, identity::v1::CreateApiKeyRequest, identity::v1::ApiKey)
  CRM_RPC(ListApiKeys, identity::v1::ListApiKeysRequest, identity::v1::ListApiKeysResponse)
  CRM_RPC(DeleteApiKey, identity::v1::DeleteApiKeyRequest, identity::v1::ApiKey)
  CRM_RPC(ExchangeApiKey, identity::v1::ExchangeApiKeyRequest, identity::v1::ExchangeApiKeyResponse)

 private:
  World& world_;
};

inline Async<identity::v1::ExchangeApiKeyResponse> ApiKeyService::ExchangeApiKey(
    Call& call, const identity::v1::ExchangeApiKeyRequest& request) {
  ++world_.exchanges;
  if (request.secret() != world_.key)
    co_return Error(absl::StatusCode::kUnauthenticated, type::v1::ERROR_REASON_TOKEN_INVALID, "unknown");
  identity::v1::ExchangeApiKeyResponse response;
  response.set_access_token(world_.token());
  response.mutable_expire_time()->set_seconds(absl::ToUnixSeconds(call.now()) + 600);
  co_return response;
}
inline Async<identity::v1::ApiKey> ApiKeyService::CreateApiKey(Call&, const identity::v1::CreateApiKeyRequest&) {
  co_return NotThere();
}
inline Async<identity::v1::ListApiKeysResponse> ApiKeyService::ListApiKeys(Call&,
                                                                           const identity::v1::ListApiKeysRequest&) {
  co_return NotThere();
}
inline Async<identity::v1::ApiKey> ApiKeyService::DeleteApiKey(Call&, const identity::v1::DeleteApiKeyRequest&) {
  co_return NotThere();
}

class RefService final : public rpc::Service {
 public:
  explicit RefService(World& world) : rpc::Service("crm.type.v1.RefService"), world_(world) {}
  CRM_RPC(BatchGetRefs, type::v1::BatchGetRefsRequest, type::v1::BatchGetRefsResponse)

 private:
  World& world_;
};

inline Async<type::v1::BatchGetRefsResponse> RefService::BatchGetRefs(Call&,
                                                                      const type::v1::BatchGetRefsRequest& request) {
  ++world_.ref_calls;
  if (world_.refs_down) co_return absl::UnavailableError("away");
  type::v1::BatchGetRefsResponse response;
  for (const auto& id : request.ids()) {
    auto* ref = response.add_refs();
    ref->set_id(id);
    ref->set_type(id.substr(0, id.find('_')));
    ref->set_title("Title of " + id);
  }
  co_return response;
}

class EventLog final : public rpc::Service {
 public:
  explicit EventLog(World& world) : rpc::Service("crm.events.v1.EventLog"), world_(world) {}
  CRM_RPC(ListEvents, events::v1::ListEventsRequest, events::v1::ListEventsResponse)
  CRM_RPC(ListHeads, events::v1::ListHeadsRequest, events::v1::ListHeadsResponse)
  CRM_RPC(SettleLane, events::v1::SettleLaneRequest, events::v1::SettleLaneResponse)
  CRM_RPC(AwaitPosition, events::v1::AwaitPositionRequest, events::v1::AwaitPositionResponse)
  CRM_RPC(ListDeadLetters, events::v1::ListDeadLettersRequest, events::v1::ListDeadLettersResponse)
  CRM_RPC(ReplayDeadLetter, events::v1::ReplayDeadLetterRequest, events::v1::DeadLetter)

 private:
  World& world_;
};

inline Async<events::v1::ListEventsResponse> EventLog::ListEvents(Call&, const events::v1::ListEventsRequest& request) {
  ++world_.list_events;
  events::v1::ListEventsResponse response;
  std::lock_guard lock(world_.mutex);
  const auto& lane = world_.events[request.tenant_id()];
  for (const auto& event : lane) {
    if (event.seq() > request.after_seq() && response.events_size() < request.limit()) *response.add_events() = event;
  }
  response.set_head_seq(lane.size());
  co_return response;
}
inline Async<events::v1::ListHeadsResponse> EventLog::ListHeads(Call&, const events::v1::ListHeadsRequest&) {
  events::v1::ListHeadsResponse response;
  std::lock_guard lock(world_.mutex);
  for (const auto& [tenant, lane] : world_.events) {
    auto* head = response.add_heads();
    head->set_tenant_id(tenant);
    head->set_seq(lane.size());
  }
  co_return response;
}
inline Async<events::v1::SettleLaneResponse> EventLog::SettleLane(Call&, const events::v1::SettleLaneRequest& request) {
  events::v1::SettleLaneResponse response;
  std::lock_guard lock(world_.mutex);
  response.set_seq(world_.events[request.tenant_id()].size());
  response.set_settled(true);
  co_return response;
}
inline Async<events::v1::AwaitPositionResponse> EventLog::AwaitPosition(
    Call&, const events::v1::AwaitPositionRequest& request) {
  events::v1::AwaitPositionResponse response;
  std::lock_guard lock(world_.mutex);
  // No service here hears itself.
  response.set_reached(request.seq() == events::kCommitted || request.seq() <= world_.heard);
  world_.awaited.push_back(request.producer());
  co_return response;
}
inline Async<events::v1::ListDeadLettersResponse> EventLog::ListDeadLetters(Call&,
                                                                            const events::v1::ListDeadLettersRequest&) {
  co_return NotThere();
}
inline Async<events::v1::DeadLetter> EventLog::ReplayDeadLetter(Call&, const events::v1::ReplayDeadLetterRequest&) {
  co_return NotThere();
}

// Watches for ever, a message every 20 ms; the other rpcs are not asked.
class ReportService final : public rpc::Service {
 public:
  explicit ReportService(World& world) : rpc::Service("crm.analytics.v1.ReportService"), world_(world) {}
  CRM_RPC(GetRevenueReport, analytics::v1::GetRevenueReportRequest, analytics::v1::RevenueReport)
  CRM_RPC_STREAM(WatchRevenueReport, analytics::v1::GetRevenueReportRequest, analytics::v1::RevenueReport)
  CRM_RPC(GetFunnelReport, analytics::v1::GetFunnelReportRequest, analytics::v1::FunnelReport)
  CRM_RPC_STREAM(WatchFunnelReport, analytics::v1::GetFunnelReportRequest, analytics::v1::FunnelReport)
  CRM_RPC(GetEmployeeReport, analytics::v1::GetEmployeeReportRequest, analytics::v1::EmployeeReport)
  CRM_RPC(RecountReports, analytics::v1::RecountReportsRequest, analytics::v1::RecountReportsResponse)

 private:
  World& world_;
};

inline Async<> ReportService::WatchRevenueReport(Call&, const analytics::v1::GetRevenueReportRequest&,
                                                 rpc::Stream<analytics::v1::RevenueReport>& stream) {
  ++world_.watching;
  asio::steady_timer timer(co_await asio::this_coro::executor);
  absl::Status sent;
  while (sent.ok() && !stream.cancelled()) {
    sent = co_await stream.Send(analytics::v1::RevenueReport());
    timer.expires_after(std::chrono::milliseconds(20));
    co_await timer.async_wait(asio::use_awaitable);
  }
  ++world_.watch_ended;
  co_return absl::OkStatus();
}
inline Async<> ReportService::WatchFunnelReport(Call&, const analytics::v1::GetFunnelReportRequest&,
                                                rpc::Stream<analytics::v1::FunnelReport>&) {
  co_return absl::Status(absl::StatusCode::kFailedPrecondition, "there is no pipeline yet");
}
inline Async<analytics::v1::RevenueReport> ReportService::GetRevenueReport(
    Call&, const analytics::v1::GetRevenueReportRequest&) {
  co_return NotThere();
}
inline Async<analytics::v1::FunnelReport> ReportService::GetFunnelReport(Call&,
                                                                         const analytics::v1::GetFunnelReportRequest&) {
  co_return NotThere();
}
inline Async<analytics::v1::EmployeeReport> ReportService::GetEmployeeReport(
    Call&, const analytics::v1::GetEmployeeReportRequest&) {
  co_return NotThere();
}
inline Async<analytics::v1::RecountReportsResponse> ReportService::RecountReports(
    Call&, const analytics::v1::RecountReportsRequest&) {
  co_return NotThere();
}

// Grants by role, set by the test; and who is shut out.
class Grants final : public rpc::GrantSource {
 public:
  Async<identity::v1::ListAccessChangesResponse> ListAccessChanges(identity::v1::ListAccessChangesRequest) override {
    identity::v1::ListAccessChangesResponse response;
    std::lock_guard lock(mutex);
    for (const auto& id : revoked) {
      auto* revocation = response.add_revocations();
      revocation->set_subject_id(id);
      revocation->mutable_time()->set_seconds(absl::ToUnixSeconds(absl::Now()));
    }
    co_return response;
  }
  Async<identity::v1::GetRoleGrantsResponse> GetRoleGrants(identity::v1::GetRoleGrantsRequest request) override {
    identity::v1::GetRoleGrantsResponse response;
    std::lock_guard lock(mutex);
    for (const auto& id : request.role_ids()) {
      auto it = roles.find(id);
      if (it == roles.end()) continue;
      auto* role = response.add_roles();
      *role = it->second;
      role->set_tenant_id(request.tenant_id());
      role->set_role_id(id);
    }
    co_return response;
  }
  std::mutex mutex;
  std::map<std::string, identity::v1::RoleGrants> roles;
  std::vector<std::string> revoked;
};

}  // namespace crm::gateway::test
