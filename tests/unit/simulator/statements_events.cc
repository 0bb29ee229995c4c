// The statements of common/events.
#include <algorithm>

#include "tests/unit/simulator/postgres.h"

namespace crm::sim {

namespace {

constexpr absl::Duration kAnyonesAfter = absl::Seconds(1);  // events.find_unnumbered
constexpr int kShards = 16;

Heard HeardOf(const Given& given) { return {given.Id(1), given.Text(2)}; }
HeardSeq LetterOf(const Given& given) { return {HeardOf(given), given.Int(3)}; }

void RegisterRelay(Postgres& database) {
  database.Register("pg.emit", 0x2c7c13cc01db04d1, [](Running& run) {
    run.schema.outbox.Put(run.txn, {run.given.Id(1), run.NextId()}, {0, run.given.Text(4), run.given.Text(5), run.now});
  });
  database.Register("events.find_unnumbered", 0xbd85a69196a42895, [](Running& run) {
    const std::vector<int64_t> shards = run.given.Ints(1);
    std::set<Uuid> seen;
    run.schema.outbox.Each(run.txn, [&](const TenantSeq& key, const OutboxRow& row) {
      if (row.seq != 0 || !seen.insert(key.first).second) return;
      const bool ours = std::find(shards.begin(), shards.end(), key.first.bucket() % kShards) != shards.end();
      if (ours || row.create_time < run.Clock() - kAnyonesAfter) run.answer.Row().Id(key.first).Int(key.second);
    });
  });
  database.Register("events.make_lane", 0xfc6def68581737eb, [](Running& run) {
    if (run.schema.lane.Find(run.txn, run.given.Id(1)) == nullptr) run.schema.lane.Put(run.txn, run.given.Id(1), 0);
  });
  database.Register("events.lock_lane", 0x447e9d3517e250d8, [](Running& run) {
    if (run.schema.lane.Find(run.txn, run.given.Id(1)) == nullptr) return;
    run.schema.lane.Lock(run.txn, run.given.Id(1));
    run.answer.Row().Int(run.txn->number).Int(run.database.oldest());
  });
  database.Register("events.number", 0x8b5b15e9ce0742d, [](Running& run) {
    const int64_t* head = run.schema.lane.Find(run.txn, run.given.Id(1));
    if (head != nullptr) NumberFrom(run, *head);
  });
}

void RegisterShares(Postgres& database) {
  database.Register("events.relax_commit", 0xe4c107f62cd95b1, [](Running& run) {
    run.txn->relaxed = true;
    run.answer.Row().Text("off");
  });
  database.Register("events.renew_lease", 0x83cd4173f91dd0b6, [](Running& run) {
    run.schema.bucket_lease.Put(run.txn, {run.given.Text(1), run.given.Text(2)},
                                run.Clock() + absl::Milliseconds(run.given.Int(3)));
  });
  database.Register("events.list_holders", 0xdd02ce6f693dc877, [](Running& run) {
    run.schema.bucket_lease.Each(run.txn, [&](const auto& key, absl::Time until) {
      const bool believable = until <= run.Clock() + 2 * absl::Milliseconds(run.given.Int(2));
      if (key.first == run.given.Text(1) && until > run.Clock() && believable) run.answer.Row().Text(key.second);
    });
  });
  database.Register("events.forget_leases", 0xc00ab35634e1a011, [](Running& run) {
    std::vector<std::pair<std::string, std::string>> gone;
    run.schema.bucket_lease.Each(run.txn, [&](const auto& key, absl::Time until) {
      if (key.first != run.given.Text(1)) return;
      if (key.second == run.given.Text(2) || until < run.Clock() - absl::Hours(1)) gone.push_back(key);
    });
    for (const auto& key : gone) run.schema.bucket_lease.Erase(run.txn, key);
  });
}

void RegisterConsumer(Postgres& database) {
  database.Register("events.load_positions", 0x4a05e131133741d8, [](Running& run) {
    for (const Uuid& tenant : run.given.Ids(2)) {
      const int64_t* seq = run.schema.position.Find(run.txn, {tenant, run.given.Text(1)});
      if (seq != nullptr) run.answer.Row().Id(tenant).Int(*seq);
    }
  });
  database.Register("events.load_position", 0x248e6c20fe3f5e0c, [](Running& run) {
    const int64_t* seq = run.schema.position.Find(run.txn, HeardOf(run.given));
    if (seq != nullptr) run.answer.Row().Int(*seq);
  });
  database.Register("events.make_position", 0x287692844ae174d8, [](Running& run) {
    if (run.schema.position.Find(run.txn, HeardOf(run.given)) == nullptr) {
      run.schema.position.Put(run.txn, HeardOf(run.given), 0);
    }
  });
  database.Register("events.move_position", 0x934ed74a4ae27877, [](Running& run) {
    run.schema.position.Lock(run.txn, HeardOf(run.given));
    const int64_t* seq = run.schema.position.Find(run.txn, HeardOf(run.given));
    if (seq == nullptr || *seq != run.given.Int(3)) return;
    run.schema.position.Put(run.txn, HeardOf(run.given), run.given.Int(4));
    run.answer.Row().Int(run.given.Int(4));
  });
  database.Register("events.load_attempt", 0xf02936d869e29a2b, [](Running& run) {
    run.schema.event_attempt.Each(run.txn, [&](const HeardSeq& key, const AttemptRow& row) {
      if (key.first == HeardOf(run.given)) run.answer.Row().Int(key.second).Int(row.attempts).Text(row.error);
    });
  });
  database.Register("events.mark_attempt", 0x4b73a435c090738e, [](Running& run) {
    run.schema.event_attempt.Lock(run.txn, LetterOf(run.given));
    const AttemptRow* row = run.schema.event_attempt.Find(run.txn, LetterOf(run.given));
    const int64_t attempts = std::max<int64_t>((row == nullptr ? 0 : row->attempts) + run.given.Int(4), 0);
    run.schema.event_attempt.Put(run.txn, LetterOf(run.given), {attempts, run.given.Text(5)});
    run.answer.Row().Int(attempts);
  });
  database.Register("events.forget_attempts", 0x2e11bb7869b96391, [](Running& run) {
    std::vector<HeardSeq> gone;
    run.schema.event_attempt.Each(run.txn, [&](const HeardSeq& key, const AttemptRow&) {
      if (key.first == HeardOf(run.given) && key.second <= run.given.Int(3)) gone.push_back(key);
    });
    for (const HeardSeq& key : gone) run.schema.event_attempt.Erase(run.txn, key);
  });
  database.Register("events.load_parked", 0xe90130503b0181c8, [](Running& run) {
    std::set<std::string> records;
    run.schema.dead_letter.Each(run.txn, [&](const HeardSeq& key, const LetterRow& row) {
      if (key.first == HeardOf(run.given) && !row.record.empty()) records.insert(row.record);
    });
    for (const std::string& record : records) run.answer.Row().Text(record);
  });
  database.Register("events.bury", 0xd7c32f12fea39cf6, [](Running& run) {
    const Given& given = run.given;
    run.schema.dead_letter.Lock(run.txn, LetterOf(given));
    if (run.schema.dead_letter.Find(run.txn, LetterOf(given)) != nullptr) return;
    run.schema.dead_letter.Put(run.txn, LetterOf(given),
                               {given.Text(4), given.Text(5), given.Int(6), given.Text(7), run.now});
  });
  database.Register("events.park", 0x114668a335feaa38, [](Running& run) {
    const Given& given = run.given;
    bool waits = false;
    run.schema.dead_letter.Each(run.txn, [&](const HeardSeq& key, const LetterRow& row) {
      waits = waits || (key.first == HeardOf(given) && row.record == given.Text(4));
    });
    if (!waits) return;
    run.schema.dead_letter.Put(run.txn, LetterOf(given), {given.Text(4), given.Text(5), 0, "", run.now});
    run.answer.Row().Int(given.Int(3));
  });
}

void RegisterReplay(Postgres& database) {
  database.Register("events.lock_position", 0x7c358c87097a7280, [](Running& run) {
    run.schema.position.Lock(run.txn, HeardOf(run.given));
    const int64_t* seq = run.schema.position.Find(run.txn, HeardOf(run.given));
    if (seq != nullptr) run.answer.Row().Int(*seq);
  });
  database.Register("events.load_letter", 0xf580d5af87804b22, [](Running& run) {
    const LetterRow* row = run.schema.dead_letter.Find(run.txn, LetterOf(run.given));
    if (row == nullptr) return;
    run.answer.Row().Text(row->record).Bytes(row->event).Int(row->attempts).Text(row->error).Time(row->create_time);
  });
  database.Register("events.first_letter", 0xcb2242fecbd66da4, [](Running& run) {
    run.schema.dead_letter.Each(run.txn, [&](const HeardSeq& key, const LetterRow& row) {
      if (!run.answer.empty() || key.first != HeardOf(run.given) || row.record != run.given.Text(3)) return;
      run.answer.Row().Int(key.second);
    });
  });
  database.Register("events.next_letters", 0x68bbb6d380218327, [](Running& run) {
    int64_t left = run.given.Int(5);
    run.schema.dead_letter.Each(run.txn, [&](const HeardSeq& key, const LetterRow& row) {
      if (key.first != HeardOf(run.given) || row.record != run.given.Text(3) || key.second <= run.given.Int(4)) return;
      if (left-- > 0) run.answer.Row().Int(key.second).Bytes(row.event);
    });
  });
  database.Register("events.take_letter", 0xa3875bc4e461b0eb, [](Running& run) {
    run.schema.dead_letter.Lock(run.txn, LetterOf(run.given));
    if (run.schema.dead_letter.Find(run.txn, LetterOf(run.given)) == nullptr) return;
    run.schema.dead_letter.Erase(run.txn, LetterOf(run.given));
    run.answer.Row().Int(run.given.Int(3));
  });
  database.Register("events.blame_letter", 0x94c109df253bddf4, [](Running& run) {
    run.schema.dead_letter.Lock(run.txn, LetterOf(run.given));
    const LetterRow* row = run.schema.dead_letter.Find(run.txn, LetterOf(run.given));
    if (row == nullptr) return;
    LetterRow blamed = *row;
    ++blamed.attempts;
    blamed.error = run.given.Text(4);
    run.schema.dead_letter.Put(run.txn, LetterOf(run.given), std::move(blamed));
  });
}

void RegisterEventLog(Postgres& database) {
  database.Register("events.list_events", 0x5e776d8e8c1447b2, [](Running& run) {
    std::map<int64_t, const OutboxRow*> rows;
    for (const auto& [key, row] : run.schema.outbox.rows()) {
      if (key.first == run.given.Id(1) && row.seq > run.given.Int(2)) rows[row.seq] = &row;
    }
    int64_t left = run.given.Int(3);
    for (const auto& [seq, row] : rows) {
      if (left-- > 0) run.answer.Row().Int(seq).Bytes(row->event);
    }
  });
  database.Register("events.head", 0x7bd25d77ec90c817, [](Running& run) {
    const int64_t* seq = run.schema.lane.Find(run.txn, run.given.Id(1));
    if (seq != nullptr) run.answer.Row().Int(*seq);
  });
  database.Register("events.list_heads", 0xf192eae4487ff6c9, [](Running& run) {
    const std::vector<int64_t> buckets = run.given.Ints(1);
    run.schema.lane.Each(run.txn, [&](const Uuid& tenant, int64_t seq) {
      const bool asked = buckets.empty() || std::find(buckets.begin(), buckets.end(), tenant.bucket()) != buckets.end();
      if (seq > 0 && asked) run.answer.Row().Id(tenant).Int(seq);
    });
  });
}

}  // namespace

// What `events.number` does once it holds the lane; `head` is where it believes the lane to be.
void NumberFrom(Running& run, int64_t head) {
  const Uuid tenant = run.given.Id(1);
  std::vector<TenantSeq> waiting;
  run.schema.outbox.Each(run.txn, [&](const TenantSeq& key, const OutboxRow& row) {
    if (key.first == tenant && key.second > run.given.Int(4) && row.seq == 0 &&
        static_cast<int64_t>(waiting.size()) < run.given.Int(3)) {
      waiting.push_back(key);
    }
  });
  if (waiting.empty()) return;
  for (const TenantSeq& key : waiting) run.schema.outbox.Lock(run.txn, key);
  run.schema.lane.Put(run.txn, tenant, head + static_cast<int64_t>(waiting.size()));
  for (const TenantSeq& key : waiting) {
    OutboxRow row = *run.schema.outbox.Find(run.txn, key);
    row.seq = ++head;
    run.answer.Row()
        .Int(row.seq)
        .Bytes(row.event)
        .Double(absl::ToDoubleSeconds(run.Clock() - row.create_time))
        .Int(key.second);
    run.schema.outbox.Put(run.txn, key, std::move(row));
  }
}

void RegisterEvents(Postgres& database) {
  RegisterRelay(database);
  RegisterShares(database);
  RegisterConsumer(database);
  RegisterReplay(database);
  RegisterEventLog(database);
}

}  // namespace crm::sim
