// Webhooks on their way out: handlers queue deliveries, senders claim them and post them to modelled receivers, which keep a log.
#include <absl/strings/match.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include "common/base/time.h"
#include "services/messaging/service.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"
#include "services/messaging/webhooks.h"
#include "tests/unit/simulator/world.h"

namespace crm::sim {

namespace {

namespace ms = crm::messaging;
namespace mv = crm::messaging::v1;

// A company's other system, and the webhook that goes to it.
struct Receiver {
  Uuid tenant;
  std::string url, secret, webhook_id;
  bool broken = false;  // never takes anything
  bool gone = false;    // it has answered 410
};

// A post that a receiver was shown.
struct Shown {
  std::shared_ptr<Life> by;
  Steady at;
  bool taken = false;  // as the receiver sees it
  int answered = 0;    // what the sender was told: an HTTP status, or 0
};

struct Delivery {
  const Receiver* receiver = nullptr;
  bool replaying = false;    // somebody is putting it back into the queue,
  size_t shown_by_then = 0;  // after so many posts
};

// What of messaging runs in a process.
struct Desk {
  ~Desk() {
    sender.reset();
    Lent<ms::WebhookTables>::GiveBack(std::move(webhooks->tables));
    Lent<ms::Tables>::GiveBack(std::move(app->tables));
  }
  std::unique_ptr<ms::Messaging> app;
  std::unique_ptr<ms::Webhooks> webhooks;
  std::unique_ptr<ms::WebhookService> service;
  std::unique_ptr<ms::WebhookSender> sender;
  asio::cancellation_signal stop;
  bool stopping = false;
  std::optional<Millis> answer_in;  // of the work that has just posted
  int posting = 0;
};

class WebhooksWorld final : public World {
 public:
  WebhooksWorld(uint64_t seed, std::string planted) : World(seed), planted_(std::move(planted)) {
    patience_ = Millis(1'200'000);
  }

 protected:
  void Begin() override;
  void Fill(Process& process) override;
  bool AtRest() override;
  asio::awaitable<void> AfterCalm() override;
  void Check() override;
  void Stir() override;

 private:
  void Plant();
  void AddReceiver(int number);
  Call OwnCall(const Uuid& tenant, Millis within = Millis(0)) const;
  Async<> Work(std::shared_ptr<Life> life, Desk& desk);
  Async<> Offload(Process& process, Desk& desk, std::function<void()> work);
  ms::WebhookAnswer Post(Process& process, Desk& desk, const ms::WebhookPost& post);
  ms::WebhookAnswer Reply(Receiver& receiver, Shown& shown);
  void CheckPost(const Receiver& receiver, const ms::WebhookPost& post);
  void CheckDelivery(const std::string& id, const Delivery& delivery);
  asio::awaitable<void> KillIn(std::shared_ptr<Process> process, Millis after);
  asio::awaitable<void> Write(const Receiver& receiver, int count);
  Desk* AnyDesk();
  // The delivery as it is stored; nullptr if there is none.
  const RecordRow* Stored(const Receiver& receiver, const std::string& id);
  // Notes what has reached its end, since whatever has may not be posted again.
  void Look();
  bool JustJumped() const {
    return postgres_.jumped_at() != Steady() && std::chrono::steady_clock::now() - postgres_.jumped_at() < kJumpFelt;
  }

