set(deps crm_analytics_service)
