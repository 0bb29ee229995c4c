#include <absl/strings/str_cat.h>

#include "common/app/members.h"
#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "services/deal_pipeline/rules/leads.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/sql.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

namespace {

// The same answers within this time are the same submission.
constexpr absl::Duration kSameSubmission = absl::Hours(24);

// Ids that this submission's lead may have: one if the page numbered it; else one per day, today's first, yesterday's
// next.
std::vector<std::string> LeadIdsOf(const v1::SubmitFormRequest& request, absl::Time now) {
  const std::string key = SubmissionKey(request);
  if (!request.submission_id().empty()) return {DerivedId("lead", request.form_id(), key)};
  const int64_t day = absl::ToUnixSeconds(now) / absl::ToInt64Seconds(kSameSubmission);
  return {DerivedId("lead", request.form_id(), absl::StrCat(day, "\n", key)),
          DerivedId("lead", request.form_id(), absl::StrCat(day - 1, "\n", key))};
}

}  // namespace

// Takes a posted form: one lead however often it comes. Acts as the service itself in the tenant that the address
// names.
Async<v1::SubmitFormResponse> LeadService::SubmitForm(Call& call, const v1::SubmitFormRequest& request) {
  CRM_CO_TRY(Uuid tenant, ParseId(request.tenant_id(), "tenant", "tenant_id"));
  Call own = call;
  own.principal = Principal{};
  own.principal.kind = Principal::Kind::kService;
  own.principal.tenant = tenant;
  own.principal.user_id = "service_deal_pipeline";

  CRM_CO_TRY(v1::Form form, co_await db_.Get(own, forms_, request.form_id()));
  if (!form.enabled()) co_return StateError("this form takes no requests at present");
  const std::vector<std::string> ids = LeadIdsOf(request, own.now());
  v1::SubmitFormResponse response;
  response.set_lead_id(ids.front());
  // Robots fill in what people do not see: they get the same thanks, and nothing is stored.
  if (!request.website().empty()) co_return response;

  CRM_CO_TRY(auto posted, co_await db_.BatchGet(own, leads_, ids));
  for (const auto& lead : posted) {
    const bool same =
        !request.submission_id().empty() || own.now() - FromTimestamp(lead.create_time()) < kSameSubmission;
    if (!same) continue;
    response.set_lead_id(lead.id());
    co_return response;
  }

  CRM_CO_TRY(pg::Rows settings, co_await db_.Read(own, sql::kFindTenant, pg::Params()));
  v1::Lead lead = LeadOf(request, form);
  CRM_CO_TRY(Normalize(lead, settings.empty() ? "" : std::string(settings.Text(0, 0))));
  lead.set_id(ids.front());
  lead.set_status(v1::LEAD_STATUS_NEW);
  if (lead.owner_id().empty() && !settings.empty()) lead.set_owner_id(TypeId("user", settings.Id(0, 2)));
  CRM_CO_TRY(co_await app::FillTeam(db_, own, lead));
  pg::StampNew(own, leads_, lead);
  // Two posts at the same moment meet at the idempotency key: the second gets the first one's answer.
  own.idempotency_key = lead.id();
  own.body_hash = lead.id();
  co_return co_await db_.Once(own, [&](pg::Batch& batch) -> absl::StatusOr<v1::SubmitFormResponse> {
    AddLead(batch, leads_, lead);
    return response;
  });
}

}  // namespace crm::deal_pipeline
