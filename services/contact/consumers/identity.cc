#include "common/app/members.h"
#include "services/contact/consumers/consumers.h"

namespace crm::contact {

void HearIdentity(events::Consumer& consumer) { app::HearMembers(consumer); }

}  // namespace crm::contact
