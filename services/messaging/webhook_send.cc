// Events become deliveries, and deliveries are posted.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <mutex>

#include "common/app/offload.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "common/base/time.h"
#include "common/events/loop.h"
#include "common/obs/log.h"
#include "common/obs/metrics.h"
#include "common/pg/records.h"
#include "crm/messaging/v1/webhook_events.pb.h"
#include "crm/scheduler/v1/notification.pb.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {
namespace webhook_send {

// Posts at once: each may take 15 s, so a pool of their own, apart from letters.
constexpr int kAtOnce = 8;
// How long a claim lasts, and until when posting may still begin: a post takes 15 s, and what is begun after a pause (a machine that was
// suspended) would come twice.
constexpr int kClaimSeconds = 60;
constexpr std::chrono::seconds kBeginWithin{40};
// Until when an answer is tried to be recorded while the database is away: as long as the claim lasts.
constexpr std::chrono::seconds kRecordWithin{kClaimSeconds};
constexpr std::chrono::milliseconds kRecordPause{200}, kRecordPauseMax{3000};
// How often is looked at the queue when nobody rings.
constexpr std::chrono::milliseconds kLook{1000};
// How long posts under way may take when it is told to stop; an app gives its jobs 5 s.
constexpr std::chrono::milliseconds kEndMax{4500};

// What is no news to other systems: derived from other events, or of webhooks themselves.
bool IsTold(absl::string_view type) {
  for (absl::string_view not_told : {"activity.", "report.", "webhook.", "delivery.", "notification."}) {
    if (absl::StartsWith(type, not_told)) return false;
  }
  return true;
}

obs::Counter Posted(const char* outcome) {
  return obs::MakeCounter("crm_webhook_posts_total", "Webhooks posted, by what came of it", {{"outcome", outcome}});
}

absl::Status PutDeliveries(pg::Batch& batch, const events::v1::Event& event) {
  if (!IsTold(event.type())) return absl::OkStatus();
  const std::string kind = event.type().substr(0, event.type().find('.'));
  batch.Add(sql::kPutDeliveries, pg::Params()
                                     .Id(batch.call().tenant())
                                     .Text(absl::StrCat(event.service(), ":", event.seq(), ":"))
                                     .Text(event.type())
                                     .Text(event.record_id())
                                     .Time(FromTimestamp(event.time()))
                                     .Bytes(event.SerializeAsString())
                                     .TextArray({event.type(), absl::StrCat(kind, ".*"), "*"}));
  return absl::OkStatus();
}

}  // namespace webhook_send

std::string WebhookSecretContext(const Uuid& tenant, const std::string& webhook_id) {
  return absl::StrCat(tenant.ToString(), "/", webhook_id);
}

void HearForWebhooks(events::Consumer& consumer, Webhooks& webhooks, const std::string& producer) {
  // Whatever the producer's protos call an event: a message of a file events.proto or <something>_events.proto.
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  for (const char* file : {"events", "file_events", "webhook_events"}) {
    const auto* found = pool->FindFileByName(absl::StrCat("crm/", producer, "/v1/", file, ".proto"));
    for (int i = 0; found != nullptr && i < found->message_type_count(); ++i) {
      consumer.OnType(found->message_type(i)->full_name(), [](const events::Heard& heard, pg::Batch& batch) -> Async<> {
        co_return webhook_send::PutDeliveries(batch, heard.event);
      });
    }
  }
  consumer.AfterCommit([&webhooks](const events::v1::Event& event) {
    if (webhook_send::IsTold(event.type())) webhooks.wake();
  });
}

// ---- the sender ----

struct WebhookSender::Impl : std::enable_shared_from_this<WebhookSender::Impl> {
  Impl(Webhooks& w, std::string name, PostOnce once, Offload beside)
      : webhooks(w), holder(std::move(name)), post_once(std::move(once)), offload(std::move(beside)) {
    if (!post_once)
      post_once = [this](const WebhookPost& post) { return PostWebhook(post, webhooks.app.settings.guard); };
    if (offload) return;
    pool.emplace(webhook_send::kAtOnce);
    offload = [this](std::function<void()> work) { return pool->Run(std::move(work)); };
  }

