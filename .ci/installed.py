#!/usr/bin/env python3
"""Every documented way to install and to leave, walked at a terminal, on an emulator of AWS that runs the functions.

`sam deploy --guided` three ways, each twice: the secret filled by `ferry secret put`, by the line for the AWS command
line, given by its ARN. `ferry install` at a terminal, as an update, with what goes wrong, and as the commands that it
prints. Each installation comes to its first completed run and its webhook, and leaves without a trace. Takes what
`.ci/run deployed` prepares (emulation.py).
"""

import io
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import boto3
import pexpect

from emulation import BUCKET, CODE, FERRY, MINISTACK, TEMPLATE, emulated, get, guided, outputs_of, require, wait_for

# Where sam keeps the templates of guided deployments.
SAMS_OWN = "aws-sam-cli-managed-default"
IDENTIFIER = "my-bitbucket-cloud-integration"


class World:
    """The sandbox's servers, as an installation is told of them, and what may be left of one."""

    def __init__(self, folder, places):
        self.folder, self.places = folder, places
        self.template = folder / TEMPLATE.name
        self.template.write_text(led_to(TEMPLATE.read_text(encoding="utf-8"), places), encoding="utf-8")
        boto3.client("s3").upload_file(str(CODE), BUCKET, CODE.name)
        # What is documented is run as it is documented: `ferry` and `aws` are on the path.
        path = [str(Path(FERRY).parent), str(Path(MINISTACK).parent), os.environ["PATH"]]
        kept = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        self.environment = {
            **kept, "PATH": os.pathsep.join(path), "HOME": str(folder), "TERM": "xterm",
            "OCEAN__PORT__BASE_URL": places["port"],
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL": places["bitbucket"],
        }
        self.credentials = {
            "portClientId": places["clientId"], "portClientSecret": places["clientSecret"],
            "bitbucketWorkspaceToken": places["token"],
        }
        self.document = folder / "credentials.json"
        self.document.write_text(json.dumps(self.credentials), encoding="utf-8")
        self.answers = {
            "BitbucketWorkspace": places["workspace"], "CodeBucket": BUCKET, "CodeKey": CODE.name,
            "PortBaseUrl": places["port"],
        }

    def hooks(self):
        hooks = get(f"{self.places['bitbucket']}/workspaces/{self.places['workspace']}/hooks", self.places["token"])
        return [hook["url"] for hook in hooks["values"]]

    def ferry(self, *arguments, **options):
        """Runs it to its end without a terminal: what it exits with, and all that it said."""
        done = subprocess.run(
            [FERRY, *arguments], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            stdin=subprocess.DEVNULL, **options,
        )
        return done.returncode, done.stdout

    def at_a_terminal(self, command, answers):
        """Runs a command of a shell, and answers its questions in their order; returns what was to be seen."""
        terminal = pexpect.spawn(
            "bash", ["-c", command], env=self.environment, cwd=self.folder, timeout=300, encoding="utf-8", dimensions=(50, 250),
        )
        log = terminal.logfile_read = io.StringIO()
        secrets = (self.places["clientSecret"], self.places["token"])
        for question, answer in answers:
            if terminal.expect([question, pexpect.EOF]) != 0:
                sys.exit(f"installed: nobody asked for {question}:\n{log.getvalue()}")
            if answer.strip() in secrets:
                require(terminal.waitnoecho(10), "a terminal is asked to show no secret")
            terminal.send(answer)
        terminal.expect(pexpect.EOF)
        terminal.close()
        shown = log.getvalue()
        if terminal.exitstatus:
            sys.exit(f"installed: {command} failed:\n{shown}")
        # The sandbox's client secret is an ordinary word.
        require(self.places["token"] not in shown, "a terminal does not show secrets")
        return shown

    def typed_credentials(self):
        return [
            ("client id", self.places["clientId"] + "\n"), ("client secret", self.places["clientSecret"] + "\n"),
            ("E-mail", "\n"), ("workspace access token, or", self.places["token"] + "\n"),
        ]

    def comes_to_work(self, stack):
        """The first run is completed, by the schedule's tick or by ours, and the webhook leads here."""
        outputs = outputs_of(stack)
        tick = json.dumps({"action": "tick", "url": outputs["FunctionUrl"]})

        def completed():
            boto3.client("lambda").invoke(FunctionName=outputs["RunsFunctionName"], Payload=tick)
            key = {"pk": {"S": "run"}, "sk": {"S": "completed"}}
            return boto3.client("dynamodb").get_item(TableName=outputs["StateTableName"], Key=key).get("Item")

        wait_for(f"the first run of {stack}", completed)
        require(self.hooks() == [outputs["WebhookUrl"]], f"the webhook leads to {stack}: {self.hooks()}")

    def nothing_is_left(self, of, secrets=()):
        left = {
            "stacks": [name for name in stacks() if name != SAMS_OWN],
            "secrets": [each["ARN"] for each in boto3.client("secretsmanager").list_secrets()["SecretList"]
                        if each["ARN"] not in secrets],
            "logs": [each["logGroupName"] for each in boto3.client("logs").describe_log_groups()["logGroups"]],
            "functions": boto3.client("lambda").list_functions()["Functions"],
            "tables": boto3.client("dynamodb").list_tables()["TableNames"],
            "queues": boto3.client("sqs").list_queues().get("QueueUrls", []),
            "schedules": boto3.client("scheduler").list_schedules()["Schedules"],
            "roles": [each["RoleName"] for each in boto3.client("iam").list_roles()["Roles"] if of in each["RoleName"]],
            "code": [each["Key"] for each in boto3.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])
                     if each["Key"].startswith("ferry/") and each["Key"].endswith(".zip")],
            "hooks": self.hooks(),
        }
        left = {kind: names for kind, names in left.items() if names}
        require(not left, f"nothing is left of {of}: {left}")


