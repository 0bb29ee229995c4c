#include <absl/strings/str_cat.h>

#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/messaging/files.h"

namespace crm::messaging {

// Lists the files that are the caller's to see, or all of a record that is.
Async<v1::ListFilesResponse> FileService::ListFiles(Call& call, const v1::ListFilesRequest& request) {
  pg::ListArgs args = pg::ListArgsOf(request);
  if (request.record_id().empty()) {
    co_return co_await pg::ListShown(db_, call, files_.table(), request, &v1::ListFilesResponse::mutable_files,
                                     std::move(args));
  }
  CRM_CO_TRY(co_await files_.CheckRecord(call, request.record_id()));
  CRM_CO_TRY(const ParsedId id, ParseId(request.record_id()));
  const std::string of = absl::StrCat("record_id = \"", TypeId(id.prefix, id.uuid), "\"");
  args.filter = args.filter.empty() ? of : absl::StrCat(of, " AND (", args.filter, ")");
  // Who may read the record may read its files, whosever they are.
  Call own = call;
  own.principal.kind = Principal::Kind::kService;
  CRM_CO_TRY(auto page, co_await db_.List(own, files_.table(), std::move(args)));
  v1::ListFilesResponse response;
  for (auto& file : page.items) {
    if (request.view() == type::v1::VIEW_FULL) pg::FillAccess(call, files_.table(), file);
    pg::Mask(call, file);
    *response.add_files() = std::move(file);
  }
  response.set_next_page_token(std::move(page.next_page_token));
  if (page.total_size) response.set_total_size(*page.total_size);
  co_return response;
}

}  // namespace crm::messaging
