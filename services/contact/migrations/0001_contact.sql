-- People and organisations, how they are found, and their ids elsewhere.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;

CREATE TABLE contact (
  tenant_id     uuid NOT NULL,
  id            uuid NOT NULL,
  revision      integer NOT NULL,
  given_name    text NOT NULL,
  family_name   text NOT NULL,
  middle_name   text NOT NULL,
  display_name  text NOT NULL,
  roles         smallint[] NOT NULL,
  lifecycle     smallint NOT NULL,
  unaccepted    boolean NOT NULL,
  phones        jsonb NOT NULL,
  emails        jsonb NOT NULL,
  messengers    jsonb NOT NULL,
  addresses     jsonb NOT NULL,
  company_id    uuid,
  job_title     text NOT NULL,
  sex           smallint NOT NULL,
  birth_date    text NOT NULL,
  language      text NOT NULL,
  city          text NOT NULL,
  region        text NOT NULL,
  country_code  text NOT NULL,
  time_zone     text NOT NULL,
  source        text NOT NULL,
  tags          text[] NOT NULL,
  note          text NOT NULL,
  external_ids  jsonb NOT NULL,
  owner_id      uuid,
  team_id       uuid,
  create_time   timestamptz NOT NULL,
  update_time   timestamptz NOT NULL,
  delete_time   timestamptz,
  creator_id    text NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE contact IS 'history';
CREATE INDEX contact_create_time ON contact (tenant_id, create_time, id);
CREATE INDEX contact_update_time ON contact (tenant_id, update_time, id);
CREATE INDEX contact_display_name ON contact (tenant_id, display_name, id);
CREATE INDEX contact_owner ON contact (tenant_id, owner_id, create_time, id);
CREATE INDEX contact_team ON contact (tenant_id, team_id, create_time, id);
CREATE INDEX contact_company ON contact (tenant_id, company_id, id) WHERE company_id IS NOT NULL;
CREATE INDEX contact_city ON contact (tenant_id, city, id) WHERE city <> '';
CREATE INDEX contact_country ON contact (tenant_id, country_code, id) WHERE country_code <> '';
CREATE INDEX contact_tags ON contact USING gin (tenant_id, tags) WHERE tags <> '{}';

CREATE TABLE company (
  tenant_id     uuid NOT NULL,
  id            uuid NOT NULL,
  revision      integer NOT NULL,
  name          text NOT NULL,
  legal_name    text NOT NULL,
  tax_id        text NOT NULL,
  roles         smallint[] NOT NULL,
  lifecycle     smallint NOT NULL,
  unaccepted    boolean NOT NULL,
  phones        jsonb NOT NULL,
  emails        jsonb NOT NULL,
  messengers    jsonb NOT NULL,
  addresses     jsonb NOT NULL,
  parent_id     uuid,
  industry      text NOT NULL,
  website       text NOT NULL,
  city          text NOT NULL,
  region        text NOT NULL,
  country_code  text NOT NULL,
  source        text NOT NULL,
  tags          text[] NOT NULL,
  note          text NOT NULL,
  external_ids  jsonb NOT NULL,
  owner_id      uuid,
  team_id       uuid,
  create_time   timestamptz NOT NULL,
  update_time   timestamptz NOT NULL,
  delete_time   timestamptz,
  creator_id    text NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE company IS 'history';
CREATE INDEX company_create_time ON company (tenant_id, create_time, id);
CREATE INDEX company_update_time ON company (tenant_id, update_time, id);
CREATE INDEX company_name ON company (tenant_id, name, id);
CREATE INDEX company_owner ON company (tenant_id, owner_id, create_time, id);
CREATE INDEX company_team ON company (tenant_id, team_id, create_time, id);
CREATE INDEX company_city ON company (tenant_id, city, id) WHERE city <> '';
CREATE INDEX company_country ON company (tenant_id, country_code, id) WHERE country_code <> '';
CREATE INDEX company_tags ON company USING gin (tenant_id, tags) WHERE tags <> '{}';

-- Exact lookups: a phone in E.164, a folded e-mail address, a messenger's handle. Two records may share one.
CREATE TABLE record_key (
  tenant_id uuid NOT NULL,
  object    text NOT NULL,  -- 'contact', 'company'
  kind      text NOT NULL,  -- 'phone', 'email', 'messenger'
  key       text NOT NULL,
  record_id uuid NOT NULL,
  PRIMARY KEY (tenant_id, object, kind, key, record_id)
);
COMMENT ON TABLE record_key IS 'deletable';
CREATE INDEX record_key_record ON record_key (tenant_id, record_id);

-- Ids in other systems: one record each.
CREATE TABLE external_id (
  tenant_id   uuid NOT NULL,
  object      text NOT NULL,
  system      text NOT NULL,
  external_id text NOT NULL,
  record_id   uuid NOT NULL,
  PRIMARY KEY (tenant_id, object, system, external_id)
);
COMMENT ON TABLE external_id IS 'deletable';
CREATE INDEX external_id_record ON external_id (tenant_id, record_id);

-- What a search looks through: `name` folded for prefixes, `text` folded (with a Latin transliteration) for substrings.
CREATE TABLE search_entry (
  tenant_id uuid NOT NULL,
  object    text NOT NULL,
  record_id uuid NOT NULL,
  name      text NOT NULL,
  text      text NOT NULL,
  PRIMARY KEY (tenant_id, object, record_id)
);
CREATE INDEX search_entry_name ON search_entry (tenant_id, object, name text_pattern_ops);
CREATE INDEX search_entry_text ON search_entry USING gin (tenant_id, text gin_trgm_ops);
