// The deal service's handlers on the real PostgreSQL, as its own role.
#include <gtest/gtest.h>

#include "common/base/decimal.h"
#include "common/base/error.h"
#include "common/base/time.h"
#include "services/deal_pipeline/service.h"
#include "tests/testing/run.h"
#include "tests/testing/servers.h"

namespace crm::deal_pipeline {
namespace {

class DealTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CRM_NEED_SERVERS("deal_pipeline");
    Call call = NewCall();
    v1::CreatePipelineRequest request;
    auto& pipeline = *request.mutable_pipeline();
    pipeline.set_name("Sales");
    pipeline.set_is_default(true);
    const auto add = [&](const std::string& name, v1::StageKind kind, int probability) {
      auto* stage = pipeline.add_stages();
      stage->set_name(name);
      stage->set_kind(kind);
      stage->set_probability(probability);
    };
    add("New", v1::STAGE_KIND_OPEN, 10);
    add("Offer", v1::STAGE_KIND_OPEN, 50);
    add("Won", v1::STAGE_KIND_WON, 100);
    add("Lost", v1::STAGE_KIND_LOST, 0);
    auto made = loop_.Run(pipelines_.CreatePipeline(call, request));
    ASSERT_TRUE(made.ok()) << made.status();
    pipeline_ = *made;
  }

  Call NewCall() const {
    Call call = crm::testing::TestCall(tenant_);
    call.principal.user_id = user_;
    call.currency_code = "EUR";
    return call;
  }
  v1::Deal Create(const std::string& title, const std::string& amount) {
    Call call = NewCall();
    v1::CreateDealRequest request;
    request.mutable_deal()->set_title(title);
    if (!amount.empty()) request.mutable_deal()->mutable_amount()->set_amount(amount);
    auto made = loop_.Run(deals_.CreateDeal(call, request));
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *made : v1::Deal();
  }
  absl::StatusOr<v1::Deal> MoveTo(const std::string& id, int stage, const std::string& etag = "") {
    Call call = NewCall();
    call.has_etag = !etag.empty();
    v1::MoveDealRequest request;
    request.set_id(id);
    request.set_stage_id(pipeline_.stages(stage).id());
    request.set_etag(etag);
    return loop_.Run(deals_.MoveDeal(call, request));
  }
  v1::Board Board(Call call) {
    v1::GetBoardRequest request;
    request.set_pipeline_id(pipeline_.id());
    request.set_page_size(2);
    auto board = loop_.Run(pipelines_.GetBoard(call, request));
    EXPECT_TRUE(board.ok()) << board.status();
    return board.ok() ? *board : v1::Board();
  }
  int64_t Events(const std::string& type) {
    return std::stoll(crm::testing::Servers::Get().Value("SELECT count(*) FROM deal_pipeline.outbox WHERE type = '" +
                                                         type + "' AND tenant_id = '" + tenant_.ToString() + "'"));
  }

  crm::testing::Loop loop_;
  pg::Db db_{crm::testing::Servers::Get().Db("deal_pipeline"), {loop_.executor()}};
  // These tests accept no lead: the contact service is never asked.
  rpc::Client nobody_{rpc::ClientOptions{"127.0.0.1:1", "/dev/null", "/dev/null", "/dev/null"}};
  Tables tables_;
  PipelineService pipelines_{db_, tables_};
  DealService deals_{db_, tables_};
  ProductService products_{db_, tables_};
  LeadService leads_{db_, nobody_, tables_};
  Uuid tenant_ = crm::testing::NewTenant();
  std::string user_ = NewId("user", absl::Now());
  v1::Pipeline pipeline_;
};

TEST_F(DealTest, TheBoardCountsAndSumsAndPages) {
  for (int i = 0; i < 3; ++i) Create("Deal " + std::to_string(i), "10.50");
  const v1::Deal moved = Create("Moved", "100");
  ASSERT_TRUE(MoveTo(moved.id(), 1).ok());
  const v1::Board board = Board(NewCall());
  ASSERT_EQ(board.columns_size(), 4);
  EXPECT_EQ(board.columns(0).count(), 3);
  EXPECT_EQ(board.columns(0).sums(0).amount(), "31.50");
  EXPECT_EQ(board.columns(0).weighted_sums(0).amount(), "3.15");
  EXPECT_EQ(board.columns(0).deals_size(), 2);
  EXPECT_EQ(board.columns(0).deals(0).title(), "Deal 2");
  EXPECT_TRUE(board.columns(0).more());
  EXPECT_EQ(board.columns(1).count(), 1);
  EXPECT_EQ(board.columns(1).weighted_sums(0).amount(), "50.00");
  EXPECT_FALSE(board.columns(1).more());

  // A colleague with own scope sees an empty board.
  Call colleague = NewCall();
  colleague.principal.user_id = NewId("user", absl::Now());
  auto rights = std::make_shared<Rights>();
  rights->Grant("deal", type::v1::ACTION_READ, type::v1::SCOPE_OWN);
  colleague.principal.rights = rights;
  const v1::Board seen = Board(colleague);
  for (const auto& column : seen.columns()) {
    EXPECT_EQ(column.count(), 0);
    EXPECT_EQ(column.deals_size(), 0);
    EXPECT_EQ(column.sums_size(), 0);
  }
}

