// The proto message is the record: a column has its field's name. A Table is compiled once from the descriptor and its
// options (crm/type/v1/options.proto) and does get, insert, guarded update, list with filter / order / keyset, soft
// delete, etag and history. Whatever is cleverer is a statement of its own in a .sql file.
//
// Field -> column
//   string id (TypeID)          id uuid
//   string with one `ref`       uuid; with several or "*": text
//   bool, string, bytes, double boolean, text, bytea, double precision
//   int32, uint32 / int64       integer (uint32 up to 2^31 - 1) / bigint
//   enum                        smallint, the proto's number
//   string with date / decimal  date / numeric
//   Timestamp                   timestamptz
//   Money                       <f>_amount numeric, <f>_currency_code text
//   repeated scalar, enum       text[], integer[], smallint[], uuid[] (single ref)
//   other message, repeated     jsonb, by the same JSON as the API's
//   map<string, ...>            jsonb
//   optional / empty reference, timestamp, date, decimal, money, single message: NULL; other scalars, arrays, repeated
//   messages and maps NOT NULL with their proto default ('' / 0 / '{}' / '[]' / '{}')
//   oneof members: nullable columns
// Columns that every record table has beside its message's fields: tenant_id uuid, and revision integer NOT NULL, whose
// text is the message's `etag` (a message may have `uint32 revision` instead or besides). Fields that the layer itself
// keeps, when the message has them: etag, revision, create_time, update_time, delete_time (soft delete: gets and lists
// leave such records out unless asked), creator_id and updater_id (the actor; left empty where the field's ref does not
// allow the actor's kind). create_time and update_time are NOT NULL. A field of type RecordAccess, and one marked
// `computed`, is no column. A field marked `projected` is one that the layer reads, filters and sorts by but never writes:
// consumers of events fill it, without a new revision. One that `needs` the right to another kind of record is masked,
// and refused in filters and orders, where that right does not reach.
//
// A table with history has a twin <table>_history (made by the migration runner, common/pg/migrate.h) with the same
// columns and `valid_until` (when the next revision was written: that revision's update_time) and `superseded_by` (the
// TypeID of who wrote it); it is read through <table>_history_view. Such a message has etag and update_time. Lists as
// of a past moment want the live table's order indexes on the twin too.
//
// Rights: for tables marked `owned` every read and the guard of every write is narrowed to the caller's scope: OWN is
// owner_id = the caller, TEAM is team_id among the caller's teams or OWN. Tables that are not owned leave the check to
// the rpc's own access option.
//
// Indexes that lists want: (tenant_id, <order column>, id), which serves both directions, also where the column may be
// NULL; substrings (`:`) want gin (tenant_id, c gin_trgm_ops), arrays gin (tenant_id, c) WHERE c <> '{}', nested
// messages gin (c jsonb_path_ops).
#pragma once

#include <absl/time/time.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/message.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/base/filter.h"
#include "common/base/status.h"
#include "common/pg/batch.h"
#include "common/pg/db.h"
#include "crm/type/v1/access.pb.h"
#include "crm/type/v1/filter.pb.h"
#include "crm/type/v1/list.pb.h"
#include "crm/type/v1/revision.pb.h"

