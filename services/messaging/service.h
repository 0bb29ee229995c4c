// The messaging service's table of contents: one line per rpc; each has its file in handlers/.
#pragma once

#include "common/pg/db.h"
#include "common/pg/table.h"
#include "common/rpc/service.h"
#include "crm/messaging/v1/template.pb.h"

namespace crm::messaging {

// The record tables, compiled once.
struct Tables {
  pg::Table<v1::Template> templates{"messaging"};
};

class TemplateService final : public rpc::Service {
 public:
  TemplateService(pg::Db& db, const Tables& tables)
      : rpc::Service("crm.messaging.v1.TemplateService"), db_(db), templates_(tables.templates) {}

  CRM_RPC(CreateTemplate, v1::CreateTemplateRequest, v1::Template)
  CRM_RPC(GetTemplate, v1::GetTemplateRequest, v1::Template)
  CRM_RPC(ListTemplates, v1::ListTemplatesRequest, v1::ListTemplatesResponse)

 private:
  pg::Db& db_;
  const pg::Table<v1::Template>& templates_;
};

}  // namespace crm::messaging
