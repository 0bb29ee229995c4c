// The language of templates: a small part of Liquid. Pure.
//
//   {{ path | filter: argument, ... }}             a value, escaped where it stands in HTML
//   {% if a == "x" and not b %} ... {% elsif c > 3 %} ... {% else %} ... {% endif %}
//   {% for line in deal.lines %} ... {% else %} (none) {% endfor %}      with forloop.index, .first, .last
//   {# a remark #}
//
// Conditions: paths, "texts", numbers, true, false; == != < <= > >= contains; not, and, or (and binds tighter). A text is
// compiled against the shape of what it may name, so that an unknown variable is found when a template is saved. In HTML,
// values may stand in text and in quoted attributes, never where a script, a style or a tag is written; a value that
// begins a link must be http, https, mailto or tel.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "services/messaging/rules/format.h"
#include "services/messaging/rules/value.h"

namespace crm::messaging {

enum class LiquidMode { kLine, kText, kHtml };  // kLine: a subject; line ends become spaces

// Constructs of one text, and how deep they may nest: more is no letter.
inline constexpr int kLiquidNodesMax = 2000;
inline constexpr int kLiquidDepthMax = 12;
// What filling one text in may cost.
inline constexpr int kLiquidStepsMax = 100000;
inline constexpr size_t kLiquidOutputMax = 1 << 20;

namespace liquid {
struct Node;
}

class Liquid {
 public:
  Liquid();
  ~Liquid();
  Liquid(Liquid&&) noexcept;
  Liquid& operator=(Liquid&&) noexcept;

  // INVALID_ARGUMENT says in which line what is wrong and what would be right.
  static absl::StatusOr<Liquid> Compile(absl::string_view text, LiquidMode mode, const Shape& root);

  // The top-level names that it uses: "contact", "deal".
  const std::set<std::string>& roots() const { return roots_; }

  // Fills it in. `empty` (may be null) gets the paths that had no value where one was to be written. RESOURCE_EXHAUSTED
  // beyond the limits above.
  absl::StatusOr<std::string> Render(const Value& root, const Locale& locale, std::set<std::string>* empty) const;

 private:
  LiquidMode mode_ = LiquidMode::kText;
  std::set<std::string> roots_;
  std::vector<std::unique_ptr<liquid::Node>> nodes_;
};

// & < > " ' as character references.
std::string EscapeHtml(absl::string_view text);

}  // namespace crm::messaging