namespace crm::pg {

// A page has 50 records unless asked otherwise; 500 is what a screen or a program can still use at once.
inline constexpr int kPageSizeDefault = 50;
inline constexpr int kPageSizeMax = 500;
// Each further field of order_by adds up to two index ranges to every later page.
inline constexpr int kOrderFieldsMax = 4;
// A list that takes longer is refused with a hint: no screen waits for it, and it would hold up the others.
inline constexpr std::chrono::milliseconds kListTimeout{2000};

// What a list request says. Fill it with ListArgsOf(request), which reads the standard fields by name.
struct ListArgs {
  std::string filter;                        // AIP-160, see common/base/filter.h
  std::optional<type::v1::FilterTree> tree;  // the same as a tree; both hold if both are given
  std::string order_by;                      // AIP-132; the id is always appended
  int page_size = 0;                         // 0: 50; above 500: 500; negative: an error
  std::string page_token;                    // opaque; bound to method, tenant, filter and order
  type::v1::Count count = type::v1::COUNT_NONE;
  bool show_deleted = false;
  std::optional<absl::Time> as_of;  // the records as they were then; tables with history only
  // A further condition in SQL of the service's own (never of the caller's) over the row `t`, e.g. "t.pipeline_id =
  // $1", with its parameters numbered from $1; the layer renumbers. It must not be able to raise.
  std::string where;
  Params where_params;
  std::string default_order;  // when order_by is empty: "create_time desc"; without it newest first, or by id
};

// Reads filter, filter_tree, order_by, page_size, page_token, count, show_deleted, as_of from any list request that has
// them.
ListArgs ListArgsOf(const google::protobuf::Message& request);

// Whether the filter speaks of this field or of something below it; false for a filter that cannot be read.
bool FilterNames(const ListArgs& args, absl::string_view field);

template <typename M>
struct Page {
  std::vector<M> items;
  std::string next_page_token;
  std::optional<int32_t> total_size;
};

// A piece of SQL of the service's own, its parameters numbered from $1.
struct Fragment {
  std::string sql;
  Params params;
};

// A field that a filter may name although it is no column of the row: a contact's `phone`, found through the key table.
// `compile` answers a condition over the row `t` that cannot raise, for the whole comparison (negation is added by the
// layer), e.g. "EXISTS (SELECT 1 FROM record_key_view k WHERE k.kind = 'phone' AND k.key = $1 AND k.record_id = t.id)".
// A name ending in ".*" takes every path below it: "custom_fields.*".
struct FilterField {
  std::string name;
  std::function<absl::StatusOr<Fragment>(const Call&, const filter::Compare&)> compile;
  bool personal = false;  // only for callers who may see personal data
};

// A unique constraint, and how the record that holds the value is found: `sql` answers one uuid, its parameters come
// from the record that could not be stored.
struct UniqueKey {
  std::string constraint;
  std::string field;  // named in the error: "email"
  Statement lookup;   // "SELECT id FROM contact_view WHERE email = $1"
  std::function<Params(const google::protobuf::Message& record)> params;
};

// The compiled form, without the message type.
class RecordTable {
 public:
  // CHECK-fails at start if the message has no record option or a field without a column type.
  RecordTable(const google::protobuf::Descriptor* descriptor, std::string schema);
  ~RecordTable();
  RecordTable(RecordTable&&) noexcept;

  const std::string& name() const;    // table
  const std::string& prefix() const;  // TypeID prefix and object of rights
  bool owned() const;
  bool history() const;
  const google::protobuf::Descriptor* descriptor() const;

  // At start, before the table is used.
  void AddFilterField(FilterField field);
  void AddUniqueKey(UniqueKey key);

  // A column as the migrations must have it; for tests and tools that compare the two.
  struct ColumnInfo {
    std::string name;
    std::string type;  // as format_type prints it: "timestamp with time zone"
    bool nullable = false;
  };
  std::vector<ColumnInfo> Columns() const;

  Statement SelectByIds() const;  // $1 uuid[]; for tools and the bench
  Statement SelectById() const;   // $1 uuid; what a get sends for a caller whose scope is all
  Statement InsertOne() const;    // $1 tenant, then the columns in order
  // What a list without filter sends for a caller whose scope is all.
  absl::StatusOr<Statement> SelectPage(const ListArgs& args) const;

  // What List sends for these arguments: the statement and its parameters, for EXPLAIN in tests and tools.
  absl::StatusOr<Fragment> PageQuery(const Call& call, const ListArgs& args) const;

