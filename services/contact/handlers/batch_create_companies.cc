#include "crm/contact/v1/events.pb.h"
#include "services/contact/batch_create.h"
#include "services/contact/service.h"
#include "services/contact/store.h"

namespace crm::contact {

// Makes up to 500 companies; each has a status of its own.
Async<v1::BatchCreateCompaniesResponse> CompanyService::BatchCreateCompanies(
    Call& call, const v1::BatchCreateCompaniesRequest& request) {
  co_return co_await BatchCreate<v1::BatchCreateCompaniesResponse, v1::CompanyCreated>(
      db_, call, companies_, request, &v1::CreateCompanyRequest::company,
      &v1::BatchCreateCompaniesResponse::Result::mutable_company, &v1::CompanyCreated::mutable_company);
}

}  // namespace crm::contact
