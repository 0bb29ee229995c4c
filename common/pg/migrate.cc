#include "common/pg/migrate.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <openssl/sha.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <pqxx/pqxx>
#include <set>
#include <sstream>
#include <thread>

#include "common/base/status.h"

namespace crm::pg {
namespace migrate {

namespace fs = std::filesystem;

// A migration waits this long for a lock and then gives way to the traffic that holds it, and tries again.
constexpr char kLockTimeout[] = "2s";
constexpr int kLockAttempts = 12;
constexpr auto kLockPause = std::chrono::milliseconds(500);

const char* const kTenantCheck = "(tenant_id = (current_setting('app.tenant'::text))::uuid)";

std::string Hex(const std::string& bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  std::string out;
  for (unsigned char byte : digest) absl::StrAppend(&out, absl::Hex(byte, absl::kZeroPad2));
  return out;
}

bool Digit(char c) { return c >= '0' && c <= '9'; }
bool WordChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || Digit(c) || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

absl::StatusOr<std::vector<File>> ReadFiles(const std::string& set, const std::string& dir) {
  std::vector<File> files;
  std::error_code error;
  if (!fs::is_directory(dir, error)) return files;
  for (const fs::directory_entry& entry : fs::directory_iterator(dir, error)) {
    std::string name = entry.path().filename().string();
    if (name.empty() || name[0] == '.') continue;
    if (name.size() < 10 || name[4] != '_' || entry.path().extension() != ".sql" ||
        !std::all_of(name.begin(), name.begin() + 4, Digit)) {
      return absl::FailedPreconditionError(
          absl::StrCat(entry.path().string(), " is no migration: name it NNNN_what_it_does.sql, or move it elsewhere"));
    }
    File file;
    file.set = set;
    file.version = std::stoi(name.substr(0, 4));
    file.name = name;
    std::ifstream in(entry.path(), std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    if (!in) return absl::FailedPreconditionError(absl::StrCat(entry.path().string(), " cannot be read"));
    file.sql = text.str();
    file.checksum = Hex(file.sql);
    file.transaction = file.sql.rfind("-- no transaction", 0) != 0;
    files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.name < b.name; });
  for (size_t i = 1; i < files.size(); ++i) {
    if (files[i].version == files[i - 1].version) {
      return absl::FailedPreconditionError(
          absl::StrCat(dir, ": ", files[i - 1].name, " and ", files[i].name,
                       " have the same number; renumber the one that is not released"));
    }
  }
  return files;
}

std::vector<std::string> SplitStatements(const std::string& script) {
  std::vector<std::string> statements;
  std::string now;
  bool content = false;
  auto finish = [&] {
    if (content) statements.push_back(now);
    now.clear();
    content = false;
  };
  size_t i = 0, n = script.size();
  auto copy_to = [&](size_t end) {
    end = std::min(end, n);
    now.append(script, i, end - i);
    i = end;
  };
  while (i < n) {
    char c = script[i];
    if (script.compare(i, 2, "--") == 0) {
      size_t end = script.find('\n', i);
      i = end == std::string::npos ? n : end;
    } else if (script.compare(i, 2, "/*") == 0) {
      int depth = 1;  // they nest
      size_t at = i + 2;
      while (at < n && depth > 0) {
        if (script.compare(at, 2, "/*") == 0) {
          ++depth;
          at += 2;
        } else if (script.compare(at, 2, "*/") == 0) {
          --depth;
          at += 2;
        } else {
          ++at;
        }
      }
      i = at;
      now += ' ';
    } else if (c == '\'' || c == '"') {
      bool escapes =
          c == '\'' && i > 0 && (script[i - 1] == 'E' || script[i - 1] == 'e') && (i < 2 || !WordChar(script[i - 2]));
      size_t at = i + 1;
      while (at < n && script[at] != c) at += escapes && script[at] == '\\' ? 2 : 1;
      content = true;
      copy_to(at + 1);  // a doubled quote opens the next piece at once
    } else if (c == '$' && (i == 0 || !WordChar(script[i - 1]))) {
      size_t tag = i + 1;
      while (tag < n && WordChar(script[tag])) ++tag;
      content = true;
      if (tag < n && script[tag] == '$' && !(tag > i + 1 && Digit(script[i + 1]))) {
        std::string quote = script.substr(i, tag - i + 1);
        size_t end = script.find(quote, tag + 1);
        copy_to(end == std::string::npos ? n : end + quote.size());
      } else {
        copy_to(tag);
      }
    } else if (c == ';') {
      ++i;
      finish();
    } else {
      if (c != ' ' && c != '\n' && c != '\t' && c != '\r') content = true;
      now += c;
      ++i;
    }
  }
  finish();
  return statements;
}

// One run: a connection and what is known of the schema.
class Runner {
 public:
  Runner(const MigrateOptions& options, pqxx::connection& connection)
      : options_(options),
        db_(connection),
        schema_(options.schema),
        owner_(schema_ + "_owner"),
        reader_(schema_ + "_reader"),
        worker_(schema_ + "_worker") {}

