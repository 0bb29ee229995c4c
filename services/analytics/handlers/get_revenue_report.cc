#include "common/base/status.h"
#include "services/analytics/service.h"
#include "services/analytics/sql.h"
#include "services/analytics/store.h"

namespace crm::analytics {
namespace revenue {

// The statement that names the groups' keys.
const pg::Statement& NamesOf(v1::GroupBy group_by) {
  if (group_by == v1::GROUP_BY_EMPLOYEE) return sql::kUserNames;
  if (group_by == v1::GROUP_BY_PRODUCT) return sql::kProductNames;
  return sql::kPipelineNames;
}

absl::StatusOr<std::vector<RevenueGroup>> GroupsOf(const pg::Rows& rows) {
  std::vector<RevenueGroup> groups;
  for (int i = 0; i < rows.size(); ++i) {
    RevenueGroup& group = groups.emplace_back();
    group.all = rows.Bool(i, 0);
    group.previous = rows.Bool(i, 1);
    group.deal_count = rows.Int(i, 5);
    if (group.all) continue;
    group.key = std::string(rows.Text(i, 2));
    group.currency_code = std::string(rows.Text(i, 3));
    CRM_TRY(group.amount, Decimal::Parse(rows.Decimal(i, 4)));
    if (!rows.IsNull(i, 6)) {
      CRM_TRY(group.quantity, Decimal::Parse(rows.Decimal(i, 6)));
    }
  }
  return groups;
}

}  // namespace revenue

Async<v1::RevenueReport> ReportService::GetRevenueReport(Call& call, const v1::GetRevenueReportRequest& request) {
  CRM_CO_TRY(v1::RevenueReport report, co_await Revenue(call, request));
  co_return report;
}

// Groups and position in one round trip, then the groups' names. The position is read first: the numbers are never
// older than it says.
Async<v1::RevenueReport> ReportService::Revenue(const Call& call, const v1::GetRevenueReportRequest& request) {
  CRM_CO_TRY(Setting setting, co_await SettingOf(db_, call));
  CRM_CO_TRY(Span span, SpanOf(request.period(), setting.time_zone, call.now()));
  absl::Time begin = span.begin;
  int shift = 0;
  if (request.compare_previous()) {
    CRM_CO_TRY(Span before, SpanBefore(span));
    begin = before.begin;
    shift = span.day_count();
  }

  pg::Params params;
  params.Time(begin).Time(span.begin).Time(span.end);
  AddScope(params, call);
  CRM_CO_TRY(AddRef(params, request.pipeline_id(), "pipeline", "pipeline_id"));
  CRM_CO_TRY(AddRef(params, request.owner_id(), "user", "owner_id"));
  pg::Batch batch(call);
  AddPositions(batch);
  if (request.group_by() == v1::GROUP_BY_PRODUCT) {
    batch.Add(sql::kRevenueByProduct, std::move(params));
  } else {
    batch.Add(sql::kRevenue, std::move(params.Int(shift).Text(SqlKeyOf(request.group_by())).Text(span.zone_name)));
  }
  CRM_CO_TRY(auto results, co_await db_.Read(call, std::move(batch), ReportOptions()));
  CRM_CO_TRY(auto groups, revenue::GroupsOf(results[1]));

  std::map<std::string, std::string> labels;
  if (!PrefixOf(request.group_by()).empty()) {
    std::vector<Uuid> ids;
    for (const RevenueGroup& group : groups) {
      if (auto id = Uuid::Parse(group.key); id.ok()) ids.push_back(*id);
    }
    CRM_CO_TRY(pg::Rows names, co_await db_.Read(call, revenue::NamesOf(request.group_by()), pg::Params().IdArray(ids),
                                                 pg::Work::kList));
    for (int i = 0; i < names.size(); ++i) labels[names.Id(i, 0).ToString()] = std::string(names.Text(i, 1));
  }

  CRM_CO_TRY(v1::RevenueReport report,
             MakeRevenueReport(request.group_by(), request.row_count_max(), groups, labels, setting.currency_code));
  *report.mutable_period() = PeriodOf(span);
  const Positions positions = PositionsOf(results[0]);
  report.set_position(positions.Text());
  report.set_stale(co_await producers_.Ahead(call.tenant(), positions));
  co_return report;
}

}  // namespace crm::analytics
