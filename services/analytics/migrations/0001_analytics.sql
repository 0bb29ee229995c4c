-- Projections of other services' events. Nothing here is anybody's truth: every table can be emptied, together with the
-- positions, and fills again from the producers. The columns stand once more in rules/projection.h, in the same order.

CREATE TABLE deal_fact (
  tenant_id        uuid NOT NULL,
  id               uuid NOT NULL,
  revision         integer NOT NULL,
  pipeline_id      uuid NOT NULL,
  stage_id         uuid NOT NULL,
  status           smallint NOT NULL,  -- crm.deal_pipeline.v1.DealStatus
  visit            integer NOT NULL,
  owner_id         uuid,
  team_id          uuid,
  company_id       uuid,
  contact_id       uuid,
  source           text NOT NULL,
  amount           numeric,            -- exact, never rounded
  currency_code    text NOT NULL,
  open_time        timestamptz NOT NULL,
  stage_enter_time timestamptz NOT NULL,
  won_time         timestamptz,
  lost_time        timestamptz,
  lost_reason      text NOT NULL,
  deleted          boolean NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
-- Each report asks for a stretch of one of these times.
CREATE INDEX deal_fact_won_time ON deal_fact (tenant_id, won_time) WHERE won_time IS NOT NULL AND NOT deleted;
CREATE INDEX deal_fact_lost_time ON deal_fact (tenant_id, lost_time) WHERE lost_time IS NOT NULL AND NOT deleted;
CREATE INDEX deal_fact_open_time ON deal_fact (tenant_id, open_time) WHERE NOT deleted;
CREATE INDEX deal_fact_pipeline ON deal_fact (tenant_id, pipeline_id, open_time) WHERE NOT deleted;

CREATE TABLE deal_line_fact (
  tenant_id     uuid NOT NULL,
  deal_id       uuid NOT NULL,
  line          integer NOT NULL,
  product_id    uuid,
  name          text NOT NULL,
  quantity      numeric NOT NULL,
  total         numeric NOT NULL,
  currency_code text NOT NULL,
  PRIMARY KEY (tenant_id, deal_id, line)
);
COMMENT ON TABLE deal_line_fact IS 'Lines of deals. deletable';

CREATE TABLE stage_entry_fact (
  tenant_id  uuid NOT NULL,
  deal_id    uuid NOT NULL,
  visit      integer NOT NULL,
  stage_id   uuid NOT NULL,
  enter_time timestamptz NOT NULL,
  leave_time timestamptz,
  PRIMARY KEY (tenant_id, deal_id, visit)
);

CREATE TABLE pipeline_fact (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  revision    integer NOT NULL,
  name        text NOT NULL,
  stage_ids   uuid[] NOT NULL,
  stage_names text[] NOT NULL,
  stage_kinds integer[] NOT NULL,  -- crm.deal_pipeline.v1.StageKind
  PRIMARY KEY (tenant_id, id)
);

CREATE TABLE product_fact (
  tenant_id uuid NOT NULL,
  id        uuid NOT NULL,
  revision  integer NOT NULL,
  name      text NOT NULL,
  PRIMARY KEY (tenant_id, id)
);

CREATE TABLE company_fact (
  tenant_id    uuid NOT NULL,
  id           uuid NOT NULL,
  revision     integer NOT NULL,
  name         text NOT NULL,
  country_code text NOT NULL,
  PRIMARY KEY (tenant_id, id)
);

CREATE TABLE contact_fact (
  tenant_id    uuid NOT NULL,
  id           uuid NOT NULL,
  revision     integer NOT NULL,
  country_code text NOT NULL,
  company_id   uuid,
  PRIMARY KEY (tenant_id, id)
);

CREATE TABLE user_fact (
  tenant_id uuid NOT NULL,
  id        uuid NOT NULL,
  revision  integer NOT NULL,
  name      text NOT NULL,
  team_id   uuid,
  PRIMARY KEY (tenant_id, id)
);

CREATE TABLE tenant_fact (
  tenant_id     uuid NOT NULL,
  revision      integer NOT NULL,
  time_zone     text NOT NULL,
  currency_code text NOT NULL,
  PRIMARY KEY (tenant_id)
);

CREATE TABLE activity_fact (
  tenant_id uuid NOT NULL,
  producer  text NOT NULL,
  seq       bigint NOT NULL,
  kind      smallint NOT NULL,  -- Activity in rules/projection.h
  user_id   uuid NOT NULL,
  record_id text NOT NULL,
  time      timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, producer, seq)
);
CREATE INDEX activity_fact_time ON activity_fact (tenant_id, time);