  absl::StatusOr<MigrateReport> Run() {
    for (char c : schema_) {
      if (!(c >= 'a' && c <= 'z') && c != '_' && !Digit(c))
        return absl::InvalidArgumentError("the schema's name must be snake_case");
    }
    CRM_TRY(std::vector<File> common, ReadFiles("common", options_.common_dir));
    CRM_TRY(std::vector<File> own, ReadFiles("service", options_.service_dir));
    if (common.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("no migrations in '", options_.common_dir, "': check common_migrations_dir"));
    }
    Bootstrap();
    // Held by the session until it ends: another runner waits, then finds everything done.
    {
      pqxx::nontransaction lock(db_);
      lock.exec(absl::StrCat("SELECT pg_advisory_lock(hashtext('crm.migrate'), hashtext('", schema_, "'))"));
    }
    Bookkeeping();
    for (std::vector<File>* set : {&common, &own}) {
      for (const File& file : *set) CRM_TRY(Apply(file));
    }
    Retrying("derive", [&](pqxx::work& work) { Derive(work); });
    return report_;
  }

 private:
  std::string Quote(const std::string& name) { return db_.quote_name(name); }
  std::string Literal(const std::string& text) { return db_.quote(text); }

  // Roles belong to the whole cluster, so services take turns.
  void Bootstrap() {
    pqxx::work work(db_);
    work.exec("SELECT pg_advisory_xact_lock(hashtext('crm.roles'))");
    std::set<std::string> roles;
    for (const auto& row : work.exec("SELECT rolname FROM pg_roles")) roles.insert(row[0].as<std::string>());
    auto role = [&](const std::string& name, const char* login) {
      if (!roles.count(name)) Change(work, absl::StrCat("CREATE ROLE ", Quote(name), " ", login));
    };
    role(owner_, "NOLOGIN");
    role(reader_, "NOLOGIN");
    role(schema_, "LOGIN");
    role(worker_, "LOGIN");
    for (const auto& [name, password] :
         {std::pair(schema_, options_.service_password), std::pair(worker_, options_.worker_password)}) {
      if (!password.empty()) work.exec(absl::StrCat("ALTER ROLE ", Quote(name), " PASSWORD ", Literal(password)));
    }
    // The owner may drop and replace views that stand in a migration's way.
    if (!Truth(work, absl::StrCat("SELECT pg_has_role('", owner_, "', '", reader_, "', 'MEMBER')"))) {
      Change(work, absl::StrCat("GRANT ", Quote(reader_), " TO ", Quote(owner_)));
    }
    if (!Truth(work, absl::StrCat("SELECT pg_has_role(current_user, '", owner_, "', 'MEMBER')"))) {
      Change(work, absl::StrCat("GRANT ", Quote(owner_), ", ", Quote(reader_), " TO CURRENT_USER"));
    }
    if (!Truth(work, absl::StrCat("SELECT count(*) > 0 FROM pg_namespace WHERE nspname = '", schema_, "'"))) {
      Change(work, absl::StrCat("CREATE SCHEMA ", Quote(schema_), " AUTHORIZATION ", Quote(owner_)));
    }
    for (const auto& [name, right] : {std::pair(schema_, "USAGE"), std::pair(worker_, "USAGE"),
                                      std::pair(reader_, "USAGE"), std::pair(reader_, "CREATE")}) {
      if (!Truth(work, absl::StrCat("SELECT has_schema_privilege('", name, "', '", schema_, "', '", right, "')"))) {
        Change(work, absl::StrCat("GRANT ", right, " ON SCHEMA ", Quote(schema_), " TO ", Quote(name)));
      }
    }
    // Shared by all services, so made by the admin role and found by everyone in `public`.
    for (const char* extension : {"pg_trgm", "btree_gin"}) {
      if (!Truth(work, absl::StrCat("SELECT count(*) > 0 FROM pg_extension WHERE extname = '", extension, "'"))) {
        Change(work, absl::StrCat("CREATE EXTENSION ", extension, " SCHEMA public"));
      }
    }
    work.commit();
  }

