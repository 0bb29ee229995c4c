// Ids that a record has in other systems: the field `external_ids` of the record, and beside it a row each in the schema's
// table external_id (tenant_id, object, system, external_id, record_id), by which they are unique and found.
#pragma once

#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/message.h>

#include <string>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/pg/db.h"
#include "common/pg/table.h"

namespace crm::pg {

// `record` has the fields `id` and `external_ids`; `object` is its prefix.
UniqueKey ByExternalId(const std::string& object);
void AddExternalIds(Batch& batch, const std::string& object, const google::protobuf::Message& record);
// Nothing if they are the same.
void ReplaceExternalIds(Batch& batch, const std::string& object, const google::protobuf::Message& before,
                        const google::protobuf::Message& after);

// The id of the record; empty if none has the external id.
Async<std::string> FindByExternalId(Db& db, const Call& call, std::string object, std::string system, std::string id);
// ... by the first external id of a record that is to be upserted, without which INVALID_ARGUMENT.
Async<std::string> FindToUpsert(Db& db, const Call& call, const google::protobuf::Message& record, std::string object);

// What an upsert changes in the record that it finds: the mask, or without one the fields that `record` has set.
google::protobuf::FieldMask UpsertMask(const google::protobuf::Message& record, google::protobuf::FieldMask mask);

}  // namespace crm::pg