  struct Claim {
    Uuid tenant, id, webhook;
    std::string event;
    int attempt = 0;
    absl::Time lease_until;  // the fence
    std::chrono::steady_clock::time_point begin_by, record_by;
  };

  Async<> TakeBackOwn(const Call& call);
  Async<int> Round(const Call& call);
  Async<> Post(Claim claim);
  Async<> Settle(const Claim& claim, const WebhookAnswer& answer, absl::Time failing_since, bool gone);
  Async<> Record(const Claim& claim, v1::DeliveryStatus status, std::optional<absl::Duration> delay,
                 const WebhookAnswer& answer, bool mark);
  Async<> Disable(const Call& call, const Claim& claim, std::string why);

  Webhooks& webhooks;
  const std::string holder;
  PostOnce post_once;
  Offload offload;
  std::optional<app::OffloadPool> pool;
  std::mutex mutex;
  asio::any_io_executor executor;  // set while it runs
  std::unique_ptr<events::Bell> bell;
  int running = 0;
  obs::Counter taken = webhook_send::Posted("taken"), failed = webhook_send::Posted("failed"),
               given_up = webhook_send::Posted("given_up");
};

WebhookSender::WebhookSender(Webhooks& webhooks, std::string holder, PostOnce post_once, Offload offload)
    : impl_(std::make_shared<Impl>(webhooks, std::move(holder), std::move(post_once), std::move(offload))) {}
WebhookSender::~WebhookSender() = default;

void WebhookSender::Wake() {
  std::lock_guard lock(impl_->mutex);
  if (!impl_->executor) return;
  asio::post(impl_->executor, [impl = impl_] {
    if (impl->bell) impl->bell->Ring();
  });
}

