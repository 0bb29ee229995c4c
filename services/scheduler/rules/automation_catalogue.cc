#include "services/scheduler/rules/automation_catalogue.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "crm/contact/v1/events.pb.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "crm/messaging/v1/events.pb.h"
#include "crm/scheduler/v1/events.pb.h"
#include "crm/type/v1/options.pb.h"

namespace crm::scheduler::automation {
namespace catalogue {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::MessageFactory;
using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;

// "DealMoved" -> "deal_moved"
std::string Snake(absl::string_view name) {
  std::string out;
  for (const char c : name) {
    const auto u = static_cast<unsigned char>(c);
    if (absl::ascii_isupper(u) && !out.empty()) out.push_back('_');
    out.push_back(absl::ascii_tolower(u));
  }
  return out;
}

bool ForAutomation(const MethodDescriptor* method) {
  const auto& services = method->options().GetExtension(type::v1::access).services();
  return std::find(services.begin(), services.end(), "scheduler") != services.end();
}

// The record's standard rpcs stand in its own file.
void FindMethods(ObjectKind& object) {
  const std::string name = object.record->name();
  const FileDescriptor* file = object.record->file();
  for (int s = 0; s < file->service_count(); ++s) {
    for (int m = 0; m < file->service(s)->method_count(); ++m) {
      const MethodDescriptor* method = file->service(s)->method(m);
      if (!ForAutomation(method)) continue;
      if (method->name() == "Get" + name && method->output_type() == object.record) object.get = method;
      if (method->name() == "Update" + name && method->output_type() == object.record) object.update = method;
      if (method->name().rfind("List", 0) != 0) continue;
      // List<Records>: a page of this record.
      const Descriptor* page = method->output_type();
      if (page->field_count() > 0 && page->field(0)->is_repeated() && page->field(0)->message_type() == object.record) {
        object.list = method;
      }
    }
  }
}

}  // namespace catalogue

Catalogue::Catalogue() {
  // Named once, so that the linker keeps them.
  const google::protobuf::FileDescriptor* files[] = {
      contact::v1::ContactCreated::descriptor()->file(),
      deal_pipeline::v1::DealCreated::descriptor()->file(),
      messaging::v1::MessageReceived::descriptor()->file(),
      v1::TaskCreated::descriptor()->file(),
  };
  static_assert(sizeof files / sizeof files[0] == sizeof kProducers / sizeof kProducers[0]);
  for (size_t f = 0; f < sizeof files / sizeof files[0]; ++f) {
    for (int i = 0; i < files[f]->message_type_count(); ++i) {
      const auto* payload = files[f]->message_type(i);
      EventKind event;
      event.service = kProducers[f];
      event.payload = payload;
      std::string prefix;
      for (int j = 0; j < payload->field_count() && event.record == nullptr; ++j) {
        const auto* field = payload->field(j);
        if (field->is_repeated() || field->message_type() == nullptr) continue;
        prefix = field->message_type()->options().GetExtension(type::v1::record).prefix();
        if (!prefix.empty()) event.record = field;
      }
      const std::string snake = catalogue::Snake(payload->name());
      if (event.record == nullptr || snake.rfind(prefix + "_", 0) != 0) continue;
      event.type = absl::StrCat(prefix, ".", snake.substr(prefix.size() + 1));
      auto& object = objects_[prefix];
      if (object == nullptr) {
        object = std::make_unique<ObjectKind>();
        object->name = prefix;
        object->service = event.service;
        object->record = event.record->message_type();
        catalogue::FindMethods(*object);
      }
      event.object = object.get();
      const std::string type = event.type;
      events_.emplace(type, std::move(event));
    }
  }
}

const Catalogue& Catalogue::Get() {
  static const auto* catalogue = new Catalogue();
  return *catalogue;
}

const EventKind* Catalogue::FindEvent(absl::string_view type) const {
  const auto it = events_.find(std::string(type));
  return it == events_.end() ? nullptr : &it->second;
}

const ObjectKind* Catalogue::FindObject(absl::string_view name) const {
  const auto it = objects_.find(std::string(name));
  return it == objects_.end() ? nullptr : it->second.get();
}

std::unique_ptr<Opened> Open(const events::v1::Event& event) {
  const EventKind* kind = Catalogue::Get().FindEvent(event.type());
  if (kind == nullptr || event.service() != kind->service) return nullptr;
  auto opened = std::make_unique<Opened>();
  opened->kind = kind;
  opened->event = event;
  opened->payload = NewMessage(kind->payload);
  if (!event.payload().UnpackTo(opened->payload.get())) return nullptr;
  const auto* reflection = opened->payload->GetReflection();
  const auto* imported = kind->payload->FindFieldByName("imported");
  if (imported != nullptr && reflection->GetBool(*opened->payload, imported)) return nullptr;
  opened->record = &reflection->GetMessage(*opened->payload, kind->record);
  return opened;
}

std::string MethodName(const google::protobuf::MethodDescriptor* method) { return method->full_name(); }

std::string TextField(const google::protobuf::Message& message, absl::string_view name) {
  const auto* field = message.GetDescriptor()->FindFieldByName(std::string(name));
  if (field == nullptr || field->is_repeated() || field->type() != google::protobuf::FieldDescriptor::TYPE_STRING) {
    return "";
  }
  return message.GetReflection()->GetString(message, field);
}

std::unique_ptr<google::protobuf::Message> NewMessage(const google::protobuf::Descriptor* type) {
  return std::unique_ptr<google::protobuf::Message>(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
}

}  // namespace crm::scheduler::automation
