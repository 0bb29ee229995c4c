// The deal service's table of contents: one line per rpc; each has its file in handlers/.
#pragma once

#include "common/pg/db.h"
#include "common/pg/table.h"
#include "common/rpc/client.h"
#include "common/rpc/service.h"
#include "crm/deal_pipeline/v1/card.pb.h"
#include "crm/deal_pipeline/v1/deal.pb.h"
#include "crm/deal_pipeline/v1/lead.pb.h"
#include "crm/deal_pipeline/v1/pipeline.pb.h"
#include "crm/deal_pipeline/v1/product.pb.h"

namespace crm::deal_pipeline {

// The record tables, compiled once.
struct Tables {
  Tables();
  pg::Table<v1::Pipeline> pipelines{"deal_pipeline"};
  pg::Table<v1::Deal> deals{"deal_pipeline"};
  pg::Table<v1::Product> products{"deal_pipeline"};
  pg::Table<v1::Lead> leads{"deal_pipeline"};
  pg::Table<v1::Form> forms{"deal_pipeline"};
};

class PipelineService final : public rpc::Service {
 public:
  PipelineService(pg::Db& db, const Tables& tables)
      : rpc::Service("crm.deal_pipeline.v1.PipelineService"),
        db_(db),
        pipelines_(tables.pipelines),
        deals_(tables.deals) {}

  CRM_RPC(CreatePipeline, v1::CreatePipelineRequest, v1::Pipeline)
  CRM_RPC(GetPipeline, v1::GetPipelineRequest, v1::Pipeline)
  CRM_RPC(ListPipelines, v1::ListPipelinesRequest, v1::ListPipelinesResponse)
  CRM_RPC(UpdatePipeline, v1::UpdatePipelineRequest, v1::Pipeline)
  CRM_RPC(DeletePipeline, v1::DeletePipelineRequest, v1::Pipeline)
  CRM_RPC(UndeletePipeline, v1::UndeletePipelineRequest, v1::Pipeline)
  CRM_RPC(GetBoard, v1::GetBoardRequest, v1::Board)

 private:
  pg::Db& db_;
  const pg::Table<v1::Pipeline>& pipelines_;
  const pg::Table<v1::Deal>& deals_;
};

class DealService final : public rpc::Service {
 public:
  DealService(pg::Db& db, const Tables& tables)
      : rpc::Service("crm.deal_pipeline.v1.DealService"),
        db_(db),
        deals_(tables.deals),
        pipelines_(tables.pipelines),
        products_(tables.products) {}

  CRM_RPC(CreateDeal, v1::CreateDealRequest, v1::Deal)
  CRM_RPC(GetDeal, v1::GetDealRequest, v1::Deal)
  CRM_RPC(ListDeals, v1::ListDealsRequest, v1::ListDealsResponse)
  CRM_RPC(UpdateDeal, v1::UpdateDealRequest, v1::Deal)
  CRM_RPC(UpsertDeal, v1::UpsertDealRequest, v1::Deal)
  CRM_RPC(LookupDeals, v1::LookupDealsRequest, v1::LookupDealsResponse)
  CRM_RPC(DeleteDeal, v1::DeleteDealRequest, v1::Deal)
  CRM_RPC(UndeleteDeal, v1::UndeleteDealRequest, v1::Deal)
  CRM_RPC(MoveDeal, v1::MoveDealRequest, v1::Deal)
  CRM_RPC(ImportDeals, v1::ImportDealsRequest, v1::ImportDealsResponse)
  CRM_RPC(ListStageVisits, v1::ListStageVisitsRequest, v1::ListStageVisitsResponse)
  CRM_RPC(ListDealRevisions, v1::ListDealRevisionsRequest, v1::ListDealRevisionsResponse)

 private:
  pg::Db& db_;
  const pg::Table<v1::Deal>& deals_;
  const pg::Table<v1::Pipeline>& pipelines_;
  const pg::Table<v1::Product>& products_;
};

class CardService final : public rpc::Service {
 public:
  CardService(pg::Db& db, const Tables& tables)
      : rpc::Service("crm.deal_pipeline.v1.CardService"), db_(db), deals_(tables.deals), pipelines_(tables.pipelines) {}

  CRM_RPC(GetDealCard, v1::GetDealCardRequest, v1::DealCard)

 private:
  pg::Db& db_;
  const pg::Table<v1::Deal>& deals_;
  const pg::Table<v1::Pipeline>& pipelines_;
};

class ProductService final : public rpc::Service {
 public:
  ProductService(pg::Db& db, const Tables& tables)
      : rpc::Service("crm.deal_pipeline.v1.ProductService"), db_(db), products_(tables.products) {}

  CRM_RPC(CreateProduct, v1::CreateProductRequest, v1::Product)
  CRM_RPC(GetProduct, v1::GetProductRequest, v1::Product)
  CRM_RPC(ListProducts, v1::ListProductsRequest, v1::ListProductsResponse)
  CRM_RPC(UpdateProduct, v1::UpdateProductRequest, v1::Product)
  CRM_RPC(UpsertProduct, v1::UpsertProductRequest, v1::Product)
  CRM_RPC(LookupProducts, v1::LookupProductsRequest, v1::LookupProductsResponse)
  CRM_RPC(DeleteProduct, v1::DeleteProductRequest, v1::Product)
  CRM_RPC(UndeleteProduct, v1::UndeleteProductRequest, v1::Product)
  CRM_RPC(BatchCreateProducts, v1::BatchCreateProductsRequest, v1::BatchCreateProductsResponse)

 private:
  pg::Db& db_;
  const pg::Table<v1::Product>& products_;
};

class LeadService final : public rpc::Service {
 public:
  // `contacts` reaches the contact service, which finds or makes the contact of an accepted lead.
  LeadService(pg::Db& db, rpc::Client& contacts, const Tables& tables)
      : rpc::Service("crm.deal_pipeline.v1.LeadService"),
        db_(db),
        contacts_(contacts),
        leads_(tables.leads),
        forms_(tables.forms),
        deals_(tables.deals),
        pipelines_(tables.pipelines) {}

  CRM_RPC(CreateLead, v1::CreateLeadRequest, v1::Lead)
  CRM_RPC(GetLead, v1::GetLeadRequest, v1::Lead)
  CRM_RPC(ListLeads, v1::ListLeadsRequest, v1::ListLeadsResponse)
  CRM_RPC(UpdateLead, v1::UpdateLeadRequest, v1::Lead)
  CRM_RPC(SubmitForm, v1::SubmitFormRequest, v1::SubmitFormResponse)
  CRM_RPC(AcceptLead, v1::AcceptLeadRequest, v1::AcceptLeadResponse)
  CRM_RPC(DeclineLead, v1::DeclineLeadRequest, v1::Lead)
  CRM_RPC(LinkLead, v1::LinkLeadRequest, v1::Lead)
  CRM_RPC(CreateForm, v1::CreateFormRequest, v1::Form)
  CRM_RPC(GetForm, v1::GetFormRequest, v1::Form)
  CRM_RPC(ListForms, v1::ListFormsRequest, v1::ListFormsResponse)
  CRM_RPC(UpdateForm, v1::UpdateFormRequest, v1::Form)

 private:
  Async<v1::AcceptLeadResponse> Accepted(Call& call, v1::Lead lead);

  pg::Db& db_;
  rpc::Client& contacts_;
  const pg::Table<v1::Lead>& leads_;
  const pg::Table<v1::Form>& forms_;
  const pg::Table<v1::Deal>& deals_;
  const pg::Table<v1::Pipeline>& pipelines_;
};

}  // namespace crm::deal_pipeline
