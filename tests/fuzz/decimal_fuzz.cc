// covers: common/base/decimal.cc
// Decimals and money: written as read, and sums, products and quotients that undo each other.
#include "common/base/decimal.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(decimal) {
  using namespace crm;
  const absl::string_view first = input.Line(), second = input.Line(), code = input.Line();
  const auto a = Decimal::Parse(first), b = Decimal::Parse(second);
  for (const auto* number : {&a, &b}) {
    if (!number->ok()) {
      fuzz::RequireRefusal(number->status());
      continue;
    }
    const std::string text = (*number)->ToString();
    const auto again = Decimal::Parse(text);
    fuzz::Require(again.ok() && *again == **number && again->scale() == (*number)->scale(), "Parse(ToString(x)) == x",
                  text);
  }
  type::v1::Money money;
  money.set_amount(std::string(first));
  money.set_currency_code(std::string(code));
  if (const auto amount = AmountOf(money); !amount.ok()) {
    fuzz::RequireRefusal(amount.status());
  } else if (const auto made = MakeMoney(*amount, code); made.ok()) {
    const auto read = AmountOf(*made);
    fuzz::Require(read.ok() && *read == amount->Rounded(kMoneyFractionDigitsMax), "money is what it was made of",
                  made->amount());
    const auto round = Round(*made);
    if (round.ok()) {
      const auto twice = Round(*round);
      fuzz::Require(twice.ok() && twice->amount() == round->amount(), "what is rounded stays as it is", made->amount());
    }
  }
  type::v1::Money other;
  other.set_amount(std::string(second));
  other.set_currency_code(std::string(code));
  const auto sum = Add(money, other), difference = Subtract(money, other);
  const auto order = Compare(money, other);
  for (const absl::Status& status : {sum.status(), difference.status(), order.status()}) {
    if (!status.ok()) fuzz::RequireRefusal(status);
  }
  if (sum.ok() && difference.ok() && a.ok() && b.ok()) {
    const auto exact = MakeMoney(*a + *b, code);
    fuzz::Require(exact.ok() && exact->amount() == sum->amount(), "a sum is the sum", sum->amount());
    fuzz::Require(!order.ok() || (*order < 0) == (AmountOf(*difference)->sign() < 0) || *order == 0,
                  "what is less differs by less than nothing", difference->amount());
  }
  if (!a.ok() || !b.ok()) return;
  for (const Rounding how : {Rounding::kHalfEven, Rounding::kHalfUp, Rounding::kDown, Rounding::kUp}) {
    const Decimal rounded = a->Rounded(2, how), off = rounded - *a;
    fuzz::Require(rounded.scale() == 2 && off * Decimal(100) <= Decimal(1) && -off * Decimal(100) <= Decimal(1),
                  "rounded by less than a cent", first);
  }
  const auto discounted = Discount(money, *b), multiplied = Multiply(money, *b);
  if (!discounted.ok()) fuzz::RequireRefusal(discounted.status());
  if (!multiplied.ok()) fuzz::RequireRefusal(multiplied.status());
  fuzz::Require(*a + *b - *b == *a, "a + b - b == a");
  fuzz::Require((*a < *b) == ((*a - *b).sign() < 0), "a < b if a - b < 0");
  const auto quotient = Divide(*a * *b, *b, a->scale());
  fuzz::Require(b->IsZero() ? !quotient.ok() : quotient.ok() && *quotient == *a, "a * b / b == a");
}
