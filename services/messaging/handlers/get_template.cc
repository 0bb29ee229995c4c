#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include "services/messaging/service.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Answers one, as it is or as an earlier version was.
Async<v1::Template> TemplateService::GetTemplate(Call& call, const v1::GetTemplateRequest& request) {
  if (request.version().empty()) co_return co_await pg::GetShown(db_, call, templates_, request.id());
  CRM_CO_TRY(v1::Template newest, co_await db_.Get(call, templates_, request.id()));
  if (newest.etag() == request.version()) co_return pg::Shown(call, templates_, std::move(newest));
  int64_t revision = 0;
  (void)absl::SimpleAtoi(request.version(), &revision);
  CRM_CO_TRY(pg::Rows rows,
             co_await db_.Read(call, sql::kFindTemplateVersion, pg::Params().Id(UuidOf(request.id())).Int(revision)));
  if (rows.empty()) co_return NotFound(absl::StrCat(request.id(), ", version ", request.version()));
  CRM_CO_TRY(v1::Template version, co_await pg::GetAsOf(db_, call, templates_, request.id(), rows.Time(0, 0)));
  co_return pg::Shown(call, templates_, std::move(version));
}

}  // namespace crm::messaging
