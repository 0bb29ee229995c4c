SELECT time_zone, language, working_hours FROM tenant_view
