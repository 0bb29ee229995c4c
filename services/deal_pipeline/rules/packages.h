// What a package chosen at sign-up brings to the deal service. Pure.
#pragma once

#include "crm/deal_pipeline/v1/pipeline.pb.h"
#include "crm/identity/v1/tenant.pb.h"

namespace crm::deal_pipeline {

// The pipeline of the tenant's package, in the tenant's language; ids are derived from the tenant's.
v1::Pipeline PackagePipeline(const identity::v1::Tenant& tenant);

}  // namespace crm::deal_pipeline
