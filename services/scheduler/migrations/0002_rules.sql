-- Automation rules, their versions and their runs.
CREATE TABLE rule (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  revision    integer NOT NULL,
  name        text NOT NULL,
  description text NOT NULL,
  category    text NOT NULL,
  owner_id    uuid,
  enabled     boolean NOT NULL,
  version     integer NOT NULL,
  trigger     jsonb,
  condition   text NOT NULL,
  actions     jsonb NOT NULL,
  limits      jsonb,
  warnings    text[] NOT NULL,
  creator_id  text NOT NULL,
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  delete_time timestamptz,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE rule IS 'history';
CREATE INDEX rule_create_time ON rule (tenant_id, create_time, id);
CREATE INDEX rule_name ON rule (tenant_id, name, id);

-- What a rule did in each of its versions, as crm.scheduler.v1.Rule: a run goes on with the version that it began with.
CREATE TABLE rule_version (
  tenant_id   uuid NOT NULL,
  rule_id     uuid NOT NULL,
  version     integer NOT NULL,
  definition  bytea NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, rule_id, version)
);

-- Tenants that have rules, and how often they have changed: what each process's dictionary is refreshed by, and what two who
-- save at once meet at.
CREATE TABLE rule_set (
  tenant_id   uuid NOT NULL,
  bucket      smallint NOT NULL,
  revision    bigint NOT NULL,
  update_time timestamptz NOT NULL,
  PRIMARY KEY (tenant_id)
);
COMMENT ON TABLE rule_set IS 'Changes of rules. queue';
CREATE INDEX rule_set_update_time ON rule_set (update_time);

CREATE TABLE rule_run (
  tenant_id    uuid NOT NULL,
  id           uuid NOT NULL,
  revision     integer NOT NULL,
  rule_id      uuid,
  rule_version integer NOT NULL,
  rule_name    text NOT NULL,
  status       smallint NOT NULL,
  event_type   text NOT NULL,
  event_id     text NOT NULL,
  record_id    text,
  steps        jsonb NOT NULL,
  error        text NOT NULL,
  depth        integer NOT NULL,
  cause_run_id uuid,
  wake_time    timestamptz,
  end_time     timestamptz,
  create_time  timestamptz NOT NULL,
  update_time  timestamptz NOT NULL,
  next_path    text NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX rule_run_create_time ON rule_run (tenant_id, create_time, id);
CREATE INDEX rule_run_update_time ON rule_run (tenant_id, update_time, id);
CREATE INDEX rule_run_rule ON rule_run (tenant_id, rule_id, create_time, id);
CREATE INDEX rule_run_record ON rule_run (tenant_id, record_id, create_time, id);
CREATE INDEX rule_run_failed ON rule_run (tenant_id, create_time, id) WHERE status = 4;

-- The event that a run is about, as crm.events.v1.Event: conditions and texts may name it later.
CREATE TABLE rule_run_event (
  tenant_id uuid NOT NULL,
  run_id    uuid NOT NULL,
  event     bytea NOT NULL,
  PRIMARY KEY (tenant_id, run_id)
);
COMMENT ON TABLE rule_run_event IS 'deletable';

-- Whose turn it is, where an action gives records to several in turn.
CREATE TABLE rule_turn (
  tenant_id uuid NOT NULL,
  rule_id   uuid NOT NULL,
  path      text NOT NULL,
  turn      bigint NOT NULL,
  PRIMARY KEY (tenant_id, rule_id, path)
);
