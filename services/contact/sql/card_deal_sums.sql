-- How many open deals a contact has, and what they are worth, of those that the caller may see; parameters as in card_deals.
SELECT currency_code, count(*), sum(amount) FROM linked_record_view
WHERE contact_id = $1 AND open AND NOT deleted AND object = 'deal'
  AND ($2::int = 3 OR ($2::int >= 1 AND owner_id = $3) OR ($2::int = 2 AND team_id = ANY ($4)))
GROUP BY currency_code ORDER BY currency_code
