#include <absl/strings/str_cat.h>

#include <optional>

#include "common/base/error.h"
#include "common/base/status.h"
#include "services/messaging/files.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Stores one part in rows. Parts that come in their order are hashed on the way.
Async<v1::PutFilePartResponse> FileService::PutFilePart(Call& call, const v1::PutFilePartRequest& request) {
  CRM_CO_TRY(v1::File file, co_await db_.Get(call, files_.table(), request.id(), type::v1::ACTION_CREATE));
  if (file.status() != v1::FILE_STATUS_UPLOADING) {
    co_return StateError("the file is complete; its parts cannot change any more");
  }
  const int number = request.part_number();
  const std::string& data = request.content().data();
  if (number > PartsOf(file)) {
    co_return FieldError("part_number", absl::StrCat("the file has ", PartsOf(file), " parts"));
  }
  if (static_cast<int>(data.size()) != PartBytes(file, number)) {
    co_return FieldError("content.data",
                         absl::StrCat("part ", number, " has ", PartBytes(file, number), " bytes, not ", data.size()));
  }
  const Uuid id = UuidOf(file.id());
  std::optional<std::string> before, after;
  CRM_CO_TRY(pg::Rows hashed, co_await db_.Read(call, sql::kFindFileDigest, pg::Params().Id(id)));
  const int parts_hashed = hashed.empty() ? 0 : static_cast<int>(hashed.Int(0, 0));
  if (parts_hashed == number - 1) {
    Digest digest;
    if (!hashed.empty()) {
      before = std::string(hashed.Bytes(0, 1));
      CRM_CO_TRY(digest, Digest::Resume(*before));
    }
    CRM_CO_TRY(co_await app_.offload([&] { digest.Add(data); }));
    after = digest.State();
  }

  const auto key = pg::Params().Id(call.tenant()).Id(id);
  pg::Batch batch(call);
  batch.AddGuarded(sql::kHoldUpload, pg::Params(key).Int(v1::FILE_STATUS_UPLOADING), file.id());
  AddChunks(batch, id, (number - 1) * kFileChunksPerPart, data);
  batch.Add(sql::kPutFilePart, pg::Params(key).Int(number));
  batch.Add(sql::kResetFileDigest, pg::Params(key).Int(number));
  if (after && number == 1) batch.Add(sql::kPutFileDigest, pg::Params(key).Bytes(*after));
  if (after && number > 1) {
    batch.Add(sql::kAdvanceFileDigest, pg::Params(key).Int(number).Bytes(*after).Bytes(*before));
  }
  CRM_CO_TRY(co_await db_.Write(call, std::move(batch)));
  CRM_CO_TRY(const auto missing, co_await files_.MissingParts(call, file));
  v1::PutFilePartResponse response;
  for (const int part : missing) response.add_missing_parts(part);
  co_return response;
}

}  // namespace crm::messaging
