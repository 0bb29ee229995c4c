// The analytics service's table of contents: one line per rpc; each has its file in handlers/.
#pragma once

#include <functional>
#include <utility>

#include "common/pg/db.h"
#include "common/rpc/service.h"
#include "crm/analytics/v1/report.pb.h"
#include "services/analytics/live.h"
#include "services/analytics/producers.h"

namespace crm::analytics {

class ReportService final : public rpc::Service {
 public:
  // Runs work that takes a while beside the loops: Runtime::OffloadVoid.
  using Offload = std::function<Async<>(std::function<void()>)>;

  // All outlive it. `live` listens to the consumers that fill the projections.
  ReportService(pg::Db& db, Producers& producers, Live& live, Offload offload)
      : rpc::Service("crm.analytics.v1.ReportService"),
        db_(db),
        producers_(producers),
        live_(live),
        offload_(std::move(offload)) {}

  CRM_RPC(GetRevenueReport, v1::GetRevenueReportRequest, v1::RevenueReport)
  CRM_RPC_STREAM(WatchRevenueReport, v1::GetRevenueReportRequest, v1::RevenueReport)
  CRM_RPC(GetFunnelReport, v1::GetFunnelReportRequest, v1::FunnelReport)
  CRM_RPC_STREAM(WatchFunnelReport, v1::GetFunnelReportRequest, v1::FunnelReport)
  CRM_RPC(GetEmployeeReport, v1::GetEmployeeReportRequest, v1::EmployeeReport)
  CRM_RPC(RecountReports, v1::RecountReportsRequest, v1::RecountReportsResponse)

 private:
  Async<v1::RevenueReport> Revenue(const Call& call, const v1::GetRevenueReportRequest& request);
  Async<v1::FunnelReport> Funnel(const Call& call, const v1::GetFunnelReportRequest& request);

  pg::Db& db_;
  Producers& producers_;
  Live& live_;
  Offload offload_;
};

}  // namespace crm::analytics
