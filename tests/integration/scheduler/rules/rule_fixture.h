// Rules on the real PostgreSQL as the service's own roles, with the other services played by the test.
#pragma once

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/base/time.h"
#include "common/events/loop.h"
#include "common/events/subscription.h"
#include "crm/contact/v1/contact.pb.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "crm/messaging/v1/events.pb.h"
#include "crm/messaging/v1/webhook.pb.h"
#include "services/scheduler/automation.h"
#include "services/scheduler/consumers/automation.h"
#include "services/scheduler/jobs/automation_book.h"
#include "services/scheduler/jobs/automation_runner.h"
#include "services/scheduler/rule_service.h"
#include "tests/testing/run.h"
#include "tests/testing/servers.h"

namespace crm::scheduler::automation {

// The other services: deals and letters in memory, each request by its key once, as theirs.
class Others final : public Outside {
 public:
  std::map<std::string, deal_pipeline::v1::Deal> deals;
  std::vector<messaging::v1::SendMessageRequest> letters;
  std::map<std::string, messaging::v1::Webhook> webhooks;
  std::vector<messaging::v1::CallWebhookRequest> calls;
  contact::v1::Contact contact;                // whoever is asked for
  std::map<std::string, std::string> replies;  // by key
  std::vector<Cause> causes;                   // of writes
  // Asked first; an error is the answer.
  std::function<absl::Status(const std::string& method)> before;
  // Asked when it has been done; an error then means that the answer got lost.
  std::function<absl::Status(const std::string& method)> after;

  Async<std::string> Send(const Call& call, const std::string&, const std::string& method,
                          std::string request) override {
    const std::string name = method.substr(method.rfind('.') + 1);
    if (before) CRM_CO_TRY(before(name));
    auto answer = Do(call, name, request);
    if (!answer.ok()) co_return answer.status();
    if (after) CRM_CO_TRY(after(name));
    co_return *answer;
  }

 private:
  absl::StatusOr<std::string> Do(const Call& call, const std::string& name, const std::string& bytes) {
    using namespace deal_pipeline::v1;
    if (name == "GetDeal") {
      GetDealRequest request;
      request.ParseFromString(bytes);
      if (!deals.contains(request.id())) return NotFound(request.id());
      return deals[request.id()].SerializeAsString();
    }
    if (name == "ListDeals") {
      ListDealsResponse response;
      for (const auto& [id, deal] : deals) *response.add_deals() = deal;
      return response.SerializeAsString();
    }
    if (name == "GetContact") {
      contact.set_display_name("Ann");
      return contact.SerializeAsString();
    }
    if (name == "MoveDeal") {
      MoveDealRequest request;
      request.ParseFromString(bytes);
      return Once(call, request.request_id(), [&]() -> absl::StatusOr<std::string> {
        if (!deals.contains(request.id())) return NotFound(request.id());
        deals[request.id()].set_stage_id(request.stage_id());
        return deals[request.id()].SerializeAsString();
      });
    }
    if (name == "UpdateDeal") {
      UpdateDealRequest request;
      request.ParseFromString(bytes);
      return Once(call, request.request_id(), [&]() -> absl::StatusOr<std::string> {
        if (!deals.contains(request.deal().id())) return NotFound(request.deal().id());
        auto& deal = deals[request.deal().id()];
        for (const auto& path : request.update_mask().paths()) {
          if (path == "note") deal.set_note(request.deal().note());
          if (path == "owner_id") deal.set_owner_id(request.deal().owner_id());
          if (path == "tags") *deal.mutable_tags() = request.deal().tags();
        }
        return deal.SerializeAsString();
      });
    }
    if (name == "SendMessage") {
      messaging::v1::SendMessageRequest request;
      request.ParseFromString(bytes);
      return Once(call, request.request_id(), [&]() -> absl::StatusOr<std::string> {
        letters.push_back(request);
        messaging::v1::Message message;
        message.set_id(NewId("message", absl::Now()));
        return message.SerializeAsString();
      });
    }
    if (name == "GetWebhook") {
      messaging::v1::GetWebhookRequest request;
      request.ParseFromString(bytes);
      if (!webhooks.contains(request.id())) return NotFound(request.id());
      return webhooks[request.id()].SerializeAsString();
    }
    if (name == "CallWebhook") {
      messaging::v1::CallWebhookRequest request;
      request.ParseFromString(bytes);
      return Once(call, request.request_id(), [&]() -> absl::StatusOr<std::string> {
        if (!webhooks.contains(request.id())) return NotFound(request.id());
        if (!webhooks[request.id()].enabled()) return StateError("the webhook is off; enable it first");
        calls.push_back(request);
        messaging::v1::Delivery delivery;
        delivery.set_id(NewId("delivery", absl::Now()));
        return delivery.SerializeAsString();
      });
    }
    return absl::UnimplementedError(name);
  }

