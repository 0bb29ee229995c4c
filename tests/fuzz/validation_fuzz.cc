// covers: common/rpc/validation.cc common/rpc/validation_rules.cc
// Checking requests by their protos: any message that protobuf parses is answered, its violations by their fields.
#include <google/protobuf/stubs/logging.h>

#include <memory>

#include "common/rpc/validation.h"
#include "crm/contact/v1/contact.pb.h"
#include "crm/deal_pipeline/v1/deal.pb.h"
#include "crm/identity/v1/user.pb.h"
#include "crm/messaging/v1/webhook.pb.h"
#include "crm/scheduler/v1/rule.pb.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(validation) {
  using namespace crm;
  using google::protobuf::Message;
  static const google::protobuf::LogSilencer quiet;
  static const Message* const kTypes[] = {
      &contact::v1::CreateContactRequest::default_instance(), &deal_pipeline::v1::UpdateDealRequest::default_instance(),
      &scheduler::v1::CreateRuleRequest::default_instance(), &messaging::v1::CreateWebhookRequest::default_instance(),
      &identity::v1::CreateUserRequest::default_instance()};
  std::unique_ptr<Message> message(input.Of(kTypes)->New());
  const absl::string_view bytes = input.Rest();
  if (!message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  const absl::Status valid = rpc::Validate(*message, absl::FromUnixSeconds(1795424400));
  if (valid.ok()) return;
  fuzz::Require(!ViolationsOf(valid).empty() && ViolationsOf(valid).size() <= rpc::kViolationsMax,
                "violations are listed, not too many", valid.message());
  fuzz::RequireRefusal(valid);
}
