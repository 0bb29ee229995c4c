// What events become in the timeline, without a database.
#include "services/contact/rules/timeline.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "common/base/id.h"
#include "common/base/time.h"

namespace crm::contact {
namespace {

namespace dp = crm::deal_pipeline::v1;
namespace ms = crm::messaging::v1;
namespace sc = crm::scheduler::v1;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

events::v1::Event EventOf(const std::string& service, const std::string& type, const std::string& record_id,
                          std::vector<std::string> changed = {}) {
  static uint64_t seq = 0;
  events::v1::Event event;
  event.set_service(service);
  event.set_type(type);
  event.set_record_id(record_id);
  event.set_seq(++seq);
  event.set_actor_id("user_1");
  *event.mutable_time() = ToTimestamp(kNow);
  for (const auto& field : changed) event.add_changed_fields(field);
  return event;
}

TEST(TimelineRules, ADealsEntriesAreOnePerEvent) {
  dp::DealMoved moved;
  moved.mutable_deal()->set_id(NewId("deal", kNow));
  moved.mutable_deal()->set_title("Boxes");
  moved.mutable_deal()->set_contact_id("contact_1");
  moved.set_from_stage_id("stage_1");
  moved.mutable_deal()->set_stage_id("stage_2");
  struct {
    dp::DealStatus status;
    v1::ActivityKind kind;
    std::string snippet;
  } const cases[] = {{dp::DEAL_STATUS_OPEN, v1::ACTIVITY_KIND_MOVED, ""},
                     {dp::DEAL_STATUS_WON, v1::ACTIVITY_KIND_WON, ""},
                     {dp::DEAL_STATUS_LOST, v1::ACTIVITY_KIND_LOST, "Too dear"}};
  std::set<std::string> ids;
  moved.mutable_deal()->set_lost_reason("Too \n dear");
  for (const auto& c : cases) {
    moved.mutable_deal()->set_status(c.status);
    const auto event = EventOf("deal_pipeline", "deal.moved", moved.deal().id());
    const auto entry = EntryOf(event, moved);
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->activity.kind(), c.kind);
    EXPECT_EQ(entry->activity.snippet(), c.snippet);
    EXPECT_EQ(entry->activity.object(), "deal");
    EXPECT_EQ(entry->activity.source_seq(), event.seq());
    EXPECT_TRUE(entry->first);
    EXPECT_EQ(CardOf(entry->activity), moved.deal().id());
    EXPECT_EQ(EntryOf(event, moved)->activity.id(), entry->activity.id()) << "heard again it is the same";
    ids.insert(entry->activity.id());
  }
  EXPECT_EQ(ids.size(), 3u);
}

TEST(TimelineRules, OnlyANewCardThatStandsAloneIsToldOfByItsRecord) {
  v1::ContactCreated contact;
  contact.mutable_contact()->set_id(NewId("contact", kNow));
  const auto begins = [](const auto& payload, const std::string& type, const std::string& id) {
    return BeginsItsCard(EntryOf(EventOf("contact", type, id), payload)->activity);
  };
  EXPECT_TRUE(begins(contact, "contact.created", contact.contact().id()));
  contact.mutable_contact()->set_company_id(NewId("company", kNow));
  EXPECT_FALSE(begins(contact, "contact.created", contact.contact().id())) << "it stands on the company's card too";
  v1::CompanyCreated company;
  company.mutable_company()->set_id(NewId("company", kNow));
  EXPECT_TRUE(begins(company, "company.created", company.company().id()));
  v1::CompanyDeleted deleted;
  *deleted.mutable_company() = company.company();
  EXPECT_FALSE(begins(deleted, "company.deleted", company.company().id()));
  dp::DealCreated deal;
  deal.mutable_deal()->set_id(NewId("deal", kNow));
  EXPECT_FALSE(begins(deal, "deal.created", deal.deal().id()));
}

TEST(TimelineRules, AnUpdateIsAHandOverOrAChangeOrNothing) {
  dp::DealUpdated updated;
  updated.mutable_deal()->set_id(NewId("deal", kNow));
  updated.mutable_deal()->set_owner_id("user_2");
  const auto entry = [&](std::vector<std::string> changed) {
    return EntryOf(EventOf("deal_pipeline", "deal.updated", updated.deal().id(), std::move(changed)), updated);
  };
  EXPECT_FALSE(entry({}));
  EXPECT_FALSE(entry({"team_id"}));
  EXPECT_EQ(entry({"title", "amount"})->activity.kind(), v1::ACTIVITY_KIND_CHANGED);
  EXPECT_EQ(entry({"title", "amount"})->activity.changed_fields_size(), 2);
  const auto handed = entry({"owner_id", "team_id"});
  EXPECT_EQ(handed->activity.kind(), v1::ACTIVITY_KIND_HANDED_OVER);
  EXPECT_EQ(handed->activity.to_owner_id(), "user_2");
  EXPECT_EQ(handed->activity.changed_fields_size(), 1);
}

TEST(TimelineRules, AnImportedDealStandsWhereItBegan) {
  dp::DealCreated created;
  created.mutable_deal()->set_id(NewId("deal", kNow));
  *created.mutable_deal()->mutable_open_time() = ToTimestamp(kNow - absl::Hours(1000));
  const auto event = EventOf("deal_pipeline", "deal.created", created.deal().id());
  EXPECT_EQ(FromTimestamp(EntryOf(event, created)->activity.time()), kNow);
  created.set_imported(true);
  EXPECT_EQ(FromTimestamp(EntryOf(event, created)->activity.time()), kNow - absl::Hours(1000));
}

TEST(TimelineRules, AMessageKeepsOneEntryThroughAllItsStates) {
  ms::Message message;
  message.set_id(NewId("message", kNow));
  message.set_text("Dear all");
  message.set_direction(ms::MESSAGE_DIRECTION_OUTBOUND);
  *message.mutable_create_time() = ToTimestamp(kNow - absl::Minutes(1));
  struct {
    const char* what;
    ms::MessageStatus status;
    v1::ActivityState state;
    bool first;
  } const cases[] = {{"queued", ms::MESSAGE_STATUS_QUEUED, v1::ACTIVITY_STATE_QUEUED, true},
                     {"updated", ms::MESSAGE_STATUS_SENDING, v1::ACTIVITY_STATE_QUEUED, false},
                     {"sent", ms::MESSAGE_STATUS_SENT, v1::ACTIVITY_STATE_SENT, false},
                     {"updated", ms::MESSAGE_STATUS_DELIVERED, v1::ACTIVITY_STATE_DELIVERED, false},
                     {"bounced", ms::MESSAGE_STATUS_BOUNCED, v1::ACTIVITY_STATE_BOUNCED, false},
                     {"failed", ms::MESSAGE_STATUS_FAILED, v1::ACTIVITY_STATE_FAILED, false},
                     {"failed", ms::MESSAGE_STATUS_BLOCKED, v1::ACTIVITY_STATE_FAILED, false},
                     {"failed", ms::MESSAGE_STATUS_UNKNOWN, v1::ACTIVITY_STATE_UNKNOWN, false},
                     {"updated", ms::MESSAGE_STATUS_CANCELLED, v1::ACTIVITY_STATE_CANCELLED, false},
                     {"received", ms::MESSAGE_STATUS_RECEIVED, v1::ACTIVITY_STATE_RECEIVED, true},
                     {"commented", ms::MESSAGE_STATUS_POSTED, v1::ACTIVITY_STATE_UNSPECIFIED, true}};
  std::set<std::string> ids;
  for (const auto& c : cases) {
    message.set_status(c.status);
    const auto entry = EntryOf(EventOf("messaging", std::string("message.") + c.what, message.id()), message);
    EXPECT_EQ(entry->activity.state(), c.state) << c.what;
    EXPECT_EQ(entry->first, c.first) << c.what;
    EXPECT_EQ(FromTimestamp(entry->activity.time()), kNow - absl::Minutes(1)) << "the time never changes";
    EXPECT_EQ(entry->activity.snippet(), "Dear all");
    EXPECT_EQ(entry->activity.direction(), v1::ACTIVITY_DIRECTION_OUTBOUND);
    ids.insert(entry->activity.id());
  }
  EXPECT_EQ(ids.size(), 1u);
}

TEST(TimelineRules, ATaskThatIsDeletedSaysNothingMore) {
  sc::Task task;
  task.set_id(NewId("task", kNow));
  task.set_title("Call");
  task.set_description("About boxes");
  task.set_status(sc::TASK_STATUS_OPEN);
  const auto entry = [&] { return EntryOf(EventOf("scheduler", "task.updated", task.id()), task)->activity; };
  EXPECT_EQ(entry().state(), v1::ACTIVITY_STATE_OPEN);
  EXPECT_EQ(entry().snippet(), "About boxes");
  *task.mutable_overdue_since() = ToTimestamp(kNow);
  EXPECT_EQ(entry().state(), v1::ACTIVITY_STATE_OVERDUE);
  task.set_status(sc::TASK_STATUS_DONE);
  task.set_result("Wants two");
  EXPECT_EQ(entry().state(), v1::ACTIVITY_STATE_DONE);
  EXPECT_EQ(entry().snippet(), "Wants two");
  EXPECT_FALSE(IsOpen(task));
  task.set_status(sc::TASK_STATUS_OPEN);
  EXPECT_TRUE(IsOpen(task));
  *task.mutable_delete_time() = ToTimestamp(kNow);
  EXPECT_FALSE(IsOpen(task));
  EXPECT_EQ(entry().state(), v1::ACTIVITY_STATE_DELETED);
  EXPECT_EQ(entry().title() + entry().snippet(), "");
  EXPECT_EQ(CardOf(entry()), "") << "on no card, so on no timeline";
}

}  // namespace
}  // namespace crm::contact
