set(deps crm_gateway_service crm_testing crm_test_protos)
