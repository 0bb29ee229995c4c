// Texts with variables of the record (Mustache, mustache.github.io): "Call {{contact.display_name}} about {{title}}".
//
// Beside the record's own fields there are the records that it names: contact, company, deal, lead, conversation, and owner, the user
// who is responsible. Money is "1234.50 EUR", an enum its name in small letters ("in progress"), a time the tenant's local
// one, a list is gone through by {{#tags}}{{.}} {{/tags}}. Partials and other delimiters are refused.
#pragma once

#include <absl/status/status.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>
#include <google/protobuf/message.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "services/scheduler/rules/automation_catalogue.h"

namespace crm::scheduler::automation {

// Records by the name that texts call them by.
using Linked = std::map<std::string, const google::protobuf::Message*>;

// INVALID_ARGUMENT about `field` for a text that is no template, or names what the record does not have.
absl::Status CheckTemplate(absl::string_view text, const ObjectKind& object, absl::string_view field);

// Which of contact, company, deal, lead, conversation, owner a text names beyond the record's own fields.
std::set<std::string> LinkedIn(absl::string_view text, const google::protobuf::Descriptor* record);

// The text filled in. What is not there is empty. `escape` makes values fit for where they stand; plain text needs none.
std::string Render(absl::string_view text, const google::protobuf::Message& record, const Linked& linked,
                   absl::TimeZone zone, std::function<std::string(const std::string&)> escape = nullptr);

// ---- for texts that leave for other systems, in a form that is to be kept ----

// What the text may become, with 0 for each variable: sections shown, and sections left out. The text must be a template.
std::vector<std::string> SamplesOf(absl::string_view text);

// INVALID_ARGUMENT about `field` for a text that puts values in as they are: {{{title}}}, {{&title}}.
absl::Status CheckEscaped(absl::string_view text, absl::string_view field);

// The first variable that is not there for other systems (ClearHidden); "" if all are.
std::string HiddenIn(absl::string_view text, const ObjectKind& object, bool personal);

}  // namespace crm::scheduler::automation
