#include "services/messaging/files.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "crm/messaging/v1/file_events.pb.h"
#include "crm/type/v1/ref_service.pb.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"

namespace crm::messaging {
namespace stored {

// Rows of one answer of the database while a file is sent: 1 MiB.
constexpr int kRowsAtOnce = 4;
// How often what is due is thrown away, and how many files at a time.
constexpr std::chrono::minutes kPurgeEvery{10};
constexpr int kPurgeFiles = 100;
constexpr absl::Duration kPurgeMargin = absl::Hours(1);

// The service itself in the call's tenant: what is not narrowed to a caller.
Call AsService(const Call& call) {
  Call own = call;
  own.principal = Principal{};
  own.principal.kind = Principal::Kind::kService;
  own.principal.user_id = "service_messaging";
  own.principal.tenant = call.tenant();
  own.token.clear();
  return own;
}

// A file's name as a letter may carry it and a header may hold it.
std::string CleanName(const std::string& name) {
  std::string clean;
  for (const char c : name) {
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f && c != '/' && c != '\\') clean += c;
  }
  if (!IsUtf8(clean)) clean.clear();
  clean = Truncated(clean, 200);
  return clean.empty() ? "attachment" : clean;
}

}  // namespace stored

void AddChunks(pg::Batch& batch, const Uuid& file, int first, absl::string_view bytes) {
  for (int i = 0; !bytes.empty(); ++i) {
    const absl::string_view chunk = bytes.substr(0, kFileChunkBytes);
    batch.Add(sql::kPutFileChunk, pg::Params().Id(batch.call().tenant()).Id(file).Int(first + i).Bytes(chunk));
    bytes.remove_prefix(chunk.size());
  }
}

Async<> Files::CheckRecord(const Call& call, std::string record_id) {
  CRM_CO_TRY(const ParsedId id, ParseId(record_id));
  if (call.principal.kind == Principal::Kind::kService) co_return absl::OkStatus();
  if (id.prefix == "message") {
    CRM_CO_TRY(co_await app_.db.Get(call, app_.tables.messages, record_id));
    co_return absl::OkStatus();
  }
  if (id.prefix == "conversation") {
    CRM_CO_TRY(co_await app_.db.Get(call, app_.tables.conversations, record_id));
    co_return absl::OkStatus();
  }
  const auto peer = peers_.find(id.prefix);
  if (peer == peers_.end()) co_return NotFound(record_id);
  type::v1::BatchGetRefsRequest request;
  request.add_ids(record_id);
  CRM_CO_TRY(auto answer, co_await peer->second->Unary<type::v1::BatchGetRefsResponse>(
                              call, "crm.type.v1.RefService.BatchGetRefs", request));
  for (const auto& ref : answer.refs()) {
    if (ref.id() == record_id) co_return absl::OkStatus();
  }
  co_return NotFound(record_id);
}

Async<v1::File> Files::Readable(const Call& call, std::string id) {
  auto own = co_await app_.db.Get(call, table_, id);
  if (!absl::IsNotFound(own.status())) co_return own;
  const Call service = stored::AsService(call);
  auto file = co_await app_.db.Get(service, table_, id);
  if (!file.ok() || file->record_id().empty()) co_return NotFound(id);
  if (!(co_await CheckRecord(call, file->record_id())).ok()) co_return NotFound(id);
  co_return file;
}

Async<std::vector<int>> Files::MissingParts(const Call& call, const v1::File& file) {
  std::vector<int> missing;
  if (file.status() != v1::FILE_STATUS_UPLOADING) co_return missing;
  CRM_CO_TRY(pg::Rows rows, co_await app_.db.Read(call, sql::kListFileParts, pg::Params().Id(UuidOf(file.id()))));
  int number = 1;
  for (int i = 0; i < rows.size(); ++i, ++number) {
    for (; number < rows.Int(i, 0); ++number) missing.push_back(number);
  }
  for (; number <= PartsOf(file); ++number) missing.push_back(number);
  co_return missing;
}

