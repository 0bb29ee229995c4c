set(deps crm_contact_service crm_testing)
