#!/usr/bin/env python3
"""The package deployed onto an emulator of AWS that runs the functions natively, and used as in production.

One story: deploy the package for x86-64, with all questions answered at a terminal; ticks that wait for credentials;
`ferry secret put`; first resync by the tick, webhooks through the receiver and the queue, convergence, an update while
events arrive, a resync by the schedule, figures, a message that nobody can read, another guided deployment, teardown.
Then what enterprises ask for.
Expects what `.ci/run deployed` prepares: the package, the sandbox, ministack, sam and ferry.
"""

import hashlib
import hmac
import io
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import pexpect

from emulation import CODE, FERRY, GATEWAY, REGION, SAM, TEMPLATE, emulated, get, guided, outputs_of, require, wait_for
from live_update import UPDATED, at_sandbox, delivered, update_at_work

# Other than by default, so that each shows.
SETTINGS = {
    "ResyncIntervalMinutes": "60", "IntegrationIdentifier": "deployed", "SendRawDataExamples": "false",
    "MemorySize": "512", "LogLevel": "DEBUG", "LogRetentionDays": "7", "AlarmEmail": "team@example.com",
}
# Outputs that name the functions, and the timeout of each in seconds.
FUNCTIONS = {"ReceiverFunctionName": 10, "EventsFunctionName": 120, "RunsFunctionName": 900}
READS = {"dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"}


def main():
    with tempfile.TemporaryDirectory() as folder, emulated() as (servers, places):
        story(Path(folder), servers, places)


