// A model of the database in PostgreSQL's place, for simulations of many processes in one under a clock and a scheduler of their own
// (tests/unit/simulator). Everything above the connections is real: Db, its batches, what it does when a connection is lost.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "common/pg/connection.h"

namespace crm::pg {

class Model {
 public:
  virtual ~Model() = default;
  // Runs the flight as a connection of these options would, and gives it an outcome.
  virtual asio::awaitable<void> Run(const ConnectOptions& options, FlightPtr flight) = 0;
};

// What runs the flights of every Db of this process from now on; nullptr: PostgreSQL does. Compiled in with the failpoints.
void UseModel(Model* model);
Model* UsedModel();

}  // namespace crm::pg
