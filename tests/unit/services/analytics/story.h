// A company's life as the producers would tell it: deals, their moves and changes, with the events of each step; and
// what reports must say of it, computed by the simplest means from the deals themselves.
#pragma once

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "common/base/decimal.h"
#include "common/base/id.h"
#include "common/base/time.h"
#include "crm/contact/v1/events.pb.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "crm/events/v1/event.pb.h"
#include "crm/identity/v1/events.pb.h"

namespace crm::analytics {

namespace dp = crm::deal_pipeline::v1;

struct Story {
  struct Visit {
    std::string stage_id;
    absl::Time enter;
    std::optional<absl::Time> leave;
  };

  explicit Story(absl::Time begin = absl::FromCivil(absl::CivilSecond(2026, 1, 5, 9, 0, 0), absl::UTCTimeZone()))
      : tenant(NewUuid(absl::Now())), now(begin) {
    identity::v1::TenantCreated opened;
    opened.mutable_tenant()->set_id(TypeId("tenant", tenant));
    opened.mutable_tenant()->set_time_zone("Europe/Berlin");
    opened.mutable_tenant()->set_currency_code("EUR");
    Tell("identity", "tenant.created", opened.tenant().id(), 1, "", opened);
    dp::PipelineCreated created;
    pipeline = TypeId("pipeline", NewUuid(absl::Now()));
    created.mutable_pipeline()->set_id(pipeline);
    created.mutable_pipeline()->set_name("Sales");
    const dp::StageKind kinds[] = {dp::STAGE_KIND_OPEN, dp::STAGE_KIND_OPEN, dp::STAGE_KIND_OPEN, dp::STAGE_KIND_WON,
                                   dp::STAGE_KIND_LOST};
    for (int i = 0; i < 5; ++i) {
      auto* stage = created.mutable_pipeline()->add_stages();
      stage->set_id(NewId("stage", absl::Now()));
      stage->set_name(absl::StrCat("Stage, \"", i, "\""));
      stage->set_kind(kinds[i]);
      stages.push_back(stage->id());
    }
    Tell("deal_pipeline", "pipeline.created", pipeline, 1, "", created);
  }

  static constexpr int kWon = 3, kLost = 4;  // places in `stages`

  // ---- telling ----

  events::v1::Event& Tell(const std::string& producer, const std::string& type, const std::string& record, int revision,
                          const std::string& actor, const google::protobuf::Message& payload) {
    events::v1::Event& event = told[producer].emplace_back();
    event.set_seq(told[producer].size());
    event.set_tenant_id(TypeId("tenant", tenant));
    event.set_service(producer);
    event.set_type(type);
    event.set_record_id(record);
    event.set_revision(static_cast<uint32_t>(revision));
    event.set_actor_id(actor);
    *event.mutable_time() = ToTimestamp(now);
    event.mutable_payload()->PackFrom(payload);
    return event;
  }

  std::string AddUser(const std::string& name, const std::string& team = "") {
    identity::v1::UserCreated created;
    created.mutable_user()->set_id(NewId("user", absl::Now()));
    created.mutable_user()->set_display_name(name);
    created.mutable_user()->set_team_id(team);
    Tell("identity", "user.created", created.user().id(), 1, "", created);
    teams[created.user().id()] = team;
    names[created.user().id()] = name;
    return created.user().id();
  }
  std::string AddCompany(const std::string& country, const std::string& actor = "") {
    contact::v1::CompanyCreated created;
    created.mutable_company()->set_id(NewId("company", absl::Now()));
    created.mutable_company()->set_name("Company in " + country);
    created.mutable_company()->set_country_code(country);
    Tell("contact", "company.created", created.company().id(), 1, actor, created);
    countries[created.company().id()] = country;
    return created.company().id();
  }
  std::string AddContact(const std::string& country, const std::string& company = "", const std::string& actor = "") {
    contact::v1::ContactCreated created;
    created.mutable_contact()->set_id(NewId("contact", absl::Now()));
    created.mutable_contact()->set_country_code(country);
    created.mutable_contact()->set_company_id(company);
    Tell("contact", "contact.created", created.contact().id(), 1, actor, created);
    countries[created.contact().id()] = country.empty() && !company.empty() ? countries[company] : country;
    return created.contact().id();
  }
  std::string AddProduct(const std::string& name) {
    dp::ProductCreated created;
    created.mutable_product()->set_id(NewId("product", absl::Now()));
    created.mutable_product()->set_name(name);
    Tell("deal_pipeline", "product.created", created.product().id(), 1, "", created);
    names[created.product().id()] = name;
    return created.product().id();
  }
  void AcceptLead(const std::string& actor) {
    dp::LeadAccepted accepted;
    accepted.mutable_lead()->set_id(NewId("lead", absl::Now()));
    Tell("deal_pipeline", "lead.accepted", accepted.lead().id(), 2, actor, accepted);
  }

