-- Tenants, users, teams, roles, sign-in.
CREATE TABLE tenant (
  tenant_id     uuid NOT NULL,
  id            uuid NOT NULL,  -- the same
  revision      integer NOT NULL,
  name          text NOT NULL,
  country_code  text NOT NULL,
  time_zone     text NOT NULL,
  currency_code text NOT NULL,
  language      text NOT NULL,
  package       text NOT NULL,
  working_hours jsonb NOT NULL,
  create_time   timestamptz NOT NULL,
  update_time   timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE tenant IS 'history';

CREATE TABLE account (
  tenant_id    uuid NOT NULL,
  id           uuid NOT NULL,
  revision     integer NOT NULL,
  email        text NOT NULL,
  given_name   text NOT NULL,
  family_name  text NOT NULL,
  display_name text NOT NULL,
  job_title    text NOT NULL,
  phone        text NOT NULL,
  role_ids     uuid[] NOT NULL,
  team_id      uuid,
  manager_id   uuid,
  time_zone    text NOT NULL,
  language     text NOT NULL,
  status       smallint NOT NULL,
  external_ids jsonb NOT NULL,
  create_time  timestamptz NOT NULL,
  update_time  timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE account IS 'history';
CREATE UNIQUE INDEX account_email ON account (tenant_id, email);
CREATE INDEX account_create_time ON account (tenant_id, create_time, id);
CREATE INDEX account_display_name ON account (tenant_id, display_name, id);
CREATE INDEX account_team ON account (tenant_id, team_id, id);
CREATE INDEX account_roles ON account USING gin (role_ids);

CREATE TABLE team (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  revision    integer NOT NULL,
  name        text NOT NULL,
  parent_id   uuid,
  head_id     uuid,
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  delete_time timestamptz,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE team IS 'history';
CREATE INDEX team_parent ON team (tenant_id, parent_id);
CREATE INDEX team_head ON team (tenant_id, head_id);

CREATE TABLE role (
  tenant_id     uuid NOT NULL,
  id            uuid NOT NULL,
  revision      integer NOT NULL,
  name          text NOT NULL,
  grants        jsonb NOT NULL,
  personal_data boolean NOT NULL,
  code          text NOT NULL,
  create_time   timestamptz NOT NULL,
  update_time   timestamptz NOT NULL,
  delete_time   timestamptz,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE role IS 'history';
CREATE UNIQUE INDEX role_name ON role (tenant_id, name) WHERE delete_time IS NULL;

CREATE TABLE api_key (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  revision    integer NOT NULL,
  name        text NOT NULL,
  role_ids    uuid[] NOT NULL,
  creator_id  uuid,
  expire_time timestamptz,
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  delete_time timestamptz,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE api_key IS 'history';
CREATE INDEX api_key_create_time ON api_key (tenant_id, create_time, id);

-- Secrets stand apart from the records, which travel in events and history. Only hashes are kept.
CREATE TABLE api_key_secret (
  tenant_id uuid NOT NULL,
  key_id    uuid NOT NULL,
  hash      bytea NOT NULL,
  PRIMARY KEY (tenant_id, key_id)
);

CREATE TABLE credential (
  tenant_id     uuid NOT NULL,
  user_id       uuid NOT NULL,
  password_hash text NOT NULL,  -- argon2id, libsodium's text form
  update_time   timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, user_id)
);

CREATE TABLE session (
  tenant_id             uuid NOT NULL,
  id                    uuid NOT NULL,
  user_id               uuid NOT NULL,
  refresh_hash          bytea NOT NULL,  -- empty for cookie sessions
  previous_refresh_hash bytea NOT NULL,  -- the one before: its use again is theft
  cookie_hash           bytea NOT NULL,  -- empty for token sessions
  csrf_hash             text NOT NULL,
  device                text NOT NULL,
  create_time           timestamptz NOT NULL,
  expire_time           timestamptz NOT NULL,
  revoke_time           timestamptz,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX session_of_user ON session (tenant_id, user_id, create_time);

-- What other processes must hear of within seconds: changed roles (with their grants) and revoked ids.
CREATE TABLE access_change (
  tenant_id   uuid NOT NULL,
  id          bigint GENERATED ALWAYS AS IDENTITY,
  subject_id  text NOT NULL,  -- role_..., user_..., session_..., key_...
  grants      bytea NOT NULL, -- RoleGrants for roles, else empty
  create_time timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE access_change IS 'queue';
CREATE INDEX access_change_time ON access_change (create_time);
CREATE INDEX access_change_subject ON access_change (tenant_id, subject_id, create_time);

-- login -> tenant. No tenant: a login is looked up before its tenant is known.
CREATE TABLE directory (
  login       text NOT NULL PRIMARY KEY,
  owner_tenant uuid NOT NULL,
  user_id     uuid NOT NULL
);
GRANT SELECT, INSERT ON directory TO identity;

-- Failed sign-ins in a row per login. No tenant: the login may be nobody's.
CREATE TABLE login_failure (
  login        text NOT NULL PRIMARY KEY,
  failure_count integer NOT NULL,
  last_time    timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON login_failure TO identity;
