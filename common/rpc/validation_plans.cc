#include "common/rpc/validation_plans.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <re2/re2.h>

#include <mutex>
#include <shared_mutex>
#include <utility>

#include "buf/validate/validate.pb.h"
#include "common/rpc/validation.h"
#include "common/rpc/validation_forms.h"
#include "crm/type/v1/options.pb.h"

namespace crm::rpc::validation {

using google::protobuf::Reflection;
namespace bv = buf::validate;

// The plan of every message type met, for the life of the process.
class Compiler {
 public:
  const Plan* Compile(const Descriptor* type);

 private:
  void Field(const FieldDescriptor* field, Plan& plan);
  // The rules of one value into `checks`. `what` names it in errors.
  void Value(const FieldDescriptor* field, const bv::FieldRules& rules, const std::string& what, Plan& plan,
             Checks& checks);
  std::unique_ptr<Rule> Typed(const FieldDescriptor* field, const bv::FieldRules& rules, const std::string& what,
                              Plan& plan);
  std::unique_ptr<Rule> Strings(const FieldDescriptor* field, const bv::StringRules* rules, const std::string& what,
                                Plan& plan);
  std::unique_ptr<Rule> Bytes(const bv::BytesRules& rules, const std::string& what, Plan& plan);
  std::unique_ptr<RE2> Pattern(const std::string& pattern, bool text, const std::string& what, Plan& plan);
  // Refuses unknown fields and extensions of a rules message: what we do not see we cannot check.
  void Known(const Message& rules, const std::string& what, Plan& plan);

  absl::flat_hash_map<const Descriptor*, std::unique_ptr<Plan>> plans_;
};

void Compiler::Known(const Message& rules, const std::string& what, Plan& plan) {
  const Reflection* reflection = rules.GetReflection();
  if (!reflection->GetUnknownFields(rules).empty())
    plan.errors.push_back(what + ": has a rule that is not in our validate.proto");
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(rules, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->is_extension())
      plan.errors.push_back(absl::StrCat(what, ": the predefined rule ", field->full_name(), " is not known"));
  }
}

std::unique_ptr<RE2> Compiler::Pattern(const std::string& pattern, bool text, const std::string& what, Plan& plan) {
  RE2::Options options;
  options.set_log_errors(false);
  if (!text) options.set_encoding(RE2::Options::EncodingLatin1);
  auto compiled = std::make_unique<RE2>(pattern, options);
  if (compiled->ok()) return compiled;
  plan.errors.push_back(absl::StrCat(what, ": the pattern ", pattern, " cannot be read: ", compiled->error()));
  return nullptr;
}

template <typename T, typename Rules>
std::unique_ptr<Rule> Numbers(const Rules& rules) {
  auto rule = std::make_unique<NumberRule<T>>();
  if (rules.has_const_()) rule->members.only = rules.const_();
  rule->members.in.assign(rules.in().begin(), rules.in().end());
  rule->members.not_in.assign(rules.not_in().begin(), rules.not_in().end());
  if (rules.has_lt()) rule->range.high = rules.lt(), rule->range.high_open = true;
  if (rules.has_lte()) rule->range.high = rules.lte();
  if (rules.has_gt()) rule->range.low = rules.gt(), rule->range.low_open = true;
  if (rules.has_gte()) rule->range.low = rules.gte();
  return rule;
}

template <typename T, typename Rules, typename Convert>
void TimesInto(const Rules& rules, Range<T>& range, Members<T>& members, Convert convert) {
  if (rules.has_const_()) members.only = convert(rules.const_());
  if (rules.has_lt()) range.high = convert(rules.lt()), range.high_open = true;
  if (rules.has_lte()) range.high = convert(rules.lte());
  if (rules.has_gt()) range.low = convert(rules.gt()), range.low_open = true;
  if (rules.has_gte()) range.low = convert(rules.gte());
}

