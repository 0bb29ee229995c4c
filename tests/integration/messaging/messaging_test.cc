// Messaging's handlers, sender and inbound letters on the real PostgreSQL, as the service's own roles. What takes all processes is
// in tests/flow/messaging_test.py.
#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <string>
#include <thread>
#include <vector>

#include "common/app/offload.h"
#include "common/base/error.h"
#include "services/messaging/inbound.h"
#include "services/messaging/jobs/jobs.h"
#include "services/messaging/service.h"
#include "services/messaging/store.h"
#include "tests/testing/run.h"
#include "tests/testing/servers.h"

namespace crm::messaging {
namespace {

using asio::ip::tcp;

// A mail server that takes every letter, and may be held before it answers the end of one. One connection at a time, on a thread
// of its own.
class SlowServer {
 public:
  SlowServer() : acceptor_(io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)), thread_([this] { Run(); }) {}
  ~SlowServer() {
    stop_ = true;
    Release();
    boost::system::error_code ignored;
    tcp::socket poke(io_);
    poke.connect(tcp::endpoint(asio::ip::address_v4::loopback(), port()), ignored);
    thread_.join();
  }
  uint16_t port() const { return acceptor_.local_endpoint().port(); }
  void Hold() { held_ = true; }
  void Release() { held_ = false; }
  int letters() const { return letters_; }

 private:
  void Run() {
    while (!stop_) {
      boost::system::error_code error;
      tcp::socket socket(io_);
      acceptor_.accept(socket, error);
      asio::streambuf buffer;
      const auto say = [&](const std::string& text) { asio::write(socket, asio::buffer(text + "\r\n"), error); };
      const auto line = [&](const char* end) {
        const size_t size = asio::read_until(socket, buffer, end, error);
        std::string text(asio::buffers_begin(buffer.data()),
                         asio::buffers_begin(buffer.data()) + static_cast<long>(size));
        buffer.consume(size);
        return text;
      };
      say("220 slow");
      while (!error && !stop_) {
        const std::string command = line("\r\n");
        if (error) break;
        if (command.rfind("DATA", 0) == 0) {
          say("354 go on");
          line("\r\n.\r\n");
          ++letters_;
          while (held_ && !stop_) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        say(command.rfind("QUIT", 0) == 0 ? "221 bye" : "250 ok");
      }
    }
  }

  asio::io_context io_;
  tcp::acceptor acceptor_;
  std::atomic<bool> held_{false}, stop_{false};
  std::atomic<int> letters_{0};
  std::thread thread_;
};

class MessagingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CRM_NEED_SERVERS("messaging");
    app_.settings.guard = *NetGuard::Make({"127.0.0.0/8"});
    app_.settings.retry = std::chrono::milliseconds(100);
    Call call = Admin();
    v1::CreateChannelRequest request;
    auto& channel = *request.mutable_channel();
    channel.set_name("Sales");
    channel.set_address("sales@" + tenant_.ToString() + ".example.com");
    channel.mutable_smtp()->set_host("127.0.0.1");
    channel.mutable_smtp()->set_port(server_.port());
    channel.mutable_smtp()->set_security(v1::SMTP_SECURITY_NONE);
    auto made = loop_.Run(channels_.CreateChannel(call, request));
    ASSERT_TRUE(made.ok()) << made.status();
    channel_ = *made;
  }
  void TearDown() override { Stop(); }

