// What automation rules can be made of, read from the descriptors: the events of all services with the records that they
// carry, and which records a rule may read and change. Nothing here is listed by hand but the services that are heard.
#pragma once

#include <absl/strings/string_view.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "crm/events/v1/event.pb.h"

namespace crm::scheduler::automation {

// Whose events rules hear, this service's own among them.
inline constexpr const char* kProducers[] = {"contact", "deal_pipeline", "messaging", "scheduler"};

// A kind of record.
struct ObjectKind {
  std::string name;     // "deal": the id's prefix
  std::string service;  // "deal_pipeline"
  const google::protobuf::Descriptor* record = nullptr;
  // The rpcs by which automation may reach it; null where the API does not let it.
  const google::protobuf::MethodDescriptor* get = nullptr;
  const google::protobuf::MethodDescriptor* list = nullptr;
  const google::protobuf::MethodDescriptor* update = nullptr;
};

// Something that happens.
struct EventKind {
  std::string type;     // "deal.moved"
  std::string service;  // "deal_pipeline"
  const google::protobuf::Descriptor* payload = nullptr;
  const google::protobuf::FieldDescriptor* record = nullptr;  // the payload's field that holds the record
  const ObjectKind* object = nullptr;
};

class Catalogue {
 public:
  static const Catalogue& Get();

  const std::map<std::string, EventKind>& events() const { return events_; }
  const std::map<std::string, std::unique_ptr<ObjectKind>>& objects() const { return objects_; }
  // nullptr if there is none.
  const EventKind* FindEvent(absl::string_view type) const;
  const ObjectKind* FindObject(absl::string_view name) const;

 private:
  Catalogue();
  std::map<std::string, EventKind> events_;
  std::map<std::string, std::unique_ptr<ObjectKind>> objects_;
};

// An event taken apart. The record is part of the payload.
struct Opened {
  const EventKind* kind = nullptr;
  events::v1::Event event;
  std::unique_ptr<google::protobuf::Message> payload;
  const google::protobuf::Message* record = nullptr;
};
// nullptr for an event that no rule can hear: of an unknown type, unreadable, or imported with its past.
std::unique_ptr<Opened> Open(const events::v1::Event& event);

// The RPC's full name as clients name it: "crm.deal_pipeline.v1.DealService.GetDeal".
std::string MethodName(const google::protobuf::MethodDescriptor* method);

// A string field of a message; "" if it has no such field.
std::string TextField(const google::protobuf::Message& message, absl::string_view name);

// A new, empty message of a type that is linked in.
std::unique_ptr<google::protobuf::Message> NewMessage(const google::protobuf::Descriptor* type);

}  // namespace crm::scheduler::automation
