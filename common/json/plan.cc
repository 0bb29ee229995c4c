#include "common/json/plan.h"

#include <absl/strings/str_cat.h>

#include <mutex>

namespace crm::json {

writing::EnumPlan::EnumPlan(const google::protobuf::EnumDescriptor* type)
    : is_null(type->full_name() == "google.protobuf.NullValue") {
  for (int i = type->value_count() - 1; i >= 0; --i) {  // backwards: of aliases the first one wins
    const auto* value = type->value(i);
    const std::string quoted = absl::StrCat("\"", value->name(), "\"");
    if (value->number() >= 0 && value->number() < static_cast<int>(kDenseNumberMax)) {
      if (dense.size() <= static_cast<std::size_t>(value->number())) dense.resize(value->number() + 1);
      dense[value->number()] = quoted;
    } else {
      sparse[value->number()] = quoted;
    }
  }
}

const Writer::Plan* Writer::Impl::Compile(const google::protobuf::Descriptor* type) {
  using namespace writing;
  using google::protobuf::FieldDescriptor;
  auto [it, added] = plans.try_emplace(type);
  if (!added) return it->second.get();
  it->second = std::make_unique<Plan>();
  Plan* plan = it->second.get();  // `it` does not survive the recursion
  plan->type = type;
  plan->known = type->well_known_type();
  plan->fields.reserve(type->field_count());
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (field->type() == FieldDescriptor::TYPE_GROUP) continue;  // proto2 alone has them; never ours
    FieldPlan& out = plan->fields.emplace_back();
    out.field = field;
    out.number = field->number();
    out.type = field->type();
    out.wire_type = WireTypeOf(field->type());
    out.repeated = field->is_repeated();
    out.map = field->is_map();
    out.packable = field->is_packable();
    out.presence = !field->is_repeated() && field->has_presence();
    const auto* oneof = field->real_containing_oneof();
    out.oneof = oneof == nullptr ? -1 : oneof->index();
    out.member = absl::StrCat(",\"", field->name(), "\":");
    if (field->message_type() != nullptr) out.message = Compile(field->message_type());
    if (field->enum_type() != nullptr) out.enum_type = std::make_unique<EnumPlan>(field->enum_type());
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT64:
      case FieldDescriptor::CPPTYPE_UINT64:
        out.zero = "\"0\"";
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        out.zero = "false";
        break;
      case FieldDescriptor::CPPTYPE_STRING:
        out.zero = "\"\"";
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        out.enum_type->Append(field->default_value_enum()->number(), out.zero);
        break;
      case FieldDescriptor::CPPTYPE_MESSAGE:
        break;
      default:
        out.zero = "0";
    }
    if (out.map) {
      out.absent = out.member + "{}";
    } else if (out.repeated) {
      out.absent = out.member + "[]";
    } else if (!out.presence) {
      out.absent = out.member + out.zero;
    }
    const int index = static_cast<int>(plan->fields.size()) - 1;
    if (out.number < kDenseNumberMax) {
      if (plan->dense.size() <= out.number) plan->dense.resize(out.number + 1, -1);
      plan->dense[out.number] = static_cast<int16_t>(index);
    } else {
      plan->sparse[out.number] = index;
    }
  }
  return plan;
}

Writer::Writer(const google::protobuf::DescriptorPool* pool) : impl_(std::make_unique<Impl>()) { impl_->pool = pool; }
Writer::~Writer() = default;

const Writer& Writer::Generated() {
  static const auto* writer = new Writer(google::protobuf::DescriptorPool::generated_pool());
  return *writer;
}

const Writer::Plan* Writer::PlanOf(const google::protobuf::Descriptor* type) const {
  {
    std::shared_lock lock(impl_->mutex);
    auto it = impl_->plans.find(type);
    if (it != impl_->plans.end()) return it->second.get();
  }
  std::unique_lock lock(impl_->mutex);
  return impl_->Compile(type);
}

}  // namespace crm::json