def story(folder, servers, places):
    boto3.client("s3").upload_file(str(CODE), "deployments", CODE.name)
    application(folder)
    guided(folder, {"BitbucketWorkspace": places["workspace"], "CodeBucket": "deployments", "CreateDashboard": "true", **SETTINGS})
    require(True, "a guided deployment: no credentials are asked for")
    functions, secrets = boto3.client("lambda"), boto3.client("secretsmanager")
    outputs = outputs_of("ferry")
    configurations = {
        output: functions.get_function_configuration(FunctionName=outputs[output]) for output in FUNCTIONS
    }
    three_functions(configurations, outputs)
    function, configuration = outputs["RunsFunctionName"], configurations["RunsFunctionName"]
    variables = configuration["Environment"]["Variables"]
    settled = {
        "ResyncIntervalMinutes": variables["OCEAN__SCHEDULED_RESYNC_INTERVAL"], "LogLevel": variables["FERRY__LOG"],
        "IntegrationIdentifier": variables["OCEAN__INTEGRATION__IDENTIFIER"],
        "SendRawDataExamples": variables["OCEAN__SEND_RAW_DATA_EXAMPLES"], "MemorySize": str(configuration["MemorySize"]),
        "LogRetentionDays": str(log_group(outputs["LogGroupName"])["retentionInDays"]),
        "AlarmEmail": boto3.client("sns").list_subscriptions()["Subscriptions"][0]["Endpoint"],
    }
    require(settled == SETTINGS, f"parameters have their effect: {settled}")
    require(monitoring() == (3, 1), f"alarms and a dashboard: {monitoring()}")
    # The one thing that a deployment cannot say: where the sandbox is.
    servers_at = {
        "OCEAN__PORT__BASE_URL": places["port"],
        "OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL": places["bitbucket"],
    }
    for found in configurations.values():
        functions.update_function_configuration(
            FunctionName=found["FunctionName"], Environment={"Variables": found["Environment"]["Variables"] | servers_at},
        )
    wait_for("a tick that waits", lambda: logged(outputs, "waiting for credentials"), 180)
    tick = json.load(functions.invoke(FunctionName=function, Payload=b'{"action":"tick"}')["Payload"])
    require(tick == {"status": "idle"}, f"a tick without credentials is no failure: {tick}")
    fill_secret(outputs, variables | servers_at, places)

    def resync():
        def completed():
            event = json.dumps({"action": "resync", "url": outputs["FunctionUrl"]})
            answer = json.load(functions.invoke(FunctionName=function, Payload=event)["Payload"])
            return answer if answer.get("status") == "completed" else None

        return wait_for("a completed resync", completed)

    # Nobody but the tick starts the first resync, and tells Bitbucket where the function is.
    wait_for("a first resync by the tick", lambda: last_run(outputs["StateTableName"]), 600)
    require(True, "the tick fires")
    require(len(logged(outputs, "waiting for credentials")) <= 3, "it is said once an hour, by each process")
    hooks = get(f"{places['bitbucket']}/workspaces/{places['workspace']}/hooks", places["token"])["values"]
    require([hook["url"] for hook in hooks] == [outputs["WebhookUrl"]], f"webhook subscription: {hooks}")
    first = resync()
    require(first["counts"]["unchanged"] > 0 and not first["failed_partitions"], f"nothing is left to do: {first}")

    secret = webhook_secret(places)
    host = outputs["FunctionUrl"].removeprefix("https://").rstrip("/")
    require(post(host, "repo:push", "0", "{}", "wrong") == 401, "a wrong signature is refused")
    seeds = itertools.count()

    def tell():
        """Something changes; the statuses of what Bitbucket delivers."""
        servers.stdin.write(f"{next(seeds)}\n")
        servers.stdin.flush()
        deliveries = json.loads(servers.stdout.readline())["deliveries"]
        return [delivered(lambda *what: post(host, *what, secret), delivery) for delivery in deliveries]

    statuses = [status for _ in range(12) for status in tell()]
    require(statuses and set(statuses) == {202}, f"webhooks are accepted: {statuses}")
    queues = boto3.client("sqs")
    # The emulator takes messages out of its counts while it hands them over: empty is what stays empty.
    quiet = []

    def worked_off():
        empty = sum(waiting(queues, outputs["EventQueueUrl"])) == 0
        quiet[:] = [*quiet, True] if empty else []
        return len(quiet) >= 20

    wait_for("an empty queue", worked_off)
    second = resync()
    done = second["counts"]
    require(done["written"] == 0 and done["deleted"] == 0, f"webhooks converge with the resync: {second}")

    # The emulator kills what is at work: it should not take twelve minutes until somebody else takes it.
    queues.set_queue_attributes(QueueUrl=outputs["EventQueueUrl"], Attributes={"VisibilityTimeout": "60"})
    updated = TEMPLATE.with_name("updated.yaml")
    updated.write_text(at_sandbox(TEMPLATE.read_text(encoding="utf-8"), places), encoding="utf-8")
    statuses = update_at_work(lambda: run_sam_deploy(folder, UPDATED, "ferry", updated), tell)
    memory = str(functions.get_function_configuration(FunctionName=function)["MemorySize"])
    require(memory == UPDATED["MemorySize"], f"a stack at work is brought up to date: {memory}")
    require(set(statuses) == {202}, f"webhooks are accepted meanwhile: {statuses}")
    quiet.clear()
    wait_for("an empty queue after the update", worked_off, 900)
    third = resync()
    done = third["counts"]
    require(done["written"] == 0 and done["deleted"] == 0, f"an update loses no event: {third}")

    before = last_run(outputs["StateTableName"])
    hasten("ResyncSchedule")
    wait_for("a resync by the schedule", lambda: last_run(outputs["StateTableName"]) != before, 600)
    require(True, "the schedule fires")
    lines = boto3.client("logs").filter_log_events(logGroupName=outputs["LogGroupName"])["events"]
    figures = [json.loads(line["message"]) for line in lines if '"_aws"' in line["message"]]
    names = {name for figure in figures for name in figure if name in ("CompletedRuns", "Entities", "LagSeconds", "ResyncAge")}
    require(len(names) == 4, f"the log holds the figures of the dashboard: {names}")

    queues.send_message(
        QueueUrl=outputs["EventQueueUrl"], MessageBody="not ours", MessageGroupId="x", MessageDeduplicationId="x",
    )
    wait_for("a dead letter", lambda: waiting(queues, outputs["DeadLetterQueueUrl"])[0] == 1, 600)
    require(True, "what nobody can read ends in the dead-letter queue")
    rotated = json.dumps({"rotated": True})
    secrets.put_secret_value(SecretId=outputs["CredentialsSecretArn"], SecretString=rotated)
    # All that is not named keeps the answer of the first time.
    guided(folder, {"Alarms": "false", "CreateDashboard": "false", "LogRetentionDays": "14"})
    require(monitoring() == (0, 0), f"what is optional can be left out: {monitoring()}")
    days = log_group(outputs["LogGroupName"])["retentionInDays"]
    require(days == 14, f"a second guided deployment has its effect: {days}")
    kept = secrets.get_secret_value(SecretId=outputs["CredentialsSecretArn"])["SecretString"]
    require(kept == rotated, "another deployment leaves the rotated secret alone")

    formation = boto3.client("cloudformation")
    formation.delete_stack(StackName="ferry")

    def gone():
        try:
            stacks = formation.describe_stacks(StackName="ferry")["Stacks"]
        except Exception:
            return True
        return not stacks or stacks[0]["StackStatus"] == "DELETE_COMPLETE"

    wait_for("the stack's removal", gone)
    other_parameters(folder, places)
    wait_for("the removal of all functions", lambda: not functions.list_functions()["Functions"])
    require(True, "nothing is left behind")


