#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <map>
#include <set>

#include "common/base/status.h"
#include "common/base/text.h"
#include "services/messaging/rules/liquid.h"
#include "services/messaging/rules/liquid_node.h"

namespace crm::messaging {
namespace liquid {

// Where in an HTML text the reader stands, as a browser would see it (html.spec.whatwg.org, 13.2.5). Where it is in doubt,
// it stands where no value may.
class HtmlState {
 public:
  enum class In { kText, kTag, kBeforeValue, kDouble, kSingle, kUnquoted, kComment, kBogusComment, kRaw, kLost };

  void Read(absl::string_view text) {
    for (size_t i = 0; i < text.size(); ++i) Step(text[i], text.substr(i));
  }
  // Whether a value may stand here, and how it is written; otherwise why not.
  absl::StatusOr<Place> PlaceHere() const {
    if (in_ == In::kText) return Place::kHtmlText;
    if (in_ == In::kDouble || in_ == In::kSingle) {
      if (absl::StartsWith(attribute_, "on") || attribute_ == "style" || attribute_ == "srcdoc")
        return absl::InvalidArgumentError(absl::StrCat("a value cannot stand in the attribute ", attribute_));
      static const std::set<absl::string_view> kLinks = {"href",       "src",  "action", "background",
                                                         "formaction", "data", "poster", "xlink:href"};
      if (kLinks.count(attribute_) > 0 && absl::StripAsciiWhitespace(value_).empty()) return Place::kLinkStart;
      return Place::kAttribute;
    }
    if (in_ == In::kRaw || in_ == In::kLost)
      return absl::InvalidArgumentError(absl::StrCat("a value cannot stand inside <", tag_, ">"));
    if (in_ == In::kComment || in_ == In::kBogusComment)
      return absl::InvalidArgumentError("a value cannot stand inside an HTML comment");
    return absl::InvalidArgumentError("a value inside a tag must stand in an attribute's quotes: title=\"{{ ... }}\"");
  }
  bool Same(const HtmlState& other) const {
    const bool value = in_ == In::kDouble || in_ == In::kSingle;
    return in_ == other.in_ && (in_ == In::kText || tag_ == other.tag_) && (!value || attribute_ == other.attribute_);
  }

  // Inside of an attribute's name: what follows may go on with it.
  bool MidName() const { return in_ == In::kTag && !naming_tag_ && !fresh_; }
  // The name that goes on here is not known: no value may be its.
  void Doubt() {
    attribute_ = "on";
    fresh_ = false;
  }

 private:
  static bool IsSpace(char c) { return absl::ascii_isspace(static_cast<unsigned char>(c)); }

  void Step(char c, absl::string_view rest) {
    switch (in_) {
      case In::kText:
        if (c == '<') Open(rest);
        break;
      case In::kComment:
        if (c == '>' && ended_ >= 2) in_ = In::kText;
        ended_ = c == '-' ? ended_ + 1 : 0;
        break;
      case In::kBogusComment:
        if (c == '>') in_ = In::kText;
        if (c == '<') Lose("!");  // to old parsers it is no comment
        break;
      case In::kRaw:
        if (c == '<') InRaw(rest);
        break;
      case In::kLost:
        break;
      case In::kTag:
        InTag(c);
        break;
      case In::kBeforeValue:
        value_.clear();
        if (c == '"') {
          in_ = In::kDouble;
        } else if (c == '\'') {
          in_ = In::kSingle;
        } else if (c == '>') {
          EndTag();
        } else if (!IsSpace(c)) {
          in_ = In::kUnquoted;
        }
        break;
      case In::kDouble:
      case In::kSingle:
        if (c == (in_ == In::kDouble ? '"' : '\'')) {
          EndValue();
        } else {
          value_ += c;
        }
        break;
      case In::kUnquoted:
        if (c == '>') {
          EndTag();
        } else if (IsSpace(c)) {
          EndValue();
        }
        break;
    }
  }

  // `rest` begins with "<".
  void Open(absl::string_view rest) {
    const size_t slash = rest.size() > 1 && rest[1] == '/' ? 1 : 0;
    const char first = rest.size() > 1 + slash ? rest[1 + slash] : 'a';  // a tag, for all that is known here
    tag_.clear();
    attribute_.clear();
    if (absl::StartsWith(rest, "<!--")) {
      in_ = In::kComment;
      ended_ = 0;
    } else if (absl::StartsWith(rest, "<![CDATA[")) {
      Lose("![CDATA[");  // a comment in HTML, and none in SVG
    } else if (absl::ascii_isalpha(static_cast<unsigned char>(first))) {
      in_ = In::kTag;
      naming_tag_ = true;
    } else if (slash == 1 || first == '!' || first == '?') {
      in_ = In::kBogusComment;
    }
  }

