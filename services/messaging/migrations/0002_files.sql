-- Files: what is known of them, and their bytes in rows small enough to be read one by one.
CREATE TABLE file (
  tenant_id       uuid NOT NULL,
  id              uuid NOT NULL,
  revision        integer NOT NULL,
  name            text NOT NULL,
  size_bytes      integer NOT NULL,
  sha256          text NOT NULL,
  content_type    text NOT NULL,
  status          smallint NOT NULL,
  record_id       text,
  part_size_bytes integer NOT NULL,
  expire_time     timestamptz,
  owner_id        uuid,
  team_id         uuid,
  create_time     timestamptz NOT NULL,
  update_time     timestamptz NOT NULL,
  delete_time     timestamptz,
  creator_id      text NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE file IS 'Stored files. The purge looks for what has expired or was deleted across tenants: queue deletable';
CREATE INDEX file_create_time ON file (tenant_id, create_time, id);
CREATE INDEX file_owner ON file (tenant_id, owner_id, create_time, id);
CREATE INDEX file_team ON file (tenant_id, team_id, create_time, id);
CREATE INDEX file_record ON file (tenant_id, record_id, create_time, id) WHERE record_id IS NOT NULL;
CREATE INDEX file_expire_time ON file (expire_time) WHERE expire_time IS NOT NULL;
CREATE INDEX file_delete_time ON file (delete_time) WHERE delete_time IS NOT NULL;

-- The bytes, 256 KiB a row.
CREATE TABLE file_chunk (
  tenant_id uuid NOT NULL,
  file_id   uuid NOT NULL,
  number    integer NOT NULL,
  data      bytea NOT NULL,
  PRIMARY KEY (tenant_id, file_id, number)
);
COMMENT ON TABLE file_chunk IS 'deletable';
-- What people upload is compressed already.
ALTER TABLE file_chunk ALTER COLUMN data SET STORAGE EXTERNAL;

-- Parts of an upload that have come.
CREATE TABLE file_part (
  tenant_id uuid NOT NULL,
  file_id   uuid NOT NULL,
  number    integer NOT NULL,
  PRIMARY KEY (tenant_id, file_id, number)
);
COMMENT ON TABLE file_part IS 'deletable';

-- The SHA-256 of an upload's first parts, as far as they came in order, so that a large file is not read again at its end.
CREATE TABLE file_digest (
  tenant_id    uuid NOT NULL,
  file_id      uuid NOT NULL,
  parts_hashed integer NOT NULL,
  state        bytea NOT NULL,
  PRIMARY KEY (tenant_id, file_id)
);
COMMENT ON TABLE file_digest IS 'deletable';

-- What a tenant's files take, against its limit.
CREATE TABLE file_usage (
  tenant_id uuid NOT NULL,
  bytes     bigint NOT NULL,
  PRIMARY KEY (tenant_id)
);
