#include "common/app/offload.h"

#include <absl/strings/str_cat.h>

#include <boost/asio/post.hpp>
#include <chrono>

#include "common/base/error.h"
#include "common/rpc/wait.h"

namespace crm::app {

OffloadPool::OffloadPool(int threads)
    : pending_gauge_(obs::MakeGauge("crm_offload_pending", "Blocking works waiting or running")),
      wait_(obs::MakeHistogram("crm_offload_wait_seconds", "Time that blocking works waited for a thread")),
      pool_(static_cast<size_t>(threads)) {}

OffloadPool::~OffloadPool() { pool_.join(); }

Async<> OffloadPool::Run(std::function<void()> work) {
  if (pending_.fetch_add(1) >= kPendingMax) {
    pending_.fetch_sub(1);
    auto status = Error(absl::StatusCode::kUnavailable, type::v1::ERROR_REASON_OVERLOADED,
                        "The server has more work than it can do in time. Send the request again a little later.");
    SetRetryDelay(status, std::chrono::seconds(1));
    co_return status;
  }
  pending_gauge_.Set(pending_);
  const auto queued = std::chrono::steady_clock::now();
  co_return co_await rpc::WaitFor<absl::Status>([&](auto done, auto) {
    asio::post(pool_, [this, queued, work = std::move(work), done] {
      wait_.Observe(std::chrono::steady_clock::now() - queued);
      absl::Status status;
      try {
        work();
      } catch (const std::exception& e) {
        status = absl::InternalError(absl::StrCat("blocking work threw: ", e.what()));
      }
      pending_gauge_.Set(pending_.fetch_sub(1) - 1);
      done(std::move(status));
    });
  });
}

}  // namespace crm::app
