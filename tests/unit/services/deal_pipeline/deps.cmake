set(deps crm_deal_pipeline_service)
