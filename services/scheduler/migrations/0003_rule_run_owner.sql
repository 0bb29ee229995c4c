-- A run belongs to whoever is responsible for the record that it is about, so that the log obeys the rights to see others'.
ALTER TABLE rule_run ADD COLUMN owner_id uuid, ADD COLUMN team_id uuid;
CREATE INDEX rule_run_owner ON rule_run (tenant_id, owner_id, create_time, id);
CREATE INDEX rule_run_team ON rule_run (tenant_id, team_id, create_time, id);
