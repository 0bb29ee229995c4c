#include "services/gateway/expand.h"

#include <absl/strings/str_cat.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/status.h"
#include "common/json/json.h"
#include "crm/type/v1/ref_service.pb.h"
#include "services/gateway/together.h"

namespace crm::gateway {
namespace expand {

namespace pb = google::protobuf;
using pb::internal::WireFormatLite;

absl::Status Broken() { return absl::DataLossError("the service's answer cannot be read"); }

}  // namespace expand

absl::Status CollectRefs(const RefNode& node, absl::string_view wire, const std::vector<std::string>& names,
                         std::set<std::string>& ids) {
  using expand::WireFormatLite;
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(wire.data()),
                                            static_cast<int>(wire.size()));
  while (uint32_t tag = in.ReadTag()) {
    if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      if (!WireFormatLite::SkipField(&in, tag)) return expand::Broken();
      continue;
    }
    uint32_t size = 0;
    if (!in.ReadVarint32(&size)) return expand::Broken();
    int at = in.CurrentPosition();
    if (!in.Skip(static_cast<int>(size)) || at + static_cast<int64_t>(size) > static_cast<int64_t>(wire.size()))
      return expand::Broken();
    auto it = node.fields.find(WireFormatLite::GetTagFieldNumber(tag));
    if (it == node.fields.end()) continue;
    absl::string_view value = wire.substr(at, size);
    if (it->second.message) {
      CRM_TRY(CollectRefs(*it->second.message, value, names, ids));
    } else if (!value.empty() && std::find(names.begin(), names.end(), it->second.name) != names.end()) {
      ids.insert(std::string(value));
    }
  }
  return in.ConsumedEntireMessage() ? absl::OkStatus() : expand::Broken();
}

Async<Refs> Expand(const Api& api, const Peers& peers, const Call& call, const RpcRoute& route,
                   const std::vector<std::string>& names, const std::string& answer) {
  std::set<std::string> ids;
  if (route.refs) CRM_CO_TRY(CollectRefs(*route.refs, answer, names, ids));
  if (ids.size() > kExpandMax) {
    std::string text = absl::StrCat("would answer ", ids.size(), " records, more than ", kExpandMax,
                                    ": ask for a smaller page or fewer names");
    co_return FieldError("expand", std::move(text));
  }
  std::map<std::string, type::v1::BatchGetRefsRequest> requests;  // by service
  for (const auto& id : ids) {
    auto parsed = ParseId(id);
    if (!parsed.ok()) continue;  // "me" and the like: no record
    auto record = api.records().find(parsed->prefix);
    if (record != api.records().end()) requests[record->second.service].add_ids(id);
  }
  struct One {
    std::string service;
    type::v1::BatchGetRefsRequest request;
    absl::StatusOr<type::v1::BatchGetRefsResponse> answer = absl::UnknownError("");
  };
  std::vector<One> all;
  for (auto& [service, request] : requests) all.push_back({service, std::move(request)});
  Call reading = call;
  reading.idempotency_key.clear();
  auto ask = [&](size_t i) -> asio::awaitable<void> {
    auto peer = peers.Find(all[i].service);
    if (!peer.ok()) {
      all[i].answer = peer.status();
      co_return;
    }
    all[i].answer = co_await (*peer)->Unary<type::v1::BatchGetRefsResponse>(
        reading, "crm.type.v1.RefService.BatchGetRefs", all[i].request);
  };
  co_await Together(all.size(), ask);

  Refs out;
  out.json = "{";
  for (auto& one : all) {
    if (!one.answer.ok()) {
      out.missing.push_back(one.service);
      continue;
    }
    for (const auto& ref : one.answer->refs()) {
      if (out.json.size() > 1) out.json += ',';
      json::AppendString(ref.id(), out.json);
      out.json += ':';
      CRM_CO_TRY(std::string text, json::Write(ref));
      out.json += text;
    }
  }
  out.json += '}';
  co_return out;
}

}  // namespace crm::gateway
