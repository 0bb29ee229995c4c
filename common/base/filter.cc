#include "common/base/filter.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <utility>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "common/base/time.h"

namespace crm::filter {
namespace {

using type::v1::FilterTree;
using type::v1::FilterTreeCompare;

constexpr size_t kFoundMax = 20;  // characters of the caller's text that an error repeats
constexpr int kEnumNamesMax = 40;

absl::Status Fail(absl::string_view field, absl::string_view at, absl::string_view text) {
  auto status = Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_FILTER_INVALID,
                      absl::StrCat(field, at.empty() ? "" : ", position ", at, ": ", text),
                      {{"field", std::string(field)}, {"position", std::string(at)}});
  AddViolation(status, {std::string(field), std::string(text)});
  return status;
}

absl::string_view OpText(Op op) {
  switch (op) {
    case Op::kEqual:
      return "=";
    case Op::kNotEqual:
      return "!=";
    case Op::kLess:
      return "<";
    case Op::kLessEqual:
      return "<=";
    case Op::kGreater:
      return ">";
    case Op::kGreaterEqual:
      return ">=";
    case Op::kHas:
      return ":";
  }
  return "";
}

bool IsOrdering(Op op) {
  return op == Op::kLess || op == Op::kLessEqual || op == Op::kGreater || op == Op::kGreaterEqual;
}

// Why this value cannot stand with this operator; empty if it can.
std::string Mismatch(Op op, const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNull:
      return op == Op::kEqual || op == Op::kNotEqual ? "" : "null stands only with = and !=";
    case Value::Kind::kMe:
    case Value::Kind::kMyTeam:
      return IsOrdering(op) ? absl::StrCat("me and my_team() have no order: use = or != instead of ", OpText(op)) : "";
    case Value::Kind::kText:
      return IsOrdering(op) && (value.any_before || value.any_after)
                 ? absl::StrCat("* cannot stand with ", OpText(op), ": write \\* in quotes for the character itself")
                 : "";
    case Value::Kind::kAny:
    case Value::Kind::kDays:
      return "";
  }
  return "";
}

// One node of the parts; And in And and Or in Or become one.
Node Join(Node::Kind kind, std::vector<Node> parts) {
  if (parts.size() == 1) return std::move(parts[0]);
  Node node;
  node.kind = kind;
  for (auto& part : parts) {
    if (part.kind == kind) {
      for (auto& child : part.children) node.children.push_back(std::move(child));
    } else {
      node.children.push_back(std::move(part));
    }
  }
  return node;
}

Node Not(Node child) {
  Node node;
  node.kind = Node::Kind::kNot;
  node.children.push_back(std::move(child));
  return node;
}

Node Leaf(Compare compare) {
  Node node;
  node.kind = Node::Kind::kCompare;
  node.compare = std::move(compare);
  return node;
}

