set(deps crm_pg crm_test_protos)