TEST_F(DealTest, OfTwoWhoMoveAtOnceOneWins) {
  const v1::Deal deal = Create("Contested", "1");
  std::vector<asio::awaitable<absl::StatusOr<v1::Deal>>> moves;
  std::vector<Call> calls = {NewCall(), NewCall()};
  std::vector<v1::MoveDealRequest> requests(2);
  for (int i = 0; i < 2; ++i) {
    requests[i].set_id(deal.id());
    requests[i].set_stage_id(pipeline_.stages(1 + i).id());
    requests[i].set_etag(deal.etag());
    calls[i].has_etag = true;
    moves.push_back(deals_.MoveDeal(calls[i], requests[i]));
  }
  const auto answers = loop_.RunAll(std::move(moves));
  EXPECT_EQ(answers[0].ok() + answers[1].ok(), 1);
  EXPECT_EQ(Events("deal.moved"), 1);
  Call call = NewCall();
  v1::ListStageVisitsRequest request;
  request.set_deal_id(deal.id());
  auto visits = loop_.Run(deals_.ListStageVisits(call, request));
  ASSERT_TRUE(visits.ok());
  ASSERT_EQ(visits->visits_size(), 2);
  EXPECT_TRUE(visits->visits(0).has_leave_time());
  EXPECT_FALSE(visits->visits(1).has_leave_time());
}

TEST_F(DealTest, LinesArePricedAndAllTextsKept) {
  Call call = NewCall();
  v1::CreateProductRequest product;
  product.mutable_product()->set_name("חלבה");
  product.mutable_product()->set_sku("H-1");
  product.mutable_product()->mutable_unit_price()->set_amount("2.50");
  auto made = loop_.Run(products_.CreateProduct(call, product));
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->unit_price().currency_code(), "EUR");

  Call create = NewCall();
  v1::CreateDealRequest request;
  request.mutable_deal()->set_title("Сладости");
  auto* line = request.mutable_deal()->add_lines();
  line->set_product_id(made->id());
  line->set_quantity("3");
  line->set_discount_percent("10");
  auto deal = loop_.Run(deals_.CreateDeal(create, request));
  ASSERT_TRUE(deal.ok()) << deal.status();
  EXPECT_EQ(deal->amount().amount(), "6.75");
  Call get = NewCall();
  v1::GetDealRequest wanted;
  wanted.set_id(deal->id());
  auto read = loop_.Run(deals_.GetDeal(get, wanted));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->lines(0).name(), "חלבה");
  EXPECT_EQ(read->lines(0).total().amount(), "6.75");
  EXPECT_EQ(read->title(), "Сладости");

  // The same SKU again names the product that has it.
  Call again = NewCall();
  auto refused = loop_.Run(products_.CreateProduct(again, product));
  EXPECT_TRUE(absl::IsAlreadyExists(refused.status()));
  EXPECT_EQ(MetadataOf(refused.status())["existing"], made->id());
}

TEST_F(DealTest, OtherSystemsKnowDealsAndProductsByTheirOwnIds) {
  const auto shop = [](auto& record, const std::string& id) {
    auto* external = record.add_external_ids();
    external->set_system("shop");
    external->set_id(id);
  };
  v1::UpsertProductRequest product;
  product.mutable_product()->set_name("Halva");
  shop(*product.mutable_product(), "p-1");
  Call call = NewCall();
  auto made = loop_.Run(products_.UpsertProduct(call, product));
  ASSERT_TRUE(made.ok()) << made.status();
  product.mutable_product()->set_name("Halva, 500 g");
  Call again = NewCall();
  auto changed = loop_.Run(products_.UpsertProduct(again, product));
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_EQ(changed->id(), made->id());
  EXPECT_EQ(changed->name(), "Halva, 500 g");

  v1::UpsertDealRequest deal;
  deal.mutable_deal()->set_title("Order 17");
  deal.mutable_deal()->set_note("by phone");
  shop(*deal.mutable_deal(), "17");
  Call first = NewCall(), second = NewCall(), asked = NewCall(), elsewhere = NewCall();
  auto order = loop_.Run(deals_.UpsertDeal(first, deal));
  ASSERT_TRUE(order.ok()) << order.status();
  deal.mutable_deal()->set_title("Order 17, express");
  deal.mutable_deal()->clear_note();
  auto later = loop_.Run(deals_.UpsertDeal(second, deal));
  ASSERT_TRUE(later.ok()) << later.status();
  EXPECT_EQ(later->id(), order->id());
  EXPECT_EQ(later->note(), "by phone") << "what the request leaves out stays";

  v1::LookupDealsRequest lookup;
  lookup.set_external_system("shop");
  lookup.set_external_id("17");
  auto found = loop_.Run(deals_.LookupDeals(asked, lookup));
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->deals_size(), 1);
  EXPECT_EQ(found->deals(0).title(), "Order 17, express");
  lookup.set_external_id("p-1");  // the product's
  EXPECT_EQ(loop_.Run(deals_.LookupDeals(elsewhere, lookup))->deals_size(), 0);
  Call without = NewCall();
  deal.mutable_deal()->clear_external_ids();
  EXPECT_TRUE(absl::IsInvalidArgument(loop_.Run(deals_.UpsertDeal(without, deal)).status()));
}