Value Special(Value::Kind kind) {
  Value value;
  value.kind = kind;
  return value;
}

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool IsNameStart(char c) { return absl::ascii_isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool IsNamePart(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; }
// What ends a bare value.
bool EndsWord(char c) { return IsSpace(c) || absl::string_view("(),\"'<>=!\\").find(c) != absl::string_view::npos; }

// Recursive descent; `field` is what errors name. One use.
class Parser {
 public:
  Parser(absl::string_view text, absl::string_view field) : text_(text), field_(field) {}

  absl::StatusOr<Node> Filter() {
    SkipSpace();
    if (AtEnd()) return Node();
    CRM_TRY(Node node, Expression());
    if (!AtEnd()) return Expected("AND, OR, another condition or the end");
    return node;
  }

  // The whole text is one function or `me`.
  absl::StatusOr<Value> Function() {
    SkipSpace();
    const size_t start = at_;
    CRM_TRY(Value value, OneValue());
    SkipSpace();
    if (!AtEnd()) return Expected("the end");
    if (value.kind != Value::Kind::kMe && value.kind != Value::Kind::kMyTeam && value.kind != Value::Kind::kDays) {
      return FailAt(start, "expected me, my_team(), today() or days(-7)");
    }
    return value;
  }

  absl::StatusOr<std::vector<OrderTerm>> OrderBy() {
    std::vector<OrderTerm> terms;
    SkipSpace();
    while (!AtEnd()) {
      if (!terms.empty()) {
        if (!Take(",")) return Expected("\",\" or the end");
        SkipSpace();
      }
      OrderTerm term;
      term.position = static_cast<int>(at_);
      CRM_TRY(term.path, Path());
      SkipSpace();
      if (TakeWord("desc")) {
        term.descending = true;
      } else if (!TakeWord("asc") && !AtEnd() && text_[at_] != ',') {
        return Expected("\"desc\", \",\" or the end");
      }
      for (const auto& before : terms) {
        if (before.path == term.path) return FailAt(term.position, absl::StrCat(term.PathText(), " stands here twice"));
      }
      terms.push_back(std::move(term));
      if (terms.size() > kOrderTermsMax) {
        return FailAt(terms.back().position, absl::StrCat("at most ", kOrderTermsMax, " fields can be sorted by"));
      }
      SkipSpace();
    }
    return terms;
  }

 private:
  bool AtEnd() const { return at_ == text_.size(); }
  void SkipSpace() {
    while (!AtEnd() && IsSpace(text_[at_])) ++at_;
  }
  bool Take(absl::string_view token) {
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }
  bool SeesWord(absl::string_view word) const {
    return text_.substr(at_, word.size()) == word &&
           (at_ + word.size() == text_.size() || !IsNamePart(text_[at_ + word.size()]));
  }
  bool TakeWord(absl::string_view word) {
    if (!SeesWord(word)) return false;
    at_ += word.size();
    return true;
  }

  absl::Status FailAt(size_t at, absl::string_view text) const { return Fail(field_, absl::StrCat(at), text); }
  absl::Status Expected(absl::string_view what) const {
    if (AtEnd()) return FailAt(at_, absl::StrCat("expected ", what, ", but the text ends here"));
    size_t size = 1;
    while (at_ + size < text_.size() && !EndsWord(text_[at_ + size]) && !EndsWord(text_[at_])) ++size;
    return FailAt(
        at_, absl::StrCat("expected ", what, ", but found \"", Truncated(text_.substr(at_, size), kFoundMax), "\""));
  }

  absl::Status Count() {
    if (++nodes_ > kNodesMax) {
      return FailAt(at_,
                    absl::StrCat("there are more than ", kNodesMax, " conditions: use a segment or several requests"));
    }
    return absl::OkStatus();
  }
  // One step deeper; the caller steps back with --depth_.
  absl::Status Deeper() {
    if (++depth_ > kDepthMax) return FailAt(at_, absl::StrCat("more than ", kDepthMax, " parentheses or NOTs deep"));
    return Count();
  }

  // Groups joined by AND or side by side.
  absl::StatusOr<Node> Expression() {
    std::vector<Node> parts;
    while (true) {
      CRM_TRY(Node part, OrGroup());
      parts.push_back(std::move(part));
      SkipSpace();
      if (TakeWord("AND")) continue;
      if (AtEnd() || text_[at_] == ')') break;
    }
    return Join(Node::Kind::kAnd, std::move(parts));
  }

  absl::StatusOr<Node> OrGroup() {
    std::vector<Node> parts;
    do {
      CRM_TRY(Node part, Term());
      parts.push_back(std::move(part));
      SkipSpace();
    } while (TakeWord("OR"));
    return Join(Node::Kind::kOr, std::move(parts));
  }

  absl::StatusOr<Node> Term() {
    SkipSpace();
    if (TakeWord("NOT") || Take("-")) {
      CRM_TRY(Deeper());
      CRM_TRY(Node child, Term());
      --depth_;
      return Not(std::move(child));
    }
    if (Take("(")) {
      CRM_TRY(Deeper());
      CRM_TRY(Node node, Expression());
      if (!Take(")")) return Expected("\")\"");
      --depth_;
      return node;
    }
    return Restriction();
  }

  absl::StatusOr<std::vector<std::string>> Path() {
    std::vector<std::string> path;
    if (AtEnd() || !IsNameStart(text_[at_]) || SeesWord("AND") || SeesWord("OR") || SeesWord("NOT")) {
      return Expected("a field's name");
    }
    do {
      const size_t start = at_;
      while (!AtEnd() && IsNamePart(text_[at_])) ++at_;
      if (at_ == start) return Expected("a field's name after the point");
      path.emplace_back(text_.substr(start, at_ - start));
    } while (Take("."));
    return path;
  }

  absl::StatusOr<Node> Restriction() {
    CRM_TRY(Count());
    Compare compare;
    const size_t start = at_;
    CRM_TRY(compare.path, Path());
    if (!AtEnd() && text_[at_] == '(') return FailAt(start, "a function can stand only on the right of an operator");
    SkipSpace();
    const size_t op_at = at_;
    if (Take("!=")) {
      compare.op = Op::kNotEqual;
    } else if (Take("<=")) {
      compare.op = Op::kLessEqual;
    } else if (Take(">=")) {
      compare.op = Op::kGreaterEqual;
    } else if (Take("==")) {
      return FailAt(op_at, "write = instead of ==");
    } else if (Take("=")) {
      compare.op = Op::kEqual;
    } else if (Take("<")) {
      compare.op = Op::kLess;
    } else if (Take(">")) {
      compare.op = Op::kGreater;
    } else if (Take(":")) {
      compare.op = Op::kHas;
    } else {
      return Expected(absl::StrCat("one of = != < <= > >= : after ", compare.PathText()));
    }
    SkipSpace();
    if (!AtEnd() && text_[at_] == '(') return AnyOf(std::move(compare));
    return WithValue(std::move(compare));
  }

  absl::StatusOr<Node> WithValue(Compare compare) {
    const size_t start = at_;
    CRM_TRY(compare.value, OneValue());
    // Unquoted, and only with `:`, a lone star asks whether there is anything.
    if (compare.op == Op::kHas && text_.substr(start, at_ - start) == "*") compare.value = Special(Value::Kind::kAny);
    const std::string mismatch = Mismatch(compare.op, compare.value);
    if (!mismatch.empty()) return FailAt(start, mismatch);
    compare.at = absl::StrCat(start);
    return Leaf(std::move(compare));
  }

  // field = (a OR b)
  absl::StatusOr<Node> AnyOf(Compare compare) {
    if (compare.op != Op::kEqual && compare.op != Op::kHas) {
      return FailAt(at_, "a list in parentheses stands only after = and :");
    }
    Take("(");
    std::vector<Node> parts;
    do {
      SkipSpace();
      CRM_TRY(Count());
      CRM_TRY(Node part, WithValue(compare));
      parts.push_back(std::move(part));
      SkipSpace();
    } while (TakeWord("OR"));
    if (!Take(")")) return Expected("OR or \")\"");
    return Join(Node::Kind::kOr, std::move(parts));
  }

  absl::StatusOr<Value> OneValue() {
    if (!AtEnd() && (text_[at_] == '"' || text_[at_] == '\'')) return Quoted();
    const size_t start = at_;
    while (!AtEnd() && !EndsWord(text_[at_])) ++at_;
    const absl::string_view word = text_.substr(start, at_ - start);
    if (word.empty() || word == "AND" || word == "OR" || word == "NOT") {
      at_ = start;
      return Expected("a value");
    }
    if (!AtEnd() && text_[at_] == '\\') return FailAt(at_, "put the value in quotes to use \\");
    if (!AtEnd() && text_[at_] == '(') return Call(word, start);
    if (word == "me") return Special(Value::Kind::kMe);
    if (word == "null") return Special(Value::Kind::kNull);
    Value value;
    CRM_TRY(AddText(value, word, start, std::vector<bool>(word.size(), true)));
    return value;
  }

  absl::StatusOr<Value> Quoted() {
    const size_t start = at_;
    const char quote = text_[at_++];
    std::string raw;
    std::vector<bool> live;  // per byte: not escaped
    while (true) {
      if (AtEnd()) return FailAt(start, "this quote is not closed");
      char c = text_[at_++];
      if (c == quote) break;
      live.push_back(c != '\\');
      if (c == '\\') {
        if (AtEnd()) return FailAt(start, "this quote is not closed");
        c = text_[at_++];
        if (c == 'n') {
          c = '\n';
        } else if (c == 't') {
          c = '\t';
        } else if (c != '"' && c != '\'' && c != '\\' && c != '*') {
          return FailAt(at_ - 2, "\\ can be followed by \" ' \\ * n t only");
        }
      }
      raw.push_back(c);
    }
    Value value;
    CRM_TRY(AddText(value, raw, start, live));
    return value;
  }

  // Takes the stars off both ends.
  absl::Status AddText(Value& value, absl::string_view raw, size_t start, const std::vector<bool>& live) {
    const auto star = [&](size_t i) { return raw[i] == '*' && live[i]; };
    size_t begin = 0, end = raw.size();
    if (begin < end && star(begin)) {
      value.any_before = true;
      ++begin;
    }
    if (begin < end && star(end - 1)) {
      value.any_after = true;
      --end;
    }
    if (raw.size() == 1 && value.any_before) value.any_after = true;  // "*" alone
    for (size_t i = begin; i < end; ++i) {
      if (star(i)) {
        return FailAt(start, "* can stand only at the start or the end; write \\* in quotes for the character itself");
      }
    }
    value.text = std::string(raw.substr(begin, end - begin));
    return absl::OkStatus();
  }

  absl::StatusOr<Value> Call(absl::string_view name, size_t start) {
    Take("(");
    SkipSpace();
    const size_t argument_at = at_;
    while (!AtEnd() && !EndsWord(text_[at_])) ++at_;
    const absl::string_view argument = text_.substr(argument_at, at_ - argument_at);
    SkipSpace();
    if (!Take(")")) return Expected("\")\"");
    Value value;
    if (name == "days") {
      value.kind = Value::Kind::kDays;
      // SimpleAtoi also takes a plus sign, which is welcome here.
      if (!absl::SimpleAtoi(argument, &value.days) || value.days > kDaysMax || value.days < -kDaysMax) {
        return FailAt(argument_at, absl::StrCat("days() takes a whole number from -", kDaysMax, " to ", kDaysMax));
      }
      return value;
    }
    if (name == "me") {
      value.kind = Value::Kind::kMe;
    } else if (name == "my_team") {
      value.kind = Value::Kind::kMyTeam;
    } else if (name == "today") {
      value.kind = Value::Kind::kDays;
    } else {
      return FailAt(start, absl::StrCat("there is no function ", Truncated(name, kFoundMax),
                                        "(): there are me, my_team(), today() and days(-7)"));
    }
    if (!argument.empty()) return FailAt(argument_at, absl::StrCat(name, "() takes no argument"));
    return value;
  }

  absl::string_view text_;
  absl::string_view field_;
  size_t at_ = 0;
  int nodes_ = 0;
  int depth_ = 0;
};

// What PostgreSQL's text cannot hold, and what nobody types.
absl::Status CheckBytes(absl::string_view text, absl::string_view field, absl::string_view at) {
  if (!IsUtf8(text)) return Fail(field, at, "is not UTF-8: check how the request was encoded");
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if ((c < 0x20 && !IsSpace(text[i])) || c == 0x7f) {
      return Fail(field, at.empty() ? absl::StrCat(i) : std::string(at),
                  "there is a control character here: take it out");
    }
  }
  return absl::OkStatus();
}

