// What the actions of a rule do: each is prepared (whom, what, until when, with its texts filled in) and then carried out.
// Previews and dry runs only prepare.
#pragma once

#include <absl/time/time.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/pg/batch.h"
#include "common/pg/db.h"
#include "crm/identity/v1/user.pb.h"
#include "crm/messaging/v1/webhook.pb.h"
#include "crm/scheduler/v1/notification.pb.h"
#include "crm/scheduler/v1/reminder.pb.h"
#include "crm/scheduler/v1/rule.pb.h"
#include "crm/scheduler/v1/task.pb.h"
#include "services/scheduler/rules/automation_program.h"
#include "services/scheduler/rules/automation_text.h"

namespace crm::scheduler::automation {

// The other services, and this one's own rpcs: request and answer as bytes. As rpc::Client::UnaryBytes.
class Outside {
 public:
  virtual ~Outside() = default;
  virtual Async<std::string> Send(const Call& call, const std::string& service, const std::string& method,
                                  std::string request) = 0;
};

// What this service does by itself, in the caller's batch (store.h of tasks, reminders and notifications).
class Inside {
 public:
  virtual ~Inside() = default;
  // The id of the task; it is filled in as CreateTask would.
  virtual Async<> AddTask(const Call& call, pg::Batch& batch, v1::Task task) = 0;
  virtual Async<> AddReminder(const Call& call, pg::Batch& batch, v1::Reminder reminder) = 0;
  // How many were called off: those that rules have made (one rule, if it is named) for any of these records.
  virtual Async<int> CancelReminders(const Call& call, pg::Batch& batch, std::string rule_id, std::string contact_id,
                                     std::string deal_id, std::string lead_id) = 0;
  virtual Async<> Notify(const Call& call, pg::Batch& batch, std::string user_id, std::string title,
                         std::string record_id, std::string cause) = 0;
  // The head of a user, "" if nobody is above; a user with their name.
  virtual Async<std::string> HeadOf(const Call& call, std::string user_id) = 0;
  virtual Async<identity::v1::User> FindUser(const Call& call, std::string user_id) = 0;
  // A moment so much working time after another, in the person's calendar (the organisation's, if empty).
  virtual Async<absl::Time> AfterWorkingTime(const Call& call, std::string user_id, absl::Time start,
                                             v1::Delay delay) = 0;
};

// What a step looks at. Records of others are fetched once, when they are first asked for.
struct Scene {
  Call call;  // the tenant's, as the service, at the moment that counts as now, in the tenant's zone, with the cause
  const Program* program = nullptr;
  std::string run_id;                                                         // empty in previews
  const Opened* event = nullptr;                                              // may be null
  const google::protobuf::Message* record = nullptr;                          // as it stands now
  std::map<std::string, std::unique_ptr<google::protobuf::Message>> fetched;  // by what texts call them
  bool changed = false;  // by a step: the record is to be read again before the next one
};

// A step made ready.
struct Prepared {
  std::string text;       // in words: "task \"Call Ann\" due ... for user_..."
  std::string record_id;  // what it makes or changes, where that is known before
  bool nothing = false;   // it is so already
  // One of these is set.
  std::optional<v1::Task> task;
  std::optional<v1::Reminder> reminder;
  bool cancel_reminders = false;
  std::string rule_id, contact_id, deal_id, lead_id;  // ... which
  std::string notify_user_id, notify_text;
  std::string service, method;
  std::unique_ptr<google::protobuf::Message> request;
};

// What a step did.
struct Done {
  std::string text;
  std::string record_id;
};

class Effects {
 public:
  Effects(pg::Db& db, Outside& outside, Inside& inside) : db_(db), outside_(outside), inside_(inside) {}

  // The record of a kind, as it is now.
  Async<std::unique_ptr<google::protobuf::Message>> Fetch(const Call& call, const ObjectKind& object, std::string id);
  // A page of a kind's records by a filter, for backfills; the next page's token, empty at the end.
  struct Page {
    std::vector<std::unique_ptr<google::protobuf::Message>> records;
    std::string next_page_token;
  };
  Async<Page> List(const Call& call, const ObjectKind& object, std::string filter, std::string page_token,
                   int page_size);

  // Whether a branch's condition holds, for the record and those that it names, as they stand now. A neighbour that is not
  // there is empty.
  Async<bool> Holds(Scene& scene, const Step& step);
  // `take_turns` is false in previews: the turn of a list of users is then not used up.
  Async<Prepared> Prepare(Scene& scene, const Step& step, bool take_turns);
  // Carries it out. What this service does goes into the batch.
  Async<Done> CarryOut(Scene& scene, const Step& step, Prepared prepared, pg::Batch& batch);

  // Later by a delay that may count working time.
  Async<absl::Time> After(const Call& call, std::string user_id, absl::Time start, v1::Delay delay);
  // A webhook of the tenant's that the caller may read.
  Async<messaging::v1::Webhook> FindWebhook(const Call& call, std::string id);
  // The user that is meant, never empty: who answers for the rule is the last resort. NOT_FOUND if not even that.
  Async<std::string> FindPerson(Scene& scene, v1::Person person);

  Async<> Notify(const Call& call, pg::Batch& batch, std::string user_id, std::string title, std::string record_id,
                 std::string cause);

 private:
  Async<const google::protobuf::Message*> Neighbour(Scene& scene, std::string name);
  Async<std::string> Text(Scene& scene, std::string text);
  Async<Prepared> PrepareSend(Scene& scene, const v1::SendMessageAction& action);
  Async<Prepared> PrepareCall(Scene& scene, const v1::CallWebhookAction& action);
  Async<Prepared> PrepareMove(Scene& scene, const v1::MoveDealAction& action);
  Async<Prepared> PrepareSet(Scene& scene, const v1::SetFieldAction& action);
  Async<Prepared> PrepareAssign(Scene& scene, const Step& step, bool take_turns);
  Async<Prepared> Change(Scene& scene, const ObjectKind& object, const google::protobuf::Message& before,
                         std::unique_ptr<google::protobuf::Message> patch, std::string field, bool guarded);

  pg::Db& db_;
  Outside& outside_;
  Inside& inside_;
};

}  // namespace crm::scheduler::automation
