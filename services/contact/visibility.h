// Who sees what hangs on a card: entries of the timeline and notes. The rule (DECISIONS.md): an entry counts among the
// records of the owner of its card, which is its deal, else its lead, contact or company. It is shown to whom the right
// to read such cards and the right to read its own kind both reach that owner.
#pragma once

#include <string>

#include "common/base/call.h"
#include "common/pg/table.h"

namespace crm::contact {

// A condition over the row `t` with deal_id, lead_id, contact_id and company_id. `object` says of which kind the row
// is: "t.object", or a quoted name.
pg::Fragment Visible(const Call& call, const std::string& object);

// Whether the caller may read this record as a card: of another's deal, or one that does not exist, NOT_FOUND.
Async<> CheckCard(pg::Db& db, const Call& call, std::string id);

}  // namespace crm::contact
