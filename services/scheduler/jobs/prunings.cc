#include "services/scheduler/jobs/jobs.h"
#include "services/scheduler/sql.h"

namespace crm::scheduler {
namespace prunings {

constexpr int kNotificationDays = 90;
constexpr int kRuleRunDays = 30;

int Days(int configured, int usual) { return configured > 0 ? configured : usual; }

}  // namespace prunings

std::vector<crm::app::Pruning> Prunings(const crm::app::v1::Config::Scheduler& config) {
  const int notifications = prunings::Days(config.notification_days(), prunings::kNotificationDays);
  std::vector<crm::app::Pruning> all;
  all.push_back({sql::kPruneNotifications, notifications});
  all.push_back({sql::kPruneKeptNotifications, notifications});
  all.push_back({sql::kPruneRuleRuns, prunings::Days(config.rule_run_days(), prunings::kRuleRunDays)});
  return all;
}

}  // namespace crm::scheduler
