#!/bin/sh
# Bring both of Temporal's databases to the schema of this image; harmless to run again.
set -eu

update() {
    database=$1
    schema=$2
    # The password comes from SQL_PASSWORD, which the tool reads itself.
    set -- temporal-sql-tool --plugin postgres12 \
        --ep "$SQL_HOST" -p "$SQL_PORT" -u "$SQL_USER" --db "$database"
    # Sets up the version tables; a database that is past 0.0 keeps its version.
    "$@" setup-schema -v 0.0
    "$@" update-schema -d "/etc/temporal/schema/postgresql/v12/$schema/versioned"
}

update temporal temporal
update temporal_visibility visibility
