#include "services/scheduler/notices.h"

#include <absl/strings/str_cat.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "common/base/id.h"
#include "common/base/status.h"
#include "common/json/json.h"
#include "crm/scheduler/v1/events.pb.h"
#include "services/scheduler/people.h"
#include "services/scheduler/sql.h"

namespace crm::scheduler {

namespace noticing {

constexpr size_t kTitleBytesMax = 300;
constexpr size_t kTextBytesMax = 2000;

// Cut between characters.
std::string Cut(std::string text, size_t max) {
  if (text.size() <= max) return text;
  size_t end = max - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

v1::NotificationPreferences PreferencesOf(absl::string_view choices) {
  v1::NotificationPreferences preferences;
  json::ReadOptions options;
  options.stored = true;
  (void)json::Read(absl::StrCat("{\"choices\":", choices, "}"), preferences, options);  // written by ourselves
  return preferences;
}

}  // namespace noticing

v1::NotificationChoice ChoiceOf(const v1::NotificationPreferences& preferences, v1::NotificationKind kind,
                                bool urgent) {
  v1::NotificationChoice choice;
  choice.set_kind(kind);
  choice.set_screen(true);
  for (const auto& one : preferences.choices()) {
    if (one.kind() == kind) choice = one;
  }
  if (urgent) choice.set_screen(true);
  return choice;
}

Call InboxCall(const Call& call) {
  Call own = call;
  auto rights = std::make_shared<Rights>();
  for (auto action : {type::v1::ACTION_READ, type::v1::ACTION_UPDATE}) {
    rights->Grant("notification", action, type::v1::SCOPE_OWN);
  }
  rights->personal_data = call.principal.rights->personal_data;
  own.principal.rights = std::move(rights);
  return own;
}

Async<std::vector<v1::Notification>> PrepareNotices(App& app, const Call& call, std::vector<Notice> notices) {
  std::vector<v1::Notification> out;
  // Urgent ones reach the head as well.
  const size_t count = notices.size();
  for (size_t i = 0; i < count; ++i) {
    if (!notices[i].urgent || notices[i].kind == v1::NOTIFICATION_KIND_TASK_ESCALATED) continue;
    CRM_CO_TRY(std::vector<Person> heads, co_await HeadsOf(app.db, call, notices[i].recipient_id));
    if (heads.empty()) continue;
    Notice copy = notices[i];
    copy.for_user_id = copy.recipient_id;
    copy.recipient_id = heads[0].id;
    notices.push_back(std::move(copy));
  }
  std::vector<std::string> users;
  std::vector<Uuid> user_ids, ids;
  for (const Notice& notice : notices) {
    auto parsed = ParseId(notice.recipient_id);
    if (!parsed.ok() || parsed->prefix != "user") continue;
    users.push_back(notice.recipient_id);
    user_ids.push_back(parsed->uuid);
  }
  if (users.empty()) co_return out;
  const auto id_of = [&](const Notice& notice) {
    return notice.cause.empty() ? NewId("notification", call.now())
                                : DerivedId("notification", notice.recipient_id, notice.cause);
  };
  std::vector<std::string> names;
  for (const Notice& notice : notices) {
    names.push_back(id_of(notice));
    ids.push_back(UuidOf(names.back()));
  }
  pg::Batch batch(call);
  batch.Add(sql::kFindRecipients, pg::Params().IdArray(user_ids));
  batch.Add(sql::kFindChoices, pg::Params().IdArray(user_ids));
  batch.Add(sql::kFindTold, pg::Params().IdArray(ids));
  batch.Add(sql::kFindSettingsOfTenant);
  CRM_CO_TRY(std::vector<pg::Rows> found, co_await app.db.Read(call, std::move(batch)));
  std::map<Uuid, std::pair<std::string, bool>> people;  // language, active
  for (int i = 0; i < found[0].size(); ++i) {
    people[found[0].Id(i, 0)] = {std::string(found[0].Text(i, 4)), found[0].Bool(i, 5)};
  }
  std::map<Uuid, v1::NotificationPreferences> preferences;
  for (int i = 0; i < found[1].size(); ++i) {
    preferences[found[1].Id(i, 0)] = noticing::PreferencesOf(found[1].Text(i, 1));
  }
  std::set<Uuid> told;
  for (int i = 0; i < found[2].size(); ++i) told.insert(found[2].Id(i, 0));
  const std::string usual = found[3].empty() ? "en" : std::string(found[3].Text(0, 1));

  std::set<std::string> recipients;
  for (size_t i = 0; i < notices.size(); ++i) {
    const Notice& notice = notices[i];
    auto parsed = ParseId(notice.recipient_id);
    if (!parsed.ok() || parsed->prefix != "user" || !recipients.insert(notice.recipient_id).second) continue;
    auto person = people.find(parsed->uuid);
    if (person != people.end() && !person->second.second) continue;  // has left
    if (told.contains(ids[i])) continue;
    const v1::NotificationPreferences& wishes = preferences[parsed->uuid];
    if (!ChoiceOf(wishes, notice.kind, notice.urgent).screen()) continue;
    const std::string language = person == people.end() || person->second.first.empty() ? usual : person->second.first;
    v1::Notification& made = out.emplace_back();
    made.set_id(names[i]);
    made.set_kind(notice.kind);
    made.set_title(noticing::Cut(notice.title.empty() ? Sentence(notice.say, notice.arguments, language) : notice.title,
                                 noticing::kTitleBytesMax));
    made.set_text(noticing::Cut(notice.text, noticing::kTextBytesMax));
    made.set_urgent(notice.urgent);
    made.set_record_id(notice.record_id);
    made.set_owner_id(notice.recipient_id);
    made.set_actor_id(call.principal.user_id);
    made.set_for_user_id(notice.for_user_id);
    pg::StampNew(call, app.tables.notifications, made);
    made.clear_team_id();  // an inbox is one person's: no team scope reaches it
  }
  co_return out;
}

void AddNotices(pg::Batch& batch, const App& app, const std::vector<v1::Notification>& notifications) {
  for (const v1::Notification& made : notifications) {
    batch.Insert(app.tables.notifications, made);
    v1::NotificationCreated event;
    *event.mutable_notification() = made;
    batch.Emit(pg::EventOf(app.tables.notifications, "created", made), event);
  }
}

}  // namespace crm::scheduler
