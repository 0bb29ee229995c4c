// The thread that has to do with the wire. gRPC's callback API serves its queue with two threads and more, which hand each
// event, and the right to poll, from one to the other: three switches and 30 µs of CPU a call (docs/PERFORMANCE.md). Here one
// thread polls one completion queue, and every operation of a call, in or out, is started on it; nothing is handed on. Not
// for others than server.cc and client.cc.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace crm::rpc::wire {

// What an operation's tag points to. Happens once per operation, on the queue's thread.
class Event {
 public:
  virtual void Happened(bool ok) = 0;

 protected:
  ~Event() = default;
};

class Queue {
 public:
  // The process's one queue: its server's, from its start on; before, and in programs that serve nothing, one of its own.
  // It ends when nobody holds it any more. Hold it as long as an operation of yours is under way.
  static std::shared_ptr<Queue> Shared();
  // Serves a server's queue, which from now on is the shared one.
  static std::shared_ptr<Queue> Serve(std::unique_ptr<grpc::ServerCompletionQueue> queue);

  // Runs `work` on the queue's thread: soon, in the order of posting, never within this call. From any thread.
  void Post(std::function<void()> work);
  // For starting operations; on the queue's thread only.
  grpc::CompletionQueue* get() { return queue_.get(); }

 private:
  struct Wake final : Event {
    explicit Wake(Queue* q) : queue(q) {}
    void Happened(bool ok) override;
    Queue* const queue;
  };
  explicit Queue(std::unique_ptr<grpc::CompletionQueue> queue);
  static std::shared_ptr<Queue> Started(std::unique_ptr<grpc::CompletionQueue> queue);
  void Run();
  void Stop();

  const std::unique_ptr<grpc::CompletionQueue> queue_;
  grpc::Alarm alarm_;
  Wake wake_{this};
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;
  bool asleep_ = false;   // or about to be: must be woken for what is posted
  bool ringing_ = false;  // the alarm is set and has not been heard
  bool stopped_ = false;
};

}  // namespace crm::rpc::wire