  // `rest` begins with "<", inside of an element whose content is no HTML.
  void InRaw(absl::string_view rest) {
    const std::string end = absl::StrCat("</", tag_);
    if (tag_ == "script" && absl::StartsWith(rest, "<!--")) {
      in_ = In::kLost;  // where such a script ends only a browser can tell
    } else if (absl::StartsWithIgnoreCase(rest, end) && rest.size() > end.size() &&
               (IsSpace(rest[end.size()]) || rest[end.size()] == '/' || rest[end.size()] == '>')) {
      in_ = In::kTag;
      tag_.clear();
      attribute_.clear();
      naming_tag_ = true;
    }
  }

  void InTag(char c) {
    const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
    if (c == '>') {
      EndTag();
    } else if (IsSpace(c) || (c == '/' && !(naming_tag_ && tag_.empty()))) {
      naming_tag_ = false;
      fresh_ = true;
      if (c == '/') attribute_.clear();
    } else if (naming_tag_) {
      tag_ += lower;
    } else if (c == '=' && !attribute_.empty()) {
      in_ = In::kBeforeValue;
    } else {
      if (fresh_) attribute_.clear();
      fresh_ = false;
      attribute_ += lower;  // a "=" that follows no name begins one
    }
  }

  void Lose(absl::string_view inside) {
    in_ = In::kLost;
    tag_ = std::string(inside);
  }

  void EndValue() {
    in_ = In::kTag;
    attribute_.clear();
    fresh_ = true;
  }

  void EndTag() {
    static const std::set<absl::string_view> kRaw = {"script", "style",   "title",    "textarea", "xmp",
                                                     "iframe", "noembed", "noframes", "noscript"};
    // Old parsers end a name earlier: <script;x>. Nothing is said of what follows then.
    const auto part = [](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); };
    const absl::string_view base(tag_.data(), std::find_if_not(tag_.begin(), tag_.end(), part) - tag_.begin());
    const bool raw = kRaw.count(base) > 0;
    in_ = base == "plaintext" || (raw && base != tag_) ? In::kLost : raw ? In::kRaw : In::kText;
  }

  In in_ = In::kText;
  std::string tag_, attribute_, value_;
  bool naming_tag_ = false, fresh_ = true;
  int ended_ = 0;
};

bool IsNameStart(char c) { return absl::ascii_islower(static_cast<unsigned char>(c)); }
bool IsNamePart(char c) { return IsNameStart(c) || absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '_'; }

// Reads what stands between {{ and }} or {% and %}.
class Words {
 public:
  explicit Words(absl::string_view text) {
    size_t i = 0;
    while (i < text.size()) {
      const char c = text[i];
      if (absl::ascii_isspace(static_cast<unsigned char>(c))) {
        ++i;
        continue;
      }
      const size_t start = i;
      if (c == '"' || c == '\'') {
        const size_t end = text.find(c, i + 1);
        if (end == absl::string_view::npos) {
          error_ = "a text begins with a quote and does not end";
          return;
        }
        i = end + 1;
      } else if (IsNameStart(c)) {
        while (i < text.size() &&
               (IsNamePart(text[i]) || (text[i] == '.' && i + 1 < text.size() && IsNameStart(text[i + 1]))))
          ++i;
      } else if (absl::ascii_isdigit(static_cast<unsigned char>(c)) ||
                 (c == '-' && i + 1 < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[i + 1])))) {
        ++i;
        while (i < text.size() && (absl::ascii_isdigit(static_cast<unsigned char>(text[i])) ||
                                   (text[i] == '.' && i + 1 < text.size() &&
                                    absl::ascii_isdigit(static_cast<unsigned char>(text[i + 1])))))
          ++i;
      } else if (absl::StartsWith(text.substr(i), "==") || absl::StartsWith(text.substr(i), "!=") ||
                 absl::StartsWith(text.substr(i), "<=") || absl::StartsWith(text.substr(i), ">=")) {
        i += 2;
      } else if (c == '|' || c == ':' || c == ',' || c == '<' || c == '>') {
        ++i;
      } else {
        error_ = absl::StrCat("\"", Truncated(text.substr(i), 10), "\" cannot be read");
        return;
      }
      words_.emplace_back(text.substr(start, i - start));
    }
  }
  const std::string& error() const { return error_; }
  bool AtEnd() const { return next_ == words_.size(); }
  std::string Peek() const { return AtEnd() ? "" : words_[next_]; }
  std::string Take() { return AtEnd() ? "" : words_[next_++]; }
  bool TakeIf(absl::string_view word) {
    if (AtEnd() || words_[next_] != word) return false;
    ++next_;
    return true;
  }

 private:
  std::vector<std::string> words_;
  size_t next_ = 0;
  std::string error_;
};

