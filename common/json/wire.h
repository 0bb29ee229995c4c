// Protobuf's wire format: where the fields of a message stand in its bytes (protobuf.dev/programming-guides/encoding).
#pragma once

#include <absl/strings/string_view.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace crm::json::writing {

// Messages in messages; protobuf's own parser stops at 100 too.
inline constexpr int kWireDepthMax = 100;

enum WireType : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kGroupStart = 3, kGroupEnd = 4, kFixed32 = 5 };

WireType WireTypeOf(google::protobuf::FieldDescriptor::Type type);

// Where a field stands in the bytes. A repeated field is the run from its first to its last occurrence, which may have
// other fields in between.
struct Slot {
  uint32_t count = 0;
  uint64_t value = 0;          // the last one's, for numbers
  const char* data = nullptr;  // the last one's, for bytes
  std::size_t size = 0;
  const char* first = nullptr;  // the first one's tag
  const char* last = nullptr;   // after the last one

  absl::string_view bytes() const { return absl::string_view(data, size); }
};

// Each Take reads one value at `p` and answers what follows it.

// Reads a varint; null if it is cut or longer than ten bytes.
inline const char* TakeVarint(const char* p, const char* end, uint64_t& value) {
  if (p < end && static_cast<signed char>(*p) >= 0) {
    value = static_cast<unsigned char>(*p);
    return p + 1;
  }
  value = 0;
  for (int shift = 0; shift < 70 && p < end; shift += 7) {
    const auto byte = static_cast<unsigned char>(*p++);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return p;
  }
  return nullptr;
}

// A tag is a varint of 32 bits: protobuf's parser drops what a fifth byte has beyond them, and so do we.
inline const char* TakeTag(const char* p, const char* end, uint32_t& tag) {
  constexpr std::ptrdiff_t kBytesMax = 5;
  uint64_t value = 0;
  const char* const after = TakeVarint(p, end, value);
  tag = static_cast<uint32_t>(value);
  return after == nullptr || after - p > kBytesMax || tag >> 3 == 0 ? nullptr : after;
}

template <typename T>
inline const char* TakeFixed(const char* p, const char* end, uint64_t& value) {
  if (end - p < static_cast<std::ptrdiff_t>(sizeof(T))) return nullptr;
  static_assert(std::endian::native == std::endian::little);
  T fixed;
  std::memcpy(&fixed, p, sizeof fixed);
  value = fixed;
  return p + sizeof fixed;
}

inline const char* TakeBytes(const char* p, const char* end, const char*& data, std::size_t& size) {
  uint64_t length = 0;
  p = TakeVarint(p, end, length);
  if (p == nullptr || length > static_cast<uint64_t>(end - p)) return nullptr;
  data = p;
  size = length;
  return p + length;
}

// Takes a value of any wire type; groups are skipped whole.
inline const char* TakeValue(const char* p, const char* end, uint32_t tag, Slot& slot, int depth) {
  switch (tag & 7) {
    case kVarint:
      return TakeVarint(p, end, slot.value);
    case kFixed64:
      return TakeFixed<uint64_t>(p, end, slot.value);
    case kFixed32:
      return TakeFixed<uint32_t>(p, end, slot.value);
    case kBytes:
      return TakeBytes(p, end, slot.data, slot.size);
    case kGroupStart:
      if (depth >= kWireDepthMax) return nullptr;
      for (;;) {
        uint32_t inner = 0;
        p = TakeTag(p, end, inner);
        if (p == nullptr) return nullptr;
        if ((inner & 7) == kGroupEnd) return inner >> 3 == tag >> 3 ? p : nullptr;
        Slot ignored;
        p = TakeValue(p, end, inner, ignored, depth + 1);
        if (p == nullptr) return nullptr;
      }
    default:
      return nullptr;
  }
}

// The slot that the value would have had on the wire. Text and messages are kept in `bytes`.
Slot SlotOf(const google::protobuf::Message& message, const google::protobuf::FieldDescriptor* field, int index,
            std::string& bytes);

}  // namespace crm::json::writing
