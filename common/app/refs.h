// RefService for any service: short forms of its own records, derived from their descriptors' record options.
#pragma once

#include <vector>

#include "common/pg/db.h"
#include "common/pg/table.h"
#include "common/rpc/service.h"
#include "crm/type/v1/ref_service.pb.h"

namespace crm::app {

class RefService final : public rpc::Service {
 public:
  // `tables` outlive it, and are complete before the first call.
  RefService(pg::Db& db, const std::vector<const pg::RecordTable*>& tables)
      : rpc::Service("crm.type.v1.RefService"), db_(db), tables_(tables) {}

  CRM_RPC(BatchGetRefs, type::v1::BatchGetRefsRequest, type::v1::BatchGetRefsResponse)

 private:
  pg::Db& db_;
  const std::vector<const pg::RecordTable*>& tables_;
};

}  // namespace crm::app
