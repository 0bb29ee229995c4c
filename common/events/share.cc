#include "common/events/share.h"

#include <algorithm>
#include <utility>

#include "common/events/loop.h"
#include "common/obs/log.h"

namespace crm::events {

namespace {

// A lost renewal is repeated long before it is missed, so it need not wait for the disk.
const pg::Statement kRelaxCommit{"events.relax_commit", "SELECT set_config('synchronous_commit', 'off', true)"};
const pg::Statement kRenewLease{"events.renew_lease",
                                "INSERT INTO bucket_lease (consumer, holder, until) VALUES ($1, $2, clock_timestamp() "
                                "+ $3::bigint * interval '1 ms') "
                                "ON CONFLICT (consumer, holder) DO UPDATE SET until = excluded.until"};
// A lease that ends later than any lasts was given before the database's clock was set back: its holder may be long dead.
const pg::Statement kListHolders{"events.list_holders",
                                 "SELECT holder FROM bucket_lease WHERE consumer = $1 AND until > clock_timestamp() "
                                 "AND until <= clock_timestamp() + 2 * $2::bigint * interval '1 ms' ORDER BY holder"};
const pg::Statement kForgetLeases{
    "events.forget_leases",
    "DELETE FROM bucket_lease WHERE consumer = $1 AND (holder = $2 OR until < clock_timestamp() - interval '1 hour')"};

}  // namespace

Share::Share(pg::Db& worker_db, std::string service, std::string consumer, std::string holder,
             std::chrono::milliseconds lease)
    : db_(worker_db),
      service_(std::move(service)),
      consumer_(std::move(consumer)),
      holder_(holder.empty() ? NewHolder() : std::move(holder)),
      lease_(lease) {}

std::vector<int> Share::Divide(int rank, int count) {
  std::vector<int> shards;
  for (int shard = rank; shard < kShards; shard += count) shards.push_back(shard);
  return shards;
}

bool Share::Has(int shard) const { return std::find(shards_.begin(), shards_.end(), shard) != shards_.end(); }

asio::awaitable<bool> Share::Renew() {
  auto now = std::chrono::steady_clock::now();
  if (now < renew_at_) co_return false;
  renew_at_ = now + std::min(lease_ / 3, std::chrono::milliseconds(1000));  // when it fails
  Call call = OwnCall(service_, "events.Renew", Uuid{}, lease_ / 2);
  pg::Batch batch(call);
  batch.Add(kRelaxCommit);
  batch.Add(kRenewLease, pg::Params().Text(consumer_).Text(holder_).Int(lease_.count()));
  int listed = batch.Add(kListHolders, pg::Params().Text(consumer_).Int(lease_.count()));
  auto results = co_await db_.Write(call, std::move(batch));
  if (!results.ok()) {
    obs::Log(obs::Level::kWarning, "a share of the shards could not be renewed",
             {{"consumer", consumer_}, {"error", Brief(results.status())}});
    co_return false;
  }
  renew_at_ = now + lease_ / 3;
  const pg::Rows& holders = (*results)[static_cast<size_t>(listed)];
  std::vector<int> shards;
  for (int i = 0; i < holders.size(); ++i) {
    if (holders.Text(i, 0) == holder_) shards = Divide(i, holders.size());
  }
  bool changed = shards != shards_;
  shards_ = std::move(shards);
  co_return changed;
}

asio::awaitable<void> Share::Release() {
  Call call = OwnCall(service_, "events.Release", Uuid{}, std::chrono::milliseconds(1000));
  pg::Batch batch(call);
  batch.Add(kForgetLeases, pg::Params().Text(consumer_).Text(holder_));
  (void)co_await db_.Write(call, std::move(batch));
  shards_.clear();
}

}  // namespace crm::events
