// What a record holds beyond what everybody who hears of it may know.
#pragma once

#include <google/protobuf/message.h>

namespace crm {

// Clears, at any depth, every field marked `personal` (unless `personal`: the reader has that right) and what cards show
// beside a record (`projected`): an event tells of the record, and its reader may not have the right to its neighbours.
// For whatever leaves towards a browser or another system: live events, webhooks.
void ClearHidden(google::protobuf::Message& message, bool personal);

}  // namespace crm
