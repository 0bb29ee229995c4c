#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <map>

#include "common/base/decimal.h"
#include "common/base/status.h"
#include "services/messaging/rules/liquid.h"
#include "services/messaging/rules/liquid_node.h"

namespace crm::messaging {
namespace liquid {

class Renderer {
 public:
  Renderer(const Value& root, LiquidMode mode, const Locale& locale, std::set<std::string>* empty)
      : root_(root), mode_(mode), locale_(locale), empty_(empty) {}

  absl::Status Run(const Node::List& nodes) {
    for (const auto& node : nodes) {
      if (++steps_ > kLiquidStepsMax || out_.size() > kLiquidOutputMax)
        return absl::ResourceExhaustedError("the letter gets too long; loop over less");
      switch (node->kind) {
        case Node::Kind::kText:
          out_ += node->text;
          break;
        case Node::Kind::kOutput:
          Write(*node);
          break;
        case Node::Kind::kIf:
          CRM_TRY(RunIf(*node));
          break;
        case Node::Kind::kFor:
          CRM_TRY(RunFor(*node));
          break;
      }
    }
    return absl::OkStatus();
  }

  std::string Take() { return std::move(out_); }

 private:
  Value Get(const Operand& operand) const {
    if (operand.path.empty()) return operand.constant;
    const auto local = locals_.find(operand.path.front());
    Value value = local != locals_.end() ? local->second : root_.Member(operand.path.front());
    for (size_t i = 1; i < operand.path.size(); ++i) value = value.Member(operand.path[i]);
    return value;
  }

  void Write(const Node& node) {
    Value value = Get(node.expression.operand);
    bool excused = false;
    const bool missing = !value.Truth() && value.kind != Value::Kind::kBool && value.kind != Value::Kind::kNumber;
    for (const auto& filter : node.expression.filters) {
      std::vector<Value> arguments;
      for (const auto& argument : filter.arguments) arguments.push_back(Get(argument));
      value = ApplyFilter(filter.name, value, arguments, locale_);
      excused = excused || filter.name == "default" || filter.name == "size" || filter.name == "join";
    }
    if (missing && !excused && empty_ != nullptr && !node.expression.operand.path.empty())
      empty_->insert(absl::StrJoin(node.expression.operand.path, "."));
    std::string text = Plain(value, locale_);
    switch (node.place) {
      case Place::kPlain:
        out_ += text;
        return;
      case Place::kLinkStart:
        if (!IsLink(text)) text = "#";
        [[fallthrough]];
      case Place::kHtmlText:
      case Place::kAttribute:
        out_ += EscapeHtml(text);
    }
  }

  // What a value that begins a link may be: nothing that runs.
  static bool IsLink(absl::string_view text) {
    const size_t colon = text.find_first_of(":/?#");
    if (colon == absl::string_view::npos || text[colon] != ':') return true;  // relative
    const std::string scheme = absl::AsciiStrToLower(text.substr(0, colon));
    return scheme == "http" || scheme == "https" || scheme == "mailto" || scheme == "tel";
  }

  bool Holds(const Condition& condition) const {
    switch (condition.kind) {
      case Condition::Kind::kAnd:
        return std::all_of(condition.children.begin(), condition.children.end(),
                           [&](const auto& c) { return Holds(c); });
      case Condition::Kind::kOr:
        return std::any_of(condition.children.begin(), condition.children.end(),
                           [&](const auto& c) { return Holds(c); });
      case Condition::Kind::kNot:
        return !Holds(condition.children.front());
      case Condition::Kind::kTruth:
        return Get(condition.left).Truth();
      case Condition::Kind::kCompare:
        return Compares(Get(condition.left), condition.op, Get(condition.right));
    }
    return false;
  }

  static bool Compares(const Value& left, const std::string& op, const Value& right) {
    if (op == "contains") {
      if (left.kind == Value::Kind::kList) {
        return std::any_of(left.items.begin(), left.items.end(),
                           [&](const Value& item) { return item.text == right.text; });
      }
      return !right.text.empty() && absl::StrContains(left.text, right.text);
    }
    int order = 0;
    const auto a = Decimal::Parse(left.text), b = Decimal::Parse(right.text);
    if (left.kind == Value::Kind::kBool || right.kind == Value::Kind::kBool) {
      order = static_cast<int>(left.Truth()) - static_cast<int>(right.Truth());
    } else if (a.ok() && b.ok()) {
      order = *a < *b ? -1 : *b < *a ? 1 : 0;
    } else {
      order = left.text.compare(right.text);
    }
    if (op == "==") return order == 0;
    if (op == "!=") return order != 0;
    if (left.kind == Value::Kind::kNone || right.kind == Value::Kind::kNone) return false;
    if (op == "<") return order < 0;
    if (op == "<=") return order <= 0;
    return op == ">" ? order > 0 : order >= 0;
  }

  absl::Status RunIf(const Node& node) {
    for (const auto& [condition, branch] : node.branches) {
      ++steps_;
      if (Holds(condition)) return Run(branch);
    }
    return Run(node.otherwise);
  }

  absl::Status RunFor(const Node& node) {
    const Value list = Get(node.list);
    if (list.items.empty()) return Run(node.otherwise);
    const auto kept = locals_;
    for (size_t i = 0; i < list.items.size(); ++i) {
      locals_[node.variable] = list.items[i];
      Value loop;
      loop.kind = Value::Kind::kObject;
      loop.fields["index"] = Value::Number(absl::StrCat(i + 1));
      loop.fields["first"] = Value::Bool(i == 0);
      loop.fields["last"] = Value::Bool(i + 1 == list.items.size());
      locals_["forloop"] = std::move(loop);
      CRM_TRY(Run(node.body));
    }
    locals_ = kept;
    return absl::OkStatus();
  }

  const Value& root_;
  const LiquidMode mode_;
  const Locale& locale_;
  std::set<std::string>* empty_;
  std::map<std::string, Value> locals_;
  std::string out_;
  int steps_ = 0;
};

}  // namespace liquid

absl::StatusOr<std::string> Liquid::Render(const Value& root, const Locale& locale,
                                           std::set<std::string>* empty) const {
  liquid::Renderer renderer(root, mode_, locale, empty);
  CRM_TRY(renderer.Run(nodes_));
  std::string text = renderer.Take();
  if (text.size() > kLiquidOutputMax) return absl::ResourceExhaustedError("the letter gets too long; loop over less");
  if (mode_ == LiquidMode::kLine) {
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
    text = std::string(absl::StripAsciiWhitespace(text));
  }
  return text;
}

std::string EscapeHtml(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace crm::messaging
