//! Settings of Ocean that set nothing here, and why not.

/// Settings of Ocean for what is done otherwise here, or not at all.
pub(super) const WITHOUT_EFFECT: [(&str, &str); 20] = [
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
        "OCEAN__SSL__PORT__VERIFY",
        "certificates are always verified; SSL_CERT_FILE adds an authority",
    ),
    (
        "OCEAN__SSL__THIRD_PARTY__VERIFY",
        "certificates are always verified; SSL_CERT_FILE adds an authority",
    ),
    (
        "OCEAN__STATUS_HEARTBEAT_INTERVAL_SECONDS",
        "no sync metrics are sent, so no heartbeats",
    ),
    (
        "OCEAN__METRICS__ENABLED",
        "figures are printed for CloudWatch; see FERRY__METRICS_NAMESPACE",
    ),
];
