// What one contact costs at the gateway: JSON out (ours, protobuf's), JSON in, and validation. Links crm_json, crm_rpc
// and benchmark.
#include <benchmark/benchmark.h>
#include <google/protobuf/util/json_util.h>

#include <cstdlib>

#include "common/json/json.h"
#include "common/rpc/validation.h"
#include "crm/contact/v1/contact.pb.h"

namespace crm {
namespace {

contact::v1::Contact SomeContact() {
  contact::v1::Contact contact;
  const char* const kJson = R"({"given_name":"Anna","family_name":"Щёкина","roles":[],
    "phones":[{"number":"+74951234567"},{"number":"+79161234567"}],"emails":[{"address":"anna.shchyokina@example.com"}],
    "company_id":"company_01h455vb4pex5vsknk084sn02q","job_title":"Head of purchasing","city":"Тула","country_code":"RU",
    "tags":["vip","newsletter"],"owner_id":"user_01h455vb4pex5vsknk084sn02q","team_id":"team_01h455vb4pex5vsknk084sn02q"})";
  if (absl::Status status = json::Read(kJson, contact); !status.ok()) std::abort();
  contact.set_id("contact_01h455vb4pex5vsknk084sn02q");
  contact.set_etag("3");
  contact.set_display_name("Anna Щёкина");
  contact.mutable_create_time()->set_seconds(1795412343);
  contact.mutable_update_time()->set_seconds(1795412400);
  contact.mutable_update_time()->set_nanos(120000000);
  return contact;
}

void BM_Write(benchmark::State& state) {
  const std::string wire = SomeContact().SerializeAsString();
  const json::Writer& writer = json::Writer::Generated();
  const json::Writer::Plan* plan = writer.PlanOf(contact::v1::Contact::descriptor());
  std::string out;
  for (auto _ : state) {
    out.clear();
    benchmark::DoNotOptimize(writer.Append(plan, wire, out));
  }
  state.counters["wire_bytes"] = static_cast<double>(wire.size());
  state.counters["json_bytes"] = static_cast<double>(out.size());
}
BENCHMARK(BM_Write);

void BM_WriteListOf50(benchmark::State& state) {
  contact::v1::ListContactsResponse list;
  for (int i = 0; i < 50; ++i) *list.add_contacts() = SomeContact();
  const std::string wire = list.SerializeAsString();
  const json::Writer& writer = json::Writer::Generated();
  const json::Writer::Plan* plan = writer.PlanOf(list.descriptor());
  for (auto _ : state) {
    std::string out;
    benchmark::DoNotOptimize(writer.Append(plan, wire, out));
  }
}
BENCHMARK(BM_WriteListOf50);

void BM_WriteByProtobuf(benchmark::State& state) {
  const contact::v1::Contact contact = SomeContact();
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  for (auto _ : state) {
    std::string out;
    benchmark::DoNotOptimize(google::protobuf::util::MessageToJsonString(contact, &out, options));
  }
}
BENCHMARK(BM_WriteByProtobuf);

void BM_Read(benchmark::State& state) {
  const std::string text = *json::Write(SomeContact());
  for (auto _ : state) {
    contact::v1::Contact contact;
    std::vector<std::string> present;
    if (!json::Read(text, contact, {}, &present).ok()) std::abort();
  }
}
BENCHMARK(BM_Read);

void BM_ReadByProtobuf(benchmark::State& state) {
  const std::string text = *json::Write(SomeContact());
  for (auto _ : state) {
    contact::v1::Contact contact;
    if (!google::protobuf::util::JsonStringToMessage(text, &contact).ok()) std::abort();
  }
}
BENCHMARK(BM_ReadByProtobuf);

void BM_StoreAndLoadPhones(benchmark::State& state) {
  const contact::v1::Contact contact = SomeContact();
  const auto* field = contact::v1::Contact::descriptor()->FindFieldByName("phones");
  contact::v1::Contact loaded;
  std::string text;
  for (auto _ : state) {
    text.clear();
    if (!json::AppendField(contact, field, text).ok() || !json::ReadField(text, field, loaded).ok()) std::abort();
  }
}
BENCHMARK(BM_StoreAndLoadPhones);

void BM_Validate(benchmark::State& state) {
  contact::v1::CreateContactRequest request;
  *request.mutable_contact() = SomeContact();
  const absl::Time now = absl::Now();
  if (absl::Status status = rpc::Validate(request, now); !status.ok()) {
    state.SkipWithError(std::string(status.message()).c_str());
  }
  for (auto _ : state) benchmark::DoNotOptimize(rpc::Validate(request, now));
}
BENCHMARK(BM_Validate);

}  // namespace
}  // namespace crm

BENCHMARK_MAIN();