def application(folder):
    """What the Serverless Application Repository takes: everything that the template names beside it is uploaded."""
    packaged = folder / "application.yaml"
    subprocess.run(
        [
            SAM, "package", "--template-file", f"{CODE.with_suffix('')}-repository.yaml", "--s3-bucket", "deployments",
            "--output-template-file", str(packaged), "--region", REGION,
        ],
        check=True, stdout=subprocess.DEVNULL,
    )
    text = packaged.read_text(encoding="utf-8")
    uploaded = re.findall(r"(CodeUri|LicenseUrl|ReadmeUrl): s3://deployments/\S+", text)
    require(sorted(uploaded) == ["CodeUri"] * 3 + ["LicenseUrl", "ReadmeUrl"], f"an application is uploaded: {uploaded}")


def three_functions(configurations, outputs):
    """One binary under three names, each with its time and with no more rights than its part."""
    times = {output: found["Timeout"] for output, found in configurations.items()}
    require(times == FUNCTIONS, f"each function has its time: {times}")
    binaries = {found["CodeSha256"] for found in configurations.values()}
    require(len(binaries) == 1, "all functions have one binary")
    groups = {found["LoggingConfig"]["LogGroup"] for found in configurations.values()}
    require(groups == {outputs["LogGroupName"]}, f"all functions log into one group: {groups}")
    actions = {output: allowed(found["Role"]) for output, found in configurations.items()}
    receiver, events, runs = (actions[output] for output in FUNCTIONS)
    tables = {action for action in receiver if action.startswith("dynamodb:")}
    require(tables == {"dynamodb:PutItem"}, f"the receiver cannot read the table: {tables}")
    require(READS - {"dynamodb:Scan"} <= events & runs and "dynamodb:Scan" not in events | runs, "work reads the table")
    takes = [output for output, found in actions.items() if "sqs:ReceiveMessage" in found]
    require(takes == ["EventsFunctionName"], f"one function takes from the queue: {takes}")
    mappings = boto3.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    consumers = [mapping["FunctionArn"].split(":")[-1] for mapping in mappings]
    require(consumers == [outputs["EventsFunctionName"]], f"the queue leads to it: {consumers}")


def allowed(role):
    """What the role's own policies allow."""
    policies, name = boto3.client("iam"), role.split("/")[-1]
    found = set()
    for policy in policies.list_role_policies(RoleName=name)["PolicyNames"]:
        document = policies.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        for statement in document["Statement"]:
            actions = statement["Action"] if statement["Effect"] == "Allow" else []
            found.update([actions] if isinstance(actions, str) else actions)
    return found