  absl::StatusOr<std::string> Once(const Call& call, const std::string& key,
                                   const std::function<absl::StatusOr<std::string>()>& work) {
    EXPECT_FALSE(key.empty());
    if (const auto it = replies.find(key); it != replies.end()) return it->second;
    auto answer = work();
    if (answer.ok()) {
      replies[key] = *answer;
      causes.push_back(call.cause);
    }
    return answer;
  }
};

// Takes the effects that rules register, and applies them as the real one does: with their own Call, in one batch.
class Ears final : public events::Consumer {
 public:
  void AfterCommit(std::function<void(const events::v1::Event&)>) override {}
  std::map<std::string, std::vector<Effect>> effects;

 private:
  void Add(std::string payload_type, Effect effect) override { effects[payload_type].push_back(std::move(effect)); }
};

class RuleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CRM_NEED_SERVERS("scheduler");
    Sql("INSERT INTO scheduler.tenant (tenant_id, time_zone, language, working_hours) VALUES ('" + tenant_.ToString() +
        "', 'Europe/Berlin', 'en', "
        "'[{\"weekday\":1,\"start\":\"09:00\",\"end\":\"18:00\"},{\"weekday\":2,\"start\":\"09:00\",\"end\":"
        "\"18:00\"},{\"weekday\":3,\"start\":\"09:00\",\"end\":\"18:00\"},{\"weekday\":4,\"start\":\"09:00\",\"end\":"
        "\"18:00\"},"
        "{\"weekday\":5,\"start\":\"09:00\",\"end\":\"18:00\"}]')");
    for (const std::string& user : {user_, head_, colleague_}) {
      Sql("INSERT INTO scheduler.person (tenant_id, user_id, name, team_id, manager_id, time_zone, language, active) "
          "VALUES ('" +
          tenant_.ToString() + "', '" + ParseId(user)->uuid.ToString() + "', 'Name', '" + team_.ToString() +
          "', NULL, 'Europe/Berlin', 'en', true)");
    }
    Sql("INSERT INTO scheduler.team (tenant_id, team_id, name, parent_id, head_id, deleted) VALUES ('" +
        tenant_.ToString() + "', '" + team_.ToString() + "', 'Sales', NULL, '" + ParseId(head_)->uuid.ToString() +
        "', false)");
    Restart();
  }

  // All that lives in the process, made anew. Not `loaded`: as in the first moments of a process.
  void Restart(bool loaded = true) {
    timers_.reset();
    runner_.reset();
    service_.reset();
    effects_.reset();
    inside_.reset();
    book_ = std::make_unique<RuleBook>(db_, worker_db_);
    inside_ = MakeInside(app_);
    effects_ = std::make_unique<Effects>(db_, others_, *inside_);
    RunnerOptions options;
    options.attempts_max = 3;
    runner_ = std::make_unique<Runner>(db_, *book_, *effects_, rule_tables_.runs, options);
    service_ = std::make_unique<RuleService>(db_, rule_tables_, *book_, *effects_, logs_);
    timers_ = std::make_unique<Timers>(db_, worker_db_);
    runner_->Register(*timers_);
    ears_ = Ears();
    for (const char* producer : kProducers) automation::HearForRules(ears_, producer, *book_);
    if (!loaded) return;
    ASSERT_TRUE(loop_.Run(book_->Refresh()).ok());
  }

  static void Sql(const std::string& sql) { crm::testing::Servers::Get().Sql(sql); }
  int64_t Count(const std::string& what) {
    return std::stoll(crm::testing::Servers::Get().Value("SELECT count(*) FROM scheduler." + what +
                                                         " AND tenant_id = '" + tenant_.ToString() + "'"));
  }

  Call NewCall() {
    Call call = crm::testing::TestCall(tenant_);
    call.principal.user_id = user_;
    return call;
  }

  absl::StatusOr<v1::Rule> TryCreate(const std::string& text) {
    Call call = NewCall();
    v1::CreateRuleRequest request;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, request.mutable_rule())) << text;
    if (request.rule().name().empty()) request.mutable_rule()->set_name("Rule");
    request.mutable_rule()->set_enabled(true);
    return loop_.Run(service_->CreateRule(call, request));
  }
  v1::Rule Create(const std::string& text) {
    auto made = TryCreate(text);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *made : v1::Rule();
  }
  absl::StatusOr<v1::Rule> Update(const v1::Rule& rule, const std::string& field) {
    Call call = NewCall();
    v1::UpdateRuleRequest request;
    *request.mutable_rule() = rule;
    request.mutable_update_mask()->add_paths(field);
    return loop_.Run(service_->UpdateRule(call, request));
  }

  deal_pipeline::v1::Deal NewDeal(const std::string& stage) {
    deal_pipeline::v1::Deal deal;
    deal.set_id(NewId("deal", absl::Now()));
    deal.set_etag("1");
    deal.set_title("Cake");
    deal.mutable_amount()->set_amount("1500");
    deal.set_stage_id(stage);
    deal.set_owner_id(user_);
    deal.set_team_id(TypeId("team", team_));
    deal.set_contact_id(NewId("contact", absl::Now()));
    others_.deals[deal.id()] = deal;
    return deal;
  }

  events::v1::Event EventOf(const std::string& type, const std::string& service, const std::string& record,
                            const google::protobuf::Message& payload) {
    events::v1::Event event;
    event.set_tenant_id(TypeId("tenant", tenant_));
    event.set_seq(++seq_);
    event.set_type(type);
    event.set_service(service);
    event.set_record_id(record);
    event.set_owner_id(user_);
    *event.mutable_time() = ToTimestamp(absl::Now());
    event.mutable_payload()->PackFrom(payload);
    return event;
  }
  events::v1::Event Moved(const deal_pipeline::v1::Deal& deal) {
    deal_pipeline::v1::DealMoved moved;
    *moved.mutable_deal() = deal;
    events::v1::Event event = EventOf("deal.moved", "deal_pipeline", deal.id(), moved);
    event.add_changed_fields("stage_id");
    return event;
  }

  absl::Status Deliver(const events::v1::Event& event) {
    Call call = events::OwnCall("scheduler", "events", tenant_, std::chrono::seconds(10));
    call.start = FromTimestamp(event.time());
    pg::Batch batch(call);
    std::string type = event.payload().type_url();
    type = type.substr(type.rfind('/') + 1);
    const events::Heard heard{call, event};
    for (const auto& effect : ears_.effects[type]) {
      const absl::Status status = loop_.Run(effect(heard, batch));
      if (!status.ok()) return status;
    }
    return loop_.Run(db_.Write(call, std::move(batch))).status();
  }

  // Fires what is due until nothing is; answers how many effects took place.
  int Fire(int rounds = 20) {
    int total = 0;
    for (int i = 0; i < rounds; ++i) {
      const auto fired = loop_.Run(timers_->FireDue());
      EXPECT_TRUE(fired.ok()) << fired.status();
      if (!fired.ok() || *fired == 0) break;
      total += *fired;
    }
    return total;
  }
  void Advance(absl::Duration time) {
    Sql("INSERT INTO scheduler.clock (tenant_id, bucket, offset_seconds) VALUES ('" + tenant_.ToString() + "', " +
        std::to_string(tenant_.bucket()) + ", " + std::to_string(absl::ToInt64Seconds(time)) +
        ") ON CONFLICT (tenant_id) DO UPDATE SET offset_seconds = clock.offset_seconds + excluded.offset_seconds");
  }

  std::vector<v1::RuleRun> Runs(const std::string& rule_id = "") {
    Call call = NewCall();
    v1::ListRuleRunsRequest request;
    if (!rule_id.empty()) request.set_filter("rule_id = \"" + rule_id + "\"");
    request.set_order_by("create_time");
    auto runs = loop_.Run(service_->ListRuleRuns(call, request));
    EXPECT_TRUE(runs.ok()) << runs.status();
    if (!runs.ok()) return {};
    return {runs->rule_runs().begin(), runs->rule_runs().end()};
  }

  crm::testing::Loop loop_;
  pg::Db db_{crm::testing::Servers::Get().Db("scheduler"), {loop_.executor()}};
  pg::Db worker_db_{crm::testing::Servers::Get().Db("scheduler", "scheduler_worker"), {loop_.executor()}};
  Tables tables_;
  RuleTables rule_tables_;
  App app_{db_, tables_};
  Others others_;
  RuleService::Logs logs_;
  std::unique_ptr<RuleBook> book_;
  std::unique_ptr<Inside> inside_;
  std::unique_ptr<Effects> effects_;
  std::unique_ptr<Runner> runner_;
  std::unique_ptr<RuleService> service_;
  std::unique_ptr<Timers> timers_;
  Ears ears_;
  Uuid tenant_ = crm::testing::NewTenant();
  Uuid team_ = NewUuid(absl::Now());
  std::string user_ = NewId("user", absl::Now()), head_ = NewId("user", absl::Now()),
              colleague_ = NewId("user", absl::Now());
  std::string offer_ = NewId("stage", absl::Now()), paid_ = NewId("stage", absl::Now());
  uint64_t seq_ = 0;
};

}  // namespace crm::scheduler::automation