  Call Admin() const {
    Call call = crm::testing::TestCall(tenant_);
    call.principal.user_id = admin_;
    return call;
  }
  Call With(const std::string& user, type::v1::Scope scope) const {
    Call call = crm::testing::TestCall(tenant_);
    call.principal.user_id = user;
    auto rights = std::make_shared<Rights>();
    for (const char* object : {"conversation", "message"}) {
      for (auto action : {type::v1::ACTION_READ, type::v1::ACTION_CREATE, type::v1::ACTION_UPDATE})
        rights->Grant(object, action, scope);
    }
    rights->Grant("channel", type::v1::ACTION_READ, type::v1::SCOPE_ALL);
    call.principal.rights = rights;
    return call;
  }
  absl::StatusOr<v1::Message> Send(Call call, const std::string& to, const std::string& conversation_id = "") {
    v1::SendMessageRequest request;
    if (!to.empty()) request.add_recipients()->set_address(to);
    request.set_conversation_id(conversation_id);
    request.set_subject("Offer");
    request.set_text("Hello");
    return loop_.Run(messages_.SendMessage(call, request));
  }
  v1::Message Get(const std::string& id) {
    Call call = Admin();
    v1::GetMessageRequest request;
    request.set_id(id);
    auto got = loop_.Run(messages_.GetMessage(call, request));
    EXPECT_TRUE(got.ok()) << got.status();
    return got.ok() ? *got : v1::Message();
  }
  void Start(const std::string& holder) {
    sender_ = std::make_unique<Sender>(app_, holder);
    ended_ = false;
    asio::co_spawn(
        loop_.context(), sender_->Run(app_.own_call(Uuid())),
        asio::bind_cancellation_slot(cancel_.slot(), [this](std::exception_ptr, absl::Status) { ended_ = true; }));
  }
  void Stop() {
    if (!sender_) return;
    cancel_.emit(asio::cancellation_type::terminal);
    loop_.Until([&] { return ended_; });
    sender_.reset();
  }
  void UntilStatus(const std::string& id, v1::MessageStatus status) {
    loop_.Until([&] { return Get(id).status() == status; });
  }
  std::string Value(const std::string& sql) { return crm::testing::Servers::Get().Value(sql); }

  SlowServer server_;
  crm::testing::Loop loop_;
  app::OffloadPool pool_{4};
  pg::Db db_{crm::testing::Servers::Get().Db("messaging"), {loop_.executor()}};
  pg::Db worker_{crm::testing::Servers::Get().Db("messaging", "messaging_worker"), {loop_.executor()}};
  // These tests name no contact and no deal: nobody is asked.
  rpc::Client nobody_{rpc::ClientOptions{"127.0.0.1:1", "/dev/null", "/dev/null", "/dev/null"}};
  Messaging app_{db_,
                 worker_,
                 nobody_,
                 nobody_,
                 Settings(),
                 [this](std::function<void()> work) { return pool_.Run(std::move(work)); },
                 [](const Uuid& tenant) {
                   Call call = crm::testing::TestCall(tenant);
                   call.principal.kind = Principal::Kind::kService;
                   call.principal.user_id = "service_messaging";
                   call.token.clear();
                   return call;
                 }};
  ChannelService channels_{app_};
  ConversationService conversations_{app_};
  MessageService messages_{app_};
  SuppressionService suppressions_{app_};
  Inbound inbound_{app_};
  Uuid tenant_ = crm::testing::NewTenant();
  std::string admin_ = NewId("user", absl::Now());
  v1::Channel channel_;
  std::unique_ptr<Sender> sender_;
  asio::cancellation_signal cancel_;
  bool ended_ = true;
};

TEST_F(MessagingTest, WhoeverHoldsAnOldTokenRecordsNothing) {
  server_.Hold();
  auto letter = Send(Admin(), "ada@example.org");
  ASSERT_TRUE(letter.ok()) << letter.status();
  Start("first");
  loop_.Until([&] { return server_.letters() == 1; });
  EXPECT_EQ(Get(letter->id()).status(), v1::MESSAGE_STATUS_SENDING);
  // Its lease ran out, and someone else has the letter now.
  crm::testing::Servers::Get().Sql(
      "UPDATE messaging.send SET token = token + 1, holder = 'second', due_time = now() + interval '1 hour'");
  server_.Release();
  Stop();
  EXPECT_EQ(Get(letter->id()).status(), v1::MESSAGE_STATUS_SENDING);
  EXPECT_EQ(Value("SELECT count(*) FROM messaging.send WHERE holder = 'second' AND begun"), "1");
  EXPECT_EQ(Value("SELECT count(*) FROM messaging.outbox WHERE type = 'message.sent'"), "0");
  // The second one comes back from its death: what was begun may have arrived, and is repeated once.
  app_.settings.retry = std::chrono::milliseconds(10);
  Start("second");
  UntilStatus(letter->id(), v1::MESSAGE_STATUS_SENT);
  EXPECT_EQ(server_.letters(), 2);
  EXPECT_EQ(Get(letter->id()).attempt_count(), 2);
}

