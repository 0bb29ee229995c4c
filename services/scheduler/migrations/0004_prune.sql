-- What is only kept for a time: found by its age across tenants, and dropped in small batches.
ALTER TABLE notification_preferences ADD COLUMN keep_days integer NOT NULL DEFAULT 0;
CREATE INDEX notification_preferences_keep ON notification_preferences (tenant_id, user_id) WHERE keep_days > 0;
COMMENT ON TABLE notification_preferences IS 'How users want to be told, and how long they keep it: queue';

CREATE INDEX notification_read ON notification (read_time) WHERE read_time IS NOT NULL;
COMMENT ON TABLE notification IS 'Inboxes; what was read long ago is looked for across tenants: queue';

-- Whether the run also says that its rule has run for the record and must not run again; of runs before this migration nobody
-- knows.
ALTER TABLE rule_run ADD COLUMN once boolean NOT NULL DEFAULT true;
CREATE INDEX rule_run_end ON rule_run (end_time) WHERE NOT once;
COMMENT ON TABLE rule_run IS 'The log of rules; what ended long ago is looked for across tenants: queue';
COMMENT ON TABLE rule_run_event IS 'queue deletable';
