//! Settings of Ocean that set nothing here, and why not.

/// Settings of Ocean for what is done otherwise here, or not at all.
pub(super) const WITHOUT_EFFECT: [(&str, &str); 38] = [
    ("OCEAN__INTEGRATION__TYPE", "it is always bitbucket-cloud"),
    ("OCEAN__RUNTIME", "there is one kind of installation"),
    (
        "OCEAN__CREATE_PORT_RESOURCES_ORIGIN",
        "default blueprints and mapping are created here",
    ),
    (
        "OCEAN__PORT__FEATURE_FLAGS_CACHE_TTL_SECONDS",
        "no feature flags are read",
    ),
    (
        "OCEAN__PORT__PORT_APP_CONFIG_CACHE_TTL",
        "live events use the mapping of the last run, and a saved one begins a run",
    ),
    (
        "OCEAN__PORT__BLUEPRINT_CACHE_TTL_SECONDS",
        "a run reads a blueprint once",
    ),
    (
        "OCEAN__EVENT_WORKERS_COUNT",
        "events of one repository keep their order, those of others do not wait for them",
    ),
    (
        "OCEAN__MAX_EVENT_PROCESSING_SECONDS",
        "an event is tried ten times over two hours",
    ),
    (
        "OCEAN__UPSERT_ENTITIES_BATCH_MAX_LENGTH",
        "batches are as large as Port takes them",
    ),
    (
        "OCEAN__UPSERT_ENTITIES_BATCH_MAX_SIZE_IN_BYTES",
        "batches are as large as Port takes them",
    ),
    (
        "OCEAN__DELETE_ENTITIES_MAX_BATCH_SIZE",
        "batches are as large as Port takes them",
    ),
    (
        "OCEAN__YIELD_ITEMS_TO_PARSE_BATCH_SIZE",
        "items are mapped one by one",
    ),
    (
        "OCEAN__ALLOW_ENVIRONMENT_VARIABLES_JQ_ACCESS",
        "jq never sees the environment",
    ),
    ("OCEAN__PROCESSING_MODE", "items are mapped here"),
    ("OCEAN__LAKEHOUSE_ENABLED", "items are mapped here"),
    (
        "OCEAN__OAUTH_ACCESS_TOKEN_FILE_PATH",
        "credentials come from variables or a secret",
    ),
    (
        "OCEAN__STATUS_HEARTBEAT_INTERVAL_SECONDS",
        "no sync metrics are sent, so no heartbeats",
    ),
    ("OCEAN__PROCESS_EXECUTION_MODE", "there is one process"),
    (
        "OCEAN__PROCESS_IN_QUEUE_TIMEOUT",
        "items are mapped one by one",
    ),
    (
        "OCEAN__PROCESS_IN_QUEUE_MAX_WORKERS",
        "items are mapped one by one",
    ),
    (
        "OCEAN__LAKEHOUSE_BUFFER_INTERVAL_SECONDS",
        "items are mapped here",
    ),
    ("OCEAN__LAKEHOUSE_BUFFER_MAX_COUNT", "items are mapped here"),
    (
        "OCEAN__CACHING_STORAGE_MODE",
        "state is kept in FERRY__STATE_DIR",
    ),
    (
        "OCEAN__RESOURCES_PATH",
        "default blueprints and mapping are part of the program",
    ),
    (
        "OCEAN__EVENTS_DEBUG_LOGGING",
        "FERRY__LOG sets what is logged",
    ),
    (
        "OCEAN__DISABLE_IP_OUTBOUND_BLOCKER",
        "requests go to Port, Bitbucket and AWS alone",
    ),
    ("OCEAN__PORT__INGEST_URL", "items are mapped here"),
    ("OCEAN__PORT__LIFECYCLE_URL", "items are mapped here"),
    ("OCEAN__PORT__APP_URL", "Port's pages are not called"),
    ("OCEAN__PORT__MCP_URL", "Port's pages are not called"),
    (
        "OCEAN__INTEGRATION__INCREMENTAL_SYNC_ENABLED",
        "webhooks tell what changes; each resync looks at everything",
    ),
    (
        "OCEAN__INTEGRATION__INCREMENTAL_SYNC_INTERVAL",
        "webhooks tell what changes; each resync looks at everything",
    ),
    (
        "OCEAN__EVENT_LISTENER__APP_HOST",
        "Port is asked for resyncs, whatever the type of listener",
    ),
    (
        "OCEAN__EVENT_LISTENER__AUTHENTICATION_MECHANISM",
        "Port is asked for resyncs, whatever the type of listener",
    ),
    (
        "OCEAN__EVENT_LISTENER__BROKERS",
        "Port is asked for resyncs, whatever the type of listener",
    ),
    (
        "OCEAN__EVENT_LISTENER__CONSUMER_POLL_TIMEOUT",
        "Port is asked for resyncs, whatever the type of listener",
    ),
    (
        "OCEAN__EVENT_LISTENER__KAFKA_SECURITY_ENABLED",
        "Port is asked for resyncs, whatever the type of listener",
    ),
    (
        "OCEAN__EVENT_LISTENER__SECURITY_PROTOCOL",
        "Port is asked for resyncs, whatever the type of listener",
    ),
];

/// Groups of settings of Ocean, by what their names begin with. What is read here is not meant.
pub(super) const FAMILIES: [(&str, &str); 7] = [
    ("OCEAN__ACTIONS_PROCESSOR", "Ferry runs no actions"),
    ("OCEAN__DATABASE", "state is kept in FERRY__STATE_DIR"),
    ("OCEAN__IDENTITY_PROPAGATION", "Ferry runs no actions"),
    (
        "OCEAN__LIVE_EVENTS",
        "webhooks wait in Ferry's own queue, in FERRY__STATE_DIR",
    ),
    (
        "OCEAN__METRICS",
        "figures are printed for CloudWatch; see FERRY__METRICS_NAMESPACE",
    ),
    (
        "OCEAN__SSL",
        "certificates are always verified; SSL_CERT_FILE adds an authority",
    ),
    ("OCEAN__STREAMING", "answers are read as they come"),
];

/// What the names of whole groups begin with.
pub(super) fn families() -> Vec<&'static str> {
    FAMILIES.iter().map(|(family, _)| *family).collect()
}
