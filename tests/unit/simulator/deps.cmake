# Everything here, not only the tests: the machine, the models and the worlds.
file(GLOB sources CONFIGURE_DEPENDS ${dir}/*.cc)
set(deps crm_messaging_service crm_scheduler_service crm_testing)
