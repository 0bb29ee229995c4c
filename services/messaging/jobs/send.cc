#include <absl/container/flat_hash_map.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <numeric>
#include <optional>
#include <random>

#include "common/base/failpoint.h"
#include "common/base/text.h"
#include "common/events/share.h"
#include "common/obs/log.h"
#include "common/obs/metrics.h"
#include "services/messaging/handlers/check_channel.h"
#include "services/messaging/jobs/jobs.h"
#include "services/messaging/rules/letters.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"

namespace crm::messaging {
namespace sender_internal {

// Letters under way at once in this process; each holds a thread of the pool while its server talks.
constexpr int kAtOnce = 12;
// Of one tenant: a company whose server is slow must not fill all places.
constexpr int kAtOncePerTenant = 4;
constexpr int kTenantsPerLook = 32;
// How long a claim lasts: more than any attempt (SmtpTimes.all) and its records take.
constexpr int kClaimSeconds = 300;
// Until when a claim may still be begun, so that it lasts to the end: what a process begins when it wakes from a pause (a machine that was
// suspended) would be sent twice.
constexpr std::chrono::seconds kBeginWithin{100};
// How often the queue is looked at when nobody calls: what was put back comes due by itself.
constexpr std::chrono::milliseconds kLookEvery{500};
// A look takes at most a tenth of the time, however many tenants have letters waiting.
constexpr int kLookRest = 10;
// ... but rests no longer than this: a look that took minutes is one in which the process, or the database, stood still.
constexpr std::chrono::milliseconds kLookRestMax{5000};
// How often what is due is counted, for those who watch: counting reads it all.
constexpr std::chrono::milliseconds kCountEvery{5000};
constexpr std::chrono::milliseconds kShareLease{15000};
// Between attempts to record an answer, doubled each time.
constexpr std::chrono::milliseconds kRecordPause{200}, kRecordPauseMax{5000};
// Attempts to record an answer that the database refuses while it is there: what it does not take now it will not take in a minute.
constexpr int kRecordTries = 6;
// What letters under way get when the process is told to stop; the process itself waits 5 s.
constexpr std::chrono::milliseconds kEndMax{4500};

struct Claim {
  Uuid tenant;
  std::string message_id;
  int64_t token = 0;
  std::vector<std::string> recipients;
  int attempts = 0;
  int doubts = 0;
  bool begun = false;
  Cause cause;
  std::chrono::steady_clock::time_point begin_by, ends;
};

// What an attempt changed: the letter's new state, and what is left for its row in the queue.
struct Verdict {
  v1::Message after;
  std::vector<std::string> left;            // recipients that still wait
  std::map<std::string, std::string> dead;  // addresses to suspend, with what the server said
  int doubts = 0;
  bool again = false;
};

// A database that is away, or out of breath, comes back.
bool Passing(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsResourceExhausted(status);
}

void Fail(v1::Message& message, v1::MessageStatus status, const std::string& why) {
  message.set_status(status);
  message.set_error(Truncated(why, 500));
  message.clear_next_attempt_time();
}

}  // namespace sender_internal

namespace sq = sender_internal;

struct Sender::Impl : std::enable_shared_from_this<Sender::Impl> {
  Impl(Messaging& app, std::string holder, HandOver hand_over)
      : app(app),
        holder(std::move(holder)),
        hand_over(std::move(hand_over)),
        sent(obs::MakeCounter("crm_letters_total", "Attempts at letters by how they ended", {{"outcome", "sent"}})),
        again(obs::MakeCounter("crm_letters_total", "Attempts at letters by how they ended", {{"outcome", "retried"}})),
        bounced(
            obs::MakeCounter("crm_letters_total", "Attempts at letters by how they ended", {{"outcome", "bounced"}})),
        failed(obs::MakeCounter("crm_letters_total", "Attempts at letters by how they ended", {{"outcome", "failed"}})),
        unknown(
            obs::MakeCounter("crm_letters_total", "Attempts at letters by how they ended", {{"outcome", "unknown"}})),
        seconds(obs::MakeHistogram("crm_letter_seconds", "Time that a server took with one letter")),
        backlog(obs::MakeGauge("crm_letters_due", "Letters that are due and not claimed")),
        lag(obs::MakeGauge("crm_letters_due_age_seconds", "How long the oldest due letter has waited")) {}

