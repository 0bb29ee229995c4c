// Content as it is (crm/type/v1/content.proto): rpcs that answer it answer over HTTP with its bytes, in ranges (RFC 9110,
// 14), and what they are called with may be bytes, too.
#pragma once

#include <string>
#include <string_view>

#include "common/base/async.h"
#include "common/rpc/client.h"
#include "services/gateway/api.h"
#include "services/gateway/http.h"

namespace crm::gateway {

// Whether an rpc answers raw content.
bool AnswersRaw(const RpcRoute& route);
// Whether a message is raw content.
bool IsRaw(const google::protobuf::Descriptor* type);

// Makes the call and answers as soon as its first message is there; the rest follows while it is written. An error before
// that is the call's; OUT_OF_RANGE is HTTP's 416.
Async<HttpResponse> ServeRaw(const RpcRoute& route, const HttpRequest& request, rpc::Client& peer, rpc::RawCall raw);

// The header that tells a browser what to call a file (RFC 6266, 8187).
std::string ContentDisposition(bool inline_, std::string_view file_name);

}  // namespace crm::gateway
