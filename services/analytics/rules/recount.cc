#include "services/analytics/rules/recount.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>

#include <optional>

#include "common/base/status.h"
#include "services/analytics/rules/projection.h"

namespace crm::analytics {
namespace recounting {

constexpr size_t kExamplesMax = 10;

std::string LineKey(const Uuid& deal, int64_t line) {
  Row row(kDealLineFact, 0);
  row.Set("deal_id", deal).Set("line", line);
  return row.Key();
}

std::string DealKey(const Uuid& deal) {
  Row row(kDealFact, 0);
  row.Set("id", deal);
  return row.Key();
}

// The changes of an event whose payload is among these; nothing if it is not.
template <typename... Payloads>
absl::StatusOr<Changes> ProjectAny(PayloadList<Payloads...>, const events::v1::Event& event, const Row* before) {
  absl::StatusOr<Changes> changes{Changes()};
  const auto offer = [&](auto payload) {
    using Payload = decltype(payload);
    if (!event.payload().Is<Payload>()) return;
    if (!event.payload().UnpackTo(&payload)) {
      changes =
          absl::DataLossError(absl::StrCat("the payload of ", event.service(), ":", event.seq(), " cannot be read"));
    } else {
      changes = Project(event, payload, before);
    }
  };
  (offer(Payloads()), ...);
  return changes;
}

}  // namespace recounting

Recount::Recount() {
  for (const Projection* projection : Projections()) facts_[projection->table].projection = projection;
}

const Row* Recount::DealOf(const events::v1::Event& event) const {
  auto id = ParseId(event.record_id(), "deal", "record_id");
  if (!id.ok()) return nullptr;
  const auto& deals = facts_.at(kDealFact.table).rows;
  const auto found = deals.find(recounting::DealKey(*id));
  return found == deals.end() ? nullptr : &found->second;
}

void Recount::Put(const Row& row) {
  Facts& facts = facts_.at(row.projection().table);
  std::string key = row.Key();
  const auto found = facts.rows.find(key);
  switch (row.projection().guard) {
    case Guard::kRevision:
      if (found != facts.rows.end() && found->second.revision() >= row.revision()) return;
      break;
    case Guard::kFirst:
      if (found != facts.rows.end()) return;
      break;
    case Guard::kDeal: {
      const auto& deals = facts_.at(kDealFact.table).rows;
      const auto deal = deals.find(recounting::DealKey(row.Get<Uuid>("deal_id")));
      if (deal == deals.end() || deal->second.revision() != row.revision()) return;
      break;
    }
  }
  if (found != facts.rows.end()) {
    found->second = row;
  } else {
    facts.rows.emplace(std::move(key), row);
    ++row_count_;
  }
}

absl::Status Recount::Apply(const events::v1::Event& event) {
  // The row that Project looks at is replaced below, so it works on a copy.
  std::optional<Row> before;
  if (const Row* deal = DealOf(event)) before = *deal;
  const Row* prior = before ? &*before : nullptr;
  const auto put = [this](const Changes& changes) {
    for (const Row& row : changes.rows) Put(row);
    for (const Shrinking& shrinking : changes.shrinkings) {
      auto& lines = facts_.at(kDealLineFact.table).rows;
      for (int64_t line = shrinking.line_count + 1;; ++line) {
        if (lines.erase(recounting::LineKey(shrinking.deal, line)) == 0) break;
        --row_count_;
      }
    }
  };
  CRM_TRY(Changes new_deals, recounting::ProjectAny(NewDealPayloads(), event, prior));
  put(new_deals);
  CRM_TRY(Changes old_deals, recounting::ProjectAny(OldDealPayloads(), event, prior));
  put(old_deals);
  CRM_TRY(Changes catalogue, recounting::ProjectAny(CataloguePayloads(), event, nullptr));
  put(catalogue);
  CRM_TRY(Changes contacts, recounting::ProjectAny(ContactPayloads(), event, nullptr));
  put(contacts);
  CRM_TRY(Changes messaging, recounting::ProjectAny(MessagingPayloads(), event, nullptr));
  put(messaging);
  CRM_TRY(Changes scheduler, recounting::ProjectAny(SchedulerPayloads(), event, nullptr));
  put(scheduler);
  CRM_TRY(Changes identity, recounting::ProjectAny(IdentityPayloads(), event, nullptr));
  put(identity);
  return absl::OkStatus();
}

void Recount::AddLiving(const std::string& table, std::string text) {
  Facts& facts = facts_.at(table);
  std::string key = KeyOf(*facts.projection, text);
  facts.living.insert_or_assign(std::move(key), std::move(text));
}

Recount::Result Recount::Compare() const {
  Result result;
  result.response.set_equal(true);
  const auto differs = [&](v1::RecountReportsResponse::Comparison& comparison, const std::string& living,
                           const std::string& recounted) {
    comparison.set_difference_count(comparison.difference_count() + 1);
    result.response.set_equal(false);
    if (result.examples.size() >= recounting::kExamplesMax) return;
    result.examples.push_back(
        absl::StrReplaceAll(absl::StrCat(comparison.projection(), " living: ", living, " recounted: ", recounted),
                            {{std::string(1, kColumnEnd), "|"}, {std::string(1, kElementEnd), ","}}));
  };
  for (const Projection* projection : Projections()) {
    const Facts& facts = facts_.at(projection->table);
    auto& comparison = *result.response.add_comparisons();
    comparison.set_projection(projection->table);
    comparison.set_row_count(static_cast<int32_t>(facts.living.size()));
    comparison.set_recounted_row_count(static_cast<int32_t>(facts.rows.size()));
    for (const auto& [key, row] : facts.rows) {
      const auto living = facts.living.find(key);
      const std::string text = row.Text();
      if (living == facts.living.end() || living->second != text) {
        differs(comparison, living == facts.living.end() ? "none" : living->second, text);
      }
    }
    for (const auto& [key, text] : facts.living) {
      if (!facts.rows.contains(key)) differs(comparison, text, "none");
    }
  }
  return result;
}

}  // namespace crm::analytics