  // A deal of this sum on this stage; imported ones may stand anywhere.
  std::string AddDeal(const std::string& amount, const std::string& currency, const std::string& owner, int stage = 0) {
    dp::Deal deal;
    if (!amount.empty()) {
      deal.mutable_amount()->set_amount(amount);
      deal.mutable_amount()->set_currency_code(currency);
    }
    deal.set_owner_id(owner);
    return AddDeal(std::move(deal), stage);
  }
  std::string AddDeal(dp::Deal deal, int stage = 0) {
    if (deal.id().empty()) deal.set_id(NewId("deal", absl::Now()));
    deal.set_etag("1");
    if (deal.pipeline_id().empty()) deal.set_pipeline_id(pipeline);
    if (deal.team_id().empty() && teams.contains(deal.owner_id())) deal.set_team_id(teams[deal.owner_id()]);
    *deal.mutable_open_time() = ToTimestamp(now);
    Enter(deal, stage);
    dp::DealCreated created;
    *created.mutable_deal() = deal;
    created.set_imported(stage >= kWon);
    TellDeal("created", deal, deal.owner_id(), created);
    return deal.id();
  }
  void MoveDeal(const std::string& id, int stage, const std::string& actor, const std::string& reason = "") {
    dp::Deal deal = Next(id);
    dp::DealMoved moved;
    moved.set_from_stage_id(deal.stage_id());
    Enter(deal, stage);
    if (stage == kLost) deal.set_lost_reason(reason);
    *moved.mutable_deal() = deal;
    TellDeal("moved", deal, actor, moved);
  }
  template <typename Change>
  void UpdateDeal(const std::string& id, Change change) {
    dp::Deal deal = Next(id);
    change(deal);
    if (deal.lines_size() > 0) Price(deal);
    dp::DealUpdated updated;
    *updated.mutable_deal() = deal;
    TellDeal("updated", deal, deal.owner_id(), updated);
  }
  void DeleteDeal(const std::string& id) {
    dp::Deal deal = Next(id);
    *deal.mutable_delete_time() = ToTimestamp(now);
    dp::DealDeleted deleted;
    *deleted.mutable_deal() = deal;
    TellDeal("deleted", deal, deal.owner_id(), deleted);
  }
  void UndeleteDeal(const std::string& id) {
    dp::Deal deal = Next(id);
    deal.clear_delete_time();
    dp::DealUndeleted undeleted;
    *undeleted.mutable_deal() = deal;
    TellDeal("undeleted", deal, deal.owner_id(), undeleted);
  }
  void Pass(absl::Duration time) { now += time; }

  static void AddLine(dp::Deal& deal, const std::string& product, const std::string& quantity, const std::string& total,
                      const std::string& currency) {
    auto* line = deal.add_lines();
    line->set_product_id(product);
    line->set_name("line");
    line->set_quantity(quantity);
    line->mutable_total()->set_amount(total);
    line->mutable_total()->set_currency_code(currency);
  }
  // A deal's amount is the exact sum of its lines.
  static void Price(dp::Deal& deal) {
    Decimal sum;
    for (const auto& line : deal.lines()) sum += *Decimal::Parse(line.total().amount());
    deal.mutable_amount()->set_amount(sum.ToString());
    deal.mutable_amount()->set_currency_code(deal.lines(0).total().currency_code());
  }

  // ---- random ----

  // One step of anybody's work.
  void Step(std::mt19937_64& random) {
    const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
    const auto pick = [&](const std::vector<std::string>& from) { return from[below(from.size())]; };
    // At most six digits after the point, as money has.
    const auto money = [&] { return absl::StrCat(below(100000), ".", 100000 + below(900000)); };
    Pass(absl::Minutes(static_cast<int64_t>(1 + below(5000))));
    if (people.empty()) {
      for (int i = 0; i < 3; ++i) people.push_back(AddUser(absl::StrCat("User ", i), NewId("team", absl::Now())));
      for (const char* country : {"DE", "FR", ""}) companies.push_back(AddCompany(country, people[0]));
      contacts = {AddContact("IL", "", people[1]), AddContact("", companies[0], people[1])};
      for (int i = 0; i < 4; ++i) products.push_back(AddProduct(absl::StrCat("Product ", i)));
    }
    const auto lines = [&](dp::Deal& deal) {
      deal.clear_lines();
      const std::string currency = below(4) ? "EUR" : "JPY";
      for (size_t i = 0, n = below(4); i < n; ++i) {
        AddLine(deal, below(5) ? pick(products) : "", absl::StrCat(1 + below(20)), money(), currency);
      }
      if (deal.lines_size() > 0) Price(deal);
    };
    if (live.empty() || below(4) == 0) {
      dp::Deal deal;
      if (below(6)) deal.set_owner_id(pick(people));
      if (below(3)) deal.set_company_id(pick(companies));
      if (below(3)) deal.set_contact_id(pick(contacts));
      if (below(2)) deal.set_source("web form");
      if (below(3)) {
        deal.mutable_amount()->set_amount(money());
        deal.mutable_amount()->set_currency_code("EUR");
      }
      lines(deal);
      live.push_back(AddDeal(std::move(deal), below(3) ? 0 : static_cast<int>(below(5))));
      return;
    }
    const std::string id = pick(live);
    const dp::Deal& deal = deals.at(id);
    if (deal.has_delete_time()) return UndeleteDeal(id);
    switch (below(8)) {
      case 0:
        return DeleteDeal(id);
      case 1:
        return UpdateDeal(id, [&](dp::Deal& d) { d.set_company_id(below(2) ? pick(companies) : ""); });
      case 2:
        return UpdateDeal(id, [&](dp::Deal& d) {
          d.set_owner_id(below(4) ? pick(people) : "");
          d.set_team_id(teams[d.owner_id()]);
        });
      case 3:
        return UpdateDeal(id, lines);
      default: {
        int stage = static_cast<int>(below(5));
        if (stages[static_cast<size_t>(stage)] == deal.stage_id()) stage = (stage + 1) % 5;
        return MoveDeal(id, stage, pick(people), below(2) ? "Too expensive" : "");
      }
    }
  }

