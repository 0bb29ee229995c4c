// A named SQL statement. The name is its metric's label and, on each connection, the prepared statement's name.
#pragma once

#include <string>

namespace crm::pg {

struct Statement {
  std::string name;  // "contact.find_by_key"
  std::string sql;   // with $1, $2 ...; columns always listed, never *
};

}  // namespace crm::pg
