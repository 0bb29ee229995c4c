#include "common/pg/records.h"
#include "services/contact/search_page.h"
#include "services/contact/service.h"
#include "services/contact/store.h"

namespace crm::contact {

// Lists companies by filter and order, or ranks them by what was typed. Unaccepted ones are left out unless the filter
// names them.
Async<v1::ListCompaniesResponse> CompanyService::ListCompanies(Call& call, const v1::ListCompaniesRequest& request) {
  if (!request.query().empty()) {
    co_return co_await SearchPage<v1::ListCompaniesResponse>(db_, call, companies_, request,
                                                             &v1::ListCompaniesResponse::mutable_companies);
  }
  pg::ListArgs args = pg::ListArgsOf(request);
  if (!pg::FilterNames(args, "unaccepted")) args.where = "NOT t.unaccepted";
  co_return co_await pg::ListReply<v1::ListCompaniesResponse>(db_, call, companies_, request, std::move(args));
}

}  // namespace crm::contact
