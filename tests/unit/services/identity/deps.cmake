set(deps crm_identity_service)