  static constexpr int kSenders = 3;
  // What webhook_send.cc promises: posts at once in a process; a claim lasts 60 s and is begun within the first 40, so nobody else begins
  // a post within so long after it has begun.
  static constexpr int kAtOnce = 8;
  static constexpr std::chrono::seconds kNobodyElse{20};
  // A jump of the database's clock ends claims that were made before it; what was begun by then is over so much later.
  static constexpr Millis kJumpFelt{60'000};
  static constexpr char kKey[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

  static const ms::WebhookTables& TheTables() {
    static const ms::WebhookTables tables;
    return tables;
  }

  const std::string planted_;
  std::vector<std::unique_ptr<Receiver>> receivers_;
  std::map<std::string, Delivery> deliveries_;       // those that were acknowledged
  std::map<std::string, std::vector<Shown>> shown_;  // by delivery: the receivers' log
  std::set<std::string> seen_delivered_;
  std::map<const Process*, Desk*> desks_;
  size_t refused_ = 0;  // asked for when the webhook was off
  int writing_ = 0;
  int at_work_ = 0;  // works in the processes' pools, those of the dead too
};

void WebhooksWorld::Begin() {
  RegisterEvents(postgres_);
  RegisterSends(postgres_);
  RegisterWebhooks(postgres_);
  RegisterRecords(postgres_, "messaging", TheTables().webhooks);
  RegisterRecords(postgres_, "messaging", TheTables().deliveries);
  Plant();
  const int receivers = Between(1, 3);
  for (int i = 0; i < receivers; ++i) AddReceiver(i);
  const int senders = Between(2, kSenders);
  for (int slot = 0; slot < senders; ++slot) Start("messaging", slot);
  for (const auto& receiver : receivers_) {
    Spawn(Write(*receiver, Between(1, 4)));
    if (!OneIn(3)) continue;
    const int more = Between(8, 20);  // more than may be posted at once
    for (int i = 0; i < more; ++i) Spawn(Write(*receiver, 1));
  }
}

void WebhooksWorld::Plant() {
  if (planted_ == "claim without lease") {
    postgres_.Register("messaging.claim_deliveries", 0, [](Running& run) { ClaimDeliveries(run, false, true); });
  } else if (planted_ == "claim beyond its limit") {
    postgres_.Register("messaging.claim_deliveries", 0, [](Running& run) { ClaimDeliveries(run, true, false); });
  } else if (planted_ == "anybody's secret") {
    postgres_.Register("messaging.find_webhook_to_post", 0, [](Running& run) {
      const RecordRow* row = run.schema.row.Find(run.txn, {"webhook", {run.tenant, run.given.Id(1)}});
      std::string sealed;
      run.schema.webhook_secret.Each(run.txn, [&](const auto&, const std::string& one) {
        if (sealed.empty()) sealed = one;
      });
      run.answer.Row().Text(*row->at("url")).Bool(true).Cell(row->at("personal_data")).Bytes(sealed);
      run.answer.Cell(std::nullopt).Cell(std::nullopt).Cell(row->at("failing_since"));
    });
  } else if (planted_ == "settled without the fence") {  // whoever comes last is believed
    postgres_.Register("messaging.settle_delivery", 0, [](Running& run) {
      const RowKey key{"delivery", {run.given.Id(1), run.given.Id(2)}};
      run.schema.row.Lock(run.txn, key);
      RecordRow row = *run.schema.row.Find(run.txn, key);
      row["status"] = IntCell(run.given.Int(4));
      row["next_attempt_time"] = std::nullopt;
      if (!run.given.Null(5)) row["next_attempt_time"] = TimeCell(run.now + absl::Milliseconds(run.given.Int(5)));
      row["lease_until"] = std::nullopt;
      run.schema.row.Put(run.txn, key, std::move(row));
      run.answer.Row().Int(1);
    });
  } else if (planted_ == "everybody's taken back") {
    postgres_.Register("messaging.take_back_deliveries", 0, [](Running& run) {
      std::vector<RowKey> held;
      run.schema.row.Each(run.txn, [&](const RowKey& key, const RecordRow& row) {
        if (key.first == "delivery" && row.at("lease_until")) held.push_back(key);
      });
      for (const RowKey& key : held) run.schema.row.Lock(run.txn, key);
      for (const RowKey& key : held) {
        RecordRow row = *run.schema.row.Find(run.txn, key);
        row["lease_until"] = std::nullopt;
        run.schema.row.Put(run.txn, key, std::move(row));
      }
    });
  }
}

// A webhook as CreateWebhook leaves it.
void WebhooksWorld::AddReceiver(int number) {
  auto receiver = std::make_unique<Receiver>();
  receiver->tenant = NewUuid(absl::Now());
  receiver->url = absl::StrCat("https://10.0.0.", number + 1, "/hook");
  receiver->secret = ms::NewWebhookSecret();
  receiver->broken = OneIn(8);
  mv::Webhook webhook;
  webhook.set_name("Shop");
  webhook.set_url(receiver->url);
  webhook.set_enabled(true);
  const Call call = OwnCall(receiver->tenant);
  pg::StampNew(call, TheTables().webhooks, webhook);
  receiver->webhook_id = webhook.id();
  const auto box = ms::SecretBox::Make(kKey);
  pg::Batch batch(call);
  batch.Insert(TheTables().webhooks, webhook);
  batch.Add(ms::sql::kPutWebhookSecret,
            pg::Params()
                .Id(call.tenant())
                .Id(ms::UuidOf(webhook.id()))
                .Bytes(box->Seal(receiver->secret, ms::WebhookSecretContext(receiver->tenant, webhook.id()))));
  postgres_.AtOnce("messaging", batch);
  receivers_.push_back(std::move(receiver));
}

Call WebhooksWorld::OwnCall(const Uuid& tenant, Millis within) const {
  Call call = events::OwnCall("messaging", "sim.Own", tenant, within);
  if (within.count() == 0) call.deadline = Steady::max();  // as an app's own calls
  return call;
}

void WebhooksWorld::Fill(Process& process) {
  static rpc::Client nobody{rpc::ClientOptions{"127.0.0.1:1", "/dev/null", "/dev/null", "/dev/null"}};
  auto desk = std::make_shared<Desk>();
  Desk& it = *desk;
  ms::Settings settings;
  settings.guard = *ms::NetGuard::Make({"10.0.0.0/8"});
  settings.secrets = *ms::SecretBox::Make(kKey);
  it.app.reset(new ms::Messaging{
      Db(process, "messaging"), Db(process, "messaging_worker"), nobody, nobody, std::move(settings),
      [](std::function<void()>) -> Async<> { co_return absl::UnimplementedError("nobody asks for it here"); },
      [this](const Uuid& tenant) { return OwnCall(tenant); }, Lent<ms::Tables>::Take()});
  ms::WebhookSettings webhook_settings;
  webhook_settings.retry = absl::Milliseconds(2);        // two minutes in all
  webhook_settings.disable_after = absl::Hours(10'000);  // the clocks jump
  it.webhooks.reset(new ms::Webhooks{*it.app, nobody, webhook_settings,
                                     [](const Call&, std::string) -> Async<> { co_return absl::OkStatus(); },
                                     Lent<ms::WebhookTables>::Take()});
  it.service = std::make_unique<ms::WebhookService>(*it.webhooks);
  it.sender = std::make_unique<ms::WebhookSender>(
      *it.webhooks, process.life->holder,
      [this, &process, &it](const ms::WebhookPost& post) { return Post(process, it, post); },
      [this, &process, &it](std::function<void()> work) { return Offload(process, it, std::move(work)); });
  it.webhooks->wake = [&it] { it.sender->Wake(); };
  desks_[&process] = &it;
  process.parts.push_back(desk);
  process.stops.push_back([&it] {
    it.stopping = true;
    it.stop.emit(asio::cancellation_type::terminal);
  });
  ++process.running;
  asio::co_spawn(
      context_, Work(process.life, it),
      asio::bind_cancellation_slot(it.stop.slot(), [this, &process, &it](std::exception_ptr failed, absl::Status) {
        --process.running;
        if (failed && !it.stopping) Fail("a sender threw");
      }));
}

// As an app keeps its jobs.
Async<> WebhooksWorld::Work(std::shared_ptr<Life> life, Desk& desk) {
  for (;;) {
    const absl::Status status = co_await desk.sender->Run(OwnCall(Uuid()));
    if (status.ok() || !life->alive || desk.stopping) co_return status;
    co_await Sleep(Millis(1000));
  }
}

// The pool: a work that posts lasts until the receiver answers.
Async<> WebhooksWorld::Offload(Process& process, Desk& desk, std::function<void()> work) {
  ++at_work_;
  co_await network_.Travel(*process.life);
  if (process.life->alive) {
    desk.answer_in.reset();
    work();
    if (desk.answer_in) {
      co_await Sleep(*desk.answer_in);
      co_await network_.Travel(*process.life);
      --desk.posting;
    }
  }
  --at_work_;
  if (!process.life->alive) co_return absl::UnavailableError("dead");
  co_return absl::OkStatus();
}

ms::WebhookAnswer WebhooksWorld::Post(Process& process, Desk& desk, const ms::WebhookPost& post) {
  const auto found =
      std::find_if(receivers_.begin(), receivers_.end(), [&](const auto& each) { return each->url == post.url; });
  Receiver& receiver = **found;
  if (++desk.posting > kAtOnce) Fail("too many posts are under way in a process");
  if (desk.posting == kAtOnce) ++TheTally()["webhooks: all hands at work"];
  desk.answer_in = Millis(OneIn(10) ? Between(1000, 15'000) : Between(1, 300));
  Look();
  CheckPost(receiver, post);
  Shown shown{process.life, std::chrono::steady_clock::now()};
  const ms::WebhookAnswer answer = Reply(receiver, shown);
  Note(absl::StrCat("process ", process.life->number, " posts ", post.id, ", answered ", answer.status,
                    shown.taken ? ", taken" : "", ", told in ", desk.answer_in->count()));
  ++TheTally()["webhooks posted"];
  if (shown.taken) ++TheTally()["webhooks taken"];
  const std::vector<Shown>& before = shown_[post.id];
  if (shown.taken && std::any_of(before.begin(), before.end(), [](const Shown& one) { return one.taken; }))
    ++TheTally()["webhooks taken again"];
  shown_[post.id].push_back(std::move(shown));
  // The process dies before or after it hears the answer, and before or after that is recorded.
  if (!calm() && OneIn(10)) {
    ++TheTally()["webhooks: died around the answer"];
    const int most = static_cast<int>(std::min<int64_t>(desk.answer_in->count(), 1000)) + 20;
    Spawn(KillIn(Living(process.role, process.slot), Millis(Below(most))));
  }
  return answer;
}

// What the receiver says, and what it has done.
ms::WebhookAnswer WebhooksWorld::Reply(Receiver& receiver, Shown& shown) {
  ms::WebhookAnswer answer;
  answer.duration_ms = 10;
  const auto says = [&](int status, std::string error) {
    answer.status = shown.answered = status;
    answer.error = std::move(error);
    return answer;
  };
  if (receiver.gone) return says(410, "it answered 410");
  if (receiver.broken) return says(500, "it answered 500");
  if (!calm() && OneIn(40)) {
    receiver.gone = true;
    ++TheTally()["webhooks gone"];
    return says(410, "it answered 410");
  }
  if (!calm() && OneIn(8)) {
    if (OneIn(2)) answer.retry_after = absl::Seconds(Between(1, 20));
    return says(503, "it answered 503");
  }
  if (!calm() && OneIn(8)) {  // the line broke, before or after it was read
    shown.taken = OneIn(2);
    return says(0, "no answer");
  }
  shown.taken = true;
  return says(200, "");
}

// What must hold at the moment when a receiver is shown a delivery.
void WebhooksWorld::CheckPost(const Receiver& receiver, const ms::WebhookPost& post) {
  const RecordRow* row = Stored(receiver, post.id);
  if (row == nullptr) return Fail(absl::StrCat(post.id, " was posted to somebody who has no such delivery"));
  if (post.signature != ms::SignWebhook({receiver.secret}, post.id, post.timestamp, post.body))
    Fail(absl::StrCat(post.id, " is not signed with its receiver's secret"));
  if (!absl::StrContains(post.body, receiver.webhook_id)) Fail(absl::StrCat(post.id, " has a body of something else"));
  if (seen_delivered_.count(post.id) > 0 && !JustJumped())
    Fail(absl::StrCat(post.id, " was posted though it had been delivered"));
  if (IntOf(*row, "status") != mv::DELIVERY_STATUS_PENDING && !receiver.gone && !JustJumped())
    Fail(absl::StrCat(post.id, " was posted and did not wait"));
  // Not yet acknowledged, or as somebody put it back.
  const auto known = deliveries_.find(post.id);
  const std::vector<Shown>& all = shown_[post.id];
  const std::vector<Shown> log(all.begin() + (known == deliveries_.end() ? 0 : known->second.shown_by_then), all.end());
  if (static_cast<int64_t>(log.size()) >= IntOf(*row, "attempt_count"))
    Fail(absl::StrCat(post.id, " was posted more often than was counted"));
  // Again only if the answer was no, or nobody was left to record it.
  for (const Shown& earlier : log) {
    const bool over = std::chrono::steady_clock::now() - earlier.at >= kNobodyElse || JustJumped();
    if (!earlier.by->alive || over) continue;
    if (earlier.answered == 200) Fail(absl::StrCat(post.id, " was posted again, and nobody had died"));
  }
}

asio::awaitable<void> WebhooksWorld::KillIn(std::shared_ptr<Process> process, Millis after) {
  co_await Sleep(after);
  Kill(process);
}

Desk* WebhooksWorld::AnyDesk() {
  std::shared_ptr<Process> process = Living("messaging", Below(kSenders));
  return process ? desks_.at(process.get()) : nullptr;
}

const RecordRow* WebhooksWorld::Stored(const Receiver& receiver, const std::string& id) {
  const auto& rows = postgres_.schema("messaging").row.rows();
  const auto found = rows.find({"delivery", {receiver.tenant, ms::UuidOf(id)}});
  return found == rows.end() ? nullptr : &found->second;
}

void WebhooksWorld::Look() {
  for (const auto& [id, delivery] : deliveries_) {
    const RecordRow* row = Stored(*delivery.receiver, id);
    if (row != nullptr && !delivery.replaying && IntOf(*row, "status") == mv::DELIVERY_STATUS_DELIVERED)
      seen_delivered_.insert(id);
  }
}

// Asks for deliveries as a client does: again with the same key until it is told that it is done.
asio::awaitable<void> WebhooksWorld::Write(const Receiver& receiver, int count) {
  ++writing_;
  for (int i = 0; i < count; ++i) {
    co_await Sleep(Millis(Between(1, OneIn(3) ? 5000 : 500)));
    mv::TestWebhookRequest request;
    request.set_id(receiver.webhook_id);
    const std::string key = NewUuid(absl::Now()).ToString();
    for (;;) {
      if (Desk* desk = AnyDesk(); desk != nullptr) {
        Call call = OwnCall(receiver.tenant, Millis(5000));
        call.idempotency_key = key;
        const auto queued = co_await desk->service->TestWebhook(call, request);
        if (queued.ok()) {
          Note(absl::StrCat(queued->id(), " is queued"));
          ++TheTally()["webhooks queued"];
          deliveries_[queued->id()].receiver = &receiver;
          break;
        }
        if (receiver.gone &&
            absl::IsFailedPrecondition(queued.status())) {  // it is off, perhaps since an answer was lost
          ++refused_;
          break;
        }
        const bool again = absl::IsUnavailable(queued.status()) || absl::IsDeadlineExceeded(queued.status()) ||
                           absl::IsAborted(queued.status()) || absl::IsCancelled(queued.status());
        if (!again) Fail(absl::StrCat("a delivery is refused: ", queued.status().ToString()));
        if (!again) break;
      }
      co_await Sleep(Millis(Between(20, 200)));
    }
  }
  --writing_;
}

void WebhooksWorld::Stir() {
  if (!OneIn(6)) return;
  std::shared_ptr<Process> process = Living("messaging", Below(kSenders));
  if (!process) return;
  const Millis time(Between(20'000, 120'000));
  Note(absl::StrCat("stop ", process->role, ":", process->slot, " for ", time.count()));
  process->life->stands_until = std::chrono::steady_clock::now() + time;
  ++TheTally()["stood still beyond a claim"];
}

bool WebhooksWorld::AtRest() {
  Look();
  if (calm()) postgres_.HealClock();
  if (writing_ > 0 || at_work_ > 0 || !calm()) return false;
  for (const auto& [key, row] : postgres_.schema("messaging").row.rows()) {
    if (key.first == "delivery" && IntOf(row, "status") == mv::DELIVERY_STATUS_PENDING) return false;
  }
  const Steady now = std::chrono::steady_clock::now();
  return std::none_of(network_.lives().begin(), network_.lives().end(),
                      [&](const auto& life) { return life->alive && life->stands_until > now; });
}

// Somebody goes through the log and has some delivered again.
asio::awaitable<void> WebhooksWorld::AfterCalm() {
  Check();
  JumpWallClock(Millis(absl::ToInt64Milliseconds(postgres_.Clock() - absl::Now())));  // processes go by the database's
  for (auto& [id, delivery] : deliveries_) {
    if (delivery.receiver->gone || !OneIn(4)) continue;
    delivery.replaying = true;
    const std::string key = NewUuid(absl::Now()).ToString();
    delivery.shown_by_then = shown_[id].size();
    seen_delivered_.erase(id);
    for (bool done = false; !done;) {
      co_await Sleep(Millis(Between(1, 300)));
      Desk* desk = AnyDesk();
      if (desk == nullptr) continue;
      Call call = OwnCall(delivery.receiver->tenant, Millis(5000));
      call.idempotency_key = key;
      mv::ReplayDeliveryRequest request;
      request.set_id(id);
      const auto replayed = co_await desk->service->ReplayDelivery(call, request);
      done = replayed.ok();
    }
    delivery.replaying = false;
    ++TheTally()["webhooks replayed by hand"];
  }
  const Steady end = std::chrono::steady_clock::now() + patience_;
  while (!AtRest()) {
    co_await Sleep(Millis(250));
    if (std::chrono::steady_clock::now() > end)
      co_return Fail("it does not come to rest after deliveries were replayed");
  }
}

void WebhooksWorld::Check() {
  size_t stored = 0;
  for (const auto& [key, row] : postgres_.schema("messaging").row.rows()) stored += key.first == "delivery" ? 1 : 0;
  if (stored < deliveries_.size() || stored > deliveries_.size() + refused_)
    Fail(absl::StrCat(deliveries_.size(), " deliveries were acknowledged, ", stored, " are there"));
  for (const auto& [id, delivery] : deliveries_) CheckDelivery(id, delivery);
}

// A delivery at its end fits the receivers' log.
void WebhooksWorld::CheckDelivery(const std::string& id, const Delivery& delivery) {
  const RecordRow* row = Stored(*delivery.receiver, id);
  if (row == nullptr) return Fail(absl::StrCat(id, " was acknowledged and is not there"));
  const std::vector<Shown>& log = shown_[id];
  const bool told = std::any_of(log.begin(), log.end(), [](const Shown& one) { return one.answered == 200; });
  switch (IntOf(*row, "status")) {
    case mv::DELIVERY_STATUS_DELIVERED:
      if (!told) Fail(absl::StrCat(id, " counts as delivered, and nobody has taken it"));
      if (TimeOf(*row, "next_attempt_time")) Fail(absl::StrCat(id, " is delivered and waits"));
      break;
    case mv::DELIVERY_STATUS_FAILED:
      if (!delivery.receiver->gone && IntOf(*row, "attempt_count") < ms::kWebhookAttemptsMax)
        Fail(absl::StrCat(id, " was given up too early"));
      break;
    default:
      Fail(absl::StrCat(id, " is not at its end"));
  }
}

}  // namespace

std::unique_ptr<World> MakeWebhooksWorld(uint64_t seed, const std::string& planted) {
  return std::make_unique<WebhooksWorld>(seed, planted);
}

}  // namespace crm::sim
