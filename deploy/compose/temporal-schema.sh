#!/bin/sh
# Brings Temporal's two databases up to the version of its server; does nothing when they are. SQL_* say where.
set -eu

for kind in temporal visibility; do
    case $kind in
        temporal) database=temporal ;;
        visibility) database=temporal_visibility ;;
    esac
    temporal-sql-tool --database "$database" setup-schema --version 0.0
    temporal-sql-tool --database "$database" update-schema --schema-name "postgresql/v12/$kind"
done