class TreeReader {
 public:
  absl::StatusOr<Node> Read(const FilterTree& tree, const std::string& at, int depth) {
    if (depth > kDepthMax) return Fail(kField, at, absl::StrCat("more than ", kDepthMax, " levels deep"));
    CRM_TRY(Count(at));
    switch (tree.node_case()) {
      case FilterTree::kAnd:
        return List(tree.and_(), Node::Kind::kAnd, at + "and", depth);
      case FilterTree::kOr:
        return List(tree.or_(), Node::Kind::kOr, at + "or", depth);
      case FilterTree::kNot: {
        CRM_TRY(Node child, Read(tree.not_(), at + "not.", depth + 1));
        return Not(std::move(child));
      }
      case FilterTree::kCompare:
        return One(tree.compare(), at + "compare");
      case FilterTree::NODE_NOT_SET:
        break;
    }
    return Fail(kField, at, "is empty: set one of and, or, not, compare");
  }

 private:
  static constexpr absl::string_view kField = "filter_tree";

  absl::Status Count(const std::string& at) {
    if (++nodes_ <= kNodesMax) return absl::OkStatus();
    return Fail(kField, at,
                absl::StrCat("there are more than ", kNodesMax, " nodes: use a segment or several requests"));
  }

  absl::StatusOr<Node> List(const type::v1::FilterTreeList& list, Node::Kind kind, const std::string& at, int depth) {
    if (list.items().empty()) return Fail(kField, at, "items is empty: put at least one node into it");
    std::vector<Node> parts;
    for (int i = 0; i < list.items_size(); ++i) {
      CRM_TRY(Node part, Read(list.items(i), absl::StrCat(at, ".items[", i, "]."), depth + 1));
      parts.push_back(std::move(part));
    }
    return Join(kind, std::move(parts));
  }

