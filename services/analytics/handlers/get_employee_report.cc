#include "common/base/status.h"
#include "services/analytics/service.h"
#include "services/analytics/sql.h"
#include "services/analytics/store.h"

namespace crm::analytics {

Async<v1::EmployeeReport> ReportService::GetEmployeeReport(Call& call, const v1::GetEmployeeReportRequest& request) {
  CRM_CO_TRY(Setting setting, co_await SettingOf(db_, call));
  CRM_CO_TRY(Span span, SpanOf(request.period(), setting.time_zone, call.now()));
  pg::Params params;
  params.Time(span.begin).Time(span.end);
  AddScope(params, call);
  CRM_CO_TRY(AddRef(params, request.team_id(), "team", "team_id"));
  pg::Batch batch(call);
  AddPositions(batch);
  batch.Add(sql::kEmployees, std::move(params));
  CRM_CO_TRY(auto results, co_await db_.Read(call, std::move(batch), ReportOptions()));

  std::vector<EmployeeFact> facts;
  const pg::Rows& rows = results[1];
  for (int i = 0; i < rows.size(); ++i) {
    EmployeeFact& fact = facts.emplace_back();
    fact.user_id = TypeId("user", rows.Id(i, 0));
    fact.name = std::string(rows.Text(i, 1));
    fact.kind = static_cast<int>(rows.Int(i, 2));
    fact.currency_code = std::string(rows.Text(i, 3));
    fact.count = rows.Int(i, 4);
    CRM_CO_TRY(fact.amount, Decimal::Parse(rows.Decimal(i, 5)));
  }
  CRM_CO_TRY(v1::EmployeeReport report, MakeEmployeeReport(facts, setting.currency_code));
  *report.mutable_period() = PeriodOf(span);
  report.set_position(PositionsOf(results[0]).Text());
  co_return report;
}

}  // namespace crm::analytics
