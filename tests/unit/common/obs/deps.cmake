set(deps crm_obs crm_json)
