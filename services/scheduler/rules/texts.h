// What notifications say, in the recipient's language: en, ru, he, yi; en for any other.
#pragma once

#include <absl/time/time.h>

#include <string>
#include <vector>

#include "crm/scheduler/v1/task.pb.h"

namespace crm::scheduler {

// Sentences; the arguments that each takes stand behind it.
enum class Say {
  kTaskAssigned,      // title
  kTaskDueNow,        // title
  kTaskDueSoon,       // title, how long ("15 minutes")
  kTaskOverdue,       // title
  kTaskEscalated,     // name, title
  kTaskDone,          // title
  kTaskCancelled,     // title
  kInsteadOf,         // name
  kAbsenceRequested,  // name, days
  kAbsenceReported,   // name, days
  kAbsenceApproved,   // days
  kAbsenceDeclined,   // days
  kLeadAssigned,      // title
  kDealAssigned,      // title
  kMessageReceived,   // subject
  kMentioned,         // subject
};
std::string Sentence(Say what, const std::vector<std::string>& arguments, const std::string& language);

// "2 days", "15 minutes", by the plural rules of the language.
enum class Unit { kMinute, kHour, kDay };
std::string Amount(int count, Unit unit, const std::string& language);
// "2 days overdue"; without working time in between "overdue".
std::string OverdueText(const v1::Overdue& overdue, const std::string& language);

}  // namespace crm::scheduler
