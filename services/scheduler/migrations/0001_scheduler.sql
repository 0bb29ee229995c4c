-- Tasks.
CREATE TABLE task (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  revision    integer NOT NULL,
  name        text NOT NULL,
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  delete_time timestamptz,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE task IS 'history';
CREATE INDEX task_create_time ON task (tenant_id, create_time, id);
CREATE INDEX task_name ON task (tenant_id, name, id);
