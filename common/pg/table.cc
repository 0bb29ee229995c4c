// The compiled plan of a record: its columns, its statements, and rows on their way out.
#include "common/pg/table.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_replace.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "common/base/error.h"
#include "common/base/time.h"
#include "common/json/json.h"
#include "common/pg/table_impl.h"

namespace crm::pg {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using record::Column;
using record::Kind;
using record::Narrow;

namespace record {

const type::v1::FieldInfo& InfoOf(const FieldDescriptor* field) {
  return field->options().GetExtension(type::v1::field);
}

bool IsTimestamp(const FieldDescriptor* field) {
  return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         field->message_type()->full_name() == "google.protobuf.Timestamp";
}

bool IsMoney(const FieldDescriptor* field) {
  return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         field->message_type()->full_name() == "crm.type.v1.Money";
}

bool IsComputed(const FieldDescriptor* field) {
  if (InfoOf(field).computed()) return true;
  return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         field->message_type() == type::v1::RecordAccess::descriptor();
}

bool IsKept(const FieldDescriptor* field) {
  static constexpr absl::string_view kNames[] = {"etag",        "revision",   "create_time", "update_time",
                                                 "delete_time", "creator_id", "updater_id"};
  return std::find(std::begin(kNames), std::end(kNames), field->name()) != std::end(kNames);
}

bool SeesPersonal(const Call& call) {
  return call.principal.kind == Principal::Kind::kService || call.principal.rights->personal_data;
}

absl::string_view ActionName(type::v1::Action action) {
  switch (action) {
    case type::v1::ACTION_READ:
      return "read";
    case type::v1::ACTION_CREATE:
      return "create";
    case type::v1::ACTION_UPDATE:
      return "update";
    case type::v1::ACTION_DELETE:
      return "delete";
    case type::v1::ACTION_EXPORT:
      return "export";
    case type::v1::ACTION_ADMINISTER:
      return "administer";
    default:
      return "use";
  }
}

absl::Status RightMissing(absl::string_view object, type::v1::Action action) {
  auto right = absl::StrCat(object, ".", ActionName(action));
  return Error(absl::StatusCode::kPermissionDenied, type::v1::ERROR_REASON_RIGHT_MISSING,
               absl::StrCat("Your roles do not grant ", right,
                            " for this record. Ask an administrator for it, or the record's owner to do it."),
               {{"right", right}});
}

absl::Status PersonalDataHidden(absl::string_view field) {
  return Error(absl::StatusCode::kPermissionDenied, type::v1::ERROR_REASON_RIGHT_MISSING,
               absl::StrCat(field, " is personal data, which your roles do not let you see, filter, sort or change. ",
                            "Leave it out, or ask an administrator for the right."),
               {{"right", "personal_data"}, {"field", std::string(field)}});
}

absl::Status CheckNeeds(const Call& call, const RecordTable::Impl& impl, const FieldDescriptor* field) {
  const std::string& needs = InfoOf(field).needs();
  if (needs.empty()) return absl::OkStatus();
  const auto scope = call.ScopeOf(needs, type::v1::ACTION_READ);
  const auto shown =
      impl.option.owned() ? call.ScopeOf(impl.prefix, type::v1::ACTION_READ) : type::v1::Scope{type::v1::SCOPE_ALL};
  if (scope != type::v1::SCOPE_UNSPECIFIED && scope >= shown) return absl::OkStatus();
  return Error(
      absl::StatusCode::kPermissionDenied, type::v1::ERROR_REASON_RIGHT_MISSING,
      absl::StrCat(field->name(), " tells of a ", needs, ", and your right to read such does not reach all that ",
                   "this list shows. Leave it out, or ask an administrator for the right."),
      {{"right", absl::StrCat(needs, ".read")}, {"field", field->name()}});
}

absl::Time TimeOf(const Message& record, const FieldDescriptor* field) {
  if (!record.GetReflection()->HasField(record, field)) return absl::InfinitePast();
  const auto& time = static_cast<const google::protobuf::Timestamp&>(record.GetReflection()->GetMessage(record, field));
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

void SetTime(Message& record, const FieldDescriptor* field, absl::Time time) {
  *static_cast<google::protobuf::Timestamp*>(record.GetReflection()->MutableMessage(&record, field)) =
      ToTimestamp(time);
}

std::string StringOf(const Message& record, const FieldDescriptor* field) {
  return field == nullptr ? std::string() : record.GetReflection()->GetString(record, field);
}

Known::Known(const Descriptor* d)
    : id(d->FindFieldByName("id")),
      etag(d->FindFieldByName("etag")),
      revision(d->FindFieldByName("revision")),
      create_time(d->FindFieldByName("create_time")),
      update_time(d->FindFieldByName("update_time")),
      delete_time(d->FindFieldByName("delete_time")),
      creator_id(d->FindFieldByName("creator_id")),
      updater_id(d->FindFieldByName("updater_id")),
      owner_id(d->FindFieldByName("owner_id")),
      team_id(d->FindFieldByName("team_id")),
      access(d->FindFieldByName("access")) {}

std::string SqlBuilder::Bind(const Params& one) {
  params_.Append(one);
  return absl::StrCat("$", params_.size());
}

std::string SqlBuilder::Splice(const Fragment& fragment) {
  const int shift = static_cast<int>(params_.size());
  params_.Append(fragment.params);
  std::string out;
  const std::string& sql = fragment.sql;
  char quote = 0;
  for (size_t i = 0; i < sql.size(); ++i) {
    const char c = sql[i];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == '$' && i + 1 < sql.size() && absl::ascii_isdigit(sql[i + 1])) {
      int number = 0;
      while (i + 1 < sql.size() && absl::ascii_isdigit(sql[i + 1])) number = number * 10 + (sql[++i] - '0');
      absl::StrAppend(&out, "$", number + shift);
      continue;
    }
    out.push_back(c);
  }
  return out;
}

namespace {

[[noreturn]] void BadRecord(const Descriptor* descriptor, absl::string_view what) {
  std::cerr << "record " << descriptor->full_name() << ": " << what << std::endl;
  std::abort();
}

bool SingleRef(absl::string_view ref) { return !ref.empty() && ref != "*" && ref.find(',') == absl::string_view::npos; }

std::vector<Column> ColumnsOf(const Descriptor* d, const type::v1::Record& option) {
  std::vector<Column> columns;
  for (int i = 0; i < d->field_count(); ++i) {
    const FieldDescriptor* field = d->field(i);
    if (IsComputed(field)) continue;
    const auto& info = InfoOf(field);
    Column column{.kind = Kind::kJson, .field = field, .name = field->name(), .ref = info.ref()};
    if (field->name() == "etag" || field->name() == "revision") {
      // One column for both.
      if (field->name() == "revision" && d->FindFieldByName("etag") != nullptr) continue;
      column.kind = Kind::kRevision;
      column.name = "revision";
      columns.push_back(column);
      continue;
    }
    const bool scalar_presence = field->has_presence() && field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE;
    column.nullable = scalar_presence;
    column.projected = info.projected();
    column.fixed =
        column.projected || field->name() == "id" || field->name() == "create_time" || field->name() == "creator_id";
    if (field->is_map()) {
      column.kind = Kind::kJson;
    } else if (field->is_repeated()) {
      switch (field->cpp_type()) {
        case FieldDescriptor::CPPTYPE_STRING:
          if (field->type() == FieldDescriptor::TYPE_BYTES) BadRecord(d, "repeated bytes have no column type");
          column.kind = SingleRef(info.ref()) ? Kind::kIdArray : Kind::kTextArray;
          break;
        case FieldDescriptor::CPPTYPE_INT32:
        case FieldDescriptor::CPPTYPE_UINT32:
          column.kind = Kind::kIntArray;
          break;
        case FieldDescriptor::CPPTYPE_ENUM:
          column.kind = Kind::kEnumArray;
          break;
        case FieldDescriptor::CPPTYPE_MESSAGE:
          column.kind = Kind::kJson;
          break;
        default:
          BadRecord(d, absl::StrCat(field->name(), ": a repeated field of this type has no column type"));
      }
    } else {
      switch (field->cpp_type()) {
        case FieldDescriptor::CPPTYPE_STRING:
          if (field->type() == FieldDescriptor::TYPE_BYTES) {
            column.kind = Kind::kBytes;
          } else if (field->name() == "id") {
            column.kind = Kind::kId;
            column.ref = option.prefix();
          } else if (SingleRef(info.ref())) {
            column.kind = Kind::kRef;
            column.nullable = true;
          } else if (info.date()) {
            column.kind = Kind::kDate;
            column.nullable = true;
          } else if (info.decimal()) {
            column.kind = Kind::kDecimal;
            column.nullable = true;
          } else {
            column.kind = Kind::kText;
            if (!info.ref().empty()) column.nullable = true;
          }
          break;
        case FieldDescriptor::CPPTYPE_BOOL:
          column.kind = Kind::kBool;
          break;
        case FieldDescriptor::CPPTYPE_DOUBLE:
        case FieldDescriptor::CPPTYPE_FLOAT:
          column.kind = Kind::kDouble;
          break;
        case FieldDescriptor::CPPTYPE_ENUM:
          column.kind = Kind::kEnum;
          break;
        case FieldDescriptor::CPPTYPE_INT32:
        case FieldDescriptor::CPPTYPE_UINT32:
        case FieldDescriptor::CPPTYPE_INT64:
        case FieldDescriptor::CPPTYPE_UINT64:
          column.kind = Kind::kInt;
          break;
        case FieldDescriptor::CPPTYPE_MESSAGE:
          if (IsTimestamp(field)) {
            column.kind = Kind::kTime;
            column.nullable = field->name() != "create_time" && field->name() != "update_time";
          } else if (IsMoney(field)) {
            column.kind = Kind::kMoneyAmount;
            column.nullable = true;
            column.name = absl::StrCat(field->name(), "_amount");
            column.member = field->message_type()->FindFieldByName("amount");
            columns.push_back(column);
            column.kind = Kind::kMoneyCurrency;
            column.name = absl::StrCat(field->name(), "_currency_code");
            column.member = field->message_type()->FindFieldByName("currency_code");
          } else {
            column.kind = Kind::kJson;
            column.nullable = true;
          }
          break;
      }
    }
    columns.push_back(std::move(column));
  }
  return columns;
}

std::string TypeOf(const Column& column) {
  switch (column.kind) {
    case Kind::kId:
    case Kind::kRef:
      return "uuid";
    case Kind::kText:
    case Kind::kMoneyCurrency:
      return "text";
    case Kind::kBool:
      return "boolean";
    case Kind::kBytes:
      return "bytea";
    case Kind::kDouble:
      return "double precision";
    case Kind::kInt:
      return column.field->cpp_type() == FieldDescriptor::CPPTYPE_INT64 ||
                     column.field->cpp_type() == FieldDescriptor::CPPTYPE_UINT64
                 ? "bigint"
                 : "integer";
    case Kind::kEnum:
      return "smallint";
    case Kind::kDate:
      return "date";
    case Kind::kDecimal:
    case Kind::kMoneyAmount:
      return "numeric";
    case Kind::kTime:
      return "timestamp with time zone";
    case Kind::kTextArray:
      return "text[]";
    case Kind::kIntArray:
      return "integer[]";
    case Kind::kEnumArray:
      return "smallint[]";
    case Kind::kIdArray:
      return "uuid[]";
    case Kind::kJson:
      return "jsonb";
    case Kind::kRevision:
      return "integer";
  }
  return "";
}

}  // namespace
}  // namespace record

RecordTable::Impl::Impl(const Descriptor* d, std::string schema_name)
    : descriptor(d), schema(std::move(schema_name)), option(d->options().GetExtension(type::v1::record)), known(d) {
  if (option.table().empty() || option.prefix().empty()) record::BadRecord(d, "has no (crm.type.v1.record) option");
  if (known.id == nullptr) record::BadRecord(d, "has no field id");
  if (option.owned() && (known.owner_id == nullptr || known.team_id == nullptr)) {
    record::BadRecord(d, "is owned but has no owner_id or team_id");
  }
  if (option.history() && (known.update_time == nullptr || known.etag == nullptr)) {
    record::BadRecord(d, "keeps history but has no update_time or etag");
  }
  prefix = option.prefix();
  columns = record::ColumnsOf(d, option);
  if (option.owned() && (ColumnOf(known.owner_id)->kind != Kind::kRef || ColumnOf(known.team_id)->kind != Kind::kRef)) {
    record::BadRecord(d, "owner_id and team_id need a ref of one kind");
  }
  view = absl::StrCat(option.table(), "_view");
  history_view = absl::StrCat(option.table(), "_history_view");

  std::vector<std::string> names, selected;
  for (auto& column : columns) {
    if (column.kind == Kind::kJson) column.json = record::JsonWire::Of(column.field);
  }
  for (size_t i = 0; i < columns.size(); ++i) {
    names.push_back(columns[i].name);
    selected.push_back(absl::StrCat("t.", columns[i].name));
    if (columns[i].kind == Kind::kRevision) revision_column = static_cast<int>(i);
  }
  select_list = absl::StrJoin(selected, ", ");

  const std::string base = absl::StrCat(schema, ".", option.table());
  static constexpr absl::string_view kNarrowNames[] = {"", "_team", "_own"};
  const std::string& table = option.table();
  const bool soft = known.delete_time != nullptr;
  const int narrows = option.owned() ? record::kNarrows : 1;
  for (int n = 0; n < narrows; ++n) {
    const auto narrow = static_cast<Narrow>(n);
    const auto scope = [&](int first) {
      auto sql = ScopeSql(narrow, first);
      return sql.empty() ? sql : absl::StrCat(" AND ", sql);
    };
    for (int deleted = 0; deleted < 2; ++deleted) {
      const char* alive = soft && deleted == 0 ? " AND t.delete_time IS NULL" : "";
      const std::string suffix = absl::StrCat(kNarrowNames[n], deleted != 0 ? "_deleted" : "");
      get_one[n][deleted] = {absl::StrCat(base, ".get", suffix), absl::StrCat("SELECT ", select_list, " FROM ", view,
                                                                              " t WHERE t.id = $1", alive, scope(2))};
      get_many[n][deleted] = {
          absl::StrCat(base, ".get_many", suffix),
          absl::StrCat("SELECT ", select_list, " FROM ", view, " t WHERE t.id = ANY($1::uuid[])", alive, scope(2))};
    }

    std::string sets = "revision = $4";
    int param = 4;
    for (const auto& column : columns) {
      if (column.fixed || column.kind == Kind::kRevision) continue;
      absl::StrAppend(&sets, ", ", column.name, " = $", ++param);
    }
    if (revision_column < 0) sets = absl::StrReplaceAll(sets, {{"revision = $4, ", ""}, {"revision = $4", "id = id"}});
    update[n] = {
        absl::StrCat(base, ".update", kNarrowNames[n]),
        absl::StrCat("UPDATE ", table, " t SET ", sets, " WHERE t.tenant_id = $1 AND t.id = $2",
                     revision_column < 0 ? " AND ($3::integer IS NULL OR $4::integer IS NULL)" : " AND t.revision = $3",
                     scope(param + 1), " RETURNING 1")};
    remove[n] = {absl::StrCat(base, ".delete", kNarrowNames[n]),
                 absl::StrCat("DELETE FROM ", table, " t WHERE t.tenant_id = $1 AND t.id = $2",
                              revision_column < 0 ? " AND $3::integer IS NULL" : " AND t.revision = $3", scope(4),
                              " RETURNING 1")};
    if (option.history()) {
      const auto arm = [&](absl::string_view from, absl::string_view more) {
        return absl::StrCat("SELECT ", select_list, " FROM ", from, " t WHERE t.id = $1 AND t.update_time <= $2", more,
                            soft ? " AND t.delete_time IS NULL" : "", scope(3));
      };
      get_as_of[n] = {absl::StrCat(base, ".get_as_of", kNarrowNames[n]),
                      absl::StrCat(arm(view, ""), " UNION ALL ", arm(history_view, " AND t.valid_until > $2"))};
    }
    const auto shown = [&](const std::string& field) {
      return field.empty() ? std::string("''") : absl::StrCat("t.", field, "::text");
    };
    for (const std::string& field : {option.title(), option.subtitle()}) {
      const auto* of = field.empty() ? nullptr : d->FindFieldByName(field);
      if (!field.empty() && (of == nullptr || ColumnOf(of) == nullptr || ColumnOf(of)->name != field)) {
        record::BadRecord(d, absl::StrCat("its title or subtitle \"", field, "\" is no column"));
      }
    }
    const auto* merged = d->FindFieldByName("redirect_to_id");
    get_refs[n] = {absl::StrCat(base, ".get_refs", kNarrowNames[n]),
                   absl::StrCat("SELECT t.id, ", shown(option.title()), ", ", shown(option.subtitle()), ", ",
                                soft ? "t.delete_time IS NOT NULL" : "false", ", ",
                                merged != nullptr ? "t.redirect_to_id" : "NULL::uuid", " FROM ", view,
                                " t WHERE t.id = ANY($1::uuid[])", scope(2))};
  }

  std::string inserted = "tenant_id", values = "$1";
  int value = 1;
  for (const auto& column : columns) {
    if (column.projected) continue;
    absl::StrAppend(&inserted, ", ", column.name);
    absl::StrAppend(&values, ", $", ++value);
  }
  insert = {absl::StrCat(base, ".insert"),
            absl::StrCat("INSERT INTO ", table, " (", inserted, ") VALUES (", values, ")")};
  lock = {absl::StrCat(base, ".lock"),
          absl::StrCat("SELECT ", select_list, " FROM ", table, " t WHERE t.tenant_id = $1 AND t.id = $2 FOR UPDATE")};
  if (option.history()) {
    // Two writers that lost and won the same race both keep this row; only the one whose guarded update succeeds
    // commits.
    keep_history = {absl::StrCat(base, ".keep_history"),
                    absl::StrCat("INSERT INTO ", table, "_history (tenant_id, ", absl::StrJoin(names, ", "),
                                 ", valid_until, superseded_by) SELECT t.tenant_id, ", select_list,
                                 ", $4::timestamptz, $5::text FROM ", table,
                                 " t WHERE t.tenant_id = $1 AND t.id = $2 AND t.revision = $3 ON CONFLICT DO NOTHING")};
    read_history = {absl::StrCat(base, ".read_history"),
                    absl::StrCat("SELECT ", select_list, ", t.valid_until, t.superseded_by FROM ", history_view,
                                 " t WHERE t.id = $1 AND t.revision < $2 ORDER BY t.revision DESC LIMIT $3")};
  }
}

std::string RecordTable::Impl::ScopeSql(Narrow narrow, int first) const {
  switch (narrow) {
    case record::kAll:
      return "";
    case record::kTeam:
      return absl::StrCat("(t.team_id = ANY($", first, "::uuid[]) OR t.owner_id = $", first + 1, ")");
    case record::kOwn:
      return absl::StrCat("t.owner_id = $", first);
  }
  return "false";
}

void RecordTable::Impl::AddScopeParams(const Call& call, Narrow narrow, Params& params) const {
  if (narrow == record::kAll) return;
  if (narrow == record::kTeam) params.IdArray(call.principal.teams);
  // An API key or service owns nothing: NULL equals no owner.
  auto user = ParseId(call.principal.user_id);
  if (user.ok() && call.principal.kind == Principal::Kind::kUser) {
    params.Id(user->uuid);
  } else {
    params.Null();
  }
}

absl::StatusOr<Narrow> RecordTable::Impl::NarrowFor(const Call& call, type::v1::Action action) const {
  if (!option.owned() || action == type::v1::ACTION_UNSPECIFIED) return record::kAll;
  switch (call.ScopeOf(prefix, action)) {
    case type::v1::SCOPE_ALL:
      return record::kAll;
    case type::v1::SCOPE_TEAM:
      return record::kTeam;
    case type::v1::SCOPE_OWN:
      return record::kOwn;
    default:
      return record::RightMissing(prefix, action);
  }
}

const Column* RecordTable::Impl::ColumnOf(const FieldDescriptor* field) const {
  for (const auto& column : columns) {
    if (column.field == field) return &column;
  }
  return nullptr;
}

const Statement* RecordTable::Impl::ListStatement(std::string sql) const {
  // Orders and page sizes that clients use are few; beyond this they are parsed each time.
  static constexpr size_t kListStatementsMax = 200;
  std::lock_guard lock_lists(mutex_);
  auto it = lists_.find(sql);
  if (it != lists_.end()) return it->second.get();
  if (lists_.size() >= kListStatementsMax) return nullptr;
  auto statement = std::make_unique<Statement>(
      Statement{absl::StrCat(schema, ".", option.table(), ".list_", lists_.size() + 1), sql});
  return lists_.emplace(std::move(sql), std::move(statement)).first->second.get();
}

bool RecordTable::Impl::AppendWire(const Column& column, const Rows& rows, int row, int index,
                                   std::string& wire) const {
  // What is never NULL, or empty for NULL, need not be asked.
  const bool plain = !column.nullable && (column.kind == Kind::kText || column.kind == Kind::kBool ||
                                          column.kind == Kind::kInt || column.kind == Kind::kEnum);
  if (!plain && rows.IsNull(row, index)) return true;
  const FieldDescriptor* field = column.field;
  const int number = field->number();
  // Proto defaults need no bytes, except where presence says that they were given.
  const bool presence = column.nullable && field->has_presence();
  switch (column.kind) {
    case Kind::kId:
    case Kind::kRef:
      record::WireId(number, column.ref, rows.Id(row, index), wire);
      return true;
    case Kind::kText:
    case Kind::kBytes: {
      const auto text = rows.Bytes(row, index);
      if (!text.empty() || presence) record::WireText(number, text, wire);
      return true;
    }
    case Kind::kDate:
      record::WireText(number, rows.Date(row, index), wire);
      return true;
    case Kind::kDecimal:
      record::WireText(number, rows.Decimal(row, index), wire);
      return true;
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kEnum: {
      const int64_t value = column.kind == Kind::kBool ? rows.Bool(row, index) : rows.Int(row, index);
      if (value != 0 || presence) record::WireInt(number, static_cast<uint64_t>(value), wire);
      return true;
    }
    case Kind::kDouble:
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_FLOAT) {
        record::WireFloat(number, static_cast<float>(rows.Double(row, index)), wire);
      } else {
        record::WireDouble(number, rows.Double(row, index), wire);
      }
      return true;
    case Kind::kTime:
      record::WireTime(number, rows.Time(row, index), wire);
      return true;
    case Kind::kMoneyAmount:
    case Kind::kMoneyCurrency: {
      // Two parts of one message: a parser merges what it meets twice.
      std::string part;
      record::WireText(column.member->number(),
                       column.kind == Kind::kMoneyAmount ? rows.Decimal(row, index) : rows.Text(row, index), part);
      record::WireText(number, part, wire);
      return true;
    }
    case Kind::kTextArray:
      record::ForEachInArray(rows.Bytes(row, index),
                             [&](absl::string_view element) { record::WireText(number, element, wire); });
      return true;
    case Kind::kIdArray:
      record::ForEachInArray(rows.Bytes(row, index), [&](absl::string_view element) {
        Uuid id;
        if (element.size() == id.bytes.size()) std::copy(element.begin(), element.end(), id.bytes.begin());
        record::WireId(number, column.ref, id, wire);
      });
      return true;
    case Kind::kIntArray:
    case Kind::kEnumArray:
      for (const int64_t value : rows.IntArray(row, index)) {
        record::WireInt(number, static_cast<uint64_t>(value), wire);
      }
      return true;
    case Kind::kJson: {
      const auto text = rows.Text(row, index);
      if (field->is_repeated() && text.size() == 2) return true;  // [] or {}
      return column.json != nullptr && column.json->Append(text, wire);
    }
    case Kind::kRevision: {
      const int64_t value = rows.Int(row, index);
      if (known.etag != nullptr) record::WireText(known.etag->number(), absl::StrCat(value), wire);
      if (known.revision != nullptr) record::WireInt(known.revision->number(), static_cast<uint64_t>(value), wire);
      return true;
    }
  }
  return true;
}