  absl::StatusOr<Node> One(const FilterTreeCompare& tree, const std::string& at) {
    Compare compare;
    compare.at = at;
    for (absl::string_view name : absl::StrSplit(tree.field(), '.')) {
      const bool good = !name.empty() && std::all_of(name.begin(), name.end(), IsNamePart) &&
                        (!compare.path.empty() || IsNameStart(name[0]));
      if (!good)
        return Fail(kField, at + ".field", "expected a field's path like \"amount\" or \"custom_fields.size\"");
      compare.path.emplace_back(name);
    }
    CRM_TRY(CheckBytes(tree.value(), kField, at + ".value"));
    const bool presence = tree.operator_() == FilterTreeCompare::OPERATOR_PRESENT ||
                          tree.operator_() == FilterTreeCompare::OPERATOR_ABSENT;
    const bool in = tree.operator_() == FilterTreeCompare::OPERATOR_IN;
    if (!tree.values().empty() && !in) return Fail(kField, at + ".values", "only OPERATOR_IN takes values: use value");
    if ((presence || in) && !(tree.value().empty() && tree.function().empty())) {
      return Fail(kField, at,
                  absl::StrCat(FilterTreeCompare::Operator_Name(tree.operator_()), " takes no value and no function"));
    }
    if (!tree.function().empty()) {
      if (!tree.value().empty()) return Fail(kField, at, "value and function cannot both be set");
      CRM_TRY(CheckBytes(tree.function(), kField, at + ".function"));
      auto function = Parser(tree.function(), kField).Function();
      if (!function.ok()) return Fail(kField, at + ".function", "expected me, my_team(), today() or days(-7)");
      compare.value = *function;
    } else {
      compare.value.text = tree.value();
    }
    switch (tree.operator_()) {
      case FilterTreeCompare::OPERATOR_EQUAL:
        compare.op = Op::kEqual;
        break;
      case FilterTreeCompare::OPERATOR_NOT_EQUAL:
        compare.op = Op::kNotEqual;
        break;
      case FilterTreeCompare::OPERATOR_LESS:
        compare.op = Op::kLess;
        break;
      case FilterTreeCompare::OPERATOR_LESS_EQUAL:
        compare.op = Op::kLessEqual;
        break;
      case FilterTreeCompare::OPERATOR_GREATER:
        compare.op = Op::kGreater;
        break;
      case FilterTreeCompare::OPERATOR_GREATER_EQUAL:
        compare.op = Op::kGreaterEqual;
        break;
      case FilterTreeCompare::OPERATOR_HAS:
        compare.op = Op::kHas;
        break;
      case FilterTreeCompare::OPERATOR_STARTS_WITH:
      case FilterTreeCompare::OPERATOR_ENDS_WITH:
        if (tree.value().empty()) return Fail(kField, at + ".value", "is empty: say what the text starts or ends with");
        compare.value.any_after = tree.operator_() == FilterTreeCompare::OPERATOR_STARTS_WITH;
        compare.value.any_before = !compare.value.any_after;
        break;
      case FilterTreeCompare::OPERATOR_IN:
        return AnyOf(compare, tree);
      case FilterTreeCompare::OPERATOR_PRESENT:
      case FilterTreeCompare::OPERATOR_ABSENT: {
        compare.op = Op::kHas;
        compare.value = Special(Value::Kind::kAny);
        Node node = Leaf(std::move(compare));
        return tree.operator_() == FilterTreeCompare::OPERATOR_ABSENT ? Not(std::move(node)) : std::move(node);
      }
      default:
        return Fail(kField, at + ".operator", "is not set or not known: use one of FilterTreeCompare.Operator");
    }
    const std::string mismatch = Mismatch(compare.op, compare.value);
    if (!mismatch.empty()) return Fail(kField, at, mismatch);
    return Leaf(std::move(compare));
  }

