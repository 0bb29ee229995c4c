#include "services/analytics/service.h"

namespace crm::analytics {

Async<> ReportService::WatchRevenueReport(Call& call, const v1::GetRevenueReportRequest& request,
                                          rpc::Stream<v1::RevenueReport>& stream) {
  std::function<Async<v1::RevenueReport>(const Call&)> make = [&](const Call& now) { return Revenue(now, request); };
  co_return co_await Watch<v1::RevenueReport>(live_, db_, call, stream, std::move(make));
}

}  // namespace crm::analytics
