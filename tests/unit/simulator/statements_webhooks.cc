// The statements that webhooks leave by (services/messaging). Webhooks and deliveries are records; a delivery has three columns more,
// which only its sender knows: event, lease_until and holder.
#include <algorithm>

#include "common/pg/errors.h"
#include "tests/unit/simulator/postgres.h"

namespace crm::sim {

namespace {

constexpr int64_t kPending = 1, kFailed = 3;

RowKey DeliveryKey(const Uuid& tenant, const Uuid& id) { return {"delivery", {tenant, id}}; }

// The deliveries of a tenant's webhook that wait.
std::vector<RowKey> WaitingOf(Running& run, const Uuid& tenant, const std::string& webhook) {
  std::vector<RowKey> keys;
  run.schema.row.Each(run.txn, [&](const RowKey& key, const RecordRow& row) {
    if (key.first != "delivery" || key.second.first != tenant || row.at("webhook_id") != webhook) return;
    if (IntOf(row, "status") == kPending) keys.push_back(key);
  });
  return keys;
}

// Free, or its lease is over.
bool Unheld(const RecordRow& row, absl::Time now) {
  const std::optional<absl::Time> until = TimeOf(row, "lease_until");
  return IntOf(row, "status") == kPending && (!until || *until < now);
}

void PutDelivery(Running& run) {
  const Given& given = run.given;
  const RowKey key = DeliveryKey(given.Id(1), given.Id(2));
  if (run.schema.row.Find(run.txn, key) != nullptr)
    throw pg::ServerError{"23505", "duplicate key", "delivery_pkey", "", ""};
  RecordRow row;
  row["id"] = given.Text(2);
  row["webhook_id"] = given.Text(3);
  row["event_type"] = given.Text(4);
  row["record_id"] = given.Null(5) ? std::nullopt : std::optional(given.Text(5));
  for (const char* column : {"event_time", "create_time", "update_time"}) row[column] = TimeCell(given.Time(6));
  row["event"] = given.Text(7);
  row["revision"] = row["status"] = IntCell(1);
  for (const char* column : {"attempt_count", "response_status", "duration_ms"}) row[column] = IntCell(0);
  for (const char* column : {"response_body", "error", "holder"}) row[column] = "";
  row["next_attempt_time"] = TimeCell(run.now);
  row["lease_until"] = std::nullopt;
  run.schema.row.Put(run.txn, key, std::move(row));
}

void SettleDelivery(Running& run) {
  const Given& given = run.given;
  const RowKey key = DeliveryKey(given.Id(1), given.Id(2));
  run.schema.row.Lock(run.txn, key);
  const RecordRow* old = run.schema.row.Find(run.txn, key);
  if (old == nullptr || IntOf(*old, "status") != kPending || TimeOf(*old, "lease_until") != given.Time(3)) return;
  RecordRow row = *old;
  row["revision"] = IntCell(IntOf(*old, "revision") + 1);
  row["status"] = IntCell(given.Int(4));
  row["next_attempt_time"] = std::nullopt;
  if (!given.Null(5)) row["next_attempt_time"] = TimeCell(run.now + absl::Milliseconds(given.Int(5)));
  row["lease_until"] = std::nullopt;
  row["response_status"] = IntCell(given.Int(6));
  row["response_body"] = given.Text(7);
  row["error"] = given.Text(8);
  row["duration_ms"] = IntCell(given.Int(9));
  row["update_time"] = TimeCell(run.now);
  run.schema.row.Put(run.txn, key, std::move(row));
  run.answer.Row().Int(1);
}

void FailDeliveries(Running& run) {
  const Uuid tenant = run.given.Id(1);
  for (const RowKey& key : WaitingOf(run, tenant, run.given.Text(2))) run.schema.row.Lock(run.txn, key);
  for (const RowKey& key : WaitingOf(run, tenant, run.given.Text(2))) {
    RecordRow row = *run.schema.row.Find(run.txn, key);
    row["revision"] = IntCell(IntOf(row, "revision") + 1);
    row["status"] = IntCell(kFailed);
    row["next_attempt_time"] = std::nullopt;
    row["error"] = run.given.Text(3);
    row["update_time"] = TimeCell(run.now);
    run.schema.row.Put(run.txn, key, std::move(row));
  }
}

void MarkWebhook(Running& run) {
  const RowKey key{"webhook", {run.given.Id(1), run.given.Id(2)}};
  run.schema.row.Lock(run.txn, key);
  const RecordRow* old = run.schema.row.Find(run.txn, key);
  if (old == nullptr) return;
  RecordRow row = *old;
  const bool well = run.given.Text(3) == "t";
  if (well) row["last_success_time"] = TimeCell(run.now);
  if (well) row["failing_since"] = std::nullopt;
  if (!well && !row["failing_since"]) row["failing_since"] = TimeCell(run.now);
  run.schema.row.Put(run.txn, key, std::move(row));
}

}  // namespace

void ClaimDeliveries(Running& run, bool lease, bool limit) {
  constexpr int kOfOneWebhook = 4;
  std::vector<std::pair<absl::Time, RowKey>> due;
  run.schema.row.Each(run.txn, [&](const RowKey& key, const RecordRow& row) {
    if (key.first != "delivery" || !Unheld(row, run.now)) return;
    const std::optional<absl::Time> next = TimeOf(row, "next_attempt_time");
    if (next && *next <= run.now) due.emplace_back(*next, key);
  });
  std::sort(due.begin(), due.end());
  std::map<std::pair<Uuid, std::string>, int> place;
  std::erase_if(due, [&](const auto& one) {
    const RecordRow& row = *run.schema.row.Find(run.txn, one.second);
    return ++place[{one.second.second.first, *row.at("webhook_id")}] > kOfOneWebhook;
  });
  if (limit && static_cast<int64_t>(due.size()) > run.given.Int(1)) due.resize(static_cast<size_t>(run.given.Int(1)));
  for (const auto& [time, key] : due) run.schema.row.Lock(run.txn, key);
  for (const auto& [time, key] : due) {
    RecordRow row = *run.schema.row.Find(run.txn, key);
    if (!Unheld(row, run.now)) continue;  // it has waited for somebody who claimed it
    const absl::Time until = run.now + absl::Seconds(run.given.Int(3));
    row["lease_until"] = TimeCell(until);
    if (!lease) row["lease_until"] = TimeCell(run.now);
    row["holder"] = run.given.Text(2);
    row["attempt_count"] = IntCell(IntOf(row, "attempt_count") + 1);
    run.answer.Row().Id(key.second.first).Id(key.second.second).Bytes(*row.at("webhook_id"));
    run.answer.Bytes(*row.at("event")).Int(IntOf(row, "attempt_count")).Cell(row.at("lease_until"));
    run.schema.row.Put(run.txn, key, std::move(row));
  }
}

void RegisterWebhooks(Postgres& database) {
  database.Register("messaging.put_delivery", 0x5b463122132b85cc, PutDelivery);
  database.Register("messaging.claim_deliveries", 0x6ffa2b546555cea1,
                    [](Running& run) { ClaimDeliveries(run, true, true); });
  database.Register("messaging.settle_delivery", 0xd16bc6e7b57d09a0, SettleDelivery);
  database.Register("messaging.fail_deliveries", 0xf440754599a51e82, FailDeliveries);
  database.Register("messaging.mark_webhook", 0xe4092fad5d843e0e, MarkWebhook);
  database.Register("messaging.take_back_deliveries", 0xae6000e174cff613, [](Running& run) {
    std::vector<RowKey> held;
    run.schema.row.Each(run.txn, [&](const RowKey& key, const RecordRow& row) {
      if (key.first == "delivery" && row.at("holder") == run.given.Text(1) && row.at("lease_until"))
        held.push_back(key);
    });
    for (const RowKey& key : held) run.schema.row.Lock(run.txn, key);
    for (const RowKey& key : held) {
      RecordRow row = *run.schema.row.Find(run.txn, key);
      if (row.at("holder") != run.given.Text(1)) continue;
      row["lease_until"] = std::nullopt;
      run.schema.row.Put(run.txn, key, std::move(row));
    }
  });
  database.Register("messaging.find_webhook_to_post", 0xf94ddb73747a05f0, [](Running& run) {
    const RecordRow* row = run.schema.row.Find(run.txn, {"webhook", {run.tenant, run.given.Id(1)}});
    const std::string* sealed = run.schema.webhook_secret.Find(run.txn, {run.tenant, run.given.Id(1)});
    if (row == nullptr || sealed == nullptr) return;
    const bool on = *row->at("enabled") == std::string(1, '\1') && !row->at("delete_time");
    run.answer.Row().Text(*row->at("url")).Bool(on).Cell(row->at("personal_data")).Bytes(*sealed);
    run.answer.Cell(std::nullopt).Cell(std::nullopt).Cell(row->at("failing_since"));
  });
  database.Register("messaging.put_webhook_secret", 0xbef6509ce8d8c9c7, [](Running& run) {
    run.schema.webhook_secret.Put(run.txn, {run.given.Id(1), run.given.Id(2)}, run.given.Text(3));
  });
}

}  // namespace crm::sim
