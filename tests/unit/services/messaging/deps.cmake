set(deps crm_messaging_service)