def led_to(template, places):
    """The package's template with the one thing that no parameter can say: where the sandbox is."""
    reads = "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE:"
    host = f"OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL: {places['bitbucket']}"
    [line] = [line for line in template.splitlines() if reads in line]
    indent = line[: line.index(reads)]
    # And that the sandbox has no certificate.
    return template.replace(line, f"{indent}{host}\n{line}").replace('"^https://', '"^https?://').replace("^https://[^/]+$", "^https?://[^/]+$")


def main():
    with tempfile.TemporaryDirectory() as folder, emulated() as (_, places):
        world = World(Path(folder), places)
        guided_and_filled_by_ferry(world)
        guided_and_filled_by_aws(world)
        guided_with_a_secret_of_ones_own(world)
        what_goes_wrong(world)
        installed_at_a_terminal(world)
        printed(world)


def twice(world, stack, answers, fill):
    """A guided deployment, a secret that is filled, an installation that works; and the same once more, as an update."""
    folder = world.folder / stack
    folder.mkdir()
    guided(folder, world.answers | answers, stack, world.template)
    fill(outputs_of(stack))
    world.comes_to_work(stack)
    secret = outputs_of(stack)["CredentialsSecretArn"]
    before = boto3.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    guided(folder, {"LogRetentionDays": "14"}, stack, world.template)
    groups = boto3.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{stack}")["logGroups"]
    require(groups[0]["retentionInDays"] == 14, f"a second guided deployment of {stack} has its effect")
    after = boto3.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    require(json.loads(after) == json.loads(before), f"and leaves its secret alone: {stack}")
    world.comes_to_work(stack)


def guided_and_filled_by_ferry(world):
    twice(world, "asked", {}, lambda outputs: world.at_a_terminal(
        outputs["CheckAndStoreCredentials"].strip(), world.typed_credentials(),
    ))
    # What a stack's table remembers holds until a resync is asked for by hand.
    code, shown = world.ferry("uninstall", "--stack", "asked", "--yes", "--keep-secret")
    require(code == 0 and "is kept" in shown, f"a secret can be kept: {shown}")
    [kept] = boto3.client("secretsmanager").list_secrets()["SecretList"]
    code, shown = world.ferry("uninstall", "--stack", "asked", "--yes")
    require(code == 0 and kept["ARN"] in shown, f"and goes with the next one: {shown}")
    code, shown = world.ferry("uninstall", "--stack", "asked", "--yes")
    require(code == 0 and "There is no stack" in shown, f"nothing is left to do: {shown}")
    world.nothing_is_left("asked")


