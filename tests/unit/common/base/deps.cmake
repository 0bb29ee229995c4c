# What stands at the bottom is tested without what stands on it.
set(deps crm_base)
