// covers: common/obs/trace.cc
// W3C Trace Context: what is read is written as version 00 of the same, and its next hop keeps the trace.
#include "common/obs/trace.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(traceparent) {
  using namespace crm;
  const absl::string_view text = input.Rest();
  const auto parsed = obs::ParseTraceparent(text);
  const std::string child = obs::ChildTraceparent(text);
  const auto next = obs::ParseTraceparent(child);
  fuzz::Require(next.has_value(), "the next hop's can always be read", child);
  fuzz::Require(obs::TraceIdOf(child) == next->trace_id && obs::SpanIdOf(child) == next->span_id,
                "the parts are where they are looked for", child);
  if (!parsed) return;
  const std::string written = parsed->ToString();
  fuzz::Require(written.substr(2) == text.substr(2, written.size() - 2), "written as read", written);
  fuzz::Require(next->trace_id == parsed->trace_id && next->span_id != parsed->span_id, "a new span of the same trace",
                child);
}