RecordTable::RecordTable(const Descriptor* descriptor, std::string schema)
    : impl_(std::make_unique<Impl>(descriptor, std::move(schema))) {}
RecordTable::~RecordTable() = default;
RecordTable::RecordTable(RecordTable&&) noexcept = default;

const std::string& RecordTable::name() const { return impl_->option.table(); }
const std::string& RecordTable::prefix() const { return impl_->prefix; }
bool RecordTable::owned() const { return impl_->option.owned(); }
bool RecordTable::history() const { return impl_->option.history(); }
const Descriptor* RecordTable::descriptor() const { return impl_->descriptor; }

void RecordTable::AddFilterField(FilterField field) { impl_->filter_fields.push_back(std::move(field)); }
void RecordTable::AddUniqueKey(UniqueKey key) { impl_->unique_keys.push_back(std::move(key)); }

std::vector<RecordTable::ColumnInfo> RecordTable::Columns() const {
  std::vector<ColumnInfo> columns = {{"tenant_id", "uuid", false}};
  for (const auto& column : impl_->columns) {
    columns.push_back({column.name, record::TypeOf(column), column.nullable});
  }
  return columns;
}

Statement RecordTable::SelectByIds() const { return impl_->get_many[record::kAll][0]; }
Statement RecordTable::SelectById() const { return impl_->get_one[record::kAll][0]; }
Statement RecordTable::InsertOne() const { return impl_->insert; }

