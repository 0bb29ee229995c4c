// Stored files: who may read them, and their bytes in rows of 256 KiB.
#pragma once

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/pg/db.h"
#include "common/pg/table.h"
#include "common/rpc/client.h"
#include "common/rpc/service.h"
#include "crm/messaging/v1/file.pb.h"
#include "services/messaging/service.h"

namespace crm::messaging {

// One part is one request: below the 4 MiB that a message may have.
inline constexpr int kFilePartBytes = 2 << 20;
// One row: small enough to be read and sent one by one, large enough that a row's overhead does not count.
inline constexpr int kFileChunkBytes = 256 << 10;
inline constexpr int kFileChunksPerPart = kFilePartBytes / kFileChunkBytes;
// An upload that has not ended by then is thrown away.
inline constexpr absl::Duration kFileUploadTime = absl::Hours(24);
// A deleted file's bytes are kept for a moment of regret.
inline constexpr absl::Duration kFileKeptDeleted = absl::Hours(24);
// What all files of a tenant may take: a disk that one tenant fills is everybody's.
inline constexpr int64_t kFileTenantBytesMax = int64_t{50} << 30;

// How many parts a file of this size has.
inline int PartsOf(const v1::File& file) { return (file.size_bytes() + kFilePartBytes - 1) / kFilePartBytes; }
// How large part `number` (from 1) is.
int PartBytes(const v1::File& file, int number);

// Which bytes of a content of `size` a Range header (RFC 9110, 14.2) asks for.
struct ByteRange {
  int64_t first = 0;
  int64_t last = -1;  // inclusive; below first for an empty content
  bool partial = false;
};
// One range at most; several, and units that are not bytes, mean the whole, as the standard allows. OUT_OF_RANGE if it
// begins behind the end.
absl::StatusOr<ByteRange> ParseRange(absl::string_view header, int64_t size);

// The media type that the beginning of a content shows (libmagic); "application/octet-stream" when nothing is known.
std::string ContentTypeOf(absl::string_view beginning);
// Whether a browser may show it in place without running anything of it.
bool MayShowInline(absl::string_view content_type);

// A SHA-256 (FIPS 180-4) that can be put aside between two pieces.
class Digest {
 public:
  Digest();
  static absl::StatusOr<Digest> Resume(absl::string_view state);
  void Add(absl::string_view bytes);
  std::string State() const;
  std::string Hex() const;  // of all that was added; more can be added

 private:
  std::string context_;
};

class Files final : public FileStore {
 public:
  // `peers`: who answers for records of other services, by id prefix ("contact"). All outlive it.
  Files(Messaging& app, std::map<std::string, rpc::Client*> peers) : app_(app), peers_(std::move(peers)) {}

  // FileStore, for letters.
  Async<OutgoingFile> Load(const Call& call, std::string file_id) override;
  Async<std::string> Keep(const Call& call, OutgoingFile file, std::string source) override;

  // A file that the caller may read: within its own scope, or because of the record that it is attached to.
  Async<v1::File> Readable(const Call& call, std::string id);
  // NOT_FOUND unless the caller may read the record.
  Async<> CheckRecord(const Call& call, std::string record_id);
  // The parts that have not come, in order.
  Async<std::vector<int>> MissingParts(const Call& call, const v1::File& file);
  // Some of the bytes: rows from the one with `first` on, at most `rows`.
  Async<std::string> Read(const Call& call, const v1::File& file, int64_t first, int rows);
  // Sends a range of a file as its reader may see it.
  Async<> Send(const Call& call, const v1::File& file, std::string range, bool inline_,
               rpc::Stream<type::v1::Content>& stream);
  // RESOURCE_EXHAUSTED if the tenant's files would take too much.
  Async<> CheckUsage(const Call& call, int64_t more);

  Messaging& app() { return app_; }
  const pg::Table<v1::File>& table() const { return table_; }

 private:
  Messaging& app_;
  const std::map<std::string, rpc::Client*> peers_;
  const pg::Table<v1::File> table_{"messaging"};
};

// Rows of chunks, of the part or file that begins with row `first`.
void AddChunks(pg::Batch& batch, const Uuid& file, int first, absl::string_view bytes);

class FileService final : public rpc::Service {
 public:
  explicit FileService(Files& files)
      : rpc::Service("crm.messaging.v1.FileService"), files_(files), app_(files.app()), db_(files.app().db) {}

  CRM_RPC(CreateFile, v1::CreateFileRequest, v1::File)
  CRM_RPC(GetFile, v1::GetFileRequest, v1::File)
  CRM_RPC(ListFiles, v1::ListFilesRequest, v1::ListFilesResponse)
  CRM_RPC(PutFilePart, v1::PutFilePartRequest, v1::PutFilePartResponse)
  CRM_RPC(CompleteFile, v1::CompleteFileRequest, v1::File)
  CRM_RPC(DeleteFile, v1::DeleteFileRequest, v1::File)
  CRM_RPC_STREAM(DownloadFile, v1::DownloadFileRequest, type::v1::Content)
  CRM_RPC(CreateFileLink, v1::CreateFileLinkRequest, v1::FileLink)
  CRM_RPC_STREAM(OpenFileLink, v1::OpenFileLinkRequest, type::v1::Content)

 private:
  Files& files_;
  Messaging& app_;
  pg::Db& db_;
};

// Throws away uploads that have not ended and files that were deleted, until it is cancelled.
Async<> PurgeFiles(Files& files, Call call);
// One round of it: what is due now, at most so many files.
Async<int> PurgeFilesOnce(Files& files, const Call& call, int files_max);

}  // namespace crm::messaging
