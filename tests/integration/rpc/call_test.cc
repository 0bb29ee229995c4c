// What every call gets: who, what, until when; and what every answer carries.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <optional>

#include "common/base/error.h"
#include "tests/integration/rpc/echo.h"

namespace crm::testing {
namespace {

class CallTest : public RpcTest {
 protected:
  void SetUp() override {
    RpcTest::SetUp();
    Start();
  }
};

TEST_F(CallTest, AUserIsKnownByItsToken) {
  auto reply = Echo(UserCall());
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->text(), "hello");
  EXPECT_EQ(reply->kind(), "user");
  EXPECT_EQ(reply->user_id(), claims_.subject);
  EXPECT_EQ(reply->tenant_id(), claims_.tenant);
  EXPECT_EQ(reply->method(), "crm.testing.v1.EchoService.Echo");
  EXPECT_EQ(reply->request_id(), "request-1");
  // The same trace, a span of this hop's own.
  EXPECT_TRUE(absl::StartsWith(reply->traceparent(), "00-0af7651916cd43dd8448eb211c80319c-")) << reply->traceparent();
  EXPECT_EQ(reply->traceparent().find("b7ad6b7169203331"), std::string::npos);
  // Nobody said otherwise, so the token's.
  EXPECT_EQ(reply->language(), "ru");
  EXPECT_EQ(reply->time_zone(), "Europe/Berlin");
  // A read needs no key.
  EXPECT_EQ(reply->idempotency_key(), "");
}

TEST_F(CallTest, TheRequestsLanguageAndZoneGoFirst) {
  Call call = UserCall();
  call.language = "fr-FR,iw;q=0.8,en;q=0.5";
  call.time_zone = "Asia/Jerusalem";
  auto reply = Echo(call);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->language(), "he");
  EXPECT_EQ(reply->time_zone(), "Asia/Jerusalem");
  call.language = "tlh";
  call.time_zone = "Mars/Olympus";
  reply = Echo(call);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->language(), "ru");
  EXPECT_EQ(reply->time_zone(), "Europe/Berlin");
}

TEST_F(CallTest, AServiceIsKnownByItsCertificate) {
  Call call = ServiceCall();
  call.principal.tenant = ParseId(claims_.tenant)->uuid;
  // What it calls itself does not matter.
  call.principal.user_id = "service_identity";
  auto reply = Ask(call, "Internal", EchoRequest());
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->kind(), "service");
  EXPECT_EQ(reply->user_id(), "service_contact");
  EXPECT_EQ(reply->tenant_id(), claims_.tenant);
}

TEST_F(CallTest, TheRuleBehindAServicesCallTravelsWithIt) {
  Call call = ServiceCall();
  call.principal.tenant = ParseId(claims_.tenant)->uuid;
  call.cause = {NewId("rule", absl::Now()), NewId("rule_run", absl::Now()), 3};
  auto reply = Ask(call, "Internal", EchoRequest());
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->cause(), call.cause.rule_id + " " + call.cause.run_id + " 3");
  call.cause.depth = 0;
  EXPECT_TRUE(absl::IsInvalidArgument(Ask(call, "Internal", EchoRequest()).status()));
  // Nobody but a service says so.
  rpc::RawCall user{"crm.testing.v1.EchoService.Echo",
                    "",
                    {{"authorization", "Bearer " + token_},
                     {"crm-cause", NewId("rule", absl::Now()) + " " + NewId("rule_run", absl::Now()) + " 3"}}};
  auto bytes = loop_.Run(client_->UnaryRaw(user));
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EchoReply said;
  ASSERT_TRUE(said.ParseFromString(*bytes));
  EXPECT_EQ(said.cause(), "");
}

