#include "services/deal_pipeline/rules/pricing.h"

#include <absl/strings/str_cat.h>

#include "common/base/decimal.h"
#include "common/base/error.h"
#include "common/base/status.h"

namespace crm::deal_pipeline {

absl::Status Price(v1::Deal& deal, const std::map<std::string, v1::Product>& products,
                   const std::string& default_currency) {
  type::v1::Money sum;
  for (int i = 0; i < deal.lines_size(); ++i) {
    v1::DealLine& line = *deal.mutable_lines(i);
    const std::string at = absl::StrCat("deal.lines[", i, "]");
    if (!line.product_id().empty()) {
      auto product = products.find(line.product_id());
      if (product == products.end()) {
        return FieldError(at + ".product_id", absl::StrCat("there is no product ", line.product_id()));
      }
      if (line.name().empty()) line.set_name(product->second.name());
      if (!line.has_unit_price()) *line.mutable_unit_price() = product->second.unit_price();
    }
    if (line.name().empty()) return FieldError(at + ".name", "is empty; name what is sold or give a product_id");
    if (!line.has_unit_price() || line.unit_price().amount().empty()) {
      return FieldError(at + ".unit_price", "is missing; give it, the product has no list price");
    }
    if (line.unit_price().currency_code().empty()) line.mutable_unit_price()->set_currency_code(default_currency);
    if (line.quantity().empty()) line.set_quantity("1");
    CRM_TRY(Decimal quantity, Decimal::Parse(line.quantity()));
    CRM_TRY(const Decimal price, AmountOf(line.unit_price(), at + ".unit_price"));
    Decimal percent;
    if (!line.discount_percent().empty()) {
      CRM_TRY(percent, Decimal::Parse(line.discount_percent()));
    }
    if (percent < Decimal(0) || percent > Decimal(100)) {
      return FieldError(at + ".discount_percent", absl::StrCat("is ", percent.ToString(), "; give 0 to 100"));
    }
    // Exact until here, so that the sixth digit is rounded once and not after every step.
    const Decimal total = price * quantity * (Decimal(100) - percent) * Decimal(1, 2);
    auto money = MakeMoney(total, line.unit_price().currency_code());
    if (!money.ok()) {
      return FieldError(at + ".quantity",
                        "times the price is more than an amount can hold: 15 digits before the point");
    }
    *line.mutable_total() = *std::move(money);
    if (i > 0 && sum.currency_code() != line.total().currency_code()) {
      return FieldError(at + ".unit_price.currency_code",
                        absl::StrCat("is ", line.unit_price().currency_code(), ", but earlier lines are in ",
                                     sum.currency_code(), "; a deal has one currency"));
    }
    auto together = Add(sum, line.total());
    if (!together.ok()) {
      return FieldError(at + ".quantity", "takes the deal beyond what an amount can hold: 15 digits before the point");
    }
    sum = *std::move(together);
  }
  if (deal.lines_size() > 0) {
    *deal.mutable_amount() = sum;
  } else if (deal.has_amount()) {
    if (deal.amount().amount().empty()) {
      deal.clear_amount();
    } else {
      if (deal.amount().currency_code().empty()) deal.mutable_amount()->set_currency_code(default_currency);
      CRM_TRY(Decimal amount, AmountOf(deal.amount(), "deal.amount"));
      if (amount.sign() < 0) return FieldError("deal.amount.amount", "is negative; a deal is worth nothing or more");
      CRM_TRY(*deal.mutable_amount(), MakeMoney(amount, deal.amount().currency_code()));
    }
  }
  return absl::OkStatus();
}

}  // namespace crm::deal_pipeline
