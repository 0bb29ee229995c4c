// The filter language of lists: AIP-160 (google.aip.dev/160), and AIP-132's order_by. Text or tree -> AST; common/pg
// turns the AST into SQL. Nothing here knows which fields exist.
//
//   amount >= 1000 AND (stage = STAGE_WON OR owner_id = me) -tags:lost create_time > days(-30)
//
//   expression  factors side by side or joined by AND; OR binds tighter than AND: `a b OR c` is `a AND (b OR c)`
//   NOT x, -x   negation
//   field op v  op is one of = != < <= > >= :  and the field a path of names: custom_fields.size
//   v           a bare word (1200.50, true, 2026-11-23, LIFECYCLE_CUSTOMER, contact_01h4...), or a string in " or ' with the
//               escapes \" \' \\ \* \n \t. A `*` at the start or end of a word or string, not written \*, stands for
//               any text.
//   null        `field = null`: the field is empty. `field:*`: it is not.
//   me  my_team()  today()  days(-7)   the caller, the caller's team and those below, this day, the day a week ago
//   field = (a OR b)                   the same as (field = a OR field = b)
//
// What the operators mean, for whoever compiles them:
//   =   equal; text is compared as it is, with `*` as prefix / suffix / contains (then case-folded)
//   !=  exactly not `=`: an empty field matches too
//   :   text contains the value, case-folded; a list has the element; a map has the key; anything else: =
//   < <= > >=  never match an empty field, nor text with `*`
//   A day (2026-11-23, today()) against a moment is the whole local day: see TimeRangeOf.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>
#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

#include "common/base/call.h"
#include "common/base/id.h"
#include "crm/type/v1/filter.pb.h"

namespace crm::filter {

// A filter beyond this comes from a program that should use a segment or several requests.
inline constexpr size_t kLengthMax = 8 * 1024;  // what a URL can carry
inline constexpr int kNodesMax = 200;           // PostgreSQL plans such a condition in about a millisecond
inline constexpr int kDepthMax = 20;            // parentheses and NOTs inside each other: bounds the parser's recursion
inline constexpr int kDigitsMax = 30;           // before and after a number's point: fits any numeric column
inline constexpr int kDaysMax = 36'525;         // a hundred years either way, so that no date arithmetic overflows
inline constexpr size_t kOrderLengthMax = 1024;
inline constexpr int kOrderTermsMax = 8;

enum class Op { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kHas };

// The right side. Whether a text is a number, an enum's name or a date is the field's type to say: see the readers
// below.
struct Value {
  enum class Kind {
    kText,    // `text`, without quotes, escapes and outer `*`
    kNull,    // null; only with = and !=
    kAny,     // *; only with kHas
    kMe,      // the calling user's id
    kMyTeam,  // the caller's team and those below
    kDays,    // the local day `days` from today
  };
  Kind kind = Kind::kText;
  std::string text;
  bool any_before = false;  // "*text"; both: contains
  bool any_after = false;   // "text*"
  int days = 0;

  bool operator==(const Value&) const = default;
};

// `path op value`.
struct Compare {
  std::vector<std::string> path;  // {"custom_fields", "size"}; never empty
  Op op = Op::kEqual;
  Value value;
  // Where it stands, for errors: the byte in the filter, "12", or the place in the tree, "and.items[1]".
  std::string at;

  std::string PathText() const;  // "custom_fields.size"
  bool operator==(const Compare& other) const { return path == other.path && op == other.op && value == other.value; }
};

struct Node {
  enum class Kind {
    kAnd,      // all children hold; without children: true (the empty filter)
    kOr,       // one of two or more children holds
    kNot,      // its only child does not hold
    kCompare,  // `compare`
  };
  Kind kind = Kind::kAnd;
  std::vector<Node> children;
  Compare compare;

  bool operator==(const Node&) const = default;
};

// Reads a filter. Errors: INVALID_ARGUMENT, FILTER_INVALID, the position in the metadata, and what was expected.
absl::StatusOr<Node> Parse(absl::string_view text);

// The same from a tree.
absl::StatusOr<Node> FromTree(const type::v1::FilterTree& tree);

// Both hold.
Node And(Node a, Node b);

// The filter in the language, always the same for equal ASTs: Parse(ToText(node)) == node.
std::string ToText(const Node& node);

// One term of order_by.
struct OrderTerm {
  std::vector<std::string> path;
  bool descending = false;
  int position = 0;  // byte in the text

  std::string PathText() const;
  bool operator==(const OrderTerm& other) const { return path == other.path && descending == other.descending; }
};

// "amount desc, create_time": AIP-132. An empty text answers no terms. Refuses a field named twice.
absl::StatusOr<std::vector<OrderTerm>> ParseOrderBy(absl::string_view text);

// ---- for the compiler: errors, and values read as the field's type wants them ----
// Each reader refuses, with FILTER_INVALID at the value's place, what its type cannot hold, so that no SQL made of it
// can raise. kNull, kAny and (except in TextOf) wildcards are refused too: look at `kind` first.

// FILTER_INVALID about a condition, e.g. ErrorAt(compare, "there is no field \"amuont\"; did you mean \"amount\"?").
absl::Status ErrorAt(const Compare& compare, std::string text);
absl::Status ErrorAt(const OrderTerm& term, std::string text);

// Any text.
absl::StatusOr<std::string> TextOf(const Compare& compare);
// A decimal as numeric takes it: "-1200.50"; at most kDigitsMax digits on each side, no exponent.
absl::StatusOr<std::string> NumberOf(const Compare& compare);
// A whole number between the bounds.
absl::StatusOr<int64_t> IntegerOf(const Compare& compare, int64_t min, int64_t max);
// true or false.
absl::StatusOr<bool> BoolOf(const Compare& compare);
// The number of the enum's value of this name; the error lists the names.
absl::StatusOr<int> EnumOf(const Compare& compare, const google::protobuf::EnumDescriptor* descriptor);
// The ids that a reference may have: one for a text or `me`, any number for my_team(). `prefixes` is the `ref` option:
// "user", "contact,company", or "*". `me` for a caller that is no user, and my_team() without a team, answer none.
absl::StatusOr<std::vector<Uuid>> IdsOf(const Compare& compare, const Call& call, absl::string_view prefixes);
// The same as TypeID texts, for columns that hold links to several kinds.
absl::StatusOr<std::vector<std::string>> IdTextsOf(const Compare& compare, const Call& call,
                                                   absl::string_view prefixes);
// A calendar day, "2026-11-23".
absl::StatusOr<std::string> DateOf(const Compare& compare, const Call& call);

// The moments [begin, end) that a value names: a day in the call's zone, or one moment (end == begin, RFC 3339 text).
//   op      a day                         a moment
//   =       f >= begin AND f < end        f = begin
//   <       f < begin                     f < begin
//   <=      f < end                       f <= begin
//   >       f >= end                      f > begin
//   >=      f >= begin                    f >= begin
struct TimeRange {
  absl::Time begin;
  absl::Time end;
  bool moment() const { return begin == end; }
};
absl::StatusOr<TimeRange> TimeRangeOf(const Compare& compare, const Call& call);

}  // namespace crm::filter
