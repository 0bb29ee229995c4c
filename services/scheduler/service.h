// The scheduler service's table of contents: one line per rpc; each has its file in handlers/.
#pragma once

#include "common/pg/db.h"
#include "common/pg/table.h"
#include "common/rpc/service.h"
#include "crm/scheduler/v1/calendar.pb.h"
#include "crm/scheduler/v1/notification.pb.h"
#include "crm/scheduler/v1/reminder.pb.h"
#include "crm/scheduler/v1/task.pb.h"
#include "crm/scheduler/v1/timer.pb.h"

namespace crm::scheduler {

// The record tables, compiled once.
struct Tables {
  Tables();
  pg::Table<v1::Task> tasks{"scheduler"};
  pg::Table<v1::TaskSettings> task_settings{"scheduler"};
  pg::Table<v1::Reminder> reminders{"scheduler"};
  pg::Table<v1::Calendar> calendars{"scheduler"};
  pg::Table<v1::Absence> absences{"scheduler"};
  pg::Table<v1::Notification> notifications{"scheduler"};
  pg::Table<v1::NotificationPreferences> preferences{"scheduler"};
};

// What handlers, consumers and timers share.
struct App {
  pg::Db& db;
  const Tables& tables;
  bool test_clock = false;  // tenants may move their clock
};

class TaskService final : public rpc::Service {
 public:
  explicit TaskService(App& app)
      : rpc::Service("crm.scheduler.v1.TaskService"), app_(app), db_(app.db), tasks_(app.tables.tasks) {}

  CRM_RPC(CreateTask, v1::CreateTaskRequest, v1::Task)
  CRM_RPC(GetTask, v1::GetTaskRequest, v1::Task)
  CRM_RPC(ListTasks, v1::ListTasksRequest, v1::ListTasksResponse)
  CRM_RPC(GetTaskDay, v1::GetTaskDayRequest, v1::TaskDay)
  CRM_RPC(UpdateTask, v1::UpdateTaskRequest, v1::Task)
  CRM_RPC(StartTask, v1::StartTaskRequest, v1::Task)
  CRM_RPC(CompleteTask, v1::CompleteTaskRequest, v1::Task)
  CRM_RPC(ReopenTask, v1::ReopenTaskRequest, v1::Task)
  CRM_RPC(AssignTask, v1::AssignTaskRequest, v1::Task)
  CRM_RPC(CancelTask, v1::CancelTaskRequest, v1::Task)
  CRM_RPC(CheckTaskItem, v1::CheckTaskItemRequest, v1::Task)
  CRM_RPC(DeleteTask, v1::DeleteTaskRequest, v1::Task)
  CRM_RPC(UndeleteTask, v1::UndeleteTaskRequest, v1::Task)
  CRM_RPC(ListTaskRevisions, v1::ListTaskRevisionsRequest, v1::ListTaskRevisionsResponse)
  CRM_RPC(GetTaskSettings, v1::GetTaskSettingsRequest, v1::TaskSettings)
  CRM_RPC(UpdateTaskSettings, v1::UpdateTaskSettingsRequest, v1::TaskSettings)

 private:
  App& app_;
  pg::Db& db_;
  const pg::Table<v1::Task>& tasks_;
};

class ReminderService final : public rpc::Service {
 public:
  explicit ReminderService(App& app)
      : rpc::Service("crm.scheduler.v1.ReminderService"), app_(app), db_(app.db), reminders_(app.tables.reminders) {}

  CRM_RPC(CreateReminder, v1::CreateReminderRequest, v1::Reminder)
  CRM_RPC(GetReminder, v1::GetReminderRequest, v1::Reminder)
  CRM_RPC(ListReminders, v1::ListRemindersRequest, v1::ListRemindersResponse)
  CRM_RPC(UpdateReminder, v1::UpdateReminderRequest, v1::Reminder)
  CRM_RPC(CancelReminder, v1::CancelReminderRequest, v1::Reminder)
  CRM_RPC(CancelReminders, v1::CancelRemindersRequest, v1::CancelRemindersResponse)

 private:
  App& app_;
  pg::Db& db_;
  const pg::Table<v1::Reminder>& reminders_;
};

class CalendarService final : public rpc::Service {
 public:
  explicit CalendarService(App& app)
      : rpc::Service("crm.scheduler.v1.CalendarService"), app_(app), db_(app.db), calendars_(app.tables.calendars) {}

