set(deps crm_scheduler_service)