class Compiler {
 public:
  Compiler(absl::string_view text, LiquidMode mode, const Shape& root) : text_(text), mode_(mode), scope_(root) {}

  absl::Status Run(Node::List& out, std::set<std::string>& roots) {
    absl::StatusOr<std::string> ended = Block(out, {}, 0);
    if (!ended.ok()) return ended.status();
    roots = roots_;
    return absl::OkStatus();
  }

 private:
  absl::Status Wrong(const std::string& what) const {
    const auto lines =
        1 + std::count(text_.begin(), text_.begin() + static_cast<long>(std::min(tag_at_, text_.size())), '\n');
    return absl::InvalidArgumentError(absl::StrCat("line ", lines, ": ", what));
  }

  // Reads up to one of `ends` (a tag's first word) and answers that whole tag; "" at the end of the text.
  absl::StatusOr<std::string> Block(Node::List& out, const std::vector<std::string>& ends, int depth) {
    if (depth > kLiquidDepthMax) return Wrong("nested too deeply");
    for (;;) {
      size_t open = at_;
      while (true) {
        open = text_.find('{', open);
        if (open == absl::string_view::npos ||
            (open + 1 < text_.size() && (text_[open + 1] == '{' || text_[open + 1] == '%' || text_[open + 1] == '#')))
          break;
        ++open;
      }
      if (open == absl::string_view::npos) open = text_.size();
      if (open > at_) {
        auto node = std::make_unique<Node>();
        node->text = std::string(text_.substr(at_, open - at_));
        if (mode_ == LiquidMode::kHtml) html_.Read(node->text);
        out.push_back(std::move(node));
        CRM_TRY(Count());
      }
      at_ = tag_at_ = open;
      if (open == text_.size()) {
        if (!ends.empty()) return Wrong(absl::StrCat("{% ", ends.back(), " %} is missing"));
        return std::string();
      }
      const char kind = text_[open + 1];
      const std::string close = kind == '{' ? "}}" : kind == '%' ? "%}" : "#}";
      const size_t end = FindClose(open + 2, close, kind != '#');
      if (end == absl::string_view::npos)
        return Wrong(absl::StrCat("\"", text_.substr(open, 2), "\" is not closed by \"", close, "\""));
      const absl::string_view inside = text_.substr(open + 2, end - open - 2);
      at_ = end + 2;
      CRM_TRY(Count());
      if (kind == '#') continue;
      if (kind == '{') {
        CRM_TRY(Output(inside, out));
        continue;
      }
      Words words(inside);
      if (!words.error().empty()) return Wrong(words.error());
      const std::string word = words.Peek();
      if (std::find(ends.begin(), ends.end(), word) != ends.end()) return std::string(inside);
      if (word == "if") {
        CRM_TRY(If(words, out, depth));
      } else if (word == "for") {
        CRM_TRY(For(words, out, depth));
      } else {
        return Wrong(
            absl::StrCat("\"{% ", word, " %}\" is not known here; there are if, elsif, else, endif, for, endfor"));
      }
    }
  }

  size_t FindClose(size_t from, const std::string& close, bool quotes) const {
    char quote = 0;
    for (size_t i = from; i + 1 < text_.size(); ++i) {
      if (quote != 0) {
        if (text_[i] == quote) quote = 0;
      } else if (quotes && (text_[i] == '"' || text_[i] == '\'')) {
        quote = text_[i];
      } else if (text_[i] == close[0] && text_[i + 1] == close[1]) {
        return i;
      }
    }
    return absl::string_view::npos;
  }

  absl::Status Count() {
    return ++count_ > kLiquidNodesMax ? Wrong("the template has too many parts") : absl::OkStatus();
  }

