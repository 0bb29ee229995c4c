# Nothing beyond the library under test, so that these run within seconds of a change.
set(deps crm_json)