  Async<> Run(Call call);
  Async<int> Turn(const Call& call, const std::vector<int>& shards);
  // Whether a look would find something; else it is for what comes due by itself, and for other replicas' letters.
  bool WantsLook() const { return queued || (due.empty() && more_due); }
  Async<> Look(const Call& call, const std::vector<int>& shards);
  Async<std::vector<sq::Claim>> ClaimDue(const Call& call);
  Async<> TakeBackOwn(const Call& call);
  asio::awaitable<void> Send(sq::Claim claim);
  Async<> Attempt(sq::Claim& claim);
  Async<> Settle(const Call& call, const sq::Claim& claim, const v1::Message& before, sq::Verdict verdict);
  Async<> Drop(const Call& call, const sq::Claim& claim);
  sq::Verdict Judge(const sq::Claim& claim, const v1::Message& marked, const SmtpOutcome& outcome,
                    absl::Time now) const;
  void Retry(const sq::Claim& claim, sq::Verdict& verdict, absl::Time now) const;
  void Count(const sq::Verdict& verdict) const;

  Messaging& app;
  const std::string holder;
  const HandOver hand_over;
  std::shared_ptr<asio::steady_timer> sleep;  // on the job's loop
  std::atomic<bool> queued{true};             // something has been queued since the last look
  // On the job's loop.
  bool freed = false;  // a letter has ended since the last turn
  int under_way = 0;
  absl::flat_hash_map<Uuid, int> under_way_of;  // by tenant
  std::vector<Uuid> due;                        // tenants that had letters due at the last look, and may have more
  bool more_due = false;                        // there were more tenants than one look takes
  std::chrono::steady_clock::time_point look_after{}, look_by{}, count_at{};
  obs::Counter sent, again, bounced, failed, unknown;
  obs::Histogram seconds;
  obs::Gauge backlog, lag;
};

Sender::Sender(Messaging& app, std::string holder, HandOver hand_over)
    : impl_(std::make_shared<Impl>(app, std::move(holder), std::move(hand_over))) {}
Sender::~Sender() = default;
Async<> Sender::Run(Call call) { return impl_->Run(std::move(call)); }

void Sender::Wake() {
  impl_->queued = true;
  if (auto timer = std::atomic_load(&impl_->sleep)) {
    asio::post(timer->get_executor(), [timer] { timer->cancel(); });
  }
}

Async<> Sender::Impl::Run(Call call) {
  const auto executor = co_await asio::this_coro::executor;
  auto timer = std::make_shared<asio::steady_timer>(executor);
  std::atomic_store(&sleep, timer);
  events::Share share(app.worker_db, "messaging", "send", holder, sq::kShareLease);
  CRM_CO_TRY(co_await TakeBackOwn(call));
  // Told to stop, it lets the letters under way end: a cut answer would be a letter of unknown fate.
  co_await asio::this_coro::throw_if_cancelled(false);
  for (;;) {
    const auto stop = co_await asio::this_coro::cancellation_state;
    if (stop.cancelled() != asio::cancellation_type::none) break;
    (void)co_await share.Renew();
    freed = false;
    auto claimed = co_await Turn(call, share.shards());
    if (!claimed.ok())
      obs::Log(obs::Level::kWarning, call, "the queue of letters cannot be read",
               {{"error", claimed.status().message()}});
    const bool able = claimed.ok() && under_way < sq::kAtOnce && !share.shards().empty();
    const auto now = std::chrono::steady_clock::now();
    if (able && (*claimed > 0 || freed || (WantsLook() && now >= look_after))) continue;
    boost::system::error_code ended;
    timer->expires_at(able && WantsLook() ? std::min(look_after, now + sq::kLookEvery) : now + sq::kLookEvery);
    co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, ended));
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  const auto until = std::chrono::steady_clock::now() + sq::kEndMax;
  while (under_way > 0 && std::chrono::steady_clock::now() < until) {
    boost::system::error_code ended;
    timer->expires_after(std::chrono::milliseconds(50));
    co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, ended));
  }
  co_await share.Release();
  co_return absl::OkStatus();
}

