#!/bin/sh
# Runs once, when PostgreSQL starts on an empty volume: a role and a database for each who has one.
set -eu

psql --quiet --set ON_ERROR_STOP=1 --username postgres \
    --set directory="$DIRECTORY_PASSWORD" --set history="$HISTORY_PASSWORD" <<'SQL'
CREATE ROLE berth LOGIN PASSWORD :'directory';
CREATE ROLE temporal LOGIN PASSWORD :'history';
CREATE DATABASE berth OWNER berth;
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
SQL
