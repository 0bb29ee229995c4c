// What handlers do with a record beside reading and storing it: patches, differences, rights and masks.
#include <absl/container/flat_hash_map.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <google/api/field_behavior.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <set>

#include "common/base/error.h"
#include "common/base/text.h"
#include "common/pg/table_impl.h"

namespace crm::pg {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

namespace record {
namespace {

bool Behaves(const FieldDescriptor* field, google::api::FieldBehavior behavior) {
  const auto& options = field->options();
  for (int i = 0; i < options.ExtensionSize(google::api::field_behavior); ++i) {
    if (options.GetExtension(google::api::field_behavior, i) == behavior) return true;
  }
  return false;
}

bool SameField(const Message& a, const Message& b, const FieldDescriptor* field) {
  google::protobuf::util::MessageDifferencer differencer;
  return differencer.CompareWithFields(a, b, {field}, {field});
}

// The entry of a map field with this key; null if there is none.
Message* EntryOf(Message& message, const FieldDescriptor* map, const std::string& key, int* index) {
  const Reflection* r = message.GetReflection();
  const auto* key_field = map->message_type()->map_key();
  for (int i = 0; i < r->FieldSize(message, map); ++i) {
    Message* entry = r->MutableRepeatedMessage(&message, map, i);
    if (entry->GetReflection()->GetString(*entry, key_field) == key) {
      *index = i;
      return entry;
    }
  }
  return nullptr;
}

// The map whose keys a path below this field names: the field itself, or the members of a Struct.
const FieldDescriptor* KeysOf(const FieldDescriptor* field) {
  if (field->is_map()) {
    return field->message_type()->map_key()->cpp_type() == FieldDescriptor::CPPTYPE_STRING ? field : nullptr;
  }
  if (!field->is_repeated() && field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
      field->message_type() == google::protobuf::Struct::descriptor()) {
    return field->message_type()->FindFieldByName("fields");
  }
  return nullptr;
}

absl::Status PutKey(Message& from, Message& to, const FieldDescriptor* map, const std::string& key) {
  int at = 0;
  Message* source = EntryOf(from, map, key, &at);
  Message* target = EntryOf(to, map, key, &at);
  const Reflection* r = to.GetReflection();
  if (source == nullptr) {
    if (target != nullptr) {
      r->SwapElements(&to, map, at, r->FieldSize(to, map) - 1);
      r->RemoveLast(&to, map);
    }
    return absl::OkStatus();
  }
  if (target == nullptr) target = r->AddMessage(&to, map);
  target->CopyFrom(*source);
  return absl::OkStatus();
}

absl::Status Unknown(const std::string& path) {
  auto status =
      Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_FIELD_UNKNOWN,
            absl::StrCat("update_mask names ", path, ", which is no field of this record."), {{"field", path}});
  AddViolation(status, {path, "is no field of this record"});
  return status;
}

// Copies what one path of a mask names. `from` is a scratch copy of the patch and may be emptied.
absl::Status PutPath(const Call& call, const Message& before, Message& from, Message& to, const std::string& path) {
  Message* source = &from;
  Message* target = &to;
  const Message* old = &before;
  const std::vector<std::string> names = absl::StrSplit(path, '.');
  for (size_t i = 0; i < names.size(); ++i) {
    const FieldDescriptor* field = source->GetDescriptor()->FindFieldByName(names[i]);
    if (field == nullptr) return Unknown(path);
    if (i == 0 && field->name() == "etag") return absl::OkStatus();  // a guard, not a value: checked by PatchInto
    if (IsComputed(field)) return absl::OkStatus();
    const bool same = i + 1 == names.size() && SameField(*source, *old, field);
    if (Behaves(field, google::api::OUTPUT_ONLY) || IsKept(field) || (i == 0 && field->name() == "id")) {
      // A client that sends back the record that it has read changes nothing by it.
      if (same) return absl::OkStatus();
      return FieldError(path, "is set by the server; leave it out of the update");
    }
    if (Behaves(field, google::api::IMMUTABLE)) {
      if (same) return absl::OkStatus();
      return FieldError(path, "cannot change once the record exists; leave it out of the update");
    }
    if (InfoOf(field).personal() && !SeesPersonal(call)) return PersonalDataHidden(path);
    if (i + 1 == names.size()) {
      source->GetReflection()->SwapFields(source, target, {field});
      return absl::OkStatus();
    }
    if (const auto* map = KeysOf(field)) {
      // Custom fields merge by key.
      if (i + 2 != names.size()) return Unknown(path);
      if (map == field) return PutKey(*source, *target, map, names[i + 1]);
      return PutKey(*source->GetReflection()->MutableMessage(source, field),
                    *target->GetReflection()->MutableMessage(target, field), map, names[i + 1]);
    }
    if (field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      return FieldError(path,
                        absl::StrCat("cannot be set apart: name ", field->name(), " in the mask to replace it whole"));
    }
    old = &old->GetReflection()->GetMessage(*old, field);
    source = source->GetReflection()->MutableMessage(source, field);
    target = target->GetReflection()->MutableMessage(target, field);
  }
  return absl::OkStatus();
}

// Collects the top-level fields in which two messages differ.
class TopLevel final : public google::protobuf::util::MessageDifferencer::Reporter {
 public:
  std::set<int> fields;

