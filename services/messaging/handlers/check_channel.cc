#include "services/messaging/handlers/check_channel.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include "common/base/email.h"
#include "common/base/text.h"
#include "services/messaging/service.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"

namespace crm::messaging {

namespace check_channel {

int PortOf(v1::SmtpSecurity security) {
  if (security == v1::SMTP_SECURITY_TLS) return 465;
  return security == v1::SMTP_SECURITY_NONE ? 25 : 587;
}

}  // namespace check_channel

absl::Status CheckChannel(const Settings& settings, v1::Channel& channel) {
  channel.set_name(Squeezed(channel.name()));
  if (channel.name().empty()) return FieldError("channel.name", "must not be empty");
  if (channel.kind() == v1::CHANNEL_KIND_UNSPECIFIED) channel.set_kind(v1::CHANNEL_KIND_EMAIL);
  CRM_TRY(*channel.mutable_address(), NormalizeEmail(channel.address(), "channel.address"));
  if (absl::StrContains(channel.address().substr(0, channel.address().find('@')), "+"))
    return FieldError("channel.address", "must not have a + before the @: what follows it is a tag of the address");
  if (!channel.has_enabled()) channel.set_enabled(true);
  if (!channel.has_creates_leads()) channel.set_creates_leads(true);
  if (channel.has_smtp() && channel.smtp().host().empty() && channel.smtp().user().empty()) channel.clear_smtp();
  if (!channel.has_smtp()) return absl::OkStatus();
  v1::SmtpServer& smtp = *channel.mutable_smtp();
  if (smtp.host().empty()) return FieldError("channel.smtp.host", "is missing");
  if (smtp.security() == v1::SMTP_SECURITY_UNSPECIFIED) smtp.set_security(v1::SMTP_SECURITY_STARTTLS);
  if (smtp.port() == 0) smtp.set_port(check_channel::PortOf(smtp.security()));
  if (smtp.security() == v1::SMTP_SECURITY_NONE) {
    if (!settings.guard.Allows(smtp.host()))
      return FieldError("channel.smtp.security",
                        "must be STARTTLS or TLS: without TLS only servers that the operator allows are spoken to");
    if (!smtp.user().empty())
      return FieldError("channel.smtp.user", "must be empty without TLS: no password goes over an open line");
  }
  return absl::OkStatus();
}

absl::Status AddChannelSecret(pg::Batch& batch, const Settings& settings, const v1::Channel& channel,
                              const std::string& password) {
  const Uuid& tenant = batch.call().tenant();
  if (password.empty()) {
    batch.Add(sql::kDeleteChannelSecret, pg::Params().Id(tenant).Id(UuidOf(channel.id())));
    return absl::OkStatus();
  }
  if (!settings.secrets)
    return StateError("this installation cannot keep passwords: the operator has set no messaging.secrets_key_file");
  const std::string sealed = settings.secrets->Seal(password, SecretContext(tenant, channel.id()));
  batch.Add(sql::kPutChannelSecret, pg::Params().Id(tenant).Id(UuidOf(channel.id())).Bytes(sealed));
  return absl::OkStatus();
}

std::string SecretContext(const Uuid& tenant, const std::string& channel_id) {
  return absl::StrCat(tenant.ToString(), "/", channel_id);
}

Async<std::string> ChannelSecret(Messaging& app, const Call& call, std::string channel_id) {
  CRM_CO_TRY(pg::Rows rows, co_await app.db.Read(call, sql::kFindChannelSecret, pg::Params().Id(UuidOf(channel_id))));
  if (rows.empty()) co_return std::string();
  if (!app.settings.secrets) co_return absl::DataLossError("this installation has no key for stored passwords");
  co_return app.settings.secrets->Open(rows.Bytes(0, 0), SecretContext(call.tenant(), channel_id));
}

absl::Status NameAddress(absl::Status status, const v1::Channel& channel) {
  if (!absl::IsAlreadyExists(status)) return status;
  return Error(
      absl::StatusCode::kAlreadyExists, type::v1::ERROR_REASON_ALREADY_EXISTS,
      absl::StrCat("the address ", channel.address(),
                   " belongs to another channel; one channel has it, because arriving letters are told apart by it"),
      {{"field", "channel.address"}});
}

}  // namespace crm::messaging