def guided_and_filled_by_aws(world):
    twice(world, "lined", {}, lambda outputs: subprocess.run(
        outputs["StoreCredentials"], shell=True, check=True, cwd=world.folder, env=world.environment, stdout=subprocess.DEVNULL,
    ))
    # Without `ferry`: the function removes the webhook, CloudFormation the rest.
    outputs, functions = outputs_of("lined"), boto3.client("lambda")

    def invoke(event):
        return json.load(functions.invoke(FunctionName=outputs["RunsFunctionName"], Payload=json.dumps(event))["Payload"])

    answer = invoke({"action": "uninstall"})
    require(answer == {"url": outputs["WebhookUrl"], "webhooks_removed": 1}, f"the function removes the webhook: {answer}")
    invoke({"action": "tick", "url": outputs["FunctionUrl"]})
    require(world.hooks() == [], f"a tick does not make it again: {world.hooks()}")
    formation = boto3.client("cloudformation")
    formation.delete_stack(StackName="lined")
    formation.get_waiter("stack_delete_complete").wait(StackName="lined", WaiterConfig={"Delay": 1})
    boto3.client("secretsmanager").delete_secret(SecretId=outputs["CredentialsSecretArn"], ForceDeleteWithoutRecovery=True)
    world.nothing_is_left("lined")


def guided_with_a_secret_of_ones_own(world):
    secrets = boto3.client("secretsmanager")
    own = secrets.create_secret(Name="own", SecretString=json.dumps(world.credentials))["ARN"]
    twice(world, "own", {"CredentialsSecretArn": own}, lambda outputs: None)
    shown = world.at_a_terminal("ferry uninstall --stack own", [("go on", "y")])
    require("webhook: 1 removed" in shown, f"its webhook is removed: {shown}")
    world.nothing_is_left("own", secrets=[own])
    secrets.delete_secret(SecretId=own, ForceDeleteWithoutRecovery=True)


def install(world, *arguments, bucket=BUCKET, template=None):
    return world.ferry(
        "install", "--yes", "--template", str(template or world.template), "--code", str(CODE), "--bucket", bucket,
        "--parameter", f"BitbucketWorkspace={world.places['workspace']}", *arguments,
    )


def what_goes_wrong(world):
    """Nothing is deployed before everything is known to be right, and what fails is told with its reason."""
    credentials = ("--credentials", str(world.document))
    code, shown = install(world, "--parameter", "LogRetention=7", *credentials)
    require(code == 64 and "is LogRetentionDays meant?" in shown, f"an unknown parameter is told: {code} {shown}")
    code, shown = install(world)
    require(code == 64 and "credentials are missing" in shown, f"missing credentials are told: {code} {shown}")
    wrong = world.folder / "wrong.json"
    wrong.write_text(json.dumps(world.credentials | {"portClientSecret": "wrong"}), encoding="utf-8")
    code, shown = install(world, "--credentials", str(wrong))
    require(code == 1 and "nothing is deployed" in shown, f"wrong credentials are told: {code} {shown}")
    code, shown = world.ferry("install")
    require(code == 64 and "--yes" in shown, f"without a terminal nothing is asked: {code} {shown}")
    code, shown = install(world, *credentials, bucket="nowhere-at-all")
    require(code == 1 and "give a --bucket" in shown, f"a bucket that is none is told: {code} {shown}")
    require("ferry" not in stacks(), "none of that deploys anything")
    broken = world.folder / "broken.yaml"
    stream = "\nResources:\n  Broken:\n    Type: AWS::Logs::LogStream\n"
    broken.write_text(world.template.read_text(encoding="utf-8").replace("\nResources:\n", stream, 1), encoding="utf-8")
    code, shown = install(world, "--stack", "broken", *credentials, template=broken)
    require(
        code == 1 and "Broken (AWS::Logs::LogStream)" in shown and "run the same again" in shown,
        f"a stack that fails is told with its reason: {code} {shown}",
    )
    require(not any(debug in shown for debug in ("SdkError", "ServiceError", "{ ")), f"in words: {shown}")
    # What is left of it stands in nobody's way.
    code, shown = install(world, "--stack", "broken", "--wait", "0", *credentials)
    require(code == 0 and "deployed" in shown, f"the same again, once it is mended: {shown}")
    code, shown = world.ferry("uninstall", "--stack", "broken", "--yes")
    require(code == 0, f"and away: {shown}")
    world.nothing_is_left("broken")


