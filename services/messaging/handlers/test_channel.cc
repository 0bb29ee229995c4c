#include "services/messaging/handlers/check_channel.h"
#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

namespace test_channel {

// A test shall answer while the administrator waits.
constexpr SmtpTimes kTimes{std::chrono::milliseconds(5000), std::chrono::milliseconds(5000),
                           std::chrono::milliseconds(8000)};

v1::TestChannelResponse::Step StepOf(SmtpStage stage) {
  switch (stage) {
    case SmtpStage::kConnect:
    case SmtpStage::kGreeting:
      return v1::TestChannelResponse::STEP_CONNECT;
    case SmtpStage::kTls:
      return v1::TestChannelResponse::STEP_TLS;
    case SmtpStage::kSignIn:
      return v1::TestChannelResponse::STEP_SIGN_IN;
    default:
      return v1::TestChannelResponse::STEP_DONE;
  }
}

}  // namespace test_channel

// Connects and signs in as a letter would, and says how far it got.
Async<v1::TestChannelResponse> ChannelService::TestChannel(Call& call, const v1::TestChannelRequest& request) {
  CRM_CO_TRY(v1::Channel channel, co_await db_.Get(call, channels_, request.id()));
  v1::TestChannelResponse response;
  const auto fail = [&](v1::TestChannelResponse::Step step, absl::string_view detail) {
    response.set_step(step);
    response.set_detail(std::string(detail));
    return response;
  };
  if (!channel.has_smtp())
    co_return fail(v1::TestChannelResponse::STEP_SETTINGS, "no server is named (smtp.host): the channel only receives");
  if (!channel.smtp().user().empty() && !channel.has_password())
    co_return fail(v1::TestChannelResponse::STEP_SETTINGS,
                   "smtp.user is set and no password is stored; set the password");
  auto password = co_await ChannelSecret(app_, call, channel.id());
  if (!password.ok()) co_return fail(v1::TestChannelResponse::STEP_SETTINGS, password.status().message());
  absl::Status resolved;
  SmtpOutcome outcome;
  CRM_CO_TRY(co_await app_.offload([&] {
    auto addresses = app_.settings.guard.Resolve(channel.smtp().host());
    resolved = addresses.status();
    if (!addresses.ok()) return;
    SmtpRequest probe;
    probe.server = channel.smtp();
    probe.addresses = *std::move(addresses);
    probe.password = *password;
    probe.ca_file = app_.settings.smtp_ca_file;
    probe.sender = channel.address();
    probe.times = test_channel::kTimes;
    outcome = SmtpSend(probe);
  }));
  if (absl::IsPermissionDenied(resolved)) co_return fail(v1::TestChannelResponse::STEP_SETTINGS, resolved.message());
  if (!resolved.ok()) co_return fail(v1::TestChannelResponse::STEP_RESOLVE, resolved.message());
  if (!outcome.error.empty()) co_return fail(test_channel::StepOf(outcome.stage), outcome.error);
  response.set_ok(true);
  co_return fail(v1::TestChannelResponse::STEP_DONE, "");
}

}  // namespace crm::messaging
