#include "common/base/filter.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <string>
#include <utility>
#include <vector>

#include "common/base/filter_parts.h"
#include "common/base/status.h"
#include "common/base/text.h"

namespace crm::filter {
namespace language {

using namespace parts;

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

}  // namespace language

absl::StatusOr<Value> parts::ParseFunction(absl::string_view text, absl::string_view field) {
  return language::Parser(text, field).Function();
}

absl::StatusOr<Node> Parse(absl::string_view text) {
  if (text.size() > kLengthMax) {
    return parts::Fail("filter", "",
                       absl::StrCat("is ", text.size(), " bytes long; at most ", kLengthMax, " are read"));
  }
  CRM_TRY(parts::CheckBytes(text, "filter", ""));
  return language::Parser(text, "filter").Filter();
}

std::string ToText(const Node& node) {
  std::string text;
  language::Write(node, false, text);
  return text;
}

absl::StatusOr<std::vector<OrderTerm>> ParseOrderBy(absl::string_view text) {
  if (text.size() > kOrderLengthMax) {
    return parts::Fail("order_by", "",
                       absl::StrCat("is ", text.size(), " bytes long; at most ", kOrderLengthMax, " are read"));
  }
  CRM_TRY(parts::CheckBytes(text, "order_by", ""));
  return language::Parser(text, "order_by").OrderBy();
}

}  // namespace crm::filter
