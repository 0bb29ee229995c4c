set(deps crm_rpc crm_testing crm_test_protos)
