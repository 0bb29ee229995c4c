#include "services/scheduler/people.h"
#include "services/scheduler/service.h"
#include "services/scheduler/sql.h"

namespace crm::scheduler {

Tables::Tables() {
  calendars.AddUniqueKey(
      {"calendar_subject", "calendar.user_id", sql::kFindCalendarOf, [](const google::protobuf::Message& record) {
         const auto& calendar = static_cast<const v1::Calendar&>(record);
         pg::Params params;
         for (const std::string* id : {&calendar.user_id(), &calendar.team_id()}) {
           if (id->empty()) {
             params.Null();
           } else {
             params.Id(UuidOf(*id));
           }
         }
         return params;
       }});
}

}  // namespace crm::scheduler
