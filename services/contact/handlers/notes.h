// What the handlers of notes have in common.
#pragma once

#include <string>

#include "common/pg/db.h"
#include "common/pg/table.h"
#include "crm/contact/v1/note.pb.h"

namespace crm::contact {

// A note on a card that the caller may read; with an action beyond reading, one that they may do that with:
// own, team and all go by the note's author.
Async<v1::Note> LoadNote(pg::Db& db, const Call& call, const pg::Table<v1::Note>& notes, std::string id,
                         type::v1::Action action = type::v1::ACTION_READ, bool show_deleted = false);

// The event of a note, for those who may read its card and notes, as for the card's owner.
Async<pg::NewEvent> EventOfNote(pg::Db& db, const Call& call, const pg::Table<v1::Note>& notes, std::string what,
                                v1::Note note);

// As its reader may see it.
v1::Note ShownNote(const Call& call, const pg::Table<v1::Note>& notes, v1::Note note);

}  // namespace crm::contact
