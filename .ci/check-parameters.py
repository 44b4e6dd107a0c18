#!/usr/bin/env python3
"""What template.yaml, or the template that is named, becomes: with every parameter set and cleared again, with each
entrance in every region that cfn-lint knows, in every partition, under the longest name of a stack.

Owns a sample for each parameter, and the rules for names: nothing of one stack is in another's way, nor in the way of
the next one of the same name.
"""

import concurrent.futures
import json
import re
import sys
from pathlib import Path

from cfnlint.api import ManualArgs, lint
from cfnlint.helpers import REGIONS

from rendering import PARTITIONS, rendered, source_of, transformed, unmet_rules

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "template.yaml"
HOME = "us-east-1"
# The workspace's name as long as it may be; the bucket is a package's.
REQUIRED = {"BitbucketWorkspace": "w" * 100, "CodeBucket": "bucket"}
ENTRANCES = ("function-url", "http-api", "none")
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
# Other than the default; of a parameter that takes one of a few values each of them is tried instead.
SAMPLES = {
    "BitbucketWorkspace": {"BitbucketWorkspace": "other"},
    "PortBaseUrl": {"PortBaseUrl": "https://api.us.getport.io"},
    "IntegrationIdentifier": {"IntegrationIdentifier": "Team_A.bitbucket@eu:1=+-" + "x" * 76},
    "ResyncIntervalMinutes": {"ResyncIntervalMinutes": "15"},
    "DomainName": {
        "Entrance": "http-api", "DomainName": "ferry.example.com",
        "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/1234abcd-12ab-34cd-56ef-1234567890ab",
    },
    "BaseUrl": {"Entrance": "none", "BaseUrl": "https://hooks.example.com:8443/in/ferry"},
    "CredentialsSecretArn": {
        "CredentialsSecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:team/ferry-AbCdEf",
        "CredentialsKmsKeyArn": KEY,
    },
    "MemorySize": {"MemorySize": "10240"},
    "ReservedConcurrency": {"ReservedConcurrency": "3"},
    "SubnetIds": {"SubnetIds": "subnet-0a1b2c3d,subnet-0a1b2c3e", "SecurityGroupIds": "sg-0a1b2c3d,sg-0a1b2c3e"},
    "PermissionsBoundaryArn": {"PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/boundaries/team"},
    "RolePath": {"RolePath": "/team/ferry/"},
    "KmsKeyArn": {"KmsKeyArn": KEY},
    "LogClass": {"LogClass": "INFREQUENT_ACCESS", "Alarms": "false", "CreateDashboard": "false"},
    "AlarmEmail": {"AlarmEmail": "platform@example.com"},
    "AlarmTopicArn": {"AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:alarms"},
    "CodeKey": {"CodeKey": "other.zip"},
    "CodeBucket": {"CodeBucket": "other"},
}
# Set together with another one.
WITH_OTHERS = {
    "CertificateArn": "DomainName", "CredentialsKmsKeyArn": "CredentialsSecretArn", "SecurityGroupIds": "SubnetIds",
}
# What the rules of the template turn down.
REFUSED = [
    {"SubnetIds": "subnet-0a1b2c3d"},
    {"DomainName": "ferry.example.com", "Entrance": "http-api"},
    {**SAMPLES["DomainName"], "Entrance": "function-url"},
    {"LogClass": "INFREQUENT_ACCESS"},
    {"LogClass": "INFREQUENT_ACCESS", "Alarms": "false", "CreateDashboard": "true"},
]
# Everything that an organisation may ask for at once.
ALL = {name: value for sample in SAMPLES.values() for name, value in sample.items()} | {
    "Tracing": "Active", "LogClass": "STANDARD", "Alarms": "true", "CreateDashboard": "true", "Entrance": "http-api", "BaseUrl": "",
}
# Properties that name what is made, by type, once in an account and region; without it AWS makes a unique name.
NAMES = {
    "AWS::CloudWatch::Alarm": "AlarmName", "AWS::CloudWatch::Dashboard": "DashboardName", "AWS::DynamoDB::Table": "TableName",
    "AWS::IAM::Role": "RoleName", "AWS::Lambda::Function": "FunctionName", "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::Scheduler::Schedule": "Name", "AWS::SecretsManager::Secret": "Name", "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
}
# Labels, and names within another resource or of the user's choice.
NAMED_OTHERWISE = {
    f"AWS::ApiGatewayV2::{kind}" for kind in ("Api", "ApiMapping", "DomainName", "Stage")
} | {"AWS::IAM::Policy"}


def main() -> int:
    template = transformed(source_of(TEMPLATE))
    declared = template["Parameters"]
    for name in REQUIRED.keys() - declared.keys():
        del REQUIRED[name]
    problems = [*samples(declared), *rules(template), *names(template), *partitions_are_asked_for()]
    jobs = [*by_parameter(template), *by_region(template), *by_partition(template)]
    with concurrent.futures.ProcessPoolExecutor() as pool:
        for what, found in pool.map(linted, jobs):
            problems.extend(f"{what}: {problem}" for problem in found)
    for problem in problems:
        print(f"{TEMPLATE.name}: {problem}", file=sys.stderr)
    print(f"{TEMPLATE.name}: {len(jobs)} renderings, {len(REGIONS)} regions, {len(problems)} problems")
    return 1 if problems else 0