// What this replica had claimed when it died is nobody else's to wait for.
Async<> Sender::Impl::TakeBackOwn(const Call& call) {
  CRM_CO_TRY(pg::Rows tenants, co_await app.worker_db.Read(call, sql::kHoldersTenants, pg::Params().Text(holder)));
  for (int i = 0; i < tenants.size(); ++i) {
    pg::Batch batch(call);
    batch.Add(sql::kTakeBackSends, pg::Params().Id(tenants.Id(i, 0)).Text(holder));
    CRM_CO_TRY(co_await app.worker_db.Write(call, std::move(batch)));
  }
  co_return absl::OkStatus();
}

// Which tenants have letters due; and every few seconds how many letters.
Async<> Sender::Impl::Look(const Call& call, const std::vector<int>& shards) {
  std::vector<int64_t> buckets;
  for (int bucket = 0; bucket < 256; ++bucket) {
    if (std::find(shards.begin(), shards.end(), bucket % events::kShards) != shards.end()) buckets.push_back(bucket);
  }
  const auto begin = std::chrono::steady_clock::now();
  queued = false;
  pg::Batch batch(call);
  batch.Add(sql::kByQueueAlone);
  batch.Add(sql::kDueTenants, pg::Params().IntArray(buckets).Int(sq::kTenantsPerLook));
  const bool count = begin >= count_at;
  if (count) batch.Add(sql::kSendBacklog, pg::Params().IntArray(buckets));
  CRM_CO_TRY(auto results, co_await app.worker_db.Read(call, std::move(batch)));
  const auto end = std::chrono::steady_clock::now();
  look_after = end + std::min<std::chrono::steady_clock::duration>(sq::kLookRest * (end - begin), sq::kLookRestMax);
  look_by = end + sq::kLookEvery;
  due.clear();
  for (int i = 0; i < results[1].size(); ++i) due.push_back(results[1].Id(i, 0));
  more_due = results[1].size() == sq::kTenantsPerLook;
  if (count) {
    count_at = end + sq::kCountEvery;
    backlog.Set(static_cast<double>(results[2].Int(0, 0)));
    lag.Set(static_cast<double>(std::max<int64_t>(0, results[2].Int(0, 1))));
  }
  co_return absl::OkStatus();
}

// Claims letters of the tenants that have some, each as far as it may have more under way, all in one transaction.
Async<std::vector<sq::Claim>> Sender::Impl::ClaimDue(const Call& call) {
  std::vector<sq::Claim> claims;
  std::vector<std::pair<Uuid, int>> asked;
  int room = sq::kAtOnce - under_way;
  pg::Batch batch(call);
  batch.Add(sql::kByQueueAlone);
  for (const Uuid& tenant : due) {
    const auto at_work = under_way_of.find(tenant);
    const int count = std::min(room, sq::kAtOncePerTenant - (at_work == under_way_of.end() ? 0 : at_work->second));
    if (count <= 0) continue;
    batch.Add(sql::kClaimSends,
              pg::Params().Id(tenant).Text(holder).Int(sq::kClaimSeconds).Int(count).Int(tenant.bucket()));
    asked.emplace_back(tenant, count);
    room -= count;
  }
  if (asked.empty()) co_return claims;
  const auto asked_at = std::chrono::steady_clock::now();
  CRM_CO_TRY(auto results, co_await app.worker_db.Write(call, std::move(batch)));
  for (size_t i = 0; i < asked.size(); ++i) {
    const auto& [tenant, count] = asked[i];
    const pg::Rows& rows = results[i + 1];
    for (int j = 0; j < rows.size(); ++j) {
      sq::Claim& claim = claims.emplace_back();
      claim.tenant = tenant;
      claim.message_id = TypeId("message", rows.Id(j, 0));
      claim.token = rows.Int(j, 1);
      claim.recipients = rows.TextArray(j, 2);
      claim.attempts = static_cast<int>(rows.Int(j, 3));
      claim.doubts = static_cast<int>(rows.Int(j, 4));
      claim.begun = rows.Bool(j, 5);
      claim.begin_by = asked_at + sq::kBeginWithin;
      claim.ends = asked_at + std::chrono::seconds(sq::kClaimSeconds);
      claim.cause = {std::string(rows.Text(j, 6)), std::string(rows.Text(j, 7)), static_cast<int>(rows.Int(j, 8))};
    }
    if (rows.size() < count) due.erase(std::find(due.begin(), due.end(), tenant));  // that was all it had
  }
  co_return claims;
}