TEST_F(MessagingTest, ALetterUnderWayEndsBeforeTheSenderDoes) {
  server_.Hold();
  auto letter = Send(Admin(), "ada@example.org");
  ASSERT_TRUE(letter.ok());
  Start("first");
  loop_.Until([&] { return server_.letters() == 1; });
  std::thread release([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    server_.Release();
  });
  Stop();
  release.join();
  EXPECT_EQ(Get(letter->id()).status(), v1::MESSAGE_STATUS_SENT);
  EXPECT_EQ(Value("SELECT count(*) FROM messaging.send WHERE tenant_id = '" + tenant_.ToString() + "'"), "0");
}

TEST_F(MessagingTest, OfOneTenantFourLettersAreUnderWayHoweverManyWait) {
  server_.Hold();
  std::vector<std::string> ids;
  for (int i = 0; i < 40; ++i) {
    auto letter = Send(Admin(), "ada" + std::to_string(i) + "@example.org");
    ASSERT_TRUE(letter.ok()) << letter.status();
    ids.push_back(letter->id());
  }
  const std::string ours = "tenant_id = '" + tenant_.ToString() + "'";
  Start("first");
  loop_.Until([&] { return Value("SELECT count(*) FROM messaging.send WHERE begun AND " + ours) == "4"; });
  EXPECT_EQ(Value("SELECT count(*) FROM messaging.send WHERE holder <> '' AND " + ours), "4");
  server_.Release();
  for (const std::string& id : ids) UntilStatus(id, v1::MESSAGE_STATUS_SENT);
  Stop();
  EXPECT_EQ(server_.letters(), 40);
  EXPECT_EQ(Value("SELECT count(*) FROM messaging.message WHERE attempt_count > 1 AND " + ours), "0");
}

TEST_F(MessagingTest, TakingBackAndSendingMeetAtTheRow) {
  for (int i = 0; i < 5; ++i) {
    auto letter = Send(Admin(), "ada@example.org");
    ASSERT_TRUE(letter.ok());
    Start("first");
    Call call = Admin();
    v1::CancelMessageRequest cancel;
    cancel.set_id(letter->id());
    const int before = server_.letters();
    const auto cancelled = loop_.Run(messages_.CancelMessage(call, cancel));
    if (cancelled.ok()) {
      Stop();
      EXPECT_EQ(Get(letter->id()).status(), v1::MESSAGE_STATUS_CANCELLED);
      EXPECT_EQ(server_.letters(), before);
    } else {
      UntilStatus(letter->id(), v1::MESSAGE_STATUS_SENT);
      Stop();
    }
  }
}

TEST_F(MessagingTest, OneLetterDeliveredManyTimesAtOnceIsOne) {
  auto ours = Send(Admin(), "ada@example.org");
  ASSERT_TRUE(ours.ok());
  // The conversation knows who writes: nobody has to be asked.
  v1::Conversation conversation;
  {
    Call call = Admin();
    v1::UpdateConversationRequest update;
    update.mutable_conversation()->set_id(ours->conversation_id());
    update.mutable_conversation()->set_contact_id(NewId("contact", absl::Now()));
    update.mutable_update_mask()->add_paths("contact_id");
    auto changed = loop_.Run(conversations_.UpdateConversation(call, update));
    ASSERT_TRUE(changed.ok()) << changed.status();
    conversation = *changed;
  }
  v1::ParsedLetter letter;
  letter.mutable_message()->mutable_sender()->set_address("ada@example.org");
  letter.mutable_message()->set_text("Yes");
  letter.mutable_message()->set_internet_message_id("answer@example.org");
  letter.mutable_message()->set_in_reply_to(ours->internet_message_id());
  auto box = loop_.Run(inbound_.Find("Sales+x@" + tenant_.ToString() + ".example.com"));
  ASSERT_TRUE(box.ok() && box->has_value());
  std::vector<asio::awaitable<absl::Status>> deliveries;
  for (int i = 0; i < 6; ++i) deliveries.push_back(inbound_.Deliver(**box, letter, "fingerprint", "ada@example.org"));
  for (const auto& status : loop_.RunAll(std::move(deliveries))) EXPECT_TRUE(status.ok()) << status;
  // Different answers at once all arrive.
  std::vector<v1::ParsedLetter> others(5, letter);
  deliveries.clear();
  for (size_t i = 0; i < others.size(); ++i) {
    others[i].mutable_message()->set_internet_message_id("other" + std::to_string(i) + "@example.org");
    deliveries.push_back(inbound_.Deliver(**box, others[i], "fingerprint", "ada@example.org"));
  }
  for (const auto& status : loop_.RunAll(std::move(deliveries))) EXPECT_TRUE(status.ok()) << status;
  Call call = Admin();
  v1::GetConversationRequest get;
  get.set_id(conversation.id());
  auto now = loop_.Run(conversations_.GetConversation(call, get));
  ASSERT_TRUE(now.ok());
  EXPECT_EQ(now->inbound_count(), 6);
  EXPECT_EQ(now->unread_count(), 6);
  EXPECT_EQ(now->message_count(), 7);
  EXPECT_TRUE(now->waiting());
  EXPECT_EQ(Value("SELECT count(*) FROM messaging.message WHERE direction = 1 AND conversation_id = '" +
                  UuidOf(conversation.id()).ToString() + "'"),
            "6");
  EXPECT_EQ(Value("SELECT count(*) FROM messaging.outbox WHERE type = 'message.received' AND tenant_id = '" +
                  tenant_.ToString() + "'"),
            "6");
}

