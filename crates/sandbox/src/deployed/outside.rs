//! What Ferry stands between, and the services of AWS that it uses: all on loopback addresses.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::aws::{FifoQueue, Program, SecretsManager, Table};
use sandbox::bitbucket::{Bitbucket, Workspace};
use sandbox::port::Port;
use serde_json::json;

use crate::arguments::Ports;

/// The installation's name in Port.
pub(crate) const IDENTIFIER: &str = "demo";

const PORT_CLIENT_ID: &str = "test-client";
pub(crate) const PORT_CLIENT_SECRET: &str = "test-secret";

const SECRET_NAME: &str = "ferry/credentials";

/// With which the sandbox itself looks at the workspace: revoking Ferry's does not blind it.
const OBSERVER_TOKEN: &str = "sandbox-observer-token";

pub(crate) struct Outside {
    pub(crate) bitbucket: Bitbucket,
    pub(crate) port: Port,
    pub(crate) queue: FifoQueue,
    pub(crate) table: Table,
    secrets: SecretsManager,
}

impl Outside {
    /// The demo workspace, an empty catalogue, and credentials for both in the secret.
    ///
    /// # Errors
    /// When a port is taken.
    pub(crate) async fn start(ports: Ports) -> anyhow::Result<Outside> {
        let bitbucket = Bitbucket::start_at(ports.bitbucket, Workspace::demo()?).await?;
        bitbucket.accept_token(OBSERVER_TOKEN);
        let secrets = SecretsManager::start().await?;
        let credentials = json!({
            "portClientId": PORT_CLIENT_ID,
            "portClientSecret": PORT_CLIENT_SECRET,
            "bitbucketWorkspaceToken": Bitbucket::TOKEN,
        });
        secrets.put(SECRET_NAME, &credentials.to_string());
        Ok(Outside {
            bitbucket,
            port: Port::start_at(ports.port).await?,
            queue: FifoQueue::start().await?,
            table: Table::start().await?,
            secrets,
        })
    }

    /// The function with the variables that template.yaml gives it.
    pub(crate) fn program(&self, binary: &Path) -> Program {
        self.between(binary, &self.port)
            .var("FERRY__SECRET_ID", SECRET_NAME)
            .var("FERRY__WEBHOOK_SECRET", "derived")
            .var("FERRY__QUEUE_URL", self.queue.url())
            .var("FERRY__STATE_TABLE", "ferry")
            .var("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.secrets.url())
            .var("AWS_ENDPOINT_URL_DYNAMODB", self.table.server().url())
            .var("AWS_ENDPOINT_URL_SQS", self.queue.server().url())
    }

    /// A function that remembers nothing and writes into another catalogue, with a token of its own.
    pub(crate) fn observer(&self, binary: &Path, port: &Port) -> Program {
        self.between(binary, port)
            .var("OCEAN__PORT__CLIENT_ID", PORT_CLIENT_ID)
            .var("OCEAN__PORT__CLIENT_SECRET", PORT_CLIENT_SECRET)
            .var(
                "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
                OBSERVER_TOKEN,
            )
    }

    fn between(&self, binary: &Path, port: &Port) -> Program {
        let setting = |name: &str| format!("OCEAN__INTEGRATION__CONFIG__BITBUCKET_{name}");
        Program::new(binary)
            .var("OCEAN__PORT__BASE_URL", port.url())
            .var("OCEAN__INTEGRATION__IDENTIFIER", IDENTIFIER)
            .var(setting("HOST_URL"), self.bitbucket.url())
            .var(setting("WORKSPACE"), self.bitbucket.workspace())
            .var("FERRY__LOG", "WARN")
    }

    /// Requests that Ferry has sent to Bitbucket and to Port so far.
    pub(crate) fn requests(&self) -> (usize, usize) {
        // Where git is spoken, the kind of a token is its user name.
        let pair = STANDARD.encode(format!("x-token-auth:{OBSERVER_TOKEN}"));
        let observer = [format!("Bearer {OBSERVER_TOKEN}"), format!("Basic {pair}")];
        let asked = self.bitbucket.server().requests();
        let of_ferry = asked.iter().filter(|request| {
            let given = request.header("authorization").unwrap_or_default();
            observer.iter().all(|own| own != given)
        });
        (of_ferry.count(), self.port.server().count())
    }
}
