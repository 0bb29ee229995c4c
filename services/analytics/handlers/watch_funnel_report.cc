#include "services/analytics/service.h"

namespace crm::analytics {

Async<> ReportService::WatchFunnelReport(Call& call, const v1::GetFunnelReportRequest& request,
                                         rpc::Stream<v1::FunnelReport>& stream) {
  std::function<Async<v1::FunnelReport>(const Call&)> make = [&](const Call& now) { return Funnel(now, request); };
  co_return co_await Watch<v1::FunnelReport>(live_, db_, call, stream, std::move(make));
}

}  // namespace crm::analytics
