#include "common/pg/external_ids.h"

#include <absl/strings/str_cat.h>

#include <utility>
#include <vector>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/status.h"
#include "crm/type/v1/external_id.pb.h"

namespace crm::pg {
namespace external {

const Statement kInsert{"pg.insert_external_ids",
                        "INSERT INTO external_id (tenant_id, object, system, external_id, record_id) "
                        "SELECT $1, $2, system, id, $3 FROM unnest($4::text[], $5::text[]) AS e (system, id)"};
const Statement kDelete{"pg.delete_external_ids", "DELETE FROM external_id WHERE tenant_id = $1 AND record_id = $2"};
const Statement kFind{"pg.find_by_external_id",
                      "SELECT record_id FROM external_id_view WHERE object = $1 AND system = $2 AND external_id = $3"};

struct Ids {
  std::vector<std::string> systems, ids;
  bool operator==(const Ids&) const = default;
};

Ids Of(const google::protobuf::Message& record) {
  Ids all;
  const auto* field = record.GetDescriptor()->FindFieldByName("external_ids");
  const auto* reflection = record.GetReflection();
  for (int i = 0; i < reflection->FieldSize(record, field); ++i) {
    const auto& one = static_cast<const type::v1::ExternalId&>(reflection->GetRepeatedMessage(record, field, i));
    all.systems.push_back(one.system());
    all.ids.push_back(one.id());
  }
  return all;
}

Uuid IdOf(const google::protobuf::Message& record) {
  return ParseId(record.GetReflection()->GetString(record, record.GetDescriptor()->FindFieldByName("id")))->uuid;
}

}  // namespace external

UniqueKey ByExternalId(const std::string& object) {
  return {"external_id_pkey", object + ".external_ids",
          Statement{absl::StrCat("pg.find_", object, "_by_any_external_id"),
                    "SELECT e.record_id FROM external_id_view e JOIN unnest($2::text[], $3::text[]) AS k (system, id) "
                    "ON e.system = k.system AND e.external_id = k.id WHERE e.object = $1 LIMIT 1"},
          [object](const google::protobuf::Message& record) {
            const external::Ids all = external::Of(record);
            return Params().Text(object).TextArray(all.systems).TextArray(all.ids);
          }};
}

void AddExternalIds(Batch& batch, const std::string& object, const google::protobuf::Message& record) {
  const external::Ids all = external::Of(record);
  if (all.ids.empty()) return;
  batch.Add(external::kInsert, Params()
                                   .Id(batch.call().tenant())
                                   .Text(object)
                                   .Id(external::IdOf(record))
                                   .TextArray(all.systems)
                                   .TextArray(all.ids));
}

void ReplaceExternalIds(Batch& batch, const std::string& object, const google::protobuf::Message& before,
                        const google::protobuf::Message& after) {
  if (external::Of(before) == external::Of(after)) return;
  batch.Add(external::kDelete, Params().Id(batch.call().tenant()).Id(external::IdOf(after)));
  AddExternalIds(batch, object, after);
}

Async<std::string> FindByExternalId(Db& db, const Call& call, std::string object, std::string system, std::string id) {
  CRM_CO_TRY(Rows rows,
             co_await db.Read(call, external::kFind, Params().Text(object).Text(system).Text(id), Work::kPoint));
  if (rows.empty()) co_return std::string();
  co_return TypeId(object, rows.Id(0, 0));
}

Async<std::string> FindToUpsert(Db& db, const Call& call, const google::protobuf::Message& record, std::string object) {
  const external::Ids all = external::Of(record);
  if (all.ids.empty()) {
    co_return FieldError(absl::StrCat(object, ".external_ids"),
                         "is empty; an upsert finds its record by the first external id");
  }
  co_return co_await FindByExternalId(db, call, object, all.systems.front(), all.ids.front());
}

google::protobuf::FieldMask UpsertMask(const google::protobuf::Message& record, google::protobuf::FieldMask mask) {
  if (!mask.paths().empty()) return mask;
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  record.GetReflection()->ListFields(record, &fields);
  for (const auto* field : fields) {
    if (field->name() != "id" && field->name() != "etag") mask.add_paths(field->name());
  }
  return mask;
}

}  // namespace crm::pg
