// Every record of every service has the table that the layer expects: a field without its column, or the other way
// round, shows here and not at the first request.
#include <gmock/gmock.h>

#include <filesystem>
#include <map>
#include <set>

#include "tests/integration/table/things.h"

namespace crm::table_tests {
namespace {

namespace fs = std::filesystem;

// (service, record) of all protos.
std::vector<std::pair<std::string, const google::protobuf::Descriptor*>> Records() {
  std::vector<std::pair<std::string, const google::protobuf::Descriptor*>> records;
  const fs::path root = testing::Servers::Source() + "/protos";
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".proto") continue;
    const std::string name = fs::relative(entry.path(), root).string();
    const auto* file = google::protobuf::DescriptorPool::generated_pool()->FindFileByName(name);
    EXPECT_NE(file, nullptr) << name;
    if (file == nullptr) continue;
    const std::string service = fs::relative(entry.path(), root / "crm").begin()->string();
    for (int i = 0; i < file->message_type_count(); ++i) {
      if (file->message_type(i)->options().HasExtension(type::v1::record)) {
        records.emplace_back(service, file->message_type(i));
      }
    }
  }
  return records;
}

TEST(SchemaTest, EveryRecordHasItsTable) {
  CRM_NEED_SERVERS();
  std::set<std::string> prefixes;
  int tables = 0;
  for (const auto& [service, record] : Records()) {
    SCOPED_TRACE(record->full_name());
    const pg::RecordTable table(record, service);
    EXPECT_TRUE(prefixes.insert(table.prefix()).second) << "two records have the id prefix " << table.prefix();
    if (!fs::exists(testing::Servers::Source() + "/services/" + service + "/migrations")) continue;
    testing::Servers::Get().Migrate(service);
    ++tables;
    std::map<std::string, std::vector<std::string>> found;
    for (const auto& row :
         testing::Servers::Get().Sql("SELECT attname, format_type(atttypid, NULL), attnotnull, atthasdef OR "
                                     "attgenerated <> '' FROM pg_attribute "
                                     "WHERE attrelid = to_regclass('" +
                                     service + "." + table.name() + "') AND attnum > 0 AND NOT attisdropped")) {
      found[row[0]] = row;
    }
    for (const auto& column : table.Columns()) {
      auto it = found.find(column.name);
      if (it == found.end()) {
        ADD_FAILURE() << "column " << column.name << " " << column.type << " is missing";
        continue;
      }
      EXPECT_EQ(it->second[1], column.type) << column.name;
      // Stricter than the layer needs is the service's choice, e.g. for a reference that is always set.
      if (!column.nullable) EXPECT_EQ(it->second[2], "t") << column.name << " must be NOT NULL";
      found.erase(it);
    }
    // A service may keep columns of its own beside the record, if an insert can leave them out.
    for (const auto& [name, row] : found) {
      EXPECT_TRUE(row[2] == "f" || row[3] == "t") << "column " << name << " is no field and has no default";
    }
    if (table.history()) {
      EXPECT_EQ(
          testing::Servers::Get().Value("SELECT to_regclass('" + service + "." + table.name() + "_history_view')"),
          service + "." + table.name() + "_history_view");
    }
  }
  EXPECT_GT(tables, 0);
}

}  // namespace
}  // namespace crm::table_tests
