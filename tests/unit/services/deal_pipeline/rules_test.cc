#include <gtest/gtest.h>

#include <boost/multiprecision/cpp_int.hpp>
#include <cstdlib>
#include <random>

#include "common/base/decimal.h"
#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/time.h"
#include "services/deal_pipeline/rules/leads.h"
#include "services/deal_pipeline/rules/packages.h"
#include "services/deal_pipeline/rules/pricing.h"
#include "services/deal_pipeline/rules/stages.h"

namespace crm::deal_pipeline {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'795'000'000);

v1::Pipeline Sales() {
  identity::v1::Tenant tenant;
  tenant.set_id(TypeId("tenant", NewUuid(kNow)));
  return PackagePipeline(tenant);
}

const v1::Stage& StageNamed(const v1::Pipeline& pipeline, const std::string& name) {
  for (const auto& stage : pipeline.stages()) {
    if (stage.name() == name) return stage;
  }
  throw std::out_of_range(name);
}

v1::DealLine Line(const std::string& quantity, const std::string& price, const std::string& discount,
                  const std::string& currency = "USD") {
  v1::DealLine line;
  line.set_name("goods");
  line.set_quantity(quantity);
  line.mutable_unit_price()->set_amount(price);
  line.mutable_unit_price()->set_currency_code(currency);
  line.set_discount_percent(discount);
  return line;
}

// ---- pricing ----

TEST(Price, SumsLinesExactly) {
  v1::Deal deal;
  *deal.add_lines() = Line("12", "14.00", "");
  *deal.add_lines() = Line("10", "9.80", "15");
  *deal.add_lines() = Line("0.5", "0.01", "33.3333");
  ASSERT_TRUE(Price(deal, {}, "EUR").ok());
  EXPECT_EQ(deal.lines(0).total().amount(), "168.00");
  EXPECT_EQ(deal.lines(1).total().amount(), "83.30");
  EXPECT_EQ(deal.amount().amount(),
            (*Decimal::Parse(deal.lines(0).total().amount()) + *Decimal::Parse(deal.lines(1).total().amount()) +
             *Decimal::Parse(deal.lines(2).total().amount()))
                .Shortened(2)
                .ToString());
  EXPECT_EQ(deal.amount().currency_code(), "USD");
}

// Against exact fractions, on random lines whose totals fit six digits.
TEST(Price, EqualsExactRationals) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 dice(seed);
  using Rational = boost::multiprecision::cpp_rational;
  for (int round = 0; round < 500; ++round) {
    v1::Deal deal;
    Rational expected = 0;
    for (int i = 0; i <= static_cast<int>(dice() % 8); ++i) {
      const int quantity = 1 + dice() % 500, cents = dice() % 1'000'000, percent = dice() % 101;
      *deal.add_lines() =
          Line(std::to_string(quantity), MakeMoney(Decimal(cents, 2), "USD")->amount(), std::to_string(percent));
      expected += Rational(quantity) * Rational(cents, 100) * Rational(100 - percent, 100);
    }
    ASSERT_TRUE(Price(deal, {}, "USD").ok());
    const Decimal amount = *Decimal::Parse(deal.amount().amount());
    EXPECT_EQ(Rational(amount.units(), boost::multiprecision::pow(boost::multiprecision::cpp_int(10), amount.scale())),
              expected)
        << deal.DebugString();
  }
}

