// Finds the route of a request: method and path against every path template. A literal wins over a variable.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "services/gateway/path_template.h"

namespace crm::gateway {

// Template of the route, by index, with what its variables matched.
struct RouteMatch {
  size_t route = 0;
  std::vector<std::pair<std::string, std::string>> variables;  // field path, decoded value
};

class Router {
 public:
  // Adds a route under an index of the caller's; `name` says in errors whose it is. A route that would match the same
  // requests as an earlier one is refused.
  absl::Status Add(std::string_view method, std::string_view path, size_t route, std::string_view name);

  // NOT_FOUND if no template fits the path; UNIMPLEMENTED if one does but with other methods (AllowedMethods names
  // them). An unescaped colon in the last segment always begins a verb: ids with a colon are sent as %3A.
  absl::StatusOr<RouteMatch> Match(std::string_view method, std::string_view path) const;

  // The methods that some template offers for this path, sorted; HEAD comes with GET. Empty if none fits.
  std::vector<std::string> AllowedMethods(std::string_view path) const;

 private:
  struct Leaf {
    size_t route;
    PathTemplate path;
    std::string name;
  };
  using Leaves =
      std::map<std::string, std::map<std::string, Leaf, std::less<>>, std::less<>>;  // verb -> method -> leaf
  struct Node {
    std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
    std::unique_ptr<Node> any;  // "*"
    Leaves leaves;              // templates that end here
    Leaves rest;                // templates that end here with "**"
  };
  struct Search;

  Node root_;
};

}  // namespace crm::gateway
