#include "common/pg/records.h"
#include "services/scheduler/rule_service.h"

namespace crm::scheduler {

// What has changed in a rule, newest first.
Async<v1::ListRuleRevisionsResponse> RuleService::ListRuleRevisions(Call& call,
                                                                    const v1::ListRuleRevisionsRequest& request) {
  co_return co_await pg::ListRevisions<v1::ListRuleRevisionsResponse>(db_, call, rules_, request);
}

}  // namespace crm::scheduler