// With as many digits as the proto lets in: each total is the exact one, rounded half-even once to six digits, and the
// amount is the sum of what the lines show.
TEST(Price, RoundsExactRationalsOnce) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 dice(seed);
  using Int = boost::multiprecision::cpp_int;
  using Rational = boost::multiprecision::cpp_rational;
  const auto rational = [](const std::string& text) {
    const Decimal decimal = *Decimal::Parse(text);
    return Rational(decimal.units(), boost::multiprecision::pow(Int(10), static_cast<unsigned>(decimal.scale())));
  };
  const auto number = [&](uint64_t whole_max, unsigned digits_max) {
    std::string text = std::to_string(dice() % whole_max);
    const unsigned digits = dice() % (digits_max + 1);
    if (digits > 0) text += '.';
    for (unsigned i = 0; i < digits; ++i) text += static_cast<char>('0' + (dice() % 3 == 0 ? 5 : dice() % 10));
    return text;
  };
  const bool longer = std::getenv("CRM_LONG") != nullptr && *std::getenv("CRM_LONG") != '\0';
  for (int round = 0; round < (longer ? 100'000 : 2000); ++round) {
    v1::Deal deal;
    // Small ones, and those that only just fit.
    const bool large = dice() % 4 == 0;
    for (size_t i = 0; i <= dice() % 4; ++i) {
      *deal.add_lines() = Line(number(large ? 1'000'000 : 1000, 6), number(large ? 100'000'000 : 100'000, 6),
                               dice() % 8 == 0 ? "100" : number(100, 4));
    }
    ASSERT_TRUE(Price(deal, {}, "USD").ok()) << deal.DebugString();
    Rational sum = 0;
    for (const auto& line : deal.lines()) {
      const Rational exact = rational(line.quantity()) * rational(line.unit_price().amount()) *
                             (100 - rational(line.discount_percent())) / 100 * 1'000'000;
      Int whole = numerator(exact) / denominator(exact);
      const Rational rest = exact - Rational(whole);
      if (rest > Rational(1, 2) || (rest == Rational(1, 2) && whole % 2 != 0)) ++whole;
      ASSERT_EQ(rational(line.total().amount()), Rational(whole, 1'000'000)) << line.DebugString();
      sum += rational(line.total().amount());
    }
    ASSERT_EQ(rational(deal.amount().amount()), sum) << deal.DebugString();
  }
}

TEST(Price, TakesNameAndPriceFromTheProduct) {
  v1::Product product;
  product.set_id("product_1");
  product.set_name("Tea");
  product.mutable_unit_price()->set_amount("3.00");
  product.mutable_unit_price()->set_currency_code("EUR");
  v1::Deal deal;
  deal.add_lines()->set_product_id("product_1");
  ASSERT_TRUE(Price(deal, {{"product_1", product}}, "USD").ok());
  EXPECT_EQ(deal.lines(0).name(), "Tea");
  EXPECT_EQ(deal.lines(0).quantity(), "1");
  EXPECT_EQ(deal.amount().amount(), "3.00");
  EXPECT_EQ(deal.amount().currency_code(), "EUR");
}

TEST(Price, NamesTheLineThatIsWrong) {
  const auto field = [](std::vector<v1::DealLine> lines) {
    v1::Deal deal;
    for (auto& line : lines) *deal.add_lines() = line;
    return ViolationsOf(Price(deal, {}, "EUR")).at(0).field;
  };
  v1::DealLine unknown, unnamed = Line("1", "1.00", ""), free;
  unknown.set_product_id("product_2");
  unnamed.clear_name();
  free.set_name("free");
  EXPECT_EQ(field({unknown}), "deal.lines[0].product_id");
  EXPECT_EQ(field({Line("1", "1.00", ""), unnamed}), "deal.lines[1].name");
  EXPECT_EQ(field({free}), "deal.lines[0].unit_price");
  EXPECT_EQ(field({Line("1", "1.00", "", "USD"), Line("1", "1.00", "", "EUR")}),
            "deal.lines[1].unit_price.currency_code");
  EXPECT_EQ(field({Line("1", "1,00", "")}), "deal.lines[0].unit_price.amount");
  EXPECT_EQ(field({Line("1", "1.00", "100.1")}), "deal.lines[0].discount_percent");
  EXPECT_EQ(field({Line("999999999999", "999999999999999", "")}), "deal.lines[0].quantity");
  EXPECT_EQ(field({Line("1", "999999999999999", ""), Line("1", "1", "")}), "deal.lines[1].quantity");
}

TEST(Price, RefusesANegativeAmountAndCompletesTheCurrency) {
  v1::Deal deal;
  deal.mutable_amount()->set_amount("-1");
  deal.mutable_amount()->set_currency_code("EUR");
  EXPECT_EQ(ViolationsOf(Price(deal, {}, "EUR")).at(0).field, "deal.amount.amount");
  deal.mutable_amount()->set_amount("12");
  deal.mutable_amount()->clear_currency_code();
  ASSERT_TRUE(Price(deal, {}, "EUR").ok());
  EXPECT_EQ(deal.amount().amount(), "12.00");
  EXPECT_EQ(deal.amount().currency_code(), "EUR");
}

// ---- stages ----

v1::Deal OpenDeal(const v1::Pipeline& pipeline) {
  v1::Deal deal;
  deal.set_id("deal_1");
  deal.set_pipeline_id(pipeline.id());
  EXPECT_TRUE(Enter(deal, pipeline, kNow).ok());
  return deal;
}

v1::MoveDealRequest To(const v1::Stage& stage) {
  v1::MoveDealRequest request;
  request.set_stage_id(stage.id());
  return request;
}

TEST(Enter, BeginsInTheFirstOpenStage) {
  const v1::Pipeline pipeline = Sales();
  const v1::Deal deal = OpenDeal(pipeline);
  EXPECT_EQ(deal.stage_id(), StageNamed(pipeline, "New").id());
  EXPECT_EQ(deal.status(), v1::DEAL_STATUS_OPEN);
  v1::Deal closed;
  closed.set_stage_id(StageNamed(pipeline, "Won").id());
  EXPECT_EQ(ViolationsOf(Enter(closed, pipeline, kNow)).at(0).field, "deal.stage_id");
}

TEST(Move, WinsAndLosesAndReopens) {
  const v1::Pipeline pipeline = Sales();
  v1::Deal deal = OpenDeal(pipeline);
  deal.mutable_amount()->set_amount("10.00");
  auto won = Move(deal, pipeline, To(StageNamed(pipeline, "Won")), kNow + absl::Hours(1));
  ASSERT_TRUE(won.ok()) << won.status();
  EXPECT_EQ(won->status(), v1::DEAL_STATUS_WON);
  EXPECT_EQ(FromTimestamp(won->won_time()), kNow + absl::Hours(1));
  auto reopened = Move(*won, pipeline, To(StageNamed(pipeline, "Offer")), kNow + absl::Hours(2));
  ASSERT_TRUE(reopened.ok());
  EXPECT_EQ(reopened->status(), v1::DEAL_STATUS_OPEN);
  EXPECT_FALSE(reopened->has_won_time());
  auto lost = To(StageNamed(pipeline, "Lost"));
  lost.set_lost_reason("Too expensive");
  auto gone = Move(deal, pipeline, lost, kNow);
  ASSERT_TRUE(gone.ok());
  EXPECT_EQ(gone->lost_reason(), "Too expensive");
}

TEST(Move, SaysExactlyWhichFieldsAreMissing) {
  v1::Pipeline pipeline = Sales();
  pipeline.mutable_stages(2)->add_required_fields("company_id");
  const auto moved = Move(OpenDeal(pipeline), pipeline, To(StageNamed(pipeline, "Offer")), kNow);
  EXPECT_EQ(moved.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(moved.status()), type::v1::ERROR_REASON_FIELDS_REQUIRED);
  const auto violations = ViolationsOf(moved.status());
  ASSERT_EQ(violations.size(), 2u);
  EXPECT_EQ(violations[0].field, "deal.amount");
  EXPECT_EQ(violations[1].field, "deal.company_id");
  const auto lost = Move(OpenDeal(pipeline), pipeline, To(StageNamed(pipeline, "Lost")), kNow);
  EXPECT_EQ(ViolationsOf(lost.status()).at(0).field, "lost_reason");
}

TEST(Move, KeepsToTheAllowedTransitions) {
  v1::Pipeline pipeline = Sales();
  pipeline.mutable_stages(0)->add_next_stage_ids(pipeline.stages(1).id());
  EXPECT_TRUE(Move(OpenDeal(pipeline), pipeline, To(StageNamed(pipeline, "Qualified")), kNow).ok());
  const auto moved = Move(OpenDeal(pipeline), pipeline, To(StageNamed(pipeline, "Negotiation")), kNow);
  EXPECT_EQ(ReasonOf(moved.status()), type::v1::ERROR_REASON_TRANSITION_NOT_ALLOWED);
  EXPECT_EQ(ReasonOf(Move(OpenDeal(pipeline), pipeline, To(StageNamed(pipeline, "New")), kNow).status()),
            type::v1::ERROR_REASON_STATE_INVALID);
}

TEST(CheckPipeline, NamesWhatCannotWork) {
  const auto field = [](const std::function<void(v1::Pipeline&)>& change) {
    v1::Pipeline pipeline = Sales();
    change(pipeline);
    return ViolationsOf(CheckPipeline(pipeline, {"a", "b", "c", "d", "e", "f"})).at(0).field;
  };
  EXPECT_EQ(field([](auto& p) { p.mutable_stages(1)->set_name(p.stages(0).name()); }), "pipeline.stages[1].name");
  EXPECT_EQ(field([](auto& p) { p.mutable_stages(1)->add_required_fields("wealth"); }),
            "pipeline.stages[1].required_fields[0]");
  EXPECT_EQ(field([](auto& p) { p.mutable_stages(1)->add_next_stage_ids("stage_x"); }),
            "pipeline.stages[1].next_stage_ids[0]");
  EXPECT_EQ(field([](auto& p) { p.mutable_stages(4)->set_kind(v1::STAGE_KIND_OPEN); }), "pipeline.stages");
}

TEST(PackagePipeline, IsTheSameEachTimeAndSpeaksTheTenantsLanguage) {
  identity::v1::Tenant tenant;
  tenant.set_id(TypeId("tenant", NewUuid(kNow)));
  tenant.set_language("ru");
  EXPECT_EQ(PackagePipeline(tenant).SerializeAsString(), PackagePipeline(tenant).SerializeAsString());
  EXPECT_EQ(PackagePipeline(tenant).name(), "Продажи");
  v1::Pipeline pipeline = PackagePipeline(tenant);
  EXPECT_TRUE(CheckPipeline(pipeline, {}).ok());
}

// Whatever happens to a deal, the totals are what a recount of the living deals says.
TEST(TotalDeltas, AddUpToARecount) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 dice(seed);
  std::map<std::tuple<std::string, std::string, std::string>, std::pair<int, Decimal>> totals;
  std::map<int, v1::Deal> deals;
  for (int i = 0; i < 2000; ++i) {
    const int number = dice() % 20;
    const auto before = deals.find(number);
    v1::Deal after = before == deals.end() ? v1::Deal() : before->second;
    after.set_stage_id("stage_" + std::to_string(dice() % 3));
    after.set_owner_id("user_" + std::to_string(dice() % 3));
    after.clear_amount();
    if (dice() % 4)
      *after.mutable_amount() = *MakeMoney(Decimal(static_cast<int>(dice() % 100000), 4), dice() % 2 ? "EUR" : "USD");
    if (dice() % 5 == 0) {
      after.mutable_delete_time()->set_seconds(1);
    } else {
      after.clear_delete_time();
    }
    for (const TotalDelta& delta : TotalDeltas(before == deals.end() ? nullptr : &before->second, &after)) {
      auto& [count, sum] = totals[{delta.stage_id, delta.owner_id, delta.currency_code}];
      count += delta.count;
      sum += *Decimal::Parse(delta.amount);
    }
    deals[number] = after;
  }
  std::map<std::tuple<std::string, std::string, std::string>, std::pair<int, Decimal>> recount;
  for (const auto& [_, deal] : deals) {
    if (deal.has_delete_time()) continue;
    auto& [count, sum] = recount[{deal.stage_id(), deal.owner_id(), deal.amount().currency_code()}];
    ++count;
    if (deal.has_amount()) sum += *Decimal::Parse(deal.amount().amount());
  }
  for (const auto& [key, total] : totals) {
    EXPECT_EQ(total.first, recount[key].first);
    EXPECT_TRUE(total.second == recount[key].second);
  }
}

