// Lists: filter, order, keyset pages, counts; live or as of a past moment.
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <cstring>

#include "common/base/error.h"
#include "common/base/time.h"
#include "common/pg/filter_sql.h"
#include "common/pg/page_token.h"
#include "common/pg/table_impl.h"

namespace crm::pg {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using record::Column;
using record::Kind;

namespace list {

using Order = std::vector<OrderColumn>;

// A column's value as it travels in a page token, exactly.
std::optional<std::string> KeyOf(const Column& column, const Rows& rows, int row, int index) {
  if (rows.IsNull(row, index)) return std::nullopt;
  switch (column.kind) {
    case Kind::kId:
    case Kind::kRef:
      return rows.Id(row, index).ToString();
    case Kind::kBool:
      return std::string(rows.Bool(row, index) ? "t" : "f");
    case Kind::kDouble: {
      const double value = rows.Double(row, index);
      char text[40];
      snprintf(text, sizeof text, "%.17g", value);
      return std::string(text);
    }
    case Kind::kInt:
    case Kind::kEnum:
      return absl::StrCat(rows.Int(row, index));
    case Kind::kDate:
      return rows.Date(row, index);
    case Kind::kDecimal:
    case Kind::kMoneyAmount:
      return rows.Decimal(row, index);
    case Kind::kTime:
      return absl::StrCat(absl::ToUnixMicros(rows.Time(row, index)));
    default:
      return std::string(rows.Text(row, index));
  }
}

// The parameter of such a value, with its type.
absl::StatusOr<std::string> BindKey(const Column& column, const std::string& value, record::SqlBuilder& sql) {
  int64_t number = 0;
  double real = 0;
  const auto broken = [] { return absl::InternalError("a sealed page token holds a value of another type"); };
  switch (column.kind) {
    case Kind::kId:
    case Kind::kRef: {
      auto uuid = Uuid::Parse(value);
      if (!uuid.ok()) return broken();
      return sql.Bind(Params().Id(*uuid)) + "::uuid";
    }
    case Kind::kBool:
      return sql.Bind(Params().Bool(value == "t")) + "::boolean";
    case Kind::kDouble:
      if (!absl::SimpleAtod(value, &real)) return broken();
      return sql.Bind(Params().Text(value)) + "::double precision";
    case Kind::kInt:
    case Kind::kEnum:
      if (!absl::SimpleAtoi(value, &number)) return broken();
      return sql.Bind(Params().Int(number)) + (column.kind == Kind::kEnum ? "::smallint" : "::bigint");
    case Kind::kDate:
      if (!ParseDate(value).ok()) return broken();
      return sql.Bind(Params().Text(value)) + "::date";
    case Kind::kDecimal:
    case Kind::kMoneyAmount:
      return sql.Bind(Params().Decimal(value)) + "::numeric";
    case Kind::kTime:
      if (!absl::SimpleAtoi(value, &number)) return broken();
      return sql.Bind(Params().Time(absl::FromUnixMicros(number))) + "::timestamptz";
    default:
      return sql.Bind(Params().Text(value)) + "::text";
  }
}

// Rows after a key, as conditions whose ranges are disjoint and follow each other in the list's order. Each is one
// range of an index over the order's columns; a single OR over them would be none. In each range the first column is
// set in all rows or in none.
absl::StatusOr<std::vector<std::string>> RangesAfter(const Order& order, const PageKey& key, record::SqlBuilder& sql) {
  if (key.size() != order.size()) return absl::InternalError("a sealed page token has another number of values");
  std::vector<std::string> names, values;
  bool plain = true;  // after the first column, a row comparison says it all
  for (size_t i = 0; i < order.size(); ++i) {
    names.push_back(absl::StrCat("t.", order[i].column->name));
    if (i > 0) plain = plain && key[i] && !order[i].nullable && order[i].descending == order[0].descending;
    if (!key[i]) {
      values.emplace_back();
      continue;
    }
    CRM_TRY(std::string value, BindKey(*order[i].column, *key[i], sql));
    values.push_back(std::move(value));
  }
  const std::string no_first = names[0] + " IS NULL";
  if (plain) {
    const auto after = [&](size_t from) {
      return absl::StrCat("(", absl::StrJoin(names.begin() + from, names.end(), ", "), ")",
                          order[0].descending ? " < " : " > ", "(",
                          absl::StrJoin(values.begin() + from, values.end(), ", "), ")");
    };
    if (!key[0]) return std::vector<std::string>{absl::StrCat(no_first, " AND ", after(1))};
    std::vector<std::string> ranges = {after(0)};
    if (order[0].nullable) ranges.push_back(no_first);
    return ranges;
  }
  std::vector<std::string> ranges;
  for (size_t depth = order.size(); depth-- > 0;) {
    if (!key[depth]) continue;  // NULL is last: nothing comes after it at this depth
    std::string same;
    for (size_t i = 0; i < depth; ++i) {
      absl::StrAppend(&same, names[i], key[i] ? absl::StrCat(" = ", values[i]) : " IS NULL", " AND ");
    }
    ranges.push_back(absl::StrCat(same, names[depth], order[depth].descending ? " < " : " > ", values[depth]));
    if (order[depth].nullable) ranges.push_back(absl::StrCat(same, names[depth], " IS NULL"));
  }
  return ranges;
}

// The order of the whole, or of a range of it.
std::string OrderSql(const Order& order, absl::string_view alias, bool in_range) {
  std::vector<std::string> terms;
  for (size_t i = 0; i < order.size(); ++i) {
    // NULLS LAST only where there is something to say: an index over (tenant_id, column, id), read backwards, has them
    // first, and does not match.
    const bool last = order[i].descending && order[i].nullable && !(in_range && i == 0);
    terms.push_back(
        absl::StrCat(alias, order[i].column->name, order[i].descending ? " DESC" : "", last ? " NULLS LAST" : ""));
  }
  return absl::StrJoin(terms, ", ");
}

// What the list reads, put together.
struct Query {
  record::SqlBuilder sql;            // its parameters
  std::string conditions;            // " WHERE ..." without the page's place
  std::vector<std::string> tables;   // the view; with as_of also the history's
  std::vector<std::string> moments;  // per table: " AND ..." of as_of
  Order order;
  std::string order_text;  // for the binding
  int page_size = 0;
  bool dynamic = false;  // with conditions of the caller's: planned for their values
  bool scoped = false;   // to own or team: how many rows that leaves differs from caller to caller
  bool guessed = false;  // see Condition
};

std::string Where(const Query& query, size_t table, absl::string_view range) {
  std::string all = query.conditions;
  const auto add = [&](absl::string_view condition) {
    if (!condition.empty()) absl::StrAppend(&all, all.empty() ? " WHERE " : " AND ", condition);
  };
  add(query.moments[table]);
  add(range);
  return all;
}

// `columns` of every row, one page from the ranges on.
std::string PageSql(const Query& query, const std::string& columns, std::vector<std::string> ranges) {
  const auto& first = query.order.front();
  if (first.nullable && first.descending && ranges.size() == 1 && ranges.front().empty()) {
    ranges = {absl::StrCat("t.", first.column->name, " IS NOT NULL"),
              absl::StrCat("t.", first.column->name, " IS NULL")};
  }
  const std::string order = OrderSql(query.order, "t.", !ranges.front().empty());
  const std::string limit = absl::StrCat(" LIMIT ", query.page_size + 1);
  std::vector<std::string> arms;
  for (const auto& range : ranges) {
    for (size_t table = 0; table < query.tables.size(); ++table) {
      arms.push_back(absl::StrCat("SELECT ", columns, " FROM ", query.tables[table], " t", Where(query, table, range),
                                  " ORDER BY ", order, limit));
    }
  }
  if (arms.size() == 1) return std::move(arms.front());
  return absl::StrCat("(", absl::StrJoin(arms, ") UNION ALL ("), ") ORDER BY ", OrderSql(query.order, "", false),
                      limit);
}

// How many matches are sorted rather than met in the order's index: what takes a few milliseconds.
constexpr int kCandidatesMax = 1000;

// The same page from the matches themselves, for a filter that few records match; with one more column, how many
// matches there are, up to kCandidatesMax + 1: if more than kCandidatesMax, the page is not it. The planner plans a
// materialised WITH for all its rows, so it takes the filter's index, and runs it only as far as it is read.
std::string CandidatesSql(const Query& query, const std::string& columns, const std::vector<std::string>& ranges) {
  std::vector<std::string> arms;
  for (const auto& range : ranges) {
    for (size_t table = 0; table < query.tables.size(); ++table) {
      arms.push_back(absl::StrCat("SELECT ", columns, " FROM ", query.tables[table], " t", Where(query, table, range)));
    }
  }
  const std::string limit = absl::StrCat(" LIMIT ", kCandidatesMax + 1);
  return absl::StrCat("WITH c AS MATERIALIZED (", absl::StrJoin(arms, " UNION ALL "), ") SELECT ", columns,
                      ", (SELECT count(*) FROM (SELECT 1 FROM c", limit, ") n) FROM (SELECT ", columns, " FROM c t",
                      limit, ") t ORDER BY ", OrderSql(query.order, "t.", false), " LIMIT ", query.page_size + 1);
}

bool TooMany(const RecordTable::Impl& impl, const Rows& candidates) {
  return !candidates.empty() && candidates.Int(0, static_cast<int>(impl.columns.size())) > kCandidatesMax;
}

std::string AllSql(const Query& query, absl::string_view columns) {
  std::vector<std::string> arms;
  for (size_t table = 0; table < query.tables.size(); ++table) {
    arms.push_back(absl::StrCat("SELECT ", columns, " FROM ", query.tables[table], " t", Where(query, table, "")));
  }
  return absl::StrJoin(arms, " UNION ALL ");
}

// The text and the tree; both must hold.
absl::StatusOr<filter::Node> FilterOf(const ListArgs& args) {
  CRM_TRY(filter::Node node, filter::Parse(args.filter));
  if (!args.tree) return node;
  CRM_TRY(filter::Node tree, filter::FromTree(*args.tree));
  return filter::And(std::move(node), std::move(tree));
}

bool Speaks(const filter::Node& node, absl::string_view field) {
  if (node.kind == filter::Node::Kind::kCompare) {
    const std::string path = node.compare.PathText();
    return path == field ||
           (path.size() > field.size() && path.compare(0, field.size(), field.data(), field.size()) == 0 &&
            path[field.size()] == '.');
  }
  return std::any_of(node.children.begin(), node.children.end(),
                     [&](const filter::Node& child) { return Speaks(child, field); });
}

absl::StatusOr<Query> Compile(const Call& call, const RecordTable& table, const ListArgs& args, bool scoped) {
  const auto& impl = table.impl();
  Query query;
  if (args.page_size < 0) return FieldError("page_size", "must not be negative; 0 means 50");
  query.page_size = args.page_size == 0 ? kPageSizeDefault : std::min(args.page_size, kPageSizeMax);
  CRM_TRY(query.order, CompileOrder(call, table, args.order_by, args.default_order));

  std::vector<std::string> conditions;
  if (scoped) {
    CRM_TRY(const record::Narrow narrow, impl.NarrowFor(call, type::v1::ACTION_READ));
    auto scope = impl.ScopeSql(narrow, static_cast<int>(query.sql.params().size()) + 1);
    query.scoped = !scope.empty();
    if (!scope.empty()) conditions.push_back(std::move(scope));
    impl.AddScopeParams(call, narrow, query.sql.params());
  }
  if (impl.known.delete_time != nullptr && !args.show_deleted) conditions.emplace_back("t.delete_time IS NULL");
  if (!args.where.empty()) {
    conditions.push_back(absl::StrCat("(", query.sql.Splice({args.where, args.where_params}), ")"));
    query.dynamic = args.where_params.size() != 0;
  }
  CRM_TRY(const filter::Node node, FilterOf(args));
  CRM_TRY(Condition filter, CompileFilter(call, table, node, query.sql));
  if (!filter.sql.empty()) {
    query.dynamic = true;
    query.guessed = filter.guessed;
    conditions.push_back(std::move(filter.sql));
  }
  for (auto& by : query.order) by.nullable = by.nullable && !ImpliesValue(node, *by.column);
  if (!conditions.empty()) query.conditions = absl::StrCat(" WHERE ", absl::StrJoin(conditions, " AND "));

  query.tables = {impl.view};
  query.moments = {""};
  if (args.as_of) {
    if (!table.history()) return FieldError("as_of", "this kind of record keeps no history");
    const std::string moment = query.sql.Bind(Params().Time(*args.as_of)) + "::timestamptz";
    query.tables.push_back(impl.history_view);
    query.moments = {absl::StrCat("t.update_time <= ", moment),
                     absl::StrCat("t.update_time <= ", moment, " AND t.valid_until > ", moment)};
    query.dynamic = true;
  }
  return query;
}

// What a page token is bound to: everything but the size of the page.
std::string Binding(const Call& call, const RecordTable& table, const ListArgs& args) {
  std::string binding;
  const auto add = [&](absl::string_view part) { absl::StrAppend(&binding, part.size(), ":", part); };
  add(call.method);
  add(call.tenant().ToString());
  add(table.descriptor()->full_name());
  add(args.filter);
  add(args.tree ? args.tree->SerializeAsString() : "");
  add(args.order_by.empty() ? args.default_order : args.order_by);
  add(args.show_deleted ? "deleted" : "");
  add(args.as_of ? absl::StrCat(absl::ToUnixMicros(*args.as_of)) : "");
  add(args.where);
  return binding;
}

// The planner's rows in EXPLAIN (FORMAT JSON): the first plan is the whole.
std::optional<double> PlannedRows(absl::string_view plan) {
  static constexpr absl::string_view kName = "\"Plan Rows\":";
  const size_t at = plan.find(kName);
  if (at == absl::string_view::npos) return std::nullopt;
  plan.remove_prefix(at + kName.size());
  const size_t begin = plan.find_first_of("0123456789");
  if (begin == absl::string_view::npos) return std::nullopt;
  plan.remove_prefix(begin);
  double rows = 0;
  if (!absl::SimpleAtod(plan.substr(0, plan.find_first_not_of("0123456789.")), &rows)) return std::nullopt;
  return rows;
}

// Which field would help: one with an index that the filter does not use yet.
absl::Status TooSlow(const RecordTable& table, const ListArgs& args) {
  std::string hint;
  auto node = FilterOf(args);
  for (const char* candidate : {"owner_id", "create_time", "update_time", "id"}) {
    if (table.descriptor()->FindFieldByName(candidate) == nullptr) continue;
    hint = candidate;
    if (node.ok() && !Speaks(*node, candidate)) break;
  }
  return Error(absl::StatusCode::kDeadlineExceeded, type::v1::ERROR_REASON_QUERY_TOO_SLOW,
               absl::StrCat("The list took longer than ", kListTimeout.count() / 1000, " s. Narrow it by ", hint,
                            ", for example, or leave out order_by, count or parts of the filter."),
               {{"hint", hint}});
}

// Where the page begins.
absl::StatusOr<std::vector<std::string>> RangesFrom(const std::string& binding, const ListArgs& args, Query& query) {
  if (args.page_token.empty()) return std::vector<std::string>{""};
  CRM_TRY(const PageKey key, ReadPageToken(binding, args.page_token));
  return RangesAfter(query.order, key, query.sql);
}

const FieldDescriptor* Standard(const Message& request, const char* name, FieldDescriptor::CppType type) {
  const auto* field = request.GetDescriptor()->FindFieldByName(name);
  return field != nullptr && !field->is_repeated() && field->cpp_type() == type ? field : nullptr;
}

}  // namespace list

ListArgs ListArgsOf(const Message& request) {
  ListArgs args;
  const auto* r = request.GetReflection();
  const auto text = [&](const char* name, std::string& out) {
    if (const auto* field = list::Standard(request, name, FieldDescriptor::CPPTYPE_STRING))
      out = r->GetString(request, field);
  };
  text("filter", args.filter);
  text("order_by", args.order_by);
  text("page_token", args.page_token);
  if (const auto* field = list::Standard(request, "page_size", FieldDescriptor::CPPTYPE_INT32)) {
    args.page_size = r->GetInt32(request, field);
  }
  if (const auto* field = list::Standard(request, "count", FieldDescriptor::CPPTYPE_ENUM)) {
    args.count = static_cast<type::v1::Count>(r->GetEnumValue(request, field));
  }
  if (const auto* field = list::Standard(request, "show_deleted", FieldDescriptor::CPPTYPE_BOOL)) {
    args.show_deleted = r->GetBool(request, field);
  }
  if (const auto* field = list::Standard(request, "filter_tree", FieldDescriptor::CPPTYPE_MESSAGE);
      field != nullptr && field->message_type() == type::v1::FilterTree::descriptor() && r->HasField(request, field)) {
    args.tree = static_cast<const type::v1::FilterTree&>(r->GetMessage(request, field));
  }
  if (const auto* field = list::Standard(request, "as_of", FieldDescriptor::CPPTYPE_MESSAGE);
      field != nullptr && record::IsTimestamp(field) && r->HasField(request, field)) {
    args.as_of = record::TimeOf(request, field);
  }
  return args;
}

bool FilterNames(const ListArgs& args, absl::string_view field) {
  auto node = list::FilterOf(args);
  return node.ok() && list::Speaks(*node, field);
}

absl::StatusOr<Statement> RecordTable::SelectPage(const ListArgs& args) const {
  Call call;
  call.principal.kind = Principal::Kind::kService;
  CRM_TRY(const list::Query query, list::Compile(call, *this, args, /*scoped=*/false));
  return Statement{absl::StrCat(impl_->schema, ".", name(), ".list"), list::PageSql(query, impl_->select_list, {""})};
}

absl::StatusOr<Fragment> RecordTable::PageQuery(const Call& call, const ListArgs& args) const {
  CRM_TRY(list::Query query, list::Compile(call, *this, args, /*scoped=*/true));
  CRM_TRY(auto ranges, list::RangesFrom(list::Binding(call, *this, args), args, query));
  std::string sql = query.guessed ? list::CandidatesSql(query, impl_->select_list, ranges)
                                  : list::PageSql(query, impl_->select_list, ranges);
  return Fragment{std::move(sql), query.sql.params()};
}

namespace list {

// One page; `each` takes its rows.
Async<internal::PageInfo> ReadPage(Db& db, const Call& call, const RecordTable& table, ListArgs args,
                                   std::function<absl::Status(const Rows&, int row)> each) {
  const auto& impl = table.impl();
  CRM_CO_TRY(list::Query query, list::Compile(call, table, args, /*scoped=*/true));
  const std::string binding = list::Binding(call, table, args);

  // Counts come first: they have no parameters of the page's place.
  Batch batch(call);
  int count_at = -1;
  const bool first_page = args.page_token.empty();
  if (args.count == type::v1::COUNT_EXACT || args.count == type::v1::COUNT_ESTIMATE) {
    const bool exact = args.count == type::v1::COUNT_EXACT;
    std::string sql = exact ? absl::StrCat("SELECT count(*) FROM (", list::AllSql(query, "1"), ") c")
                            : absl::StrCat("EXPLAIN (FORMAT JSON) ", list::AllSql(query, "1"));
    count_at = batch.AddDynamic(
        std::make_shared<Statement>(Statement{
            absl::StrCat(impl.schema, ".", impl.option.table(), exact ? ".count" : ".estimate"), std::move(sql)}),
        query.sql.params());
  }

  CRM_CO_TRY(const std::vector<std::string> ranges, list::RangesFrom(binding, args, query));
  const auto dynamic = [&](Batch& to, std::string sql) {
    const std::string name = absl::StrCat(impl.schema, ".", impl.option.table(), ".filter");
    return to.AddDynamic(std::make_shared<Statement>(Statement{name, std::move(sql)}), query.sql.params());
  };
  int page_at = 0;
  if (query.guessed) {
    page_at = dynamic(batch, list::CandidatesSql(query, impl.select_list, ranges));
  } else {
    std::string sql = list::PageSql(query, impl.select_list, ranges);
    const Statement* named = query.dynamic ? nullptr : impl.ListStatement(sql);
    page_at = named != nullptr ? batch.Add(*named, query.sql.params()) : dynamic(batch, std::move(sql));
  }

  Db::ReadOptions options;
  options.work = Work::kList;
  options.force_custom_plan = query.dynamic || query.scoped;
  options.statement_timeout = kListTimeout;
  bool list_bound = true;
  if (call.deadline != std::chrono::steady_clock::time_point::max()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(call.deadline - std::chrono::steady_clock::now());
    if (left < kListTimeout) {
      options.statement_timeout = std::max(left, std::chrono::milliseconds(1));
      list_bound = false;
    }
  }
  auto results = co_await db.Read(call, std::move(batch), options);
  if (query.guessed && results.ok() && list::TooMany(impl, (*results)[page_at])) {
    // Many match, so the order's index meets a page of them soon.
    Batch again(call);
    dynamic(again, list::PageSql(query, impl.select_list, ranges));
    auto page = co_await db.Read(call, std::move(again), options);
    if (page.ok()) {
      (*results)[page_at] = std::move(page->front());
    } else {
      results = page.status();
    }
  }
  if (!results.ok()) {
    if (list_bound && ReasonOf(results.status()) == type::v1::ERROR_REASON_QUERY_TOO_SLOW) {
      co_return list::TooSlow(table, args);
    }
    co_return results.status();
  }

  const Rows& rows = (*results)[page_at];
  const int count = std::min(rows.size(), query.page_size);
  for (int row = 0; row < count; ++row) CRM_CO_TRY(each(rows, row));
  internal::PageInfo info;
  if (rows.size() > count) {
    PageKey key;
    for (const auto& by : query.order) {
      const int index = static_cast<int>(by.column - impl.columns.data());
      key.push_back(list::KeyOf(*by.column, rows, count - 1, index));
    }
    info.next_page_token = MakePageToken(binding, key);
  }
  if (count_at >= 0) {
    const Rows& counted = (*results)[count_at];
    int64_t total = 0;
    if (first_page && rows.size() <= count) {
      total = count;  // all of them are here
    } else if (args.count == type::v1::COUNT_EXACT) {
      total = counted.Int(0, 0);
    } else {
      const auto planned = list::PlannedRows(counted.Text(0, 0));
      if (!planned) co_return absl::InternalError("the plan's rows cannot be read");
      total = static_cast<int64_t>(std::min(*planned, 2e9));
      total = std::max<int64_t>(total, rows.size());
    }
    info.total_size = static_cast<int32_t>(std::min<int64_t>(total, std::numeric_limits<int32_t>::max()));
  }
  co_return info;
}

// The response's one repeated field of that record.
const google::protobuf::FieldDescriptor* ItemsOf(const google::protobuf::Descriptor* response,
                                                 const google::protobuf::Descriptor* record) {
  for (int i = 0; i < response->field_count(); ++i) {
    const auto* field = response->field(i);
    if (field->is_repeated() && field->message_type() == record) return field;
  }
  return nullptr;
}

}  // namespace list

namespace internal {

Async<PageInfo> ListInto(Db& db, const Call& call, const RecordTable& table, ListArgs args, AddMessage add) {
  return list::ReadPage(db, call, table, std::move(args), [&table, add = std::move(add)](const Rows& rows, int row) {
    return table.Read(rows, row, add());
  });
}

Async<> ListEncoded(Db& db, const Call& call, const RecordTable& table, ListArgs args, bool full,
                    google::protobuf::Message& response) {
  const auto* d = response.GetDescriptor();
  const auto* r = response.GetReflection();
  const auto* items = list::ItemsOf(d, table.descriptor());
  if (items == nullptr) co_return absl::InternalError(absl::StrCat(d->full_name(), " has no field for ", table.name()));
  // What the reader may not see, or is told besides, takes the record as a message.
  std::unique_ptr<google::protobuf::Message> record;
  if (full || !record::SeesAll(call, table.descriptor())) {
    record.reset(google::protobuf::MessageFactory::generated_factory()->GetPrototype(table.descriptor())->New());
  }
  std::function<absl::Status(const Rows&, int)> each = [&](const Rows& rows, int row) -> absl::Status {
    // On the wire it is nothing else whether a field is known or not: the number says what it is.
    std::string* bytes = r->MutableUnknownFields(&response)->AddLengthDelimited(items->number());
    if (record == nullptr) return table.ReadBytes(rows, row, *bytes);
    record->Clear();
    CRM_TRY(table.Read(rows, row, *record));
    if (full) FillAccess(call, table, *record);
    Mask(call, *record);
    record->SerializeToString(bytes);
    return absl::OkStatus();
  };
  CRM_CO_TRY(PageInfo info, co_await list::ReadPage(db, call, table, std::move(args), std::move(each)));
  if (!info.next_page_token.empty()) {
    r->SetString(&response, d->FindFieldByName("next_page_token"), std::move(info.next_page_token));
  }
  if (info.total_size) r->SetInt32(&response, d->FindFieldByName("total_size"), *info.total_size);
  co_return absl::OkStatus();
}

}  // namespace internal
}  // namespace crm::pg
