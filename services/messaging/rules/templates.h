// Templates of letters: what may be saved, and how one is filled in. Pure.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <set>
#include <string>

#include "crm/messaging/v1/template.pb.h"
#include "services/messaging/rules/format.h"
#include "services/messaging/rules/value.h"

namespace crm::messaging {

// Squeezes the name and refuses, naming the field and the line, what could not be filled in: unknown variables and
// filters, double languages, a letter without text, values where a script or tag is written. `field` leads the path.
absl::Status CheckTemplate(v1::Template& record, const std::string& field);

// The top-level names that its texts use: what must be loaded to fill it in.
std::set<std::string> RootsOf(const v1::Template& record);

// The variant for a language: the same, else the same without its region ("en-GB" -> "en", "en" -> "en-GB"), else the
// first.
const v1::TemplateVariant& VariantFor(const v1::Template& record, const std::string& language);

// What the sender supplies, read by the kinds that the template declares, laid over `root`. Refuses names that the
// template does not declare and required ones that are missing.
absl::Status AddVariables(const v1::Template& record, const google::protobuf::Struct& variables,
                          const std::string& field, Value& root);

struct Letter {
  std::string language, subject, text, html;
  std::set<std::string> empty;  // paths without a value
};
absl::StatusOr<Letter> Fill(const v1::Template& record, const std::string& language, const Value& root,
                            const std::string& time_zone);

}  // namespace crm::messaging