// Begins to send what is due, as far as there is room; answers how many letters.
Async<int> Sender::Impl::Turn(const Call& call, const std::vector<int>& shards) {
  if (under_way >= sq::kAtOnce || shards.empty()) co_return 0;
  const auto now = std::chrono::steady_clock::now();
  if (now >= look_after && (WantsLook() || now >= look_by)) {
    CRM_CO_TRY(co_await Look(call, shards));
  }
  CRM_CO_TRY(std::vector<sq::Claim> claims, co_await ClaimDue(call));
  const auto executor = co_await asio::this_coro::executor;
  for (sq::Claim& claim : claims) {
    ++under_way;
    ++under_way_of[claim.tenant];
    asio::co_spawn(executor, Send(std::move(claim)), asio::detached);
  }
  co_return static_cast<int>(claims.size());
}

asio::awaitable<void> Sender::Impl::Send(sq::Claim claim) {
  const auto self = shared_from_this();
  try {
    const absl::Status status = co_await Attempt(claim);
    // A lost race: someone else has claimed it since, or it was taken back. Its row says what is next.
    if (!status.ok() && !IsLostRace(status))
      obs::Log(obs::Level::kWarning, "a letter could not be handled; it is tried again",
               {{"message", claim.message_id}, {"error", status.message()}});
  } catch (const std::exception& e) {
    obs::Log(obs::Level::kError, "sending a letter threw", {{"message", claim.message_id}, {"error", e.what()}});
  }
  --under_way;
  if (--under_way_of[claim.tenant] == 0) under_way_of.erase(claim.tenant);
  freed = true;
  if (sleep) sleep->cancel();
}

Async<> Sender::Impl::Drop(const Call& call, const sq::Claim& claim) {
  pg::Batch batch(call);
  batch.AddGuarded(sql::kEndSend, pg::Params().Id(claim.tenant).Id(UuidOf(claim.message_id)).Int(claim.token),
                   claim.message_id);
  CRM_CO_TRY(co_await app.db.Write(call, std::move(batch)));
  co_return absl::OkStatus();
}

// When the next attempt is, or that there is none.
void Sender::Impl::Retry(const sq::Claim& claim, sq::Verdict& verdict, absl::Time now) const {
  if (verdict.after.attempt_count() >= app.settings.attempts_max) {
    verdict.left.clear();
    sq::Fail(verdict.after, v1::MESSAGE_STATUS_FAILED,
             absl::StrCat("given up after ", verdict.after.attempt_count(), " attempts: ", verdict.after.error()));
    return;
  }
  static thread_local std::mt19937_64 random{std::random_device{}()};
  const absl::Duration delay =
      RetryDelay(claim.attempts + 1, absl::FromChrono(app.settings.retry), std::uniform_real_distribution<>()(random));
  verdict.again = true;
  verdict.after.set_status(v1::MESSAGE_STATUS_QUEUED);
  *verdict.after.mutable_next_attempt_time() = ToTimestamp(now + delay);
}

