set(deps crm_scheduler_service crm_testing)
