#!/bin/sh
# Give Fixlify and Temporal a role and databases of their own, on the first start of an empty volume.
set -eu

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv fixlify_password FIXLIFY_DB_PASSWORD
\getenv temporal_password TEMPORAL_DB_PASSWORD

-- Neither is a superuser: the row-level security of the product holds for its owner's processes,
-- and Temporal cannot read a client's address. CREATEROLE is for the roles `fixlify migrate` makes.
CREATE ROLE fixlify LOGIN CREATEROLE PASSWORD :'fixlify_password';
-- Since Postgres 16 whoever creates a role may not take it unless this says so.
ALTER ROLE fixlify SET createrole_self_grant = 'set, inherit';
CREATE ROLE temporal LOGIN PASSWORD :'temporal_password';

CREATE DATABASE fixlify OWNER fixlify;
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;

REVOKE CONNECT ON DATABASE fixlify FROM PUBLIC;
REVOKE CONNECT ON DATABASE temporal FROM PUBLIC;
REVOKE CONNECT ON DATABASE temporal_visibility FROM PUBLIC;
SQL
