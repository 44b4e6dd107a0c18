# One installation. Before: a bucket in the region, and a release's zip and template in this folder.
provider "aws" {
  region = "eu-central-1"
}

module "ferry" {
  source  = "../"
  package = "${path.module}/ferry-0.1.0-arm64"
  bucket  = "acme-deployments"
  parameters = {
    BitbucketWorkspace    = "acme"
    IntegrationIdentifier = "acme-bitbucket"
    ResyncIntervalMinutes = 1440
    AlarmEmail            = "platform@example.com"
  }
}

# The command that asks for the credentials and stores them.
output "next" {
  value = module.ferry.outputs["CheckAndStoreCredentials"]
}
