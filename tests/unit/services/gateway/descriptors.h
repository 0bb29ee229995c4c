// The descriptor set as a test has it: what is compiled in, without comments.
#pragma once

#include <google/protobuf/descriptor.pb.h>

#include <set>
#include <string>

#include "crm/analytics/v1/report.pb.h"
#include "crm/contact/v1/company.pb.h"
#include "crm/contact/v1/contact.pb.h"
#include "crm/contact/v1/events.pb.h"
#include "crm/deal_pipeline/v1/deal.pb.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "crm/deal_pipeline/v1/lead.pb.h"
#include "crm/deal_pipeline/v1/pipeline.pb.h"
#include "crm/deal_pipeline/v1/product.pb.h"
#include "crm/identity/v1/api_key.pb.h"
#include "crm/identity/v1/role.pb.h"
#include "crm/identity/v1/session.pb.h"
#include "crm/identity/v1/team.pb.h"
#include "crm/identity/v1/tenant.pb.h"
#include "crm/identity/v1/user.pb.h"
#include "crm/scheduler/v1/notification.pb.h"

namespace crm::gateway {

inline void AddFile(const google::protobuf::FileDescriptor* file, std::set<std::string>& seen,
                    google::protobuf::FileDescriptorSet& set) {
  if (!seen.insert(file->name()).second) return;
  for (int i = 0; i < file->dependency_count(); ++i) AddFile(file->dependency(i), seen, set);
  file->CopyTo(set.add_file());
}

inline google::protobuf::FileDescriptorSet CompiledIn() {
  google::protobuf::FileDescriptorSet set;
  std::set<std::string> seen;
  for (const auto* file :
       {contact::v1::Contact::descriptor()->file(), contact::v1::Company::descriptor()->file(),
        contact::v1::ContactCreated::descriptor()->file(), deal_pipeline::v1::Deal::descriptor()->file(),
        deal_pipeline::v1::Lead::descriptor()->file(), deal_pipeline::v1::DealMoved::descriptor()->file(),
        deal_pipeline::v1::Pipeline::descriptor()->file(), deal_pipeline::v1::Product::descriptor()->file(),
        identity::v1::User::descriptor()->file(), identity::v1::Role::descriptor()->file(),
        identity::v1::Session::descriptor()->file(), identity::v1::Tenant::descriptor()->file(),
        identity::v1::Team::descriptor()->file(), identity::v1::ApiKey::descriptor()->file(),
        scheduler::v1::Notification::descriptor()->file(), analytics::v1::RevenueReport::descriptor()->file()}) {
    AddFile(file, seen, set);
  }
  return set;
}

}  // namespace crm::gateway
