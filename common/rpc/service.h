// How a service offers its rpcs: one line each in its service.h, one handler file each.
//
//   class ContactService final : public rpc::Service {
//    public:
//     explicit ContactService(pg::Db& db) : rpc::Service("crm.contact.v1.ContactService"), db_(db) {}
//     CRM_RPC(CreateContact, v1::CreateContactRequest, v1::Contact)
//     CRM_RPC(GetContact, v1::GetContactRequest, v1::Contact)
//     CRM_RPC_STREAM(WatchReport, v1::WatchReportRequest, v1::Report)
//   };
//
//   Async<v1::Contact> ContactService::GetContact(Call& call, const v1::GetContactRequest& request) { ... }
//
// The server dispatches by descriptor, so no stub is generated. At start
// it checks each service against its descriptor: an rpc without a handler, without an access option, or with other message
// types stops the process with a message that names it.
//
// Before a handler runs: deadline (default 10 s, at most 30 s), token -> principal, right, buf.validate rules, idempotency
// key and body hash. After it: the status with its details, metrics per rpc and code, one log line. A handler that answers
// LostRace is run again, up to 3 times, unless the request carries an etag.
#pragma once

#include <google/protobuf/message.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"

namespace crm::rpc {

// Where a streaming handler puts its answers.
template <typename M>
class Stream {
 public:
  virtual ~Stream() = default;
  // Waits until the message is accepted by the transport. CANCELLED when the client has gone: then return.
  virtual Async<> Send(const M& message) = 0;
  virtual bool cancelled() const = 0;
};

class Service {
 public:
  explicit Service(std::string full_name) : full_name_(std::move(full_name)) {}
  virtual ~Service() = default;
  Service(const Service&) = delete;
  const std::string& full_name() const { return full_name_; }

  using RawSend = std::function<Async<>(const google::protobuf::Message&)>;
  struct Method {
    std::string name;
    const google::protobuf::Message* request;  // default instances
    const google::protobuf::Message* response;
    std::function<Async<std::unique_ptr<google::protobuf::Message>>(Call&, const google::protobuf::Message&)> unary;
    std::function<Async<>(Call&, const google::protobuf::Message&, RawSend, std::function<bool()>)> stream;
  };
  const std::vector<Method>& methods() const { return methods_; }

 protected:
  // Registers a method when the service is constructed; used by the macros below.
  struct Registration {
    template <typename S, typename Req, typename Res>
    Registration(S* service, const char* name, asio::awaitable<absl::StatusOr<Res>> (S::*handler)(Call&, const Req&));
    template <typename S, typename Req, typename Res>
    Registration(S* service, const char* name, Async<> (S::*handler)(Call&, const Req&, Stream<Res>&));
  };

 private:
  std::string full_name_;
  std::vector<Method> methods_;
};

#define CRM_RPC(Name, Request, Response)                                  \
  ::crm::Async<Response> Name(::crm::Call& call, const Request& request); \
  Registration Name##_registration_ = Registration(this, #Name, &std::remove_pointer_t<decltype(this)>::Name);
#define CRM_RPC_STREAM(Name, Request, Response)                                                         \
  ::crm::Async<> Name(::crm::Call& call, const Request& request, ::crm::rpc::Stream<Response>& stream); \
  Registration Name##_registration_ = Registration(this, #Name, &std::remove_pointer_t<decltype(this)>::Name);

// ---- implementation of the templates ----

template <typename S, typename Req, typename Res>
Service::Registration::Registration(S* service, const char* name,
                                    asio::awaitable<absl::StatusOr<Res>> (S::*handler)(Call&, const Req&)) {
  static_cast<Service*>(service)->methods_.push_back(
      {name, &Req::default_instance(), &Res::default_instance(),
       [service, handler](
           Call& call, const google::protobuf::Message& request) -> Async<std::unique_ptr<google::protobuf::Message>> {
         absl::StatusOr<Res> reply = co_await (service->*handler)(call, static_cast<const Req&>(request));
         if (!reply.ok()) co_return reply.status();
         co_return std::make_unique<Res>(*std::move(reply));
       },
       nullptr});
}

template <typename S, typename Req, typename Res>
Service::Registration::Registration(S* service, const char* name,
                                    Async<> (S::*handler)(Call&, const Req&, Stream<Res>&)) {
  static_cast<Service*>(service)->methods_.push_back(
      {name, &Req::default_instance(), &Res::default_instance(), nullptr,
       [service, handler](Call& call, const google::protobuf::Message& request, RawSend send,
                          std::function<bool()> gone) -> Async<> {
         struct Typed final : Stream<Res> {
           RawSend send;
           std::function<bool()> gone;
           Async<> Send(const Res& message) override { return send(message); }
           bool cancelled() const override { return gone(); }
         } stream;
         stream.send = std::move(send);
         stream.gone = std::move(gone);
         co_return co_await (service->*handler)(call, static_cast<const Req&>(request), stream);
       }});
}

}  // namespace crm::rpc
