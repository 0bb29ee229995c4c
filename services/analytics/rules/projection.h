// What events do to the projections. Pure, and used by both: consumers write what it says into the tables, a recount
// writes it into memory and compares.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "crm/analytics/v1/events.pb.h"
#include "crm/contact/v1/events.pb.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "crm/events/v1/event.pb.h"
#include "crm/identity/v1/events.pb.h"
#include "crm/messaging/v1/events.pb.h"
#include "crm/scheduler/v1/events.pb.h"
#include "services/analytics/rules/fact.h"

namespace crm::analytics {

// ---- the tables ----

// One row per deal. `visit` is the number of its present stay among its stays in stages. amount is NULL, and
// currency_code empty, for a deal without an amount.
inline const Projection kDealFact{"deal_fact",
                                  Guard::kRevision,
                                  1,
                                  {{"id", Column::Type::kId},
                                   {"revision", Column::Type::kInt},
                                   {"pipeline_id", Column::Type::kId},
                                   {"stage_id", Column::Type::kId},
                                   {"status", Column::Type::kInt},
                                   {"visit", Column::Type::kInt},
                                   {"owner_id", Column::Type::kId},
                                   {"team_id", Column::Type::kId},
                                   {"company_id", Column::Type::kId},
                                   {"contact_id", Column::Type::kId},
                                   {"source", Column::Type::kText},
                                   {"amount", Column::Type::kDecimal},
                                   {"currency_code", Column::Type::kText},
                                   {"open_time", Column::Type::kTime},
                                   {"stage_enter_time", Column::Type::kTime},
                                   {"won_time", Column::Type::kTime},
                                   {"lost_time", Column::Type::kTime},
                                   {"lost_reason", Column::Type::kText},
                                   {"deleted", Column::Type::kBool}}};

// One row per line of a deal, counted from 1.
inline const Projection kDealLineFact{"deal_line_fact",
                                      Guard::kDeal,
                                      2,
                                      {{"deal_id", Column::Type::kId},
                                       {"line", Column::Type::kInt},
                                       {"product_id", Column::Type::kId},
                                       {"name", Column::Type::kText},
                                       {"quantity", Column::Type::kDecimal},
                                       {"total", Column::Type::kDecimal},
                                       {"currency_code", Column::Type::kText}}};

// One row per stay of a deal in a stage, counted from 1; leave_time is NULL while it is there. A deal imported with its
// past has one: that past is not known by stages.
inline const Projection kStageEntryFact{"stage_entry_fact",
                                        Guard::kDeal,
                                        2,
                                        {{"deal_id", Column::Type::kId},
                                         {"visit", Column::Type::kInt},
                                         {"stage_id", Column::Type::kId},
                                         {"enter_time", Column::Type::kTime},
                                         {"leave_time", Column::Type::kTime}}};

inline const Projection kPipelineFact{"pipeline_fact",
                                      Guard::kRevision,
                                      1,
                                      {{"id", Column::Type::kId},
                                       {"revision", Column::Type::kInt},
                                       {"name", Column::Type::kText},
                                       // Three arrays of one length, in the pipeline's order.
                                       {"stage_ids", Column::Type::kIds},
                                       {"stage_names", Column::Type::kTexts},
                                       {"stage_kinds", Column::Type::kInts}}};

inline const Projection kProductFact{
    "product_fact",
    Guard::kRevision,
    1,
    {{"id", Column::Type::kId}, {"revision", Column::Type::kInt}, {"name", Column::Type::kText}}};

inline const Projection kCompanyFact{"company_fact",
                                     Guard::kRevision,
                                     1,
                                     {{"id", Column::Type::kId},
                                      {"revision", Column::Type::kInt},
                                      {"name", Column::Type::kText},
                                      {"country_code", Column::Type::kText}}};

inline const Projection kContactFact{"contact_fact",
                                     Guard::kRevision,
                                     1,
                                     {{"id", Column::Type::kId},
                                      {"revision", Column::Type::kInt},
                                      {"country_code", Column::Type::kText},
                                      {"company_id", Column::Type::kId}}};

inline const Projection kUserFact{"user_fact",
                                  Guard::kRevision,
                                  1,
                                  {{"id", Column::Type::kId},
                                   {"revision", Column::Type::kInt},
                                   {"name", Column::Type::kText},
                                   {"team_id", Column::Type::kId}}};

// One row: the tenant's settings.
inline const Projection kTenantFact{
    "tenant_fact",
    Guard::kRevision,
    0,
    {{"revision", Column::Type::kInt}, {"time_zone", Column::Type::kText}, {"currency_code", Column::Type::kText}}};

// One row per thing that a user did and that is counted; its key is the event that told of it.
inline const Projection kActivityFact{"activity_fact",
                                      Guard::kFirst,
                                      2,
                                      {{"producer", Column::Type::kText},
                                       {"seq", Column::Type::kInt},
                                       {"kind", Column::Type::kInt},
                                       {"user_id", Column::Type::kId},
                                       {"record_id", Column::Type::kText},
                                       {"time", Column::Type::kTime}}};

// activity_fact.kind. The numbers are stored: they stay.
enum class Activity : int64_t {
  kLeadAccepted = 1,
  kDealMoved = 2,
  kRecordCreated = 3,
  kMessageSent = 4,      // by its author
  kMessageReceived = 5,  // by who is responsible for its conversation
  kTaskCompleted = 6
};

// All of them; a recount compares them in this order.
const std::vector<const Projection*>& Projections();

// ---- what an event changes ----

// Lines of a deal that has fewer of them now: those above `line_count` go, if the deal's row is of this revision.
struct Shrinking {
  Uuid deal;
  int64_t revision = 0;
  int64_t line_count = 0;
};

// An increment for live screens, with the readers that it is for.
struct Increment {
  std::string owner_id;
  std::string team_id;
  v1::ReportChanged changed;
};

struct Changes {
  std::vector<Row> rows;  // in order: a deal's own row before those that its revision guards
  std::vector<Shrinking> shrinkings;
  std::vector<Increment> increments;
};

// `before` is the deal's row as it stands, nullptr if there is none; only events of deals look at it. An id that is
// none is an INVALID_ARGUMENT.
absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::DealCreated& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::DealMoved& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::DealUpdated& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::DealDeleted& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::DealUndeleted& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::LeadAccepted& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::PipelineCreated& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::PipelineUpdated& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::ProductCreated& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::ProductUpdated& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const contact::v1::ContactCreated& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const contact::v1::ContactUpdated& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const contact::v1::CompanyCreated& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const contact::v1::CompanyUpdated& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const identity::v1::TenantCreated& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const identity::v1::TenantUpdated& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const identity::v1::UserCreated& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const identity::v1::UserUpdated& payload,
                                const Row* before);

