#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "services/identity/jobs/jobs.h"
#include "services/identity/sql.h"

namespace crm::identity {

Async<> PruneAccessChanges(Identity& identity, Call call) {
  constexpr auto kEvery = std::chrono::minutes(10);
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (;;) {
    timer.expires_after(kEvery);
    co_await timer.async_wait(asio::use_awaitable);
    pg::Batch batch(call);
    batch.Add(sql::kPruneAccessChanges);
    // What fails now is done at the next turn.
    (void)co_await identity.runtime.worker_db().Write(call, std::move(batch));
  }
}

}  // namespace crm::identity
