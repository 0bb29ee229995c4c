// Rows -> protobuf's wire format, without reflection: a list of 50 records is then parsed by the generated code in a
// fifth of the time that setting each field by reflection and reading each jsonb value by the general reader take.
// Shared by common/pg/table*.cc; nothing else includes it.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/strings/string_view.h>
#include <google/protobuf/descriptor.h>

#include <memory>
#include <string>
#include <vector>

#include "common/base/id.h"
#include "common/pg/batch.h"

namespace crm::pg::record {

// ---- fields, appended to `out` ----
void WireVarint(uint64_t value, std::string& out);
void WireTag(int number, int type, std::string& out);
void WireText(int number, absl::string_view text, std::string& out);
void WireInt(int number, uint64_t value, std::string& out);  // int32, int64, uint32, uint64, bool, enum
void WireDouble(int number, double value, std::string& out);
void WireFloat(int number, float value, std::string& out);
void WireTime(int number, absl::Time time, std::string& out);
void WireId(int number, absl::string_view prefix, const Uuid& id, std::string& out);

// Calls `element` with each element's bytes of PostgreSQL's binary one-dimensional array.
template <typename F>
void ForEachInArray(absl::string_view raw, F element) {
  const auto word = [&](size_t at) {
    const auto* p = reinterpret_cast<const unsigned char*>(raw.data() + at);
    return static_cast<int32_t>(static_cast<uint32_t>(p[0]) << 24 | p[1] << 16 | p[2] << 8 | p[3]);
  };
  if (raw.size() < 20 || word(0) != 1) return;  // dimensions, has NULLs, element type; length, first index
  const int32_t count = word(12);
  size_t at = 20;
  for (int32_t i = 0; i < count && at + 4 <= raw.size(); ++i) {
    const int32_t length = word(at);
    at += 4;
    if (length < 0) continue;
    if (at + static_cast<size_t>(length) > raw.size()) return;
    element(raw.substr(at, static_cast<size_t>(length)));
    at += static_cast<size_t>(length);
  }
}

// ---- jsonb ----

// How the JSON of one message type becomes its wire format. For messages of strings, whole numbers, doubles, booleans,
// enums, lists, maps and such messages; for anything else (bytes, Timestamp, Struct ...) there is none.
class JsonWire {
 public:
  // Null if the field has a type that this does not know. Lives as long as the process.
  static const JsonWire* Of(const google::protobuf::FieldDescriptor* field);

  // Appends the field's values. False for text that is not as we have stored it (a number as text, a name that is
  // gone): `out` is then as before, and the general reader decides.
  bool Append(absl::string_view json, std::string& out) const;

  struct Plan;
  struct Field;
  explicit JsonWire(std::unique_ptr<Field> field);
  ~JsonWire();

 private:
  std::unique_ptr<Field> field_;
};

}  // namespace crm::pg::record
