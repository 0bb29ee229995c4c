#include "services/scheduler/people.h"
#include "services/scheduler/service.h"
#include "services/scheduler/sql.h"

namespace crm::scheduler {

namespace tables {

const v1::Calendar& CalendarIn(const google::protobuf::Message& record) {
  return static_cast<const v1::Calendar&>(record);
}

}  // namespace tables

Tables::Tables() {
  calendars.AddUniqueKey({"calendar_user", "calendar.user_id", sql::kFindCalendarOfUser, [](const auto& record) {
                            return pg::Params().Id(UuidOf(tables::CalendarIn(record).user_id()));
                          }});
  calendars.AddUniqueKey({"calendar_team", "calendar.team_id", sql::kFindCalendarOfTeam, [](const auto& record) {
                            return pg::Params().Id(UuidOf(tables::CalendarIn(record).team_id()));
                          }});
  calendars.AddUniqueKey({"calendar_default", "calendar.is_default", sql::kFindDefaultCalendar,
                          [](const google::protobuf::Message&) { return pg::Params(); }});
}

}  // namespace crm::scheduler