TEST_F(DealTest, ImportedDealsKeepTheirPast) {
  Call call = NewCall();
  v1::ImportDealsRequest request;
  for (int i = 0; i < 2; ++i) {
    auto* item = request.add_deals();
    item->mutable_deal()->set_title("Order");
    item->mutable_deal()->set_stage_id(pipeline_.stages(2).id());
    item->mutable_deal()->mutable_amount()->set_amount("5");
    *item->mutable_open_time() = ToTimestamp(*ParseTime("1996-07-04T12:00:00Z"));
    if (i == 0) *item->mutable_close_time() = ToTimestamp(*ParseTime("1996-07-16T12:00:00Z"));
  }
  auto answer = loop_.Run(deals_.ImportDeals(call, request));
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_FALSE(answer->results(0).id().empty());
  EXPECT_TRUE(answer->results(1).has_error()) << "a won deal without the time it was won";
  Call get = NewCall();
  v1::GetDealRequest wanted;
  wanted.set_id(answer->results(0).id());
  auto deal = loop_.Run(deals_.GetDeal(get, wanted));
  ASSERT_TRUE(deal.ok());
  EXPECT_EQ(deal->status(), v1::DEAL_STATUS_WON);
  EXPECT_EQ(TimeText(FromTimestamp(deal->won_time())), "1996-07-16T12:00:00Z");
  // Sent again under its key, it is the same import.
  auto repeated = loop_.Run(deals_.ImportDeals(call, request));
  ASSERT_TRUE(repeated.ok());
  EXPECT_EQ(repeated->results(0).id(), answer->results(0).id());
  EXPECT_EQ(Board(NewCall()).columns(2).count(), 1);
}

TEST_F(DealTest, AFormPostedManyTimesAtOnceIsOneLead) {
  Call call = NewCall();
  v1::CreateFormRequest form;
  form.mutable_form()->set_name("Ask");
  form.mutable_form()->set_enabled(true);
  auto made = loop_.Run(leads_.CreateForm(call, form));
  ASSERT_TRUE(made.ok()) << made.status();
  v1::SubmitFormRequest post;
  post.set_tenant_id(TypeId("tenant", tenant_));
  post.set_form_id(made->id());
  post.set_name("Grace Hopper");
  post.set_email("grace@example.org");
  std::vector<Call> calls(8);
  std::vector<asio::awaitable<absl::StatusOr<v1::SubmitFormResponse>>> posts;
  for (auto& anonymous : calls) {
    anonymous.start = absl::Now();
    anonymous.method = "crm.deal_pipeline.v1.LeadService.SubmitForm";
    anonymous.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    anonymous.idempotency_key = NewUuid(absl::Now()).ToString();
    posts.push_back(leads_.SubmitForm(anonymous, post));
  }
  std::set<std::string> ids;
  for (const auto& answer : loop_.RunAll(std::move(posts))) {
    ASSERT_TRUE(answer.ok()) << answer.status();
    ids.insert(answer->lead_id());
  }
  EXPECT_EQ(ids.size(), 1u);
  EXPECT_EQ(Events("lead.created"), 1);
  Call list = NewCall();
  auto page = crm::testing::Received(loop_.Run(leads_.ListLeads(list, v1::ListLeadsRequest())));
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->leads_size(), 1);
  EXPECT_EQ(page->leads(0).owner_id(), user_) << "no lead without an owner";

  // A robot gets the same thanks, and nothing is stored.
  post.set_name("Robot");
  post.set_website("http://spam.example");
  ASSERT_TRUE(loop_.Run(leads_.SubmitForm(calls[0], post)).ok());
  EXPECT_EQ(Events("lead.created"), 1);
}

TEST_F(DealTest, AStageWithDealsCannotGo) {
  Create("In the way", "1");
  Call call = NewCall();
  v1::UpdatePipelineRequest request;
  *request.mutable_pipeline() = pipeline_;
  request.mutable_pipeline()->mutable_stages()->DeleteSubrange(0, 1);
  request.mutable_update_mask()->add_paths("stages");
  auto refused = loop_.Run(pipelines_.UpdatePipeline(call, request));
  EXPECT_EQ(ReasonOf(refused.status()), type::v1::ERROR_REASON_STATE_INVALID);
  // The empty one may.
  *request.mutable_pipeline() = pipeline_;
  request.mutable_pipeline()->mutable_stages()->DeleteSubrange(1, 1);
  Call allowed = NewCall();
  auto changed = loop_.Run(pipelines_.UpdatePipeline(allowed, request));
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_EQ(changed->stages_size(), 3);
}

}  // namespace
}  // namespace crm::deal_pipeline
