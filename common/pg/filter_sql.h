// The filter language over a record's columns as SQL. Values are parameters, typed and checked here, so that no
// condition can raise when it runs; names come from the descriptor, never from the caller.
//
// Beyond what common/base/filter.h says of the operators:
//   Money             `amount > 100` and `amount.amount > 100` compare the sum, `amount.currency_code = "EUR"` the
//   currency nested messages   `address.city = "Berlin"`, `phones.number:"+4930"`: some element of a list matches;
//   ordering only for
//                     numbers and dates; decimals and timestamps inside can only be asked for with `:*`
//   maps, Structs     `custom_fields:size` has the key, `custom_fields.size = "L"` its value
//   personal fields   PERMISSION_DENIED for callers who may not see them: a filter would tell what they hold
// Conditions are two-valued: what is not set makes a comparison false and its negation true.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "common/base/call.h"
#include "common/base/filter.h"
#include "common/pg/table.h"

namespace crm::pg {

namespace record {
class SqlBuilder;
struct Column;
}  // namespace record

// A condition over the row `t`, its parameters added to `sql`.
struct Condition {
  std::string sql;  // "" for the empty filter
  // It has a part that an index can answer but whose rows the planner can only guess (1 % for jsonb's @>): told to
  // order by another index and to stop after a page, it would walk that one through the whole tenant for a rare value.
  bool guessed = false;
};
absl::StatusOr<Condition> CompileFilter(const Call& call, const RecordTable& table, const filter::Node& node,
                                        record::SqlBuilder& sql);

// One term of an order, always followed by the id.
struct OrderColumn {
  const record::Column* column = nullptr;
  bool descending = false;
  bool nullable = false;  // rows of the list may lack it; then they come last
};
// The caller's order, or the table's own if `order_by` is empty. The last term is the id, in the direction of the one
// before it, so that one index serves both.
absl::StatusOr<std::vector<OrderColumn>> CompileOrder(const Call& call, const RecordTable& table,
                                                      absl::string_view order_by, absl::string_view default_order);

// Whether every match has a value in the column: the filter compares it.
bool ImpliesValue(const filter::Node& node, const record::Column& column);

// Every name that a filter can begin with, sorted; for error texts and the schema.
std::vector<std::string> FilterableFields(const RecordTable& table);

}  // namespace crm::pg
