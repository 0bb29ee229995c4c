// The statements that letters are accepted and leave by (services/messaging), and those that keep replies.
#include <algorithm>

#include "common/pg/errors.h"
#include "tests/unit/simulator/postgres.h"

namespace crm::sim {

namespace {

pg::ServerError Duplicate(const char* constraint) { return {"23505", "duplicate key", constraint, "", ""}; }

// The row that a sender holds by its token; nothing if it is somebody else's now.
const SendRow* Claimed(Running& run) {
  const SendKey key{run.given.Id(1), run.given.Id(2)};
  run.schema.send.Lock(run.txn, key);
  const SendRow* row = run.schema.send.Find(run.txn, key);
  return row != nullptr && row->token == run.given.Int(3) ? row : nullptr;
}

bool InBuckets(const std::vector<int64_t>& buckets, const Uuid& tenant) {
  return std::find(buckets.begin(), buckets.end(), tenant.bucket()) != buckets.end();
}

void RegisterQueue(Postgres& database) {
  database.Register("messaging.by_queue_alone", 0xd0ea65cbb8b8460d, [](Running& run) { run.answer.Row().Text("off"); });
  database.Register("messaging.due_tenants", 0x96dac8faf85c474d, [](Running& run) {
    const std::vector<int64_t> buckets = run.given.Ints(1);
    std::map<Uuid, absl::Time> first;
    run.schema.send.Each(run.txn, [&](const SendKey& key, const SendRow& row) {
      auto [at, fresh] = first.emplace(key.first, row.due);
      if (!fresh) at->second = std::min(at->second, row.due);
    });
    std::vector<std::pair<absl::Time, Uuid>> due;
    for (const auto& [tenant, time] : first) {
      if (time <= run.now && InBuckets(buckets, tenant)) due.emplace_back(time, tenant);
    }
    std::sort(due.begin(), due.end());
    if (static_cast<int64_t>(due.size()) > run.given.Int(2)) due.resize(static_cast<size_t>(run.given.Int(2)));
    for (const auto& [time, tenant] : due) run.answer.Row().Id(tenant);
  });
  database.Register("messaging.send_backlog", 0x3cca8588a03d0a99, [](Running& run) {
    const std::vector<int64_t> buckets = run.given.Ints(1);
    int64_t count = 0;
    absl::Time first = run.now;
    run.schema.send.Each(run.txn, [&](const SendKey& key, const SendRow& row) {
      if (row.due > run.now || !InBuckets(buckets, key.first)) return;
      ++count;
      first = std::min(first, row.due);
    });
    run.answer.Row().Int(count).Int(absl::ToInt64Seconds(run.now - first));
  });
  database.Register("messaging.claim_sends", 0x1c6ab32f469683c4, [](Running& run) {
    std::vector<std::pair<absl::Time, SendKey>> due;
    run.schema.send.Each(run.txn, [&](const SendKey& key, const SendRow& row) {
      if (key.first != run.given.Id(1) || row.due > run.now || key.first.bucket() != run.given.Int(5)) return;
      if (!run.schema.send.LockedByOther(run.txn, key)) due.emplace_back(row.due, key);  // SKIP LOCKED
    });
    std::sort(due.begin(), due.end());
    if (static_cast<int64_t>(due.size()) > run.given.Int(4)) due.resize(static_cast<size_t>(run.given.Int(4)));
    for (const auto& [time, key] : due) {
      SendRow row = *run.schema.send.Find(run.txn, key);
      row.due = run.now + absl::Seconds(run.given.Int(3));
      ++row.token;
      row.holder = run.given.Text(2);
      run.answer.Row().Id(key.second).Int(row.token).Texts(row.recipients).Int(row.attempts).Int(row.doubts);
      run.answer.Bool(row.begun).Text(row.rule_id).Text(row.run_id).Int(row.depth);
      run.schema.send.Put(run.txn, key, std::move(row));
    }
  });
  database.Register("messaging.holders_tenants", 0x7e4fff5fa65773c2, [](Running& run) {
    std::set<Uuid> tenants;
    run.schema.send.Each(run.txn, [&](const SendKey& key, const SendRow& row) {
      if (row.holder == run.given.Text(1)) tenants.insert(key.first);
    });
    for (const Uuid& tenant : tenants) run.answer.Row().Id(tenant);
  });
  database.Register("messaging.take_back_sends", 0x2ba526efcdf179d1, [](Running& run) {
    std::vector<SendKey> held;
    run.schema.send.Each(run.txn, [&](const SendKey& key, const SendRow& row) {
      if (key.first == run.given.Id(1) && row.holder == run.given.Text(2) && row.due > run.now) held.push_back(key);
    });
    for (const SendKey& key : held) run.schema.send.Lock(run.txn, key);
    for (const SendKey& key : held) {
      SendRow row = *run.schema.send.Find(run.txn, key);
      row.due = run.now;
      run.schema.send.Put(run.txn, key, std::move(row));
    }
  });
}

void RegisterLetter(Postgres& database) {
  database.Register("messaging.add_send", 0x34072b8a2b0799, [](Running& run) {
    const Given& given = run.given;
    const SendKey key{given.Id(1), given.Id(2)};
    run.schema.send.Lock(run.txn, key);
    if (run.schema.send.Find(run.txn, key) != nullptr) throw Duplicate("send_pkey");
    SendRow row;
    row.due = std::max(run.now, given.Time(4));
    row.recipients = given.Texts(5);
    row.rule_id = given.Text(6);
    row.run_id = given.Text(7);
    row.depth = given.Int(8);
    row.token = absl::ToUnixMicros(run.Clock());
    run.schema.send.Put(run.txn, key, std::move(row));
  });
  database.Register("messaging.cancel_send", 0xc582df2e59d657a2, [](Running& run) {
    const SendKey key{run.given.Id(1), run.given.Id(2)};
    run.schema.send.Lock(run.txn, key);
    const SendRow* row = run.schema.send.Find(run.txn, key);
    if (row == nullptr || row->begun) return;
    run.schema.send.Erase(run.txn, key);
    run.answer.Row().Int(1);
  });
  database.Register("messaging.begin_send", 0x2d9f0423911136f2, [](Running& run) {
    const SendRow* old = Claimed(run);
    if (old == nullptr) return;
    SendRow row = *old;
    row.begun = true;
    ++row.attempts;
    row.doubts = run.given.Int(4);
    run.schema.send.Put(run.txn, {run.given.Id(1), run.given.Id(2)}, std::move(row));
    run.answer.Row().Int(1);
  });
  database.Register("messaging.end_send", 0xcb860663c1b1c5ad, [](Running& run) {
    if (Claimed(run) == nullptr) return;
    run.schema.send.Erase(run.txn, {run.given.Id(1), run.given.Id(2)});
    run.answer.Row().Int(1);
  });
  database.Register("messaging.postpone_send", 0x3385a41ea8831e78, [](Running& run) {
    const SendRow* old = Claimed(run);
    if (old == nullptr) return;
    SendRow row = *old;
    row.begun = false;
    row.holder.clear();
    row.due = run.now + absl::Seconds(run.given.Double(4));
    row.recipients = run.given.Texts(5);
    row.doubts = run.given.Int(6);
    run.schema.send.Put(run.txn, {run.given.Id(1), run.given.Id(2)}, std::move(row));
    run.answer.Row().Int(1);
  });
  database.Register("messaging.find_suppressed", 0xdc8c02fc496f5de7, [](Running& run) {
    for (const std::string& address : run.given.Texts(1)) {
      const std::string* note = run.schema.suppressed.Find(run.txn, {run.tenant, address});
      if (note != nullptr) run.answer.Row().Text(address).Text(*note);
    }
  });
  database.Register("messaging.find_channel_secret", 0x61049b73addf3fb, [](Running& run) {
    const std::string* sealed = run.schema.channel_secret.Find(run.txn, {run.tenant, run.given.Id(1)});
    if (sealed != nullptr) run.answer.Row().Bytes(*sealed);
  });
  database.Register("messaging.put_channel_secret", 0x70b7f31a6f513643, [](Running& run) {
    run.schema.channel_secret.Put(run.txn, {run.given.Id(1), run.given.Id(2)}, run.given.Text(3));
  });
}

void RegisterReplies(Postgres& database) {
  database.Register("pg.keep_reply", 0x2ca9cf498c99b235, [](Running& run) {
    const std::pair<Uuid, std::string> key{run.given.Id(1), run.given.Text(2)};
    run.schema.idempotency.Lock(run.txn, key);
    if (run.schema.idempotency.Find(run.txn, key) != nullptr) throw Duplicate(pg::kIdempotencyConstraint);
    run.schema.idempotency.Put(run.txn, key, {run.given.Text(3), run.given.Text(4), run.given.Text(5)});
  });
  database.Register("pg.kept_reply", 0x6f31ae749a2e1cc8, [](Running& run) {
    const KeptRow* row = run.schema.idempotency.Find(run.txn, {run.tenant, run.given.Text(1)});
    if (row != nullptr) run.answer.Row().Text(row->method).Bytes(row->body_hash).Bytes(row->reply);
  });
}

}  // namespace

void RegisterSends(Postgres& database) {
  RegisterQueue(database);
  RegisterLetter(database);
  RegisterReplies(database);
}

}  // namespace crm::sim