  absl::Status Output(absl::string_view inside, Node::List& out) {
    Words words(inside);
    if (!words.error().empty()) return Wrong(words.error());
    auto node = std::make_unique<Node>();
    node->kind = Node::Kind::kOutput;
    std::shared_ptr<Shape> shape;
    CRM_TRY(Read(words, node->expression.operand, shape));
    while (words.TakeIf("|")) {
      FilterCall call;
      call.name = words.Take();
      const FilterInfo* info = FindFilter(call.name);
      if (info == nullptr) {
        std::vector<std::string> names;
        for (const auto& filter : Filters()) names.push_back(filter.name);
        return Wrong(absl::StrCat("there is no filter \"", call.name, "\"; there are ", absl::StrJoin(names, ", ")));
      }
      if (words.TakeIf(":")) {
        do {
          std::shared_ptr<Shape> ignored;
          CRM_TRY(Read(words, call.arguments.emplace_back(), ignored));
        } while (words.TakeIf(","));
      }
      const int given = static_cast<int>(call.arguments.size());
      if (given < info->arguments_min || given > info->arguments_max)
        return Wrong(absl::StrCat("the filter ", call.name, " is written like ", info->example));
      node->expression.filters.push_back(std::move(call));
    }
    if (!words.AtEnd()) return Wrong(absl::StrCat("\"", words.Peek(), "\" is not expected here"));
    if (shape && shape->kind == v1::VARIABLE_KIND_OBJECT && !shape->any)
      return Wrong(absl::StrCat(absl::StrJoin(node->expression.operand.path, "."), " has fields; name one of them"));
    if (mode_ == LiquidMode::kHtml) {
      auto place = html_.PlaceHere();
      if (!place.ok()) return Wrong(std::string(place.status().message()));
      // A value may be empty: what follows it at a link's beginning is looked at like it.
      node->place = *place;
    }
    out.push_back(std::move(node));
    return absl::OkStatus();
  }

  absl::Status If(Words& words, Node::List& out, int depth) {
    auto node = std::make_unique<Node>();
    node->kind = Node::Kind::kIf;
    const HtmlState before = html_;
    const size_t begun = tag_at_;
    words.Take();
    bool otherwise = false, doubt = false;
    Words current = words;
    for (;;) {
      Node::List* list = &node->otherwise;
      if (!otherwise) {
        auto& [condition, branch] = node->branches.emplace_back();
        CRM_TRY(condition, Or(current, 0));
        if (!current.AtEnd()) return Wrong(absl::StrCat("\"", current.Peek(), "\" is not expected here"));
        list = &branch;
      } else if (!current.AtEnd()) {
        return Wrong("nothing may follow else");
      }
      html_ = before;
      absl::StatusOr<std::string> end = Block(
          *list, otherwise ? std::vector<std::string>{"endif"} : std::vector<std::string>{"elsif", "else", "endif"},
          depth + 1);
      if (!end.ok()) return end.status();
      if (mode_ == LiquidMode::kHtml && !html_.Same(before)) return Unbalanced(begun, "if");
      doubt = doubt || html_.MidName();
      current = Words(*end);
      const std::string word = current.Take();
      if (word == "endif") break;
      otherwise = word == "else";
    }
    html_ = before;  // no branch may have been taken
    if (doubt) html_.Doubt();
    out.push_back(std::move(node));
    return absl::OkStatus();
  }

  absl::Status For(Words& words, Node::List& out, int depth) {
    auto node = std::make_unique<Node>();
    node->kind = Node::Kind::kFor;
    const HtmlState before = html_;
    const size_t begun = tag_at_;
    words.Take();
    node->variable = words.Take();
    if (node->variable.empty() || !IsNameStart(node->variable[0]) || absl::StrContains(node->variable, ".") ||
        !words.TakeIf("in"))
      return Wrong("a loop is written {% for line in deal.lines %}");
    std::shared_ptr<Shape> shape;
    CRM_TRY(Read(words, node->list, shape));
    if (!words.AtEnd()) return Wrong(absl::StrCat("\"", words.Peek(), "\" is not expected here"));
    if (!shape || (!shape->any && shape->kind != v1::VARIABLE_KIND_LIST))
      return Wrong(absl::StrCat(absl::StrJoin(node->list.path, "."), " is no list"));
    const auto kept = scope_.members;
    Shape item;
    item.any = true;
    scope_.members[node->variable] = shape->item ? *shape->item : item;
    locals_.push_back(node->variable);
    Shape loop;
    loop.kind = v1::VARIABLE_KIND_OBJECT;
    loop.members["index"].kind = v1::VARIABLE_KIND_NUMBER;
    loop.members["first"].kind = v1::VARIABLE_KIND_BOOL;
    loop.members["last"].kind = v1::VARIABLE_KIND_BOOL;
    scope_.members["forloop"] = loop;
    absl::StatusOr<std::string> end = Block(node->body, {"else", "endfor"}, depth + 1);
    if (!end.ok()) return end.status();
    scope_.members = kept;
    locals_.pop_back();
    if (mode_ == LiquidMode::kHtml && !html_.Same(before)) return Unbalanced(begun, "for");
    bool doubt = html_.MidName();
    if (Words(*end).Take() == "else") {
      html_ = before;
      end = Block(node->otherwise, {"endfor"}, depth + 1);
      if (!end.ok()) return end.status();
      if (mode_ == LiquidMode::kHtml && !html_.Same(before)) return Unbalanced(begun, "for");
      doubt = doubt || html_.MidName();
    }
    html_ = before;
    if (doubt) html_.Doubt();
    out.push_back(std::move(node));
    return absl::OkStatus();
  }

