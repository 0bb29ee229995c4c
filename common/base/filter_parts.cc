#include "common/base/filter_parts.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <utility>

#include "common/base/error.h"
#include "common/base/text.h"

namespace crm::filter {
namespace parts {

absl::Status Fail(absl::string_view field, absl::string_view at, absl::string_view text) {
  auto status = Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_FILTER_INVALID,
                      absl::StrCat(field, at.empty() ? "" : ", position ", at, ": ", text),
                      {{"field", std::string(field)}, {"position", std::string(at)}});
  AddViolation(status, {std::string(field), std::string(text)});
  return status;
}

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

}  // namespace parts

std::string Compare::PathText() const { return absl::StrJoin(path, "."); }
std::string OrderTerm::PathText() const { return absl::StrJoin(path, "."); }

Node And(Node a, Node b) {
  std::vector<Node> both;
  both.push_back(std::move(a));
  both.push_back(std::move(b));
  // A filter without conditions adds none, so this may leave one or none.
  Node joined = parts::Join(Node::Kind::kAnd, std::move(both));
  if (joined.children.size() == 1) return Node(joined.children[0]);
  return joined;
}

absl::Status ErrorAt(const Compare& compare, std::string text) {
  const bool in_text = compare.at.empty() || absl::ascii_isdigit(static_cast<unsigned char>(compare.at[0]));
  return parts::Fail(in_text ? "filter" : "filter_tree", compare.at, text);
}

absl::Status ErrorAt(const OrderTerm& term, std::string text) {
  return parts::Fail("order_by", absl::StrCat(term.position), text);
}

}  // namespace crm::filter
