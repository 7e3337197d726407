#!/bin/sh
# Creates the namespace TEMPORAL_NAMESPACE, unless there is one. Histories of ended reservations are kept 30 days.
set -eu

temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 720h
