#include "services/deal_pipeline/rules/products.h"

#include <absl/strings/str_cat.h>

#include "common/base/decimal.h"
#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/text.h"

namespace crm::deal_pipeline {
namespace {

absl::Status NormalizePrice(type::v1::Money& price, const std::string& field, const std::string& default_currency) {
  if (price.currency_code().empty()) price.set_currency_code(default_currency);
  CRM_TRY(Decimal amount, AmountOf(price, field + ".amount"));
  if (amount.sign() < 0) return FieldError(field + ".amount", "is negative; a price is nothing or more");
  CRM_TRY(price, MakeMoney(amount, price.currency_code()));
  return absl::OkStatus();
}

}  // namespace

absl::Status Normalize(v1::Product& product, const std::string& default_currency) {
  product.set_name(Squeezed(product.name()));
  if (product.name().empty()) return FieldError("product.name", "is empty; give the product's name");
  product.set_sku(Squeezed(product.sku()));
  product.set_category(Squeezed(product.category()));
  if (product.kind() == v1::PRODUCT_KIND_UNSPECIFIED) product.set_kind(v1::PRODUCT_KIND_GOODS);
  if (product.has_unit_price()) {
    CRM_TRY(NormalizePrice(*product.mutable_unit_price(), "product.unit_price", default_currency));
  }
  if (product.has_cost()) {
    CRM_TRY(NormalizePrice(*product.mutable_cost(), "product.cost", default_currency));
  }
  return absl::OkStatus();
}

}  // namespace crm::deal_pipeline
