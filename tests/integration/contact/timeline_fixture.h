// The contact service's timeline on the real PostgreSQL, told by events of all producers: handed to the effects one by
// one, without position, order or memory.
#pragma once

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/time.h"
#include "common/events/loop.h"
#include "services/contact/consumers/consumers.h"
#include "services/contact/service.h"
#include "tests/testing/run.h"
#include "tests/testing/servers.h"

namespace crm::contact {

namespace dp = crm::deal_pipeline::v1;
namespace ms = crm::messaging::v1;
namespace sc = crm::scheduler::v1;
using crm::testing::Servers;
using Told = std::vector<events::v1::Event>;

class TimelineEar final : public events::Consumer {
 public:
  void AfterCommit(std::function<void(const events::v1::Event&)>) override {}

  Async<> Hear(pg::Db& db, events::v1::Event event) {
    Call call = events::OwnCall("contact", "test.Hear", ParseId(event.tenant_id())->uuid, std::chrono::seconds(20));
    call.start = FromTimestamp(event.time());
    pg::Batch batch(call);
    const std::string& url = event.payload().type_url();
    const auto effect = effects_.find(url.substr(url.rfind('/') + 1));
    if (effect == effects_.end()) co_return absl::OkStatus();
    const events::Heard heard{call, event};
    CRM_CO_TRY(co_await effect->second(heard, batch));
    CRM_CO_TRY(co_await db.Write(call, std::move(batch)));
    co_return absl::OkStatus();
  }

 protected:
  void Add(std::string type, Effect effect) override { effects_[std::move(type)] = std::move(effect); }

