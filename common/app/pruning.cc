#include "common/app/pruning.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "common/obs/metrics.h"

namespace crm::app {
namespace prune_rows {

// False when cancelled.
asio::awaitable<bool> Pause(std::chrono::steady_clock::duration time) {
  asio::steady_timer timer(co_await asio::this_coro::executor, time);
  boost::system::error_code cancelled;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  co_return !cancelled;
}

}  // namespace prune_rows

Async<int64_t> PruneOnce(pg::Db& worker_db, const Call& call, const Pruning& pruning, int rows) {
  pg::Batch batch(call);
  batch.Add(pruning.statement, pg::Params().Int(pruning.days).Int(rows));
  CRM_CO_TRY(const auto results, co_await worker_db.Write(call, std::move(batch)));
  co_return results[0].Int(0, 0);
}

Async<> PruneForever(pg::Db& worker_db, std::vector<Pruning> prunings, Call call) {
  for (;;) {
    for (const Pruning& pruning : prunings) {
      obs::Counter pruned = obs::MakeCounter("crm_pruned_rows_total", "Rows dropped because they were kept long enough",
                                             {{"statement", pruning.statement.name}});
      for (;;) {
        call.start = Now();
        call.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        const absl::StatusOr<int64_t> rows = co_await PruneOnce(worker_db, call, pruning);
        if (!rows.ok()) {
          obs::Log(obs::Level::kWarning, call, "old rows could not be dropped; that is tried again",
                   {{"statement", pruning.statement.name}, {"why", rows.status().message()}});
          break;
        }
        pruned.Add(static_cast<double>(*rows));
        if (*rows < kPruneRows) break;
        const bool on = co_await prune_rows::Pause(kPruneStepEvery);
        if (!on) co_return absl::CancelledError("ended");
      }
    }
    const bool on = co_await prune_rows::Pause(kPrunePassEvery);
    if (!on) co_return absl::CancelledError("ended");
  }
}

}  // namespace crm::app
