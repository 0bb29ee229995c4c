#include <set>

#include "services/messaging/rules/html.h"
#include "services/messaging/rules/templates.h"
#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Fills a template in with real records and shows the letter; nothing is stored or sent.
Async<v1::PreviewTemplateResponse> TemplateService::PreviewTemplate(Call& call,
                                                                    const v1::PreviewTemplateRequest& request) {
  v1::Template shown = request.draft();
  if (!request.template_id().empty()) {
    if (request.has_draft()) co_return FieldError("draft", "is given beside template_id; give one of them");
    CRM_CO_TRY(shown, co_await db_.Get(call, templates_, request.template_id()));
  } else {
    if (!request.has_draft()) co_return FieldError("template_id", "is missing; or give a draft");
    if (shown.name().empty()) shown.set_name("draft");
    CRM_CO_TRY(CheckTemplate(shown, "draft"));
  }
  CRM_CO_TRY(Subject subject, co_await LoadSubject(app_, call, request.contact_id(), request.deal_id()));
  std::set<std::string> roots = RootsOf(shown);
  CRM_CO_TRY(Value root, co_await LoadValues(app_, call, subject, "", call.principal.user_id, roots));
  // Without its variables a preview shows where they would stand, instead of refusing.
  v1::Template lenient = shown;
  for (auto& variable : *lenient.mutable_variables()) variable.set_required(false);
  CRM_CO_TRY(AddVariables(lenient, request.variables(), "variables", root));
  CRM_CO_TRY(std::string zone, co_await ZoneFor(app_, call));
  auto letter = Fill(shown, request.language().empty() ? subject.contact.language() : request.language(), root, zone);
  if (!letter.ok()) co_return StateError(std::string(letter.status().message()));
  v1::PreviewTemplateResponse response;
  response.set_language(letter->language);
  response.set_subject(letter->subject);
  response.set_text(letter->text);
  response.set_html(SanitizedHtml(letter->html));
  for (const auto& path : letter->empty) response.add_empty_variables(path);
  co_return response;
}

}  // namespace crm::messaging
