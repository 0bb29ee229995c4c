-- $1 since when.
SELECT r.id, r.name, r.category, r.owner_id, coalesce((SELECT p.active FROM person_view AS p WHERE p.user_id = r.owner_id), false),
  r.enabled, r.create_time,
  (SELECT max(u.create_time) FROM rule_run_view AS u WHERE u.rule_id = r.id),
  (SELECT count(*) FROM rule_run_view AS u WHERE u.rule_id = r.id AND u.create_time > $1::timestamptz),
  (SELECT count(*) FROM rule_run_view AS u WHERE u.rule_id = r.id AND u.create_time > $1::timestamptz AND u.status = 4),
  coalesce((SELECT bool_and(last.status = 4) FROM (
    SELECT u.status FROM rule_run_view AS u WHERE u.rule_id = r.id ORDER BY u.create_time DESC, u.id DESC LIMIT 3) AS last), false)
FROM rule_view AS r WHERE r.delete_time IS NULL ORDER BY r.name, r.id LIMIT 1000