def installed_at_a_terminal(world):
    places = world.places
    command = f"ferry install --template {world.template} --code {CODE}"
    shown = world.at_a_terminal(command, [
        ("S3 bucket", BUCKET + "\n"), ("Slug of the Bitbucket workspace", places["workspace"] + "\n"),
        ("Port's API", "\n"), ("Identifier of the installation", "\n"), *world.typed_credentials(), ("go on", "y"),
    ])
    outputs = outputs_of("ferry")
    for part in ("first run: completed", "webhook: leads to", "Port: "):
        require(part in shown.replace("\x1b[0m", ""), f"an installation tells what it has come to: {part} in {shown}")
    require(world.hooks() == [outputs["WebhookUrl"]], f"it has a webhook: {world.hooks()}")
    code, shown = world.ferry("status", "--stack", "ferry")
    told = all(part in shown for part in ("nothing is wrong", "last run     completed", "queue        0 waiting"))
    require(code == 0 and told, f"its status is told: {code} {shown}")
    code, shown = world.ferry("status", "--stack", "nowhere")
    require(code == 1 and "there is no stack `nowhere`" in shown, f"a stack that is not there is named: {shown}")

    # Again, as an update: what is not named stays, what is named as empty is cleared.
    code, shown = install(world, "--parameter", "LogRetentionDays=14", "--parameter", "AlarmEmail=team@example.com")
    settled = settings(outputs)
    require(code == 0 and settled == ("team@example.com", "14", 14), f"parameters are changed: {settled} {shown}")
    code, shown = install(world, "--parameter", "AlarmEmail=")
    settled = settings(outputs)
    require(code == 0 and settled == ("", "14", 14), f"one is cleared, and the others stay: {settled} {shown}")
    code, shown = install(world)
    require(code == 0 and "is up to date" in shown, f"nothing to do is no failure: {shown}")

    port = entities(world)
    require(port > 0, f"entities are in Port: {port}")
    shown = world.at_a_terminal("ferry uninstall --delete-entities", [
        ("go on", "y"), (f"Deletes {port} entities", IDENTIFIER + "\n"),
    ])
    require(entities(world) == 0, f"its entities are deleted: {shown}")
    world.nothing_is_left("ferry")


def settings(outputs):
    """Two parameters, and what one of them has come to."""
    [stack] = boto3.client("cloudformation").describe_stacks(StackName="ferry")["Stacks"]
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}
    group = boto3.client("logs").describe_log_groups(logGroupNamePrefix=outputs["LogGroupName"])["logGroups"][0]
    return parameters["AlarmEmail"], parameters["LogRetentionDays"], group["retentionInDays"]


def entities(world):
    """How many entities of the installation Port holds."""
    body = {
        "datasource_prefix": "port-ocean/bitbucket-cloud/", "datasource_suffix": f"/{IDENTIFIER}/exporter",
    }
    port, places = world.places["port"], world.places
    token = posted(f"{port}/v1/auth/access_token", {"clientId": places["clientId"], "clientSecret": places["clientSecret"]})
    found = posted(f"{port}/v1/blueprints/entities/datasource-entities", body, token["accessToken"])
    return len(found["entities"])


def posted(url, body, token=None):
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers, method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def printed(world):
    """The commands that `--print` shows, run by a shell that has nothing but `aws` and `ferry`."""
    code, script = world.ferry(
        "install", "--print", "--stack", "printed", "--template", str(world.template), "--code", str(CODE), "--bucket", BUCKET,
        "--parameter", f"BitbucketWorkspace={world.places['workspace']}", "--parameter", "LogRetentionDays=7",
    )
    require(code == 0 and "printed" not in stacks(), f"commands are printed, and nothing is done: {script}")
    done = subprocess.run(
        ["bash", "-euc", script], env=world.environment, cwd=world.folder, input=json.dumps(world.credentials), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    require(done.returncode == 0, f"they can be run: {script}\n{done.stdout}")
    world.comes_to_work("printed")
    code, shown = world.ferry("uninstall", "--stack", "printed", "--yes")
    require(code == 0, f"what they have installed can be removed: {shown}")
    world.nothing_is_left("printed")


def stacks():
    found = boto3.client("cloudformation").describe_stacks()["Stacks"]
    return [each["StackName"] for each in found if each["StackStatus"] != "DELETE_COMPLETE"]


if __name__ == "__main__":
    main()