TEST_F(CallTest, EveryCallerAtEveryDoor) {
  struct Case {
    const char* method;
    absl::StatusCode user, service, anonymous;
  };
  using Code = absl::StatusCode;
  for (const Case& c : {Case{"Echo", Code::kOk, Code::kPermissionDenied, Code::kUnauthenticated},
                        Case{"Write", Code::kOk, Code::kPermissionDenied, Code::kUnauthenticated},
                        Case{"Open", Code::kOk, Code::kOk, Code::kOk},
                        Case{"Internal", Code::kPermissionDenied, Code::kOk, Code::kUnauthenticated}}) {
    // The messages are alike on the wire as far as they are empty.
    EXPECT_EQ(Ask(UserCall(), c.method, EchoRequest()).status().code(), c.user) << c.method;
    EXPECT_EQ(Ask(ServiceCall(), c.method, EchoRequest()).status().code(), c.service) << c.method;
    EXPECT_EQ(Ask(AnonymousCall(), c.method, EchoRequest()).status().code(), c.anonymous) << c.method;
  }
  // An anonymous user's call stays one, although a service's certificate brings it.
  auto open = Ask(AnonymousCall(), "Open", EchoRequest());
  ASSERT_TRUE(open.ok());
  EXPECT_EQ(open->kind(), "anonymous");
  EXPECT_EQ(open->user_id(), "");
}

TEST_F(CallTest, AMissingRightIsNamedAndTheHandlerNotRun) {
  claims_.roles = {NewId("role", absl::Now())};
  token_ = signer_->Sign(claims_);
  auto reply = Ask(UserCall(), "Write", WriteRequest());
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(ReasonOf(reply.status()), type::v1::ERROR_REASON_RIGHT_MISSING);
  EXPECT_EQ(MetadataOf(reply.status())["right"], "echo.update");
  EXPECT_EQ(echo_->runs, 0);
}

