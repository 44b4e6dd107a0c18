#!/usr/bin/env python3
"""What template.yaml, or the template that is named, must be beyond valid.

Runs the SAM transform without AWS and looks at the CloudFormation that comes out. Owns the rules that no linter
has: the public address works, each function may do what it does and no more, work cannot throttle webhooks, logs end,
every parameter and variable is explained, no deployment carries a credential, every figure is shown.
"""

import json
import re
import sys
from pathlib import Path
from unittest import mock

from cfnlint.decode import cfn_yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.transform import transform

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "template.yaml"
KEEP_STATE = {f"dynamodb:{name}" for name in ("BatchGetItem", "BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query")}
WORK = {"logs:CreateLogStream", "logs:PutLogEvents", "secretsmanager:GetSecretValue", "sqs:SendMessage", "kms:Decrypt"}
# What the role of each function allows, whatever the parameters; in subnets NETWORK comes on top.
ALLOWED = {
    "FerryFunction": WORK | {"dynamodb:PutItem"},
    "EventsFunction": WORK | KEEP_STATE | {
        f"sqs:{name}" for name in ("ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "ReceiveMessage")
    },
    "RunsFunction": WORK | KEEP_STATE,
}
# What Lambda does in the role's name for a function in subnets; EC2 knows no narrower resource than all.
NETWORK = {
    f"ec2:{name}" for name in (
        "AssignPrivateIpAddresses", "CreateNetworkInterface", "DeleteNetworkInterface", "DescribeNetworkInterfaces",
        "DescribeSubnets", "UnassignPrivateIpAddresses",
    )
}
VARIABLE = re.compile(r"(?:FERRY|OCEAN)__[A-Z0-9_]*[A-Z0-9]")


def main() -> int:
    source = as_plain(cfn_yaml.load(str(TEMPLATE)))
    documented = set(VARIABLE.findall((ROOT / "docs/configuration.md").read_text(encoding="utf-8")))
    resources = transformed(source)["Resources"]
    problems = [
        *public_address(resources),
        *wildcards(resources),
        *privileges(resources),
        *visibility(resources),
        *concurrency(resources, source["Parameters"]),
        *organisation(resources),
        *log_groups(resources),
        *retries(resources),
        *stored_credentials(resources, source["Parameters"]),
        *alarms(resources),
        *parameters(source["Parameters"]),
        *variables(resources, documented),
        *figures(resources),
    ]
    for problem in problems:
        print(f"{TEMPLATE.name}: {problem}", file=sys.stderr)
    print(f"{TEMPLATE.name}: {len(resources)} resources after the transform, {len(problems)} problems")
    return 1 if problems else 0


def as_plain(node):
    """cfn-lint's nodes as plain JSON values, which the transform wants."""
    return json.loads(json.dumps(node))


def transformed(template):
    """The template after the SAM transform, with the code where `sam package` would have put it."""
    template = json.loads(json.dumps(template))
    for resource in template["Resources"].values():
        # A package says itself where its code is.
        if resource["Type"] == "AWS::Serverless::Function" and "Bucket" not in resource["Properties"].get("CodeUri", {}):
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    with mock.patch("boto3.session.Session.region_name", "us-east-1"):
        return transform(template, {}, mock.Mock(load=dict), None, Parser())


def of_type(resources, kind):
    return {name: each["Properties"] for name, each in resources.items() if each["Type"] == kind}


def public_address(resources):
    """Since October 2025 a public function URL takes two statements; with one, every call is a 403."""
    permissions = of_type(resources, "AWS::Lambda::Permission").values()
    public = [each for each in permissions if each["Principal"] == "*"]
    if not any(
        each["Action"] == "lambda:InvokeFunctionUrl" and each.get("FunctionUrlAuthType") == "NONE" for each in public
    ):
        yield "nobody may call the function URL (lambda:InvokeFunctionUrl)"
    if not any(each["Action"] == "lambda:InvokeFunction" and each.get("InvokedViaFunctionUrl") for each in public):
        yield "nobody may invoke the function through its URL (lambda:InvokeFunction, InvokedViaFunctionUrl)"
    for each in public:
        if each["Action"] == "lambda:InvokeFunction" and not each.get("InvokedViaFunctionUrl"):
            yield "anybody may invoke the function past its URL"


def wildcards(resources):
    for name, role in of_type(resources, "AWS::IAM::Role").items():
        if role.get("ManagedPolicyArns"):
            yield f"{name} has managed policies; spell out what it may do"
        documents = [role["AssumeRolePolicyDocument"], *(each["PolicyDocument"] for each in role.get("Policies", []))]
        for statement in (found for document in documents for found in statements(document)):
            actions = strings(statement["Action"])
            places = [*strings(statement.get("Resource", [])), *strings(statement.get("Principal", []))]
            if any("*" in action for action in actions):
                yield f"{name} allows actions by wildcard: {', '.join(actions)}"
            if any("*" in place for place in places) and not set(actions) <= NETWORK:
                yield f"{name} allows {', '.join(actions)} by wildcard: {', '.join(places)}"
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        for name in of_type(resources, kind):
            yield f"{name} is a policy outside its role; keep the two together"


def privileges(resources):
    """Each function has a role of its own, and that allows what the function does, no less and no more."""
    functions = of_type(resources, "AWS::Lambda::Function")
    roles = of_type(resources, "AWS::IAM::Role")
    owners = {}
    for name in sorted(set(ALLOWED) ^ set(functions)):
        yield f"{name} is not both in the template and in ALLOWED"
    for name, function in functions.items():
        role = function["Role"]["Fn::GetAtt"][0]
        if role in owners:
            yield f"{name} and {owners[role]} share the role {role}"
        owners[role] = name
        found = [each for policy in roles[role]["Policies"] for each in statements(policy["PolicyDocument"])]
        allowed = {action for each in found if each["Effect"] == "Allow" for action in strings(each["Action"])}
        denied = {action for each in found if each["Effect"] == "Deny" for action in strings(each["Action"])}
        expected = ALLOWED.get(name, set()) | NETWORK
        if allowed != expected:
            yield f"{role} allows {sorted(allowed - expected)} too much and {sorted(expected - allowed)} too little"
        if denied != NETWORK:
            yield f"{role} does not keep the code from what Lambda does with the network"
        for each in found:
            if strings(each["Action"]) == ["dynamodb:PutItem"] and "dynamodb:LeadingKeys" not in json.dumps(each):
                yield f"{role} may write any document"
            if "kms:Decrypt" in strings(each["Action"]) and "kms:ViaService" not in json.dumps(each):
                yield f"{role} may decrypt by itself"


def visibility(resources):
    """Six times the timeout of the consumer, as AWS asks for."""
    queues, functions = of_type(resources, "AWS::SQS::Queue"), of_type(resources, "AWS::Lambda::Function")
    for name, mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").items():
        queue, function = mapping["EventSourceArn"]["Fn::GetAtt"][0], mapping["FunctionName"]["Ref"]
        seconds, timeout = queues[queue]["VisibilityTimeout"], functions[function]["Timeout"]
        if seconds != 6 * timeout:
            yield f"{name}: the visibility timeout of {queue} is {seconds} s, not six times the {timeout} s of {function}"


def concurrency(resources, declared):
    """Reserved concurrency is a bound as well: never on the receiver, never below what the queue's mapping needs."""
    mappings = of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    needed = {each["FunctionName"]["Ref"]: each["ScalingConfig"]["MaximumConcurrency"] for each in mappings}
    public = {each["TargetFunctionArn"]["Ref"] for each in of_type(resources, "AWS::Lambda::Url").values()}
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        reserved = function.get("ReservedConcurrentExecutions")
        if name in public and reserved is not None:
            yield f"{name} takes webhooks and has reserved concurrency, beyond which they are throttled"
        if name in public and name in needed:
            yield f"{name} takes webhooks and works off the queue"
        if name not in public and reserved is None:
            yield f"{name} has no reserved concurrency to keep its work within bounds"
        if name in public or reserved is None:
            continue
        [parameter] = [text for text in strings(reserved) if text in declared]
        accepted = re.compile(declared[parameter]["AllowedPattern"])
        for number in range(needed.get(name, 1)):
            if accepted.search(str(number)):
                yield f"{parameter} may be {number}, and the queue of {name} needs {needed.get(name, 1)}"


def statements(document):
    """The statements of a policy, also those that are there only under a condition."""
    for statement in document["Statement"]:
        branches = statement["Fn::If"][1:] if "Fn::If" in statement else [statement]
        yield from (branch for branch in branches if "Ref" not in branch)


def strings(value):
    """Every text in a value, however deep in intrinsic functions."""
    if isinstance(value, str):
        return [value]
    return [text for inner in (value.values() if isinstance(value, dict) else value) for text in strings(inner)]


def organisation(resources):
    """What an organisation asks for reaches every role and every function."""
    for name, role in of_type(resources, "AWS::IAM::Role").items():
        if role.get("Path") != {"Ref": "RolePath"}:
            yield f"{name} is not under RolePath"
        if {"Ref": "PermissionsBoundaryArn"} not in role.get("PermissionsBoundary", {}).get("Fn::If", []):
            yield f"{name} is not bounded by PermissionsBoundaryArn"
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        places = strings(function.get("VpcConfig", {}))
        if "SubnetIds" not in places or "SecurityGroupIds" not in places:
            yield f"{name} is not put into SubnetIds with SecurityGroupIds"


def log_groups(resources):
    groups = of_type(resources, "AWS::Logs::LogGroup")
    for name, group in groups.items():
        if "RetentionInDays" not in group:
            yield f"{name} keeps its lines for ever"
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        if function.get("LoggingConfig", {}).get("LogGroup") not in [{"Ref": group} for group in groups]:
            yield f"{name} logs to a group that is not in the template and keeps its lines for ever"


def retries(resources):
    """Two layers retry what a schedule starts; the defaults multiply to hundreds of runs of one event."""
    configured = {each["FunctionName"]["Ref"] for each in of_type(resources, "AWS::Lambda::EventInvokeConfig").values()}
    for name, schedule in of_type(resources, "AWS::Scheduler::Schedule").items():
        if 2 < schedule["Target"].get("RetryPolicy", {}).get("MaximumRetryAttempts", 185):
            yield f"{name} retries more than twice"
        function = schedule["Target"]["Arn"]["Fn::GetAtt"][0]
        if function not in configured:
            yield f"what {name} starts is retried by Lambda's default: {function} has no EventInvokeConfig"


def stored_credentials(resources, declared):
    """No credential passes through a deployment: secrets are empty or generated, and no parameter is hidden."""
    for name, secret in of_type(resources, "AWS::SecretsManager::Secret").items():
        if "SecretString" in secret or "SecretStringTemplate" in secret.get("GenerateSecretString", {}):
            yield f"{name} has a value in the template, which a later deployment would write over the real one"
    for name, parameter in declared.items():
        if parameter.get("NoEcho"):
            yield f"the parameter {name} is a secret, and would have to be given at every deployment"


def alarms(resources):
    """Errors of every function are told."""
    watched = json.dumps([
        alarm for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values() if alarm["MetricName"] == "Errors"
    ])
    for name in of_type(resources, "AWS::Lambda::Function"):
        if f'{{"Ref": "{name}"}}' not in watched:
            yield f"no alarm tells of errors of {name}"


def parameters(declared):
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    for name, parameter in declared.items():
        if f"`{name}`" not in text:
            yield f"docs/configuration.md does not explain the parameter {name}"
        if not parameter.get("Description", "").strip():
            yield f"the parameter {name} has no description"


def figures(resources):
    """What the dashboard and the alarms show is what the functions print, and nothing is printed for nobody."""
    printed = set()
    for file in (ROOT / "src").rglob("*.rs"):
        code = file.read_text(encoding="utf-8").split("#[cfg(test)]")[0]
        printed.update(re.findall(r'Figure::\w+\(\s*"(\w+)"', code))
    shown = set()
    for name, dashboard in of_type(resources, "AWS::CloudWatch::Dashboard").items():
        body = dashboard["DashboardBody"]["Fn::Sub"]
        text = re.sub(r"\$\{[^}]*\}", "1", body if isinstance(body, str) else body[0])
        try:
            widgets = json.loads(text)["widgets"]
        except ValueError as error:
            yield f"{name} is not JSON: {error}"
            continue
        for widget in widgets:
            space = None
            for metric in widget["properties"].get("metrics", []):
                names = [each for each in metric if isinstance(each, str)]
                space = names[0] if names and names[0] != "." else space
                if len(names) > 1 and space == "Ferry/1" and names[1] != ".":
                    shown.add(names[1])
                for expression in metric:
                    if isinstance(expression, dict):
                        shown.update(re.findall(r'MetricName="(\w+)"', expression.get("expression", "")))
    for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values():
        if not isinstance(alarm["Namespace"], str):
            shown.add(alarm["MetricName"])
    for name in sorted(shown - printed):
        yield f"nothing prints the figure {name}"
    for name in sorted(printed - shown):
        yield f"the figure {name} is printed and shown nowhere"


def variables(resources, documented):
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        for variable in function.get("Environment", {}).get("Variables", {}):
            if variable not in documented:
                yield f"{name} sets {variable}, which docs/configuration.md does not explain"


if __name__ == "__main__":
    sys.exit(main())
