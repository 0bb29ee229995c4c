SELECT country_code, currency_code, administrator_id FROM tenant_view