Async<std::string> Files::Read(const Call& call, const v1::File& file, int64_t first, int rows) {
  const int64_t row = first / kFileChunkBytes;
  CRM_CO_TRY(pg::Rows found,
             co_await app_.db.Read(call, sql::kReadFileChunks, pg::Params().Id(UuidOf(file.id())).Int(row).Int(rows),
                                   pg::Work::kList));
  std::string bytes;
  for (int i = 0; i < found.size(); ++i) {
    if (found.Int(i, 0) != row + i) co_return absl::DataLossError(absl::StrCat("a part of ", file.id(), " is missing"));
    const absl::string_view chunk = found.Bytes(i, 1);
    bytes.append(chunk.data(), chunk.size());
  }
  const size_t skip = static_cast<size_t>(first - row * kFileChunkBytes);
  if (bytes.size() < skip) co_return absl::DataLossError(absl::StrCat("a part of ", file.id(), " is missing"));
  bytes.erase(0, skip);
  co_return bytes;
}

Async<> Files::Send(const Call& call, const v1::File& file, std::string range, bool inline_,
                    rpc::Stream<type::v1::Content>& stream) {
  if (file.status() != v1::FILE_STATUS_READY) {
    co_return StateError("the file is still being uploaded; complete it first");
  }
  CRM_CO_TRY(const ByteRange bytes, ParseRange(range, file.size_bytes()));
  const Call service = stored::AsService(call);
  type::v1::Content content;
  content.set_content_type(file.content_type());
  content.set_file_name(file.name());
  content.set_inline_(inline_ && MayShowInline(file.content_type()));
  content.set_etag(file.sha256());
  content.set_size_bytes(static_cast<uint32_t>(bytes.last - bytes.first + 1));
  if (bytes.partial) {
    content.set_content_range(absl::StrCat("bytes ", bytes.first, "-", bytes.last, "/", file.size_bytes()));
  }
  int64_t at = bytes.first;
  do {
    if (at <= bytes.last) {
      CRM_CO_TRY(std::string some, co_await Read(service, file, at, stored::kRowsAtOnce));
      if (some.empty()) co_return absl::DataLossError(absl::StrCat("a part of ", file.id(), " is missing"));
      const auto left = static_cast<size_t>(bytes.last + 1 - at);
      if (some.size() > left) some.resize(left);
      at += static_cast<int64_t>(some.size());
      content.set_data(std::move(some));
    }
    CRM_CO_TRY(co_await stream.Send(content));
    content.Clear();
  } while (at <= bytes.last);
  co_return absl::OkStatus();
}

Async<> Files::CheckUsage(const Call& call, int64_t more) {
  CRM_CO_TRY(pg::Rows rows, co_await app_.db.Read(call, sql::kFindFileUsage, pg::Params()));
  const int64_t used = rows.empty() ? 0 : rows.Int(0, 0);
  if (used + more <= kFileTenantBytesMax) co_return absl::OkStatus();
  co_return Error(absl::StatusCode::kResourceExhausted, type::v1::ERROR_REASON_RATE_LIMITED,
                  absl::StrCat("the company's files would take more than ", kFileTenantBytesMax >> 30,
                               " GiB; delete what is not needed any more"),
                  {{"used_bytes", absl::StrCat(used)}, {"limit_bytes", absl::StrCat(kFileTenantBytesMax)}});
}

Async<OutgoingFile> Files::Load(const Call& call, std::string file_id) {
  CRM_CO_TRY(v1::File file, co_await Readable(call, file_id));
  if (file.status() != v1::FILE_STATUS_READY) co_return NotFound(file_id);
  if (static_cast<size_t>(file.size_bytes()) > app_.settings.letter_bytes_max) {
    co_return FieldError("attachment_file_ids", absl::StrCat(file_id, " is too large for a letter"));
  }
  OutgoingFile out{file.name(), file.content_type(), ""};
  const Call service = stored::AsService(call);
  while (out.content.size() < static_cast<size_t>(file.size_bytes())) {
    CRM_CO_TRY(std::string some,
               co_await Read(service, file, static_cast<int64_t>(out.content.size()), 4 * stored::kRowsAtOnce));
    if (some.empty()) co_return absl::DataLossError(absl::StrCat("a part of ", file_id, " is missing"));
    out.content += some;
  }
  co_return out;
}

