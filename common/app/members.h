// Who belongs to which team: a small projection of identity's events that every service with owned records keeps in its
// table `member`, so that a record's team_id follows its owner_id without a call.
#pragma once

#include <google/protobuf/message.h>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/events/consumer.h"
#include "common/pg/db.h"

namespace crm::app {

// Keeps the projection: to be called where the service hears "identity".
void HearMembers(events::Consumer& consumer);

// Sets team_id of a record that has an owner_id but no team_id, if the owner is not the caller (pg::StampNew knows the
// caller's) and is a user we have heard of. Otherwise the team stays empty.
Async<> FillTeam(pg::Db& db, const Call& call, google::protobuf::Message& record);

// Sets the team anew if an update changed the owner and left the team as it was.
Async<> FillTeam(pg::Db& db, const Call& call, const google::protobuf::Message& before,
                 google::protobuf::Message& after);

}  // namespace crm::app