  absl::StatusOr<Node> AnyOf(const Compare& compare, const FilterTreeCompare& tree) {
    if (tree.values().empty()) return Fail(kField, compare.at + ".values", "is empty: OPERATOR_IN needs at least one");
    std::vector<Node> parts;
    for (int i = 0; i < tree.values_size(); ++i) {
      Compare one = compare;
      one.at = absl::StrCat(compare.at, ".values[", i, "]");
      CRM_TRY(CheckBytes(tree.values(i), kField, one.at));
      CRM_TRY(Count(one.at));
      one.value.text = tree.values(i);
      parts.push_back(Leaf(std::move(one)));
    }
    return Join(Node::Kind::kOr, std::move(parts));
  }

  int nodes_ = 0;
};

void Write(const Node& node, bool in_group, std::string& out);

void WriteValue(const Value& value, std::string& out) {
  switch (value.kind) {
    case Value::Kind::kNull:
      out += "null";
      return;
    case Value::Kind::kAny:
      out += "*";
      return;
    case Value::Kind::kMe:
      out += "me";
      return;
    case Value::Kind::kMyTeam:
      out += "my_team()";
      return;
    case Value::Kind::kDays:
      absl::StrAppend(&out, "days(", value.days, ")");
      return;
    case Value::Kind::kText:
      break;
  }
  out += '"';
  if (value.any_before) out += '*';
  for (char c : value.text) {
    if (c == '"' || c == '\\' || c == '*') out += '\\';
    out += c;
  }
  // A lone star reads as both ends open.
  if (value.any_after && !(value.any_before && value.text.empty())) out += '*';
  out += '"';
}

