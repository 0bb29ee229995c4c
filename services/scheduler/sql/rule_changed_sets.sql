-- $1: only what has changed since about two minutes, or everything.
SELECT tenant_id, revision FROM rule_set WHERE NOT $1::boolean OR update_time > now() - interval '2 minutes'
