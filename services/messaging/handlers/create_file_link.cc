#include <absl/strings/str_cat.h>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "services/messaging/file_link.h"
#include "services/messaging/files.h"

namespace crm::messaging {

// Makes a link that opens the file for a while, for whoever has it.
Async<v1::FileLink> FileService::CreateFileLink(Call& call, const v1::CreateFileLinkRequest& request) {
  CRM_CO_TRY(const v1::File file, co_await files_.Readable(call, request.id()));
  if (file.status() != v1::FILE_STATUS_READY)
    co_return StateError("the file is still being uploaded; complete it first");
  const auto lifetime = request.lifetime_seconds() > 0 ? absl::Seconds(request.lifetime_seconds()) : kFileLinkTime;
  const absl::Time expire = call.now() + lifetime;
  v1::FileLink link;
  link.set_path(absl::StrCat("/v1/public/", call.principal.tenant_id(), "/files/", file.id(),
                             "/content?signature=", SignFileLink(call.tenant(), file.id(), expire, request.inline_())));
  *link.mutable_expire_time() = ToTimestamp(expire);
  co_return link;
}

}  // namespace crm::messaging
