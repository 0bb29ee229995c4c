// The forms of text that buf.validate names: e-mail addresses, host names, URIs ...
#pragma once

#include <absl/strings/string_view.h>

#include "buf/validate/validate.pb.h"

namespace crm::rpc::validation {

struct Form {
  bool (*holds)(absl::string_view);
  const char* description;
};

// Null if this build does not know the form: then the rule is refused at start.
const Form* FormOf(buf::validate::StringRules::WellKnownCase which);

}  // namespace crm::rpc::validation