  void Bookkeeping() {
    pqxx::work work(db_);
    BecomeOwner(work);
    work.exec("SET LOCAL client_min_messages = warning");
    work.exec(
        "CREATE TABLE IF NOT EXISTS migration (set text NOT NULL, version integer NOT NULL, name text NOT NULL, "
        "checksum text NOT NULL, apply_time timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (set, version))");
    if (!Truth(work, "SELECT obj_description('migration'::regclass, 'pg_class') IS NOT NULL")) {
      work.exec("COMMENT ON TABLE migration IS 'Migrations applied. private'");
    }
    for (const auto& row : work.exec("SELECT set, version, name, checksum FROM migration")) {
      applied_[{row[0].as<std::string>(), row[1].as<int>()}] = {row[2].as<std::string>(), row[3].as<std::string>()};
    }
    work.commit();
  }

  absl::Status Apply(const File& file) {
    std::string label = absl::StrCat(file.set, "/", file.name);
    auto done = applied_.find({file.set, file.version});
    if (done != applied_.end()) {
      if (done->second.second == file.checksum) return absl::OkStatus();
      return absl::FailedPreconditionError(
          absl::StrCat(label, " was changed after it had been applied (as ", done->second.first,
                       "): put back its old text and write the change as a new migration with the next number"));
    }
    for (const auto& [key, value] : applied_) {
      if (key.first == file.set && key.second > file.version) {
        return absl::FailedPreconditionError(
            absl::StrCat(label, " comes after ", value.first, ", which has been applied: give it the next number"));
      }
    }
    current_ = label;
    if (file.transaction) {
      Retrying(label, [&](pqxx::work& work) {
        BecomeOwner(work);
        work.exec(file.sql);
        Record(work, file);
        // In the same transaction, so that no table is ever without its policies and no view is missing.
        Derive(work);
      });
    } else {
      pqxx::nontransaction session(db_);
      session.exec(absl::StrCat("SET ROLE ", Quote(owner_)));
      session.exec(absl::StrCat("SET search_path = ", Quote(schema_), ", public"));
      try {
        for (const std::string& statement : SplitStatements(file.sql)) session.exec(statement);
        Record(session, file);
        session.exec("RESET ROLE");
        session.exec("RESET search_path");
      } catch (...) {
        try {
          session.exec("RESET ROLE");
          session.exec("RESET search_path");
        } catch (const std::exception&) {
          // The connection is gone; the first error says so.
        }
        throw;
      }
    }
    applied_[{file.set, file.version}] = {file.name, file.checksum};
    report_.applied.push_back(label);
    return absl::OkStatus();
  }

  void Record(pqxx::transaction_base& work, const File& file) {
    work.exec(absl::StrCat("INSERT INTO migration (set, version, name, checksum) VALUES (", Literal(file.set), ", ",
                           file.version, ", ", Literal(file.name), ", ", Literal(file.checksum), ")"));
  }

  // One transaction; again when a lock could not be had in time.
  template <typename Body>
  void Retrying(const std::string& label, Body body) {
    current_ = label;
    for (int attempt = 1;; ++attempt) {
      size_t derived = report_.derived.size();
      try {
        pqxx::work work(db_);
        work.exec(absl::StrCat("SET LOCAL lock_timeout = '", kLockTimeout, "'"));
        body(work);
        work.commit();
        return;
      } catch (const pqxx::sql_error& error) {
        report_.derived.resize(derived);
        bool locked = error.sqlstate() == "55P03" || error.sqlstate() == "40P01";
        if (!locked || attempt == kLockAttempts) throw;
      }
      std::this_thread::sleep_for(kLockPause);
    }
  }

  void BecomeOwner(pqxx::transaction_base& work) {
    work.exec(absl::StrCat("SET LOCAL ROLE ", Quote(owner_)));
    work.exec(absl::StrCat("SET LOCAL search_path = ", Quote(schema_), ", public"));
  }
  void BecomeReader(pqxx::transaction_base& work) { work.exec(absl::StrCat("SET LOCAL ROLE ", Quote(reader_))); }

