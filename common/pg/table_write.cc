// Records on their way into the database: values as parameters, inserts, guarded updates, and what the layer stamps.
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <cstdio>

#include "common/json/json.h"
#include "common/pg/table_impl.h"

namespace crm::pg {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using record::Column;
using record::Kind;

namespace record {
namespace {

bool Allows(absl::string_view ref, absl::string_view id) {
  if (ref.empty() || ref == "*") return true;
  for (absl::string_view prefix : absl::StrSplit(ref, ',')) {
    prefix = absl::StripAsciiWhitespace(prefix);
    if (absl::StartsWith(id, absl::StrCat(prefix, "_"))) return true;
  }
  return false;
}

// The caller as this field can name it; empty if its `ref` does not allow that kind of actor.
std::string ActorFor(const Call& call, const FieldDescriptor* field) {
  return Allows(InfoOf(field).ref(), call.principal.user_id) ? call.principal.user_id : std::string();
}

// The revision and time that an update of `before` gets.
struct Next {
  uint32_t revision;
  absl::Time time;
};

Next NextOf(const Call& call, const Known& known, const Message& before) {
  Next next{RevisionOf(before) + 1, call.now()};
  if (known.update_time != nullptr) {
    // Servers' clocks differ: a later revision must not seem to be from before an earlier one, or as_of would answer
    // both.
    next.time = std::max(next.time, TimeOf(before, known.update_time) + absl::Microseconds(1));
  }
  return next;
}

}  // namespace
}  // namespace record

void RecordTable::Impl::AddValue(const Column& column, const Message& m, Batch& batch, Params& params) const {
  const Reflection* r = m.GetReflection();
  const FieldDescriptor* field = column.field;
  if (column.nullable && !field->is_repeated() && field->has_presence() && !r->HasField(m, field)) {
    params.Null();
    return;
  }
  std::string scratch;
  const auto id = [&](absl::string_view text, absl::string_view path) -> std::optional<Uuid> {
    auto uuid = ParseId(text, column.ref, path);
    if (uuid.ok()) return *uuid;
    batch.Fail(uuid.status());
    return std::nullopt;
  };
  switch (column.kind) {
    case Kind::kId:
    case Kind::kRef: {
      const std::string& text = r->GetStringReference(m, field, &scratch);
      if (text.empty() && column.kind == Kind::kRef) {
        params.Null();
      } else if (auto uuid = id(text, field->name())) {
        params.Id(*uuid);
      } else {
        params.Null();
      }
      return;
    }
    case Kind::kText: {
      const std::string& text = r->GetStringReference(m, field, &scratch);
      if (text.empty() && !column.ref.empty()) {
        params.Null();
      } else {
        params.Text(text);
      }
      return;
    }
    case Kind::kDate:
    case Kind::kDecimal: {
      const std::string& text = r->GetStringReference(m, field, &scratch);
      if (text.empty()) {
        params.Null();
      } else {
        params.Text(text);
      }
      return;
    }
    case Kind::kBytes:
      params.Bytes(r->GetStringReference(m, field, &scratch));
      return;
    case Kind::kBool:
      params.Bool(r->GetBool(m, field));
      return;
    case Kind::kDouble: {
      const double value =
          field->cpp_type() == FieldDescriptor::CPPTYPE_FLOAT ? r->GetFloat(m, field) : r->GetDouble(m, field);
      char text[40];
      snprintf(text, sizeof text, "%.17g", value);
      params.Text(text);
      return;
    }
    case Kind::kInt:
      switch (field->cpp_type()) {
        case FieldDescriptor::CPPTYPE_INT32:
          params.Int(r->GetInt32(m, field));
          return;
        case FieldDescriptor::CPPTYPE_UINT32:
          params.Int(r->GetUInt32(m, field));
          return;
        case FieldDescriptor::CPPTYPE_INT64:
          params.Int(r->GetInt64(m, field));
          return;
        default:
          params.Int(static_cast<int64_t>(r->GetUInt64(m, field)));
          return;
      }
    case Kind::kEnum:
      params.Int(r->GetEnumValue(m, field));
      return;
    case Kind::kTime:
      if (r->HasField(m, field)) {
        params.Time(record::TimeOf(m, field));
      } else {
        params.Null();
      }
      return;
    case Kind::kMoneyAmount:
    case Kind::kMoneyCurrency: {
      const Message& money = r->GetMessage(m, field);
      const std::string& text = money.GetReflection()->GetStringReference(money, column.member, &scratch);
      if (text.empty() && column.kind == Kind::kMoneyAmount) {
        params.Null();
      } else {
        params.Text(text);
      }
      return;
    }
    case Kind::kTextArray: {
      std::vector<std::string> values;
      for (int i = 0; i < r->FieldSize(m, field); ++i) values.push_back(r->GetRepeatedString(m, field, i));
      params.TextArray(values);
      return;
    }
    case Kind::kIdArray: {
      std::vector<Uuid> values;
      for (int i = 0; i < r->FieldSize(m, field); ++i) {
        auto uuid = id(r->GetRepeatedStringReference(m, field, i, &scratch), absl::StrCat(field->name(), "[", i, "]"));
        if (uuid) values.push_back(*uuid);
      }
      params.IdArray(values);
      return;
    }
    case Kind::kIntArray: {
      std::vector<int64_t> values;
      for (int i = 0; i < r->FieldSize(m, field); ++i) {
        values.push_back(field->cpp_type() == FieldDescriptor::CPPTYPE_INT32 ? r->GetRepeatedInt32(m, field, i)
                                                                             : r->GetRepeatedUInt32(m, field, i));
      }
      params.IntArray(values);
      return;
    }
    case Kind::kEnumArray: {
      std::vector<int64_t> values;
      for (int i = 0; i < r->FieldSize(m, field); ++i) values.push_back(r->GetRepeatedEnumValue(m, field, i));
      params.IntArray(values);
      return;
    }
    case Kind::kJson: {
      if (field->is_repeated() && r->FieldSize(m, field) == 0) {
        params.Text(field->is_map() ? "{}" : "[]");
        return;
      }
      std::string text;
      auto status = json::AppendField(m, field, text);
      if (!status.ok()) batch.Fail(status);
      params.Text(text);
      return;
    }
    case Kind::kRevision:
      params.Int(RevisionOf(m));
      return;
  }
}

void RecordTable::AddInsert(Batch& batch, const Message& message) const {
  Params params;
  params.Id(batch.call().tenant());
  for (const auto& column : impl_->columns) {
    if (column.projected) continue;
    if (column.kind == Kind::kRevision) {
      params.Int(std::max<uint32_t>(RevisionOf(message), 1));
    } else if (column.kind == Kind::kTime && column.fixed &&
               record::TimeOf(message, column.field) == absl::InfinitePast()) {
      params.Time(batch.call().now());
    } else {
      impl_->AddValue(column, message, batch, params);
    }
  }
  batch.Add(impl_->insert, std::move(params));
}

namespace record {
namespace {

// tenant, id and revision of the row that a guarded statement is about; false if the batch has failed.
bool AddKey(const RecordTable::Impl& impl, const Message& before, Batch& batch, Params& params) {
  auto id = ParseId(StringOf(before, impl.known.id), impl.prefix, "id");
  if (!id.ok()) {
    batch.Fail(id.status());
    return false;
  }
  params.Id(batch.call().tenant()).Id(*id);
  if (impl.revision_column < 0) {
    params.Null();
  } else {
    params.Int(RevisionOf(before));
  }
  return true;
}

void KeepHistory(const RecordTable::Impl& impl, const Message& before, absl::Time time, Batch& batch) {
  if (!impl.option.history()) return;
  Params params;
  if (!AddKey(impl, before, batch, params)) return;
  params.Time(time).Text(batch.call().principal.user_id);
  batch.Add(impl.keep_history, std::move(params));
}

}  // namespace
}  // namespace record

void RecordTable::AddUpdate(Batch& batch, const Message& before, const Message& after, type::v1::Action action) const {
  const Call& call = batch.call();
  if (const auto* deleted = impl_->known.delete_time; deleted != nullptr && action == type::v1::ACTION_UPDATE) {
    if (before.GetReflection()->HasField(before, deleted) != after.GetReflection()->HasField(after, deleted)) {
      action = type::v1::ACTION_DELETE;
    }
  }
  auto narrow = impl_->NarrowFor(call, action);
  if (!narrow.ok()) {
    batch.Fail(narrow.status());
    return;
  }
  const auto next = record::NextOf(call, impl_->known, before);
  record::KeepHistory(*impl_, before, next.time, batch);
  Params params;
  if (!record::AddKey(*impl_, before, batch, params)) return;
  if (impl_->revision_column < 0) {
    params.Null();
  } else {
    params.Int(next.revision);
  }
  for (const auto& column : impl_->columns) {
    if (column.fixed || column.kind == Kind::kRevision) continue;
    if (column.field == impl_->known.update_time) {
      params.Time(next.time);
    } else if (column.field == impl_->known.updater_id) {
      const std::string actor = record::ActorFor(call, column.field);
      auto uuid = ParseId(actor);
      if (actor.empty() && column.nullable) {
        params.Null();
      } else if (column.kind == Kind::kRef && uuid.ok()) {
        params.Id(uuid->uuid);
      } else {
        params.Text(actor);
      }
    } else {
      impl_->AddValue(column, after, batch, params);
    }
  }
  impl_->AddScopeParams(call, *narrow, params);
  batch.AddGuarded(impl_->update[*narrow], std::move(params), record::StringOf(before, impl_->known.id));
}

void RecordTable::AddDelete(Batch& batch, const Message& before, type::v1::Action action) const {
  const Call& call = batch.call();
  auto narrow = impl_->NarrowFor(call, action);
  if (!narrow.ok()) {
    batch.Fail(narrow.status());
    return;
  }
  record::KeepHistory(*impl_, before, record::NextOf(call, impl_->known, before).time, batch);
  Params params;
  if (!record::AddKey(*impl_, before, batch, params)) return;
  impl_->AddScopeParams(call, *narrow, params);
  batch.AddGuarded(impl_->remove[*narrow], std::move(params), record::StringOf(before, impl_->known.id));
}

uint32_t RevisionOf(const Message& record) {
  const Descriptor* d = record.GetDescriptor();
  if (const auto* field = d->FindFieldByName("etag")) {
    std::string scratch;
    absl::string_view text = record.GetReflection()->GetStringReference(record, field, &scratch);
    if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
    uint32_t revision = 0;
    return absl::SimpleAtoi(text, &revision) ? revision : 0;
  }
  if (const auto* field = d->FindFieldByName("revision")) return record.GetReflection()->GetUInt32(record, field);
  return 0;
}

void StampNew(const Call& call, const RecordTable& table, Message& record) {
  const auto& known = table.impl().known;
  const Reflection* r = record.GetReflection();
  if (record::StringOf(record, known.id).empty()) {
    r->SetString(&record, known.id, NewId(table.prefix(), call.now()));
  }
  if (known.etag != nullptr) r->SetString(&record, known.etag, "1");
  if (known.revision != nullptr) r->SetUInt32(&record, known.revision, 1);
  if (known.create_time != nullptr) record::SetTime(record, known.create_time, call.now());
  if (known.update_time != nullptr) record::SetTime(record, known.update_time, call.now());
  if (known.delete_time != nullptr) r->ClearField(&record, known.delete_time);
  for (const auto& column : table.impl().columns) {
    if (column.projected) r->ClearField(&record, column.field);
  }
  for (const auto* field : {known.creator_id, known.updater_id}) {
    if (field != nullptr) r->SetString(&record, field, record::ActorFor(call, field));
  }
  if (table.owned() && call.principal.kind == Principal::Kind::kUser) {
    if (record::StringOf(record, known.owner_id).empty()) {
      r->SetString(&record, known.owner_id, call.principal.user_id);
    }
    if (record::StringOf(record, known.team_id).empty() && !call.principal.team_id.empty() &&
        record::StringOf(record, known.owner_id) == call.principal.user_id) {
      r->SetString(&record, known.team_id, call.principal.team_id);
    }
  }
}

void Touch(const Call& call, const Message& before, Message& after) {
  const record::Known known(before.GetDescriptor());
  const auto next = record::NextOf(call, known, before);
  const Reflection* r = after.GetReflection();
  if (known.etag != nullptr) r->SetString(&after, known.etag, absl::StrCat(next.revision));
  if (known.revision != nullptr) r->SetUInt32(&after, known.revision, next.revision);
  if (known.update_time != nullptr) record::SetTime(after, known.update_time, next.time);
  if (known.updater_id != nullptr) r->SetString(&after, known.updater_id, record::ActorFor(call, known.updater_id));
}

}  // namespace crm::pg
