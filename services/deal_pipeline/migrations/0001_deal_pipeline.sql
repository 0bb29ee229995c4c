-- Pipelines, deals, leads and the catalogue.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;

-- What we must know of a tenant without asking identity: kept from its events.
CREATE TABLE tenant (
  tenant_id     uuid NOT NULL PRIMARY KEY,
  country_code  text NOT NULL,
  currency_code text NOT NULL,
  administrator_id uuid NOT NULL
);

CREATE TABLE pipeline (
  tenant_id    uuid NOT NULL,
  id           uuid NOT NULL,
  revision     integer NOT NULL,
  name         text NOT NULL,
  kind         text NOT NULL,
  stages       jsonb NOT NULL,
  is_default   boolean NOT NULL,
  lost_reasons text[] NOT NULL,
  create_time  timestamptz NOT NULL,
  update_time  timestamptz NOT NULL,
  delete_time  timestamptz,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE pipeline IS 'history';
CREATE UNIQUE INDEX pipeline_name ON pipeline (tenant_id, name) WHERE delete_time IS NULL;
CREATE UNIQUE INDEX pipeline_default ON pipeline (tenant_id) WHERE is_default AND delete_time IS NULL;

CREATE TABLE product (
  tenant_id                uuid NOT NULL,
  id                       uuid NOT NULL,
  revision                 integer NOT NULL,
  name                     text NOT NULL,
  sku                      text NOT NULL,
  kind                     smallint NOT NULL,
  category                 text NOT NULL,
  unit                     text NOT NULL,
  unit_price_amount        numeric,
  unit_price_currency_code text,
  cost_amount              numeric,
  cost_currency_code       text,
  supplier_id              uuid,
  discontinued             boolean NOT NULL,
  description              text NOT NULL,
  external_ids             jsonb NOT NULL,
  create_time              timestamptz NOT NULL,
  update_time              timestamptz NOT NULL,
  delete_time              timestamptz,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE product IS 'history';
CREATE UNIQUE INDEX product_sku ON product (tenant_id, sku) WHERE sku <> '' AND delete_time IS NULL;
CREATE INDEX product_create_time ON product (tenant_id, create_time, id);
CREATE INDEX product_name ON product (tenant_id, name, id);
CREATE INDEX product_category ON product (tenant_id, category, id) WHERE category <> '';
CREATE INDEX product_supplier ON product (tenant_id, supplier_id, id) WHERE supplier_id IS NOT NULL;
CREATE INDEX product_name_part ON product USING gin (tenant_id, name gin_trgm_ops);

CREATE TABLE deal (
  tenant_id            uuid NOT NULL,
  id                   uuid NOT NULL,
  revision             integer NOT NULL,
  title                text NOT NULL,
  number               text NOT NULL,
  pipeline_id          uuid NOT NULL,
  stage_id             uuid NOT NULL,
  status               smallint NOT NULL,
  amount_amount        numeric,
  amount_currency_code text,
  lines                jsonb NOT NULL,
  contact_id           uuid,
  contacts             jsonb NOT NULL,
  company_id           uuid,
  lead_id              uuid,
  source               text NOT NULL,
  expected_close_date  date,
  tags                 text[] NOT NULL,
  lost_reason          text NOT NULL,
  open_time            timestamptz NOT NULL,
  stage_enter_time     timestamptz NOT NULL,
  won_time             timestamptz,
  lost_time            timestamptz,
  paid_time            timestamptz,
  ship_time            timestamptz,
  external_ids         jsonb NOT NULL,
  note                 text NOT NULL,
  owner_id             uuid,
  team_id              uuid,
  create_time          timestamptz NOT NULL,
  update_time          timestamptz NOT NULL,
  delete_time          timestamptz,
  creator_id           text NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE deal IS 'history';
CREATE INDEX deal_create_time ON deal (tenant_id, create_time, id);
CREATE INDEX deal_update_time ON deal (tenant_id, update_time, id);
-- The board's columns, and the same list page by page.
CREATE INDEX deal_stage ON deal (tenant_id, stage_id, stage_enter_time, id) WHERE delete_time IS NULL;
CREATE INDEX deal_stage_owner ON deal (tenant_id, stage_id, owner_id, stage_enter_time, id) WHERE delete_time IS NULL;
CREATE INDEX deal_owner ON deal (tenant_id, owner_id, create_time, id);
CREATE INDEX deal_team ON deal (tenant_id, team_id, create_time, id);
CREATE INDEX deal_contact ON deal (tenant_id, contact_id, create_time, id) WHERE contact_id IS NOT NULL;
CREATE INDEX deal_company ON deal (tenant_id, company_id, create_time, id) WHERE company_id IS NOT NULL;
-- Overdue deals: open ones by the day they should close.
CREATE INDEX deal_expected_close ON deal (tenant_id, expected_close_date, id) WHERE status = 1 AND delete_time IS NULL;
CREATE INDEX deal_won_time ON deal (tenant_id, won_time, id) WHERE won_time IS NOT NULL;
CREATE INDEX deal_title_part ON deal USING gin (tenant_id, title gin_trgm_ops);
CREATE INDEX deal_tags ON deal USING gin (tenant_id, tags) WHERE tags <> '{}';

-- A deal's stays in stages. `visit` counts from 1; the last one has no leave_time.
CREATE TABLE stage_visit (
  tenant_id  uuid NOT NULL,
  deal_id    uuid NOT NULL,
  visit      integer NOT NULL,
  stage_id   uuid NOT NULL,
  stage_name text NOT NULL,
  enter_time timestamptz NOT NULL,
  leave_time timestamptz,
  actor_id   text NOT NULL,
  PRIMARY KEY (tenant_id, deal_id, visit)
);

-- The board's counts and sums, kept in slices so that many writers of one stage do not wait for each other, and by owner and
-- team, so that a reader's own scope can be summed. The slice comes from the deal's id: adding and taking away meet.
CREATE TABLE stage_total (
  tenant_id     uuid NOT NULL,
  stage_id      uuid NOT NULL,
  owner_id      uuid NOT NULL,  -- nil for none
  team_id       uuid NOT NULL,  -- nil for none
  currency_code text NOT NULL,  -- '' for deals without an amount
  slice         smallint NOT NULL,
  deal_count    integer NOT NULL,
  amount        numeric NOT NULL,
  PRIMARY KEY (tenant_id, stage_id, owner_id, team_id, currency_code, slice)
);

CREATE TABLE form (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  revision    integer NOT NULL,
  name        text NOT NULL,
  pipeline_id uuid,
  owner_id    uuid,
  enabled     boolean NOT NULL,
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  delete_time timestamptz,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE form IS 'history';

CREATE TABLE lead (
  tenant_id      uuid NOT NULL,
  id             uuid NOT NULL,
  revision       integer NOT NULL,
  title          text NOT NULL,
  name           text NOT NULL,
  phone          text NOT NULL,
  email          text NOT NULL,
  company_name   text NOT NULL,
  message        text NOT NULL,
  source         text NOT NULL,
  form_id        uuid,
  utm            jsonb NOT NULL,
  page_url       text NOT NULL,
  answers        jsonb NOT NULL,
  status         smallint NOT NULL,
  decline_reason text NOT NULL,
  contact_id     uuid,
  deal_id        uuid,
  close_time     timestamptz,
  owner_id       uuid,
  team_id        uuid,
  create_time    timestamptz NOT NULL,
  update_time    timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE lead IS 'history';
CREATE INDEX lead_create_time ON lead (tenant_id, create_time, id);
CREATE INDEX lead_status ON lead (tenant_id, status, create_time, id);
CREATE INDEX lead_owner ON lead (tenant_id, owner_id, create_time, id);
CREATE INDEX lead_team ON lead (tenant_id, team_id, create_time, id);

-- Ids in other systems: one record each.
CREATE TABLE external_id (
  tenant_id   uuid NOT NULL,
  object      text NOT NULL,  -- 'deal', 'product'
  system      text NOT NULL,
  external_id text NOT NULL,
  record_id   uuid NOT NULL,
  PRIMARY KEY (tenant_id, object, system, external_id)
);
COMMENT ON TABLE external_id IS 'deletable';
CREATE INDEX external_id_record ON external_id (tenant_id, record_id);
