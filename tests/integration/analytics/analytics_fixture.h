// The analytics service on a PostgreSQL of its own, hearing a Story (tests/unit/services/analytics/story.h): either
// directly, or through the real consumers with the Story as the producers' event logs.
#pragma once

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "common/events/loop.h"
#include "common/events/subscription.h"
#include "common/redis/client.h"
#include "services/analytics/consumers/consumers.h"
#include "services/analytics/service.h"
#include "tests/testing/run.h"
#include "tests/testing/servers.h"
#include "tests/unit/services/analytics/story.h"

namespace crm::analytics {

using crm::testing::Servers;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// A producer's EventLog that answers from the story.
class StorySource final : public events::Source {
 public:
  StorySource(std::shared_ptr<Story*> story, std::string producer)
      : story_(std::move(story)), producer_(std::move(producer)) {}

  Async<events::v1::ListEventsResponse> ListEvents(const Call&, const events::v1::ListEventsRequest& request) override {
    events::v1::ListEventsResponse response;
    const auto& all = Told();
    const int limit = request.limit() == 0 ? 500 : request.limit();
    for (size_t i = request.after_seq(); i < all.size() && response.events_size() < limit; ++i) {
      *response.add_events() = all[i];
    }
    response.set_head_seq(all.size());
    co_return response;
  }
  Async<events::v1::ListHeadsResponse> ListHeads(const Call&, const events::v1::ListHeadsRequest&) override {
    events::v1::ListHeadsResponse response;
    if (*story_ != nullptr && !Told().empty()) {
      auto* head = response.add_heads();
      head->set_tenant_id(TypeId("tenant", (*story_)->tenant));
      head->set_seq(Told().size());
    }
    co_return response;
  }

 private:
  const std::vector<events::v1::Event>& Told() const {
    static const std::vector<events::v1::Event> none;
    return *story_ == nullptr ? none : (*story_)->told[producer_];
  }
  std::shared_ptr<Story*> story_;
  std::string producer_;
};

// Hands events to the effects one by one, without position, order or memory.
class Ear final : public events::Consumer {
 public:
  void AfterCommit(std::function<void(const events::v1::Event&)> listener) override { listener_ = std::move(listener); }

  Async<> Hear(pg::Db& db, events::v1::Event event) {
    static const pg::Statement kMove{
        "test.move_position",
        "INSERT INTO position AS p (tenant_id, producer, seq) VALUES ($1, $2, $3) ON "
        "CONFLICT (tenant_id, producer) DO UPDATE SET seq = greatest(p.seq, EXCLUDED.seq)"};
    const Uuid tenant = ParseId(event.tenant_id())->uuid;
    Call call = events::OwnCall("analytics", "test.Hear", tenant, milliseconds(10'000));
    call.start = FromTimestamp(event.time());
    pg::Batch batch(call);
    batch.Add(kMove, pg::Params().Id(tenant).Text(event.service()).Int(static_cast<int64_t>(event.seq())));
    const std::string& url = event.payload().type_url();
    const auto effect = effects_.find(url.substr(url.rfind('/') + 1));
    if (effect != effects_.end()) {
      const events::Heard heard{call, event};
      CRM_CO_TRY(co_await effect->second(heard, batch));
    }
    CRM_CO_TRY(co_await db.Write(call, std::move(batch)));
    if (listener_) listener_(event);
    co_return absl::OkStatus();
  }

 protected:
  void Add(std::string type, Effect effect) override { effects_[std::move(type)] = std::move(effect); }

 private:
  std::map<std::string, Effect> effects_;
  std::function<void(const events::v1::Event&)> listener_;
};

class AnalyticsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CRM_NEED_SERVERS("analytics");
    Servers::Get().Clear("analytics");
    db_ = std::make_unique<pg::Db>(Servers::Get().Db("analytics"), Loops());
    Producers::Sources sources;
    for (const char* name : kNames) sources[name] = std::make_unique<StorySource>(shown_, name);
    producers_ = std::make_unique<Producers>(std::move(sources));
    live_ = std::make_unique<Live>();
    service_ = std::make_unique<ReportService>(*db_, *producers_, *live_, [](std::function<void()> work) -> Async<> {
      work();
      co_return absl::OkStatus();
    });
    HearContact(ear_);
    HearDealPipeline(ear_, *db_);
    HearIdentity(ear_);
    HearMessaging(ear_);
    HearScheduler(ear_);
    live_->Listen(ear_);
  }
  void TearDown() override {
    loop_.RunFor(milliseconds(20));  // questions to producers that are under way
    service_.reset();
    db_.reset();
  }

