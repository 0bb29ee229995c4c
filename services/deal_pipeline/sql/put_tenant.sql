-- An update names no administrator: the nil id keeps the one we know.
INSERT INTO tenant AS t (tenant_id, country_code, currency_code, administrator_id) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id) DO UPDATE SET country_code = EXCLUDED.country_code, currency_code = EXCLUDED.currency_code,
  administrator_id = CASE WHEN EXCLUDED.administrator_id = '00000000-0000-0000-0000-000000000000'
                          THEN t.administrator_id ELSE EXCLUDED.administrator_id END