  // ---- what reports must say ----

  // Exact sums of won deals by (key, currency), and deals by key.
  struct Revenue {
    std::map<std::pair<std::string, std::string>, Decimal> sums;
    std::map<std::string, int> counts;
  };
  template <typename Key>
  Revenue Naive(Key key) const {
    Revenue revenue;
    for (const auto& [id, deal] : deals) {
      if (deal.has_delete_time() || !deal.has_won_time()) continue;
      ++revenue.counts[key(deal)];
      if (deal.has_amount()) {
        revenue.sums[{key(deal), deal.amount().currency_code()}] += *Decimal::Parse(deal.amount().amount());
      }
    }
    return revenue;
  }
  Revenue NaiveByProduct() const {
    Revenue revenue;
    for (const auto& [id, deal] : deals) {
      if (deal.has_delete_time() || !deal.has_won_time()) continue;
      std::set<std::string> sold;
      for (const auto& line : deal.lines()) {
        sold.insert(line.product_id());
        revenue.sums[{line.product_id(), line.total().currency_code()}] += *Decimal::Parse(line.total().amount());
      }
      if (deal.lines_size() == 0) {
        sold.insert("");
        if (deal.has_amount()) {
          revenue.sums[{"", deal.amount().currency_code()}] += *Decimal::Parse(deal.amount().amount());
        }
      }
      for (const auto& product : sold) ++revenue.counts[product];
    }
    return revenue;
  }
  std::string CountryOf(const dp::Deal& deal) const {
    for (const std::string& id : {deal.company_id(), deal.contact_id()}) {
      const auto found = countries.find(id);
      if (found != countries.end() && !found->second.empty()) return found->second;
    }
    return "";
  }

  Uuid tenant;
  absl::Time now;
  std::string pipeline;
  std::vector<std::string> stages;
  std::map<std::string, std::vector<events::v1::Event>> told;  // by producer
  std::map<std::string, dp::Deal> deals;                       // as they are now
  std::map<std::string, std::vector<Visit>> visits;            // by deal
  std::map<std::string, std::string> teams, names, countries;
  std::vector<std::string> people, companies, contacts, products, live;  // of random steps

 private:
  dp::Deal Next(const std::string& id) const {
    dp::Deal deal = deals.at(id);
    deal.set_etag(absl::StrCat(std::stoi(deal.etag()) + 1));
    return deal;
  }
  void Enter(dp::Deal& deal, int stage) {
    deal.set_stage_id(stages[static_cast<size_t>(stage)]);
    *deal.mutable_stage_enter_time() = ToTimestamp(now);
    deal.clear_won_time();
    deal.clear_lost_time();
    deal.clear_lost_reason();
    deal.set_status(dp::DEAL_STATUS_OPEN);
    if (stage == kWon) {
      deal.set_status(dp::DEAL_STATUS_WON);
      *deal.mutable_won_time() = ToTimestamp(now);
    } else if (stage == kLost) {
      deal.set_status(dp::DEAL_STATUS_LOST);
      *deal.mutable_lost_time() = ToTimestamp(now);
    }
    std::vector<Visit>& all = visits[deal.id()];
    if (!all.empty()) all.back().leave = now;
    all.push_back({deal.stage_id(), now, std::nullopt});
  }
  void TellDeal(const std::string& what, const dp::Deal& deal, const std::string& actor,
                const google::protobuf::Message& payload) {
    Tell("deal_pipeline", "deal." + what, deal.id(), std::stoi(deal.etag()), actor, payload);
    deals[deal.id()] = deal;
  }
};

}  // namespace crm::analytics