Async<> WebhookSender::Run(Call call) {
  const auto impl = impl_;
  {
    const auto here = co_await asio::this_coro::executor;
    std::lock_guard lock(impl->mutex);
    impl->executor = here;
    impl->bell = std::make_unique<events::Bell>(here);
  }
  // Before the first claim: later it could not tell its own from those of the process that died.
  CRM_CO_TRY(co_await impl->TakeBackOwn(call));
  // Told to stop, it lets the posts under way end: what is cut is posted again.
  co_await asio::this_coro::throw_if_cancelled(false);
  for (;;) {
    if (co_await events::Cancelled()) break;
    call.start = Now();
    auto claimed = co_await impl->Round(call);
    if (claimed.ok() && *claimed > 0) continue;
    co_await impl->bell->Wait(webhook_send::kLook);
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  const auto until = std::chrono::steady_clock::now() + webhook_send::kEndMax;
  while (impl->running > 0 && std::chrono::steady_clock::now() < until) {
    co_await impl->bell->Wait(std::chrono::milliseconds(50));
  }
  co_return absl::OkStatus();
}

Async<> WebhookSender::Impl::TakeBackOwn(const Call& call) {
  pg::Batch batch(call);
  batch.Add(sql::kTakeBackDeliveries, pg::Params().Text(holder));
  CRM_CO_TRY(co_await webhooks.app.worker_db.Write(call, std::move(batch)));
  co_return absl::OkStatus();
}

// Claims as many as there are free hands for; answers how many.
Async<int> WebhookSender::Impl::Round(const Call& call) {
  const int free = webhook_send::kAtOnce - running;
  if (free <= 0) co_return 0;
  const auto now = std::chrono::steady_clock::now();
  pg::Batch batch(call);
  batch.Add(sql::kClaimDeliveries, pg::Params().Int(free).Text(holder).Int(webhook_send::kClaimSeconds));
  CRM_CO_TRY(auto results, co_await webhooks.app.worker_db.Write(call, std::move(batch)));
  const pg::Rows& rows = results[0];
  for (int i = 0; i < rows.size(); ++i) {
    Claim claim{rows.Id(i, 0),
                rows.Id(i, 1),
                rows.Id(i, 2),
                std::string(rows.Bytes(i, 3)),
                static_cast<int>(rows.Int(i, 4)),
                rows.Time(i, 5),
                now + webhook_send::kBeginWithin,
                now + webhook_send::kRecordWithin};
    ++running;
    asio::co_spawn(
        executor,
        [](std::shared_ptr<Impl> self, Claim one) -> asio::awaitable<void> {
          const absl::Status status = co_await self->Post(std::move(one));
          if (!status.ok() && !IsLostRace(status)) {  // a lost race: it is another's claim now
            obs::Log(obs::Level::kWarning, Call(), "a webhook's delivery was not settled; it is tried again",
                     {{"why", status.message()}});
          }
          --self->running;
          self->bell->Ring();
        }(shared_from_this(), std::move(claim)),
        asio::detached);
  }
  co_return rows.size();
}

Async<> WebhookSender::Impl::Post(Claim claim) {
  const Call call = webhooks.app.own_call(claim.tenant);
  const std::string webhook_id = TypeId("webhook", claim.webhook);
  CRM_CO_TRY(pg::Rows rows,
             co_await webhooks.app.db.Read(call, sql::kFindWebhookToPost, pg::Params().Id(claim.webhook)));
  WebhookAnswer answer;
  if (rows.empty() || !rows.Bool(0, 1)) {
    answer.error = "the webhook is off";
    co_return co_await Settle(claim, answer, absl::InfiniteFuture(), true);
  }
  events::v1::Event event;
  if (!event.ParseFromString(claim.event)) co_return absl::DataLossError("a delivery's event cannot be read");
  const auto& box = webhooks.app.settings.secrets;
  if (!box) co_return absl::FailedPreconditionError("there is no key for stored secrets");
  std::vector<std::string> secrets;
  CRM_CO_TRY(std::string secret, box->Open(rows.Bytes(0, 3), WebhookSecretContext(claim.tenant, webhook_id)));
  secrets.push_back(std::move(secret));
  if (!rows.IsNull(0, 4) && !rows.IsNull(0, 5) && rows.Time(0, 5) > call.now()) {
    CRM_CO_TRY(std::string former, box->Open(rows.Bytes(0, 4), WebhookSecretContext(claim.tenant, webhook_id)));
    secrets.push_back(std::move(former));
  }
  WebhookPost post;
  post.url = std::string(rows.Text(0, 0));
  post.id = TypeId("delivery", claim.id);
  post.timestamp = absl::ToUnixSeconds(call.now());
  auto body = WebhookBody(event, rows.Bool(0, 2));
  if (absl::IsFailedPrecondition(body.status())) {
    answer.error = std::string(body.status().message());
    co_return co_await Settle(claim, answer, absl::InfiniteFuture(), true);
  }
  CRM_CO_TRY(post.body, std::move(body));
  post.signature = SignWebhook(secrets, post.id, post.timestamp, post.body);
  const absl::Time failing_since = rows.IsNull(0, 6) ? call.now() : rows.Time(0, 6);
  bool late = false;
  std::function<void()> work = [&] {
    late = std::chrono::steady_clock::now() > claim.begin_by;
    if (!late) answer = post_once(post);
  };
  CRM_CO_TRY(co_await offload(work));
  if (late) co_return absl::OkStatus();  // its lease ends, and it is claimed anew
  co_return co_await Settle(claim, answer, failing_since, false);
}

// What the attempt came to, and what follows from it.
Async<> WebhookSender::Impl::Settle(const Claim& claim, const WebhookAnswer& answer, absl::Time failing_since,
                                    bool gone) {
  const bool ok = answer.error.empty();
  std::optional<absl::Duration> delay;
  if (!ok && !gone && answer.status != 410) {
    const double jitter =
        static_cast<double>(events::Jitter(std::chrono::milliseconds(0), std::chrono::milliseconds(1000)).count()) /
        1000;
    delay = WebhookDelay(claim.attempt, webhooks.settings.retry, jitter);
    if (delay) delay = std::max(*delay, answer.retry_after);
  }
  const auto status = ok      ? v1::DELIVERY_STATUS_DELIVERED
                      : delay ? v1::DELIVERY_STATUS_PENDING
                              : v1::DELIVERY_STATUS_FAILED;
  CRM_CO_TRY(co_await Record(claim, status, delay, answer, /*mark=*/!gone));
  (ok ? taken : delay ? failed : given_up).Add();
  if (ok || gone) co_return absl::OkStatus();
  const Call call = webhooks.app.own_call(claim.tenant);
  if (answer.status == 410) co_return co_await Disable(call, claim, "it answered 410: gone");
  if (call.now() - failing_since >= webhooks.settings.disable_after) {
    co_return co_await Disable(call, claim,
                               absl::StrCat("nothing but failures since ",
                                            absl::FormatTime("%Y-%m-%d %H:%M", failing_since, absl::UTCTimeZone()),
                                            " UTC; the last: ", answer.error));
  }
  co_return absl::OkStatus();
}

// An answer that is not recorded is a post that is made again, so a database that is away is waited for as long as the claim lasts. One
// that recorded it and could not say so answers that the race is lost: nobody has this claim any more.
Async<> WebhookSender::Impl::Record(const Claim& claim, v1::DeliveryStatus status, std::optional<absl::Duration> delay,
                                    const WebhookAnswer& answer, bool mark) {
  for (auto pause = webhook_send::kRecordPause;; pause = std::min(2 * pause, webhook_send::kRecordPauseMax)) {
    const Call call = webhooks.app.own_call(claim.tenant);
    pg::Batch batch(call);
    pg::Params params;
    params.Id(claim.tenant).Id(claim.id).Time(claim.lease_until).Int(status);
    delay ? params.Int(absl::ToInt64Milliseconds(*delay)) : params.Null();
    params.Int(answer.status).Text(answer.body).Text(answer.error).Int(answer.duration_ms);
    batch.AddGuarded(sql::kSettleDelivery, std::move(params), TypeId("delivery", claim.id));
    if (mark) batch.Add(sql::kMarkWebhook, pg::Params().Id(claim.tenant).Id(claim.webhook).Bool(answer.error.empty()));
    const auto written = co_await webhooks.app.db.Write(call, std::move(batch));
    const bool away = absl::IsUnavailable(written.status()) || absl::IsDeadlineExceeded(written.status());
    if (!away || std::chrono::steady_clock::now() > claim.record_by) co_return written.status();
    asio::steady_timer timer(co_await asio::this_coro::executor, pause);
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

// Switches it off and tells who made it.
Async<> WebhookSender::Impl::Disable(const Call& call, const Claim& claim, std::string why) {
  const auto& table = webhooks.tables.webhooks;
  const std::string id = TypeId("webhook", claim.webhook);
  CRM_CO_TRY(v1::Webhook before, co_await webhooks.app.db.Get(call, table, id));
  if (!before.enabled()) co_return absl::OkStatus();
  v1::Webhook after = before;
  after.set_enabled(false);
  after.set_disable_reason(Truncated(why, 500));
  pg::Touch(call, before, after);
  pg::Batch batch(call);
  batch.Update(table, before, after);
  batch.Add(sql::kFailDeliveries, pg::Params().Id(claim.tenant).Id(claim.webhook).Text("the webhook was switched off"));
  v1::WebhookDisabled event;
  *event.mutable_webhook() = after;
  batch.Emit(pg::EventOf(table, "disabled", after), event);
  auto written = co_await webhooks.app.db.Write(call, std::move(batch));
  if (IsLostRace(written.status())) co_return absl::OkStatus();  // somebody changed it: the next failure looks again
  CRM_CO_TRY(written.status());
  if (!absl::StartsWith(before.creator_id(), "user_")) co_return absl::OkStatus();
  scheduler::v1::CreateNotificationRequest request;
  auto* notification = request.mutable_notification();
  notification->set_owner_id(before.creator_id());
  notification->set_title(absl::StrCat("Webhook switched off: ", before.name()));
  notification->set_text(after.disable_reason());
  request.set_cause(absl::StrCat(id, "/disabled/", after.etag()));
  auto told = co_await webhooks.scheduler.Unary<scheduler::v1::Notification>(
      call, "crm.scheduler.v1.NotificationService.CreateNotification", request);
  if (!told.ok()) {
    obs::Log(obs::Level::kWarning, call, "nobody could be told that a webhook was switched off",
             {{"webhook", id}, {"why", told.status().message()}});
  }
  co_return absl::OkStatus();
}

const pg::Statement& PruneDeliveries() { return sql::kPruneDeliveries; }

}  // namespace crm::messaging