std::unique_ptr<Rule> Compiler::Strings(const FieldDescriptor* field, const bv::StringRules* rules,
                                        const std::string& what, Plan& plan) {
  auto rule = std::make_unique<TextRule>();
  rule->reference = field->options().GetExtension(type::v1::field).ref();
  if (!rule->reference.empty() && rule->reference != "*") {
    rule->prefixes = absl::StrSplit(rule->reference, absl::ByAnyChar(", "), absl::SkipEmpty());
  }
  rule->listed = field->is_repeated();
  rule->day = field->options().GetExtension(type::v1::field).date();
  if (rules == nullptr) {
    rule->bytes_max = kStringBytesMax;
    return rule;
  }
  if (rules->has_const_()) rule->members.only = rules->const_();
  rule->members.in.assign(rules->in().begin(), rules->in().end());
  rule->members.not_in.assign(rules->not_in().begin(), rules->not_in().end());
  if (rules->has_len()) rule->length = rules->len();
  if (rules->has_min_len()) rule->length_min = rules->min_len();
  if (rules->has_max_len()) rule->length_max = rules->max_len();
  if (rules->has_len_bytes()) rule->bytes = rules->len_bytes();
  if (rules->has_min_bytes()) rule->bytes_min = rules->min_bytes();
  if (rules->has_max_bytes()) rule->bytes_max = rules->max_bytes();
  if (!rule->length && !rule->length_max && !rule->bytes && !rule->bytes_max) rule->bytes_max = kStringBytesMax;
  if (rules->has_pattern()) rule->pattern = Pattern(rules->pattern(), true, what, plan);
  if (rules->has_prefix()) rule->prefix = rules->prefix();
  if (rules->has_suffix()) rule->suffix = rules->suffix();
  if (rules->has_contains()) rule->contains = rules->contains();
  if (rules->has_not_contains()) rule->contains_not = rules->not_contains();
  if (rules->well_known_case() != bv::StringRules::WELL_KNOWN_NOT_SET) {
    const auto* which = bv::StringRules::descriptor()->FindFieldByNumber(rules->well_known_case());
    const Form* form = FormOf(rules->well_known_case());
    if (form == nullptr) {
      plan.errors.push_back(absl::StrCat(what, ": string.", which->name(), " is not known"));
    } else if (rules->GetReflection()->GetBool(*rules, which)) {
      rule->form = form;
    }
  }
  return rule;
}

std::unique_ptr<Rule> Compiler::Bytes(const bv::BytesRules& rules, const std::string& what, Plan& plan) {
  auto rule = std::make_unique<TextRule>();
  rule->text = false;
  if (rules.has_const_()) rule->members.only = rules.const_();
  rule->members.in.assign(rules.in().begin(), rules.in().end());
  rule->members.not_in.assign(rules.not_in().begin(), rules.not_in().end());
  if (rules.has_len()) rule->bytes = rules.len();
  if (rules.has_min_len()) rule->bytes_min = rules.min_len();
  if (rules.has_max_len()) rule->bytes_max = rules.max_len();
  if (rules.has_pattern()) rule->pattern = Pattern(rules.pattern(), false, what, plan);
  if (rules.has_prefix()) rule->prefix = rules.prefix();
  if (rules.has_suffix()) rule->suffix = rules.suffix();
  if (rules.has_contains()) rule->contains = rules.contains();
  if (rules.well_known_case() != bv::BytesRules::WELL_KNOWN_NOT_SET) {
    plan.errors.push_back(absl::StrCat(what, ": bytes.",
                                       bv::BytesRules::descriptor()->FindFieldByNumber(rules.well_known_case())->name(),
                                       " is not known"));
  }
  return rule;
}