void WriteGroup(const Node& node, absl::string_view joint, std::string& out) {
  for (size_t i = 0; i < node.children.size(); ++i) {
    if (i > 0) absl::StrAppend(&out, joint);
    Write(node.children[i], true, out);
  }
}

void Write(const Node& node, bool in_group, std::string& out) {
  switch (node.kind) {
    case Node::Kind::kAnd:
    case Node::Kind::kOr:
      if (in_group) out += '(';
      WriteGroup(node, node.kind == Node::Kind::kAnd ? " AND " : " OR ", out);
      if (in_group) out += ')';
      return;
    case Node::Kind::kNot:
      out += "NOT ";
      Write(node.children[0], true, out);
      return;
    case Node::Kind::kCompare:
      absl::StrAppend(&out, node.compare.PathText(), " ", OpText(node.compare.op), " ");
      WriteValue(node.compare.value, out);
      return;
  }
}

// The text of a value that is one, without wildcards.
absl::StatusOr<absl::string_view> Plain(const Compare& compare, absl::string_view wanted) {
  if (compare.value.kind != Value::Kind::kText || compare.value.any_before || compare.value.any_after) {
    return ErrorAt(compare, absl::StrCat(compare.PathText(), " needs ", wanted));
  }
  return absl::string_view(compare.value.text);
}

absl::Status Unreadable(const Compare& compare, absl::string_view wanted) {
  return ErrorAt(compare, absl::StrCat("\"", Truncated(compare.value.text, kFoundMax),
                                       "\" will not do: ", compare.PathText(), " needs ", wanted));
}

constexpr absl::string_view kWantsDay = "a day like 2026-11-23, today() or days(-7)";

