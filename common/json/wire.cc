#include "common/json/wire.h"

#include <type_traits>

namespace crm::json::writing {

using google::protobuf::FieldDescriptor;

WireType WireTypeOf(FieldDescriptor::Type type) {
  switch (type) {
    case FieldDescriptor::TYPE_DOUBLE:
    case FieldDescriptor::TYPE_FIXED64:
    case FieldDescriptor::TYPE_SFIXED64:
      return kFixed64;
    case FieldDescriptor::TYPE_FLOAT:
    case FieldDescriptor::TYPE_FIXED32:
    case FieldDescriptor::TYPE_SFIXED32:
      return kFixed32;
    case FieldDescriptor::TYPE_STRING:
    case FieldDescriptor::TYPE_BYTES:
    case FieldDescriptor::TYPE_MESSAGE:
      return kBytes;
    case FieldDescriptor::TYPE_GROUP:
      return kGroupStart;
    default:
      return kVarint;
  }
}

Slot SlotOf(const google::protobuf::Message& message, const FieldDescriptor* field, int index, std::string& bytes) {
  const auto* reflection = message.GetReflection();
  const bool repeated = field->is_repeated();
  Slot slot;
  slot.count = 1;
  auto take = [&](auto value) {
    if constexpr (std::is_same_v<decltype(value), double>) {
      slot.value = std::bit_cast<uint64_t>(value);
    } else if constexpr (std::is_same_v<decltype(value), float>) {
      slot.value = std::bit_cast<uint32_t>(value);
    } else {
      slot.value = static_cast<uint64_t>(value);
    }
  };
  const bool zigzag = field->type() == FieldDescriptor::TYPE_SINT32 || field->type() == FieldDescriptor::TYPE_SINT64;
  switch (field->cpp_type()) {
#define CRM_TAKE(CPPTYPE, Name)                                                                                    \
  case FieldDescriptor::CPPTYPE:                                                                                   \
    take(repeated ? reflection->GetRepeated##Name(message, field, index) : reflection->Get##Name(message, field)); \
    break;
    CRM_TAKE(CPPTYPE_INT32, Int32)
    CRM_TAKE(CPPTYPE_INT64, Int64)
    CRM_TAKE(CPPTYPE_UINT32, UInt32)
    CRM_TAKE(CPPTYPE_UINT64, UInt64)
    CRM_TAKE(CPPTYPE_DOUBLE, Double)
    CRM_TAKE(CPPTYPE_FLOAT, Float)
    CRM_TAKE(CPPTYPE_BOOL, Bool)
    CRM_TAKE(CPPTYPE_ENUM, EnumValue)
#undef CRM_TAKE
    case FieldDescriptor::CPPTYPE_STRING:
      bytes = repeated ? reflection->GetRepeatedStringReference(message, field, index, &bytes)
                       : reflection->GetStringReference(message, field, &bytes);
      break;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      (repeated ? reflection->GetRepeatedMessage(message, field, index) : reflection->GetMessage(message, field))
          .SerializePartialToString(&bytes);
      break;
  }
  if (zigzag) {
    const auto value = static_cast<int64_t>(slot.value);
    slot.value = (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
  }
  slot.data = bytes.data();
  slot.size = bytes.size();
  return slot;
}

}  // namespace crm::json::writing
