// Rules that call other systems by webhooks: what is posted, how often, and what is said of it before.
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>

#include "common/json/json.h"
#include "tests/integration/scheduler/rules/rule_fixture.h"

namespace crm::scheduler::automation {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class RuleCallTest : public RuleTest {
 protected:
  std::string NewWebhook(bool personal_data = false) {
    messaging::v1::Webhook webhook;
    webhook.set_id(NewId("webhook", absl::Now()));
    webhook.set_name("Shop");
    webhook.set_url("https://shop.example.com/hook");
    webhook.set_enabled(true);
    webhook.set_personal_data(personal_data);
    others_.webhooks[webhook.id()] = webhook;
    return webhook.id();
  }
  static std::string Calls(const std::string& webhook, const std::string& body = "") {
    return "trigger {event {type: 'deal.moved'}} actions {call_webhook {webhook_id: '" + webhook + "' body: '" + body +
           "'}}";
  }
  // What a saved rule was refused for: "field: why".
  static std::string Why(const absl::StatusOr<v1::Rule>& refused) {
    std::string why;
    for (const auto& one : ViolationsOf(refused.status())) why += one.field + ": " + one.description + "\n";
    return why;
  }
  static google::protobuf::Struct Parsed(const std::string& body) {
    google::protobuf::Struct object;
    const absl::Status status = json::Read(body, object);
    EXPECT_TRUE(status.ok()) << status << ": " << body;
    return object;
  }
  v1::RulePreview Preview(const v1::Rule& rule, const std::string& record) {
    v1::PreviewRuleRequest request;
    *request.mutable_rule() = rule;
    request.set_record_id(record);
    Call call = NewCall();
    auto preview = loop_.Run(service_->PreviewRule(call, request));
    EXPECT_TRUE(preview.ok()) << preview.status();
    return preview.ok() ? *preview : v1::RulePreview();
  }
};

TEST_F(RuleCallTest, TheRecordIsPostedWithRuleAndRun) {
  const std::string webhook = NewWebhook();
  const v1::Rule rule = Create(Calls(webhook));
  EXPECT_EQ(rule.warnings_size(), 0);
  auto deal = NewDeal(offer_);
  deal.set_next_task_id(NewId("task", absl::Now()));  // what a card shows is nobody's business outside
  others_.deals[deal.id()] = deal;
  ASSERT_TRUE(Deliver(Moved(deal)).ok());
  Fire();
  const auto runs = Runs(rule.id());
  ASSERT_THAT(runs, SizeIs(1));
  ASSERT_EQ(runs[0].status(), v1::RUN_STATUS_DONE) << runs[0].ShortDebugString();
  EXPECT_THAT(runs[0].steps(0).record_id(), StartsWith("delivery_"));
  EXPECT_THAT(runs[0].steps(0).text(),
              HasSubstr("posts to webhook \"Shop\" (https://shop.example.com/hook): {\"type\":"));
  ASSERT_THAT(others_.calls, SizeIs(1));
  EXPECT_EQ(others_.calls[0].id(), webhook);
  EXPECT_EQ(others_.calls[0].record_id(), deal.id());
  EXPECT_FALSE(others_.calls[0].personal_data());
  auto body = Parsed(others_.calls[0].body());
  EXPECT_EQ(body.fields().at("type").string_value(), "rule.called");
  EXPECT_EQ(body.fields().at("rule_id").string_value(), rule.id());
  EXPECT_EQ(body.fields().at("run_id").string_value(), runs[0].id());
  EXPECT_EQ(body.fields().at("record_id").string_value(), deal.id());
  const auto& data = body.fields().at("data").struct_value().fields().at("deal").struct_value();
  EXPECT_EQ(data.fields().at("title").string_value(), "Cake");
  EXPECT_EQ(data.fields().at("next_task_id").string_value(), "");
}

TEST_F(RuleCallTest, ABodyIsFilledInSoThatItStaysJson) {
  const std::string webhook = NewWebhook();
  auto made = TryCreate(
      Calls(webhook, R"({"text": "{{title}} of {{contact.display_name}}", "tags": "{{#tags}}<{{.}}>{{/tags}}"})"));
  ASSERT_TRUE(made.ok()) << made.status() << Why(made);
  auto deal = NewDeal(offer_);
  deal.set_title("A \"cake\",\n{\"x\": \\1}");
  deal.add_tags("a\"b");
  deal.add_tags("c");
  others_.deals[deal.id()] = deal;
  ASSERT_TRUE(Deliver(Moved(deal)).ok());
  Fire();
  ASSERT_THAT(others_.calls, SizeIs(1));
  auto body = Parsed(others_.calls[0].body());
  EXPECT_EQ(body.fields().at("text").string_value(), "A \"cake\",\n{\"x\": \\1} of Ann");
  EXPECT_EQ(body.fields().at("tags").string_value(), "<a\"b><c>");
}

TEST_F(RuleCallTest, WhatTurnsOutToBeNoJsonFailsTheRun) {
  // A number where there is none: well for most deals, and said of the one for which it is not.
  const v1::Rule rule = Create(Calls(NewWebhook(), R"({"probability": {{lost_reason}}})"));
  ASSERT_TRUE(Deliver(Moved(NewDeal(offer_))).ok());
  Fire();
  const auto runs = Runs(rule.id());
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_EQ(runs[0].status(), v1::RUN_STATUS_FAILED);
  EXPECT_THAT(runs[0].error(), HasSubstr("no JSON object once it is filled in"));
  EXPECT_THAT(others_.calls, IsEmpty());
}

TEST_F(RuleCallTest, ALostAnswerMakesNoSecondCall) {
  const v1::Rule rule = Create(Calls(NewWebhook()));
  int answers = 0;
  others_.after = [&](const std::string& method) {
    return method == "CallWebhook" && ++answers == 1 ? absl::UnavailableError("the line broke") : absl::OkStatus();
  };
  ASSERT_TRUE(Deliver(Moved(NewDeal(offer_))).ok());
  Fire();
  EXPECT_EQ(Runs(rule.id())[0].status(), v1::RUN_STATUS_RUNNING);
  Advance(absl::Seconds(5));
  Fire();
  EXPECT_EQ(answers, 2);
  const auto runs = Runs(rule.id());
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_EQ(runs[0].status(), v1::RUN_STATUS_DONE) << runs[0].ShortDebugString();
  EXPECT_THAT(others_.calls, SizeIs(1));
}

TEST_F(RuleCallTest, OneThatIsOffOrGoneIsSaid) {
  const std::string webhook = NewWebhook();
  others_.webhooks[webhook].set_enabled(false);
  const v1::Rule rule = Create(Calls(webhook));
  ASSERT_EQ(rule.warnings_size(), 1);
  EXPECT_THAT(rule.warnings(0), HasSubstr("\"Shop\" is off"));
  const auto deal = NewDeal(offer_);
  EXPECT_THAT(Preview(rule, deal.id()).steps(0).error(), HasSubstr("\"Shop\" is off"));
  ASSERT_TRUE(Deliver(Moved(deal)).ok());
  Fire();
  ASSERT_THAT(Runs(rule.id()), SizeIs(1));
  EXPECT_EQ(Runs(rule.id())[0].status(), v1::RUN_STATUS_FAILED);
  EXPECT_THAT(Runs(rule.id())[0].error(), HasSubstr("is off"));
  // Switched on, the run goes through.
  others_.webhooks[webhook].set_enabled(true);
  v1::RetryRuleRunRequest retry;
  retry.set_id(Runs(rule.id())[0].id());
  Call call = NewCall();
  ASSERT_TRUE(loop_.Run(service_->RetryRuleRun(call, retry)).ok());
  Fire();
  EXPECT_EQ(Runs(rule.id())[0].status(), v1::RUN_STATUS_DONE);
  EXPECT_THAT(others_.calls, SizeIs(1));
  // Gone, no rule can be made that calls it; those that do can be switched off.
  others_.webhooks.clear();
  EXPECT_THAT(Why(TryCreate(Calls(webhook))),
              StartsWith("rule.actions[0].call_webhook.webhook_id: there is no such webhook"));
  v1::Rule other = rule;
  other.set_name("Other");
  EXPECT_FALSE(Update(other, "name").ok());
  other.set_enabled(false);
  const auto switched_off = Update(other, "enabled");
  EXPECT_TRUE(switched_off.ok()) << switched_off.status();
}

TEST_F(RuleCallTest, WhatCannotBeABodyIsRefused) {
  const std::string webhook = NewWebhook();
  const std::string at = "rule.actions[0].call_webhook.body: ";
  EXPECT_THAT(Why(TryCreate(Calls(webhook, "Hello {{title}}"))), StartsWith(at + "is no JSON object"));
  EXPECT_THAT(Why(TryCreate(Calls(webhook, R"({"a": "{{title}}")"))), StartsWith(at + "is no JSON object"));
  EXPECT_THAT(Why(TryCreate(Calls(webhook, R"(["{{title}}"])"))), StartsWith(at + "is no JSON object"));
  EXPECT_THAT(Why(TryCreate(Calls(webhook, R"({{{#tags}}"a": 1{{/tags}}{{^tags}}"b"{{/tags}}})"))), HasSubstr(at));
  EXPECT_THAT(Why(TryCreate(Calls(webhook, R"({"a": {{#tags}}1{{/tags}}})"))), StartsWith(at + "is no JSON object"))
      << "without tags nothing is there";
  EXPECT_THAT(Why(TryCreate(Calls(webhook, R"({"a": "{{{title}}}"})"))),
              HasSubstr("must not put values in as they are"));
  EXPECT_THAT(Why(TryCreate(Calls(webhook, R"({"a": "{{titel}}"})"))), HasSubstr("there is no variable {{titel}}"));
  EXPECT_TRUE(TryCreate(Calls(webhook, R"({"a": {{#tags}}1{{/tags}}{{^tags}}2{{/tags}}})")).ok());
  // In a branch the way to it is said.
  const std::string inside =
      "trigger {event {type: 'deal.moved'}} actions {branch {condition: 'amount > 1' then {wait {time {days: 1}}} then "
      "{call_webhook {webhook_id: '" +
      webhook + "' body: 'x'}}}}";
  EXPECT_THAT(Why(TryCreate(inside)), StartsWith("rule.actions[0].branch.then[1].call_webhook.body: "));
}

TEST_F(RuleCallTest, PersonalDataLeavesOnlyWhereTheWebhookTakesIt) {
  const std::string body = R"({"born": "{{contact.birth_date}}", "name": "{{contact.display_name}}"})";
  const std::string none = NewWebhook(), all = NewWebhook(/*personal_data=*/true);
  EXPECT_THAT(Why(TryCreate(Calls(none, body))), HasSubstr("{{contact.birth_date}} is not for other systems"));
  EXPECT_THAT(Why(TryCreate(Calls(all, R"({"next": "{{next_task_id}}"})"))),
              HasSubstr("{{next_task_id}} is not for other systems"));
  others_.contact.set_birth_date("1985-05-03");
  const v1::Rule rule = Create(Calls(all, body));
  const auto deal = NewDeal(offer_);
  EXPECT_THAT(Preview(rule, deal.id()).steps(0).text(), HasSubstr("\"born\": \"1985-05-03\", \"name\": \"Ann\""));
  EXPECT_THAT(others_.calls, IsEmpty()) << "a preview calls nobody";
  ASSERT_TRUE(Deliver(Moved(deal)).ok());
  Fire();
  ASSERT_THAT(others_.calls, SizeIs(1));
  EXPECT_TRUE(others_.calls[0].personal_data());
  // It takes none any more: what is said from then on is without.
  others_.webhooks[all].set_personal_data(false);
  ASSERT_TRUE(Deliver(Moved(deal)).ok());
  Fire();
  ASSERT_THAT(others_.calls, SizeIs(2));
  EXPECT_EQ(Parsed(others_.calls[1].body()).fields().at("born").string_value(), "");
  EXPECT_FALSE(others_.calls[1].personal_data());
}

}  // namespace
}  // namespace crm::scheduler::automation
