-- The tables of tests/testing/protos/crm/testing/v1/thing.proto.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;

CREATE TABLE thing (
  tenant_id          uuid NOT NULL,
  id                 uuid NOT NULL,
  revision           integer NOT NULL,
  name               text NOT NULL,
  code               text NOT NULL,
  secret             text NOT NULL,
  active             boolean NOT NULL,
  count              integer NOT NULL,
  size               integer NOT NULL,
  big                bigint NOT NULL,
  ratio              double precision NOT NULL,
  blob               bytea NOT NULL,
  kind               smallint NOT NULL,
  due_date           date,
  price              numeric,
  cost_amount        numeric,
  cost_currency_code text,
  parent_id          uuid,
  link_id            text,
  watcher_ids        uuid[] NOT NULL,
  tags               text[] NOT NULL,
  numbers            integer[] NOT NULL,
  kinds              smallint[] NOT NULL,
  seen_time          timestamptz,
  parts              jsonb NOT NULL,
  place              jsonb,
  labels             jsonb NOT NULL,
  extra              jsonb,
  nickname           text,
  rank               integer,
  shop               text,
  shelf              integer,
  status             text NOT NULL,
  owner_id           uuid,
  team_id            uuid,
  create_time        timestamptz NOT NULL,
  update_time        timestamptz NOT NULL,
  delete_time        timestamptz,
  creator_id         text NOT NULL,
  updater_id         uuid,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT thing_code CHECK (code <> 'forbidden')
);
COMMENT ON TABLE thing IS 'history deletable';
CREATE INDEX thing_create_time ON thing (tenant_id, create_time, id);
CREATE INDEX thing_due_date ON thing (tenant_id, due_date, id);
CREATE INDEX thing_owner ON thing (tenant_id, owner_id, create_time, id);
CREATE INDEX thing_status ON thing (tenant_id, status, id) WHERE status <> '';
CREATE INDEX thing_tags ON thing USING gin (tenant_id, tags) WHERE tags <> '{}';
CREATE INDEX thing_parts ON thing USING gin (parts jsonb_path_ops);
CREATE INDEX thing_name ON thing USING gin (tenant_id, name gin_trgm_ops);
CREATE INDEX thing_nickname ON thing (tenant_id, nickname, id);

-- A value that only one record may have, kept beside it.
CREATE TABLE thing_key (
  tenant_id uuid NOT NULL,
  key       text NOT NULL,
  thing_id  uuid NOT NULL,
  PRIMARY KEY (tenant_id, key)
);
COMMENT ON TABLE thing_key IS 'deletable';

CREATE TABLE label (
  tenant_id uuid NOT NULL,
  id        uuid NOT NULL,
  text      text NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE label IS 'deletable';
