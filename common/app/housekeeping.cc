#include "common/app/housekeeping.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/obs/log.h"

namespace crm::app {
namespace housekeeping {

const pg::Statement kPages{"housekeeping.pages",
                           "SELECT pg_relation_size('idempotency') / current_setting('block_size')::bigint"};
// By the database's clock, which also dated the rows. The casts make it a scan of these pages alone.
const pg::Statement kPurge{
    "housekeeping.purge",
    "WITH gone AS (DELETE FROM idempotency WHERE ctid >= $1::text::tid AND ctid < $2::text::tid "
    "AND create_time < now() - make_interval(days => $3::int) RETURNING 1) SELECT count(*) FROM gone"};
const pg::Statement kMeasure{
    "housekeeping.measure",
    "SELECT coalesce((SELECT extract(epoch FROM now() - min(create_time)) FROM outbox WHERE seq IS NULL), 0)::double "
    "precision, (SELECT count(*) FROM dead_letter WHERE attempts > 0), (SELECT count(*) FROM dead_letter WHERE "
    "attempts = 0)"};

// False when cancelled.
asio::awaitable<bool> Wait(std::chrono::steady_clock::duration time) {
  asio::steady_timer timer(co_await asio::this_coro::executor, time);
  boost::system::error_code cancelled;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  co_return !cancelled;
}

Call Fresh(const Call& call) {
  Call own = call;
  own.start = Now();
  own.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  return own;
}

std::string Tid(int64_t page) { return absl::StrCat("(", page, ",0)"); }

}  // namespace housekeeping

namespace hk = housekeeping;

Housekeeping::Housekeeping(pg::Db& worker_db)
    : db_(worker_db),
      purged_(obs::MakeCounter("crm_idempotency_purged_total", "Replies dropped because their keys are too old")),
      unnumbered_age_(
          obs::MakeGauge("crm_events_unnumbered_age_seconds", "How long the oldest event has waited for its number")),
      dead_letters_(obs::MakeGauge("crm_events_dead_letters", "Events put aside because they could not be applied")),
      parked_(obs::MakeGauge("crm_events_parked", "Events that wait behind a dead letter of their record")) {}

Async<int64_t> Housekeeping::Purge(const Call& call, int64_t page) {
  CRM_CO_TRY(const pg::Rows size, co_await db_.Read(call, hk::kPages, pg::Params(), pg::Work::kList));
  const int64_t pages = size.Int(0, 0), end = page + kStepPages;
  if (page >= pages) co_return 0;
  pg::Batch batch(call);
  batch.Add(hk::kPurge, pg::Params().Text(hk::Tid(page)).Text(hk::Tid(end)).Int(kKeyDays));
  CRM_CO_TRY(const auto rows, co_await db_.Write(call, std::move(batch)));
  purged_.Add(static_cast<double>(rows[0].Int(0, 0)));
  co_return end < pages ? end : 0;
}

Async<> Housekeeping::Measure(const Call& call) {
  CRM_CO_TRY(const pg::Rows rows, co_await db_.Read(call, hk::kMeasure, pg::Params(), pg::Work::kList));
  unnumbered_age_.Set(std::max(0.0, rows.Double(0, 0)));
  dead_letters_.Set(static_cast<double>(rows.Int(0, 1)));
  parked_.Set(static_cast<double>(rows.Int(0, 2)));
  co_return absl::OkStatus();
}

Async<> Housekeeping::PurgeForever(Call call) {
  int64_t page = 0;
  for (;;) {
    const absl::StatusOr<int64_t> next = co_await Purge(hk::Fresh(call), page);
    // What failed is done again in the next pass.
    page = next.ok() ? *next : 0;
    const bool on = co_await hk::Wait(page > 0 ? std::chrono::steady_clock::duration(kStepEvery)
                                               : std::chrono::steady_clock::duration(kPassEvery));
    if (!on) co_return absl::CancelledError("ended");
  }
}

Async<> Housekeeping::MeasureForever(Call call) {
  for (;;) {
    // Without the database the gauges stand; readiness tells of that.
    (co_await Measure(hk::Fresh(call))).IgnoreError();
    const bool on = co_await hk::Wait(kMeasureEvery);
    if (!on) co_return absl::CancelledError("ended");
  }
}

}  // namespace crm::app
