#!/usr/bin/env python3
"""What template.yaml must be beyond valid.

Runs the SAM transform without AWS and looks at the CloudFormation that comes out. Owns the rules that no linter
has: the public address works, nothing is allowed for everything, logs end, every parameter and variable is explained,
no deployment can overwrite a credential.
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
VARIABLE = re.compile(r"(?:FERRY|OCEAN)__[A-Z0-9_]*[A-Z0-9]")


def main() -> int:
    source = as_plain(cfn_yaml.load(str(ROOT / "template.yaml")))
    documented = set(VARIABLE.findall((ROOT / "docs/configuration.md").read_text(encoding="utf-8")))
    resources = transformed(source)["Resources"]
    problems = [
        *public_address(resources),
        *wildcards(resources),
        *log_groups(resources),
        *retries(resources),
        *stored_credentials(resources, source["Parameters"]),
        *parameters(source["Parameters"]),
        *variables(resources, documented),
        *figures(resources),
    ]
    for problem in problems:
        print(f"template.yaml: {problem}", file=sys.stderr)
    print(f"template.yaml: {len(resources)} resources after the transform, {len(problems)} problems")
    return 1 if problems else 0


def as_plain(node):
    """cfn-lint's nodes as plain JSON values, which the transform wants."""
    return json.loads(json.dumps(node))


def transformed(template):
    """The template after the SAM transform, with the code where `sam package` would have put it."""
    template = json.loads(json.dumps(template))
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
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
            if any("*" in place for place in places):
                yield f"{name} allows {', '.join(actions)} by wildcard: {', '.join(places)}"
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        for name in of_type(resources, kind):
            yield f"{name} is a policy outside its role; keep the two together"


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
    for name, schedule in of_type(resources, "AWS::Scheduler::Schedule").items():
        if 2 < schedule["Target"].get("RetryPolicy", {}).get("MaximumRetryAttempts", 185):
            yield f"{name} retries more than twice"
    if not of_type(resources, "AWS::Lambda::EventInvokeConfig"):
        yield "an asynchronous invocation is retried by Lambda's default"


def stored_credentials(resources, declared):
    """A value may come from parameters that are not shown and have no default: taken once, nowhere in the template."""
    for name, secret in of_type(resources, "AWS::SecretsManager::Secret").items():
        if "SecretStringTemplate" in secret.get("GenerateSecretString", {}):
            yield f"{name} has a value in the template, which a later deployment would write over the real one"
        values = [text for text in strings(secret.get("SecretString", [])) if "{" in text]
        for parameter in {found for text in values for found in re.findall(r"\$\{(\w+)\}", text)}:
            if declared[parameter].get("Default") != "":
                yield f"{name} takes {parameter}, whose default a deployment would write over the real value"
            if not declared[parameter].get("NoEcho") and not parameter.endswith("Email"):
                yield f"{name} takes {parameter}, which is shown"
        if any('"}' in re.sub(r"\$\{\w+\}", "", text).replace('""', "") for text in values):
            yield f"{name} holds a value of the template itself"


def parameters(declared):
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    for name, parameter in declared.items():
        if f"`{name}`" not in text:
            yield f"docs/configuration.md does not explain the parameter {name}"
        if not parameter.get("Description", "").strip():
            yield f"the parameter {name} has no description"


def figures(resources):
    """What the dashboard and the alarms show is what the function prints."""
    printed = set()
    for file in (ROOT / "src").rglob("*.rs"):
        printed.update(re.findall(r'Figure::\w+\(\s*"(\w+)"', file.read_text(encoding="utf-8")))
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
    if not shown:
        yield "no figure of the function is shown anywhere"


def variables(resources, documented):
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        for variable in function.get("Environment", {}).get("Variables", {}):
            if variable not in documented:
                yield f"{name} sets {variable}, which docs/configuration.md does not explain"


if __name__ == "__main__":
    sys.exit(main())