// What a server's answer means for a letter.
sq::Verdict Sender::Impl::Judge(const sq::Claim& claim, const v1::Message& marked, const SmtpOutcome& outcome,
                                absl::Time now) const {
  sq::Verdict verdict;
  verdict.after = marked;
  verdict.doubts = claim.doubts;
  v1::Message& after = verdict.after;
  after.set_reply_code(outcome.answer.code);
  after.set_error(Truncated(outcome.error, 500));
  if (outcome.unknown) {
    ++verdict.doubts;
    verdict.left = claim.recipients;
    if (MayRepeatDoubtful(marked.category(), verdict.doubts)) {
      Retry(claim, verdict, now);
      return verdict;
    }
    verdict.left.clear();
    sq::Fail(after, v1::MESSAGE_STATUS_UNKNOWN,
             absl::StrCat("the server's answer was lost; the letter may have arrived: ", outcome.error));
    return verdict;
  }
  // What each recipient's server said, where it got so far.
  std::string refusals;
  for (size_t i = 0; i < claim.recipients.size(); ++i) {
    const SmtpAnswer& answer = outcome.recipients[i];
    const Fate fate = answer.code == 0 ? Fate::kAgain : FateOf(answer.code);
    if (fate == Fate::kRefused) {
      absl::StrAppend(&refusals, refusals.empty() ? "" : "; ", claim.recipients[i], ": ", answer.text);
      after.set_reply_code(answer.code);
      if (AddressIsDead(answer.code, answer.text)) verdict.dead[claim.recipients[i]] = answer.text;
    } else if (!(fate == Fate::kSent && outcome.sent)) {
      verdict.left.push_back(claim.recipients[i]);
    }
  }
  if (outcome.sent) {
    *after.mutable_send_time() = ToTimestamp(now);
    after.set_error(Truncated(refusals, 500));
    if (verdict.left.empty()) {
      after.set_status(v1::MESSAGE_STATUS_SENT);
      after.clear_next_attempt_time();
    } else {
      Retry(claim, verdict, now);  // some took it, others not now
    }
    return verdict;
  }
  const bool about_letter = outcome.stage == SmtpStage::kSender || outcome.stage == SmtpStage::kData;
  if (about_letter && FateOf(outcome.answer.code) == Fate::kRefused) {
    verdict.left.clear();
    sq::Fail(after, outcome.stage == SmtpStage::kData ? v1::MESSAGE_STATUS_BOUNCED : v1::MESSAGE_STATUS_FAILED,
             outcome.error);
    return verdict;
  }
  if (!refusals.empty()) after.set_error(Truncated(refusals, 500));
  if (verdict.left.empty()) {
    sq::Fail(after, marked.has_send_time() ? v1::MESSAGE_STATUS_SENT : v1::MESSAGE_STATUS_BOUNCED, refusals);
    return verdict;
  }
  Retry(claim, verdict, now);
  return verdict;
}

void Sender::Impl::Count(const sq::Verdict& verdict) const {
  if (verdict.again) return again.Add();
  switch (verdict.after.status()) {
    case v1::MESSAGE_STATUS_SENT:
      return sent.Add();
    case v1::MESSAGE_STATUS_BOUNCED:
      return bounced.Add();
    case v1::MESSAGE_STATUS_UNKNOWN:
      return unknown.Add();
    default:
      return failed.Add();
  }
}

// Records a verdict: message, place in the queue, suspended addresses and event, if the claim still holds.
Async<> Sender::Impl::Settle(const Call& call, const sq::Claim& claim, const v1::Message& before, sq::Verdict verdict) {
  std::vector<std::string> dead;
  for (const auto& [address, answer] : verdict.dead) dead.push_back(address);
  std::map<std::string, std::string> known;
  if (!dead.empty()) {
    CRM_CO_TRY(known, co_await Suppressed(app, call, dead));
  }
  pg::Touch(call, before, verdict.after);
  pg::Batch batch(call);
  app.tables.messages.AddUpdate(batch, before, verdict.after, type::v1::ACTION_UNSPECIFIED);
  pg::Params row;
  row.Id(claim.tenant).Id(UuidOf(claim.message_id)).Int(claim.token);
  if (verdict.again) {
    const absl::Duration delay = FromTimestamp(verdict.after.next_attempt_time()) - call.now();
    row.Decimal(absl::StrCat(absl::ToDoubleSeconds(std::max(delay, absl::ZeroDuration()))))
        .TextArray(verdict.left)
        .Int(verdict.doubts);
    batch.AddGuarded(sql::kPostponeSend, std::move(row), claim.message_id);
  } else {
    batch.AddGuarded(sql::kEndSend, std::move(row), claim.message_id);
  }
  for (const auto& [address, answer] : verdict.dead) {
    if (known.count(address) > 0) continue;
    v1::Suppression suppression;
    suppression.set_address(address);
    suppression.set_reason(v1::SUPPRESSION_REASON_BOUNCED);
    suppression.set_note(answer);
    suppression.set_message_id(claim.message_id);
    pg::StampNew(call, app.tables.suppressions, suppression);
    batch.Insert(app.tables.suppressions, suppression);
    EmitRecord<v1::SuppressionCreated>(batch, app.tables.suppressions, "created", suppression);
  }
  EmitMessage(batch, app.tables, verdict.after);
  auto stored = co_await app.db.Write(call, std::move(batch));
  // Another letter to the same address bounced at the same moment: the suspension is there already.
  if (absl::IsAlreadyExists(stored.status())) {
    verdict.dead.clear();
    co_return co_await Settle(call, claim, before, std::move(verdict));
  }
  if (!stored.ok()) co_return stored.status();
  Count(verdict);
  co_return absl::OkStatus();
}

