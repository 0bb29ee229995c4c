SELECT coalesce((SELECT revision FROM rule_set_view), 0), coalesce((SELECT time_zone FROM tenant_view), 'UTC')
