set(deps crm_analytics_service crm_testing)
