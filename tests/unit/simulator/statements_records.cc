// The statements that pg::Table makes of a record's descriptor. Their texts follow the descriptor, so these models have no
// fingerprints: they read the texts, and a text of another shape is a complaint.
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>

#include <stdexcept>

#include "tests/unit/simulator/postgres.h"

namespace crm::sim {

namespace {

using ColumnTypes = std::map<std::string, std::string>;  // of columns

[[noreturn]] void Unreadable(const std::string& sql) { throw std::logic_error(absl::StrCat("cannot read: ", sql)); }

// What stands between two words, both of which must be there.
absl::string_view Inside(const std::string& sql, absl::string_view from, absl::string_view to) {
  const size_t begin = sql.find(std::string(from));
  if (begin == std::string::npos) Unreadable(sql);
  const size_t end = sql.find(std::string(to), begin + from.size());
  if (end == std::string::npos) Unreadable(sql);
  return absl::string_view(sql).substr(begin + from.size(), end - begin - from.size());
}

size_t Place(absl::string_view parameter, const std::string& sql) {
  int place = 0;
  if (!absl::ConsumePrefix(&parameter, "$") || !absl::SimpleAtoi(parameter, &place)) Unreadable(sql);
  return static_cast<size_t>(place);
}

// A parameter as the column of this type would be answered.
std::optional<std::string> CellOf(const Given& given, size_t place, const std::string& type) {
  if (given.Null(place)) return std::nullopt;
  Answer answer;
  answer.Row();
  if (type == "boolean") {
    answer.Bool(given.Text(place) == "t");
  } else if (type == "smallint" || type == "integer" || type == "bigint") {
    answer.Int(given.Int(place));
  } else if (type == "timestamp with time zone") {
    answer.Time(given.Time(place));
  } else if (type == "text[]") {
    answer.Texts(given.Texts(place));
  } else if (type == "text" || type == "uuid" || type == "uuid[]" || type == "jsonb" || type == "bytea") {
    return given.Text(place);
  } else {
    throw std::logic_error("nobody has modelled columns of the type " + type);
  }
  return answer.cell();
}

// The columns that a get names.
void AnswerRow(const std::string& sql, const std::string& table, const RecordRow& row, Answer& answer) {
  answer.Row();
  const absl::string_view columns = Inside(sql, "SELECT ", absl::StrCat(" FROM ", table, "_view t"));
  for (absl::string_view column : absl::StrSplit(columns, ", ")) answer.Cell(row.at(std::string(column.substr(2))));
}

void GetRow(Running& run, const std::string& table) {
  const std::string& sql = run.statement.sql;
  const std::string tail = absl::StrCat(" FROM ", table, "_view t WHERE t.id = $1");
  if (!absl::StrContains(sql, tail)) Unreadable(sql);
  const absl::string_view rest = absl::string_view(sql).substr(sql.find(tail) + tail.size());
  const bool alive = rest == " AND t.delete_time IS NULL";
  if (!alive && !rest.empty()) Unreadable(sql);
  const RecordRow* row = run.schema.row.Find(run.txn, {table, {run.tenant, run.given.Id(1)}});
  if (row == nullptr || (alive && row->at("delete_time"))) return;
  AnswerRow(sql, table, *row, run.answer);
}

void InsertRow(Running& run, const std::string& table, const ColumnTypes& types) {
  const std::string& sql = run.statement.sql;
  const std::vector<std::string> columns =
      absl::StrSplit(Inside(sql, absl::StrCat("INSERT INTO ", table, " ("), ")"), ", ");
  const std::vector<std::string> places = absl::StrSplit(Inside(sql, "VALUES (", ")"), ", ");
  if (columns.size() != places.size() || columns.front() != "tenant_id") Unreadable(sql);
  RecordRow row;
  for (const auto& [column, type] : types) row[column] = std::nullopt;  // what an insert does not name
  Uuid id;
  for (size_t i = 1; i < columns.size(); ++i) {
    const size_t place = Place(places[i], sql);
    if (columns[i] == "id") id = run.given.Id(place);
    row[columns[i]] = CellOf(run.given, place, types.at(columns[i]));
  }
  if (table == "suppression") {  // suppression_address, which nobody here deletes from
    const std::pair<Uuid, std::string> key{run.given.Id(1), *row.at("address")};
    run.schema.suppressed.Lock(run.txn, key);
    if (run.schema.suppressed.Find(run.txn, key) != nullptr)
      throw pg::ServerError{"23505", "duplicate key", "suppression_address", "", ""};
    run.schema.suppressed.Put(run.txn, key, *row.at("note"));
  }
  run.schema.row.Put(run.txn, {table, {run.given.Id(1), id}}, std::move(row));
}

void UpdateRow(Running& run, const std::string& table, const ColumnTypes& types) {
  const std::string& sql = run.statement.sql;
  const std::string where = " WHERE t.tenant_id = $1 AND t.id = $2 AND t.revision = $3 RETURNING 1)";  // in its guard
  const RowKey key{table, {run.given.Id(1), run.given.Id(2)}};
  run.schema.row.Lock(run.txn, key);
  const RecordRow* old = run.schema.row.Find(run.txn, key);
  if (old == nullptr || IntOf(*old, "revision") != run.given.Int(3)) return;
  RecordRow row = *old;
  for (absl::string_view set : absl::StrSplit(Inside(sql, " SET ", where), ", ")) {
    const std::pair<std::string, std::string> sides = absl::StrSplit(set, absl::MaxSplits(" = ", 1));
    row.at(sides.first) = CellOf(run.given, Place(sides.second, sql), types.at(sides.first));
  }
  run.schema.row.Put(run.txn, key, std::move(row));
  run.answer.Row().Int(1);
}

}  // namespace

std::string IntCell(int64_t value) { return *Answer().Row().Int(value).cell(); }

std::string TimeCell(absl::Time value) { return *Answer().Row().Time(value).cell(); }

int64_t IntOf(const RecordRow& row, const std::string& column) {
  int64_t value = 0;
  for (const char c : *row.at(column)) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

std::optional<absl::Time> TimeOf(const RecordRow& row, const std::string& column) {
  if (!row.at(column)) return std::nullopt;
  return absl::FromUnixMicros(IntOf(row, column) + kPostgresEpochMicros);
}

void RegisterRecords(Postgres& database, const std::string& schema, const pg::RecordTable& table) {
  const std::string name = table.name();
  const std::string base = absl::StrCat(schema, ".", name);
  ColumnTypes types;
  for (const auto& column : table.Columns()) types[column.name] = column.type;
  for (const char* suffix : {"", "_deleted"}) {
    database.Register(absl::StrCat(base, ".get", suffix), 0, [name](Running& run) { GetRow(run, name); });
  }
  database.Register(base + ".keep_history", 0, [](Running&) {});  // nobody here asks what was
  database.Register(base + ".insert", 0, [name, types](Running& run) { InsertRow(run, name, types); });
  database.Register(base + ".update", 0, [name, types](Running& run) { UpdateRow(run, name, types); });
}

bool ReadRecord(const Schema& schema, const pg::RecordTable& table, const Uuid& tenant, const Uuid& id,
                google::protobuf::Message& out) {
  const auto found = schema.row.rows().find({table.name(), {tenant, id}});
  if (found == schema.row.rows().end()) return false;
  Answer answer;
  AnswerRow(table.SelectById().sql, table.name(), found->second, answer);
  return table.Read(answer.Make(), 0, out).ok();
}

}  // namespace crm::sim
