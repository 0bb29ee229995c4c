// covers: common/base/filter.cc common/base/filter_parts.cc common/base/filter_values.cc common/base/filter_match.cc
// The filter language: what is read is written as something that reads the same, and decides about a record, or is
// refused at its place. A condition and its negation never agree.
#include "common/base/filter.h"
#include "common/base/filter_match.h"
#include "crm/testing/v1/thing.pb.h"
#include "tests/fuzz/fuzz.h"

namespace crm::fuzz {

// A record with a value in about every kind of field, and an empty one.
inline const crm::testing::v1::Thing& SomeThing() {
  static const crm::testing::v1::Thing* const thing = [] {
    auto* some = new crm::testing::v1::Thing;
    some->set_id("thing_01h455vb4pex5vsknk084sn02q");
    some->set_name("Größe 12*");
    some->set_secret("s");
    some->set_count(-7);
    some->set_size(7);
    some->set_big(int64_t{1} << 60);
    some->set_ratio(0.5);
    some->set_kind(crm::testing::v1::KIND_LARGE);
    some->set_due_date("2026-11-23");
    some->set_price("12.50");
    some->mutable_cost()->set_amount("99.99");
    some->mutable_cost()->set_currency_code("EUR");
    some->set_parent_id("thing_01h455vb4pex5vsknk084sn02q");
    some->set_link_id("contact_01h455vb4pex5vsknk084sn02q");
    some->add_watcher_ids("user_01h455vb4pex5vsknk084sn02q");
    some->add_tags("red");
    some->add_numbers(3);
    some->add_kinds(crm::testing::v1::KIND_ODD);
    some->mutable_seen_time()->set_seconds(1795424400);
    auto* part = some->add_parts();
    part->set_name("bolt");
    part->set_count(4);
    part->add_colors("blue");
    some->mutable_place()->set_city("Łódź");
    some->mutable_place()->set_since("2020-02-29");
    (*some->mutable_labels())["size"] = "L";
    (*some->mutable_extra()->mutable_fields())["weight"].set_number_value(1.5);
    (*some->mutable_extra()->mutable_fields())["open"].set_bool_value(true);
    some->set_rank(0);
    some->set_shelf(3);
    some->set_owner_id("user_01h455vb4pex5vsknk084sn02q");
    return some;
  }();
  return *thing;
}

inline Call SomeCall() {
  Call call;
  call.principal.kind = Principal::Kind::kUser;
  call.principal.user_id = "user_01h455vb4pex5vsknk084sn02q";
  call.principal.tenant = ParseId("tenant_01h455vb4pex5vsknk084sn02q")->uuid;
  auto rights = std::make_shared<Rights>();
  rights->personal_data = true;
  call.principal.rights = rights;
  call.time_zone = "Europe/Berlin";
  call.country_code = "DE";
  call.currency_code = "EUR";
  call.start = absl::FromUnixSeconds(1795424400);
  return call;
}

}  // namespace crm::fuzz

CRM_FUZZ(filter) {
  using namespace crm;
  const auto node = filter::Parse(input.Rest());
  if (!node.ok()) {
    fuzz::Require(ReasonOf(node.status()) == type::v1::ERROR_REASON_FILTER_INVALID, "a bad filter is FILTER_INVALID");
    return fuzz::RequireRefusal(node.status());
  }
  const std::string text = filter::ToText(*node);
  const auto again = filter::Parse(text);
  // Written out, a filter may be longer than what is read.
  fuzz::Require(again.ok() ? *again == *node : text.size() > filter::kLengthMax, "Parse(ToText(x)) == x", text);

  static const Call call = fuzz::SomeCall();
  for (const auto* record : {&fuzz::SomeThing(), &crm::testing::v1::Thing::default_instance()}) {
    if (const auto stranger = filter::Matches(Call(), *node, *record); !stranger.ok()) {
      fuzz::RequireRefusal(stranger.status());
    }
    const std::vector<filter::Root> roots = {{"event", &fuzz::SomeThing()}};
    if (const auto event = filter::Matches(call, *node, *record, roots); !event.ok())
      fuzz::RequireRefusal(event.status());
    const auto matches = filter::Matches(call, *node, *record);
    filter::Node negated;
    negated.kind = filter::Node::Kind::kNot;
    negated.children.push_back(*node);
    const auto opposite = filter::Matches(call, negated, *record);
    fuzz::Require(matches.ok() == opposite.ok(), "a filter and its negation are refused together", text);
    if (!matches.ok()) {
      fuzz::RequireRefusal(matches.status());
    } else {
      fuzz::Require(*matches != *opposite, "a filter and its negation never agree", text);
    }
  }
}
