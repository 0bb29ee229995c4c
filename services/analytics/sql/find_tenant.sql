SELECT time_zone, currency_code FROM tenant_fact_view
