set(deps crm_messaging_service crm_testing)
