-- Won deals from $1 (inclusive) to $3, grouped. What was won before $2 is the previous period, moved on by $9 days so that
-- its days meet those of the present one.
-- $4: 0 none, 1 own, 2 team, 3 all; $5 the caller, $6 the caller's teams, $7 only this pipeline, $8 only this owner or NULL;
-- $10 'owner', 'pipeline', 'country', 'source', or a unit of date_trunc; $11 its time zone.
SELECT grouping(key) = 1, previous, key, currency_code, sum(amount), count(*), NULL::numeric FROM (
  SELECT d.won_time < $2 AS previous, d.currency_code, coalesce(d.amount, 0) AS amount,
    coalesce(CASE $10::text
      WHEN 'owner' THEN d.owner_id::text
      WHEN 'pipeline' THEN d.pipeline_id::text
      WHEN 'country' THEN coalesce(nullif(c.country_code, ''), nullif(p.country_code, ''), pc.country_code)
      WHEN 'source' THEN d.source
      ELSE to_char(date_trunc($10::text, ((d.won_time AT TIME ZONE $11::text)::date
             + CASE WHEN d.won_time < $2 THEN $9::int ELSE 0 END)::timestamp), 'YYYY-MM-DD')
    END, '') AS key
  FROM deal_fact_view d
  LEFT JOIN company_fact_view c ON $10::text = 'country' AND c.id = d.company_id
  LEFT JOIN contact_fact_view p ON $10::text = 'country' AND p.id = d.contact_id
  LEFT JOIN company_fact_view pc ON $10::text = 'country' AND pc.id = p.company_id
  WHERE d.won_time >= $1 AND d.won_time < $3 AND NOT d.deleted
    AND ($4::int = 3 OR ($4::int >= 1 AND d.owner_id = $5) OR ($4::int = 2 AND d.team_id = ANY ($6)))
    AND ($7::uuid IS NULL OR d.pipeline_id = $7)
    AND ($8::uuid IS NULL OR d.owner_id = $8)
) won
GROUP BY GROUPING SETS ((previous, key, currency_code), (previous))
