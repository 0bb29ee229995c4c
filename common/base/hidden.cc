#include "common/base/hidden.h"

#include <google/protobuf/descriptor.h>

#include <vector>

#include "crm/type/v1/options.pb.h"

namespace crm {

void ClearHidden(google::protobuf::Message& message, bool personal) {
  using google::protobuf::FieldDescriptor;
  const auto* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const auto& info = field->options().GetExtension(type::v1::field);
    if ((info.personal() && !personal) || info.projected()) {
      reflection->ClearField(&message, field);
    } else if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      continue;
    } else if (field->is_repeated()) {
      for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
        ClearHidden(*reflection->MutableRepeatedMessage(&message, field, i), personal);
      }
    } else {
      ClearHidden(*reflection->MutableMessage(&message, field), personal);
    }
  }
}

}  // namespace crm
