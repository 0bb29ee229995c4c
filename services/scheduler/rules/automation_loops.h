// Rules that set each other off in a circle, found before they do.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "services/scheduler/rules/automation_program.h"

namespace crm::scheduler::automation {

// What came of looking for ways round that lead through a rule.
struct Loops {
  // A way round that nothing ends: every rule on it runs whenever the one before it did. In words, "A: move_deal ->
  // deal.moved -> B: set_field -> deal.updated -> A"; empty if there is none.
  std::string endless;
  // Ways round that a condition, a branch or time may end; at most ten.
  std::vector<std::string> possible;
};

// `others` are the other rules that work.
Loops FindLoops(const Program& rule, const std::vector<std::shared_ptr<const Program>>& others);

}  // namespace crm::scheduler::automation
