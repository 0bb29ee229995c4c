#include <absl/strings/str_cat.h>

#include <optional>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "services/deal_pipeline/rules/leads.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

namespace {

// The contact that the lead's person already is: by phone, else by e-mail address. Empty if nobody has it.
Async<std::optional<contact::v1::Contact>> FindContact(rpc::Client& contacts, const Call& call, const v1::Lead& lead) {
  for (const bool by_phone : {true, false}) {
    contact::v1::LookupContactsRequest lookup;
    if (by_phone) lookup.set_phone(lead.phone());
    if (!by_phone) lookup.set_email(lead.email());
    if ((by_phone ? lead.phone() : lead.email()).empty()) continue;
    CRM_CO_TRY(auto found, co_await contacts.Unary<contact::v1::LookupContactsResponse>(
                               call, "crm.contact.v1.ContactService.LookupContacts", lookup));
    if (found.contacts_size() > 0) co_return found.contacts(0);
  }
  co_return std::nullopt;
}

// Finds or makes the contact. Making it is keyed by the lead, so that a repeat after a crash gets the first one.
Async<contact::v1::Contact> ContactFor(rpc::Client& contacts, const Call& call, const v1::Lead& lead,
                                       const std::string& contact_id) {
  if (!contact_id.empty()) {
    contact::v1::GetContactRequest get;
    get.set_id(contact_id);
    co_return co_await contacts.Unary<contact::v1::Contact>(call, "crm.contact.v1.ContactService.GetContact", get);
  }
  CRM_CO_TRY(auto known, co_await FindContact(contacts, call, lead));
  if (known) co_return *known;
  contact::v1::CreateContactRequest create;
  *create.mutable_contact() = ContactOf(lead);
  create.set_request_id(absl::StrCat(lead.id(), "/contact"));
  co_return co_await contacts.Unary<contact::v1::Contact>(call, "crm.contact.v1.ContactService.CreateContact", create);
}

}  // namespace

// Takes a lead up: its contact first, under a key of the lead's; then deal and lead together. Whatever dies in between,
// a repeat ends in the same contact and the same deal.
Async<v1::AcceptLeadResponse> LeadService::AcceptLead(Call& call, const v1::AcceptLeadRequest& request) {
  CRM_CO_TRY(v1::Lead before, co_await db_.Get(call, leads_, request.id(), type::v1::ACTION_UPDATE));
  if (before.status() == v1::LEAD_STATUS_ACCEPTED) co_return co_await Accepted(call, std::move(before));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  CRM_CO_TRY(CheckNew(before));
  if (call.ScopeOf("deal", type::v1::ACTION_CREATE) == type::v1::SCOPE_UNSPECIFIED) {
    co_return Error(absl::StatusCode::kPermissionDenied, type::v1::ERROR_REASON_RIGHT_MISSING,
                    "accepting a lead makes a deal, and your roles do not let you create deals",
                    {{"right", "deal.create"}});
  }
  std::string pipeline_id = request.pipeline_id();
  if (pipeline_id.empty() && !before.form_id().empty()) {
    auto form = co_await db_.Get(call, forms_, before.form_id(), type::v1::ACTION_READ, /*show_deleted=*/true);
    if (form.ok()) pipeline_id = form->pipeline_id();
  }
  CRM_CO_TRY(v1::Pipeline pipeline, co_await PipelineOf(db_, call, pipelines_, pipeline_id, "pipeline_id"));
  CRM_CO_TRY(auto contact, co_await ContactFor(contacts_, call, before, request.contact_id()));

  v1::Deal deal = DealOf(before, request.deal_title(), contact.id());
  deal.set_id(DerivedId("deal", before.id(), "accept"));
  deal.set_pipeline_id(pipeline.id());
  deal.set_company_id(contact.company_id());
  CRM_CO_TRY(Enter(deal, pipeline, call.now()));
  pg::StampNew(call, deals_, deal);
  CRM_CO_TRY(pg::CheckCreate(call, deals_, deal));
  v1::Lead after = before;
  after.set_status(v1::LEAD_STATUS_ACCEPTED);
  after.set_contact_id(contact.id());
  after.set_deal_id(deal.id());
  *after.mutable_close_time() = ToTimestamp(call.now());
  pg::Touch(call, before, after);
  CRM_CO_TRY(auto reply, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::AcceptLeadResponse> {
    v1::LeadAccepted event;
    *event.mutable_lead() = after;
    ChangeLead(batch, leads_, before, after, "accepted", event);
    AddDeal(batch, deals_, deal, pipeline, /*imported=*/false);
    v1::AcceptLeadResponse answer;
    *answer.mutable_lead() = after;
    *answer.mutable_contact() = contact;
    *answer.mutable_deal() = deal;
    return answer;
  }));
  *reply.mutable_lead() = pg::Shown(call, leads_, std::move(*reply.mutable_lead()));
  *reply.mutable_deal() = pg::Shown(call, deals_, std::move(*reply.mutable_deal()));
  co_return reply;
}

// A lead that is accepted already answers what it led to.
Async<v1::AcceptLeadResponse> LeadService::Accepted(Call& call, v1::Lead lead) {
  v1::AcceptLeadResponse answer;
  CRM_CO_TRY(*answer.mutable_deal(), co_await pg::GetShown(db_, call, deals_, lead.deal_id()));
  contact::v1::GetContactRequest get;
  get.set_id(lead.contact_id());
  CRM_CO_TRY(*answer.mutable_contact(),
             co_await contacts_.Unary<contact::v1::Contact>(call, "crm.contact.v1.ContactService.GetContact", get));
  *answer.mutable_lead() = pg::Shown(call, leads_, std::move(lead));
  co_return answer;
}

}  // namespace crm::deal_pipeline