Async<std::string> Files::Keep(const Call& call, OutgoingFile file, std::string source) {
  const Call service = stored::AsService(call);
  v1::File record;
  record.set_id(DerivedId("file", source, "file"));
  std::vector<std::string> ids(1, record.id());
  CRM_CO_TRY(auto known, co_await app_.db.BatchGet(service, table_, ids));
  if (!known.empty()) co_return record.id();
  CRM_CO_TRY(co_await CheckUsage(service, static_cast<int64_t>(file.content.size())));
  record.set_name(stored::CleanName(file.name));
  record.set_size_bytes(static_cast<int32_t>(file.content.size()));
  record.set_status(v1::FILE_STATUS_READY);
  record.set_part_size_bytes(kFilePartBytes);
  record.set_record_id(source.substr(0, source.find('/')));
  CRM_CO_TRY(co_await app_.offload([&] {
    Digest digest;
    digest.Add(file.content);
    record.set_sha256(digest.Hex());
    record.set_content_type(ContentTypeOf(absl::string_view(file.content).substr(0, kFileChunkBytes)));
  }));
  pg::StampNew(service, table_, record);
  pg::Batch batch(service);
  batch.Insert(table_, record);
  AddChunks(batch, UuidOf(record.id()), 0, file.content);
  batch.Add(sql::kAddFileUsage, pg::Params().Id(service.tenant()).Int(record.size_bytes()));
  v1::FileCreated event;
  *event.mutable_file() = record;
  batch.Emit(pg::EventOf(table_, "created", record), event);
  auto written = co_await app_.db.Write(service, std::move(batch));
  // Kept twice at once: the other one's is the same.
  if (!written.ok() && !absl::IsAlreadyExists(written.status())) co_return written.status();
  co_return record.id();
}

// ---- the purge ----

Async<int> PurgeFilesOnce(Files& files, const Call& call, int files_max) {
  Messaging& app = files.app();
  // An upload that is being completed at this moment is let be.
  const absl::Time expired = call.now() - stored::kPurgeMargin, deleted = call.now() - kFileKeptDeleted;
  CRM_CO_TRY(pg::Rows due,
             co_await app.worker_db.Read(call, sql::kFindFilesToPurge,
                                         pg::Params().Time(expired).Time(deleted).Int(files_max), pg::Work::kList));
  for (int i = 0; i < due.size(); ++i) {
    const Call own = app.own_call(due.Id(i, 0));
    const auto key = pg::Params().Id(due.Id(i, 0)).Id(due.Id(i, 1));
    // The bytes first, some rows at a time; the file's own row last, with what it took of the tenant's share.
    for (;;) {
      pg::Batch some(own);
      some.Add(sql::kDeleteFileChunks, key);
      CRM_CO_TRY(auto rows, co_await app.db.Write(own, std::move(some)));
      if (rows[0].affected() == 0) break;
    }
    pg::Batch rest(own);
    rest.Add(sql::kDeleteFileParts, key);
    rest.Add(sql::kDeleteFileDigest, key);
    rest.Add(sql::kDeleteFile, pg::Params(key).Time(expired).Time(deleted));
    CRM_CO_TRY(co_await app.db.Write(own, std::move(rest)));
  }
  co_return due.size();
}

Async<> PurgeFiles(Files& files, Call call) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (;;) {
    timer.expires_after(stored::kPurgeEvery);
    co_await timer.async_wait(asio::use_awaitable);
    call.start = Now();
    for (;;) {
      auto purged = co_await PurgeFilesOnce(files, call, stored::kPurgeFiles);
      // What fails now is done at the next turn.
      if (!purged.ok() || *purged < stored::kPurgeFiles) break;
    }
  }
}

}  // namespace crm::messaging
