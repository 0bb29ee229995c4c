#include "services/identity/handlers/change_role.h"

#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/identity/service.h"

namespace crm::identity {

Async<v1::Role> StoreRole(Identity& identity, const Call& call, v1::Role before, v1::Role after) {
  const pg::Table<v1::Role>& roles = identity.tables.roles;
  auto stored = co_await identity.db.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Role> {
    batch.Update(roles, before, after);
    RoleChanged(batch, after);
    v1::RoleUpdated event;
    *event.mutable_role() = after;
    pg::NewEvent about = pg::EventOf(roles, "updated", after);
    about.changed_fields = pg::ChangedFields(before, after);
    batch.Emit(about, event);
    return after;
  });
  if (!stored.ok()) co_return co_await pg::NameExisting(identity.db, call, roles, stored.status(), after);
  co_return pg::Shown(call, roles, *std::move(stored));
}

}  // namespace crm::identity
