// A call that has come in, as the wire has it. Everything happens on the queue's thread; who handles the call need not be
// there. Not for others than server.cc.
#pragma once

#include <grpc/grpc_security_constants.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/security/auth_context.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "common/rpc/queue.h"

namespace crm::rpc::wire {

// What a call's wire tells; on the queue's thread.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void OnReadDone(bool ok) = 0;
  virtual void OnWriteDone(bool ok) = 0;
  // The caller has gone, or its deadline has passed. Not after the answer.
  virtual void OnCancel() = 0;
};

// One call as the wire has it. Operations may be started from any thread; one of a kind at a time, none after the last
// write and the finish.
class ServedCall final : public std::enable_shared_from_this<ServedCall> {
 public:
  class Door;

  explicit ServedCall(std::shared_ptr<Door> door) : door_(std::move(door)) {}

  grpc::GenericServerContext context;

  void Listen(std::shared_ptr<Listener> listener) { listener_ = std::move(listener); }
  bool tls() const {
    for (const auto& type : context.auth_context()->FindPropertyValues(GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME)) {
      if (type == GRPC_TLS_TRANSPORT_SECURITY_TYPE || type == GRPC_SSL_TRANSPORT_SECURITY_TYPE) return true;
    }
    return false;
  }

  void Read(grpc::ByteBuffer* into) {
    Start(read_, [this, into] { stream_.Read(into, read_.tag()); });
  }
  void Write(const grpc::ByteBuffer* bytes) {
    Start(written_, [this, bytes] { stream_.Write(*bytes, written_.tag()); });
  }
  void WriteAndFinish(const grpc::ByteBuffer* bytes) {
    Start(finished_, [this, bytes] {
      finishing_ = true;
      stream_.WriteAndFinish(*bytes, grpc::WriteOptions(), grpc::Status::OK, finished_.tag());
    });
  }
  void Finish(grpc::Status status) {
    Start(finished_, [this, status = std::move(status)] {
      finishing_ = true;
      stream_.Finish(status, finished_.tag());
    });
  }

 private:
  // Keeps the call while its operation is under way.
  struct Operation final : Event {
    explicit Operation(void (ServedCall::*t)(bool)) : then(t) {}
    void Happened(bool ok) override {
      auto call = std::move(held);
      (call.get()->*then)(ok);
    }
    void* tag() { return static_cast<Event*>(this); }
    void (ServedCall::*const then)(bool);
    std::shared_ptr<ServedCall> held;
  };
  template <typename Work>
  void Start(Operation& operation, Work work) {
    door_->queue->Post([this, self = shared_from_this(), &operation, work = std::move(work)] {
      operation.held = self;
      work();
    });
  }

  void Accepted(bool ok);
  void Ended(bool) {
    if (context.IsCancelled() && !finishing_ && listener_) listener_->OnCancel();
  }
  void ReadDone(bool ok) { listener_->OnReadDone(ok); }
  void WriteDone(bool ok) { listener_->OnWriteDone(ok); }
  void Finished(bool) { listener_.reset(); }

  const std::shared_ptr<Door> door_;
  grpc::GenericServerAsyncReaderWriter stream_{&context};
  Operation accepted_{&ServedCall::Accepted}, ended_{&ServedCall::Ended}, read_{&ServedCall::ReadDone},
      written_{&ServedCall::WriteDone}, finished_{&ServedCall::Finished};
  std::shared_ptr<Listener> listener_;
  bool finishing_ = false;
};

// Where calls come in.
class ServedCall::Door final : public std::enable_shared_from_this<Door> {
 public:
  // `take` is given each call, on the queue's thread, and sets its listener.
  Door(std::shared_ptr<Queue> q, grpc::AsyncGenericService* service,
       std::function<void(std::shared_ptr<ServedCall>)> take)
      : queue(std::move(q)), service_(service), take_(std::move(take)) {}

  // Asks for `ahead` calls, and for one more with each that has come.
  void Open(int ahead) {
    waiting_ = ahead;
    queue->Post([this, self = shared_from_this(), ahead] {
      for (int i = 0; i < ahead; ++i) Ask();
    });
  }
  // Blocks until gRPC asks for nothing more. After the server's Shutdown and before it is destroyed.
  void WaitClosed() {
    std::unique_lock lock(mutex_);
    closed_.wait(lock, [this] { return waiting_ == 0; });
  }

  const std::shared_ptr<Queue> queue;

 private:
  friend class ServedCall;
  void Ask() {
    auto call = std::make_shared<ServedCall>(shared_from_this());
    call->accepted_.held = call->ended_.held = call;
    call->context.AsyncNotifyWhenDone(call->ended_.tag());
    auto* completions = static_cast<grpc::ServerCompletionQueue*>(queue->get());
    service_->RequestCall(&call->context, &call->stream_, completions, completions, call->accepted_.tag());
  }
  void Close() {
    std::lock_guard lock(mutex_);
    if (--waiting_ == 0) closed_.notify_all();
  }

  grpc::AsyncGenericService* const service_;
  const std::function<void(std::shared_ptr<ServedCall>)> take_;
  std::mutex mutex_;
  std::condition_variable closed_;
  int waiting_ = 0;
};

inline void ServedCall::Accepted(bool ok) {
  if (!ok) {
    ended_.held.reset();  // the server is shut down: the call never began, so it does not end
    return door_->Close();
  }
  door_->Ask();
  door_->take_(shared_from_this());
}

}  // namespace crm::rpc::wire
