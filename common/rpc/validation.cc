#include "common/rpc/validation.h"

#include <absl/container/flat_hash_set.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include "common/rpc/validation_plans.h"
#include "common/rpc/validation_rules.h"

namespace crm::rpc {
namespace validation {

using google::protobuf::Reflection;

std::string NamesOf(const std::vector<const FieldDescriptor*>& fields) {
  return Listed(fields, [](const FieldDescriptor* field) { return field->name(); });
}

bool Present(const Message& message, const FieldDescriptor* field) {
  const Reflection* reflection = message.GetReflection();
  return field->is_repeated() ? reflection->FieldSize(message, field) > 0 : reflection->HasField(message, field);
}

bool UniqueItems(const Message& message, const FieldDescriptor* field, int size) {
  absl::flat_hash_set<std::string> texts;
  absl::flat_hash_set<uint64_t> numbers;
  for (int i = 0; i < size; ++i) {
    Value value;
    Get(message, field, i, value);
    const bool added =
        value.s != nullptr
            ? texts.insert(*value.s).second
            : numbers.insert(static_cast<uint64_t>(value.i) ^ value.u ^ std::bit_cast<uint64_t>(value.d)).second;
    if (!added) return false;
  }
  return true;
}

std::string KeyText(const Message& entry, const FieldDescriptor* key) {
  Value value;
  Get(entry, key, -1, value);
  if (value.s != nullptr) return *value.s;
  if (key->cpp_type() == FieldDescriptor::CPPTYPE_BOOL) return value.i != 0 ? "true" : "false";
  const bool is_unsigned =
      key->cpp_type() == FieldDescriptor::CPPTYPE_UINT32 || key->cpp_type() == FieldDescriptor::CPPTYPE_UINT64;
  return is_unsigned ? absl::StrCat(value.u) : absl::StrCat(value.i);
}

void CheckList(const Message& message, const FieldPlan& plan, const Path* path, Run& run) {
  const Reflection* reflection = message.GetReflection();
  const FieldDescriptor* field = plan.field;
  const int size = reflection->FieldSize(message, field);
  const char* things = field->is_map() ? " entr" : " item";
  auto plural = [&](uint64_t n) { return field->is_map() ? (n == 1 ? "y" : "ies") : (n == 1 ? "" : "s"); };
  if (size == 0 && plan.required) return run.violations.Add(path, "must not be empty");
  if (size == 0 && plan.skip_empty) return;
  if (static_cast<uint64_t>(size) < plan.size_min) {
    return run.violations.Add(
        path, [&] { return absl::StrCat("must have at least ", plan.size_min, things, plural(plan.size_min)); });
  }
  if (static_cast<uint64_t>(size) > plan.size_max) {
    return run.violations.Add(
        path, [&] { return absl::StrCat("must have at most ", plan.size_max, things, plural(plan.size_max)); });
  }
  if (plan.unique && size > 1 && !UniqueItems(message, field, size))
    run.violations.Add(path, "must not have the same item twice");
  if (field->is_map()) {
    if (!plan.keys.Any() && !plan.values.Any()) return;
    const FieldDescriptor* key_field = field->message_type()->map_key();
    const FieldDescriptor* value_field = field->message_type()->map_value();
    for (int i = 0; i < size; ++i) {
      const Message& entry = reflection->GetRepeatedMessage(message, field, i);
      const std::string text = KeyText(entry, key_field);
      const Path at{path, field, -1, &text};
      Value key, value;
      Get(entry, key_field, -1, key);
      plan.keys.Run(key, &at, run);
      Get(entry, value_field, -1, value);
      plan.values.Run(value, &at, run);
    }
  } else if (plan.values.Any()) {
    for (int i = 0; i < size; ++i) {
      const Path at{path, field, i};
      Value value;
      Get(message, field, i, value);
      plan.values.Run(value, &at, run);
    }
  }
}

// The fields that an update sets: the first segments of its mask's paths. Empty: all of them ("*", or no mask).
std::vector<std::string> MaskedFields(const Message& request) {
  const FieldDescriptor* mask = request.GetDescriptor()->FindFieldByName("update_mask");
  if (mask == nullptr || mask->is_repeated() || mask->message_type() == nullptr ||
      mask->message_type()->well_known_type() != Descriptor::WELLKNOWNTYPE_FIELDMASK) {
    return {};
  }
  const Message& paths = request.GetReflection()->GetMessage(request, mask);
  const FieldDescriptor* field = paths.GetDescriptor()->FindFieldByNumber(1);
  std::vector<std::string> names;
  for (int i = 0; i < paths.GetReflection()->FieldSize(paths, field); ++i) {
    const std::string path = paths.GetReflection()->GetRepeatedString(paths, field, i);
    if (path == "*") return {};
    names.push_back(path.substr(0, path.find('.')));
  }
  if (!names.empty()) names.push_back("id");
  return names;
}

void CheckMessage(const Message& message, const Plan& plan, const Path* parent, Run& run,
                  const std::vector<std::string>* only) {
  const Reflection* reflection = message.GetReflection();
  std::vector<std::string> masked;
  if (parent == nullptr) masked = MaskedFields(message);
  for (const FieldPlan& field : plan.fields) {
    const Path path{parent, field.field};
    if (only != nullptr && std::find(only->begin(), only->end(), field.field->name()) == only->end()) continue;
    if (!masked.empty() && !field.field->is_repeated() && field.record != nullptr) {
      if (reflection->HasField(message, field.field)) {
        CheckMessage(reflection->GetMessage(message, field.field), *field.record, &path, run, &masked);
      } else if (field.required) {
        run.violations.Add(&path, "must be given");
      }
      continue;
    }
    if (field.field->is_repeated()) {
      CheckList(message, field, &path, run);
      continue;
    }
    if (field.presence && !reflection->HasField(message, field.field)) {
      if (field.required) run.violations.Add(&path, "must be given");
      continue;
    }
    Value value;
    Get(message, field.field, -1, value);
    if (field.required && !field.presence && value.zero()) {
      run.violations.Add(
          &path, field.field->cpp_type() == FieldDescriptor::CPPTYPE_STRING ? "must not be empty" : "must be given");
      continue;
    }
    field.values.Run(value, &path, run);
  }
  for (const OneofDescriptor* oneof : plan.oneofs) {
    if (reflection->HasOneof(message, oneof)) continue;
    run.violations.Add(parent, [&] {
      std::vector<const FieldDescriptor*> fields;
      for (int i = 0; i < oneof->field_count(); ++i) fields.push_back(oneof->field(i));
      return absl::StrCat("must have one of ", NamesOf(fields));
    });
  }
  for (const OneOf& oneof : plan.message_oneofs) {
    const auto given = std::count_if(oneof.fields.begin(), oneof.fields.end(),
                                     [&](const auto* field) { return Present(message, field); });
    if (given > 1) {
      run.violations.Add(parent, [&] { return absl::StrCat("must have only one of ", NamesOf(oneof.fields)); });
    } else if (given == 0 && oneof.required) {
      run.violations.Add(parent, [&] { return absl::StrCat("must have one of ", NamesOf(oneof.fields)); });
    }
  }
}

void MessageRule::Check(const Value& value, const Path* path, Run& run) const {
  CheckMessage(*value.m, *plan, path, run, nullptr);
}

}  // namespace validation

absl::Status Validate(const google::protobuf::Message& message, absl::Time now) {
  const validation::Entry& entry = validation::EntryOf(message.GetDescriptor());
  if (!entry.rules.ok()) return entry.rules;
  validation::Run run{now, {}};
  validation::CheckMessage(message, *entry.plan, nullptr, run, nullptr);
  return run.violations.status();
}

absl::Status CheckRules(const google::protobuf::Descriptor* type) { return validation::EntryOf(type).rules; }

}  // namespace crm::rpc
