#include "services/deal_pipeline/rules/leads.h"

#include <absl/strings/str_cat.h>

#include <map>

#include "common/base/email.h"
#include "common/base/error.h"
#include "common/base/phone.h"
#include "common/base/status.h"
#include "common/base/text.h"

namespace crm::deal_pipeline {
namespace {

// A title longer than this does not fit a card; the rest stands in the message.
constexpr size_t kTitleFromMessageMax = 80;

std::string Sorted(const google::protobuf::Map<std::string, std::string>& map) {
  std::string text;
  for (const auto& [key, value] : std::map<std::string, std::string>(map.begin(), map.end())) {
    absl::StrAppend(&text, key.size(), ":", key, value.size(), ":", value);
  }
  return text;
}

}  // namespace

absl::Status Normalize(v1::Lead& lead, const std::string& default_region) {
  lead.set_name(Squeezed(lead.name()));
  lead.set_company_name(Squeezed(lead.company_name()));
  lead.set_title(Squeezed(lead.title()));
  if (!lead.phone().empty()) lead.set_phone(ParsePhone(lead.phone(), default_region).number);
  if (!lead.email().empty()) {
    CRM_TRY(*lead.mutable_email(), NormalizeEmail(lead.email(), "email"));
  }
  if (lead.name().empty() && lead.phone().empty() && lead.email().empty() && lead.message().empty() &&
      lead.company_name().empty() && lead.title().empty() && lead.answers().empty()) {
    return FieldError("lead", "says nothing; give at least a name, a phone, an e-mail address or a message");
  }
  if (lead.title().empty()) {
    for (const auto& text : {lead.company_name(), lead.name(), Squeezed(lead.message()), lead.email(), lead.phone()}) {
      if (text.empty()) continue;
      lead.set_title(Truncated(text, kTitleFromMessageMax));
      break;
    }
  }
  if (lead.title().empty()) lead.set_title("Request");
  return absl::OkStatus();
}

v1::Lead LeadOf(const v1::SubmitFormRequest& request, const v1::Form& form) {
  v1::Lead lead;
  lead.set_name(request.name());
  lead.set_phone(request.phone());
  lead.set_email(request.email());
  lead.set_company_name(request.company_name());
  lead.set_message(request.message());
  lead.set_source("web form");
  lead.set_form_id(form.id());
  *lead.mutable_utm() = request.utm();
  lead.set_page_url(request.page_url());
  *lead.mutable_answers() = request.answers();
  lead.set_owner_id(form.owner_id());
  return lead;
}

std::string SubmissionKey(const v1::SubmitFormRequest& request) {
  if (!request.submission_id().empty()) return absl::StrCat("id:", request.submission_id());
  return absl::StrCat("all:", CaseFold(Squeezed(request.name())), "\n", request.phone(), "\n",
                      CaseFold(Squeezed(request.email())), "\n", request.company_name(), "\n", request.message(), "\n",
                      Sorted(request.answers()));
}

contact::v1::Contact ContactOf(const v1::Lead& lead) {
  contact::v1::Contact contact;
  const size_t space = lead.name().find(' ');
  contact.set_given_name(lead.name().substr(0, space));
  if (space != std::string::npos) contact.set_family_name(lead.name().substr(space + 1));
  if (!lead.phone().empty()) contact.add_phones()->set_number(lead.phone());
  if (!lead.email().empty()) contact.add_emails()->set_address(lead.email());
  contact.set_source(lead.source());
  contact.set_note(lead.message());
  contact.set_lifecycle(contact::v1::LIFECYCLE_PROSPECT);
  contact.add_roles(contact::v1::ROLE_CUSTOMER);
  if (contact.given_name().empty() && lead.phone().empty() && lead.email().empty())
    contact.set_given_name(lead.title());
  return contact;
}

v1::Deal DealOf(const v1::Lead& lead, const std::string& title, const std::string& contact_id) {
  v1::Deal deal;
  deal.set_title(title.empty() ? lead.title() : title);
  deal.set_contact_id(contact_id);
  deal.set_lead_id(lead.id());
  deal.set_source(lead.source());
  deal.set_owner_id(lead.owner_id());
  deal.set_team_id(lead.team_id());
  return deal;
}

}  // namespace crm::deal_pipeline