std::unique_ptr<Rule> Compiler::Typed(const FieldDescriptor* field, const bv::FieldRules& rules,
                                      const std::string& what, Plan& plan) {
  const auto which = rules.type_case();
  const auto type = field->type();
  const Descriptor* message = field->message_type();
  const auto known = message == nullptr ? Descriptor::WELLKNOWNTYPE_UNSPECIFIED : message->well_known_type();
  if (which != bv::FieldRules::TYPE_NOT_SET) {
    const auto* rules_field = bv::FieldRules::descriptor()->FindFieldByNumber(which);
    Known(rules.GetReflection()->GetMessage(rules, rules_field), what, plan);
  }
  auto mismatch = [&]() -> std::unique_ptr<Rule> {
    plan.errors.push_back(absl::StrCat(what, ": has ", bv::FieldRules::descriptor()->FindFieldByNumber(which)->name(),
                                       " rules, but is ",
                                       message != nullptr ? message->full_name() : field->type_name()));
    return nullptr;
  };
  switch (which) {
#define CRM_NUMBERS(Case, name, TYPE, T) \
  case bv::FieldRules::Case:             \
    return type == FieldDescriptor::TYPE ? Numbers<T>(rules.name()) : mismatch();
    CRM_NUMBERS(kFloat, float_, TYPE_FLOAT, float)
    CRM_NUMBERS(kDouble, double_, TYPE_DOUBLE, double)
    CRM_NUMBERS(kInt32, int32, TYPE_INT32, int32_t)
    CRM_NUMBERS(kInt64, int64, TYPE_INT64, int64_t)
    CRM_NUMBERS(kUint32, uint32, TYPE_UINT32, uint32_t)
    CRM_NUMBERS(kUint64, uint64, TYPE_UINT64, uint64_t)
    CRM_NUMBERS(kSint32, sint32, TYPE_SINT32, int32_t)
    CRM_NUMBERS(kSint64, sint64, TYPE_SINT64, int64_t)
    CRM_NUMBERS(kFixed32, fixed32, TYPE_FIXED32, uint32_t)
    CRM_NUMBERS(kFixed64, fixed64, TYPE_FIXED64, uint64_t)
    CRM_NUMBERS(kSfixed32, sfixed32, TYPE_SFIXED32, int32_t)
    CRM_NUMBERS(kSfixed64, sfixed64, TYPE_SFIXED64, int64_t)
#undef CRM_NUMBERS
    case bv::FieldRules::kBool: {
      if (type != FieldDescriptor::TYPE_BOOL) return mismatch();
      if (!rules.bool_().has_const_()) return nullptr;
      auto rule = std::make_unique<BoolRule>();
      rule->only = rules.bool_().const_();
      return rule;
    }
    case bv::FieldRules::kString:
      if (type != FieldDescriptor::TYPE_STRING) return mismatch();
      return Strings(field, &rules.string(), what, plan);
    case bv::FieldRules::kBytes:
      if (type != FieldDescriptor::TYPE_BYTES) return mismatch();
      return Bytes(rules.bytes(), what, plan);
    case bv::FieldRules::kEnum: {
      if (type != FieldDescriptor::TYPE_ENUM) return mismatch();
      auto rule = std::make_unique<EnumRule>();
      const auto& r = rules.enum_();
      rule->type = field->enum_type();
      rule->defined_only = r.defined_only();
      if (r.has_const_()) rule->members.only = r.const_();
      rule->members.in.assign(r.in().begin(), r.in().end());
      rule->members.not_in.assign(r.not_in().begin(), r.not_in().end());
      return rule;
    }
    case bv::FieldRules::kTimestamp: {
      if (known != Descriptor::WELLKNOWNTYPE_TIMESTAMP) return mismatch();
      auto rule = std::make_unique<TimeRule>();
      const auto& r = rules.timestamp();
      TimesInto(r, rule->range, rule->members, TimeOf);
      rule->past = r.lt_now();
      rule->future = r.gt_now();
      if (r.has_within()) rule->within = DurationOf(r.within());
      return rule;
    }
    case bv::FieldRules::kDuration: {
      if (known != Descriptor::WELLKNOWNTYPE_DURATION) return mismatch();
      auto rule = std::make_unique<DurationRule>();
      const auto& r = rules.duration();
      TimesInto(r, rule->range, rule->members, DurationOf);
      for (const auto& item : r.in()) rule->members.in.push_back(DurationOf(item));
      for (const auto& item : r.not_in()) rule->members.not_in.push_back(DurationOf(item));
      return rule;
    }
    case bv::FieldRules::kFieldMask: {
      if (known != Descriptor::WELLKNOWNTYPE_FIELDMASK) return mismatch();
      auto rule = std::make_unique<MaskRule>();
      const auto& r = rules.field_mask();
      if (r.has_const_()) rule->only.emplace(r.const_().paths().begin(), r.const_().paths().end());
      rule->in.assign(r.in().begin(), r.in().end());
      rule->not_in.assign(r.not_in().begin(), r.not_in().end());
      return rule;
    }
    case bv::FieldRules::kAny: {
      if (known != Descriptor::WELLKNOWNTYPE_ANY) return mismatch();
      auto rule = std::make_unique<AnyRule>();
      rule->urls.in.assign(rules.any().in().begin(), rules.any().in().end());
      rule->urls.not_in.assign(rules.any().not_in().begin(), rules.any().not_in().end());
      return rule;
    }
    case bv::FieldRules::kRepeated:
    case bv::FieldRules::kMap:
      return mismatch();
    case bv::FieldRules::TYPE_NOT_SET:
      break;
  }
  // Without rules: what holds for every message.
  switch (type) {
    case FieldDescriptor::TYPE_STRING:
      return Strings(field, nullptr, what, plan);
    case FieldDescriptor::TYPE_DOUBLE:
      return std::make_unique<NumberRule<double>>();
    case FieldDescriptor::TYPE_FLOAT:
      return std::make_unique<NumberRule<float>>();
    default:
      break;
  }
  switch (known) {
    case Descriptor::WELLKNOWNTYPE_TIMESTAMP:
      return std::make_unique<TimeRule>();
    case Descriptor::WELLKNOWNTYPE_DURATION:
      return std::make_unique<DurationRule>();
    case Descriptor::WELLKNOWNTYPE_FIELDMASK:
      return std::make_unique<MaskRule>();
    case Descriptor::WELLKNOWNTYPE_ANY:
      return std::make_unique<AnyRule>();
    default:
      break;
  }
  if (message == nullptr) return nullptr;
  auto rule = std::make_unique<MessageRule>();
  rule->plan = Compile(message);
  plan.inside.push_back(rule->plan);
  return rule;
}

