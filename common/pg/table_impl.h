// What common/pg/table*.cc and filter_sql.cc share; nothing else includes it.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/strings/string_view.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/pg/row_wire.h"
#include "common/pg/table.h"
#include "crm/type/v1/options.pb.h"

namespace crm::pg {

namespace record {

enum class Kind {
  kId,
  kRef,  // uuid of one kind of record
  kText,
  kBool,
  kBytes,
  kDouble,
  kInt,
  kEnum,
  kDate,
  kDecimal,
  kTime,
  kMoneyAmount,
  kMoneyCurrency,
  kTextArray,
  kIntArray,
  kEnumArray,
  kIdArray,
  kJson,
  kRevision,
};

struct Column {
  Kind kind;
  const google::protobuf::FieldDescriptor* field;  // of the record's message
  std::string name;
  std::string ref;  // the field's `ref` option
  bool nullable = false;
  bool fixed = false;      // written by the insert only
  bool projected = false;  // not even by that: events fill it
  // Of Money: its members.
  const google::protobuf::FieldDescriptor* member = nullptr;
  const JsonWire* json = nullptr;  // of jsonb that has one
};

// How a caller's scope narrows a statement: index into the arrays of prepared variants.
enum Narrow { kAll = 0, kTeam = 1, kOwn = 2 };
inline constexpr int kNarrows = 3;

// The fields that the layer knows by name; null where the message has none.
struct Known {
  explicit Known(const google::protobuf::Descriptor* descriptor);
  const google::protobuf::FieldDescriptor *id, *etag, *revision, *create_time, *update_time, *delete_time, *creator_id,
      *updater_id, *owner_id, *team_id, *access;
};

const type::v1::FieldInfo& InfoOf(const google::protobuf::FieldDescriptor* field);
bool IsTimestamp(const google::protobuf::FieldDescriptor* field);
bool IsMoney(const google::protobuf::FieldDescriptor* field);
// Not a column: marked computed, or the reader's access.
bool IsComputed(const google::protobuf::FieldDescriptor* field);
// Kept by the layer itself: etag, times, creator and updater.
bool IsKept(const google::protobuf::FieldDescriptor* field);

bool SeesPersonal(const Call& call);
// Whether Mask hides nothing of any record of this type from the caller.
bool SeesAll(const Call& call, const google::protobuf::Descriptor* record);
// The field, or one below it, is personal.
bool HasPersonal(const google::protobuf::FieldDescriptor* field);
absl::Status RightMissing(absl::string_view object, type::v1::Action action);
absl::Status PersonalDataHidden(absl::string_view field);
// RIGHT_MISSING if the caller may not filter or sort by a field that `needs` the right to another kind of record: that
// right must reach all that the list shows, or the filter would tell what is hidden.
absl::Status CheckNeeds(const Call& call, const RecordTable::Impl& impl,
                        const google::protobuf::FieldDescriptor* field);
absl::string_view ActionName(type::v1::Action action);  // "update"

absl::Time TimeOf(const google::protobuf::Message& record, const google::protobuf::FieldDescriptor* field);
void SetTime(google::protobuf::Message& record, const google::protobuf::FieldDescriptor* field, absl::Time time);
std::string StringOf(const google::protobuf::Message& record, const google::protobuf::FieldDescriptor* field);

// SQL put together at run time. Never holds a caller's text: values are parameters.
class SqlBuilder {
 public:
  std::string text;

  // Takes one parameter; answers its "$n".
  std::string Bind(const Params& one);
  // Takes a fragment's parameters; answers its SQL renumbered.
  std::string Splice(const Fragment& fragment);
  const Params& params() const { return params_; }
  Params& params() { return params_; }

 private:
  Params params_;
};

}  // namespace record

struct RecordTable::Impl {
  Impl(const google::protobuf::Descriptor* descriptor, std::string schema);

  const google::protobuf::Descriptor* descriptor;
  std::string schema;
  type::v1::Record option;
  std::string prefix;
  record::Known known;
  std::vector<record::Column> columns;  // in the order of every SELECT and INSERT
  int revision_column = -1;
  std::string select_list;  // "t.id, t.revision, ..."
  std::string view, history_view;

  // [narrow][show_deleted]
  std::array<std::array<Statement, 2>, record::kNarrows> get_one, get_many;
  std::array<Statement, record::kNarrows> update, remove;
  std::array<Statement, record::kNarrows> get_as_of;
  std::array<Statement, record::kNarrows> get_refs;
  Statement insert, keep_history, lock, read_history;

  std::vector<FilterField> filter_fields;
  std::vector<UniqueKey> unique_keys;

  // Unfiltered lists are named statements; they are made at first use and live as long as the table.
  const Statement* ListStatement(std::string sql) const;

  // "t.owner_id = $n ..." for a narrow of kTeam or kOwn, its parameters beginning at $first; "" for kAll.
  std::string ScopeSql(record::Narrow narrow, int first) const;
  void AddScopeParams(const Call& call, record::Narrow narrow, Params& params) const;
  // How the caller's scope for the action narrows this table. RIGHT_MISSING without any scope.
  absl::StatusOr<record::Narrow> NarrowFor(const Call& call, type::v1::Action action) const;

  void AddValue(const record::Column& column, const google::protobuf::Message& record, Batch& batch,
                Params& params) const;
  // Appends a value to the record's wire format; false for jsonb that only the general reader can read.
  bool AppendWire(const record::Column& column, const Rows& rows, int row, int index, std::string& wire) const;
  // All columns of a row; answers the places of those that AppendWire cannot do.
  std::vector<size_t> AppendRow(const Rows& rows, int row, std::string& wire) const;
  const record::Column* ColumnOf(const google::protobuf::FieldDescriptor* field) const;

 private:
  mutable std::mutex mutex_;
  mutable absl::flat_hash_map<std::string, std::unique_ptr<Statement>> lists_;
};

}  // namespace crm::pg
