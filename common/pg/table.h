// The proto message is the record: a column has its field's name. A Table is compiled once from the descriptor and its
// options (crm/type/v1/options.proto) and does get, insert, guarded update, list with filter / order / keyset, soft
// delete, etag and history. Whatever is cleverer is a statement of its own in a .sql file.
//
// Field -> column
//   string id (TypeID)          id uuid
//   string with one `ref`       uuid; with several or "*": text
//   bool, string, bytes, double boolean, text, bytea, double precision
//   int32, uint32               integer
//   enum                        smallint, the proto's number
//   string with date / decimal  date / numeric
//   Timestamp                   timestamptz
//   Money                       <f>_amount numeric, <f>_currency_code text
//   repeated scalar, enum       text[], int[], uuid[] (single ref)
//   other message, repeated     jsonb, by the same JSON as the API's
//   map<string, ...>            jsonb
//   optional / empty reference, timestamp, date: NULL; other scalars NOT NULL with their proto default
//   oneof members: nullable columns
// Columns that every record table has beside its message's fields: tenant_id uuid. Fields that the layer itself keeps,
// when the message has them: revision (uint32, or derived into etag), etag, create_time, update_time, delete_time.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/pg/batch.h"
#include "common/pg/db.h"
#include "crm/type/v1/list.pb.h"

namespace crm::pg {

// What a list request says. Fill it with ListArgsOf(request), which reads the standard fields by name.
struct ListArgs {
  std::string filter;      // AIP-160
  std::string order_by;    // AIP-132; the id is always appended
  int page_size = 0;       // 0: 50; above 500: 500; negative: an error
  std::string page_token;  // opaque; bound to filter and order
  type::v1::Count count = type::v1::COUNT_NONE;
  bool show_deleted = false;
  // A further condition in SQL of the service's own (never of the caller's), e.g. "pipeline_id = $1", with its parameters
  // numbered from $1; the layer renumbers.
  std::string where;
  Params where_params;
  std::string default_order;  // when order_by is empty: "create_time desc"
};

// Reads filter, order_by, page_size, page_token, count, show_deleted from any list request that has them.
ListArgs ListArgsOf(const google::protobuf::Message& request);

template <typename M>
struct Page {
  std::vector<M> items;
  std::string next_page_token;
  std::optional<int32_t> total_size;
};

// The compiled form, without the message type.
class RecordTable {
 public:
  // CHECK-fails at start if the message has no record option or a field without a column type.
  RecordTable(const google::protobuf::Descriptor* descriptor, std::string schema);
  ~RecordTable();

  const std::string& name() const;    // table
  const std::string& prefix() const;  // TypeID prefix and object of rights
  bool owned() const;
  const google::protobuf::Descriptor* descriptor() const;

  Statement SelectByIds() const;                 // $1 uuid[]; for tools and the bench
  void AddGet(Batch& batch, const std::vector<Uuid>& ids, type::v1::Action action, bool show_deleted) const;
  absl::Status Read(const Rows& rows, int row, google::protobuf::Message& out) const;
  void AddInsert(Batch& batch, const google::protobuf::Message& record) const;
  void AddUpdate(Batch& batch, const google::protobuf::Message& before, const google::protobuf::Message& after) const;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

template <typename M>
class Table : public RecordTable {
 public:
  explicit Table(std::string schema) : RecordTable(M::descriptor(), std::move(schema)) {}
};

// ---- what every record's handler does with it ----

// Stamps a new record: id (if empty), etag "1", create_time, update_time.
void StampNew(const Call& call, const RecordTable& table, google::protobuf::Message& record);

// Applies an update: copies the masked fields of `patch` (all settable ones for "*") onto a copy of `before`, refuses
// OUTPUT_ONLY and IMMUTABLE fields and unknown paths by name, raises the etag and update_time. Answers ABORTED with
// ETAG_MISMATCH and the current etag if `etag` is not empty and differs.
template <typename M>
absl::StatusOr<M> Patched(const Call& call, const M& before, const M& patch, const google::protobuf::FieldMask& mask,
                          const std::string& etag);

// The revision in an etag: "3" (with or without quotes) -> 3.
uint32_t RevisionOf(const google::protobuf::Message& record);

// Paths that differ, for the event's changed_fields.
std::vector<std::string> ChangedFields(const google::protobuf::Message& before, const google::protobuf::Message& after);

}  // namespace crm::pg
