-- A schema that only these tests know.
CREATE TABLE item (
  tenant_id uuid NOT NULL,
  id        uuid NOT NULL,
  revision  integer NOT NULL,
  name      text NOT NULL CONSTRAINT item_name_allowed CHECK (name <> 'forbidden'),
  CONSTRAINT item_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT item_name UNIQUE (tenant_id, name)
);
COMMENT ON TABLE item IS 'Things for sale. history';

CREATE TABLE line (
  tenant_id uuid NOT NULL,
  id        uuid NOT NULL,
  item_id   uuid NOT NULL,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT line_item FOREIGN KEY (tenant_id, item_id) REFERENCES item DEFERRABLE INITIALLY DEFERRED
);
COMMENT ON TABLE line IS 'deletable';

CREATE TABLE job (
  tenant_id uuid NOT NULL,
  id        bigint GENERATED ALWAYS AS IDENTITY,
  bucket    smallint NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE job IS 'Work to be done. queue';

CREATE TABLE directory (login text PRIMARY KEY, tenant uuid NOT NULL);