bool IsWrapper(const Descriptor* type) {
  return type != nullptr && Transparent(type) && type->field_count() == 1 && !type->field(0)->is_repeated();
}

void Compiler::Value(const FieldDescriptor* field, const bv::FieldRules& rules, const std::string& what, Plan& plan,
                     Checks& checks) {
  Known(rules, what, plan);
  if (rules.cel_size() > 0 || rules.cel_expression_size() > 0) {
    plan.errors.push_back(what + ": CEL rules are not known; write a rule in rules/ instead");
  }
  const bool always = rules.ignore() == bv::IGNORE_ALWAYS;
  if (always && field->message_type() != nullptr) {
    plan.errors.push_back(what + ": IGNORE_ALWAYS on a message would leave its texts unchecked");
  }
  checks.skip_zero = rules.ignore() == bv::IGNORE_IF_ZERO_VALUE;
  std::unique_ptr<Rule> rule;
  if (IsWrapper(field->message_type()) && rules.type_case() != bv::FieldRules::TYPE_NOT_SET) {
    auto wrapper = std::make_unique<WrapperRule>();
    wrapper->inner = Typed(field->message_type()->field(0), rules, what, plan);
    if (wrapper->inner != nullptr) rule = std::move(wrapper);
  } else {
    rule = Typed(field, always ? bv::FieldRules::default_instance() : rules, what, plan);
  }
  if (rule != nullptr) checks.rules.push_back(std::move(rule));
}

void Compiler::Field(const FieldDescriptor* field, Plan& plan) {
  const bv::FieldRules& rules = field->options().GetExtension(bv::field);
  const std::string& what = field->full_name();
  FieldPlan out;
  out.field = field;
  out.presence = !field->is_repeated() && field->has_presence();
  out.required = rules.required();
  if (field->options().HasExtension(bv::predefined)) plan.errors.push_back(what + ": predefined rules are not known");
  if (!field->is_repeated()) {
    Value(field, rules, what, plan, out.values);
    if (field->message_type() != nullptr && field->message_type()->options().HasExtension(type::v1::record)) {
      out.record = Compile(field->message_type());
    }
    if (out.required || out.values.Any()) plan.fields.push_back(std::move(out));
    return;
  }
  Known(rules, what, plan);
  if (rules.cel_size() > 0 || rules.cel_expression_size() > 0) {
    plan.errors.push_back(what + ": CEL rules are not known; write a rule in rules/ instead");
  }
  const bool ignore = rules.ignore() == bv::IGNORE_ALWAYS;
  out.skip_empty = rules.ignore() == bv::IGNORE_IF_ZERO_VALUE;
  const auto wanted = field->is_map() ? bv::FieldRules::kMap : bv::FieldRules::kRepeated;
  if (rules.type_case() != bv::FieldRules::TYPE_NOT_SET && rules.type_case() != wanted) {
    plan.errors.push_back(absl::StrCat(what, ": has ",
                                       bv::FieldRules::descriptor()->FindFieldByNumber(rules.type_case())->name(),
                                       " rules, but is a ", field->is_map() ? "map" : "list"));
    return;
  }
  if (field->is_map()) {
    const bv::MapRules& map = ignore ? bv::MapRules::default_instance() : rules.map();
    Known(map, what, plan);
    if (map.has_min_pairs()) out.size_min = map.min_pairs();
    if (map.has_max_pairs()) out.size_max = map.max_pairs();
    Value(field->message_type()->map_key(), map.keys(), what + " (keys)", plan, out.keys);
    Value(field->message_type()->map_value(), map.values(), what + " (values)", plan, out.values);
    if (map.keys().required() || map.values().required())
      plan.errors.push_back(what + ": `required` has no meaning inside a map");
  } else {
    const bv::RepeatedRules& list = ignore ? bv::RepeatedRules::default_instance() : rules.repeated();
    Known(list, what, plan);
    if (list.has_min_items()) out.size_min = list.min_items();
    if (list.has_max_items()) out.size_max = list.max_items();
    out.unique = list.unique();
    if (out.unique && field->message_type() != nullptr)
      plan.errors.push_back(what + ": `unique` is for scalars and enums only");
    Value(field, list.items(), what + " (items)", plan, out.values);
    if (list.items().required()) plan.errors.push_back(what + ": `required` has no meaning inside a list");
  }
  plan.fields.push_back(std::move(out));
}

