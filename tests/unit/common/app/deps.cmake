set(deps crm_app crm_testing crm_test_protos)
