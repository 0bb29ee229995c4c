// The tree that a template's text is compiled to.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "services/messaging/rules/value.h"

namespace crm::messaging::liquid {

// A path or a constant.
struct Operand {
  std::vector<std::string> path;  // empty: `constant`
  Value constant;
};

struct FilterCall {
  std::string name;
  std::vector<Operand> arguments;
};

struct Expression {
  Operand operand;
  std::vector<FilterCall> filters;
};

struct Condition {
  enum class Kind { kAnd, kOr, kNot, kCompare, kTruth };
  Kind kind = Kind::kTruth;
  std::vector<Condition> children;
  std::string op;
  Operand left, right;
};

// Where in HTML a value is written.
enum class Place { kPlain, kHtmlText, kAttribute, kLinkStart };

struct Node {
  enum class Kind { kText, kOutput, kIf, kFor };
  using List = std::vector<std::unique_ptr<Node>>;

  Kind kind = Kind::kText;
  std::string text;                                  // kText
  Expression expression;                             // kOutput
  Place place = Place::kPlain;                       // kOutput
  std::vector<std::pair<Condition, List>> branches;  // kIf
  std::string variable;                              // kFor
  Operand list;                                      // kFor
  List body;                                         // kFor
  List otherwise;                                    // kIf, kFor
};

}  // namespace crm::messaging::liquid