const Plan* Compiler::Compile(const Descriptor* type) {
  auto [it, added] = plans_.try_emplace(type);
  if (!added) return it->second.get();
  it->second = std::make_unique<Plan>();
  Plan& plan = *it->second;  // `it` does not survive the recursion
  plan.type = type;
  for (int i = 0; i < type->field_count(); ++i) Field(type->field(i), plan);
  for (int i = 0; i < type->real_oneof_decl_count(); ++i) {
    const OneofDescriptor* oneof = type->oneof_decl(i);
    const auto& rules = oneof->options().GetExtension(bv::oneof);
    Known(rules, oneof->full_name(), plan);
    if (rules.required()) plan.oneofs.push_back(oneof);
  }
  const auto& rules = type->options().GetExtension(bv::message);
  Known(rules, type->full_name(), plan);
  if (rules.cel_size() > 0 || rules.cel_expression_size() > 0) {
    plan.errors.push_back(type->full_name() + ": CEL rules are not known; write a rule in rules/ instead");
  }
  for (const auto& rule : rules.oneof()) {
    OneOf oneof;
    oneof.required = rule.required();
    for (const auto& name : rule.fields()) {
      const FieldDescriptor* field = type->FindFieldByName(name);
      if (field == nullptr) {
        plan.errors.push_back(absl::StrCat(type->full_name(), ": its oneof rule names ", name, ", which is no field"));
      } else {
        oneof.fields.push_back(field);
      }
    }
    plan.message_oneofs.push_back(std::move(oneof));
  }
  return &plan;
}

void Collect(const Plan* plan, absl::flat_hash_set<const Plan*>& seen, std::vector<std::string>& errors) {
  if (!seen.insert(plan).second) return;
  errors.insert(errors.end(), plan->errors.begin(), plan->errors.end());
  for (const Plan* inside : plan->inside) Collect(inside, seen, errors);
}

const Entry& EntryOf(const Descriptor* type) {
  static auto* mutex = new std::shared_mutex;
  static auto* compiler = new Compiler;
  static auto* entries = new absl::flat_hash_map<const Descriptor*, std::unique_ptr<const Entry>>;
  {
    std::shared_lock lock(*mutex);
    auto it = entries->find(type);
    if (it != entries->end()) return *it->second;
  }
  std::unique_lock lock(*mutex);
  auto& entry = (*entries)[type];
  if (entry == nullptr) {
    const Plan* plan = compiler->Compile(type);
    absl::flat_hash_set<const Plan*> seen;
    std::vector<std::string> errors;
    Collect(plan, seen, errors);
    absl::Status rules = absl::OkStatus();
    if (!errors.empty()) {
      rules = absl::FailedPreconditionError(
          absl::StrCat("Requests of ", type->full_name(), " cannot be validated: ", absl::StrJoin(errors, "; ")));
    }
    entry = std::make_unique<const Entry>(Entry{plan, std::move(rules)});
  }
  return *entry;
}

}  // namespace crm::rpc::validation