  std::vector<asio::any_io_executor> Loops() { return {loop_.executor()}; }

  // Lets the service hear what it has not heard of the story yet.
  void HearAll(Story& story) {
    *shown_ = &story;
    for (auto& [producer, events] : story.told) {
      size_t& heard = heard_[{story.tenant, producer}];
      for (; heard < events.size(); ++heard) Hear(events[heard]);
    }
  }
  void Hear(const events::v1::Event& event) {
    const absl::Status status = loop_.Run(ear_.Hear(*db_, event));
    ASSERT_TRUE(status.ok()) << event.type() << ": " << status;
  }

  // ---- callers ----

  static Call Reader(const Story& story, type::v1::Scope scope = type::v1::SCOPE_ALL, const std::string& user = "",
                     const std::vector<std::string>& teams = {}) {
    Call call = crm::testing::TestCall(story.tenant);
    call.time_zone = "UTC";
    call.currency_code = "EUR";
    call.start = story.now + absl::Hours(1);
    auto rights = std::make_shared<Rights>();
    rights->Grant("report", type::v1::ACTION_READ, scope);
    call.principal.rights = rights;
    if (!user.empty()) call.principal.user_id = user;
    for (const auto& team : teams) call.principal.teams.push_back(ParseId(team)->uuid);
    return call;
  }

  // ---- reports ----

  static v1::GetRevenueReportRequest By(v1::GroupBy group_by, const std::string& from = "", const std::string& to = "",
                                        const std::string& zone = "") {
    v1::GetRevenueReportRequest request;
    request.set_group_by(group_by);
    request.mutable_period()->set_from_date(from);
    request.mutable_period()->set_to_date(to);
    request.mutable_period()->set_time_zone(zone);
    return request;
  }
  v1::RevenueReport Revenue(Call call, const v1::GetRevenueReportRequest& request) {
    auto report = loop_.Run(service_->GetRevenueReport(call, request));
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : v1::RevenueReport();
  }
  v1::FunnelReport Funnel(Call call, const v1::GetFunnelReportRequest& request) {
    auto report = loop_.Run(service_->GetFunnelReport(call, request));
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : v1::FunnelReport();
  }
  v1::EmployeeReport Employees(Call call, const v1::GetEmployeeReportRequest& request = {}) {
    auto report = loop_.Run(service_->GetEmployeeReport(call, request));
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : v1::EmployeeReport();
  }
  v1::RecountReportsResponse Recounted(const Story& story) {
    Call call = Reader(story);
    auto response = loop_.Run(service_->RecountReports(call, {}));
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *response : v1::RecountReportsResponse();
  }

  // "100.00 EUR, 5 JPY"
  static std::string Text(const google::protobuf::RepeatedPtrField<type::v1::Money>& sums) {
    std::string text;
    for (const auto& money : sums) {
      absl::StrAppend(&text, text.empty() ? "" : ", ", money.amount(), " ", money.currency_code());
    }
    return text;
  }
  // "key: 100.00 EUR (2)" per row.
  static std::vector<std::string> Lines(const v1::RevenueReport& report) {
    std::vector<std::string> lines;
    for (const auto& row : report.rows()) {
      lines.push_back(absl::StrCat(row.key(), ": ", Text(row.revenue()), " (", row.deal_count(), ")"));
    }
    return lines;
  }
  static std::string Id(const Story& story) { return absl::StrCat("'", story.tenant.ToString(), "'"); }

  static constexpr const char* kNames[] = {"contact", "deal_pipeline", "identity", "messaging", "scheduler"};
  crm::testing::Loop loop_;
  std::shared_ptr<Story*> shown_ = std::make_shared<Story*>(nullptr);
  std::unique_ptr<pg::Db> db_;
  std::unique_ptr<Producers> producers_;
  std::unique_ptr<Live> live_;
  std::unique_ptr<ReportService> service_;
  Ear ear_;
  std::map<std::pair<Uuid, std::string>, size_t> heard_;
};

}  // namespace crm::analytics
