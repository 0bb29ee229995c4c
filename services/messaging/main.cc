#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "common/app/app.h"
#include "common/app/config.h"
#include "common/app/pruning.h"
#include "common/base/status.h"
#include "services/messaging/consumers/consumers.h"
#include "services/messaging/files.h"
#include "services/messaging/jobs/jobs.h"
#include "services/messaging/lmtp.h"
#include "services/messaging/service.h"
#include "services/messaging/webhooks.h"

namespace {

using namespace crm;  // NOLINT: a main's own file

absl::StatusOr<messaging::Settings> SettingsOf(const app::v1::Config::Messaging& config) {
  messaging::Settings settings;
  const std::vector<std::string> allowed(config.allowed_hosts().begin(), config.allowed_hosts().end());
  CRM_TRY(settings.guard, messaging::NetGuard::Make(allowed));
  if (!config.secrets_key_file().empty()) {
    CRM_TRY(std::string key, app::ReadSecret(config.secrets_key_file(), "messaging.secrets_key_file"));
    CRM_TRY(settings.secrets, messaging::SecretBox::Make(key));
  }
  settings.smtp_ca_file = config.smtp_ca_file();
  if (config.retry_seconds() > 0) settings.retry = std::chrono::seconds(config.retry_seconds());
  if (config.attempts_max() > 0) settings.attempts_max = config.attempts_max();
  if (config.answer_seconds() > 0) settings.smtp_times.answer = std::chrono::seconds(config.answer_seconds());
  if (config.letter_bytes_max() > 0) settings.letter_bytes_max = static_cast<size_t>(config.letter_bytes_max());
  char program[PATH_MAX] = "";
  if (readlink("/proc/self/exe", program, sizeof program - 1) < 0)
    return absl::InternalError("/proc/self/exe cannot be read");
  settings.parser = program;
  return settings;
}

messaging::WebhookSettings WebhookSettingsOf(const app::v1::Config::Messaging& config) {
  messaging::WebhookSettings settings;
  if (config.webhook_retry_seconds() > 0) settings.retry = absl::Seconds(config.webhook_retry_seconds());
  if (config.webhook_disable_seconds() > 0) settings.disable_after = absl::Seconds(config.webhook_disable_seconds());
  return settings;
}

template <typename T>
T Need(absl::StatusOr<T> result) {
  if (result.ok()) return *std::move(result);
  std::fprintf(stderr, "messaging: %s\n", std::string(result.status().message()).c_str());
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  // The child that reads letters: this program once more, with nothing of the service in it.
  if (argc > 1 && std::strcmp(argv[1], "parse-mail") == 0) std::_Exit(crm::messaging::ParseMailMain(argc, argv));
  return crm::app::Main(argc, argv, "messaging", [](crm::app::Runtime& runtime) {
    namespace ms = crm::messaging;
    static ms::Messaging messaging{
        runtime.db(),
        runtime.worker_db(),
        runtime.peer("contact"),
        runtime.peer("deal_pipeline"),
        Need(SettingsOf(runtime.config().messaging())),
        [&runtime](std::function<void()> work) { return runtime.OffloadVoid(std::move(work)); },
        [&runtime](const crm::Uuid& tenant) { return runtime.OwnCall(tenant); }};
    static ms::Files files(messaging, {{"contact", &runtime.peer("contact")},
                                       {"company", &runtime.peer("contact")},
                                       {"deal", &runtime.peer("deal_pipeline")},
                                       {"lead", &runtime.peer("deal_pipeline")},
                                       {"task", &runtime.peer("scheduler")}});
    messaging.files = &files;
    runtime.Own(files.table());
    runtime.Serve(std::make_unique<ms::FileService>(files));
    runtime.Job("purge_files", [](crm::Call call) { return ms::PurgeFiles(files, std::move(call)); });
    static ms::Webhooks webhooks{
        messaging, runtime.peer("scheduler"), WebhookSettingsOf(runtime.config().messaging()),
        [](const crm::Call& call, std::string id) { return files.CheckRecord(call, std::move(id)); }};
    static ms::WebhookSender posts(webhooks, runtime.holder());
    webhooks.wake = [] { posts.Wake(); };
    runtime.Own(webhooks.tables.webhooks);
    runtime.Serve(std::make_unique<ms::WebhookService>(webhooks));
    runtime.Job("prune", [&runtime](crm::Call call) {
      const int days = runtime.config().messaging().delivery_days();
      std::vector<crm::app::Pruning> prunings;
      prunings.push_back({ms::PruneDeliveries(), days > 0 ? days : ms::kDeliveryDays});
      return crm::app::PruneForever(runtime.worker_db(), std::move(prunings), std::move(call));
    });
    runtime.Job("post_webhooks", [](crm::Call call) { return posts.Run(std::move(call)); });
    for (const char* producer : {"contact", "messaging", "scheduler"}) {
      runtime.Hear(producer,
                   [producer](crm::events::Consumer& consumer) { ms::HearForWebhooks(consumer, webhooks, producer); });
    }
    runtime.Own(messaging.tables.templates);
    runtime.Own(messaging.tables.channels);
    runtime.Own(messaging.tables.conversations);
    runtime.Own(messaging.tables.messages);
    runtime.Own(messaging.tables.suppressions);
    runtime.Serve(std::make_unique<ms::TemplateService>(messaging));
    runtime.Serve(std::make_unique<ms::ChannelService>(messaging));
    runtime.Serve(std::make_unique<ms::ConversationService>(messaging));
    runtime.Serve(std::make_unique<ms::MessageService>(messaging));
    runtime.Serve(std::make_unique<ms::SuppressionService>(messaging));
    runtime.Hear("identity", [](crm::events::Consumer& consumer) {
      ms::HearIdentity(consumer);
      ms::HearForWebhooks(consumer, webhooks, "identity");
    });
    runtime.Hear("deal_pipeline", [](crm::events::Consumer& consumer) {
      ms::HearDealPipeline(consumer, messaging);
      ms::HearForWebhooks(consumer, webhooks, "deal_pipeline");
    });

    static ms::Sender sender(messaging, runtime.holder());
    messaging.wake_sender = [] { sender.Wake(); };
    runtime.Job("send", [](crm::Call call) { return sender.Run(std::move(call)); });

    if (runtime.config().messaging().lmtp_listen().empty()) return;
    ms::LmtpOptions options;
    options.listen = runtime.config().messaging().lmtp_listen();
    static ms::LmtpServer lmtp(messaging, options, runtime.loops());
    const absl::Status listening = lmtp.Listen();
    if (!listening.ok()) {
      std::fprintf(stderr, "messaging: %s\n", std::string(listening.message()).c_str());
      std::exit(1);
    }
    runtime.OnDrain([]() -> crm::Async<> {
      co_await lmtp.Drain(std::chrono::milliseconds(2000));
      co_return absl::OkStatus();
    });
  });
}
