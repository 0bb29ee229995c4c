#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <vector>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/contact/service.h"
#include "services/contact/visibility.h"

namespace crm::contact {

// Lists the timeline of what is asked for, as far as the caller may see it; newest first.
Async<v1::ListActivitiesResponse> ActivityService::ListActivities(Call& call,
                                                                  const v1::ListActivitiesRequest& request) {
  std::vector<std::string> conditions;
  const auto of = [&](const std::string& id, const char* card) -> absl::Status {
    if (id.empty()) return absl::OkStatus();
    CRM_TRY(Uuid uuid, ParseId(id, card, absl::StrCat(card, "_id")));
    conditions.push_back(absl::StrCat(card, "_id = \"", TypeId(card, uuid), "\""));
    return absl::OkStatus();
  };
  CRM_CO_TRY(of(request.contact_id(), "contact"));
  CRM_CO_TRY(of(request.company_id(), "company"));
  CRM_CO_TRY(of(request.deal_id(), "deal"));
  CRM_CO_TRY(of(request.lead_id(), "lead"));
  if (!request.author_id().empty()) {
    for (const char c : request.author_id()) {
      if (!absl::ascii_isalnum(c) && c != '_')
        co_return FieldError("author_id", "must be the id of a user, key or service");
    }
    conditions.push_back(absl::StrCat("author_id = \"", request.author_id(), "\""));
  }
  if (!request.kinds().empty()) {
    std::vector<std::string> kinds;
    for (const int kind : request.kinds()) {
      kinds.push_back(absl::StrCat("kind = ", v1::ActivityKind_Name(static_cast<v1::ActivityKind>(kind))));
    }
    conditions.push_back(absl::StrCat("(", absl::StrJoin(kinds, " OR "), ")"));
  }
  if (!request.filter().empty()) conditions.push_back(absl::StrCat("(", request.filter(), ")"));

  pg::ListArgs args = pg::ListArgsOf(request);
  args.filter = absl::StrJoin(conditions, " AND ");
  args.default_order = "time desc";
  const pg::Fragment visible = Visible(call, "t.object");
  args.where = visible.sql;
  args.where_params = visible.params;
  co_return co_await pg::ListShown(db_, call, activities_, request, &v1::ListActivitiesResponse::mutable_activities,
                                   std::move(args));
}

}  // namespace crm::contact