  bool Truth(pqxx::transaction_base& work, const std::string& sql) { return work.exec(sql)[0][0].as<bool>(); }
  void Change(pqxx::transaction_base& work, const std::string& sql) {
    work.exec(sql);
    report_.derived.push_back(sql);
  }

  struct Column {
    std::string name, type;
    bool generated = false;
  };
  struct Relation {
    std::string oid, name;
    bool enabled = false, forced = false;
    std::set<std::string> words;  // of its comment
    std::vector<Column> columns;
    bool Has(const std::string& column) const {
      return std::any_of(columns.begin(), columns.end(), [&](const Column& c) { return c.name == column; });
    }
    bool Says(const char* word) const { return words.count(word) > 0; }
  };

  std::vector<Column> ColumnsOf(pqxx::transaction_base& work, const std::string& oid) {
    std::vector<Column> columns;
    for (const auto& row : work.exec(absl::StrCat(
             "SELECT attname, format_type(atttypid, atttypmod), attgenerated <> '' FROM pg_attribute WHERE attrelid = ",
             oid, " AND attnum > 0 AND NOT attisdropped ORDER BY attnum"))) {
      columns.push_back({row[0].as<std::string>(), row[1].as<std::string>(), row[2].as<bool>()});
    }
    return columns;
  }

  std::vector<Relation> Relations(pqxx::transaction_base& work, const char* kinds) {
    std::vector<Relation> relations;
    for (const auto& row : work.exec(absl::StrCat("SELECT oid, relname, relrowsecurity, relforcerowsecurity, "
                                                  "coalesce(obj_description(oid, 'pg_class'), '') FROM "
                                                  "pg_class WHERE relnamespace = '",
                                                  schema_, "'::regnamespace AND relkind IN (", kinds,
                                                  ") AND NOT relispartition ORDER BY relname"))) {
      Relation relation;
      relation.oid = row[0].as<std::string>();
      relation.name = row[1].as<std::string>();
      relation.enabled = row[2].as<bool>();
      relation.forced = row[3].as<bool>();
      std::string word;
      for (char c : row[4].as<std::string>() + " ") {
        if (WordChar(c)) {
          word += c;
        } else if (!word.empty()) {
          relation.words.insert(word);
          word.clear();
        }
      }
      relation.columns = ColumnsOf(work, relation.oid);
      relations.push_back(std::move(relation));
    }
    return relations;
  }

  std::string Qualified(const std::string& name) { return absl::StrCat(Quote(schema_), ".", Quote(name)); }

  // Brings what follows from the tables in line with them. Changes nothing that is right already, so that a run on a
  // busy database takes no locks.
  void Derive(pqxx::transaction_base& work) {
    BecomeOwner(work);
    for (const Relation& table : Relations(work, "'r', 'p'")) {
      if (table.Says("history")) KeepTwin(work, table);
    }
    std::vector<Relation> tables = Relations(work, "'r', 'p'");
    for (const Relation& table : tables) {
      bool walled = table.Has("tenant_id");
      if (walled && !table.enabled)
        Change(work, absl::StrCat("ALTER TABLE ", Qualified(table.name), " ENABLE ROW LEVEL SECURITY"));
      if (walled && !table.forced)
        Change(work, absl::StrCat("ALTER TABLE ", Qualified(table.name), " FORCE ROW LEVEL SECURITY"));
      if (walled) Policies(work, table);
      std::map<std::string, std::set<std::string>> rights = {{schema_, {}}, {worker_, {}}, {reader_, {}}};
      if (!table.Says("private")) {
        rights[schema_] = {"INSERT", "SELECT"};
        if (!table.Says("twin")) rights[schema_].insert("UPDATE");
        if (table.Says("deletable")) rights[schema_].insert("DELETE");
        if (table.Says("queue")) rights[worker_] = {"INSERT", "SELECT", "UPDATE", "DELETE"};
        if (walled) rights[reader_] = {"SELECT"};
      }
      Grants(work, table.name, table.oid, rights);
    }
    Views(work, tables);
    work.exec("RESET ROLE");
  }

