#include "common/app/members.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "services/messaging/files.h"
#include "services/messaging/sql.h"

namespace crm::messaging {

// Announces a file: what it is called, how large it is, what it belongs to.
Async<v1::File> FileService::CreateFile(Call& call, const v1::CreateFileRequest& request) {
  v1::File file;
  file.set_name(request.file().name());
  file.set_size_bytes(request.file().size_bytes());
  file.set_sha256(request.file().sha256());
  file.set_record_id(request.file().record_id());
  file.set_owner_id(request.file().owner_id());
  file.set_team_id(request.file().team_id());
  file.set_status(v1::FILE_STATUS_UPLOADING);
  file.set_part_size_bytes(kFilePartBytes);
  *file.mutable_expire_time() = ToTimestamp(call.now() + kFileUploadTime);
  if (!file.record_id().empty()) CRM_CO_TRY(co_await files_.CheckRecord(call, file.record_id()));
  CRM_CO_TRY(co_await files_.CheckUsage(call, file.size_bytes()));
  CRM_CO_TRY(co_await app::FillTeam(db_, call, file));
  pg::StampNew(call, files_.table(), file);
  CRM_CO_TRY(pg::CheckCreate(call, files_.table(), file));
  CRM_CO_TRY(auto made, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::File> {
    batch.Insert(files_.table(), file);
    batch.Add(sql::kAddFileUsage, pg::Params().Id(call.tenant()).Int(file.size_bytes()));
    return file;
  }));
  for (int number = 1; number <= PartsOf(made); ++number) made.add_missing_parts(number);
  co_return pg::Shown(call, files_.table(), std::move(made));
}

}  // namespace crm::messaging
