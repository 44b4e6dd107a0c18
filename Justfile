# Everyday commands; `just` lists them.

_default:
    @just --list

# all that CI checks
check *steps:
    ./.ci/run {{ steps }}

# all tests
test *arguments:
    cargo test --workspace {{ arguments }}

# look at snapshots that changed
review:
    cargo insta review

# Ferry between a simulated Bitbucket and a simulated Port, to play with
demo:
    cargo run --package sandbox

# the function as it is deployed (needs cargo-lambda and the AWS SAM command line)
build architecture="arm64":
    sam build --parameter-overrides Architecture={{ architecture }}
