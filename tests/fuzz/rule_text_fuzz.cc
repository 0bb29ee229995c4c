// covers: services/scheduler/rules/automation_text.cc#TagsOf,Hidden,Leads,CheckTemplate,LinkedIn,SamplesOf,CheckEscaped,HiddenIn,Render,EnumText,OfMessage
// Texts of rules (Mustache): what is taken can be filled in, with a record and without.
#include <absl/strings/match.h>

#include "crm/contact/v1/contact.pb.h"
#include "crm/deal_pipeline/v1/deal.pb.h"
#include "services/scheduler/rules/automation_text.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(rule_text) {
  using namespace crm;
  namespace automation = scheduler::automation;
  static const automation::ObjectKind& deals = *automation::Catalogue::Get().FindObject("deal");
  static const deal_pipeline::v1::Deal deal = [] {
    deal_pipeline::v1::Deal made;
    made.set_title("Cake {{title}}");
    made.mutable_amount()->set_amount("1500");
    made.mutable_amount()->set_currency_code("EUR");
    for (const char* name : {"a", "b", "c"}) made.add_lines()->set_name(name);
    made.set_status(deal_pipeline::v1::DEAL_STATUS_WON);
    made.mutable_create_time()->set_seconds(1795424400);
    return made;
  }();
  static const contact::v1::Contact contact = [] {
    contact::v1::Contact made;
    made.set_display_name("Ada");
    for (const char* tag : {"vip", "north", "new"}) made.add_tags(tag);
    return made;
  }();
  const absl::string_view text = input.Rest();
  if (!IsUtf8(text)) return;  // refused before by the proto's rules
  for (const std::string& sample : automation::SamplesOf(text))
    fuzz::Require(IsUtf8(sample), "UTF-8 comes out", sample);
  const absl::Status escaped = automation::CheckEscaped(text, "rule.actions[0].call_webhook.body");
  if (!escaped.ok()) fuzz::RequireRefusal(escaped);
  const std::string hidden = automation::HiddenIn(text, deals, /*personal=*/false);
  fuzz::Require(absl::StrContains(text, hidden), "what is hidden stands there", hidden);
  const absl::Status taken = automation::CheckTemplate(text, deals, "rule.actions[0].create_task.title");
  if (!taken.ok()) {
    fuzz::Require(!ViolationsOf(taken).empty(), "the error names its field", taken.message());
    return fuzz::RequireRefusal(taken);
  }
  const auto linked = automation::LinkedIn(text, deal.GetDescriptor());
  for (const auto& name : linked) fuzz::Require(name != "title", "the record's own fields are its own", name);
  const std::string out = automation::Render(text, deal, {{"contact", &contact}}, absl::UTCTimeZone());
  fuzz::Require(IsUtf8(out), "UTF-8 comes out", out);
  automation::Render(text, deal_pipeline::v1::Deal::default_instance(), {}, absl::UTCTimeZone());
}
