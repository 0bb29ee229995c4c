#include "common/base/error.h"
#include "common/base/status.h"
#include "services/analytics/service.h"
#include "services/analytics/sql.h"
#include "services/analytics/store.h"

namespace crm::analytics {
namespace funnel {

int32_t Count(const pg::Rows& rows, int row, int column) { return static_cast<int32_t>(rows.Int(row, column)); }

}  // namespace funnel

Async<v1::FunnelReport> ReportService::GetFunnelReport(Call& call, const v1::GetFunnelReportRequest& request) {
  CRM_CO_TRY(v1::FunnelReport report, co_await Funnel(call, request));
  co_return report;
}

// Stages, totals and lost reasons come from one statement; see sql/funnel.sql for what counts.
Async<v1::FunnelReport> ReportService::Funnel(const Call& call, const v1::GetFunnelReportRequest& request) {
  CRM_CO_TRY(Setting setting, co_await SettingOf(db_, call));
  CRM_CO_TRY(Span span, SpanOf(request.period(), setting.time_zone, call.now()));
  CRM_CO_TRY(Uuid pipeline, ParseId(request.pipeline_id(), "pipeline", "pipeline_id"));
  pg::Params params;
  params.Id(pipeline).Time(span.begin).Time(span.end);
  AddScope(params, call);
  CRM_CO_TRY(AddRef(params, request.owner_id(), "user", "owner_id"));
  if (request.source().empty()) {
    params.Null();
  } else {
    params.Text(request.source());
  }
  pg::Batch batch(call);
  AddPositions(batch);
  batch.Add(sql::kFunnel, std::move(params));
  CRM_CO_TRY(auto results, co_await db_.Read(call, std::move(batch), ReportOptions()));

  v1::FunnelReport report;
  const pg::Rows& rows = results[1];
  for (int i = 0; i < rows.size(); ++i) {
    const absl::string_view kind = rows.Text(i, 0);
    if (kind == "stage") {
      auto& stage = *report.add_stages();
      stage.set_stage_id(TypeId("stage", rows.Id(i, 2)));
      stage.set_name(std::string(rows.Text(i, 3)));
      stage.set_entered_count(funnel::Count(rows, i, 4));
      stage.set_current_count(funnel::Count(rows, i, 5));
      stage.set_passed_count(funnel::Count(rows, i, 6));
      stage.set_conversion_percent(Percent(stage.passed_count(), stage.entered_count()));
      if (!rows.IsNull(i, 7)) stage.set_dwell_median_seconds(rows.Double(i, 7));
      if (!rows.IsNull(i, 8)) stage.set_dwell_p90_seconds(rows.Double(i, 8));
    } else if (kind == "total") {
      report.set_deal_count(funnel::Count(rows, i, 4));
      report.set_won_count(funnel::Count(rows, i, 5));
      report.set_lost_count(funnel::Count(rows, i, 6));
      report.set_conversion_percent(Percent(report.won_count(), report.deal_count()));
    } else {
      auto& reason = *report.add_lost_reasons();
      reason.set_reason(std::string(rows.Text(i, 3)));
      reason.set_count(funnel::Count(rows, i, 4));
    }
  }
  // A pipeline has stages: without any it is another tenant's, or has not been heard of yet.
  if (report.stages().empty()) co_return NotFound(request.pipeline_id());
  *report.mutable_period() = PeriodOf(span);
  report.set_position(PositionsOf(results[0]).Text());
  co_return report;
}

}  // namespace crm::analytics
