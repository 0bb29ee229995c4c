// covers: common/base/filter_tree.cc
// The filter as JSON: a tree that is read is also a text of the language that reads the same.
#include "common/base/filter.h"
#include "common/json/json.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(filter_tree) {
  using namespace crm;
  type::v1::FilterTree tree;
  if (auto read = json::Read(input.Rest(), tree); !read.ok()) return fuzz::RequireRefusal(read);
  const auto node = filter::FromTree(tree);
  if (!node.ok()) return fuzz::RequireRefusal(node.status());
  const std::string text = filter::ToText(*node);
  const auto again = filter::Parse(text);
  fuzz::Require(again.ok() ? *again == *node : text.size() > filter::kLengthMax, "a tree reads as its text", text);
}
