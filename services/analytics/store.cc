#include "services/analytics/store.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <memory>

#include "common/base/error.h"
#include "common/base/status.h"
#include "services/analytics/sql.h"

namespace crm::analytics {
namespace storing {

const char* SqlTypeOf(Column::Type type) {
  switch (type) {
    case Column::Type::kBool:
      return "boolean";
    case Column::Type::kInt:
      return "bigint";
    case Column::Type::kText:
      return "text";
    case Column::Type::kId:
      return "uuid";
    case Column::Type::kTime:
      return "timestamptz";
    case Column::Type::kDecimal:
      return "numeric";
    case Column::Type::kIds:
      return "uuid[]";
    case Column::Type::kTexts:
      return "text[]";
    case Column::Type::kInts:
      return "bigint[]";
  }
  return "";
}

// A column as Row::Text prints it.
std::string TextSql(const Column& column) {
  const std::string& name = column.name;
  switch (column.type) {
    case Column::Type::kTime:  // numeric, so exact
      return absl::StrCat("trunc(extract(epoch FROM ", name, ") * 1000000)::bigint::text");
    case Column::Type::kDecimal:
      return absl::StrCat("trim_scale(", name, ")::text");
    case Column::Type::kIds:
    case Column::Type::kTexts:
    case Column::Type::kInts:
      return absl::StrCat("CASE WHEN cardinality(", name, ") = 0 THEN '' ELSE array_to_string(", name,
                          ", chr(30)) || chr(30) END");
    default:
      return absl::StrCat(name, "::text");
  }
}

pg::Params& AddValue(pg::Params& params, const Value& value) {
  struct Adder {
    pg::Params& params;
    pg::Params& operator()(std::monostate) const { return params.Null(); }
    pg::Params& operator()(bool value) const { return params.Bool(value); }
    pg::Params& operator()(int64_t value) const { return params.Int(value); }
    pg::Params& operator()(const std::string& value) const { return params.Text(value); }
    pg::Params& operator()(const Uuid& value) const { return params.Id(value); }
    pg::Params& operator()(absl::Time value) const { return params.Time(value); }
    pg::Params& operator()(const Decimal& value) const { return params.Decimal(value.ToString()); }
    pg::Params& operator()(const std::vector<Uuid>& value) const { return params.IdArray(value); }
    pg::Params& operator()(const std::vector<std::string>& value) const { return params.TextArray(value); }
    pg::Params& operator()(const std::vector<int64_t>& value) const { return params.IntArray(value); }
  };
  return std::visit(Adder{params}, value);
}

absl::StatusOr<Value> ReadValue(const Column& column, const pg::Rows& rows, int row, int i) {
  if (rows.IsNull(row, i)) return Value();
  switch (column.type) {
    case Column::Type::kBool:
      return Value(rows.Bool(row, i));
    case Column::Type::kInt:
      return Value(rows.Int(row, i));
    case Column::Type::kText:
      return Value(std::string(rows.Text(row, i)));
    case Column::Type::kId:
      return Value(rows.Id(row, i));
    case Column::Type::kTime:
      return Value(rows.Time(row, i));
    case Column::Type::kDecimal: {
      CRM_TRY(Decimal decimal, Decimal::Parse(rows.Decimal(row, i)));
      return Value(decimal);
    }
    case Column::Type::kIds:
      return Value(rows.IdArray(row, i));
    case Column::Type::kTexts:
      return Value(rows.TextArray(row, i));
    case Column::Type::kInts:
      return Value(rows.IntArray(row, i));
  }
  return Value();
}

// The deal's own row must be of this revision: see Guard::kDeal.
std::string DealIsOf(size_t revision_parameter) {
  return absl::StrCat("EXISTS (SELECT 1 FROM deal_fact d WHERE d.tenant_id = $1 AND d.id = $2 AND d.revision = $",
                      revision_parameter, "::bigint)");
}

pg::Statement MakePut(const Projection& projection) {
  std::vector<std::string> names, values, keys = {"tenant_id"}, sets;
  for (size_t i = 0; i < projection.columns.size(); ++i) {
    const Column& column = projection.columns[i];
    names.push_back(column.name);
    values.push_back(absl::StrCat("$", i + 2, "::", SqlTypeOf(column.type)));
    if (i < projection.key_count) {
      keys.push_back(column.name);
    } else {
      sets.push_back(absl::StrCat(column.name, " = EXCLUDED.", column.name));
    }
  }
  const std::string row = absl::StrCat("$1::uuid, ", absl::StrJoin(values, ", "));
  std::string sql =
      absl::StrCat("INSERT INTO ", projection.table, " AS f (tenant_id, ", absl::StrJoin(names, ", "), ") ");
  const std::string conflict = absl::StrCat(" ON CONFLICT (", absl::StrJoin(keys, ", "), ") DO ");
  const std::string update = absl::StrCat(conflict, "UPDATE SET ", absl::StrJoin(sets, ", "));
  switch (projection.guard) {
    case Guard::kRevision:
      absl::StrAppend(&sql, "VALUES (", row, ")", update, " WHERE f.revision < EXCLUDED.revision");
      break;
    case Guard::kFirst:
      absl::StrAppend(&sql, "VALUES (", row, ")", conflict, "NOTHING");
      break;
    case Guard::kDeal:
      absl::StrAppend(&sql, "SELECT ", row, " WHERE ", DealIsOf(projection.columns.size() + 2), update);
      break;
  }
  return {absl::StrCat("analytics.put_", projection.table), sql};
}

pg::Statement MakeLiving() {
  std::vector<std::string> parts = {
      "SELECT 'position'::text AS name, producer || chr(31) || seq::text || chr(31) AS row FROM position_view"};
  for (const Projection* projection : Projections()) {
    std::vector<std::string> columns;
    for (const Column& column : projection->columns) {
      columns.push_back(absl::StrCat("coalesce(", TextSql(column), ", '", kNullText, "') || chr(31)"));
    }
    parts.push_back(absl::StrCat("SELECT '", projection->table, "'::text, ", absl::StrJoin(columns, " || "), " FROM ",
                                 projection->table, "_view"));
  }
  return {"analytics.living",
          absl::StrCat("SELECT name, row FROM (", absl::StrJoin(parts, "\nUNION ALL\n"), ") living LIMIT $1::bigint")};
}

pg::Statement MakeLoadDeal() {
  std::vector<std::string> names;
  for (const Column& column : kDealFact.columns) names.push_back(column.name);
  return {"analytics.load_deal",
          absl::StrCat("SELECT ", absl::StrJoin(names, ", "), " FROM deal_fact_view WHERE id = $1")};
}

}  // namespace storing

const pg::Statement& PutStatement(const Projection& projection) {
  static const auto* statements = [] {
    auto* made = new std::map<std::string, pg::Statement>;
    for (const Projection* each : Projections()) made->emplace(each->table, storing::MakePut(*each));
    return made;
  }();
  return statements->at(projection.table);
}

const pg::Statement& LivingStatement() {
  static const auto* statement = new pg::Statement(storing::MakeLiving());
  return *statement;
}

void AddChanges(pg::Batch& batch, const Changes& changes) {
  const Uuid& tenant = batch.call().tenant();
  for (const Row& row : changes.rows) {
    pg::Params params;
    params.Id(tenant);
    for (const Value& value : row.values()) storing::AddValue(params, value);
    if (row.projection().guard == Guard::kDeal) params.Int(row.revision());
    batch.Add(PutStatement(row.projection()), std::move(params));
  }
  for (const Shrinking& shrinking : changes.shrinkings) {
    batch.Add(sql::kShrinkLines,
              pg::Params().Id(tenant).Id(shrinking.deal).Int(shrinking.line_count).Int(shrinking.revision));
  }
  for (const Increment& increment : changes.increments) {
    pg::NewEvent event;
    event.type = "report.changed";
    event.record_id = increment.changed.deal_id();
    event.owner_id = increment.owner_id;
    event.team_id = increment.team_id;
    batch.Emit(event, increment.changed);
  }
}

Async<std::optional<Row>> LoadDeal(pg::Db& db, const Call& call, std::string deal_id) {
  static const auto* statement = new pg::Statement(storing::MakeLoadDeal());
  CRM_CO_TRY(Uuid id, ParseId(deal_id, "deal", "record_id"));
  CRM_CO_TRY(pg::Rows rows, co_await db.Read(call, *statement, pg::Params().Id(id)));
  if (rows.empty()) co_return std::nullopt;
  Row row(kDealFact, rows.Int(0, static_cast<int>(kDealFact.IndexOf("revision"))));
  for (size_t i = 0; i < kDealFact.columns.size(); ++i) {
    CRM_CO_TRY(Value value, storing::ReadValue(kDealFact.columns[i], rows, 0, static_cast<int>(i)));
    row.Set(kDealFact.columns[i].name, std::move(value));
  }
  co_return row;
}

std::string Positions::Text() const {
  std::string text;
  for (const auto& [producer, seq] : by_producer) absl::StrAppend(&text, text.empty() ? "" : ",", producer, ":", seq);
  return text;
}

int AddPositions(pg::Batch& batch) { return batch.Add(sql::kPositions); }

Positions PositionsOf(const pg::Rows& rows) {
  Positions positions;
  for (int i = 0; i < rows.size(); ++i) {
    positions.by_producer[std::string(rows.Text(i, 0))] = static_cast<uint64_t>(rows.Int(i, 1));
  }
  return positions;
}

Async<Setting> SettingOf(pg::Db& db, const Call& call) {
  Setting setting;
  // A service calls on nobody's behalf: what its call says of zone and currency is a default.
  if (call.principal.kind != Principal::Kind::kService) setting = {call.time_zone, call.currency_code};
  if (setting.time_zone.empty() || setting.currency_code.empty()) {
    CRM_CO_TRY(pg::Rows rows, co_await db.Read(call, sql::kFindTenant, pg::Params()));
    if (!rows.empty()) {
      if (setting.time_zone.empty()) setting.time_zone = std::string(rows.Text(0, 0));
      if (setting.currency_code.empty()) setting.currency_code = std::string(rows.Text(0, 1));
    }
  }
  if (setting.time_zone.empty()) setting.time_zone = "UTC";
  co_return setting;
}

pg::Params& AddScope(pg::Params& params, const Call& call) {
  const auto caller = ParseId(call.principal.user_id);
  return params.Int(call.ScopeOf("report", type::v1::ACTION_READ))
      .Id(caller.ok() ? caller->uuid : Uuid{})
      .IdArray(call.principal.teams);
}

absl::Status AddRef(pg::Params& params, const std::string& id, const std::string& prefix, const std::string& field) {
  if (id.empty()) {
    params.Null();
    return absl::OkStatus();
  }
  CRM_TRY(Uuid uuid, ParseId(id, prefix, field));
  params.Id(uuid);
  return absl::OkStatus();
}

pg::Db::ReadOptions ReportOptions() {
  pg::Db::ReadOptions options;
  options.work = pg::Work::kList;
  options.force_custom_plan = true;
  return options;
}

}  // namespace crm::analytics