def fill_secret(outputs, variables, places):
    """`ferry secret put`: wrong credentials are refused before they are stored, right ones are asked for at a terminal."""
    names = ("OCEAN__PORT__BASE_URL", "OCEAN__INTEGRATION__IDENTIFIER", "OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL",
             "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE")
    aws = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    settings = {**aws, "FERRY__SECRET_ID": outputs["CredentialsSecretArn"], **{name: variables[name] for name in names}}
    credentials = {
        "portClientId": places["clientId"], "portClientSecret": places["clientSecret"],
        "bitbucketWorkspaceToken": places["token"],
    }
    wrong = subprocess.run(
        [FERRY, "secret", "put"], input=json.dumps(credentials | {"bitbucketWorkspaceToken": "wrong"}), env=settings,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    require(wrong.returncode == 1 and "nothing is stored" in wrong.stdout, f"wrong credentials are not stored: {wrong.stdout}")
    terminal = pexpect.spawn(FERRY, ["secret", "put"], env=settings, timeout=60, encoding="utf-8", dimensions=(50, 200))
    log = terminal.logfile_read = io.StringIO()
    for question, answer in [
        ("client id", credentials["portClientId"]), ("client secret", credentials["portClientSecret"]),
        ("E-mail", ""), ("workspace access token, or", credentials["bitbucketWorkspaceToken"]),
    ]:
        terminal.expect(question)
        if question not in ("client id", "E-mail"):
            require(terminal.waitnoecho(10), "a terminal is asked to show no secret")
        terminal.sendline(answer)
    terminal.expect(pexpect.EOF)
    terminal.close()
    stored = boto3.client("secretsmanager").get_secret_value(SecretId=outputs["CredentialsSecretArn"])["SecretString"]
    require(terminal.exitstatus == 0 and json.loads(stored) == credentials, f"credentials are stored: {log.getvalue()}")
    require(credentials["bitbucketWorkspaceToken"] not in log.getvalue(), "a terminal does not show them")


def other_parameters(folder, places):
    """What organisations ask for; and a secret that exists already, under a key of its own."""
    functions, secrets = boto3.client("lambda"), boto3.client("secretsmanager")
    topic = boto3.client("sns").create_topic(Name="alarms")["TopicArn"]
    anything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    boundary = boto3.client("iam").create_policy(PolicyName="boundary", PolicyDocument=json.dumps(anything))["Policy"]["Arn"]
    parameters = {
        "BitbucketWorkspace": places["workspace"], "CodeBucket": "deployments", "PortBaseUrl": "https://api.us.getport.io",
        "ReservedConcurrency": "5", "InitializePortResources": "false", "AlarmTopicArn": topic, "RolePath": "/team/",
        "PermissionsBoundaryArn": boundary, "SubnetIds": "subnet-0a1b2c3d,subnet-0a1b2c3e", "SecurityGroupIds": "sg-0a1b2c3d",
        "Entrance": "http-api", "Tracing": "Active", "KmsKeyArn": f"arn:aws:kms:{REGION}:000000000000:key/own",
    }
    run_sam_deploy(folder, parameters, "other")
    outputs = outputs_of("other")
    configurations = [functions.get_function_configuration(FunctionName=outputs[output]) for output in FUNCTIONS]
    for configuration in configurations:
        variables = configuration["Environment"]["Variables"]
        role = boto3.client("iam").get_role(RoleName=configuration["Role"].split("/")[-1])["Role"]
        # Of subnets, boundaries and concurrency the emulator keeps nothing: check-template.py looks where they lead.
        settled = (variables["OCEAN__PORT__BASE_URL"], variables["OCEAN__INITIALIZE_PORT_RESOURCES"], role["Path"])
        expected = ("https://api.us.getport.io", "false", "/team/")
        require(settled == expected, f"further parameters have their effect: {settled}")
    actions = {action for alarm in boto3.client("cloudwatch").describe_alarms()["MetricAlarms"] for action in alarm["AlarmActions"]}
    require(actions == {topic}, f"alarms go to a topic of one's own: {actions}")
    host = outputs["FunctionUrl"].split("//")[1].split(":")[0].rstrip("/")
    wait_for("an answer through the HTTP API", lambda: get(f"{GATEWAY}/any/prefix/health", None, host))
    require(".execute-api." in host, f"an HTTP API is the entrance: {host}")
    # Everything can be taken back.
    optional = (
        "ReservedConcurrency", "AlarmTopicArn", "PermissionsBoundaryArn", "SubnetIds", "SecurityGroupIds", "KmsKeyArn",
    )
    cleared = {**{name: '""' for name in optional}, "Entrance": "none", "Tracing": "PassThrough"}
    run_sam_deploy(folder, parameters | cleared, "other")
    require("FunctionUrl" not in outputs_of("other"), "there may be no entrance")
    told = {action for alarm in boto3.client("cloudwatch").describe_alarms()["MetricAlarms"] for action in alarm["AlarmActions"]}
    require(not told, f"parameters can be cleared: {told}")

    own = secrets.create_secret(Name="own", SecretString="{}")["ARN"]
    key = f"arn:aws:kms:{REGION}:000000000000:key/own"
    boto3.client("cloudformation").delete_stack(StackName="other")
    parameters = {
        "BitbucketWorkspace": places["workspace"], "CodeBucket": "deployments", "CredentialsSecretArn": own,
        "CredentialsKmsKeyArn": key,
    }
    run_sam_deploy(folder, parameters, "own")
    function = outputs_of("own")["RunsFunctionName"]
    variables = functions.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    policies = boto3.client("iam")
    role = functions.get_function_configuration(FunctionName=function)["Role"].split("/")[-1]
    # What all functions need beside their own stands in a policy for all of them.
    names = policies.list_role_policies(RoleName=role)["PolicyNames"]
    documents = [policies.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
    policy = json.dumps(documents)
    require(
        variables["FERRY__SECRET_ID"] == own and own in policy and key in policy,
        f"a secret of one's own is read, with its key: {variables['FERRY__SECRET_ID']}, {names}, {policy}",
    )
    boto3.client("cloudformation").delete_stack(StackName="own")


def run_sam_deploy(folder, parameters, stack, template=TEMPLATE):
    done = subprocess.run(
        [
            SAM, "deploy", "--template-file", str(template), "--config-env", "none", "--stack-name", stack,
            "--s3-bucket", "deployments", "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset",
            "--region", REGION, "--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items()),
        ],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    if done.returncode:
        sys.exit(f"deployed: sam deploy failed:\n{done.stdout}")


def logged(outputs, message):
    """Lines with this message."""
    lines = boto3.client("logs").filter_log_events(logGroupName=outputs["LogGroupName"])["events"]
    return [line for line in lines if message in line["message"]]


def log_group(name):
    return boto3.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"][0]


def monitoring():
    """How many alarms and dashboards there are."""
    watch = boto3.client("cloudwatch")
    return len(watch.describe_alarms()["MetricAlarms"]), len(watch.list_dashboards()["DashboardEntries"])


def last_run(table):
    """Which writing of the end of the last completed run the table holds; None before the first."""
    key = {"pk": {"S": "run"}, "sk": {"S": "completed"}}
    item = boto3.client("dynamodb").get_item(TableName=table, Key=key).get("Item")
    return item["revision"]["N"] if item else None


def hasten(resource):
    """A schedule of the stack, as it is, but every minute."""
    resources = boto3.client("cloudformation").describe_stack_resources(StackName="ferry")["StackResources"]
    [name] = [each["PhysicalResourceId"] for each in resources if each["LogicalResourceId"] == resource]
    schedules = boto3.client("scheduler")
    schedule = schedules.get_schedule(Name=name.split("/")[-1])
    kept = {key: schedule[key] for key in ("Name", "FlexibleTimeWindow", "Target")}
    schedules.update_schedule(**kept, ScheduleExpression="rate(1 minute)")


def webhook_secret(places):
    """What signs webhooks, as docs/configuration.md says that it is derived."""
    text = f"ferry: secret of webhooks\n{SETTINGS['IntegrationIdentifier']}"
    return hmac.new(places["clientSecret"].encode(), text.encode(), hashlib.sha256).hexdigest()


def post(host, event, identifier, body, secret):
    body = body.encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "Host": host, "Content-Type": "application/json", "X-Event-Key": event, "X-Request-UUID": identifier,
        "X-Hub-Signature": f"sha256={signature}",
    }
    request = urllib.request.Request(f"{GATEWAY}/webhook", data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def waiting(queues, url):
    attributes = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    return [int(attributes.get(name, 0)) for name in names]


if __name__ == "__main__":
    main()