def variants(declared):
    """For each parameter every sample of it, with what it is set together with."""
    for name, parameter in declared.items():
        if name in SAMPLES:
            yield name, SAMPLES[name]
        elif "AllowedValues" in parameter:
            values = [str(value) for value in parameter["AllowedValues"] if value != parameter.get("Default")]
            # Of many values the two ends; which ones there are, cfn-lint knows from the template itself.
            yield from ((name, {name: value}) for value in (values if len(values) < 6 else (values[0], values[-1])))


def samples(declared):
    tried = {name for name, _ in variants(declared)} | {name for name in declared if name in WITH_OTHERS}
    for name, parameter in declared.items():
        # One value for a package of one architecture.
        if name not in tried and len(parameter.get("AllowedValues", [])) != 1:
            yield f"there is no sample of the parameter {name}"
        if "Default" in parameter and not taken(parameter, str(parameter["Default"])):
            yield f"the parameter {name} does not take its own default, so it cannot be cleared"
    for _, sample in variants(declared):
        for name, value in sample.items():
            if name in declared and not taken(declared[name], value):
                yield f"the parameter {name} does not take {value}"


def taken(parameter, value):
    """Whether CloudFormation takes this value; of a list, each member."""
    values = value.split(",") if parameter["Type"] == "CommaDelimitedList" else [value]
    allowed = [str(each) for each in parameter.get("AllowedValues", values)]
    number = parameter["Type"] == "Number" and float(value)
    return (
        all(each in allowed and re.search(parameter.get("AllowedPattern", ""), each) for each in values)
        and not (number and number < parameter.get("MinValue", number))
        and not (number and parameter.get("MaxValue", number) < number)
    )


def rules(template):
    for _, sample in variants(template["Parameters"]):
        for problem in unmet_rules(template, REQUIRED | sample, HOME):
            yield f"{sample} is refused: {problem}"
    for sample in REFUSED:
        if not unmet_rules(template, REQUIRED | sample, HOME):
            yield f"{sample} is not refused"


def by_parameter(template):
    """Each sample changes something, and what comes of it is valid; cleared, it is as if it had never been."""
    plain = rendered(template, REQUIRED, HOME)
    yield "no parameter", plain, [HOME], []
    for name, sample in variants(template["Parameters"]):
        changed = rendered(template, REQUIRED | sample, HOME)
        noted = [] if changed != plain else ["the parameter has no effect"]
        yield f"{name}={sample[name][:40]}", changed, [HOME], noted
    yield "everything", rendered(template, REQUIRED | ALL, HOME), [HOME], []


def by_region(template):
    for entrance in ENTRANCES:
        yield entrance, rendered(template, REQUIRED | {"Entrance": entrance}, HOME), sorted(REGIONS), []


def by_partition(template):
    for start in PARTITIONS:
        region = next(region for region in sorted(REGIONS) if region.startswith(start))
        result = rendered(template, REQUIRED | ALL | {"CertificateArn": "", "DomainName": ""}, region)
        foreign = set(re.findall(r"arn:aws:[a-z0-9-]*:[^\"]*(?=\")", json.dumps(result))) - set(ALL.values())
        noted = [f"an ARN of another partition: {each}" for each in sorted(foreign)]
        yield region, result, [region], noted


def partitions_are_asked_for():
    """ARNs and host names are made of AWS::Partition and AWS::URLSuffix; principals of services are the same everywhere."""
    for number, line in enumerate(TEMPLATE.read_text(encoding="utf-8").splitlines(), 1):
        if re.search(r"(?<![\^|])arn:aws:", line) or (re.search(r"\.amazonaws\.", line) and "Principal" not in line):
            yield f"line {number} is right in one partition only: {line.strip()}"


def linted(job):
    what, template, regions, noted = job
    found = lint(json.dumps(template), config=ManualArgs(regions=regions))
    problems = [f"{each.rule.id} {each.message}" for each in found]
    if what == "function-url":
        # Where there are no function URLs, there is another entrance.
        problems = [each for each in problems if "'AWS::Lambda::Url' does not exist in" not in each]
    return what, noted + problems


def names(template):
    """What bears a name bears the stack's; dashboards are an account's, in all regions."""
    everything = REQUIRED | ALL
    one, other, elsewhere = (
        rendered(template, everything, region, stack)["Resources"]
        for region, stack in ((HOME, "one"), (HOME, "other"), ("eu-west-1", "one"))
    )
    for name, resource in one.items():
        kind, properties = resource["Type"], resource["Properties"]
        if kind not in NAMES:
            if kind not in NAMED_OTHERWISE and any(re.search("Name$", each) for each in properties if each != "FunctionName"):
                yield f"{name} ({kind}) bears a name; say in NAMES what that means"
            continue
        given = [properties.get(NAMES[kind]) for properties in (one[name]["Properties"], other[name]["Properties"])]
        if given[0] is None:
            continue
        if given[0] == given[1]:
            yield f"two stacks would share the name of {name}: {given[0]}"
        if kind == "AWS::CloudWatch::Dashboard" and given[0] == elsewhere[name]["Properties"][NAMES[kind]]:
            yield f"stacks of two regions would share the name of {name}: {given[0]}"
        if resource.get("DeletionPolicy", "Delete") != "Delete":
            yield f"{name} outlives its stack, and would be in the way of the next one of that name"



if __name__ == "__main__":
    sys.exit(main())
