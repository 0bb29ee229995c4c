// What is sent to PostgreSQL in one round trip: local settings + statements + Sync. The Sync is the transaction; an
// error in one statement undoes the batch and harms no neighbour in the pipeline.
#pragma once

#include <absl/status/status.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>
#include <google/protobuf/message.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/call.h"
#include "common/base/id.h"
#include "common/pg/statement.h"
#include "crm/events/v1/event.pb.h"

namespace crm::pg {

// Parameters of one statement, in order. Sent as text, or as binary where that is exact and cheaper (uuid, bytea).
class Params {
 public:
  Params& Text(absl::string_view value);
  Params& Int(int64_t value);
  Params& Bool(bool value);
  Params& Id(const Uuid& value);
  Params& Time(absl::Time value);
  Params& Bytes(absl::string_view value);
  Params& Decimal(absl::string_view value) { return Text(value); }
  Params& Null();
  Params& TextArray(const std::vector<std::string>& values);
  Params& IdArray(const std::vector<Uuid>& values);
  Params& IntArray(const std::vector<int64_t>& values);
  // One of these values of each row as an array, NULLs and ids (uuid) included; the rows are of one length.
  Params& Column(const std::vector<Params>& rows, size_t index);
  Params& Append(const Params& other) {
    values_.insert(values_.end(), other.values_.begin(), other.values_.end());
    return *this;
  }

  struct Value {
    std::string data;
    bool null = false;
    bool binary = false;
    bool operator==(const Value& other) const = default;
  };
  const std::vector<Value>& values() const { return values_; }
  bool operator==(const Params& other) const = default;
  size_t size() const { return values_.size(); }

 private:
  std::vector<Value> values_;
};

// The rows of one result, in PostgreSQL's binary format. Owns the memory; rows are views into it.
class Rows {
 public:
  Rows() = default;
  explicit Rows(std::shared_ptr<void> result);  // a PGresult

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  int columns() const;
  int64_t affected() const;           // rows that an INSERT, UPDATE or DELETE changed, or a SELECT found
  absl::string_view command() const;  // the command's tag: "UPDATE 1", "COMMIT"

  bool IsNull(int row, int column) const;
  absl::string_view Text(int row, int column) const;  // text, varchar, name, json; also jsonb without its version byte
  int64_t Int(int row, int column) const;             // int2, int4, int8
  bool Bool(int row, int column) const;
  double Double(int row, int column) const;
  Uuid Id(int row, int column) const;
  absl::Time Time(int row, int column) const;
  std::string Date(int row, int column) const;  // "2026-11-23"
  absl::string_view Bytes(int row, int column) const;
  std::string Decimal(int row, int column) const;  // numeric, all its digits: "1234.50"
  std::vector<std::string> TextArray(int row, int column) const;
  std::vector<int64_t> IntArray(int row, int column) const;
  std::vector<Uuid> IdArray(int row, int column) const;

 private:
  std::shared_ptr<void> result_;
  int size_ = 0;
};

// Which connections a batch runs on: point reads share deep pipelines, lists and searches shallow ones, writes spread
// over many connections so that their fsyncs group.
enum class Work { kPoint, kList, kWrite };

// An event to be written with the state.
struct NewEvent {
  std::string type;       // "deal.moved"
  std::string record_id;  // TypeID
  uint32_t revision = 0;
  std::string owner_id;
  std::string team_id;
  std::vector<std::string> changed_fields;
  std::vector<std::string> read_objects;  // what its reader must be allowed to read; empty: the record's own kind
};

template <typename M>
class Table;

class Batch {
 public:
  explicit Batch(const Call& call) : call_(call) {}

  // Adds a statement; answers its index among the results of Db::Read.
  int Add(const Statement& statement, Params params = {});

  // Adds a statement that must change or find at least one row; otherwise the batch is undone and LostRace(record_id)
  // is the answer. The statement ends in RETURNING or SELECT of one column; it is wrapped in the schema's guard(). The
  // statement's name must stand for one text, as everywhere; it is prepared as "<name>!".
  void AddGuarded(const Statement& statement, Params params, absl::string_view record_id);

  // A row for a statement that takes many at once: `shared` are its first parameters, and for each value of `row` an array follows
  // ("... FROM unnest($2::uuid[], $3::text[]) AS r (id, title)"). Rows that follow one another for the same statement and `shared` are
  // sent as one statement, also those of several events that are applied in one transaction: a statement's own cost is several
  // times a row's. So rows may not need one another, and their keys differ or ON CONFLICT does nothing.
  void AddRow(const Statement& statement, Params shared, Params row);

  // The usual record statements (see table.h). Update and Delete are guarded by the revision of `before` and write
  // history; they set revision, etag, update_time on the copies that they store.
  template <typename M>
  void Insert(const Table<M>& table, const M& record);
  template <typename M>
  void Update(const Table<M>& table, const M& before, const M& after);

  // Writes an event in the same transaction. `payload` is a message of the service's events.proto.
  void Emit(const NewEvent& event, const google::protobuf::Message& payload);

  // Refuses the whole batch: what could not be said in SQL (an id of the wrong kind). Db answers it instead of running;
  // the first one counts.
  void Fail(absl::Status status) { status_.Update(std::move(status)); }
  const absl::Status& status() const { return status_; }
  // True if it writes events; of its items, wherever they came from.
  bool emits() const;

  const Call& call() const { return call_; }

  struct Item {
    const Statement* statement = nullptr;  // alive as long as the process, or owned below
    std::shared_ptr<const Statement> owned;
    Params params;
    std::string guarded_record;  // not empty: LostRace of this record when the guard raises
    std::vector<Params> rows;    // of AddRow; until it is sent
  };
  // Puts `more` behind `items`, rows to rows.
  static void Append(std::vector<Item>& items, std::vector<Item> more);
  std::vector<Item>& items() { return items_; }
  const std::vector<Item>& items() const { return items_; }

  // Statement made at run time (filters); kept alive by the batch. Never prepared under a name: parsed each time.
  int AddDynamic(std::shared_ptr<const Statement> statement, Params params);

 private:
  const Call& call_;
  std::vector<Item> items_;
  absl::Status status_;
};

}  // namespace crm::pg
