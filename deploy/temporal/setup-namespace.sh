#!/bin/sh
# Create the namespace and the search attributes the workflows set; harmless to run again.
# TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE are read by the CLI itself.
set -eu

# Closed runs stay visible this long. Launching the same execution twice is refused by Temporal
# only within it (Postgres refuses it for ever), so keep it above the age of the oldest event
# that may still be relayed.
RETENTION=${TEMPORAL_RETENTION:-30d}
ATTEMPTS=60

# A fresh server answers before it can serve, and a new namespace reaches its caches within seconds.
retry() {
    attempt=1
    until output=$("$@" 2>&1); do
        if [ "$attempt" -ge "$ATTEMPTS" ]; then
            printf '%s\n' "$output" >&2
            echo "error: gave up on: $*" >&2
            exit 1
        fi
        attempt=$((attempt + 1))
        sleep 2
    done
}

retry temporal operator cluster health
if ! temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
    retry temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" \
        --retention "$RETENTION"
fi
# The CLI pairs each name with its own type: one --type for all would create only the first.
retry temporal operator search-attribute create \
    --name FixlifyOrganization --type Keyword \
    --name FixlifyAutomation --type Keyword \
    --name FixlifySubject --type Keyword \
    --name FixlifyTrigger --type Keyword
echo "Namespace $TEMPORAL_NAMESPACE is ready."
