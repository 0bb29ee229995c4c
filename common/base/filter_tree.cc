// The filter as a tree, as programs send it.
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/base/filter.h"
#include "common/base/filter_parts.h"
#include "common/base/status.h"

namespace crm::filter {
namespace trees {

using namespace parts;
using type::v1::FilterTree;
using type::v1::FilterTreeCompare;

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
      auto function = ParseFunction(tree.function(), kField);
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

}  // namespace trees

absl::StatusOr<Node> FromTree(const type::v1::FilterTree& tree) {
  if (tree.node_case() == type::v1::FilterTree::NODE_NOT_SET) return Node();
  if (tree.ByteSizeLong() > kLengthMax * 4) {  // field names and numbers beside the texts
    return parts::Fail("filter_tree", "",
                       absl::StrCat("is ", tree.ByteSizeLong(), " bytes long; at most ", kLengthMax * 4, " are read"));
  }
  return trees::TreeReader().Read(tree, "", 0);
}

}  // namespace crm::filter
