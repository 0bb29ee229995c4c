// The timeline on the real PostgreSQL: what producers tell ends in the same rows, in any order among them and heard
// twice; who sees what; what cards show.
#include <absl/strings/escaping.h>

#include <algorithm>
#include <iostream>
#include <random>

#include "services/contact/visibility.h"
#include "tests/integration/contact/timeline_fixture.h"
#include "tests/unit/common/base/seed.h"

namespace crm::contact {
namespace {

TEST_F(TimelineTest, ALetterAndATaskHaveOneEntryEachThatChangesWithThem) {
  const v1::Contact contact = MakeContact("Anna", actor_);
  const std::string conversation = NewId("conversation", absl::Now());
  Told told;
  dp::Deal deal = NewDeal(actor_, contact.id());
  TellDeal(told, "created", deal, dp::DealCreated());
  ms::Message letter = NewMessage(conversation, "Offer", /*inbound=*/false);
  letter.set_contact_id(contact.id());
  letter.set_deal_id(deal.id());
  TellMessage(told, "queued", letter, ms::MessageQueued());
  letter.set_status(ms::MESSAGE_STATUS_SENT);
  *letter.mutable_send_time() = ToTimestamp(now_);
  TellMessage(told, "sent", letter, ms::MessageSent());
  sc::Task task = NewTask("Call back");
  task.set_deal_id(deal.id());
  *task.mutable_due_time() = ToTimestamp(now_ + absl::Hours(5));
  TellTask(told, "created", task, sc::TaskCreated());
  HearAll(told);
  EXPECT_EQ(Lines(List(Admin(), OfContact(contact.id()))),
            (std::vector<std::string>{"task TASK OPEN", "message MESSAGE SENT", "deal CREATED"}))
      << "the task is on the contact's timeline too: its deal is the contact's";
  EXPECT_EQ(GetContact(contact.id()).next_task_id(), task.id());
  EXPECT_EQ(GetContact(contact.id()).next_task_title(), "Call back");

  letter.set_status(ms::MESSAGE_STATUS_BOUNCED);
  TellMessage(told, "bounced", letter, ms::MessageBounced());
  Hear(told.back());
  task.set_status(sc::TASK_STATUS_DONE);
  task.set_result("Wants two");
  *task.mutable_complete_time() = ToTimestamp(now_ + absl::Hours(1));
  TellTask(told, "completed", task, sc::TaskCompleted());
  Hear(told.back());
  auto page = List(Admin(), OfDeal(deal.id()));
  EXPECT_EQ(Lines(page), (std::vector<std::string>{"task TASK DONE", "message MESSAGE BOUNCED", "deal CREATED"}));
  EXPECT_EQ(page.activities(0).snippet(), "Wants two");
  EXPECT_EQ(page.activities(0).record_id(), task.id());
  EXPECT_EQ(page.activities(0).author_id(), actor_);
  EXPECT_EQ(page.activities(1).title(), "Offer");
  EXPECT_EQ(page.activities(1).snippet(), "Dear all");
  EXPECT_EQ(page.activities(1).direction(), v1::ACTIVITY_DIRECTION_OUTBOUND);
  const v1::Contact after = GetContact(contact.id());
  EXPECT_TRUE(after.next_task_id().empty());
  EXPECT_EQ(after.last_touch_kind(), type::v1::TOUCH_KIND_CALL);
  EXPECT_EQ(FromTimestamp(after.last_touch_time()), FromTimestamp(task.complete_time()));
  EXPECT_EQ(after.etag(), "1") << "what cards show is no change of the record";
}

// A deal's life, seen through filters and pages.
TEST_F(TimelineTest, IsFilteredByKindAndPaged) {
  const v1::Contact contact = MakeContact("Boris", actor_);
  Told told;
  dp::Deal deal = NewDeal(actor_, contact.id());
  TellDeal(told, "created", deal, dp::DealCreated());
  const std::string heir = NewId("user", absl::Now());
  deal.set_owner_id(heir);
  TellDeal(told, "updated", deal, dp::DealUpdated(), {"owner_id", "team_id"});
  deal.set_title("More boxes");
  TellDeal(told, "updated", deal, dp::DealUpdated(), {"title"});
  TellDeal(told, "updated", deal, dp::DealUpdated());  // nothing changed: no entry
  dp::DealMoved moved;
  moved.set_from_stage_id(stage_);
  deal.set_stage_id(second_stage_);
  TellDeal(told, "moved", deal, moved);
  deal.set_status(dp::DEAL_STATUS_LOST);
  deal.set_lost_reason("Too dear");
  moved.set_from_stage_id(second_stage_);
  TellDeal(told, "moved", deal, moved);
  HearAll(told);
  HearAll(told);

  auto request = OfDeal(deal.id());
  auto page = List(Admin(), request);
  EXPECT_EQ(Lines(page),
            (std::vector<std::string>{"deal LOST", "deal MOVED", "deal CHANGED", "deal HANDED_OVER", "deal CREATED"}));
  EXPECT_EQ(page.activities(0).snippet(), "Too dear");
  EXPECT_EQ(page.activities(1).from_stage_id(), stage_);
  EXPECT_EQ(page.activities(1).to_stage_id(), second_stage_);
  EXPECT_EQ(page.activities(2).changed_fields(0), "title");
  EXPECT_EQ(page.activities(3).from_owner_id(), actor_);
  EXPECT_EQ(page.activities(3).to_owner_id(), heir);
  request.add_kinds(v1::ACTIVITY_KIND_MOVED);
  request.add_kinds(v1::ACTIVITY_KIND_LOST);
  request.set_page_size(1);
  request.set_count(type::v1::COUNT_EXACT);
  page = List(Admin(), request);
  EXPECT_EQ(Lines(page), std::vector<std::string>{"deal LOST"});
  EXPECT_EQ(page.total_size(), 2);
  request.set_page_token(page.next_page_token());
  page = List(Admin(), request);
  EXPECT_EQ(Lines(page), std::vector<std::string>{"deal MOVED"});
  EXPECT_TRUE(page.next_page_token().empty());
  request.Clear();
  request.set_author_id(actor_);
  request.set_filter("state = ACTIVITY_STATE_UNSPECIFIED AND time > 2026-01-01");
  EXPECT_EQ(List(Admin(), request).activities_size(), 5);
  request.set_author_id(heir);
  EXPECT_EQ(List(Admin(), request).activities_size(), 0);
}

// What came in before anybody knew whose it was.
TEST_F(TimelineTest, ALeadsEntriesFollowItToItsContactAndDeal) {
  Told told;
  dp::Lead lead;
  lead.set_id(NewId("lead", absl::Now()));
  lead.set_title("Question");
  lead.set_message("How much?");
  lead.set_status(dp::LEAD_STATUS_NEW);
  lead.set_owner_id(actor_);
  dp::LeadCreated created;
  *created.mutable_lead() = lead;
  Tell(told, "deal_pipeline", "lead.created", lead.id(), 1, created);
  sc::Task task = NewTask("Ring them");
  task.set_lead_id(lead.id());
  TellTask(told, "created", task, sc::TaskCreated());
  HearAll(told);
  v1::ListActivitiesRequest of_lead;
  of_lead.set_lead_id(lead.id());
  EXPECT_EQ(Lines(List(Admin(), of_lead)), (std::vector<std::string>{"task TASK OPEN", "lead CREATED"}));

  const v1::Contact contact = MakeContact("Clara", actor_);
  dp::Deal deal = NewDeal(actor_, contact.id());
  deal.set_lead_id(lead.id());
  lead.set_status(dp::LEAD_STATUS_ACCEPTED);
  lead.set_contact_id(contact.id());
  lead.set_deal_id(deal.id());
  dp::LeadAccepted accepted;
  *accepted.mutable_lead() = lead;
  Told later;
  Tell(later, "deal_pipeline", "lead.accepted", lead.id(), 2, accepted);
  TellDeal(later, "created", deal, dp::DealCreated());
  HearAll(later);
  const std::vector<std::string> all = {"deal CREATED", "lead LEAD_ACCEPTED", "task TASK OPEN", "lead CREATED"};
  EXPECT_EQ(Lines(List(Admin(), of_lead)), all);
  EXPECT_EQ(Lines(List(Admin(), OfContact(contact.id()))), all);
  EXPECT_EQ(Lines(List(Admin(), OfDeal(deal.id()))), all);
  EXPECT_EQ(GetContact(contact.id()).next_task_title(), "Ring them");
}

// Producers are heard side by side: every order among them ends in the same rows, and so does hearing all twice.
TEST_F(TimelineTest, AnyOrderAmongProducersEndsInTheSameRows) {
  auto random = SeededRandom();
  const v1::Contact first = MakeContact("Dora", actor_), second = MakeContact("Emil", actor_);
  // One life, told to several tenants in different orders. Ids and times are the same everywhere.
  std::map<std::string, Told> told;
  std::vector<dp::Deal> deals;
  std::vector<sc::Task> tasks;
  std::vector<ms::Message> letters;
  const std::string conversations[] = {NewId("conversation", absl::Now()), NewId("conversation", absl::Now())};
  const auto any = [&](int n) { return static_cast<int>(random() % n); };
  for (int step = 0; step < 120; ++step) {
    switch (any(8)) {
      case 0: {
        dp::Deal deal = NewDeal(actor_, any(3) == 0 ? "" : any(2) == 0 ? first.id() : second.id());
        TellDeal(told["deal_pipeline"], "created", deal, dp::DealCreated());
        deals.push_back(deal);
        break;
      }
      case 1: {
        if (deals.empty()) break;
        dp::Deal& deal = deals[any(deals.size())];
        if (deal.contact_id().empty()) deal.set_contact_id(first.id());
        TellDeal(told["deal_pipeline"], "updated", deal, dp::DealUpdated(), {"contact_id"});
        break;
      }
      case 2:
      case 3: {
        sc::Task task = NewTask(absl::StrCat("Task ", step));
        if (any(2) == 0) *task.mutable_due_time() = ToTimestamp(now_ + absl::Hours(any(200)));
        if (!deals.empty() && any(2) == 0) {
          task.set_deal_id(deals[any(deals.size())].id());
        } else {
          task.set_contact_id(any(2) == 0 ? first.id() : second.id());
        }
        TellTask(told["scheduler"], "created", task, sc::TaskCreated());
        tasks.push_back(task);
        break;
      }
      case 4: {
        if (tasks.empty()) break;
        sc::Task& task = tasks[any(tasks.size())];
        const int what = any(3);
        if (what == 0) {
          task.set_status(sc::TASK_STATUS_DONE);
          *task.mutable_complete_time() = ToTimestamp(now_);
          TellTask(told["scheduler"], "completed", task, sc::TaskCompleted());
        } else if (what == 1) {
          task.set_status(sc::TASK_STATUS_OPEN);
          task.clear_complete_time();
          TellTask(told["scheduler"], "reopened", task, sc::TaskReopened());
        } else {
          if (task.deal_id().empty()) task.set_contact_id(any(2) == 0 ? first.id() : second.id());
          TellTask(told["scheduler"], "updated", task, sc::TaskUpdated());
        }
        break;
      }
      case 5:
      case 6: {
        const int side = any(2);
        ms::Message letter = NewMessage(conversations[side], absl::StrCat("Letter ", step), any(2) == 0);
        letter.set_contact_id(side == 0 ? first.id() : second.id());
        if (letter.direction() == ms::MESSAGE_DIRECTION_INBOUND) {
          TellMessage(told["messaging"], "received", letter, ms::MessageReceived());
        } else {
          TellMessage(told["messaging"], "queued", letter, ms::MessageQueued());
          letters.push_back(letter);
        }
        break;
      }
      case 7: {
        if (letters.empty()) break;
        ms::Message& letter = letters[any(letters.size())];
        letter.set_status(ms::MESSAGE_STATUS_SENT);
        *letter.mutable_send_time() = ToTimestamp(now_);
        TellMessage(told["messaging"], "sent", letter, ms::MessageSent());
        break;
      }
    }
  }

  const auto rows = [&](const Uuid& tenant) {
    std::vector<std::string> all;
    for (const char* table :
         {"activity", "linked_record", "task_mark", "unread_message", "conversation_mark", "contact"}) {
      // What tells how often an entry was written, and what a task was about before, may differ.
      std::string columns = Servers::Get().Value(absl::StrCat(
          "SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'contact.", table,
          "'::regclass AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('tenant_id', 'revision', "
          "'prior_contact_id')"));
      for (const auto& row :
           Servers::Get().Sql(absl::StrCat("SELECT (", columns, ")::text FROM contact.", table, " WHERE tenant_id = '",
                                           tenant.ToString(), "' ORDER BY 1"))) {
        all.push_back(absl::StrCat(table, " ", row[0]));
      }
    }
    return all;
  };
  std::vector<std::string> expected;
  for (int round = 0; round < 4; ++round) {
    const Uuid tenant = round == 0 ? tenant_ : crm::testing::NewTenant();
    if (round > 0) {  // the same contacts, as they were made
      const std::string columns = Servers::Get().Value(
          "SELECT string_agg(attname, ', ') FROM pg_attribute WHERE attrelid = 'contact.contact'::regclass AND attnum "
          "> 0 "
          "AND NOT attisdropped AND attname <> 'tenant_id' AND attname NOT LIKE 'next_task%' AND attname NOT LIKE "
          "'last_touch%' AND attname <> 'unread_count'");
      Servers::Get().Sql(absl::StrCat("INSERT INTO contact.contact (tenant_id, ", columns, ") SELECT '",
                                      tenant.ToString(), "', ", columns, " FROM contact.contact WHERE tenant_id = '",
                                      tenant_.ToString(), "'"));
    }
    // Each producer's events in their order, the producers mixed; some events twice.
    std::map<std::string, size_t> next;
    const auto left = [&] {
      std::vector<std::string> names;
      for (const auto& [name, all] : told) {
        if (next[name] < all.size()) names.push_back(name);
      }
      return names;
    };
    for (auto names = left(); !names.empty(); names = left()) {
      const std::string name = round == 0 ? names.front() : names[any(names.size())];
      events::v1::Event event = told[name][next[name]];
      event.set_tenant_id(TypeId("tenant", tenant));
      Hear(event);
      if (round == 3 && any(3) == 0) Hear(event);
      if (round == 3 && next[name] > 3 && any(5) == 0) {
        events::v1::Event again = told[name][next[name] - any(4)];
        again.set_tenant_id(TypeId("tenant", tenant));
        Hear(again);
      }
      ++next[name];
    }
    const auto living = rows(tenant);
    if (round == 0) {
      expected = living;
      EXPECT_GT(expected.size(), 50u);
    } else {
      ASSERT_EQ(living.size(), expected.size()) << "round " << round;
      for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(living[i], expected[i]) << "round " << round;
    }
  }
  // ... and the card equals the simplest recount.
  for (const auto& contact : {first, second}) {
    const sc::Task* due = nullptr;
    for (const auto& task : tasks) {
      std::string of = task.contact_id();
      for (const auto& deal : deals) {
        if (of.empty() && deal.id() == task.deal_id()) of = deal.contact_id();
      }
      if (of != contact.id() || !IsOpen(task)) continue;
      const auto key = [](const sc::Task& t) {
        return std::make_pair(t.has_due_time() ? FromTimestamp(t.due_time()) : absl::InfiniteFuture(), t.id());
      };
      if (due == nullptr || key(task) < key(*due)) due = &task;
    }
    EXPECT_EQ(GetContact(contact.id()).next_task_id(), due == nullptr ? "" : due->id());
  }
}

TEST_F(TimelineTest, EntriesAreSeenAsTheOwnerOfTheirCardSeesThem) {
  const std::string anna = NewId("user", absl::Now()), boris = NewId("user", absl::Now());
  const std::string team = NewId("team", absl::Now());
  const v1::Contact contact = MakeContact("Shared", boris);
  Told told;
  dp::Deal hers = NewDeal(anna, contact.id()), his = NewDeal(boris, contact.id());
  hers.set_team_id(team);
  TellDeal(told, "created", hers, dp::DealCreated());
  TellDeal(told, "created", his, dp::DealCreated());
  sc::Task task = NewTask("On his deal");
  task.set_owner_id(anna);
  task.set_deal_id(his.id());
  TellTask(told, "created", task, sc::TaskCreated());
  ms::Message letter = NewMessage(NewId("conversation", absl::Now()), "To the contact", true);
  letter.set_contact_id(contact.id());
  TellMessage(told, "received", letter, ms::MessageReceived());
  HearAll(told);

  using type::v1::SCOPE_ALL;
  using type::v1::SCOPE_OWN;
  using type::v1::SCOPE_TEAM;
  struct Case {
    const char* who;
    Call call;
    std::vector<std::string> sees;  // of the contact's timeline
  };
  const std::vector<Case> cases = {
      {"all",
       Reader(anna, {{"contact", SCOPE_ALL}, {"deal", SCOPE_ALL}, {"task", SCOPE_ALL}, {"message", SCOPE_ALL}}),
       {"message MESSAGE RECEIVED", "task TASK OPEN", "deal CREATED", "deal CREATED"}},
      {"own deals",
       Reader(anna, {{"contact", SCOPE_ALL}, {"deal", SCOPE_OWN}, {"task", SCOPE_ALL}, {"message", SCOPE_ALL}}),
       {"message MESSAGE RECEIVED", "deal CREATED"}},
      {"all own",
       Reader(boris, {{"contact", SCOPE_OWN}, {"deal", SCOPE_OWN}, {"task", SCOPE_OWN}, {"message", SCOPE_OWN}}),
       {"message MESSAGE RECEIVED", "task TASK OPEN", "deal CREATED"}},
      {"no tasks",
       Reader(boris, {{"contact", SCOPE_OWN}, {"deal", SCOPE_OWN}, {"message", SCOPE_OWN}}),
       {"message MESSAGE RECEIVED", "deal CREATED"}},
      {"the team's deals",
       Reader(boris, {{"contact", SCOPE_OWN}, {"deal", SCOPE_TEAM}}, {team}),
       {"deal CREATED", "deal CREATED"}},
      {"own letters on all contacts", Reader(anna, {{"contact", SCOPE_ALL}, {"message", SCOPE_OWN}}), {}},
      {"a stranger",
       Reader(NewId("user", absl::Now()), {{"contact", SCOPE_OWN}, {"deal", SCOPE_TEAM}, {"message", SCOPE_ALL}}),
       {}},
      {"nothing", Reader(anna, {}), {}},
  };
  for (const auto& c : cases) {
    auto lines = Lines(List(c.call, OfContact(contact.id())));
    std::sort(lines.begin(), lines.end());
    auto expected = c.sees;
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(lines, expected) << c.who;
    // The whole feed tells no more.
    EXPECT_EQ(List(c.call, {}).activities_size(), static_cast<int>(c.sees.size())) << c.who;
  }
  // The deal goes to Anna, with all that was on it and its authors.
  Told later;
  his.set_owner_id(anna);
  TellDeal(later, "updated", his, dp::DealUpdated(), {"owner_id"});
  HearAll(later);
  const Call her = Reader(anna, {{"deal", SCOPE_OWN}, {"task", SCOPE_OWN}});
  const auto page = List(her, OfDeal(his.id()));
  EXPECT_EQ(Lines(page), (std::vector<std::string>{"deal HANDED_OVER", "task TASK OPEN", "deal CREATED"}));
  EXPECT_EQ(page.activities(2).author_id(), actor_);
  EXPECT_TRUE(Lines(List(Reader(boris, {{"deal", SCOPE_OWN}, {"task", SCOPE_OWN}}), OfDeal(his.id()))).empty());
}

TEST_F(TimelineTest, UnreadLettersAreCountedUntilTheyAreAnswered) {
  const v1::Contact contact = MakeContact("Fanny", actor_), other = MakeContact("Gerd", actor_);
  const std::string conversation = NewId("conversation", absl::Now());
  Told told;
  for (int i = 0; i < 3; ++i) {
    ms::Message letter = NewMessage(conversation, "Hello", true);
    letter.set_contact_id(contact.id());
    TellMessage(told, "received", letter, ms::MessageReceived());
  }
  HearAll(told);
  HearAll(told);
  EXPECT_EQ(GetContact(contact.id()).unread_count(), 3);
  EXPECT_EQ(GetContact(contact.id()).last_touch_direction(), type::v1::TOUCH_DIRECTION_INBOUND);
  // The conversation turns out to be another contact's.
  ms::ConversationUpdated moved;
  moved.mutable_conversation()->set_id(conversation);
  moved.mutable_conversation()->set_contact_id(other.id());
  Tell(told, "messaging", "conversation.updated", conversation, 2, moved, {"contact_id"});
  Hear(told.back());
  EXPECT_EQ(GetContact(contact.id()).unread_count(), 0);
  EXPECT_EQ(GetContact(other.id()).unread_count(), 3);
  EXPECT_EQ(List(Admin(), OfContact(other.id())).activities_size(), 3) << "the letters follow the conversation";
  ms::Message answer = NewMessage(conversation, "Re: Hello", false);
  answer.set_contact_id(other.id());
  answer.set_status(ms::MESSAGE_STATUS_SENT);
  *answer.mutable_send_time() = ToTimestamp(now_);
  TellMessage(told, "sent", answer, ms::MessageSent());
  Hear(told.back());
  EXPECT_EQ(GetContact(other.id()).unread_count(), 0);
  // ... or read by their owner.
  ms::Message more = NewMessage(conversation, "And?", true);
  more.set_contact_id(other.id());
  TellMessage(told, "received", more, ms::MessageReceived());
  Hear(told.back());
  EXPECT_EQ(GetContact(other.id()).unread_count(), 1);
  ms::ConversationRead read;
  *read.mutable_conversation() = moved.conversation();
  read.mutable_conversation()->set_owner_id(actor_);
  *read.mutable_conversation()->mutable_last_inbound_time() = more.create_time();
  read.set_whole(true);
  read.set_user_id(NewId("user", absl::Now()));
  Tell(told, "messaging", "conversation.read", conversation, 2, read);
  Hear(told.back());
  EXPECT_EQ(GetContact(other.id()).unread_count(), 1) << "a colleague has looked into it";
  read.set_user_id(actor_);
  Tell(told, "messaging", "conversation.read", conversation, 2, read);
  Hear(told.back());
  EXPECT_EQ(GetContact(other.id()).unread_count(), 0);
  for (int i = 0; i < 3; ++i) Hear(told[i]);
  EXPECT_EQ(GetContact(contact.id()).unread_count(), 0) << "what is heard again has been answered";
}

TEST_F(TimelineTest, NotesAreReadWithTheirCardAndChangedByTheirAuthor) {
  const std::string anna = NewId("user", absl::Now()), boris = NewId("user", absl::Now());
  const v1::Contact contact = MakeContact("Hugo", boris);
  Told told;
  dp::Deal deal = NewDeal(anna, contact.id());
  TellDeal(told, "created", deal, dp::DealCreated());
  HearAll(told);
  const auto may = [&](const std::string& user, type::v1::Scope deals) {
    Call call = Reader(user, {{"contact", type::v1::SCOPE_OWN}, {"deal", deals}, {"note", type::v1::SCOPE_ALL}});
    auto rights = std::make_shared<Rights>(*call.principal.rights);
    for (auto action : {type::v1::ACTION_CREATE, type::v1::ACTION_UPDATE, type::v1::ACTION_DELETE}) {
      rights->Grant("note", action, type::v1::SCOPE_OWN);
    }
    call.principal.rights = rights;
    return call;
  };
  const auto create = [&](Call call, const std::string& on) {
    v1::CreateNoteRequest request;
    request.mutable_note()->set_record_id(on);
    request.mutable_note()->set_text("Likes   tea");
    return loop_.Run(notes_->CreateNote(call, request));
  };
  EXPECT_TRUE(absl::IsNotFound(create(may(boris, type::v1::SCOPE_OWN), deal.id()).status())) << "the deal is Anna's";
  EXPECT_TRUE(absl::IsNotFound(create(may(boris, type::v1::SCOPE_OWN), NewId("deal", absl::Now())).status()));
  auto note = create(may(boris, type::v1::SCOPE_ALL), deal.id());
  ASSERT_TRUE(note.ok()) << note.status();
  EXPECT_EQ(note->author_id(), boris);
  EXPECT_EQ(note->deal_id(), deal.id());

  const auto update = [&](Call call) {
    v1::UpdateNoteRequest request;
    request.mutable_note()->set_id(note->id());
    request.mutable_note()->set_pinned(true);
    request.mutable_update_mask()->add_paths("pinned");
    return loop_.Run(notes_->UpdateNote(call, request));
  };
  EXPECT_TRUE(absl::IsPermissionDenied(update(may(anna, type::v1::SCOPE_OWN)).status()))
      << "hers is the deal, not the note";
  EXPECT_TRUE(absl::IsNotFound(update(may(boris, type::v1::SCOPE_OWN)).status()));
  auto pinned = update(may(boris, type::v1::SCOPE_ALL));
  ASSERT_TRUE(pinned.ok()) << pinned.status();
  EXPECT_TRUE(pinned->pinned());
  const auto list = [&](Call call, const std::string& on) {
    v1::ListNotesRequest request;
    request.set_record_id(on);
    auto page = loop_.Run(notes_->ListNotes(call, request));
    EXPECT_TRUE(page.ok()) << page.status();
    return page.ok() ? page->notes_size() : -1;
  };
  EXPECT_EQ(list(may(anna, type::v1::SCOPE_OWN), deal.id()), 1);
  EXPECT_EQ(list(may(boris, type::v1::SCOPE_OWN), deal.id()), 0);
  EXPECT_EQ(list(may(anna, type::v1::SCOPE_OWN), ""), 1);

  // What the service tells itself of it, from its own outbox.
  const auto events = [&] {
    std::vector<std::string> found;
    for (const auto& row :
         Servers::Get().Sql(absl::StrCat("SELECT encode(event, 'hex') FROM contact.outbox WHERE tenant_id = '",
                                         tenant_.ToString(), "' AND record_id = '", note->id(), "' ORDER BY id"))) {
      found.push_back(absl::HexStringToBytes(row[0]));
    }
    return found;
  };
  const auto hear = [&] {
    uint64_t seq = 1000;
    for (const auto& bytes : events()) {
      events::v1::Event event;
      ASSERT_TRUE(event.ParseFromString(bytes));
      EXPECT_EQ(event.owner_id(), anna) << "the card's owner decides who hears of it";
      EXPECT_EQ(event.read_objects_size(), 2);
      event.set_seq(++seq);
      Hear(event);
    }
  };
  hear();
  auto page = List(Admin(), OfContact(contact.id()));
  EXPECT_EQ(Lines(page), (std::vector<std::string>{"note NOTE", "deal CREATED"}));
  EXPECT_TRUE(page.activities(0).pinned());
  EXPECT_EQ(page.activities(0).snippet(), "Likes tea");
  v1::DeleteNoteRequest gone;
  gone.set_id(note->id());
  Call his = may(boris, type::v1::SCOPE_ALL);
  ASSERT_TRUE(loop_.Run(notes_->DeleteNote(his, gone)).ok());
  hear();
  page = List(Admin(), OfContact(contact.id()));
  EXPECT_EQ(Lines(page), (std::vector<std::string>{"note NOTE DELETED", "deal CREATED"}));
  EXPECT_EQ(page.activities(0).snippet(), "");
  EXPECT_EQ(list(may(anna, type::v1::SCOPE_OWN), deal.id()), 0);
  v1::UndeleteNoteRequest back;
  back.set_id(note->id());
  his = may(boris, type::v1::SCOPE_ALL);
  ASSERT_TRUE(loop_.Run(notes_->UndeleteNote(his, back)).ok());
  EXPECT_EQ(list(may(anna, type::v1::SCOPE_OWN), deal.id()), 1);
}

// A page of one card costs a page, whoever reads it and however many entries the tenant and the card have.
TEST_F(TimelineTest, APageOfOneCardReadsOnlyThatCard) {
  const v1::Contact big = MakeContact("Big", actor_), small = MakeContact("Small", actor_);
  const std::string me = NewId("user", absl::Now());
  const auto uuid = [](const std::string& id) { return ParseId(id)->uuid.ToString(); };
  // 30,000 entries of one contact, of deals of a thousand owners; 200 of another; and of others as many.
  Servers::Get().Sql(
      absl::StrCat("INSERT INTO contact.linked_record SELECT '", tenant_.ToString(),
                   "', ('00000000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, "
                   "'deal', 1, 'D', CASE WHEN i % 1000 = 7 THEN '",
                   uuid(me), "'::uuid ELSE gen_random_uuid() END, NULL, '", uuid(big.id()),
                   "', NULL, NULL, NULL, NULL, true, NULL, '', now(), false FROM generate_series(1, 1000) i"));
  Servers::Get().Sql(
      absl::StrCat("INSERT INTO contact.activity (tenant_id, id, revision, kind, object, record_id, time, update_time, "
                   "author_id, contact_id, deal_id, "
                   "title, snippet, direction, state, changed_fields, pinned, source, source_seq) SELECT '",
                   tenant_.ToString(),
                   "', gen_random_uuid(), 1, 2, 'deal', 'x', now() - i * interval '1 minute', now(), NULL, CASE WHEN i "
                   "<= 30000 THEN '",
                   uuid(big.id()), "'::uuid WHEN i <= 30200 THEN '", uuid(small.id()),
                   "'::uuid ELSE gen_random_uuid() END, ('00000000-0000-7000-8000-' || lpad(to_hex(1 + i % 1000), 12, "
                   "'0'))::uuid, '', '', 0, 0, '{}', "
                   "false, 'deal_pipeline', i FROM generate_series(1, 60000) i"));
  Servers::Get().Sql("ANALYZE contact.activity");
  Servers::Get().Sql("ANALYZE contact.linked_record");
  for (const auto& contact : {big, small}) {
    for (const auto scope : {type::v1::SCOPE_ALL, type::v1::SCOPE_OWN}) {
      const Call call = Reader(me, {{"contact", scope}, {"deal", scope}});
      pg::ListArgs args;
      args.filter = absl::StrCat("contact_id = \"", contact.id(), "\"");
      args.default_order = "time desc";
      const pg::Fragment visible = Visible(call, "t.object");
      args.where = visible.sql;
      args.where_params = visible.params;
      auto query = tables_.activities.PageQuery(call, args);
      ASSERT_TRUE(query.ok()) << query.status();
      pg::Batch batch(call);
      batch.AddDynamic(std::make_shared<pg::Statement>(
                           pg::Statement{"test.explain", "EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) " + query->sql}),
                       query->params);
      pg::Db::ReadOptions options;
      options.work = pg::Work::kList;
      options.force_custom_plan = true;
      auto plan = loop_.Run(db_->Read(call, std::move(batch), options));
      ASSERT_TRUE(plan.ok()) << plan.status();
      std::string text;
      for (int i = 0; i < (*plan)[0].size(); ++i) absl::StrAppend(&text, (*plan)[0].Text(i, 0), "\n");
      std::cout << contact.display_name() << ", " << type::v1::Scope_Name(scope) << ": "
                << (*plan)[0].Text((*plan)[0].size() - 1, 0) << std::endl;
      EXPECT_NE(text.find("activity_contact"), std::string::npos) << text;
      for (const char* large : {"Seq Scan on activity", "Seq Scan on linked_record"}) {
        EXPECT_EQ(text.find(large), std::string::npos) << text;
      }
      EXPECT_EQ(text.find("hashed"), std::string::npos) << "the cards of all entries\n" << text;
      const size_t page = text.find("Index Scan Backward using activity_contact");
      EXPECT_NE(page, std::string::npos) << "the index has the order\n" << text;
    }
  }
  v1::ListActivitiesRequest request = OfContact(big.id());
  const auto page = List(Reader(me, {{"contact", type::v1::SCOPE_ALL}, {"deal", type::v1::SCOPE_OWN}}), request);
  EXPECT_EQ(page.activities_size(), 30) << "of 30,000 those of the one deal that is the reader's";
}

TEST_F(TimelineTest, ACardHasAllThatAScreenShows) {
  const std::string boris = NewId("user", absl::Now());
  v1::Contact contact;
  {
    Call call = Admin();
    call.country_code = "DE";
    v1::CreateContactRequest request;
    request.mutable_contact()->set_given_name("Klara");
    request.mutable_contact()->add_phones()->set_number("030 0074321");
    auto made = loop_.Run(contacts_->CreateContact(call, request));
    ASSERT_TRUE(made.ok()) << made.status();
    contact = *made;
  }
  Told told;
  for (int i = 0; i < 12; ++i) {
    now_ += absl::Hours(1);
    dp::Deal deal = NewDeal(i % 2 == 0 ? actor_ : boris, contact.id());
    deal.set_title(absl::StrCat("Deal ", i));
    deal.mutable_amount()->set_amount(i % 3 == 0 ? "100.10" : "200");
    deal.mutable_amount()->set_currency_code(i % 3 == 0 ? "EUR" : "USD");
    if (i == 11) deal.clear_amount();
    TellDeal(told, "created", deal, dp::DealCreated());
    if (i == 10) {
      deal.set_status(dp::DEAL_STATUS_WON);
      TellDeal(told, "moved", deal, dp::DealMoved());
    }
  }
  sc::Task late = NewTask("Later"), soon = NewTask("Soon");
  late.set_contact_id(contact.id());
  soon.set_contact_id(contact.id());
  *soon.mutable_due_time() = ToTimestamp(now_);
  TellTask(told, "created", late, sc::TaskCreated());
  TellTask(told, "created", soon, sc::TaskCreated());
  HearAll(told);
  CardService cards(*db_, tables_);
  const auto card = [&](Call call) {
    v1::GetContactCardRequest request;
    request.set_id(contact.id());
    auto got = loop_.Run(cards.GetContactCard(call, request));
    EXPECT_TRUE(got.ok()) << got.status();
    return got.ok() ? *got : v1::ContactCard();
  };
  const auto full = card(Admin());
  EXPECT_EQ(full.contact().next_task_title(), "Soon");
  EXPECT_EQ(full.open_deal_count(), 11);
  ASSERT_EQ(full.open_deals_size(), 10);
  EXPECT_EQ(full.open_deals(0).title(), "Deal 11");
  EXPECT_FALSE(full.open_deals(0).has_amount());
  ASSERT_EQ(full.open_deal_sums_size(), 2);
  EXPECT_EQ(full.open_deal_sums(0).amount(), "400.40");
  EXPECT_EQ(full.open_deal_sums(1).amount(), "1200.00");
  ASSERT_EQ(full.open_tasks_size(), 2);
  EXPECT_EQ(full.open_tasks(1).title(), "Later");
  EXPECT_EQ(full.activities_size(), 10);

  using type::v1::SCOPE_ALL;
  using type::v1::SCOPE_OWN;
  const auto his = card(Reader(boris, {{"contact", SCOPE_ALL}, {"deal", SCOPE_OWN}, {"task", SCOPE_OWN}}));
  EXPECT_EQ(his.open_deal_count(), 6) << "only what is his";
  EXPECT_EQ(his.open_tasks_size(), 0);
  EXPECT_EQ(his.contact().next_task_title(), "");
  for (const auto& activity : his.activities()) EXPECT_EQ(activity.object(), "deal");

  const auto lookup = [&](Call call, const std::string& phone) {
    call.country_code = "DE";
    v1::LookupCardRequest request;
    request.set_phone(phone);
    auto got = loop_.Run(cards.LookupCard(call, request));
    EXPECT_TRUE(got.ok()) << got.status();
    return got.ok() ? *got : v1::LookupCardResponse();
  };
  const auto rings = lookup(Admin(), "+49 30 0074321");
  EXPECT_EQ(rings.card().contact().id(), contact.id());
  EXPECT_EQ(rings.route_to_id(), boris) << "the newest open deal is his";
  EXPECT_EQ(rings.route_reason(), v1::ROUTE_REASON_OPEN_DEAL);
  const auto without_deals = lookup(Reader(boris, {{"contact", SCOPE_ALL}}), "030/0074321");
  EXPECT_EQ(without_deals.route_to_id(), actor_);
  EXPECT_EQ(without_deals.route_reason(), v1::ROUTE_REASON_CONTACT_OWNER);
  EXPECT_FALSE(lookup(Admin(), "+49 30 999999").has_card());
}

// Cards' fields obey the right to what they tell of.
TEST_F(TimelineTest, WhatCardsShowNeedsTheRightToIt) {
  const v1::Contact contact = MakeContact("Ida", actor_);
  Told told;
  sc::Task task = NewTask("Secret");
  task.set_contact_id(contact.id());
  *task.mutable_due_time() = ToTimestamp(now_);
  TellTask(told, "created", task, sc::TaskCreated());
  HearAll(told);
  using type::v1::SCOPE_ALL;
  using type::v1::SCOPE_OWN;
  const auto get = [&](Call call) {
    v1::GetContactRequest request;
    request.set_id(contact.id());
    auto got = loop_.Run(contacts_->GetContact(call, request));
    EXPECT_TRUE(got.ok()) << got.status();
    return *got;
  };
  const std::string stranger = NewId("user", absl::Now());
  EXPECT_EQ(get(Reader(stranger, {{"contact", SCOPE_ALL}, {"task", SCOPE_ALL}})).next_task_title(), "Secret");
  EXPECT_EQ(get(Reader(actor_, {{"contact", SCOPE_ALL}, {"task", SCOPE_OWN}})).next_task_title(), "Secret");
  const auto hidden = get(Reader(stranger, {{"contact", SCOPE_ALL}, {"task", SCOPE_OWN}}));
  EXPECT_EQ(hidden.next_task_title(), "");
  EXPECT_FALSE(hidden.has_next_task_due_time());
  EXPECT_EQ(hidden.access().masked_size(), 8) << "all that may be hidden, so that nobody takes it for none";
  EXPECT_EQ(get(Reader(stranger, {{"contact", SCOPE_ALL}})).next_task_id(), "");

  const auto list = [&](Call call, const std::string& filter, const std::string& order) {
    v1::ListContactsRequest request;
    request.set_filter(filter);
    request.set_order_by(order);
    auto page = testing::Received(loop_.Run(contacts_->ListContacts(call, request)));
    return page.ok() ? absl::OkStatus() : page.status();
  };
  const Call all = Reader(stranger, {{"contact", SCOPE_ALL}, {"task", SCOPE_ALL}, {"message", SCOPE_OWN}});
  EXPECT_TRUE(list(all, "next_task_overdue = true", "").ok());
  EXPECT_TRUE(list(all, "next_task_id = null", "next_task_due_time").ok());
  EXPECT_TRUE(absl::IsPermissionDenied(list(all, "unread_count > 0", "")));
  EXPECT_TRUE(absl::IsPermissionDenied(list(all, "", "last_touch_time desc")));
  EXPECT_TRUE(
      list(Reader(stranger, {{"contact", SCOPE_OWN}, {"message", SCOPE_OWN}}), "", "last_touch_time desc").ok());
}

}  // namespace
}  // namespace crm::contact