// ---- leads ----

TEST(Leads, GetATitleFromWhatThereIs) {
  v1::Lead lead;
  EXPECT_FALSE(Normalize(lead, "").ok());
  lead.set_message(std::string(500, 'x'));
  ASSERT_TRUE(Normalize(lead, "").ok());
  EXPECT_EQ(lead.title().size(), 80u);
  lead = v1::Lead();
  lead.set_name("Grace Hopper");
  lead.set_phone("(212) 555-0198");
  ASSERT_TRUE(Normalize(lead, "US").ok());
  EXPECT_EQ(lead.title(), "Grace Hopper");
  EXPECT_EQ(lead.phone(), "+12125550198");
}

TEST(Leads, TheSameAnswersAreTheSameSubmission) {
  v1::SubmitFormRequest first;
  first.set_name("Grace  Hopper");
  first.set_email("grace@example.org");
  (*first.mutable_answers())["size"] = "40";
  (*first.mutable_answers())["colour"] = "red";
  v1::SubmitFormRequest second = first;
  second.set_name("grace hopper");
  EXPECT_EQ(SubmissionKey(first), SubmissionKey(second));
  (*second.mutable_answers())["size"] = "41";
  EXPECT_NE(SubmissionKey(first), SubmissionKey(second));
  // Answers cannot be shifted from one field into the next.
  v1::SubmitFormRequest a, b;
  (*a.mutable_answers())["x"] = "1y2";
  (*b.mutable_answers())["x1y"] = "2";
  EXPECT_NE(SubmissionKey(a), SubmissionKey(b));
}

TEST(Leads, BecomeContactAndDeal) {
  v1::Lead lead;
  lead.set_id("lead_1");
  lead.set_name("Grace Brewster Hopper");
  lead.set_email("grace@example.org");
  lead.set_title("Boxes");
  lead.set_source("web form");
  const auto contact = ContactOf(lead);
  EXPECT_EQ(contact.given_name(), "Grace");
  EXPECT_EQ(contact.family_name(), "Brewster Hopper");
  EXPECT_EQ(contact.emails(0).address(), "grace@example.org");
  const auto deal = DealOf(lead, "", "contact_1");
  EXPECT_EQ(deal.title(), "Boxes");
  EXPECT_EQ(deal.lead_id(), "lead_1");
  EXPECT_EQ(deal.contact_id(), "contact_1");
}

}  // namespace
}  // namespace crm::deal_pipeline
