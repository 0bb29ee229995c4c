// Reads of single records: by id, several, as of a moment, locked; short forms and history.
#include <absl/container/flat_hash_map.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <limits>

#include "common/base/error.h"
#include "common/base/text.h"
#include "common/base/time.h"
#include "common/json/json.h"
#include "common/pg/table_impl.h"

namespace crm::pg {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

namespace record {
namespace {

// One batch get serves a page of references.
constexpr size_t kBatchGetMax = 500;

absl::Status TooMany(size_t count) {
  return FieldError("ids", absl::StrCat("has ", count, " ids; at most ", kBatchGetMax, " can be asked for at once"));
}

// Whoever may change a record may see it, even if nothing else grants that.
absl::StatusOr<Narrow> Visible(const Call& call, const RecordTable::Impl& impl, type::v1::Action action) {
  auto read = impl.NarrowFor(call, type::v1::ACTION_READ);
  if (action == type::v1::ACTION_READ) return read;
  auto other = impl.NarrowFor(call, action);
  if (!read.ok()) return other;
  if (!other.ok()) return read;
  return std::min(*read, *other);
}

absl::Status Granted(const Call& call, const RecordTable& table, type::v1::Action action, const Message& record) {
  if (action == type::v1::ACTION_READ || MayDo(call, table, record, action)) return absl::OkStatus();
  return RightMissing(table.prefix(), action);
}

std::string ShownText(const Call& call, const RecordTable::Impl& impl, const std::string& name, const Rows& rows,
                      int row, int column) {
  if (rows.IsNull(row, column)) return "";
  std::string text(rows.Text(row, column));
  const auto* field = impl.descriptor->FindFieldByName(name);
  const bool hidden = field != nullptr && InfoOf(field).personal() && !SeesPersonal(call);
  return hidden && !text.empty() ? absl::StrCat(Truncated(text, 1), "***") : text;
}

type::v1::Ref RefAt(const Call& call, const RecordTable::Impl& impl, const Rows& rows, int row) {
  type::v1::Ref ref;
  ref.set_id(TypeId(impl.prefix, rows.Id(row, 0)));
  ref.set_type(impl.prefix);
  ref.set_title(ShownText(call, impl, impl.option.title(), rows, row, 1));
  ref.set_subtitle(ShownText(call, impl, impl.option.subtitle(), rows, row, 2));
  ref.set_deleted(rows.Bool(row, 3));
  if (!rows.IsNull(row, 4)) ref.set_redirect_to(TypeId(impl.prefix, rows.Id(row, 4)));
  return ref;
}

// One stored state of a record; how it ended, unless it is the living one.
struct Version {
  std::unique_ptr<Message> record;
  absl::Time valid_until;
  std::string superseded_by;
};

absl::StatusOr<Version> VersionAt(const RecordTable& table, const Rows& rows, int row, bool superseded) {
  Version version;
  version.record.reset(google::protobuf::MessageFactory::generated_factory()->GetPrototype(table.descriptor())->New());
  CRM_TRY(table.Read(rows, row, *version.record));
  if (superseded) {
    const int time_column = static_cast<int>(table.impl().columns.size());
    version.valid_until = rows.Time(row, time_column);
    version.superseded_by = std::string(rows.Text(row, time_column + 1));
  }
  return version;
}

absl::StatusOr<std::vector<type::v1::Revision>> RevisionsOf(const Call& call, const RecordTable& table,
                                                            const Rows& live, const Rows& old, int64_t below,
                                                            int limit) {
  const auto& impl = table.impl();
  std::vector<Version> versions;  // newest first
  CRM_TRY(Version living, VersionAt(table, live, 0, false));
  const uint32_t newest = RevisionOf(*living.record);
  if (newest < below) versions.push_back(std::move(living));
  for (int row = 0; row < old.size(); ++row) {
    CRM_TRY(Version version, VersionAt(table, old, row, true));
    // The two reads are two moments: what lived in the first may be superseded in the second.
    if (RevisionOf(*version.record) < newest) versions.push_back(std::move(version));
  }
  std::vector<type::v1::Revision> revisions;
  for (size_t i = 0; i < versions.size() && static_cast<int>(i) < limit; ++i) {
    const Message& after = *versions[i].record;
    auto& revision = revisions.emplace_back();
    revision.set_etag(absl::StrCat(RevisionOf(after)));
    if (i + 1 == versions.size()) {
      *revision.mutable_time() = ToTimestamp(TimeOf(after, impl.known.update_time));
      revision.set_actor_id(StringOf(after, impl.known.creator_id));
      continue;
    }
    const Message& before = *versions[i + 1].record;
    *revision.mutable_time() = ToTimestamp(versions[i + 1].valid_until);
    revision.set_actor_id(versions[i + 1].superseded_by);
    for (const auto& name : ChangedFields(before, after)) {
      const auto* field = impl.descriptor->FindFieldByName(name);
      auto* change = revision.add_changes();
      change->set_field(name);
      if (!SeesPersonal(call) && HasPersonal(field)) continue;
      CRM_TRY(json::AppendField(before, field, *change->mutable_old_value()));
      CRM_TRY(json::AppendField(after, field, *change->mutable_new_value()));
    }
  }
  return revisions;
}

}  // namespace
}  // namespace record

namespace internal {

Async<> GetInto(Db& db, const Call& call, const RecordTable& table, std::string id, type::v1::Action action,
                bool show_deleted, std::optional<absl::Time> as_of, Message& out) {
  const auto& impl = table.impl();
  CRM_CO_TRY(const Uuid uuid, ParseId(id, impl.prefix, "id"));
  CRM_CO_TRY(const record::Narrow narrow, record::Visible(call, impl, action));
  Params params;
  params.Id(uuid);
  const Statement* statement = &impl.get_one[narrow][show_deleted ? 1 : 0];
  if (as_of) {
    if (!table.history()) co_return FieldError("as_of", "this kind of record keeps no history");
    statement = &impl.get_as_of[narrow];
    params.Time(*as_of);
  }
  impl.AddScopeParams(call, narrow, params);
  CRM_CO_TRY(const Rows rows, co_await db.Read(call, *statement, std::move(params)));
  if (rows.empty()) co_return NotFound(id);
  CRM_CO_TRY(table.Read(rows, 0, out));
  co_return record::Granted(call, table, action, out);
}

Async<> LockInto(Transaction& transaction, const Call& call, const RecordTable& table, std::string id,
                 type::v1::Action action, Message& out) {
  const auto& impl = table.impl();
  CRM_CO_TRY(const Uuid uuid, ParseId(id, impl.prefix, "id"));
  CRM_CO_TRY(record::Visible(call, impl, action));
  Params params;
  params.Id(call.tenant()).Id(uuid);
  CRM_CO_TRY(const Rows rows, co_await transaction.Run(impl.lock, std::move(params)));
  if (rows.empty()) co_return NotFound(id);
  CRM_CO_TRY(table.Read(rows, 0, out));
  const bool deleted = impl.known.delete_time != nullptr && out.GetReflection()->HasField(out, impl.known.delete_time);
  const bool visible = MayDo(call, table, out, type::v1::ACTION_READ) || MayDo(call, table, out, action);
  if (deleted || !visible) co_return NotFound(id);
  co_return record::Granted(call, table, action, out);
}

Async<> BatchGetInto(Db& db, const Call& call, const RecordTable& table, std::vector<std::string> ids, AddMessage add) {
  if (ids.empty()) co_return absl::OkStatus();
  if (ids.size() > record::kBatchGetMax) co_return record::TooMany(ids.size());
  std::vector<Uuid> uuids;
  for (size_t i = 0; i < ids.size(); ++i) {
    CRM_CO_TRY(const Uuid uuid, ParseId(ids[i], table.prefix(), absl::StrCat("ids[", i, "]")));
    uuids.push_back(uuid);
  }
  Batch batch(call);
  table.AddGet(batch, uuids, type::v1::ACTION_READ, false);
  CRM_CO_TRY(batch.status());
  CRM_CO_TRY(const std::vector<Rows> results, co_await db.Read(call, std::move(batch)));
  const Rows& rows = results.at(0);
  absl::flat_hash_map<Uuid, int> row_of;
  for (int row = 0; row < rows.size(); ++row) {
    for (size_t i = 0; i < table.impl().columns.size(); ++i) {
      if (table.impl().columns[i].kind != record::Kind::kId) continue;
      row_of.emplace(rows.Id(row, static_cast<int>(i)), row);
      break;
    }
  }
  for (const auto& uuid : uuids) {
    auto it = row_of.find(uuid);
    if (it != row_of.end()) CRM_CO_TRY(table.Read(rows, it->second, add()));
  }
  co_return absl::OkStatus();
}

}  // namespace internal

Async<std::vector<type::v1::Ref>> RefsOf(Db& db, const Call& call, const RecordTable& table,
                                         std::vector<std::string> ids) {
  std::vector<type::v1::Ref> refs;
  if (ids.empty()) co_return refs;
  if (ids.size() > record::kBatchGetMax) co_return record::TooMany(ids.size());
  const auto& impl = table.impl();
  auto narrow = impl.NarrowFor(call, type::v1::ACTION_READ);
  if (!narrow.ok()) co_return refs;
  std::vector<Uuid> uuids;
  for (const auto& id : ids) {
    CRM_CO_TRY(const Uuid uuid, ParseId(id, impl.prefix, "ids"));
    uuids.push_back(uuid);
  }
  Params params;
  params.IdArray(uuids);
  impl.AddScopeParams(call, *narrow, params);
  CRM_CO_TRY(const Rows rows, co_await db.Read(call, impl.get_refs[*narrow], std::move(params)));
  for (int row = 0; row < rows.size(); ++row) {
    refs.push_back(record::RefAt(call, impl, rows, row));
  }
  co_return refs;
}

Async<std::vector<type::v1::Revision>> History(Db& db, const Call& call, const RecordTable& table, std::string id,
                                               int limit, uint32_t before_revision) {
  const auto& impl = table.impl();
  if (!table.history()) co_return FieldError("id", "this kind of record keeps no history");
  CRM_CO_TRY(const Uuid uuid, ParseId(id, impl.prefix, "id"));
  limit = std::clamp(limit, 1, kPageSizeMax);
  const int64_t below = before_revision == 0 ? std::numeric_limits<int32_t>::max() : before_revision;

  Batch batch(call);
  table.AddGet(batch, {uuid}, type::v1::ACTION_READ, /*show_deleted=*/true);
  // One more than asked for: a change is the difference to the revision before.
  batch.Add(impl.read_history, Params().Id(uuid).Int(below).Int(limit + 1));
  CRM_CO_TRY(batch.status());
  CRM_CO_TRY(const std::vector<Rows> results, co_await db.Read(call, std::move(batch)));
  const Rows& live = results.at(0);
  const Rows& old = results.at(1);
  if (live.empty()) co_return NotFound(id);
  co_return record::RevisionsOf(call, table, live, old, below, limit);
}

Async<> NameExisting(Db& db, const Call& call, const RecordTable& table, absl::Status status, const Message& record) {
  if (status.code() != absl::StatusCode::kAlreadyExists) co_return status;
  auto metadata = MetadataOf(status);
  for (const auto& key : table.impl().unique_keys) {
    if (metadata["constraint"] != key.constraint) continue;
    auto rows = co_await db.Read(call, key.lookup, key.params(record));
    metadata["field"] = key.field;
    if (rows.ok() && !rows->empty()) metadata["existing"] = TypeId(table.prefix(), rows->Id(0, 0));
    auto named = Error(absl::StatusCode::kAlreadyExists, type::v1::ERROR_REASON_ALREADY_EXISTS,
                       metadata.contains("existing")
                           ? absl::StrCat(key.field, " is already used by ", metadata["existing"],
                                          ". Change that record, or use another value.")
                           : absl::StrCat(key.field, " is already used by another record. Use another value."),
                       metadata);
    AddViolation(named, {key.field, "is already in use"});
    co_return named;
  }
  co_return status;
}

}  // namespace crm::pg
