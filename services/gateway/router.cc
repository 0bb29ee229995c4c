#include "services/gateway/router.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <set>

#include "common/base/error.h"
#include "common/base/status.h"

namespace crm::gateway {

// One walk through the tree. Depth is bounded by the number of segments, breadth by two per level.
struct Router::Search {
  std::string_view method;  // empty: collect the methods only
  std::vector<std::string_view> segments;
  std::string_view verb;
  const Leaf* found = nullptr;
  std::set<std::string> allowed;

  void At(const Leaves& leaves) {
    auto it = leaves.find(verb);
    if (it == leaves.end()) return;
    for (const auto& [name, leaf] : it->second) {
      allowed.insert(name);
      if (name == method && !found) found = &leaf;
    }
  }
  void Walk(const Node& node, size_t depth) {
    if (depth == segments.size()) {
      At(node.leaves);
    } else {
      auto literal = node.literals.find(segments[depth]);
      if (literal != node.literals.end()) Walk(*literal->second, depth + 1);
      if (!found && node.any && !segments[depth].empty()) Walk(*node.any, depth + 1);
    }
    if (!found) At(node.rest);
  }
  // Splits the path; false if no template can fit it.
  bool Split(std::string_view path) {
    constexpr size_t kSegmentsMax = 32;  // more than any template has; bounds the walk
    if (path.empty() || path[0] != '/') return false;
    size_t colon = path.rfind(':');
    if (colon != std::string_view::npos && colon > path.rfind('/')) {
      verb = path.substr(colon + 1);
      path = path.substr(0, colon);
      if (verb.empty()) return false;
    }
    path.remove_prefix(1);
    while (true) {
      if (segments.size() == kSegmentsMax) return false;
      size_t slash = path.find('/');
      segments.push_back(path.substr(0, slash));
      if (slash == std::string_view::npos) return true;
      path.remove_prefix(slash + 1);
    }
  }
};

absl::Status Router::Add(std::string_view method, std::string_view path, size_t route, std::string_view name) {
  CRM_TRY(PathTemplate parsed, ParsePathTemplate(path));
  Node* node = &root_;
  bool rest = false;
  for (const auto& segment : parsed.segments) {
    if (segment == "**") {
      rest = true;
      break;
    }
    auto& next = segment == "*" ? node->any : node->literals[segment];
    if (!next) next = std::make_unique<Node>();
    node = next.get();
  }
  auto& leaves = (rest ? node->rest : node->leaves)[parsed.verb];
  std::string shape = parsed.Shape();
  auto [it, added] = leaves.try_emplace(std::string(method), Leaf{route, std::move(parsed), std::string(name)});
  if (!added) {
    return absl::AlreadyExistsError(absl::StrCat("routes collide: ", std::string(method), " ", shape, " is offered by ",
                                                 it->second.name, " and by ", std::string(name),
                                                 ": give one of them another path"));
  }
  return absl::OkStatus();
}

absl::StatusOr<RouteMatch> Router::Match(std::string_view method, std::string_view path) const {
  Search search{.method = method == "HEAD" ? "GET" : method};
  if (search.Split(path)) search.Walk(root_, 0);
  if (!search.found && search.allowed.empty()) {
    return Error(absl::StatusCode::kNotFound, type::v1::ERROR_REASON_METHOD_NOT_FOUND,
                 "there is nothing at this address: see /v1/schema for all routes");
  }
  if (!search.found) {
    std::string offered = absl::StrJoin(search.allowed, ", ");
    return Error(absl::StatusCode::kUnimplemented, type::v1::ERROR_REASON_METHOD_NOT_FOUND,
                 absl::StrCat("this address does not take ", std::string(method.substr(0, 20)), ": use ", offered),
                 {{"allow", offered}});
  }
  RouteMatch match{.route = search.found->route};
  for (const auto& variable : search.found->path.variables) {
    bool many = variable.end - variable.begin > 1 || search.found->path.segments[variable.begin] == "**";
    size_t end = search.found->path.segments[variable.end - 1] == "**" ? search.segments.size() : variable.end;
    std::string raw;
    for (size_t i = variable.begin; i < end; ++i) {
      if (i > variable.begin) raw += '/';
      raw.append(search.segments[i]);
    }
    CRM_TRY(std::string value, PercentDecode(raw, false, many));
    match.variables.emplace_back(variable.field, std::move(value));
  }
  return match;
}

std::vector<std::string> Router::AllowedMethods(std::string_view path) const {
  Search search;
  if (search.Split(path)) search.Walk(root_, 0);
  if (search.allowed.count("GET")) search.allowed.insert("HEAD");
  return {search.allowed.begin(), search.allowed.end()};
}

}  // namespace crm::gateway
