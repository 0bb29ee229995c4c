#include <absl/strings/str_split.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include "crm/type/v1/money.pb.h"
#include "crm/type/v1/options.pb.h"
#include "services/scheduler/rule_service.h"
#include "services/scheduler/rules/automation_value.h"

namespace crm::scheduler {
namespace {

using google::protobuf::FieldDescriptor;

std::string TypeOf(const FieldDescriptor* field) {
  const auto& info = field->options().GetExtension(type::v1::field);
  if (field->is_map()) return "map";
  if (field->is_repeated()) return "list";
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return "bool";
    case FieldDescriptor::CPPTYPE_ENUM:
      return "enum";
    case FieldDescriptor::CPPTYPE_STRING:
      return info.date() ? "date" : info.decimal() ? "decimal" : !info.ref().empty() ? "id" : "text";
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (field->message_type() == google::protobuf::Timestamp::descriptor()) return "time";
      if (field->message_type() == type::v1::Money::descriptor()) return "money";
      return field->message_type() == google::protobuf::Struct::descriptor() ? "map" : "message";
    default:
      return "number";
  }
}

void AddField(const FieldDescriptor* field, google::protobuf::RepeatedPtrField<v1::RuleCatalogue::Field>& out) {
  if (field->message_type() != nullptr && field->message_type()->full_name() == "crm.type.v1.RecordAccess") return;
  auto& added = *out.Add();
  added.set_name(field->name());
  added.set_type(TypeOf(field));
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    for (int i = 1; i < field->enum_type()->value_count(); ++i) added.add_values(field->enum_type()->value(i)->name());
  }
  const std::string& ref = field->options().GetExtension(type::v1::field).ref();
  if (!ref.empty()) {
    for (const absl::string_view kind : absl::StrSplit(ref, ',')) added.add_refs(std::string(kind));
  }
}

}  // namespace

// Says what rules can be made of, from the descriptors.
Async<v1::RuleCatalogue> RuleService::GetRuleCatalogue(Call&, const v1::GetRuleCatalogueRequest&) {
  const automation::Catalogue& catalogue = automation::Catalogue::Get();
  v1::RuleCatalogue response;
  for (const auto& [name, object] : catalogue.objects()) {
    auto& added = *response.add_objects();
    added.set_name(name);
    for (int i = 0; i < object->record->field_count(); ++i) AddField(object->record->field(i), *added.mutable_fields());
    for (auto& field : *added.mutable_fields()) {
      field.set_settable(object->update != nullptr && object->get != nullptr &&
                         automation::Settable(object->record, field.name()));
    }
  }
  for (const auto& [type, event] : catalogue.events()) {
    auto& added = *response.add_events();
    added.set_type(type);
    added.set_object(event.object->name);
    for (int i = 0; i < event.payload->field_count(); ++i) {
      if (event.payload->field(i) != event.record) AddField(event.payload->field(i), *added.mutable_payload_fields());
    }
  }
  co_return response;
}

}  // namespace crm::scheduler