absl::StatusOr<absl::CivilDay> DayOf(const Compare& compare, const Call& call) {
  if (compare.value.kind == Value::Kind::kDays) {
    return LocalDay(call.now(), ZoneOrUtc(call.time_zone)) + compare.value.days;
  }
  CRM_TRY(const absl::string_view text, Plain(compare, kWantsDay));
  auto day = ParseDate(text);
  if (!day.ok()) return Unreadable(compare, kWantsDay);
  return day;
}

}  // namespace

std::string Compare::PathText() const { return absl::StrJoin(path, "."); }
std::string OrderTerm::PathText() const { return absl::StrJoin(path, "."); }

absl::StatusOr<Node> Parse(absl::string_view text) {
  if (text.size() > kLengthMax) {
    return Fail("filter", "", absl::StrCat("is ", text.size(), " bytes long; at most ", kLengthMax, " are read"));
  }
  CRM_TRY(CheckBytes(text, "filter", ""));
  return Parser(text, "filter").Filter();
}

absl::StatusOr<Node> FromTree(const FilterTree& tree) {
  if (tree.node_case() == FilterTree::NODE_NOT_SET) return Node();
  if (tree.ByteSizeLong() > kLengthMax * 4) {  // field names and numbers beside the texts
    return Fail("filter_tree", "",
                absl::StrCat("is ", tree.ByteSizeLong(), " bytes long; at most ", kLengthMax * 4, " are read"));
  }
  return TreeReader().Read(tree, "", 0);
}

Node And(Node a, Node b) {
  std::vector<Node> parts;
  parts.push_back(std::move(a));
  parts.push_back(std::move(b));
  // A filter without conditions adds none, so this may leave one or none.
  Node joined = Join(Node::Kind::kAnd, std::move(parts));
  if (joined.children.size() == 1) return Node(joined.children[0]);
  return joined;
}

std::string ToText(const Node& node) {
  std::string text;
  Write(node, false, text);
  return text;
}

absl::StatusOr<std::vector<OrderTerm>> ParseOrderBy(absl::string_view text) {
  if (text.size() > kOrderLengthMax) {
    return Fail("order_by", "",
                absl::StrCat("is ", text.size(), " bytes long; at most ", kOrderLengthMax, " are read"));
  }
  CRM_TRY(CheckBytes(text, "order_by", ""));
  return Parser(text, "order_by").OrderBy();
}

absl::Status ErrorAt(const Compare& compare, std::string text) {
  const bool in_text = compare.at.empty() || absl::ascii_isdigit(static_cast<unsigned char>(compare.at[0]));
  return Fail(in_text ? "filter" : "filter_tree", compare.at, text);
}

absl::Status ErrorAt(const OrderTerm& term, std::string text) {
  return Fail("order_by", absl::StrCat(term.position), text);
}

absl::StatusOr<std::string> TextOf(const Compare& compare) {
  if (compare.value.kind != Value::Kind::kText) {
    return ErrorAt(compare, absl::StrCat(compare.PathText(), " needs a text: put it in quotes"));
  }
  return compare.value.text;
}

absl::StatusOr<std::string> NumberOf(const Compare& compare) {
  constexpr absl::string_view kWanted = "a number like 1200.50 or -3";
  CRM_TRY(const absl::string_view text, Plain(compare, kWanted));
  absl::string_view rest = text;
  if (!rest.empty() && rest[0] == '-') rest.remove_prefix(1);
  const std::vector<absl::string_view> parts = absl::StrSplit(rest, '.');
  const bool good = parts.size() <= 2 && std::all_of(parts.begin(), parts.end(), [](absl::string_view part) {
                      return !part.empty() && part.size() <= kDigitsMax &&
                             std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
                    });
  if (!good) return Unreadable(compare, kWanted);
  return std::string(text);
}

absl::StatusOr<int64_t> IntegerOf(const Compare& compare, int64_t min, int64_t max) {
  const std::string wanted = absl::StrCat("a whole number from ", min, " to ", max);
  CRM_TRY(const absl::string_view text, Plain(compare, wanted));
  // SimpleAtoi by itself would take spaces and a plus sign.
  const bool shape = !text.empty() && (absl::ascii_isdigit(static_cast<unsigned char>(text[0])) || text[0] == '-') &&
                     absl::ascii_isdigit(static_cast<unsigned char>(text.back()));
  int64_t number = 0;
  if (!shape || !absl::SimpleAtoi(text, &number) || number < min || number > max) return Unreadable(compare, wanted);
  return number;
}

