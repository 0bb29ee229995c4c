#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "crm/messaging/v1/file_events.pb.h"
#include "services/messaging/files.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"

namespace crm::messaging {

namespace {

// Missing parts that an error names.
constexpr size_t kMissingNamed = 20;

}  // namespace

// Ends an upload: hashes what was not hashed on the way, looks at the beginning for the type, and makes the file usable.
Async<v1::File> FileService::CompleteFile(Call& call, const v1::CompleteFileRequest& request) {
  CRM_CO_TRY(v1::File before, co_await db_.Get(call, files_.table(), request.id(), type::v1::ACTION_CREATE));
  if (before.status() == v1::FILE_STATUS_READY) {
    if (request.sha256().empty() || request.sha256() == before.sha256()) {
      co_return pg::Shown(call, files_.table(), std::move(before));
    }
    co_return StateError("the file is complete already, with other content");
  }
  if (FromTimestamp(before.expire_time()) <= call.now())
    co_return StateError("the upload has taken too long; begin anew");
  CRM_CO_TRY(auto missing, co_await files_.MissingParts(call, before));
  if (!missing.empty()) {
    const size_t count = missing.size();
    missing.resize(std::min(count, kMissingNamed));
    co_return StateError(absl::StrCat(count, " parts have not come yet: ", absl::StrJoin(missing, ", "),
                                      count > kMissingNamed ? " ..." : ""),
                         {{"missing_count", absl::StrCat(count)}});
  }

  const Uuid id = UuidOf(before.id());
  const int parts = PartsOf(before);
  Digest digest;
  int done = 0;
  CRM_CO_TRY(pg::Rows hashed, co_await db_.Read(call, sql::kFindFileDigest, pg::Params().Id(id)));
  if (!hashed.empty()) {
    done = static_cast<int>(hashed.Int(0, 0));
    CRM_CO_TRY(digest, Digest::Resume(hashed.Bytes(0, 1)));
  }
  // What came out of order is read once more. Each part's progress is kept: a call that runs out of time is repeated and
  // goes on.
  for (; done < parts; ++done) {
    const std::string previous = digest.State();
    CRM_CO_TRY(std::string part,
               co_await files_.Read(call, before, int64_t{done} * kFilePartBytes, kFileChunksPerPart));
    CRM_CO_TRY(co_await app_.offload([&] { digest.Add(part); }));
    pg::Batch step(call);
    const auto key = pg::Params().Id(call.tenant()).Id(id);
    if (done == 0) step.Add(sql::kPutFileDigest, pg::Params(key).Bytes(digest.State()));
    if (done > 0) {
      step.Add(sql::kAdvanceFileDigest, pg::Params(key).Int(done + 1).Bytes(digest.State()).Bytes(previous));
    }
    CRM_CO_TRY(co_await db_.Write(call, std::move(step)));
  }
  const std::string sha256 = digest.Hex();
  for (const std::string* wanted : {&request.sha256(), &before.sha256()}) {
    if (wanted->empty() || *wanted == sha256) continue;
    co_return FieldError("sha256", absl::StrCat("the content that came has another: ", sha256,
                                                "; send the parts again that were broken on the way"));
  }
  CRM_CO_TRY(const std::string beginning, co_await files_.Read(call, before, 0, 1));

  v1::File after = before;
  after.set_status(v1::FILE_STATUS_READY);
  after.set_sha256(sha256);
  after.clear_expire_time();
  CRM_CO_TRY(co_await app_.offload([&] { after.set_content_type(ContentTypeOf(beginning)); }));
  pg::Touch(call, before, after);
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::File> {
    const auto key = pg::Params().Id(call.tenant()).Id(id);
    files_.table().AddUpdate(batch, before, after, type::v1::ACTION_CREATE);
    if (parts > 0) {
      batch.AddGuarded(sql::kCheckFileDigest, pg::Params(key).Int(parts).Bytes(digest.State()), before.id());
    }
    batch.Add(sql::kDeleteFileParts, key);
    batch.Add(sql::kDeleteFileDigest, key);
    v1::FileCreated event;
    *event.mutable_file() = after;
    batch.Emit(pg::EventOf(files_.table(), "created", after), event);
    return after;
  }));
  co_return pg::Shown(call, files_.table(), std::move(stored));
}

}  // namespace crm::messaging
