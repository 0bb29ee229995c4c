-- Templates.
CREATE TABLE template (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  revision    integer NOT NULL,
  name        text NOT NULL,
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  delete_time timestamptz,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE template IS 'history';
CREATE INDEX template_create_time ON template (tenant_id, create_time, id);
CREATE INDEX template_name ON template (tenant_id, name, id);
