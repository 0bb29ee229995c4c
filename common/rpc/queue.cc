#include "common/rpc/queue.h"

#include <pthread.h>

#include <thread>
#include <utility>

namespace crm::rpc::wire {
namespace {

struct Current {
  std::mutex mutex;
  std::weak_ptr<Queue> queue;
};
Current& TheCurrent() {
  static auto* current = new Current;  // threads may outlive main
  return *current;
}

}  // namespace

Queue::Queue(std::unique_ptr<grpc::CompletionQueue> queue) : queue_(std::move(queue)) {}

std::shared_ptr<Queue> Queue::Started(std::unique_ptr<grpc::CompletionQueue> queue) {
  // The last to let go may be the thread itself: it deletes the queue when it has seen its end.
  std::shared_ptr<Queue> started(new Queue(std::move(queue)), [](Queue* q) { q->Stop(); });
  std::thread thread([q = started.get()] {
    pthread_setname_np(pthread_self(), "wire");
    q->Run();
    delete q;
  });
  thread.detach();
  return started;
}

std::shared_ptr<Queue> Queue::Shared() {
  Current& current = TheCurrent();
  std::lock_guard lock(current.mutex);
  std::shared_ptr<Queue> queue = current.queue.lock();
  if (!queue) {
    queue = Started(std::make_unique<grpc::CompletionQueue>());
    current.queue = queue;
  }
  return queue;
}

std::shared_ptr<Queue> Queue::Serve(std::unique_ptr<grpc::ServerCompletionQueue> queue) {
  std::shared_ptr<Queue> started = Started(std::move(queue));
  Current& current = TheCurrent();
  std::lock_guard lock(current.mutex);
  current.queue = started;
  return started;
}

void Queue::Post(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  if (stopped_) return;
  posted_.push_back(std::move(work));
  if (!asleep_ || ringing_) return;
  ringing_ = true;
  // Under the lock, so that it is not set on a queue that has been shut down.
  alarm_.Set(queue_.get(), gpr_time_0(GPR_CLOCK_MONOTONIC), static_cast<Event*>(&wake_));
}

void Queue::Wake::Happened(bool) {
  std::lock_guard lock(queue->mutex_);
  queue->ringing_ = false;
}

void Queue::Run() {
  std::vector<std::function<void()>> work;
  for (;;) {
    {
      std::lock_guard lock(mutex_);
      work.swap(posted_);
      asleep_ = work.empty();
    }
    if (!work.empty()) {
      for (auto& one : work) one();
      work.clear();
      continue;
    }
    void* tag = nullptr;
    bool ok = false;
    if (!queue_->Next(&tag, &ok)) return;
    {
      std::lock_guard lock(mutex_);
      asleep_ = false;
    }
    static_cast<Event*>(tag)->Happened(ok);
  }
}

void Queue::Stop() {
  Post([this] {
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    queue_->Shutdown();
  });
}

}  // namespace crm::rpc::wire
