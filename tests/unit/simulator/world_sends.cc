// Letters on their way out: handlers accept them, senders claim them and hand them over to modelled mail servers, which keep a log.
#include <absl/strings/match.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include "common/base/time.h"
#include "services/messaging/handlers/check_channel.h"
#include "services/messaging/jobs/jobs.h"
#include "services/messaging/service.h"
#include "services/messaging/store.h"
#include "tests/unit/simulator/world.h"

namespace crm::sim {

namespace {

namespace ms = crm::messaging;
namespace mv = crm::messaging::v1;

constexpr int kSenders = 3;
constexpr int kAttempts = 4;
// What jobs/send.cc promises: letters under way at once in a process, and of one tenant.
constexpr int kAtOnce = 12, kAtOncePerTenant = 4;
// A claim lasts 300 s, and is begun within the first 100: nobody else may touch a letter for so long after it was handed over.
constexpr absl::Duration kNobodyElse = absl::Seconds(200);
// A jump of the database's clock ends claims that were made before it; what was begun by then is over so much later.
constexpr Millis kJumpFelt{110'000};
constexpr char kSecretsKey[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

// A company with its own mail server, address and password.
struct Company {
  Uuid tenant;
  std::string host, domain, password, channel_id;
};

// A letter that a server had whole, or the refusal of all its recipients.
struct Handed {
  std::shared_ptr<Life> by;
  Steady at;
  absl::Time database_time;
  std::vector<std::string> accepted;  // to whom it went
  bool lost = false;                  // the answer
};

struct Letter {
  const Company* company = nullptr;
  mv::MessageCategory category = mv::MESSAGE_CATEGORY_UNSPECIFIED;
  std::vector<std::string> addresses;
  absl::Time not_before;
  bool taken_back = false;
  int by_hand = 0;  // how often it was put back into the queue
};

// What of messaging runs in a process.
struct Office {
  ~Office() {
    sender.reset();
    Lent<ms::Tables>::GiveBack(std::move(app->tables));
  }
  std::unique_ptr<ms::Messaging> app;
  std::unique_ptr<ms::MessageService> messages;
  std::unique_ptr<ms::Sender> sender;
  asio::cancellation_signal stop;
  bool stopping = false;
  std::optional<Millis> answer_in;  // of the work that has just handed a letter over
  const Company* talks_to = nullptr;
  std::map<const Company*, int> talking;
  int talking_to_all = 0;
};

// By the first letters of an address.
bool IsDead(const std::string& address) { return absl::StartsWith(address, "dead"); }
bool IsFull(const std::string& address) { return absl::StartsWith(address, "full"); }

class SendsWorld final : public World {
 public:
  SendsWorld(uint64_t seed, std::string planted) : World(seed), planted_(std::move(planted)) {
    patience_ = Millis(3'600'000);  // a claim lasts for minutes, and a process may stand still for longer
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
  void AddCompany(int number);
  Call OwnCall(const Uuid& tenant, Millis within = Millis(0)) const;
  Async<> Work(std::shared_ptr<Life> life, Office& office);
  Async<> Offload(Process& process, Office& office, std::function<void()> work);
  ms::SmtpOutcome HandOver(Process& process, Office& office, const ms::SmtpRequest& request);
  ms::SmtpOutcome Reply(const ms::SmtpRequest& request, Handed& handed);
  void CheckHandOver(const Company& company, const std::string& id, const ms::SmtpRequest& request,
                     const Handed& handed);
  void CheckLetter(const std::string& id, const Letter& letter, const mv::Message& message);
  asio::awaitable<void> KillIn(std::shared_ptr<Process> process, Millis after);
  asio::awaitable<void> Write(const Company& company, int count);
  asio::awaitable<void> TakeBack(std::string id, Millis after);
  mv::SendMessageRequest Draw(const Company& company, Letter& letter);
  Office* AnyOffice();
  mv::Message Stored(const std::string& id, const Letter& letter);
  bool JustJumped() const {
    return postgres_.jumped_at() != Steady() && std::chrono::steady_clock::now() - postgres_.jumped_at() < kJumpFelt;
  }

  // Compiled once for all worlds: it takes longer than a world.
  static const ms::Tables& TheTables() {
    static const ms::Tables tables;
    return tables;
  }

  const std::string planted_;
  std::vector<std::unique_ptr<Company>> companies_;
  std::map<std::string, Letter> letters_;              // those that were acknowledged
  std::map<std::string, std::vector<Handed>> handed_;  // by message: the servers' log
  std::map<const Process*, Office*> offices_;
  int writing_ = 0;
  int at_work_ = 0;  // works in the processes' pools, those of the dead too
  bool calm_checked_ = false;
  bool stood_ = false;  // somebody stood still for longer than a claim lasts
};

void SendsWorld::Begin() {
  RegisterEvents(postgres_);
  RegisterSends(postgres_);
  RegisterRecords(postgres_, "messaging", TheTables().messages);
  RegisterRecords(postgres_, "messaging", TheTables().channels);
  RegisterRecords(postgres_, "messaging", TheTables().conversations);
  RegisterRecords(postgres_, "messaging", TheTables().suppressions);
  Plant();
  const int companies = Between(1, 3);
  for (int i = 0; i < companies; ++i) AddCompany(i);
  const int senders = Between(2, kSenders);
  for (int slot = 0; slot < senders; ++slot) Start("messaging", slot);
  for (const auto& company : companies_) {
    Spawn(Write(*company, Between(1, 4)));
    if (!OneIn(3)) continue;
    const int more = Between(4, 10);  // more than may be under way at once
    for (int i = 0; i < more; ++i) Spawn(Write(*company, 1));
  }
}

void SendsWorld::Plant() {
  const auto claimed = [](Running& run) {  // without its token
    const SendKey key{run.given.Id(1), run.given.Id(2)};
    run.schema.send.Lock(run.txn, key);
    return run.schema.send.Find(run.txn, key);
  };
  const auto claim = [](Running& run, bool lease, bool limit) {
    std::vector<SendKey> due;
    run.schema.send.Each(run.txn, [&](const SendKey& key, const SendRow& row) {
      if (key.first != run.given.Id(1) || row.due > run.now) return;
      if (run.schema.send.LockedByOther(run.txn, key)) return;
      if (!limit || static_cast<int64_t>(due.size()) < run.given.Int(4)) due.push_back(key);
    });
    for (const SendKey& key : due) {
      SendRow row = *run.schema.send.Find(run.txn, key);
      if (lease) row.due = run.now + absl::Seconds(run.given.Int(3));
      ++row.token;
      row.holder = run.given.Text(2);
      run.answer.Row().Id(key.second).Int(row.token).Texts(row.recipients).Int(row.attempts).Int(row.doubts);
      run.answer.Bool(row.begun).Text(row.rule_id).Text(row.run_id).Int(row.depth);
      run.schema.send.Put(run.txn, key, std::move(row));
    }
  };
  if (planted_ == "claim without lease") {
    postgres_.Register("messaging.claim_sends", 0, [claim](Running& run) { claim(run, false, true); });
  } else if (planted_ == "claim beyond its limit") {  // as it once did
    postgres_.Register("messaging.claim_sends", 0, [claim](Running& run) { claim(run, true, false); });
  } else if (planted_ == "anybody's secret") {
    postgres_.Register("messaging.find_channel_secret", 0, [](Running& run) {
      run.schema.channel_secret.Each(run.txn, [&](const auto&, const std::string& sealed) {
        if (run.answer.empty()) run.answer.Row().Bytes(sealed);
      });
    });
  } else if (planted_ == "mark not kept") {
    postgres_.Register("messaging.begin_send", 0, [claimed](Running& run) {
      const SendRow* row = claimed(run);
      if (row != nullptr && row->token == run.given.Int(3)) run.answer.Row().Int(1);
    });
  } else if (planted_ == "doubts forgotten") {
    postgres_.Register("messaging.postpone_send", 0, [claimed](Running& run) {
      const SendRow* old = claimed(run);
      if (old == nullptr || old->token != run.given.Int(3)) return;
      SendRow row = *old;
      row.begun = false;
      row.holder.clear();
      row.due = run.now + absl::Seconds(run.given.Double(4));
      row.recipients = run.given.Texts(5);
      run.schema.send.Put(run.txn, {run.given.Id(1), run.given.Id(2)}, std::move(row));
      run.answer.Row().Int(1);
    });
  } else if (planted_ == "recipients kept") {  // those who have it are sent it again
    postgres_.Register("messaging.postpone_send", 0, [claimed](Running& run) {
      const SendRow* old = claimed(run);
      if (old == nullptr || old->token != run.given.Int(3)) return;
      SendRow row = *old;
      row.begun = false;
      row.holder.clear();
      row.due = run.now + absl::Seconds(run.given.Double(4));
      row.doubts = run.given.Int(6);
      run.schema.send.Put(run.txn, {run.given.Id(1), run.given.Id(2)}, std::move(row));
      run.answer.Row().Int(1);
    });
  }
}

// A channel as CreateChannel leaves it.
void SendsWorld::AddCompany(int number) {
  auto company = std::make_unique<Company>();
  company->tenant = NewUuid(absl::Now());
  company->host = absl::StrCat("10.0.0.", number + 1);
  company->domain = absl::StrCat("t", number, ".example.com");
  company->password = absl::StrCat("password of ", number);
  mv::Channel channel;
  channel.set_name("Sales");
  channel.set_address(absl::StrCat("sales@", company->domain));
  channel.mutable_smtp()->set_host(company->host);
  channel.mutable_smtp()->set_port(587);
  channel.mutable_smtp()->set_user("sales");
  channel.mutable_smtp()->set_security(mv::SMTP_SECURITY_STARTTLS);
  channel.set_enabled(true);
  const Call call = OwnCall(company->tenant);
  pg::StampNew(call, TheTables().channels, channel);
  company->channel_id = channel.id();
  pg::Batch batch(call);
  batch.Insert(TheTables().channels, channel);
  ms::Settings settings;
  settings.secrets = *ms::SecretBox::Make(kSecretsKey);
  if (!ms::AddChannelSecret(batch, settings, channel, company->password).ok()) Fail("a password cannot be kept");
  postgres_.AtOnce("messaging", batch);
  companies_.push_back(std::move(company));
}

Call SendsWorld::OwnCall(const Uuid& tenant, Millis within) const {
  Call call = events::OwnCall("messaging", "sim.Own", tenant, within);
  if (within.count() == 0) call.deadline = Steady::max();  // as an app's own calls
  return call;
}

void SendsWorld::Fill(Process& process) {
  static rpc::Client nobody{rpc::ClientOptions{"127.0.0.1:1", "/dev/null", "/dev/null", "/dev/null"}};
  auto office = std::make_shared<Office>();
  Office& it = *office;
  ms::Settings settings;
  settings.guard = *ms::NetGuard::Make({"10.0.0.0/8"});
  settings.secrets = *ms::SecretBox::Make(kSecretsKey);
  settings.attempts_max = kAttempts;
  settings.retry = Millis(1000);
  it.app.reset(new ms::Messaging{
      Db(process, "messaging"), Db(process, "messaging_worker"), nobody, nobody, std::move(settings),
      [this, &process, &it](std::function<void()> work) { return Offload(process, it, std::move(work)); },
      [this](const Uuid& tenant) { return OwnCall(tenant); }, Lent<ms::Tables>::Take()});
  it.messages = std::make_unique<ms::MessageService>(*it.app);
  it.sender = std::make_unique<ms::Sender>(
      *it.app, process.life->holder,
      [this, &process, &it](const ms::SmtpRequest& request) { return HandOver(process, it, request); });
  it.app->wake_sender = [&it] { it.sender->Wake(); };
  offices_[&process] = &it;
  process.parts.push_back(office);
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
Async<> SendsWorld::Work(std::shared_ptr<Life> life, Office& office) {
  for (;;) {
    const absl::Status status = co_await office.sender->Run(OwnCall(Uuid()));
    if (status.ok() || !life->alive || office.stopping) co_return status;
    co_await Sleep(Millis(1000));
  }
}

// The pool: a work that hands a letter over lasts until the server answers.
Async<> SendsWorld::Offload(Process& process, Office& office, std::function<void()> work) {
  ++at_work_;
  co_await network_.Travel(*process.life);
  if (process.life->alive) {
    office.answer_in.reset();
    try {
      work();
    } catch (const std::exception& error) {
      Fail(absl::StrCat("handing a letter over threw: ", error.what()));
    }
    if (office.answer_in) {
      const Company* company = office.talks_to;
      co_await Sleep(*office.answer_in);
      co_await network_.Travel(*process.life);
      --office.talking[company];
      --office.talking_to_all;
    }
  }
  --at_work_;
  if (!process.life->alive) co_return absl::UnavailableError("dead");
  co_return absl::OkStatus();
}

ms::SmtpOutcome SendsWorld::HandOver(Process& process, Office& office, const ms::SmtpRequest& request) {
  const auto found = std::find_if(companies_.begin(), companies_.end(),
                                  [&](const auto& each) { return each->host == request.server.host(); });
  const Company& company = **found;
  office.talks_to = &company;
  if (++office.talking[&company] > kAtOncePerTenant) Fail("too many letters of one tenant are under way in a process");
  if (++office.talking_to_all > kAtOnce) Fail("too many letters are under way in a process");
  if (office.talking[&company] == kAtOncePerTenant) ++TheTally()["letters: a tenant at its limit"];
  office.answer_in = Millis(OneIn(10) ? Between(1000, 20'000) : Between(1, 300));
  if (!calm() && OneIn(40)) office.answer_in = Millis(Between(60'000, 170'000));

  const size_t begin = request.letter.find("<message_");
  const size_t end = request.letter.find('@', begin);
  const std::string id = begin == std::string::npos ? "" : request.letter.substr(begin + 1, end - begin - 1);
  Handed handed;
  handed.by = process.life;
  handed.at = std::chrono::steady_clock::now();
  handed.database_time = postgres_.Clock();
  CheckHandOver(company, id, request, handed);
  const ms::SmtpOutcome outcome = Reply(request, handed);
  Note(absl::StrCat("process ", process.life->number, " hands over ", id, " to ",
                    absl::StrJoin(request.recipients, " "), ", accepted for ", absl::StrJoin(handed.accepted, " "),
                    handed.lost ? ", answer lost" : "", ", told in ", office.answer_in->count()));
  ++TheTally()["letters handed over"];
  if (handed.lost) ++TheTally()["letters: answers lost"];
  for (const std::string& address : handed.accepted) {
    int before = 0;
    for (const Handed& earlier : handed_[id])
      before += static_cast<int>(std::count(earlier.accepted.begin(), earlier.accepted.end(), address));
    if (before > 0) ++TheTally()["letters repeated in doubt or by hand"];
  }
  handed_[id].push_back(std::move(handed));
  // The process dies before or after it hears the answer, and before or after that is recorded.
  if (!calm() && OneIn(8)) {
    ++TheTally()["letters: died around the answer"];
    const int most = static_cast<int>(std::min<int64_t>(office.answer_in->count(), 1000)) + 20;
    Spawn(KillIn(Living(process.role, process.slot), Millis(Below(most))));
  }
  return outcome;
}

// What the server says, and to whom the letter goes.
ms::SmtpOutcome SendsWorld::Reply(const ms::SmtpRequest& request, Handed& handed) {
  ms::SmtpOutcome outcome;
  outcome.recipients.resize(request.recipients.size());
  if (!calm() && OneIn(10)) {
    outcome.error = "no connection";
    return outcome;
  }
  outcome.stage = ms::SmtpStage::kRecipients;
  for (size_t i = 0; i < request.recipients.size(); ++i) {
    const std::string& address = request.recipients[i];
    outcome.recipients[i] = {250, "250 ok"};
    if (IsDead(address)) outcome.recipients[i] = {550, "550 5.1.1 no such user"};
    if (IsFull(address) || (!calm() && OneIn(8))) outcome.recipients[i] = {452, "452 4.2.2 not now"};
    outcome.answer = outcome.recipients[i];
    if (outcome.recipients[i].code == 250) handed.accepted.push_back(address);
  }
  if (handed.accepted.empty()) {
    outcome.error = outcome.answer.text;
    return outcome;
  }
  outcome.stage = ms::SmtpStage::kData;
  if (!calm() && OneIn(12)) {
    handed.accepted.clear();
    outcome.answer = OneIn(4) ? ms::SmtpAnswer{554, "554 5.6.0 not such a letter"} : ms::SmtpAnswer{451, "451 not now"};
    outcome.error = outcome.answer.text;
  } else if (!calm() && OneIn(8)) {
    handed.lost = true;
    if (OneIn(2)) handed.accepted.clear();
    outcome.answer = {354, "354 go on"};
    outcome.unknown = true;
    outcome.error = "the server cut the connection";
  } else {
    outcome.stage = ms::SmtpStage::kDone;
    outcome.answer = {250, "250 ok"};
    outcome.sent = true;
  }
  return outcome;
}

// What must hold at the moment when a server gets a letter.
void SendsWorld::CheckHandOver(const Company& company, const std::string& id, const ms::SmtpRequest& request,
                               const Handed& handed) {
  mv::Message message;
  const auto parsed = ParseId(id);
  if (!parsed.ok() ||
      !ReadRecord(postgres_.schema("messaging"), TheTables().messages, company.tenant, parsed->uuid, message)) {
    return Fail(absl::StrCat("a letter \"", id, "\" that its tenant does not have went to ", company.domain));
  }
  if (request.password != company.password || request.sender != absl::StrCat("sales@", company.domain) ||
      request.addresses != std::vector<std::string>{company.host}) {
    Fail("a letter was handed over in another company's name");
  }
  const std::vector<std::string> addresses = ms::AddressesOf(message);
  if (request.recipients.empty()) Fail("a letter went to nobody");
  for (const std::string& address : request.recipients) {
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end())
      Fail(absl::StrCat(id, " went to ", address, ", whom it is not for"));
  }
  // Only what is marked is out, so a state that is final stays so.
  if (message.status() != mv::MESSAGE_STATUS_SENDING && !JustJumped()) {
    Fail(absl::StrCat(id, " was handed over while it was ", mv::MessageStatus_Name(message.status())));
  }
  // Who has it, gets it again only if the answer was lost or nobody was left to record it.
  for (const Handed& earlier : handed_[id]) {
    const bool other_now = handed.database_time - earlier.database_time >= kNobodyElse ||
                           postgres_.jumped_at() >= earlier.at || JustJumped();
    if (earlier.lost || !earlier.by->alive || other_now) continue;
    for (const std::string& address : request.recipients) {
      if (std::count(earlier.accepted.begin(), earlier.accepted.end(), address) == 0) continue;
      auto letter = letters_.find(id);
      if (letter != letters_.end() && letter->second.by_hand > 0) continue;
      Fail(absl::StrCat(id, " was handed over twice for ", address, ", and nobody had died in between"));
    }
  }
}

asio::awaitable<void> SendsWorld::KillIn(std::shared_ptr<Process> process, Millis after) {
  co_await Sleep(after);
  Kill(process);
}

Office* SendsWorld::AnyOffice() {
  std::shared_ptr<Process> process = Living("messaging", Below(kSenders));
  return process ? offices_.at(process.get()) : nullptr;
}

mv::SendMessageRequest SendsWorld::Draw(const Company& company, Letter& letter) {
  mv::SendMessageRequest request;
  letter.company = &company;
  letter.category = OneIn(3) ? mv::MESSAGE_CATEGORY_CAMPAIGN : mv::MESSAGE_CATEGORY_TRANSACTIONAL;
  letter.not_before =
      absl::FromUnixMillis(absl::ToUnixMillis(postgres_.Clock())) + absl::Milliseconds(OneIn(4) ? Between(0, 5000) : 0);
  request.set_channel_id(company.channel_id);
  request.set_category(letter.category);
  request.set_subject("Offer");
  request.set_text("Hello");
  *request.mutable_not_before() = ToTimestamp(letter.not_before);
  const int count = OneIn(3) ? Between(2, 3) : 1;
  for (int i = 0; i < count; ++i) {
    const char* nature = OneIn(15) ? "dead" : OneIn(15) ? "full" : "good";
    letter.addresses.push_back(absl::StrCat(nature, Below(4) + 4 * i, "@", company.domain));
    request.add_recipients()->set_address(letter.addresses.back());
  }
  return request;
}

// Sends letters as a client does: again with the same key until it is told that it is done.
asio::awaitable<void> SendsWorld::Write(const Company& company, int count) {
  ++writing_;
  for (int i = 0; i < count; ++i) {
    co_await Sleep(Millis(Between(1, OneIn(3) ? 5000 : 500)));
    Letter letter;
    const mv::SendMessageRequest request = Draw(company, letter);
    const std::string key = NewUuid(absl::Now()).ToString();
    for (;;) {
      Office* office = AnyOffice();
      if (office != nullptr) {
        Call call = OwnCall(company.tenant, Millis(5000));
        call.idempotency_key = key;
        const auto sent = co_await office->messages->SendMessage(call, request);
        if (sent.ok()) {
          Note(absl::StrCat(sent->id(), " is accepted"));
          ++TheTally()["letters accepted"];
          letters_[sent->id()] = letter;
          if (OneIn(6)) Spawn(TakeBack(sent->id(), Millis(Below(OneIn(2) ? 20 : 3000))));
          break;
        }
        const bool again = absl::IsUnavailable(sent.status()) || absl::IsDeadlineExceeded(sent.status()) ||
                           absl::IsAborted(sent.status()) || absl::IsCancelled(sent.status());
        if (!again) Fail(absl::StrCat("a letter is refused: ", sent.status().ToString()));
        if (!again) break;
      }
      co_await Sleep(Millis(Between(20, 200)));
    }
  }
  --writing_;
}

asio::awaitable<void> SendsWorld::TakeBack(std::string id, Millis after) {
  ++writing_;
  co_await Sleep(after);
  Letter& letter = letters_.at(id);
  if (Office* office = AnyOffice(); office != nullptr) {
    Call call = OwnCall(letter.company->tenant, Millis(5000));
    call.idempotency_key = NewUuid(absl::Now()).ToString();
    mv::CancelMessageRequest request;
    request.set_id(id);
    const auto cancelled = co_await office->messages->CancelMessage(call, request);
    letter.taken_back = cancelled.ok();
    if (cancelled.ok()) ++TheTally()["letters taken back"];
  }
  --writing_;
}

void SendsWorld::Stir() {
  if (!OneIn(10)) return;  // seldom: it takes long until everything is at rest again
  std::shared_ptr<Process> process = Living("messaging", Below(kSenders));
  if (!process) return;
  const Millis time(Between(60'000, 500'000));
  Note(absl::StrCat("stop ", process->role, ":", process->slot, " for ", time.count()));
  process->life->stands_until = std::chrono::steady_clock::now() + time;
  stood_ = true;
  ++TheTally()["stood still beyond a claim"];
}

bool SendsWorld::AtRest() {
  if (calm()) postgres_.HealClock();
  if (writing_ > 0 || at_work_ > 0 || !calm() || !postgres_.schema("messaging").send.rows().empty()) return false;
  const Steady now = std::chrono::steady_clock::now();
  return std::none_of(network_.lives().begin(), network_.lives().end(),
                      [&](const auto& life) { return life->alive && life->stands_until > now; });
}

mv::Message SendsWorld::Stored(const std::string& id, const Letter& letter) {
  mv::Message message;
  if (!ReadRecord(postgres_.schema("messaging"), TheTables().messages, letter.company->tenant, ms::UuidOf(id), message))
    Fail(absl::StrCat(id, " was accepted and is not there"));
  return message;
}

// Somebody goes through the list of letters that did not arrive.
asio::awaitable<void> SendsWorld::AfterCalm() {
  Check();
  calm_checked_ = true;
  for (auto& [id, letter] : letters_) {
    const mv::MessageStatus status = Stored(id, letter).status();
    const bool may = status == mv::MESSAGE_STATUS_FAILED || status == mv::MESSAGE_STATUS_UNKNOWN ||
                     status == mv::MESSAGE_STATUS_BOUNCED || status == mv::MESSAGE_STATUS_BLOCKED;
    if (!may || !OneIn(3)) continue;
    ++letter.by_hand;
    for (bool done = false; !done;) {
      co_await Sleep(Millis(Between(1, 300)));
      Office* office = AnyOffice();
      if (office == nullptr) continue;
      Call call = OwnCall(letter.company->tenant, Millis(5000));
      call.idempotency_key = NewUuid(absl::Now()).ToString();
      mv::RetryMessageRequest request;
      request.set_id(id);
      // FAILED_PRECONDITION: it is done, and the answer came too late.
      const auto retried = co_await office->messages->RetryMessage(call, request);
      done = retried.ok() || absl::IsFailedPrecondition(retried.status());
    }
    ++TheTally()["letters tried by hand"];
  }
  const Steady end = std::chrono::steady_clock::now() + patience_;
  while (!AtRest()) {
    co_await Sleep(Millis(250));
    if (std::chrono::steady_clock::now() > end)
      co_return Fail("it does not come to rest after letters were tried by hand");
  }
}

void SendsWorld::Check() {
  const Schema& schema = postgres_.schema("messaging");
  size_t stored = 0;
  for (const auto& [key, row] : schema.row.rows()) stored += key.first == "message" ? 1 : 0;
  if (stored != letters_.size()) Fail(absl::StrCat(letters_.size(), " letters were accepted, ", stored, " are there"));
  for (const auto& [id, log] : handed_) {
    if (letters_.count(id) == 0) Fail(absl::StrCat(id, " was handed over, and nobody had sent it"));
  }
  std::map<std::string, std::string> told;  // the last event of each
  for (const auto& [key, row] : schema.outbox.rows()) {
    events::v1::Event event;
    event.ParseFromString(row.event);
    told[row.record] = event.type();
  }
  for (const auto& [id, letter] : letters_) {
    const mv::Message message = Stored(id, letter);
    CheckLetter(id, letter, message);
    const std::string& last = told[id];
    const bool fits = message.status() == mv::MESSAGE_STATUS_SENT        ? last == "message.sent"
                      : message.status() == mv::MESSAGE_STATUS_BOUNCED   ? last == "message.bounced"
                      : message.status() == mv::MESSAGE_STATUS_CANCELLED ? last == "message.updated"
                                                                         : last == "message.failed";
    if (!fits) Fail(absl::StrCat(id, " is ", mv::MessageStatus_Name(message.status()), ", and was told as ", last));
  }
}

void SendsWorld::CheckLetter(const std::string& id, const Letter& letter, const mv::Message& message) {
  const std::string what = absl::StrCat(id, " (", mv::MessageStatus_Name(message.status()), ") ");
  if (!calm_checked_) ++TheTally()[absl::StrCat("letters: ", mv::MessageStatus_Name(message.status()).substr(15))];
  std::map<std::string, int> times;
  bool doubt = stood_ || postgres_.jumped_at() != Steady();
  for (const auto& life : network_.lives()) doubt = doubt || !life->alive;
  for (const Handed& handed : handed_[id]) {
    doubt = doubt || handed.lost;
    for (const std::string& address : handed.accepted) ++times[address];
    if (handed.database_time < letter.not_before && postgres_.jumped_at() == Steady())
      Fail(what + "was handed over before its time");
  }
  // A campaign's letter is never repeated by itself, another one once.
  const int most = (letter.category == mv::MESSAGE_CATEGORY_CAMPAIGN ? 1 : 2) * (1 + letter.by_hand);
  for (const auto& [address, count] : times) {
    if (count > most) Fail(absl::StrCat(what, "went to ", address, " ", count, " times"));
  }
  if (static_cast<int>(handed_[id].size()) > message.attempt_count()) Fail(what + "was handed over without a mark");
  if (message.attempt_count() > kAttempts + letter.by_hand) Fail(what + "was tried too often");
  if (letter.taken_back && message.status() != mv::MESSAGE_STATUS_CANCELLED) Fail(what + "had been taken back");
  const bool dead = std::any_of(letter.addresses.begin(), letter.addresses.end(), IsDead);
  switch (message.status()) {
    case mv::MESSAGE_STATUS_SENT:
      for (const std::string& address : letter.addresses) {
        if (!IsDead(address) && times[address] == 0) Fail(absl::StrCat(what, "did not go to ", address));
      }
      break;
    case mv::MESSAGE_STATUS_FAILED:
      if (message.attempt_count() < kAttempts) Fail(what + "was given up too early: " + message.error());
      break;
    case mv::MESSAGE_STATUS_UNKNOWN:
      if (!doubt) Fail(what + "is in doubt, and no answer was lost");
      break;
    case mv::MESSAGE_STATUS_BLOCKED:
      if (!dead) Fail(what + "was blocked, and all its addresses are alive");
      break;
    case mv::MESSAGE_STATUS_BOUNCED:
      if (!dead && message.reply_code() != 554) Fail(what + "bounced: " + message.error());
      break;
    case mv::MESSAGE_STATUS_CANCELLED:
      break;
    default:
      Fail(what + "is not at its end");
  }
}

}  // namespace

std::unique_ptr<World> MakeSendsWorld(uint64_t seed, const std::string& planted) {
  return std::make_unique<SendsWorld>(seed, planted);
}

}  // namespace crm::sim
