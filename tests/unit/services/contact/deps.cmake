set(deps crm_contact_service)