  void KeepTwin(pqxx::transaction_base& work, const Relation& table) {
    for (const char* needed : {"tenant_id", "id", "revision"}) {
      if (table.Has(needed)) continue;
      throw pqxx::usage_error(absl::StrCat("table ", table.name, " is to keep its history but has no column ", needed));
    }
    std::string twin = table.name + "_history";
    std::map<std::string, std::string> have;
    for (const auto& row :
         work.exec(absl::StrCat("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE "
                                "attrelid = to_regclass(",
                                Literal(Qualified(twin)), ") AND attnum > 0 AND NOT attisdropped"))) {
      have[row[0].as<std::string>()] = row[1].as<std::string>();
    }
    if (have.empty()) {
      // Old versions need not obey the rules of today, so nothing but the key is constrained.
      std::vector<std::string> lines;
      for (const Column& column : table.columns) {
        if (!column.generated) lines.push_back(absl::StrCat(Quote(column.name), " ", column.type));
      }
      Change(work, absl::StrCat("CREATE TABLE ", Qualified(twin), " (", absl::StrJoin(lines, ", "),
                                ", valid_until timestamptz NOT NULL, superseded_by text NOT NULL, "
                                "PRIMARY KEY (tenant_id, id, revision))"));
      Change(work,
             absl::StrCat("COMMENT ON TABLE ", Qualified(twin), " IS 'Superseded versions of ", table.name, ". twin'"));
      return;
    }
    for (const Column& column : table.columns) {
      if (column.generated) continue;
      auto it = have.find(column.name);
      if (it == have.end()) {
        Change(work,
               absl::StrCat("ALTER TABLE ", Qualified(twin), " ADD COLUMN ", Quote(column.name), " ", column.type));
      } else if (it->second != column.type) {
        throw pqxx::usage_error(absl::StrCat("column ", column.name, " is ", column.type, " in ", table.name, " but ",
                                             it->second, " in ", twin, ": change it there in the same migration"));
      }
    }
  }

  struct Policy {
    std::string command, role, check;
    bool write;
  };

  void Policies(pqxx::transaction_base& work, const Relation& table) {
    std::map<std::string, Policy> wanted = {
        {"tenant", {"ALL", schema_, kTenantCheck, true}},
        // The owner backfills in migrations; under FORCE without a policy its UPDATE would find no rows and not say so.
        {"owner", {"ALL", owner_, "true", true}},
        {"reader", {"SELECT", reader_, "true", false}},
    };
    if (table.Says("queue")) wanted["worker"] = {"ALL", worker_, "true", true};
    if (table.Says("private")) wanted.erase("tenant");
    std::set<std::string> right;
    for (const auto& row : work.exec(absl::StrCat("SELECT policyname, cmd, array_to_string(roles, ','), coalesce(qual, "
                                                  "''), coalesce(with_check, '') FROM pg_policies "
                                                  "WHERE schemaname = ",
                                                  Literal(schema_), " AND tablename = ", Literal(table.name)))) {
      std::string name = row[0].as<std::string>();
      auto it = wanted.find(name);
      if (it != wanted.end() && row[1].as<std::string>() == it->second.command &&
          row[2].as<std::string>() == it->second.role && row[3].as<std::string>() == it->second.check &&
          row[4].as<std::string>() == (it->second.write ? it->second.check : "")) {
        right.insert(name);
      } else {
        Change(work, absl::StrCat("DROP POLICY ", Quote(name), " ON ", Qualified(table.name)));
      }
    }
    for (const auto& [name, policy] : wanted) {
      if (right.count(name)) continue;
      Change(work, absl::StrCat("CREATE POLICY ", name, " ON ", Qualified(table.name), " FOR ", policy.command, " TO ",
                                Quote(policy.role), " USING (", policy.check, ")",
                                policy.write ? absl::StrCat(" WITH CHECK (", policy.check, ")") : ""));
    }
  }

  // Gives each role exactly these rights on a table or view.
  void Grants(pqxx::transaction_base& work, const std::string& name, const std::string& oid,
              const std::map<std::string, std::set<std::string>>& rights) {
    std::map<std::string, std::set<std::string>> have;
    for (const auto& row : work.exec(absl::StrCat("SELECT pg_get_userbyid(acl.grantee), acl.privilege_type FROM "
                                                  "pg_class, aclexplode(relacl) acl WHERE oid = ",
                                                  oid))) {
      have[row[0].as<std::string>()].insert(row[1].as<std::string>());
    }
    for (const auto& [role, wanted] : rights) {
      if (have[role] == wanted) continue;
      if (!have[role].empty()) Change(work, absl::StrCat("REVOKE ALL ON ", Qualified(name), " FROM ", Quote(role)));
      if (!wanted.empty()) {
        Change(work, absl::StrCat("GRANT ", absl::StrJoin(wanted, ", "), " ON ", Qualified(name), " TO ", Quote(role)));
      }
    }
  }

