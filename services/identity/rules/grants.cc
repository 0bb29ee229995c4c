#include "services/identity/rules/grants.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>

#include <array>

#include "common/base/error.h"
#include "common/base/id.h"

namespace crm::identity {
namespace {

using type::v1::Action;
using type::v1::Scope;

constexpr std::array<const char*, 4> kLanguages = {"en", "ru", "he", "yi"};

std::string ActionName(Action action) {
  return absl::AsciiStrToLower(absl::StripPrefix(type::v1::Action_Name(action), "ACTION_"));
}

void Add(v1::Role& role, const std::string& object, std::initializer_list<Action> actions, Scope scope) {
  for (Action action : actions) {
    auto* grant = role.add_grants();
    grant->set_object(object);
    grant->set_action(action);
    grant->set_scope(scope);
  }
}

v1::Role Named(const std::string& tenant_id, const std::string& code, const std::array<const char*, 4>& names,
               const std::string& language) {
  v1::Role role;
  role.set_id(DerivedId("role", tenant_id, code));
  role.set_code(code);
  role.set_name(names[0]);
  for (size_t i = 0; i < kLanguages.size(); ++i) {
    if (language == kLanguages[i]) role.set_name(names[i]);
  }
  role.set_personal_data(true);
  return role;
}

}  // namespace

absl::Status CheckGrantable(const Call& call, const google::protobuf::RepeatedPtrField<v1::Grant>& grants,
                            bool personal_data) {
  for (const auto& grant : grants) {
    if (call.ScopeOf(grant.object(), grant.action()) >= grant.scope()) continue;
    const std::string right = absl::StrCat(grant.object(), ".", ActionName(grant.action()));
    return Error(
        absl::StatusCode::kPermissionDenied, type::v1::ERROR_REASON_RIGHT_MISSING,
        absl::StrCat("you cannot give the right ", right, " to this extent, because you do not hold it yourself"),
        {{"right", right}});
  }
  const bool holds_personal = call.principal.kind == Principal::Kind::kService || call.principal.rights->personal_data;
  if (personal_data && !holds_personal) {
    return Error(absl::StatusCode::kPermissionDenied, type::v1::ERROR_REASON_RIGHT_MISSING,
                 "you cannot let others see personal data, because you may not see it yourself",
                 {{"right", "personal_data"}});
  }
  return absl::OkStatus();
}

std::vector<v1::Role> PackageRoles(const std::string& tenant_id, const std::string& language) {
  using type::v1::ACTION_ADMINISTER;
  using type::v1::ACTION_CREATE;
  using type::v1::ACTION_DELETE;
  using type::v1::ACTION_EXPORT;
  using type::v1::ACTION_READ;
  using type::v1::ACTION_UPDATE;
  using type::v1::SCOPE_ALL;
  using type::v1::SCOPE_OWN;
  using type::v1::SCOPE_TEAM;

  v1::Role administrator =
      Named(tenant_id, "administrator", {"Administrator", "Администратор", "מנהל מערכת", "אַדמיניסטראַטאָר"}, language);
  Add(administrator, "*", {ACTION_READ, ACTION_CREATE, ACTION_UPDATE, ACTION_DELETE, ACTION_EXPORT, ACTION_ADMINISTER},
      SCOPE_ALL);

  v1::Role head =
      Named(tenant_id, "head", {"Head of sales", "Руководитель продаж", "מנהל מכירות", "פֿאַרקויף־מנהל"}, language);
  for (const char* object : {"contact", "company"}) {
    Add(head, object, {ACTION_READ, ACTION_CREATE, ACTION_UPDATE, ACTION_DELETE, ACTION_EXPORT}, SCOPE_ALL);
  }
  for (const char* object : {"deal", "lead"}) {
    Add(head, object, {ACTION_READ, ACTION_CREATE, ACTION_UPDATE, ACTION_DELETE, ACTION_EXPORT}, SCOPE_TEAM);
  }
  // Notes are read with their card; changed by their author.
  Add(head, "note", {ACTION_READ}, SCOPE_ALL);
  Add(head, "note", {ACTION_CREATE, ACTION_UPDATE, ACTION_DELETE}, SCOPE_TEAM);
  for (const char* object : {"conversation", "message"}) {
    Add(head, object, {ACTION_READ, ACTION_CREATE, ACTION_UPDATE}, SCOPE_TEAM);
  }
  Add(head, "template", {ACTION_READ, ACTION_CREATE, ACTION_UPDATE}, SCOPE_ALL);
  Add(head, "channel", {ACTION_READ}, SCOPE_ALL);
  Add(head, "suppression", {ACTION_READ, ACTION_CREATE, ACTION_DELETE}, SCOPE_ALL);
  for (const char* object : {"task", "reminder"}) {
    Add(head, object, {ACTION_READ, ACTION_CREATE, ACTION_UPDATE, ACTION_DELETE}, SCOPE_TEAM);
  }
  Add(head, "absence", {ACTION_READ, ACTION_CREATE, ACTION_UPDATE, ACTION_ADMINISTER}, SCOPE_TEAM);
  Add(head, "notification", {ACTION_CREATE}, SCOPE_TEAM);
  // Beside their own, files are read with the record that they are attached to.
  Add(head, "file", {ACTION_READ, ACTION_CREATE, ACTION_DELETE}, SCOPE_TEAM);
  Add(head, "product", {ACTION_READ, ACTION_CREATE, ACTION_UPDATE}, SCOPE_ALL);
  Add(head, "report", {ACTION_READ, ACTION_EXPORT}, SCOPE_TEAM);

  v1::Role manager =
      Named(tenant_id, "manager", {"Sales manager", "Менеджер по продажам", "איש מכירות", "פֿאַרקויפֿער"}, language);
  for (const char* object : {"contact", "company"}) {
    Add(manager, object, {ACTION_READ}, SCOPE_TEAM);
    Add(manager, object, {ACTION_CREATE, ACTION_UPDATE}, SCOPE_OWN);
  }
  Add(manager, "lead", {ACTION_READ, ACTION_UPDATE}, SCOPE_TEAM);
  Add(manager, "lead", {ACTION_CREATE}, SCOPE_OWN);
  Add(manager, "deal", {ACTION_READ, ACTION_CREATE, ACTION_UPDATE}, SCOPE_OWN);
  Add(manager, "note", {ACTION_READ}, SCOPE_ALL);
  Add(manager, "note", {ACTION_CREATE, ACTION_UPDATE, ACTION_DELETE}, SCOPE_OWN);
  for (const char* object : {"conversation", "message"}) {
    Add(manager, object, {ACTION_READ, ACTION_CREATE, ACTION_UPDATE}, SCOPE_OWN);
  }
  for (const char* object : {"template", "channel", "suppression"}) Add(manager, object, {ACTION_READ}, SCOPE_ALL);
  // A colleague of the team may be given a task.
  Add(manager, "task", {ACTION_READ, ACTION_UPDATE, ACTION_DELETE}, SCOPE_OWN);
  Add(manager, "task", {ACTION_CREATE}, SCOPE_TEAM);
  Add(manager, "reminder", {ACTION_READ, ACTION_CREATE, ACTION_UPDATE, ACTION_DELETE}, SCOPE_OWN);
  Add(manager, "absence", {ACTION_READ, ACTION_CREATE, ACTION_UPDATE}, SCOPE_OWN);
  Add(manager, "file", {ACTION_READ, ACTION_CREATE, ACTION_DELETE}, SCOPE_OWN);
  Add(manager, "product", {ACTION_READ}, SCOPE_ALL);
  Add(manager, "report", {ACTION_READ}, SCOPE_OWN);
  return {administrator, head, manager};
}

}  // namespace crm::identity
