// How requests become leads, contacts and deals. Pure.
#pragma once

#include <absl/status/status.h>

#include <string>

#include "crm/contact/v1/contact.pb.h"
#include "crm/deal_pipeline/v1/deal.pb.h"
#include "crm/deal_pipeline/v1/lead.pb.h"

namespace crm::deal_pipeline {

// Phone in E.164 where it can be read, e-mail folded, a title from what there is. Refuses a lead that says nothing at
// all.
absl::Status Normalize(v1::Lead& lead, const std::string& default_region);

// The lead of a posted form.
v1::Lead LeadOf(const v1::SubmitFormRequest& request, const v1::Form& form);

// By what two posts are known to be the same submission: the page's own submission_id, else all answers.
std::string SubmissionKey(const v1::SubmitFormRequest& request);

// The contact that an accepted lead becomes. Names are split at the first space: "Maria Anders" -> given, family.
contact::v1::Contact ContactOf(const v1::Lead& lead);

// The deal that an accepted lead becomes, without its stage.
v1::Deal DealOf(const v1::Lead& lead, const std::string& title, const std::string& contact_id);

}  // namespace crm::deal_pipeline