TEST_F(MessagingTest, LettersFollowTheOwnerOfTheirConversation) {
  const std::string ada = NewId("user", absl::Now()), bob = NewId("user", absl::Now());
  auto letter = Send(With(ada, type::v1::SCOPE_OWN), "customer@example.org");
  ASSERT_TRUE(letter.ok()) << letter.status();
  v1::GetMessageRequest get;
  get.set_id(letter->id());
  Call as_bob = With(bob, type::v1::SCOPE_OWN);
  EXPECT_TRUE(absl::IsNotFound(loop_.Run(messages_.GetMessage(as_bob, get)).status()));
  EXPECT_TRUE(absl::IsNotFound(Send(With(bob, type::v1::SCOPE_OWN), "", letter->conversation_id()).status()));
  Call call = Admin();
  v1::UpdateConversationRequest update;
  update.mutable_conversation()->set_id(letter->conversation_id());
  update.mutable_conversation()->set_owner_id(bob);
  update.mutable_update_mask()->add_paths("owner_id");
  ASSERT_TRUE(loop_.Run(conversations_.UpdateConversation(call, update)).ok());
  as_bob = With(bob, type::v1::SCOPE_OWN);
  EXPECT_TRUE(loop_.Run(messages_.GetMessage(as_bob, get)).ok());
  auto answer = Send(With(bob, type::v1::SCOPE_OWN), "", letter->conversation_id());
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->owner_id(), bob);
  EXPECT_EQ(answer->in_reply_to(), letter->internet_message_id());
  Call as_ada = With(ada, type::v1::SCOPE_OWN);
  v1::ListMessagesRequest list;
  auto seen = loop_.Run(messages_.ListMessages(as_ada, list));
  ASSERT_TRUE(seen.ok());
  EXPECT_EQ(seen->messages_size(), 0);
  v1::GetInboxRequest inbox;
  EXPECT_EQ(loop_.Run(conversations_.GetInbox(as_ada, inbox))->open_count(), 0);
  EXPECT_EQ(loop_.Run(conversations_.GetInbox(as_bob, inbox))->own_count(), 1);
}

TEST_F(MessagingTest, TheServerOfAChannelIsForAdministrators) {
  Call call = With(NewId("user", absl::Now()), type::v1::SCOPE_ALL);
  v1::GetChannelRequest get;
  get.set_id(channel_.id());
  auto seen = loop_.Run(channels_.GetChannel(call, get));
  ASSERT_TRUE(seen.ok());
  EXPECT_FALSE(seen->has_smtp());
  v1::ListChannelsRequest list;
  list.set_filter("smtp.host = \"127.0.0.1\"");
  EXPECT_EQ(loop_.Run(channels_.ListChannels(call, list)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(channel_.has_smtp());
}

}  // namespace
}  // namespace crm::messaging