absl::StatusOr<bool> BoolOf(const Compare& compare) {
  constexpr absl::string_view kWanted = "true or false";
  CRM_TRY(const absl::string_view text, Plain(compare, kWanted));
  if (text != "true" && text != "false") return Unreadable(compare, kWanted);
  return text == "true";
}

absl::StatusOr<int> EnumOf(const Compare& compare, const google::protobuf::EnumDescriptor* descriptor) {
  std::vector<absl::string_view> names;
  for (int i = 0; i < std::min(descriptor->value_count(), kEnumNamesMax); ++i) {
    names.push_back(descriptor->value(i)->name());
  }
  const std::string wanted = absl::StrCat("one of ", absl::StrJoin(names, ", "));
  CRM_TRY(const absl::string_view text, Plain(compare, wanted));
  const auto* value = descriptor->FindValueByName(std::string(text));
  if (value == nullptr) return Unreadable(compare, wanted);
  return value->number();
}

absl::StatusOr<std::vector<std::string>> IdTextsOf(const Compare& compare, const Call& call,
                                                   absl::string_view prefixes) {
  const std::vector<absl::string_view> kinds = absl::StrSplit(prefixes, ',');
  const auto allowed = [&](absl::string_view kind) {
    return prefixes == "*" || std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
  };
  std::vector<std::string> ids;
  if (compare.value.kind == Value::Kind::kMe) {
    if (!allowed("user"))
      return ErrorAt(compare, absl::StrCat(compare.PathText(), " names no user: me cannot stand here"));
    if (call.principal.kind == Principal::Kind::kUser) ids.push_back(call.principal.user_id);
    return ids;
  }
  if (compare.value.kind == Value::Kind::kMyTeam) {
    if (!allowed("team")) {
      return ErrorAt(compare, absl::StrCat(compare.PathText(), " names no team: my_team() stands with team_id"));
    }
    for (const Uuid& team : call.principal.teams) ids.push_back(TypeId("team", team));
    return ids;
  }
  const std::string wanted = prefixes == "*"
                                 ? std::string("an id such as contact_01h455vb4pex5vsknk084sn02q")
                                 : absl::StrCat("an id that starts with ", absl::StrJoin(kinds, "_ or "), "_");
  CRM_TRY(const absl::string_view text, Plain(compare, wanted));
  auto parsed = ParseId(text);
  if (!parsed.ok() || !allowed(parsed->prefix)) return Unreadable(compare, wanted);
  ids.emplace_back(text);
  return ids;
}

absl::StatusOr<std::vector<Uuid>> IdsOf(const Compare& compare, const Call& call, absl::string_view prefixes) {
  CRM_TRY(const std::vector<std::string> texts, IdTextsOf(compare, call, prefixes));
  std::vector<Uuid> ids;
  for (const auto& text : texts) {
    CRM_TRY(const ParsedId parsed, ParseId(text));
    ids.push_back(parsed.uuid);
  }
  return ids;
}

absl::StatusOr<std::string> DateOf(const Compare& compare, const Call& call) {
  CRM_TRY(const absl::CivilDay day, DayOf(compare, call));
  return DateText(day);
}

absl::StatusOr<TimeRange> TimeRangeOf(const Compare& compare, const Call& call) {
  if (compare.value.kind == Value::Kind::kText && compare.value.text.find_first_of("Tt") != std::string::npos) {
    constexpr absl::string_view kWanted = "a time like 2026-11-23T10:15:00Z or a day like 2026-11-23";
    CRM_TRY(const absl::string_view text, Plain(compare, kWanted));
    auto time = ParseTime(text);
    if (!time.ok()) return Unreadable(compare, kWanted);
    return TimeRange{*time, *time};
  }
  CRM_TRY(const absl::CivilDay day, DayOf(compare, call));
  const absl::TimeZone zone = ZoneOrUtc(call.time_zone);
  return TimeRange{StartOfDay(day, zone), StartOfDay(day + 1, zone)};
}

}  // namespace crm::filter