 private:
  std::map<std::string, Effect> effects_;
};

class TimelineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CRM_NEED_SERVERS("contact");
    db_ = std::make_unique<pg::Db>(Servers::Get().Db("contact"), std::vector<asio::any_io_executor>{loop_.executor()});
    contacts_ = std::make_unique<ContactService>(*db_, tables_);
    notes_ = std::make_unique<NoteService>(*db_, tables_);
    activities_ = std::make_unique<ActivityService>(*db_, tables_);
    HearContact(ear_, *db_);
    HearDealPipeline(ear_);
    HearMessaging(ear_, *db_);
    HearScheduler(ear_, *db_);
  }

  // ---- telling ----

  template <typename Payload>
  events::v1::Event Tell(Told& told, const std::string& service, const std::string& type, const std::string& record_id,
                         uint32_t revision, const Payload& payload, std::vector<std::string> changed = {}) {
    events::v1::Event event;
    event.set_tenant_id(TypeId("tenant", tenant_));
    event.set_service(service);
    event.set_type(type);
    event.set_record_id(record_id);
    event.set_revision(revision);
    event.set_seq(++seqs_[service]);
    event.set_actor_id(actor_);
    *event.mutable_time() = ToTimestamp(now_ += absl::Seconds(60));
    for (const auto& field : changed) event.add_changed_fields(field);
    event.mutable_payload()->PackFrom(payload);
    told.push_back(event);
    return event;
  }
  void Hear(const events::v1::Event& event) {
    const absl::Status status = loop_.Run(ear_.Hear(*db_, event));
    ASSERT_TRUE(status.ok()) << event.type() << ": " << status;
  }
  void HearAll(const Told& told) {
    for (const auto& event : told) Hear(event);
  }

  // A record as its events carry it, changed by each.
  dp::Deal NewDeal(const std::string& owner_id, const std::string& contact_id) {
    dp::Deal deal;
    deal.set_id(NewId("deal", absl::Now()));
    deal.set_etag("0");
    deal.set_title("Boxes");
    deal.set_pipeline_id(pipeline_);
    deal.set_stage_id(stage_);
    deal.set_status(dp::DEAL_STATUS_OPEN);
    deal.set_owner_id(owner_id);
    deal.set_contact_id(contact_id);
    *deal.mutable_create_time() = ToTimestamp(now_);
    *deal.mutable_open_time() = ToTimestamp(now_);
    return deal;
  }
  template <typename Event>
  events::v1::Event TellDeal(Told& told, const std::string& what, dp::Deal& deal, Event event,
                             std::vector<std::string> changed = {}) {
    const uint32_t revision = pg::RevisionOf(deal) + 1;
    deal.set_etag(absl::StrCat(revision));
    *event.mutable_deal() = deal;
    return Tell(told, "deal_pipeline", "deal." + what, deal.id(), revision, event, std::move(changed));
  }
  sc::Task NewTask(const std::string& title) {
    sc::Task task;
    task.set_id(NewId("task", absl::Now()));
    task.set_etag("0");
    task.set_title(title);
    task.set_kind(sc::TASK_KIND_CALL);
    task.set_status(sc::TASK_STATUS_OPEN);
    task.set_owner_id(actor_);
    task.set_creator_id(actor_);
    *task.mutable_create_time() = ToTimestamp(now_ += absl::Seconds(1));
    return task;
  }
  template <typename Event>
  events::v1::Event TellTask(Told& told, const std::string& what, sc::Task& task, Event event) {
    const uint32_t revision = pg::RevisionOf(task) + 1;
    task.set_etag(absl::StrCat(revision));
    *event.mutable_task() = task;
    return Tell(told, "scheduler", "task." + what, task.id(), revision, event);
  }
  ms::Message NewMessage(const std::string& conversation_id, const std::string& subject, bool inbound) {
    ms::Message message;
    message.set_id(NewId("message", absl::Now()));
    message.set_etag("0");
    message.set_conversation_id(conversation_id);
    message.set_kind(ms::MESSAGE_KIND_EMAIL);
    message.set_direction(inbound ? ms::MESSAGE_DIRECTION_INBOUND : ms::MESSAGE_DIRECTION_OUTBOUND);
    message.set_status(inbound ? ms::MESSAGE_STATUS_RECEIVED : ms::MESSAGE_STATUS_QUEUED);
    message.set_subject(subject);
    message.set_preview("Dear\n  all");
    if (!inbound) message.set_author_id(actor_);
    *message.mutable_create_time() = ToTimestamp(now_ += absl::Seconds(1));
    return message;
  }
  template <typename Event>
  events::v1::Event TellMessage(Told& told, const std::string& what, ms::Message& message, Event event) {
    const uint32_t revision = pg::RevisionOf(message) + 1;
    message.set_etag(absl::StrCat(revision));
    *event.mutable_message() = message;
    return Tell(told, "messaging", "message." + what, message.id(), revision, event);
  }

  // ---- asking ----

  Call Admin() const {
    Call call = crm::testing::TestCall(tenant_);
    call.principal.user_id = actor_;
    call.start = now_;
    return call;
  }
  // Someone with these rights to read and nothing else.
  Call Reader(const std::string& user, const std::map<std::string, type::v1::Scope>& rights,
              const std::vector<std::string>& teams = {}) const {
    Call call = crm::testing::TestCall(tenant_);
    call.principal.user_id = user;
    auto granted = std::make_shared<Rights>();
    for (const auto& [object, scope] : rights) granted->Grant(object, type::v1::ACTION_READ, scope);
    call.principal.rights = granted;
    for (const auto& team : teams) call.principal.teams.push_back(ParseId(team)->uuid);
    return call;
  }
  v1::ListActivitiesResponse List(Call call, const v1::ListActivitiesRequest& request) {
    auto page = loop_.Run(activities_->ListActivities(call, request));
    EXPECT_TRUE(page.ok()) << page.status();
    return page.ok() ? *page : v1::ListActivitiesResponse();
  }
  static v1::ListActivitiesRequest OfContact(const std::string& id) {
    v1::ListActivitiesRequest request;
    request.set_contact_id(id);
    return request;
  }
  static v1::ListActivitiesRequest OfDeal(const std::string& id) {
    v1::ListActivitiesRequest request;
    request.set_deal_id(id);
    return request;
  }
  // "deal WON", newest first.
  static std::vector<std::string> Lines(const v1::ListActivitiesResponse& page) {
    std::vector<std::string> lines;
    for (const auto& activity : page.activities()) {
      std::string line = absl::StrCat(activity.object(), " ", v1::ActivityKind_Name(activity.kind()).substr(14));
      if (activity.state() != 0) absl::StrAppend(&line, " ", v1::ActivityState_Name(activity.state()).substr(15));
      lines.push_back(line);
    }
    return lines;
  }
  v1::Contact MakeContact(const std::string& name, const std::string& owner_id) {
    Call call = Admin();
    v1::CreateContactRequest request;
    request.mutable_contact()->set_given_name(name);
    request.mutable_contact()->set_owner_id(owner_id);
    auto made = loop_.Run(contacts_->CreateContact(call, request));
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *made : v1::Contact();
  }
  v1::Contact GetContact(const std::string& id) {
    Call call = Admin();
    v1::GetContactRequest request;
    request.set_id(id);
    auto got = loop_.Run(contacts_->GetContact(call, request));
    EXPECT_TRUE(got.ok()) << got.status();
    return got.ok() ? *got : v1::Contact();
  }

  crm::testing::Loop loop_;
  std::unique_ptr<pg::Db> db_;
  Tables tables_;
  std::unique_ptr<ContactService> contacts_;
  std::unique_ptr<NoteService> notes_;
  std::unique_ptr<ActivityService> activities_;
  TimelineEar ear_;
  Uuid tenant_ = crm::testing::NewTenant();
  absl::Time now_ = absl::FromCivil(absl::CivilSecond(2026, 11, 2, 9, 0, 0), absl::UTCTimeZone());
  std::string actor_ = NewId("user", absl::Now());
  std::string pipeline_ = NewId("pipeline", absl::Now()), stage_ = NewId("stage", absl::Now()),
              second_stage_ = NewId("stage", absl::Now());
  std::map<std::string, uint64_t> seqs_;
};

}  // namespace crm::contact
