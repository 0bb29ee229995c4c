#These tests stand below the services : they need neither rpc nor app.
set(deps crm_pg crm_testing)
