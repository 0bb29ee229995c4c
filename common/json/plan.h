// What the writer knows of each message type, compiled once: names in quotes, defaults as JSON, wire types.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/strings/str_cat.h>
#include <google/protobuf/descriptor.h>

#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <string>
#include <vector>

#include "common/json/json.h"
#include "common/json/wire.h"

namespace crm::json {
namespace writing {

// Field numbers up to here are looked up in an array.
inline constexpr uint32_t kDenseNumberMax = 256;

struct EnumPlan {
  bool is_null = false;            // google.protobuf.NullValue
  std::vector<std::string> dense;  // by number from 0; empty: no such value
  absl::flat_hash_map<int32_t, std::string> sparse;

  explicit EnumPlan(const google::protobuf::EnumDescriptor* type);
  void Append(int32_t number, std::string& out) const {
    if (is_null) {
      out += "null";
    } else if (number >= 0 && static_cast<std::size_t>(number) < dense.size() && !dense[number].empty()) {
      out += dense[number];
    } else if (auto it = sparse.find(number); it != sparse.end()) {
      out += it->second;
    } else {
      absl::StrAppend(&out, number);
    }
  }
};

struct FieldPlan {
  const google::protobuf::FieldDescriptor* field;
  uint32_t number;
  google::protobuf::FieldDescriptor::Type type;
  WireType wire_type;
  bool repeated;
  bool map;
  bool packable;
  bool presence;       // absent is not printed
  int oneof;           // index of the oneof, -1
  std::string member;  // `,"name":`
  std::string zero;    // the JSON of its default
  std::string absent;  // `,"name":` with what an absent one prints; empty if nothing
  const Writer::Plan* message = nullptr;
  std::unique_ptr<EnumPlan> enum_type;
};

}  // namespace writing

struct Writer::Plan {
  const google::protobuf::Descriptor* type;
  google::protobuf::Descriptor::WellKnownType known;
  std::vector<writing::FieldPlan> fields;  // in the proto's order
  std::vector<int16_t> dense;              // field number -> index, -1
  absl::flat_hash_map<uint32_t, int> sparse;

  int IndexOf(uint32_t number) const {
    if (number < dense.size()) return dense[number];
    if (sparse.empty()) return -1;
    auto it = sparse.find(number);
    return it == sparse.end() ? -1 : it->second;
  }
  bool object() const {
    return known == google::protobuf::Descriptor::WELLKNOWNTYPE_UNSPECIFIED ||
           known == google::protobuf::Descriptor::WELLKNOWNTYPE_ANY ||
           known == google::protobuf::Descriptor::WELLKNOWNTYPE_STRUCT;
  }
};

struct Writer::Impl {
  const google::protobuf::DescriptorPool* pool;
  std::shared_mutex mutex;
  absl::flat_hash_map<const google::protobuf::Descriptor*, std::unique_ptr<Plan>> plans;

  // With the mutex held for writing; types may contain themselves, so a plan is known before it is complete.
  const Plan* Compile(const google::protobuf::Descriptor* type);
};

}  // namespace crm::json