TEST_F(CallTest, BadTokensAreRefusedExceptWhereNoneIsNeeded) {
  claims_.expire_time = claims_.issue_time + absl::Seconds(1);
  claims_.issue_time -= absl::Minutes(5);
  claims_.expire_time -= absl::Minutes(4);
  const std::string expired = signer_->Sign(claims_);
  for (const std::string& token : {expired, std::string("nonsense"), token_ + "x", std::string(20'000, 'a')}) {
    Call call = UserCall();
    call.token = token;
    const auto refused = Echo(call);
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnauthenticated) << token.substr(0, 50) << refused.status();
    EXPECT_EQ(ReasonOf(refused.status()), type::v1::ERROR_REASON_TOKEN_INVALID);
    const auto open = Ask(call, "Open", EchoRequest());
    ASSERT_TRUE(open.ok()) << open.status();
    EXPECT_EQ(open->kind(), "anonymous");  // never the service that brought it
    EXPECT_EQ(Ask(call, "Internal", EchoRequest()).status().code(), absl::StatusCode::kUnauthenticated);
  }
  rpc::RawCall basic{"crm.testing.v1.EchoService.Echo", "", {{"authorization", "Basic dXNlcjpwYXNz"}}};
  EXPECT_EQ(loop_.Run(client_->UnaryRaw(basic)).status().code(), absl::StatusCode::kUnauthenticated);
}

TEST_F(CallTest, AServiceCannotNameATenantThatIsNone) {
  rpc::RawCall call{"crm.testing.v1.EchoService.Internal", "", {{"crm-tenant", "user_01h455vb4pex5vsknk084sn02q"}}};
  EXPECT_EQ(loop_.Run(client_->UnaryRaw(call)).status().code(), absl::StatusCode::kInvalidArgument);
  // With a token, the tenant is the token's, whatever else is said.
  call = {"crm.testing.v1.EchoService.Echo",
          "",
          {{"authorization", "Bearer " + token_}, {"crm-tenant", NewId("tenant", absl::Now())}}};
  auto bytes = loop_.Run(client_->UnaryRaw(call));
  ASSERT_TRUE(bytes.ok());
  EchoReply reply;
  ASSERT_TRUE(reply.ParseFromString(*bytes));
  EXPECT_EQ(reply.tenant_id(), claims_.tenant);
}

TEST_F(CallTest, RequestsAreCheckedBeforeHandlersRun) {
  auto refused = Echo(UserCall(), std::string(101, 'a'));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  ASSERT_EQ(ViolationsOf(refused.status()).size(), 1u);
  EXPECT_EQ(ViolationsOf(refused.status())[0].field, "text");

  rpc::RawCall garbage{"crm.testing.v1.EchoService.Echo", "\xff\xff\xff\xff", {{"authorization", "Bearer " + token_}}};
  auto unread = loop_.Run(client_->UnaryRaw(garbage));
  EXPECT_EQ(unread.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(unread.status()), type::v1::ERROR_REASON_BODY_INVALID);
  garbage.request = "\x0a\x02\xc3\x28";  // text that is no UTF-8
  EXPECT_EQ(loop_.Run(client_->UnaryRaw(garbage)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(echo_->runs, 0);
}

TEST_F(CallTest, LargeRequestsAreRefused) {
  EchoRequest request;
  request.set_blob(std::string(rpc::kRequestBytesMax - 100, 'x'));
  EXPECT_TRUE(Ask(UserCall(), "Echo", request).ok());
  request.set_blob(std::string(rpc::kRequestBytesMax, 'x'));
  auto refused = Ask(UserCall(), "Echo", request);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(refused.status()), type::v1::ERROR_REASON_TOO_LARGE);
  EXPECT_EQ(MetadataOf(refused.status())["limit"], absl::StrCat(rpc::kRequestBytesMax));
  request.set_blob(std::string(3 * rpc::kRequestBytesMax, 'x'));
  auto cut = Ask(UserCall(), "Echo", request);
  EXPECT_FALSE(cut.ok());
  EXPECT_FALSE(absl::IsUnavailable(cut.status())) << cut.status();  // nothing to repeat
  EXPECT_EQ(echo_->runs, 1);
  EXPECT_TRUE(Echo(UserCall()).ok());
}

TEST_F(CallTest, LargeAnswersAreRefusedRatherThanLost) {
  EchoRequest request;
  request.set_reply_bytes(rpc::Client::kReplyBytesMax - 2000);
  EXPECT_TRUE(Ask(UserCall(), "Echo", request).ok());
  request.set_reply_bytes(rpc::Client::kReplyBytesMax);
  EXPECT_EQ(ReasonOf(Ask(UserCall(), "Echo", request).status()), type::v1::ERROR_REASON_TOO_LARGE);
}

TEST_F(CallTest, KeysComeFromTheMessageTheMetadataOrNowhere) {
  WriteRequest request;
  request.set_request_id("from-the-message");
  auto reply = Ask(UserCall(), "Write", request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->idempotency_key(), "from-the-message");

  auto raw = [&](const WriteRequest& r, std::vector<std::pair<std::string, std::string>> metadata) {
    metadata.emplace_back("authorization", "Bearer " + token_);
    auto bytes = loop_.Run(client_->UnaryRaw({"crm.testing.v1.EchoService.Write", r.SerializeAsString(), metadata}));
    EchoReply out;
    if (bytes.ok()) out.ParseFromString(*bytes);
    return bytes.ok() ? absl::StatusOr<EchoReply>(out) : bytes.status();
  };
  auto both = raw(request, {{"idempotency-key", "from-the-header"}});
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(both->idempotency_key(), "from-the-message");
  auto header = raw(WriteRequest(), {{"idempotency-key", "from-the-header"}});
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->idempotency_key(), "from-the-header");
  EXPECT_EQ(header->text(), "from-the-header");  // the handler sees it in the message, too
  auto minted = raw(WriteRequest(), {}), again = raw(WriteRequest(), {});
  ASSERT_TRUE(minted.ok() && again.ok());
  EXPECT_TRUE(Uuid::Parse(minted->idempotency_key()).ok());
  EXPECT_NE(minted->idempotency_key(), again->idempotency_key());

  for (const std::string& bad : {std::string("with space"), std::string(101, 'k')}) {
    EXPECT_EQ(raw(WriteRequest(), {{"idempotency-key", bad}}).status().code(), absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

TEST_F(CallTest, MetadataThatCannotTravelIsAnErrorNotACrash) {
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"crm-time-zone", "a\tb"},
                                                        {"crm-time-zone", std::string("a\0b", 3)},
                                                        {"crm-time-zone", "\xd0\xb8"},
                                                        {"Upper", "x"},
                                                        {"", "x"},
                                                        {":path", "/x"},
                                                        {"with space", "x"}}) {
    rpc::RawCall call{"crm.testing.v1.EchoService.Open", "", {{name, value}}};
    EXPECT_EQ(loop_.Run(client_->UnaryRaw(call)).status().code(), absl::StatusCode::kInvalidArgument) << name;
    auto none = [](std::string) -> Async<> { co_return absl::OkStatus(); };
    EXPECT_EQ(loop_.Run(client_->StreamRaw(call, none)).code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

TEST_F(CallTest, TheHashIsOfTheBodyWithoutItsKey) {
  WriteRequest one;
  one.set_text("same");
  for (int i = 0; i < 20; ++i) (*one.mutable_labels())[absl::StrCat("label", i)] = "x";
  WriteRequest two;
  for (int i = 19; i >= 0; --i) (*two.mutable_labels())[absl::StrCat("label", i)] = "x";
  two.set_text("same");
  one.set_request_id("key-1");
  two.set_request_id("key-2");
  auto first = Ask(UserCall(), "Write", one), second = Ask(UserCall(), "Write", two);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->body_hash().size(), 32u);
  EXPECT_EQ(first->body_hash(), second->body_hash());
  two.set_text("other");
  EXPECT_NE(Ask(UserCall(), "Write", two)->body_hash(), first->body_hash());
}

TEST_F(CallTest, LostRacesAreRunAgain) {
  WriteRequest request;
  request.set_lose(3);
  auto reply = Ask(UserCall(), "Write", request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->runs(), 4);
  EXPECT_FALSE(reply->has_etag());

  echo_->runs = 0;
  request.set_lose(100);
  auto lost = Ask(UserCall(), "Write", request);
  EXPECT_EQ(lost.status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(ReasonOf(lost.status()), type::v1::ERROR_REASON_CONFLICT);
  EXPECT_EQ(echo_->runs, 1 + rpc::kLostRacesMax);
  // The mark stays at home: another service must not run its own handler again because of ours.
  EXPECT_FALSE(IsLostRace(lost.status()));
}

TEST_F(CallTest, AnEtagLeavesALostRaceToTheCaller) {
  WriteRequest request;
  request.set_etag("3");
  auto kept = Ask(UserCall(), "Write", request);
  ASSERT_TRUE(kept.ok());
  EXPECT_TRUE(kept->has_etag());
  echo_->runs = 0;
  request.set_lose(1);
  auto lost = Ask(UserCall(), "Write", request);
  EXPECT_EQ(lost.status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(ReasonOf(lost.status()), type::v1::ERROR_REASON_ETAG_MISMATCH);
  EXPECT_EQ(MetadataOf(lost.status())["id"], "echo_1");
  EXPECT_EQ(echo_->runs, 1);
}

TEST_F(CallTest, ErrorsTravelWithTheirDetails) {
  auto refused = Echo(UserCall(), "violations");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  auto violations = ViolationsOf(refused.status());
  ASSERT_EQ(violations.size(), 2u);
  EXPECT_EQ(violations[0].field, "contact.phones[0].number");
  EXPECT_EQ(violations[1].description, "\xd0\xb8\xd0\xbc\xd1\x8f");
  EXPECT_TRUE(absl::StrContains(refused.status().message(), "\xd0\xb8\xd0\xbc\xd1\x8f")) << refused.status();

  auto overloaded = Echo(UserCall(), "overloaded");
  EXPECT_EQ(ReasonOf(overloaded.status()), type::v1::ERROR_REASON_OVERLOADED);
  EXPECT_EQ(RetryDelayOf(overloaded.status()), std::chrono::milliseconds(1500));
}

TEST_F(CallTest, EveryErrorHasAReason) {
  for (int code = 1; code <= 16; ++code) {
    EchoRequest request;
    request.set_code(code);
    auto refused = Ask(UserCall(), "Open", request);
    ASSERT_FALSE(refused.ok());
    if (code == 1) continue;  // nobody is there to read why it was cancelled
    EXPECT_NE(ReasonOf(refused.status()), type::v1::ERROR_REASON_UNSPECIFIED) << refused.status();
  }
}

TEST_F(CallTest, WhatBreaksInsideIsHiddenBehindTheRequestsId) {
  for (const int code : {2, 13, 15, -1}) {
    LogLines log;
    EchoRequest request;
    if (code < 0) {
      request.set_text("throw");
    } else {
      request.set_code(code);
    }
    auto broken = Ask(UserCall(), "Echo", request);
    EXPECT_EQ(broken.status().code(), absl::StatusCode::kInternal);
    EXPECT_EQ(ReasonOf(broken.status()), type::v1::ERROR_REASON_INTERNAL);
    EXPECT_EQ(MetadataOf(broken.status())["request_id"], "request-1");
    EXPECT_FALSE(absl::StrContains(broken.status().message(), "secret")) << broken.status();
    ASSERT_EQ(log.With("request-1").size(), 1u);
    EXPECT_TRUE(absl::StrContains(log.With("request-1")[0], "a secret of the handler"));
    EXPECT_TRUE(absl::StrContains(log.With("request-1")[0], "\"level\":\"error\""));
  }
}

TEST_F(CallTest, OneLogLinePerCallWithoutSecretsOrTexts) {
  LogLines log;
  ASSERT_TRUE(Echo(UserCall(), "Ada Lovelace").ok());
  Echo(UserCall(), "violations").IgnoreError();
  auto lines = log.With("request-1");
  ASSERT_EQ(lines.size(), 2u);
  for (const char* part : {"\"rpc\":\"crm.testing.v1.EchoService.Echo\"", "\"code\":\"OK\"",
                           "\"ms\":", "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\"", "\"span_id\":\"",
                           "\"level\":\"info\"", "\"ts\":\"20"}) {
    EXPECT_TRUE(absl::StrContains(lines[0], part)) << part << " in " << lines[0];
  }
  EXPECT_TRUE(absl::StrContains(lines[0], "\"tenant\":\"" + claims_.tenant + "\"")) << lines[0];
  EXPECT_TRUE(absl::StrContains(lines[1], "\"code\":\"INVALID_ARGUMENT\"")) << lines[1];
  EXPECT_TRUE(absl::StrContains(lines[1], "\"reason\":\"FIELD_INVALID\"")) << lines[1];
  for (const auto& line : log.With("")) {
    EXPECT_FALSE(absl::StrContains(line, "Ada")) << line;
    EXPECT_FALSE(absl::StrContains(line, "phone")) << line;
    EXPECT_FALSE(absl::StrContains(line, token_.substr(0, 20))) << line;
  }
}

TEST_F(CallTest, UnknownMethodsAreRefused) {
  for (const char* method : {"Nothing", "", "echo"}) {
    auto refused = Ask(UserCall(), method, EchoRequest());
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnimplemented) << method;
  }
  EXPECT_EQ(ReasonOf(Ask(UserCall(), "Nothing", EchoRequest()).status()), type::v1::ERROR_REASON_METHOD_NOT_FOUND);
}

TEST_F(CallTest, RequestIdsOfStrangersAreReplaced) {
  Call call = UserCall();
  call.request_id = std::string(200, 'x');
  auto reply = Echo(call);
  ASSERT_TRUE(reply.ok());
  EXPECT_TRUE(Uuid::Parse(reply->request_id()).ok()) << reply->request_id();
}

TEST_F(CallTest, AStreamEndsWhenItsSessionIsRevoked) {
  WatchRequest request;
  request.set_messages(1'000'000);
  request.set_sleep_ms(20);
  int messages = 0;
  std::optional<absl::Status> ended;
  auto watch = [&]() -> asio::awaitable<void> {
    Call call = UserCall();
    ended = co_await client_->StreamBytes(call, "crm.testing.v1.EchoService.Watch", request.SerializeAsString(),
                                          [&](std::string) -> Async<> {
                                            ++messages;
                                            co_return absl::OkStatus();
                                          });
  };
  asio::co_spawn(loop_.executor(), watch(), asio::detached);
  Eventually([&] { return messages > 0 || ended; });
  ASSERT_FALSE(ended) << *ended;
  grants_.revoked = {claims_.session};
  ASSERT_TRUE(loop_.Run(directory_->Poll()).ok());
  Eventually([&] { return ended.has_value(); });
  ASSERT_TRUE(ended);
  EXPECT_TRUE(absl::IsUnauthenticated(*ended)) << *ended;
}

class ReuseTest : public RpcTest {};

TEST_F(ReuseTest, AKeyOfAnotherRequestIsToldEvenWhereTheStateRefuses) {
  auto options = Options();
  options.kept_reply = [](const Call&, google::protobuf::Message&) -> Async<bool> {
    co_return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_IDEMPOTENCY_KEY_REUSED, "reused");
  };
  Start(options);
  WriteRequest request;
  request.set_lose(100);
  request.set_request_id("key-1");
  EXPECT_EQ(ReasonOf(Ask(UserCall(), "Write", request).status()), type::v1::ERROR_REASON_IDEMPOTENCY_KEY_REUSED);
}

}  // namespace
}  // namespace crm::testing
