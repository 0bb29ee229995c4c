#include "common/pg/batch.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/time/civil_time.h>
#include <endian.h>
#include <libpq-fe.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "common/pg/migrate.h"

namespace crm::pg {
namespace wire {

// Type oids of PostgreSQL's catalogue (src/include/catalog/pg_type.dat); they never change.
constexpr Oid kJsonb = 3802;
constexpr Oid kUuid = 2950;

// PostgreSQL counts from 2000-01-01.
const absl::Time kEpoch = absl::FromUnixSeconds(946684800);
constexpr absl::CivilDay kEpochDay(2000, 1, 1);

int16_t Int16(const char* at) {
  uint16_t raw;
  std::memcpy(&raw, at, sizeof raw);
  return static_cast<int16_t>(be16toh(raw));
}
int32_t Int32(const char* at) {
  uint32_t raw;
  std::memcpy(&raw, at, sizeof raw);
  return static_cast<int32_t>(be32toh(raw));
}
int64_t Int64(const char* at) {
  uint64_t raw;
  std::memcpy(&raw, at, sizeof raw);
  return static_cast<int64_t>(be64toh(raw));
}
int64_t IntOf(absl::string_view raw) {
  switch (raw.size()) {
    case 2:
      return Int16(raw.data());
    case 4:
      return Int32(raw.data());
    case 8:
      return Int64(raw.data());
    default:
      return 0;
  }
}

// Calls `element` with each element of a one-dimensional array; NULL elements are skipped.
template <typename F>
void ForEachElement(absl::string_view raw, F element) {
  if (raw.size() < 12 || Int32(raw.data()) == 0) return;
  int32_t dimensions = Int32(raw.data());
  int64_t count = 1;
  size_t at = 12;
  for (int32_t i = 0; i < dimensions && at + 8 <= raw.size(); ++i, at += 8) count *= Int32(raw.data() + at);
  for (int64_t i = 0; i < count && at + 4 <= raw.size(); ++i) {
    int32_t length = Int32(raw.data() + at);
    at += 4;
    if (length < 0) continue;
    if (at + static_cast<size_t>(length) > raw.size()) return;
    element(raw.substr(at, static_cast<size_t>(length)));
    at += static_cast<size_t>(length);
  }
}

// numeric (src/backend/utils/adt/numeric.c, numeric_send): groups of four decimal digits.
std::string Numeric(absl::string_view raw) {
  if (raw.size() < 8) return "";
  int groups = Int16(raw.data());
  int weight = Int16(raw.data() + 2);
  int sign = static_cast<uint16_t>(Int16(raw.data() + 4));
  int scale = Int16(raw.data() + 6);
  if (sign == 0xC000) return "NaN";
  if (sign == 0xD000) return "Infinity";
  if (sign == 0xF000) return "-Infinity";
  auto group = [&](int index) {
    if (index < 0 || index >= groups || raw.size() < 10 + 2 * static_cast<size_t>(index)) return 0;
    return static_cast<int>(Int16(raw.data() + 8 + 2 * index));
  };
  std::string out;
  if (sign == 0x4000) out += '-';
  if (weight < 0) {
    out += '0';
  } else {
    for (int i = 0; i <= weight; ++i) {
      char digits[4] = {static_cast<char>('0' + group(i) / 1000), static_cast<char>('0' + group(i) / 100 % 10),
                        static_cast<char>('0' + group(i) / 10 % 10), static_cast<char>('0' + group(i) % 10)};
      int skip = 0;
      if (i == 0) {
        while (skip < 3 && digits[skip] == '0') ++skip;
      }
      out.append(digits + skip, 4 - static_cast<size_t>(skip));
    }
  }
  if (scale > 0) {
    out += '.';
    size_t whole = out.size();
    for (int i = weight + 1; out.size() - whole < static_cast<size_t>(scale); ++i) {
      int value = group(i);
      char digits[4] = {static_cast<char>('0' + value / 1000), static_cast<char>('0' + value / 100 % 10),
                        static_cast<char>('0' + value / 10 % 10), static_cast<char>('0' + value % 10)};
      out.append(digits, 4);
    }
    out.resize(whole + static_cast<size_t>(scale));
  }
  return out;
}

void AppendInt32(std::string& out, int32_t value) {
  uint32_t raw = htobe32(static_cast<uint32_t>(value));
  out.append(reinterpret_cast<const char*>(&raw), sizeof raw);
}

// An element of an array as text, behind those that stand there.
void AppendElement(std::string& out, absl::string_view value) {
  if (out.size() > 1) out += ',';
  out += '"';
  for (char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

// One wrapper per guarded statement, for the life of the process: names are few and constant, so this does not grow.
struct Guards {
  std::mutex mutex;
  std::unordered_map<std::string, std::unique_ptr<const Statement>> by_name;
  std::unordered_map<std::string, std::string> inner;
};
Guards& AllGuards() {
  static Guards* guards = new Guards;
  return *guards;
}

std::string GuardedSql(const std::string& sql) {
  // Without comments and the closing semicolon, which would end the wrapper too early.
  std::vector<std::string> parts = migrate::SplitStatements(sql);
  return absl::StrCat("WITH changed AS (", parts.empty() ? sql : parts[0],
                      ") SELECT guard((SELECT count(*) FROM changed))");
}

const Statement kEmit{"pg.emit",
                      "INSERT INTO outbox (tenant_id, bucket, type, record_id, event) VALUES ($1, $2, $3, $4, $5)"};

}  // namespace wire

Params& Params::Text(absl::string_view value) {
  values_.push_back({std::string(value.data(), value.size()), false, false});
  return *this;
}

Params& Params::Int(int64_t value) {
  values_.push_back({std::to_string(value), false, false});
  return *this;
}

Params& Params::Bool(bool value) {
  values_.push_back({value ? "t" : "f", false, false});
  return *this;
}

Params& Params::Id(const Uuid& value) {
  values_.push_back({std::string(reinterpret_cast<const char*>(value.bytes.data()), 16), false, true});
  return *this;
}

Params& Params::Time(absl::Time value) {
  if (value == absl::InfiniteFuture()) return Text("infinity");
  if (value == absl::InfinitePast()) return Text("-infinity");
  // Four digits: PostgreSQL reads the year 1 as 2001. The year before it is 1 BC.
  const int64_t year = absl::ToCivilYear(value, absl::UTCTimeZone()).year();
  return Text(absl::StrCat(absl::Dec(year > 0 ? year : 1 - year, absl::kZeroPad4),
                           absl::FormatTime("-%m-%d %H:%M:%E6S+00", value, absl::UTCTimeZone()),
                           year > 0 ? "" : " BC"));
}

Params& Params::Bytes(absl::string_view value) {
  values_.push_back({std::string(value.data(), value.size()), false, true});
  return *this;
}

Params& Params::Null() {
  values_.push_back({{}, true, false});
  return *this;
}

Params& Params::TextArray(const std::vector<std::string>& values) {
  std::string out = "{";
  for (const std::string& value : values) wire::AppendElement(out, value);
  out += '}';
  values_.push_back({std::move(out), false, false});
  return *this;
}

Params& Params::Column(const std::vector<Params>& rows, size_t index) {
  bool binary = false;
  for (const Params& row : rows) binary = binary || row.values_[index].binary;
  std::string out;
  if (binary) {
    wire::AppendInt32(out, 1);
    wire::AppendInt32(out, 1);  // there may be NULLs
    wire::AppendInt32(out, static_cast<int32_t>(wire::kUuid));
    wire::AppendInt32(out, static_cast<int32_t>(rows.size()));
    wire::AppendInt32(out, 1);
    for (const Params& row : rows) {
      const Value& value = row.values_[index];
      wire::AppendInt32(out, value.null ? -1 : static_cast<int32_t>(value.data.size()));
      out += value.data;
    }
  } else {
    out = "{";
    for (const Params& row : rows) {
      const Value& value = row.values_[index];
      if (value.null) {
        out += out.size() > 1 ? ",NULL" : "NULL";
      } else {
        wire::AppendElement(out, value.data);
      }
    }
    out += '}';
  }
  values_.push_back({std::move(out), false, binary});
  return *this;
}

Params& Params::IdArray(const std::vector<Uuid>& values) {
  std::string out;
  out.reserve(20 + 20 * values.size());
  wire::AppendInt32(out, values.empty() ? 0 : 1);
  wire::AppendInt32(out, 0);
  wire::AppendInt32(out, static_cast<int32_t>(wire::kUuid));
  if (!values.empty()) {
    wire::AppendInt32(out, static_cast<int32_t>(values.size()));
    wire::AppendInt32(out, 1);
    for (const Uuid& value : values) {
      wire::AppendInt32(out, 16);
      out.append(reinterpret_cast<const char*>(value.bytes.data()), 16);
    }
  }
  values_.push_back({std::move(out), false, true});
  return *this;
}

Params& Params::IntArray(const std::vector<int64_t>& values) {
  std::string out = "{";
  for (int64_t value : values) absl::StrAppend(&out, out.size() > 1 ? "," : "", value);
  out += '}';
  values_.push_back({std::move(out), false, false});
  return *this;
}

namespace wire {
const PGresult* Of(const std::shared_ptr<void>& result) { return static_cast<const PGresult*>(result.get()); }
absl::string_view Raw(const std::shared_ptr<void>& result, int row, int column) {
  return absl::string_view(PQgetvalue(Of(result), row, column),
                           static_cast<size_t>(PQgetlength(Of(result), row, column)));
}
}  // namespace wire

Rows::Rows(std::shared_ptr<void> result) : result_(std::move(result)), size_(PQntuples(wire::Of(result_))) {}

int Rows::columns() const { return result_ ? PQnfields(wire::Of(result_)) : 0; }

int64_t Rows::affected() const {
  int64_t count = 0;
  if (result_ && !absl::SimpleAtoi(PQcmdTuples(static_cast<PGresult*>(result_.get())), &count)) return 0;
  return count;
}

absl::string_view Rows::command() const {
  return result_ ? absl::string_view(PQcmdStatus(static_cast<PGresult*>(result_.get()))) : absl::string_view();
}

bool Rows::IsNull(int row, int column) const { return PQgetisnull(wire::Of(result_), row, column) != 0; }

absl::string_view Rows::Text(int row, int column) const {
  absl::string_view raw = wire::Raw(result_, row, column);
  if (!raw.empty() && PQftype(wire::Of(result_), column) == wire::kJsonb) raw.remove_prefix(1);
  return raw;
}

int64_t Rows::Int(int row, int column) const { return wire::IntOf(wire::Raw(result_, row, column)); }

bool Rows::Bool(int row, int column) const {
  absl::string_view raw = wire::Raw(result_, row, column);
  return !raw.empty() && raw[0] != 0;
}

double Rows::Double(int row, int column) const {
  absl::string_view raw = wire::Raw(result_, row, column);
  if (raw.size() == 4) {
    int32_t bits = wire::Int32(raw.data());
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  if (raw.size() != 8) return 0;
  int64_t bits = wire::Int64(raw.data());
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

Uuid Rows::Id(int row, int column) const {
  Uuid id;
  absl::string_view raw = wire::Raw(result_, row, column);
  if (raw.size() == 16) std::memcpy(id.bytes.data(), raw.data(), 16);
  return id;
}

absl::Time Rows::Time(int row, int column) const {
  absl::string_view raw = wire::Raw(result_, row, column);
  if (raw.size() != 8) return absl::UnixEpoch();
  int64_t micros = wire::Int64(raw.data());
  if (micros == std::numeric_limits<int64_t>::max()) return absl::InfiniteFuture();
  if (micros == std::numeric_limits<int64_t>::min()) return absl::InfinitePast();
  return wire::kEpoch + absl::Microseconds(micros);
}

std::string Rows::Date(int row, int column) const {
  absl::string_view raw = wire::Raw(result_, row, column);
  if (raw.size() != 4) return "";
  int32_t days = wire::Int32(raw.data());
  if (days == std::numeric_limits<int32_t>::max()) return "infinity";
  if (days == std::numeric_limits<int32_t>::min()) return "-infinity";
  const absl::CivilDay day = wire::kEpochDay + days;
  return absl::StrCat(absl::Dec(day.year(), absl::kZeroPad4), "-", absl::Dec(day.month(), absl::kZeroPad2), "-",
                      absl::Dec(day.day(), absl::kZeroPad2));
}

absl::string_view Rows::Bytes(int row, int column) const { return wire::Raw(result_, row, column); }

std::string Rows::Decimal(int row, int column) const { return wire::Numeric(wire::Raw(result_, row, column)); }

std::vector<std::string> Rows::TextArray(int row, int column) const {
  std::vector<std::string> out;
  wire::ForEachElement(wire::Raw(result_, row, column),
                       [&](absl::string_view element) { out.emplace_back(element.data(), element.size()); });
  return out;
}

std::vector<int64_t> Rows::IntArray(int row, int column) const {
  std::vector<int64_t> out;
  wire::ForEachElement(wire::Raw(result_, row, column),
                       [&](absl::string_view element) { out.push_back(wire::IntOf(element)); });
  return out;
}

std::vector<Uuid> Rows::IdArray(int row, int column) const {
  std::vector<Uuid> out;
  wire::ForEachElement(wire::Raw(result_, row, column), [&](absl::string_view element) {
    Uuid id;
    if (element.size() == 16) std::memcpy(id.bytes.data(), element.data(), 16);
    out.push_back(id);
  });
  return out;
}

int Batch::Add(const Statement& statement, Params params) {
  Item& item = items_.emplace_back();
  item.statement = &statement;
  item.params = std::move(params);
  return static_cast<int>(items_.size()) - 1;
}

int Batch::AddDynamic(std::shared_ptr<const Statement> statement, Params params) {
  Item& item = items_.emplace_back();
  item.statement = statement.get();
  item.owned = std::move(statement);
  item.params = std::move(params);
  return static_cast<int>(items_.size()) - 1;
}

void Batch::AddGuarded(const Statement& statement, Params params, absl::string_view record_id) {
  Item& item = items_.emplace_back();
  item.params = std::move(params);
  item.guarded_record.assign(record_id.data(), record_id.size());
  wire::Guards& guards = wire::AllGuards();
  std::lock_guard lock(guards.mutex);
  auto it = guards.by_name.find(statement.name);
  if (it == guards.by_name.end()) {
    it = guards.by_name
             .emplace(statement.name, std::make_unique<const Statement>(
                                          Statement{statement.name + "!", wire::GuardedSql(statement.sql)}))
             .first;
    guards.inner.emplace(statement.name, statement.sql);
  } else if (guards.inner[statement.name] != statement.sql) {
    // Another text under the same name: right all the same, only not prepared.
    item.owned = std::make_shared<const Statement>(Statement{statement.name + "!", wire::GuardedSql(statement.sql)});
    item.statement = item.owned.get();
    return;
  }
  item.statement = it->second.get();
}

void Batch::AddRow(const Statement& statement, Params shared, Params row) {
  std::vector<Item> one(1);
  one[0].statement = &statement;
  one[0].params = std::move(shared);
  one[0].rows.push_back(std::move(row));
  Append(items_, std::move(one));
}

bool Batch::emits() const {
  return std::any_of(items_.begin(), items_.end(), [](const Item& item) { return item.statement == &wire::kEmit; });
}

void Batch::Append(std::vector<Item>& items, std::vector<Item> more) {
  for (Item& item : more) {
    Item* last = items.empty() ? nullptr : &items.back();
    if (last && !last->rows.empty() && !item.rows.empty() && last->statement == item.statement &&
        last->params == item.params) {
      std::move(item.rows.begin(), item.rows.end(), std::back_inserter(last->rows));
    } else {
      items.push_back(std::move(item));
    }
  }
}

void Batch::Emit(const NewEvent& event, const google::protobuf::Message& payload) {
  events::v1::Event out;
  const Principal& who = call_.principal;
  out.set_tenant_id(who.tenant_id());
  // "crm.deal_pipeline.v1" -> "deal_pipeline": the service that owns the payload's package is the one that writes it.
  std::string package = payload.GetDescriptor()->file()->package();
  size_t first = package.find('.'), second = package.find('.', first + 1);
  if (first != std::string::npos && second != std::string::npos) {
    out.set_service(package.substr(first + 1, second - first - 1));
  }
  out.set_type(event.type);
  out.set_record_id(event.record_id);
  out.set_revision(event.revision);
  out.set_actor_id(who.user_id);
  int64_t micros = absl::ToUnixMicros(call_.now());
  int64_t seconds = micros / 1000000 - (micros % 1000000 < 0 ? 1 : 0);
  out.mutable_time()->set_seconds(seconds);
  out.mutable_time()->set_nanos(static_cast<int32_t>(micros - seconds * 1000000) * 1000);
  for (const std::string& field : event.changed_fields) out.add_changed_fields(field);
  out.set_owner_id(event.owner_id);
  out.set_team_id(event.team_id);
  out.set_traceparent(call_.traceparent);
  if (!call_.cause.empty()) {
    out.mutable_cause()->set_rule_id(call_.cause.rule_id);
    out.mutable_cause()->set_run_id(call_.cause.run_id);
    out.mutable_cause()->set_depth(call_.cause.depth);
  }
  for (const std::string& object : event.read_objects) out.add_read_objects(object);
  out.mutable_payload()->PackFrom(payload);

  Add(wire::kEmit, Params()
                       .Id(who.tenant)
                       .Int(who.tenant.bucket())
                       .Text(event.type)
                       .Text(event.record_id)
                       .Bytes(out.SerializeAsString()));
}

}  // namespace crm::pg
