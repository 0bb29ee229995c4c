// The scheduler service's table of contents: one line per rpc; each has its file in handlers/.
#pragma once

#include "common/pg/db.h"
#include "common/pg/table.h"
#include "common/rpc/service.h"
#include "crm/scheduler/v1/task.pb.h"

namespace crm::scheduler {

// The record tables, compiled once.
struct Tables {
  pg::Table<v1::Task> tasks{"scheduler"};
};

class TaskService final : public rpc::Service {
 public:
  TaskService(pg::Db& db, const Tables& tables)
      : rpc::Service("crm.scheduler.v1.TaskService"), db_(db), tasks_(tables.tasks) {}

  CRM_RPC(CreateTask, v1::CreateTaskRequest, v1::Task)
  CRM_RPC(GetTask, v1::GetTaskRequest, v1::Task)
  CRM_RPC(ListTasks, v1::ListTasksRequest, v1::ListTasksResponse)

 private:
  pg::Db& db_;
  const pg::Table<v1::Task>& tasks_;
};

}  // namespace crm::scheduler