void RecordTable::AddGet(Batch& batch, const std::vector<Uuid>& ids, type::v1::Action action, bool show_deleted) const {
  auto narrow = impl_->NarrowFor(batch.call(), action);
  if (!narrow.ok()) {
    batch.Fail(narrow.status());
    return;
  }
  Params params;
  if (ids.size() == 1) {
    params.Id(ids.front());
  } else {
    params.IdArray(ids);
  }
  impl_->AddScopeParams(batch.call(), *narrow, params);
  const auto& statements = ids.size() == 1 ? impl_->get_one : impl_->get_many;
  batch.Add(statements[*narrow][show_deleted ? 1 : 0], std::move(params));
}

std::vector<size_t> RecordTable::Impl::AppendRow(const Rows& rows, int row, std::string& wire) const {
  std::vector<size_t> late;
  for (size_t i = 0; i < columns.size(); ++i) {
    if (!AppendWire(columns[i], rows, row, static_cast<int>(i), wire)) late.push_back(i);
  }
  return late;
}

absl::Status RecordTable::Read(const Rows& rows, int row, Message& out) const {
  thread_local std::string wire;
  wire.clear();
  const std::vector<size_t> late = impl_->AppendRow(rows, row, wire);
  if (!out.ParseFromString(wire)) {
    return absl::DataLossError(absl::StrCat("a row of ", name(), " is no ", descriptor()->full_name()));
  }
  for (const size_t i : late) {
    CRM_TRY(json::ReadField(rows.Text(row, static_cast<int>(i)), impl_->columns[i].field, out));
  }
  return absl::OkStatus();
}

absl::Status RecordTable::ReadBytes(const Rows& rows, int row, std::string& out) const {
  thread_local std::string wire;  // grows once, not with every record
  wire.clear();
  if (impl_->AppendRow(rows, row, wire).empty()) {
    out = wire;
    return absl::OkStatus();
  }
  std::unique_ptr<Message> message(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor())->New());
  CRM_TRY(Read(rows, row, *message));
  message->SerializeToString(&out);
  return absl::OkStatus();
}

}  // namespace crm::pg
