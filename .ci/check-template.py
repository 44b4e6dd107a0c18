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

from rendering import source_of, transformed

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "template.yaml"
KEEP_STATE = {f"dynamodb:{name}" for name in ("BatchGetItem", "BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query")}
WORK = {"logs:CreateLogStream", "logs:PutLogEvents", "secretsmanager:GetSecretValue", "sqs:SendMessage"}
# What the role of each function allows, whatever the parameters; ASKED_FOR comes on top where an organisation asks for it.
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
# X-Ray knows no narrower resource either.
TRACING = {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}
ASKED_FOR = NETWORK | TRACING | {"kms:Decrypt", "kms:GenerateDataKey"}
VARIABLE = re.compile(r"(?:FERRY|OCEAN)__[A-Z0-9_]*[A-Z0-9]")


def main() -> int:
    source = source_of(TEMPLATE)
    documented = set(VARIABLE.findall((ROOT / "docs/configuration.md").read_text(encoding="utf-8")))
    resources = transformed(source)["Resources"]
    problems = [
        *public_address(resources),
        *wildcards(resources),
        *privileges(resources),
        *visibility(resources),
        *concurrency(resources, source["Parameters"]),
        *organisation(resources),
        *keys(resources),
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


def of_type(resources, kind):
    return {name: each["Properties"] for name, each in resources.items() if each["Type"] == kind}


def public_address(resources):
    """Since October 2025 a public function URL takes two statements; with one, every call is a 403. An API takes one, that
    leads to no other API. Each entrance is there under its condition, and so are its permissions."""
    entrances = [*of_type(resources, "AWS::Lambda::Url"), *of_type(resources, "AWS::ApiGatewayV2::Api")]
    conditions = {resources[name].get("Condition") for name in entrances}
    if len(entrances) != len(conditions) or None in conditions:
        yield f"the entrances {entrances} are not there one by one: {conditions}"
    granted = set()
    for name, each in of_type(resources, "AWS::Lambda::Permission").items():
        condition, way = resources[name].get("Condition"), (each["Action"], each["Principal"])
        match way:
            case ("lambda:InvokeFunctionUrl", "*") if each.get("FunctionUrlAuthType") == "NONE":
                granted.add((condition, "lambda:InvokeFunctionUrl"))
            case ("lambda:InvokeFunction", "*") if each.get("InvokedViaFunctionUrl"):
                granted.add((condition, "lambda:InvokeFunction"))
            case ("lambda:InvokeFunction", "apigateway.amazonaws.com") if "${HttpApi}" in json.dumps(each.get("SourceArn")):
                granted.add((condition, "apigateway"))
            case _:
                yield f"{name} lets in others than the entrance"
    expected = {
        ("HasFunctionUrl", "lambda:InvokeFunctionUrl"), ("HasFunctionUrl", "lambda:InvokeFunction"), ("HasHttpApi", "apigateway"),
    }
    for condition, way in sorted(expected - granted):
        yield f"nobody may use the entrance of {condition}: {way} is missing"


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
            if any("*" in place for place in places) and not set(actions) <= NETWORK | TRACING:
                yield f"{name} allows {', '.join(actions)} by wildcard: {', '.join(places)}"
    for name in of_type(resources, "AWS::IAM::ManagedPolicy"):
        yield f"{name} may be attached by others; keep policies in their roles"
    for name, policy in of_type(resources, "AWS::IAM::Policy").items():
        for statement in statements(policy["PolicyDocument"]):
            actions = strings(statement["Action"])
            if any("*" in action for action in actions):
                yield f"{name} allows actions by wildcard: {', '.join(actions)}"
            if "*" in strings(statement["Resource"]) and not set(actions) <= NETWORK | TRACING:
                yield f"{name} allows {', '.join(actions)} on everything"


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
        documents = [policy["PolicyDocument"] for policy in roles[role]["Policies"]]
        for shared, policy in of_type(resources, "AWS::IAM::Policy").items():
            if {"Ref": role} in policy["Roles"]:
                documents.append(policy["PolicyDocument"])
                if shared not in strings(resources[name].get("DependsOn", [])):
                    yield f"{name} may be made before its role may do what {shared} allows"
        found = [each for document in documents for each in statements(document)]
        allowed = {action for each in found if each["Effect"] == "Allow" for action in strings(each["Action"])}
        denied = {action for each in found if each["Effect"] == "Deny" for action in strings(each["Action"])}
        expected = ALLOWED.get(name, set()) | ASKED_FOR
        if allowed != expected:
            yield f"{role} allows {sorted(allowed - expected)} too much and {sorted(expected - allowed)} too little"
        if denied != NETWORK:
            yield f"{role} does not keep the code from what Lambda does with the network"
        for each in found:
            if strings(each["Action"]) == ["dynamodb:PutItem"] and "dynamodb:LeadingKeys" not in json.dumps(each):
                yield f"{role} may write any document"
            if any(action.startswith("kms:") for action in strings(each["Action"])) and "kms:ViaService" not in json.dumps(each):
                yield f"{role} may use a key by itself"


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
        if {"Ref": "Tracing"} != function.get("TracingConfig", {}).get("Mode"):
            yield f"{name} does not follow Tracing"
        places = strings(function.get("VpcConfig", {}))
        if "SubnetIds" not in places or "SecurityGroupIds" not in places:
            yield f"{name} is not put into SubnetIds with SecurityGroupIds"


def keys(resources):
    """Everything that stores something is encrypted with KmsKeyArn, where that is given."""
    stores = {
        "AWS::DynamoDB::Table", "AWS::Lambda::Function", "AWS::Logs::LogGroup", "AWS::SecretsManager::Secret",
        "AWS::SNS::Topic", "AWS::SQS::Queue",
    }
    for name, each in resources.items():
        if each["Type"] in stores and '{"Ref": "KmsKeyArn"}' not in json.dumps(each["Properties"]):
            yield f"{name} stores something, and not under KmsKeyArn"


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
    """Few, for each costs: what Ferry says of itself, or that it says nothing; dead letters; webhooks turned away."""
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")
    metrics = {alarm["MetricName"]: name for name, alarm in alarms.items()}
    if metrics.keys() != {"Health", "ApproximateNumberOfMessagesVisible", "Throttles"} or len(metrics) != len(alarms):
        yield f"the alarms are others than agreed, or cost more: {sorted(alarms)}"
        return
    if alarms[metrics["Health"]]["TreatMissingData"] != "breaching":
        yield "no alarm tells that ticks have ceased"
    public = {each["TargetFunctionArn"]["Ref"] for each in of_type(resources, "AWS::Lambda::Url").values()}
    watched = {dimension["Value"].get("Ref") for dimension in alarms[metrics["Throttles"]]["Dimensions"]}
    if watched != public:
        yield f"the alarm of throttled webhooks watches {watched}, and webhooks come to {public}"
    headings = [
        re.sub(r"[^a-z0-9-]", "", line.lstrip("#").strip().lower().replace(" ", "-"))
        for line in (ROOT / "docs/operations.md").read_text(encoding="utf-8").splitlines() if line.startswith("#")
    ]
    for name, alarm in alarms.items():
        anchors = re.findall(r"docs/operations\.md#([a-z0-9-]*[a-z0-9])", json.dumps(alarm["AlarmDescription"]))
        if not anchors or set(anchors) - set(headings):
            yield f"{name} leads to nothing in docs/operations.md: {anchors}"
        if not alarm.get("AlarmActions") or alarm["AlarmActions"] != alarm.get("OKActions"):
            yield f"{name} does not tell the same people when it is over"


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
