set(deps crm_testing crm_test_protos)
