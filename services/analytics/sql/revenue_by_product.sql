-- Won deals by what they sold; parameters as in revenue.sql, without $9 to $11. Deals without lines, and lines without a
-- product, are the group ''. A deal with two lines of a product is one deal.
SELECT grouping(key) = 1, previous, key, currency_code, sum(amount), count(DISTINCT id), sum(quantity) FROM (
  SELECT d.id, d.won_time < $2 AS previous, coalesce(l.currency_code, d.currency_code) AS currency_code,
    coalesce(l.total, d.amount, 0) AS amount, l.quantity, coalesce(l.product_id::text, '') AS key
  FROM deal_fact_view d
  LEFT JOIN deal_line_fact_view l ON l.deal_id = d.id
  WHERE d.won_time >= $1 AND d.won_time < $3 AND NOT d.deleted
    AND ($4::int = 3 OR ($4::int >= 1 AND d.owner_id = $5) OR ($4::int = 2 AND d.team_id = ANY ($6)))
    AND ($7::uuid IS NULL OR d.pipeline_id = $7)
    AND ($8::uuid IS NULL OR d.owner_id = $8)
) won
GROUP BY GROUPING SETS ((previous, key, currency_code), (previous))
