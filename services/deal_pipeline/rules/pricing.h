// What a deal's lines come to. Pure, and exact to the six digits that an amount keeps: each line's total is rounded there
// once (half-even); to whole cents documents and reports round.
#pragma once

#include <absl/status/status.h>

#include <map>
#include <string>

#include "crm/deal_pipeline/v1/deal.pb.h"
#include "crm/deal_pipeline/v1/product.pb.h"

namespace crm::deal_pipeline {

// Completes the lines from the catalogue (`products` by id: name, price, where the line has none), computes each line's
// total and, if there are lines, the deal's amount. An amount without currency is in `default_currency`. All lines
// share one currency. Errors name the field: "deal.lines[2].unit_price".
absl::Status Price(v1::Deal& deal, const std::map<std::string, v1::Product>& products,
                   const std::string& default_currency);

}  // namespace crm::deal_pipeline