  void Views(pqxx::transaction_base& work, const std::vector<Relation>& tables) {
    BecomeReader(work);
    std::map<std::string, Relation> have;
    for (Relation& view : Relations(work, "'v'")) have[view.name] = view;
    std::set<std::string> wanted;
    for (const Relation& table : tables) {
      if (!table.Has("tenant_id") || table.Says("private")) continue;
      std::string name = table.name + "_view";
      wanted.insert(name);
      std::vector<std::string> columns;
      std::string shape;
      for (const Column& column : table.columns) {
        columns.push_back(Quote(column.name));
        absl::StrAppend(&shape, column.name, " ", column.type, ",");
      }
      std::string select = absl::StrCat("SELECT ", absl::StrJoin(columns, ", "), " FROM ", Qualified(table.name),
                                        " WHERE tenant_id = current_setting('app.tenant')::uuid");
      std::string mark = absl::StrCat("v", Hex(select + shape).substr(0, 16));
      auto it = have.find(name);
      if (it == have.end() || !it->second.Says(mark.c_str())) {
        // Columns can only be added to a view at its end; anything else takes a new one.
        bool fits = it != have.end() && it->second.columns.size() <= table.columns.size();
        for (size_t i = 0; fits && i < it->second.columns.size(); ++i) {
          fits = it->second.columns[i].name == table.columns[i].name &&
                 it->second.columns[i].type == table.columns[i].type;
        }
        if (it != have.end() && !fits) Change(work, absl::StrCat("DROP VIEW ", Qualified(name)));
        Change(work, absl::StrCat("CREATE OR REPLACE VIEW ", Qualified(name), " AS ", select));
        Change(work, absl::StrCat("COMMENT ON VIEW ", Qualified(name), " IS 'Rows of ", table.name,
                                  " of the tenant that is set. ", mark, "'"));
      }
      std::string oid =
          work.exec(absl::StrCat("SELECT ", Literal(Qualified(name)), "::regclass::oid"))[0][0].as<std::string>();
      std::map<std::string, std::set<std::string>> rights = {{schema_, {"SELECT"}}, {worker_, {}}};
      Grants(work, name, oid, rights);
    }
    for (const auto& [name, view] : have) {
      bool ours = view.Says("Rows") && view.Says("tenant");
      if (ours && !wanted.count(name)) Change(work, absl::StrCat("DROP VIEW ", Qualified(name)));
    }
  }

 public:
  const std::string& current() const { return current_; }

 private:
  const MigrateOptions& options_;
  pqxx::connection& db_;
  std::string schema_, owner_, reader_, worker_;
  std::map<std::pair<std::string, int>, std::pair<std::string, std::string>> applied_;
  MigrateReport report_;
  std::string current_ = "roles and schema";
};

std::string Trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

}  // namespace migrate

absl::StatusOr<MigrateReport> Migrate(const MigrateOptions& options) {
  std::string conninfo = options.conninfo;
  if (!options.password.empty()) {
    absl::StrAppend(&conninfo, " password='");
    for (char c : options.password) {
      if (c == '\'' || c == '\\') conninfo += '\\';
      conninfo += c;
    }
    conninfo += '\'';
  }
  std::unique_ptr<pqxx::connection> connection;
  try {
    connection = std::make_unique<pqxx::connection>(conninfo);
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat("the database does not answer: ", migrate::Trimmed(error.what())));
  }
  migrate::Runner runner(options, *connection);
  std::string at = absl::StrCat(options.schema, ": ");
  try {
    return runner.Run();
  } catch (const pqxx::broken_connection& error) {
    return absl::UnavailableError(
        absl::StrCat(at, runner.current(), ": the connection broke: ", migrate::Trimmed(error.what())));
  } catch (const pqxx::sql_error& error) {
    std::string text =
        absl::StrCat(at, runner.current(), ": ", migrate::Trimmed(error.what()), " (", error.sqlstate(), ")");
    if (error.sqlstate() == "55P03") {
      return absl::UnavailableError(absl::StrCat(text, "; traffic holds the table: run it again, or look at pg_locks"));
    }
    return absl::InvalidArgumentError(text);
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(at, runner.current(), ": ", migrate::Trimmed(error.what())));
  }
}

}  // namespace crm::pg