  // Adds the read of records by id, narrowed to the caller's scope for `action`.
  void AddGet(Batch& batch, const std::vector<Uuid>& ids, type::v1::Action action, bool show_deleted) const;
  // Decodes a row of AddGet, SelectByIds or a list into an empty message.
  absl::Status Read(const Rows& rows, int row, google::protobuf::Message& out) const;
  // The same as the message's bytes.
  absl::Status ReadBytes(const Rows& rows, int row, std::string& out) const;
  void AddInsert(Batch& batch, const google::protobuf::Message& record) const;
  // Guarded by tenant, id, revision and, for owned tables, by the caller's scope for `action` (ACTION_UNSPECIFIED: no
  // scope; for effects that follow from a right to something else). Stores `after` with the etag and update_time that
  // Touch gives it; id, create_time and creator_id stay as they are. Setting or clearing delete_time is ACTION_DELETE.
  void AddUpdate(Batch& batch, const google::protobuf::Message& before, const google::protobuf::Message& after,
                 type::v1::Action action = type::v1::ACTION_UPDATE) const;
  // Removes the row itself (soft delete is an update that sets delete_time); guarded as an update, keeps history.
  void AddDelete(Batch& batch, const google::protobuf::Message& before,
                 type::v1::Action action = type::v1::ACTION_DELETE) const;

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

// Stamps a new record: id (if empty), etag "1", create_time, update_time, creator_id, updater_id; owner_id (the caller,
// if a user) and team_id (the caller's, if the caller is the owner) where an owned record has none.
void StampNew(const Call& call, const RecordTable& table, google::protobuf::Message& record);

// PERMISSION_DENIED if the caller may create such records but not this one: for another owner or team.
absl::Status CheckCreate(const Call& call, const RecordTable& table, const google::protobuf::Message& record);

// What an update stamps on `after`: the next etag, an update_time after that of `before`, the updater. Patched does it;
// a handler whose rule makes `after` itself calls it before answering `after`.
void Touch(const Call& call, const google::protobuf::Message& before, google::protobuf::Message& after);

// Applies an update: copies the masked fields of `patch` (all settable ones for "*" or an empty mask) onto a copy of
// `before`, refuses OUTPUT_ONLY and IMMUTABLE fields and unknown paths by name, raises the etag and update_time.
// Repeated fields and messages are replaced whole; "address.city" sets one member of a message, "custom_fields.size"
// one key of a map or Struct (a key that `patch` lacks is removed). Masked personal fields are refused (skipped for
// "*") for callers who may not see them, so that what they were shown instead is never stored. Answers ABORTED with
// ETAG_MISMATCH and the current etag if `etag` is not empty and differs.
absl::Status PatchInto(const Call& call, const google::protobuf::Message& before,
                       const google::protobuf::Message& patch, const google::protobuf::FieldMask& mask,
                       const std::string& etag, google::protobuf::Message& after);
template <typename M>
absl::StatusOr<M> Patched(const Call& call, const M& before, const M& patch, const google::protobuf::FieldMask& mask,
                          const std::string& etag) {
  M after;
  CRM_TRY(PatchInto(call, before, patch, mask, etag, after));
  return after;
}

// ETAG_MISMATCH with the current etag in the metadata, if `etag` is given and is not the record's.
absl::Status CheckEtag(const google::protobuf::Message& record, absl::string_view etag);

// The revision in an etag: "3" (with or without quotes) -> 3.
uint32_t RevisionOf(const google::protobuf::Message& record);

// Paths that differ, for the event's changed_fields. Without what the layer keeps (etag, update_time ...) and computed
// fields.
std::vector<std::string> ChangedFields(const google::protobuf::Message& before, const google::protobuf::Message& after);

// The event of this record: type "<prefix>.<what>", id, revision, owner and team.
NewEvent EventOf(const RecordTable& table, absl::string_view what, const google::protobuf::Message& record);

// ---- what the reader may see ----

// Whether the caller's scope for the action covers this record of an owned table (other tables: true).
bool MayDo(const Call& call, const RecordTable& table, const google::protobuf::Message& record,
           type::v1::Action action);

// Whether the caller's right to read this kind of record reaches the owner of `record`, on which such records hang.
bool ReadReaches(const Call& call, const std::string& object, const google::protobuf::Message& record);

// Hides personal fields from callers who may not see them, at any depth: text keeps its first character ("J***"), all
// else is cleared; their paths are added to `access.masked` if the message has it.
void Mask(const Call& call, google::protobuf::Message& record);

// Fills `access.can` with what the caller may do with the record: "update", "delete", "administer".
void FillAccess(const Call& call, const RecordTable& table, google::protobuf::Message& record);

// Turns Once's ALREADY_EXISTS into one that names the existing record in the metadata `existing` and the field, by the
// table's unique keys. Any other status passes.
Async<> NameExisting(Db& db, const Call& call, const RecordTable& table, absl::Status status,
                     const google::protobuf::Message& record);

// ---- reads beside Db's ----

// The short forms of those records that exist, deleted ones too, and that the caller may read.
Async<std::vector<type::v1::Ref>> RefsOf(Db& db, const Call& call, const RecordTable& table,
                                         std::vector<std::string> ids);

// What happened to a record, newest first, at most `limit` revisions (1-500) below `before_revision` (0: from the
// newest); the first revision has no changes, and no actor where the record keeps no creator_id. Field values are JSON.
// Personal fields are named without values to callers who may not see them.
Async<std::vector<type::v1::Revision>> History(Db& db, const Call& call, const RecordTable& table, std::string id,
                                               int limit = 50, uint32_t before_revision = 0);

namespace internal {
Async<> GetInto(Db& db, const Call& call, const RecordTable& table, std::string id, type::v1::Action action,
                bool show_deleted, std::optional<absl::Time> as_of, google::protobuf::Message& out);
// `add` answers the message to fill next.
using AddMessage = std::function<google::protobuf::Message&()>;
Async<> BatchGetInto(Db& db, const Call& call, const RecordTable& table, std::vector<std::string> ids, AddMessage add);
struct PageInfo {
  std::string next_page_token;
  std::optional<int32_t> total_size;
};
Async<PageInfo> ListInto(Db& db, const Call& call, const RecordTable& table, ListArgs args, AddMessage add);
Async<> ListEncoded(Db& db, const Call& call, const RecordTable& table, ListArgs args, bool full,
                    google::protobuf::Message& response);
Async<> LockInto(Transaction& transaction, const Call& call, const RecordTable& table, std::string id,
                 type::v1::Action action, google::protobuf::Message& out);
}  // namespace internal

// The record as it was at that moment, or NOT_FOUND if it did not exist then. For tables with history.
template <typename M>
Async<M> GetAsOf(Db& db, const Call& call, const Table<M>& table, std::string id, absl::Time as_of) {
  M record;
  CRM_CO_TRY(co_await internal::GetInto(db, call, table, std::move(id), type::v1::ACTION_READ, false, as_of, record));
  co_return record;
}

// Inside Transact: the record FOR UPDATE, under the same rules as Db::Get.
template <typename M>
Async<M> Lock(Transaction& transaction, const Call& call, const Table<M>& table, std::string id,
              type::v1::Action action = type::v1::ACTION_UPDATE) {
  M record;
  CRM_CO_TRY(co_await internal::LockInto(transaction, call, table, std::move(id), action, record));
  co_return record;
}

// ---- the templates of Db and Batch that speak of records ----

// A record that exists and may be read but for which `action` is not granted is PERMISSION_DENIED.
template <typename M>
Async<M> Db::Get(const Call& call, const Table<M>& table, std::string id, type::v1::Action action, bool show_deleted) {
  M record;
  CRM_CO_TRY(co_await internal::GetInto(*this, call, table, std::move(id), action, show_deleted, std::nullopt, record));
  co_return record;
}

// In the order of `ids`; those that do not exist, are deleted or may not be read are left out. At most 500.
template <typename M>
Async<std::vector<M>> Db::BatchGet(const Call& call, const Table<M>& table, std::vector<std::string> ids) {
  std::vector<M> records;
  CRM_CO_TRY(co_await internal::BatchGetInto(*this, call, table, std::move(ids),
                                             [&]() -> google::protobuf::Message& { return records.emplace_back(); }));
  co_return records;
}

template <typename M>
Async<Page<M>> Db::List(const Call& call, const Table<M>& table, ListArgs args) {
  Page<M> page;
  CRM_CO_TRY(auto info,
             co_await internal::ListInto(*this, call, table, std::move(args),
                                         [&]() -> google::protobuf::Message& { return page.items.emplace_back(); }));
  page.next_page_token = std::move(info.next_page_token);
  page.total_size = info.total_size;
  co_return page;
}

template <typename M>
void Batch::Insert(const Table<M>& table, const M& record) {
  table.AddInsert(*this, record);
}

template <typename M>
void Batch::Update(const Table<M>& table, const M& before, const M& after) {
  table.AddUpdate(*this, before, after);
}

}  // namespace crm::pg