// One attempt at one letter.
Async<> Sender::Impl::Attempt(sq::Claim& claim) {
  Call call = app.own_call(claim.tenant);
  call.cause = claim.cause;
  auto found = co_await app.db.Get(call, app.tables.messages, claim.message_id);
  if (absl::IsNotFound(found.status())) co_return co_await Drop(call, claim);
  if (!found.ok()) co_return found.status();
  const v1::Message before = *std::move(found);
  if (before.status() != v1::MESSAGE_STATUS_QUEUED && before.status() != v1::MESSAGE_STATUS_SENDING)
    co_return co_await Drop(call, claim);

  // Begun and never ended: whoever began it died, perhaps after the server had it.
  if (claim.begun) {
    SmtpOutcome lost;
    lost.unknown = true;
    lost.error = "the sender stopped between handing the letter over and hearing the answer";
    lost.recipients.resize(claim.recipients.size());
    sq::Verdict verdict = Judge(claim, before, lost, call.now());
    co_return co_await Settle(call, claim, before, std::move(verdict));
  }

  // What stops a letter before anything is said to a server.
  sq::Verdict stopped;
  stopped.after = before;
  stopped.doubts = claim.doubts;
  stopped.left = claim.recipients;
  CRM_CO_TRY(auto suppressed, co_await Suppressed(app, call, claim.recipients));
  if (!suppressed.empty()) {
    sq::Fail(stopped.after, v1::MESSAGE_STATUS_BLOCKED,
             absl::StrCat(suppressed.begin()->first, " is suspended: ", suppressed.begin()->second));
    co_return co_await Settle(call, claim, before, std::move(stopped));
  }
  auto channel =
      co_await app.db.Get(call, app.tables.channels, before.channel_id(), type::v1::ACTION_READ, /*show_deleted=*/true);
  if (!channel.ok() && !absl::IsNotFound(channel.status())) co_return channel.status();
  if (!channel.ok() || channel->has_delete_time() || !channel->enabled() || !channel->has_smtp()) {
    sq::Fail(stopped.after, v1::MESSAGE_STATUS_FAILED,
             "its channel is deleted, switched off or has no server; try again when it is set up");
    co_return co_await Settle(call, claim, before, std::move(stopped));
  }
  SmtpRequest request;
  request.server = channel->smtp();
  request.sender = channel->address();
  request.recipients = claim.recipients;
  request.ca_file = app.settings.smtp_ca_file;
  request.times = app.settings.smtp_times;
  auto password = co_await ChannelSecret(app, call, channel->id());
  if (!password.ok() && !absl::IsDataLoss(password.status())) co_return password.status();
  if (!password.ok()) {
    sq::Fail(stopped.after, v1::MESSAGE_STATUS_FAILED, std::string(password.status().message()));
    co_return co_await Settle(call, claim, before, std::move(stopped));
  }
  request.password = *std::move(password);
  std::vector<OutgoingFile> files;
  for (const auto& id : before.attachment_file_ids()) {
    absl::StatusOr<OutgoingFile> file = absl::NotFoundError("");
    if (app.files != nullptr) file = co_await app.files->Load(call, id);
    if (absl::IsNotFound(file.status())) {
      sq::Fail(stopped.after, v1::MESSAGE_STATUS_FAILED, absl::StrCat("its attachment ", id, " is gone"));
      co_return co_await Settle(call, claim, before, std::move(stopped));
    }
    if (!file.ok()) co_return file.status();
    files.push_back(*std::move(file));
  }

  // The mark: from here on the letter may be out.
  v1::Message marked = before;
  marked.set_status(v1::MESSAGE_STATUS_SENDING);
  marked.set_attempt_count(before.attempt_count() + 1);
  marked.clear_next_attempt_time();
  pg::Touch(call, before, marked);
  absl::Status mark;
  {
    pg::Batch batch(call);
    app.tables.messages.AddUpdate(batch, before, marked, type::v1::ACTION_UNSPECIFIED);
    batch.AddGuarded(sql::kBeginSend,
                     pg::Params().Id(claim.tenant).Id(UuidOf(claim.message_id)).Int(claim.token).Int(claim.doubts),
                     claim.message_id);
    auto written = co_await app.db.Write(call, std::move(batch));
    mark = written.status();
  }
  // Not known whether it is there: the letter is put back, since here it is known that nobody was handed it. Left as it is, it would
  // count as one that may have arrived.
  const bool marked_for_sure = mark.ok();
  if (!marked_for_sure && !absl::IsUnavailable(mark) && !absl::IsDeadlineExceeded(mark)) co_return mark;
  CRM_FAILPOINT("messaging.after_mark");

  const auto begun = std::chrono::steady_clock::now();
  SmtpOutcome outcome;
  // Owned by the work: whoever waits may be cancelled while the server still talks. (A lambda with such captures must
  // not be a temporary of the co_await: g++ 12 destroys it twice.)
  struct Work {
    SmtpRequest request;
    v1::Message letter;
    std::vector<OutgoingFile> files;
    absl::Time now;
    std::chrono::steady_clock::time_point begin_by;
    SmtpOutcome outcome;
  };
  auto shared = std::make_shared<Work>();
  shared->request = std::move(request);
  shared->letter = marked;
  shared->files = std::move(files);
  shared->now = call.now();
  shared->begin_by = claim.begin_by;
  std::function<void()> work = [shared, guard = &app.settings.guard, hand_over = hand_over] {
    shared->outcome.recipients.resize(shared->request.recipients.size());
    auto addresses = guard->Resolve(shared->request.server.host());
    if (!addresses.ok()) {
      shared->outcome.error = std::string(addresses.status().message());
      return;
    }
    shared->request.addresses = *std::move(addresses);
    shared->request.letter = BuildLetter(shared->letter, shared->files, shared->now);
    if (std::chrono::steady_clock::now() > shared->begin_by) {
      shared->outcome.error = "this process stood still for too long; it is sent later";
      return;
    }
    shared->outcome = hand_over(shared->request);
  };
  absl::Status offloaded = mark;
  if (marked_for_sure) offloaded = co_await app.offload(work);
  outcome = shared->outcome;
  if (!offloaded.ok()) {
    outcome.recipients.resize(claim.recipients.size());
    outcome.error = std::string(offloaded.message());
  }
  if (marked_for_sure) seconds.Observe(std::chrono::steady_clock::now() - begun);

  // The answer must be recorded, or a letter that arrived is in doubt: tried as long as the claim lasts, should the database be away for
  // minutes, and again if someone else (a new owner) wrote to the message. What is refused for another reason is tried a few times only.
  std::optional<v1::Message> current;  // none: to be read first
  if (marked_for_sure) current = marked;
  absl::Status recorded = mark;
  int refused = 0;
  for (auto pause = sq::kRecordPause;; pause = std::min(2 * pause, sq::kRecordPauseMax)) {
    Call settle = app.own_call(claim.tenant);
    settle.cause = claim.cause;
    if (current) {
      sq::Verdict verdict = Judge(claim, *current, outcome, settle.now());
      recorded = co_await Settle(settle, claim, *current, std::move(verdict));
    }
    if (recorded.ok() || std::chrono::steady_clock::now() > claim.ends) co_return recorded;
    if (!sq::Passing(recorded) && ++refused == sq::kRecordTries) co_return recorded;
    if (!IsLostRace(recorded)) {
      asio::steady_timer timer(co_await asio::this_coro::executor, pause);
      boost::system::error_code ended;
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ended));
    }
    auto reloaded = co_await app.db.Get(settle, app.tables.messages, claim.message_id);
    if (absl::IsNotFound(reloaded.status())) co_return reloaded.status();
    if (!reloaded.ok()) continue;
    // The claim is another's now.
    if (current && IsLostRace(recorded) && reloaded->etag() == current->etag()) co_return recorded;
    current = *std::move(reloaded);
  }
}

}  // namespace crm::messaging
