// What a product must be. Pure.
#pragma once

#include <absl/status/status.h>

#include <string>

#include "crm/deal_pipeline/v1/product.pb.h"

namespace crm::deal_pipeline {

// Squeezes names, completes currencies, refuses negative prices. Errors name the field.
absl::Status Normalize(v1::Product& product, const std::string& default_currency);

}  // namespace crm::deal_pipeline