absl::StatusOr<Changes> Project(const events::v1::Event& event, const messaging::v1::MessageSent& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const messaging::v1::MessageReceived& payload,
                                const Row* before);
absl::StatusOr<Changes> Project(const events::v1::Event& event, const scheduler::v1::TaskCompleted& payload,
                                const Row* before);

// ---- which payloads are heard: one list per producer, for consumers and recount alike ----

template <typename... Payloads>
struct PayloadList {};

// A new deal has no row yet, so nothing is read for it and a mass of them is written in groups.
using NewDealPayloads = PayloadList<deal_pipeline::v1::DealCreated>;
using OldDealPayloads = PayloadList<deal_pipeline::v1::DealMoved, deal_pipeline::v1::DealUpdated,
                                    deal_pipeline::v1::DealDeleted, deal_pipeline::v1::DealUndeleted>;
using CataloguePayloads =
    PayloadList<deal_pipeline::v1::LeadAccepted, deal_pipeline::v1::PipelineCreated, deal_pipeline::v1::PipelineUpdated,
                deal_pipeline::v1::ProductCreated, deal_pipeline::v1::ProductUpdated>;
// Deleting and restoring a contact or company changes nothing that is kept of it.
using ContactPayloads = PayloadList<contact::v1::ContactCreated, contact::v1::ContactUpdated,
                                    contact::v1::CompanyCreated, contact::v1::CompanyUpdated>;
using IdentityPayloads = PayloadList<identity::v1::TenantCreated, identity::v1::TenantUpdated,
                                     identity::v1::UserCreated, identity::v1::UserUpdated>;

using MessagingPayloads = PayloadList<messaging::v1::MessageSent, messaging::v1::MessageReceived>;
using SchedulerPayloads = PayloadList<scheduler::v1::TaskCompleted>;

}  // namespace crm::analytics