  absl::Status Unbalanced(size_t begun, const std::string& word) {
    tag_at_ = begun;
    return Wrong(absl::StrCat(
        "{% ", word,
        " %} must begin and end at the same place of the HTML: a tag or attribute that begins inside must end inside"));
  }

  absl::StatusOr<Condition> Or(Words& words, int depth) {
    Condition all;
    all.kind = Condition::Kind::kOr;
    do {
      Condition each;
      each.kind = Condition::Kind::kAnd;
      do {
        CRM_TRY(auto part, Compare(words, depth));
        each.children.push_back(std::move(part));
      } while (words.TakeIf("and"));
      all.children.push_back(std::move(each));
    } while (words.TakeIf("or"));
    return all;
  }

  absl::StatusOr<Condition> Compare(Words& words, int depth) {
    if (depth > kLiquidDepthMax) return Wrong("nested too deeply");
    CRM_TRY(Count());
    Condition condition;
    if (words.TakeIf("not")) {
      condition.kind = Condition::Kind::kNot;
      CRM_TRY(auto inner, Compare(words, depth + 1));
      condition.children.push_back(std::move(inner));
      return condition;
    }
    std::shared_ptr<Shape> shape;
    CRM_TRY(Read(words, condition.left, shape));
    for (const char* op : {"==", "!=", "<=", ">=", "<", ">", "contains"}) {
      if (!words.TakeIf(op)) continue;
      condition.kind = Condition::Kind::kCompare;
      condition.op = op;
      CRM_TRY(Read(words, condition.right, shape));
      break;
    }
    return condition;
  }

  absl::Status Read(Words& words, Operand& operand, std::shared_ptr<Shape>& shape) {
    const std::string word = words.Take();
    if (word.empty()) return Wrong("a variable or a value is missing");
    if (word[0] == '"' || word[0] == '\'') {
      operand.constant = Value::Text(word.substr(1, word.size() - 2));
      return absl::OkStatus();
    }
    if (absl::ascii_isdigit(static_cast<unsigned char>(word[0])) || word[0] == '-') {
      operand.constant = Value::Number(word);
      return absl::OkStatus();
    }
    if (word == "true" || word == "false") {
      operand.constant = Value::Bool(word == "true");
      return absl::OkStatus();
    }
    if (!IsNameStart(word[0])) return Wrong(absl::StrCat("\"", word, "\" is not expected here"));
    size_t start = 0;
    shape = std::make_shared<Shape>(scope_);
    while (start <= word.size()) {
      const size_t dot = std::min(word.find('.', start), word.size());
      const std::string name = word.substr(start, dot - start);
      shape = MemberShape(*shape, name);
      operand.path.push_back(name);
      if (!shape)
        return Wrong(absl::StrCat("there is no variable ", word.substr(0, dot),
                                  "; declare it in `variables`, or see GET /v1/templates:variables"));
      start = dot + 1;
    }
    if (std::find(locals_.begin(), locals_.end(), operand.path.front()) == locals_.end())
      roots_.insert(operand.path.front());
    return absl::OkStatus();
  }

  absl::string_view text_;
  LiquidMode mode_;
  Shape scope_;
  std::vector<std::string> locals_{"forloop"};
  std::set<std::string> roots_;
  HtmlState html_;
  size_t at_ = 0, tag_at_ = 0;
  int count_ = 0;
};

}  // namespace liquid

Liquid::Liquid() = default;
Liquid::~Liquid() = default;
Liquid::Liquid(Liquid&&) noexcept = default;
Liquid& Liquid::operator=(Liquid&&) noexcept = default;

absl::StatusOr<Liquid> Liquid::Compile(absl::string_view text, LiquidMode mode, const Shape& root) {
  Liquid compiled;
  compiled.mode_ = mode;
  CRM_TRY(liquid::Compiler(text, mode, root).Run(compiled.nodes_, compiled.roots_));
  return compiled;
}

}  // namespace crm::messaging
