set(deps crm_rpc crm_testing crm_test_protos PkgConfig::grpc) # gRPC itself, to see that it understands us