  void ReportAdded(const Message&, const Message&,
                   const std::vector<google::protobuf::util::MessageDifferencer::SpecificField>& path) override {
    fields.insert(path.front().field->index());
  }
  void ReportDeleted(const Message&, const Message&,
                     const std::vector<google::protobuf::util::MessageDifferencer::SpecificField>& path) override {
    fields.insert(path.front().field->index());
  }
  void ReportModified(const Message&, const Message&,
                      const std::vector<google::protobuf::util::MessageDifferencer::SpecificField>& path) override {
    fields.insert(path.front().field->index());
  }
};

std::string Shortened(absl::string_view text) {
  return text.empty() ? std::string() : absl::StrCat(Truncated(text, 1), "***");
}

void MaskFields(Message& message, const std::string& above, std::set<std::string>& masked) {
  const Reflection* r = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  r->ListFields(message, &fields);
  for (const auto* field : fields) {
    const std::string path = above.empty() ? field->name() : absl::StrCat(above, ".", field->name());
    if (InfoOf(field).personal()) {
      masked.insert(path);
      if (field->type() != FieldDescriptor::TYPE_STRING || field->options().GetExtension(type::v1::field).date()) {
        r->ClearField(&message, field);
      } else if (field->is_repeated()) {
        for (int i = 0; i < r->FieldSize(message, field); ++i) {
          r->SetRepeatedString(&message, field, i, Shortened(r->GetRepeatedString(message, field, i)));
        }
      } else {
        r->SetString(&message, field, Shortened(r->GetString(message, field)));
      }
      continue;
    }
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field->is_map()) continue;
    if (field->is_repeated()) {
      for (int i = 0; i < r->FieldSize(message, field); ++i) {
        MaskFields(*r->MutableRepeatedMessage(&message, field, i), path, masked);
      }
    } else {
      MaskFields(*r->MutableMessage(&message, field), path, masked);
    }
  }
}

// The fields of a record that tell of another kind of record; found once for each type.
const std::vector<const FieldDescriptor*>& FieldsWithNeeds(const Descriptor* d) {
  thread_local absl::flat_hash_map<const Descriptor*, std::vector<const FieldDescriptor*>> kept;
  auto [it, added] = kept.try_emplace(d);
  if (added) {
    for (int i = 0; i < d->field_count(); ++i) {
      if (!InfoOf(d->field(i)).needs().empty()) it->second.push_back(d->field(i));
    }
  }
  return it->second;
}

// Clears what tells of records of a kind that the caller may not read for this record's owner.
void MaskNeeds(const Call& call, Message& record, std::set<std::string>& masked) {
  const Descriptor* d = record.GetDescriptor();
  const Reflection* r = record.GetReflection();
  for (const auto* field : FieldsWithNeeds(d)) {
    if (ReadReaches(call, InfoOf(field).needs(), record)) continue;
    r->ClearField(&record, field);
    masked.insert(field->name());
  }
}

type::v1::RecordAccess* AccessOf(Message& record) {
  const auto* field = record.GetDescriptor()->FindFieldByName("access");
  if (field == nullptr || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
      field->message_type() != type::v1::RecordAccess::descriptor()) {
    return nullptr;
  }
  return static_cast<type::v1::RecordAccess*>(record.GetReflection()->MutableMessage(&record, field));
}

bool HasPersonalBelow(const FieldDescriptor* field, int depth) {
  if (InfoOf(field).personal()) return true;
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || depth == 0) return false;
  const Descriptor* d = field->message_type();
  for (int i = 0; i < d->field_count(); ++i) {
    if (HasPersonalBelow(d->field(i), depth - 1)) return true;
  }
  return false;
}

}  // namespace