  CRM_RPC(CreateCalendar, v1::CreateCalendarRequest, v1::Calendar)
  CRM_RPC(GetCalendar, v1::GetCalendarRequest, v1::Calendar)
  CRM_RPC(ListCalendars, v1::ListCalendarsRequest, v1::ListCalendarsResponse)
  CRM_RPC(UpdateCalendar, v1::UpdateCalendarRequest, v1::Calendar)
  CRM_RPC(DeleteCalendar, v1::DeleteCalendarRequest, v1::Calendar)
  CRM_RPC(ImportHolidays, v1::ImportHolidaysRequest, v1::Calendar)
  CRM_RPC(ListHolidayPresets, v1::ListHolidayPresetsRequest, v1::ListHolidayPresetsResponse)
  CRM_RPC(GetWorkingDays, v1::GetWorkingDaysRequest, v1::WorkingDays)
  CRM_RPC(ComputeWorkingTime, v1::ComputeWorkingTimeRequest, v1::WorkingTime)

 private:
  App& app_;
  pg::Db& db_;
  const pg::Table<v1::Calendar>& calendars_;
};

class AbsenceService final : public rpc::Service {
 public:
  explicit AbsenceService(App& app)
      : rpc::Service("crm.scheduler.v1.AbsenceService"), app_(app), db_(app.db), absences_(app.tables.absences) {}

  CRM_RPC(CreateAbsence, v1::CreateAbsenceRequest, v1::Absence)
  CRM_RPC(GetAbsence, v1::GetAbsenceRequest, v1::Absence)
  CRM_RPC(ListAbsences, v1::ListAbsencesRequest, v1::ListAbsencesResponse)
  CRM_RPC(UpdateAbsence, v1::UpdateAbsenceRequest, v1::Absence)
  CRM_RPC(ApproveAbsence, v1::ApproveAbsenceRequest, v1::Absence)
  CRM_RPC(DeclineAbsence, v1::DeclineAbsenceRequest, v1::Absence)
  CRM_RPC(CancelAbsence, v1::CancelAbsenceRequest, v1::Absence)

 private:
  App& app_;
  pg::Db& db_;
  const pg::Table<v1::Absence>& absences_;
};

class NotificationService final : public rpc::Service {
 public:
  explicit NotificationService(App& app)
      : rpc::Service("crm.scheduler.v1.NotificationService"),
        app_(app),
        db_(app.db),
        notifications_(app.tables.notifications),
        preferences_(app.tables.preferences) {}

  CRM_RPC(CreateNotification, v1::CreateNotificationRequest, v1::Notification)
  CRM_RPC(GetNotification, v1::GetNotificationRequest, v1::Notification)
  CRM_RPC(ListNotifications, v1::ListNotificationsRequest, v1::ListNotificationsResponse)
  CRM_RPC(GetUnreadCount, v1::GetUnreadCountRequest, v1::UnreadCount)
  CRM_RPC(ReadNotification, v1::ReadNotificationRequest, v1::Notification)
  CRM_RPC(ReadAllNotifications, v1::ReadAllNotificationsRequest, v1::ReadAllNotificationsResponse)
  CRM_RPC(SnoozeNotification, v1::SnoozeNotificationRequest, v1::Notification)
  CRM_RPC(GetNotificationPreferences, v1::GetNotificationPreferencesRequest, v1::NotificationPreferences)
  CRM_RPC(UpdateNotificationPreferences, v1::UpdateNotificationPreferencesRequest, v1::NotificationPreferences)

 private:
  App& app_;
  pg::Db& db_;
  const pg::Table<v1::Notification>& notifications_;
  const pg::Table<v1::NotificationPreferences>& preferences_;
};

class ClockService final : public rpc::Service {
 public:
  explicit ClockService(App& app) : rpc::Service("crm.scheduler.v1.ClockService"), app_(app), db_(app.db) {}

  CRM_RPC(GetClock, v1::GetClockRequest, v1::Clock)
  CRM_RPC(AdvanceClock, v1::AdvanceClockRequest, v1::Clock)

 private:
  App& app_;
  pg::Db& db_;
};

}  // namespace crm::scheduler
