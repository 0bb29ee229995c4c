#include "services/messaging/rules/templates.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "services/messaging/rules/html.h"
#include "services/messaging/rules/liquid.h"

namespace crm::messaging {
namespace templates_internal {

std::string Primary(const std::string& language) {
  return absl::AsciiStrToLower(language.substr(0, language.find('-')));
}

absl::Status CheckPart(const std::string& text, LiquidMode mode, const Shape& shape, const std::string& field) {
  const auto compiled = Liquid::Compile(text, mode, shape);
  return compiled.ok() ? absl::OkStatus() : FieldError(field, std::string(compiled.status().message()));
}

}  // namespace templates_internal

namespace ti = templates_internal;

absl::Status CheckTemplate(v1::Template& record, const std::string& field) {
  record.set_name(Squeezed(record.name()));
  if (record.name().empty()) return FieldError(field + ".name", "must not be empty");
  std::set<std::string> names;
  for (int i = 0; i < record.variables_size(); ++i) {
    const std::string& name = record.variables(i).name();
    const std::string at = absl::StrCat(field, ".variables[", i, "].name");
    if (!names.insert(name).second) return FieldError(at, "stands there twice");
    const Shape known = RootShape({});
    if (known.members.count(name) > 0 || name == "forloop")
      return FieldError(at, "is a name that every template has; choose another");
  }
  const Shape shape = RootShape(record.variables());
  std::set<std::string> languages;
  for (int i = 0; i < record.variants_size(); ++i) {
    const v1::TemplateVariant& variant = record.variants(i);
    const std::string at = absl::StrCat(field, ".variants[", i, "]");
    if (!languages.insert(absl::AsciiStrToLower(variant.language())).second)
      return FieldError(at + ".language", "stands there twice");
    if (variant.text().empty() && variant.html().empty())
      return FieldError(at + ".text", "is empty, and so is html; a letter needs one of them");
    CRM_TRY(ti::CheckPart(variant.subject(), LiquidMode::kLine, shape, at + ".subject"));
    CRM_TRY(ti::CheckPart(variant.text(), LiquidMode::kText, shape, at + ".text"));
    CRM_TRY(ti::CheckPart(variant.html(), LiquidMode::kHtml, shape, at + ".html"));
  }
  return absl::OkStatus();
}

std::set<std::string> RootsOf(const v1::Template& record) {
  std::set<std::string> roots;
  const Shape shape = RootShape(record.variables());
  for (const auto& variant : record.variants()) {
    for (const auto& [text, mode] :
         {std::pair(&variant.subject(), LiquidMode::kLine), std::pair(&variant.text(), LiquidMode::kText),
          std::pair(&variant.html(), LiquidMode::kHtml)}) {
      auto compiled = Liquid::Compile(*text, mode, shape);
      if (compiled.ok()) roots.insert(compiled->roots().begin(), compiled->roots().end());
    }
  }
  return roots;
}

const v1::TemplateVariant& VariantFor(const v1::Template& record, const std::string& language) {
  const std::string wanted = absl::AsciiStrToLower(language);
  for (const auto& variant : record.variants()) {
    if (absl::AsciiStrToLower(variant.language()) == wanted) return variant;
  }
  for (const auto& variant : record.variants()) {
    if (!wanted.empty() && ti::Primary(variant.language()) == ti::Primary(wanted)) return variant;
  }
  return record.variants_size() == 0 ? v1::TemplateVariant::default_instance() : record.variants(0);
}

absl::Status AddVariables(const v1::Template& record, const google::protobuf::Struct& variables,
                          const std::string& field, Value& root) {
  root.kind = Value::Kind::kObject;
  std::set<std::string> declared;
  for (const auto& variable : record.variables()) {
    declared.insert(variable.name());
    const auto given = variables.fields().find(variable.name());
    if (given == variables.fields().end() || given->second.has_null_value()) {
      if (variable.required())
        return FieldError(absl::StrCat(field, ".", variable.name()),
                          "is missing; the template cannot be filled in without it");
      continue;
    }
    root.fields[variable.name()] = ValueOf(given->second, variable.kind());
  }
  for (const auto& [name, value] : variables.fields()) {
    if (declared.count(name) == 0)
      return FieldError(absl::StrCat(field, ".", name), "is no variable of this template; see its `variables`");
  }
  return absl::OkStatus();
}

absl::StatusOr<Letter> Fill(const v1::Template& record, const std::string& language, const Value& root,
                            const std::string& time_zone) {
  const v1::TemplateVariant& variant = VariantFor(record, language);
  const Shape shape = RootShape(record.variables());
  const Locale locale{variant.language(), time_zone};
  Letter letter;
  letter.language = variant.language();
  CRM_TRY(Liquid subject, Liquid::Compile(variant.subject(), LiquidMode::kLine, shape));
  CRM_TRY(letter.subject, subject.Render(root, locale, &letter.empty));
  CRM_TRY(Liquid html, Liquid::Compile(variant.html(), LiquidMode::kHtml, shape));
  CRM_TRY(letter.html, html.Render(root, locale, &letter.empty));
  if (variant.text().empty()) {
    letter.text = HtmlToText(letter.html);
  } else {
    CRM_TRY(Liquid text, Liquid::Compile(variant.text(), LiquidMode::kText, shape));
    CRM_TRY(letter.text, text.Render(root, locale, &letter.empty));
  }
  return letter;
}

}  // namespace crm::messaging