bool SeesAll(const Call& call, const Descriptor* d) {
  const auto& fields = FieldsWithNeeds(d);
  return SeesPersonal(call) && std::all_of(fields.begin(), fields.end(), [&](const FieldDescriptor* field) {
           return call.ScopeOf(InfoOf(field).needs(), type::v1::ACTION_READ) == type::v1::SCOPE_ALL;
         });
}

bool HasPersonal(const FieldDescriptor* field) {
  static constexpr int kDepthMax = 8;  // recursive messages end somewhere
  return HasPersonalBelow(field, kDepthMax);
}

}  // namespace record

absl::Status CheckEtag(const Message& record, absl::string_view etag) {
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  if (etag.empty() || etag == "*") return absl::OkStatus();
  const auto current = absl::StrCat(RevisionOf(record));
  if (etag == current) return absl::OkStatus();
  return Error(absl::StatusCode::kAborted, type::v1::ERROR_REASON_ETAG_MISMATCH,
               absl::StrCat("The record has changed since you read it: its etag is \"", current, "\", you sent \"",
                            etag, "\". Read it again and repeat the change."),
               {{"etag", current}, {"sent", std::string(etag)}});
}

absl::Status PatchInto(const Call& call, const Message& before, const Message& patch,
                       const google::protobuf::FieldMask& mask, const std::string& etag, Message& after) {
  CRM_TRY(CheckEtag(before, etag));
  after.CopyFrom(before);
  std::unique_ptr<Message> scratch(patch.New());
  scratch->CopyFrom(patch);
  const bool all = mask.paths().empty() || (mask.paths_size() == 1 && mask.paths(0) == "*");
  const auto* etag_field = patch.GetDescriptor()->FindFieldByName("etag");
  const bool etag_sent = etag_field != nullptr &&
                         (all || std::find(mask.paths().begin(), mask.paths().end(), "etag") != mask.paths().end());
  if (etag_sent) CRM_TRY(CheckEtag(before, record::StringOf(patch, etag_field)));
  if (!all) {
    for (const auto& path : mask.paths()) {
      CRM_TRY(record::PutPath(call, before, *scratch, after, path));
    }
  } else {
    const Descriptor* d = before.GetDescriptor();
    std::vector<const FieldDescriptor*> fields;
    for (int i = 0; i < d->field_count(); ++i) {
      const FieldDescriptor* field = d->field(i);
      if (record::IsComputed(field) || record::IsKept(field) || field->name() == "id" ||
          record::Behaves(field, google::api::OUTPUT_ONLY)) {
        continue;
      }
      if (record::InfoOf(field).personal() && !record::SeesPersonal(call)) continue;
      if (record::Behaves(field, google::api::IMMUTABLE)) {
        std::unique_ptr<Message> none(patch.New());
        if (record::SameField(patch, before, field) || record::SameField(patch, *none, field)) continue;
        return FieldError(field->name(), "cannot change once the record exists; leave it out of the update");
      }
      // Of a oneof, what the patch has not set must not clear what it has.
      if (field->real_containing_oneof() != nullptr && !patch.GetReflection()->HasField(patch, field)) continue;
      fields.push_back(field);
    }
    scratch->GetReflection()->SwapFields(scratch.get(), &after, fields);
  }
  Touch(call, before, after);
  return absl::OkStatus();
}

std::vector<std::string> ChangedFields(const Message& before, const Message& after) {
  google::protobuf::util::MessageDifferencer differencer;
  record::TopLevel top;
  differencer.ReportDifferencesTo(&top);
  differencer.Compare(before, after);
  std::vector<std::string> names;
  for (const int index : top.fields) {
    const auto* field = before.GetDescriptor()->field(index);
    if (record::IsComputed(field) || record::InfoOf(field).projected()) continue;
    // delete_time is the layer's too, but that a record was deleted or restored is a change of it.
    if (record::IsKept(field) && field->name() != "delete_time") continue;
    names.push_back(field->name());
  }
  return names;
}

NewEvent EventOf(const RecordTable& table, absl::string_view what, const Message& record) {
  const auto& known = table.impl().known;
  NewEvent event;
  event.type = absl::StrCat(table.prefix(), ".", what);
  event.record_id = record::StringOf(record, known.id);
  event.revision = RevisionOf(record);
  event.owner_id = record::StringOf(record, known.owner_id);
  event.team_id = record::StringOf(record, known.team_id);
  return event;
}

bool MayDo(const Call& call, const RecordTable& table, const Message& record, type::v1::Action action) {
  if (!table.owned() || action == type::v1::ACTION_UNSPECIFIED) return true;
  const auto scope = call.ScopeOf(table.prefix(), action);
  if (scope == type::v1::SCOPE_ALL) return true;
  if (scope == type::v1::SCOPE_UNSPECIFIED) return false;
  const auto& known = table.impl().known;
  const auto owner = record::StringOf(record, known.owner_id);
  if (call.principal.kind == Principal::Kind::kUser && !owner.empty() && owner == call.principal.user_id) return true;
  if (scope != type::v1::SCOPE_TEAM) return false;
  auto team = ParseId(record::StringOf(record, known.team_id));
  const auto& teams = call.principal.teams;
  return team.ok() && std::find(teams.begin(), teams.end(), team->uuid) != teams.end();
}

absl::Status CheckCreate(const Call& call, const RecordTable& table, const Message& record) {
  if (MayDo(call, table, record, type::v1::ACTION_CREATE)) return absl::OkStatus();
  return record::RightMissing(table.prefix(), type::v1::ACTION_CREATE);
}

bool ReadReaches(const Call& call, const std::string& object, const Message& record) {
  const auto scope = call.ScopeOf(object, type::v1::ACTION_READ);
  if (scope == type::v1::SCOPE_ALL) return true;
  if (scope == type::v1::SCOPE_UNSPECIFIED) return false;
  const auto text = [&](const char* name) {
    const auto* of = record.GetDescriptor()->FindFieldByName(name);
    return of == nullptr ? std::string() : record::StringOf(record, of);
  };
  const std::string owner = text("owner_id");
  if (!owner.empty() && owner == call.principal.user_id) return true;
  if (scope != type::v1::SCOPE_TEAM) return false;
  const auto team = ParseId(text("team_id"));
  return team.ok() &&
         std::find(call.principal.teams.begin(), call.principal.teams.end(), team->uuid) != call.principal.teams.end();
}

void Mask(const Call& call, Message& record) {
  std::set<std::string> masked;
  record::MaskNeeds(call, record, masked);
  if (!record::SeesPersonal(call)) record::MaskFields(record, "", masked);
  if (masked.empty()) return;
  if (auto* access = record::AccessOf(record)) {
    for (const auto& path : masked) access->add_masked(path);
  }
}

void FillAccess(const Call& call, const RecordTable& table, Message& record) {
  auto* access = record::AccessOf(record);
  if (access == nullptr) return;
  access->clear_can();
  for (const auto action : {type::v1::ACTION_UPDATE, type::v1::ACTION_DELETE, type::v1::ACTION_ADMINISTER}) {
    const bool granted = call.ScopeOf(table.prefix(), action) != type::v1::SCOPE_UNSPECIFIED;
    if (granted && MayDo(call, table, record, action)) access->add_can(std::string(record::ActionName(action)));
  }
}

}  // namespace crm::pg
