"""template.yaml as CloudFormation sees it: after the SAM transform, with given parameters, in a given region.

Runs without AWS. Owns how conditions, parameters and pseudo parameters are resolved; knows no rule that the result has
to follow. What only a deployment knows (references to other resources) stays as it is.
"""

import json
import re
from pathlib import Path
from unittest import mock

from cfnlint.decode import cfn_yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.transform import transform

FUNCTION = "AWS::Serverless::Function"
# CloudFormation's longest, so that whatever is named after the stack is seen at its longest.
STACK_NAME = "s" * 128
STANDARD = ("aws", "amazonaws.com")
# Name and domain of the partition whose regions begin so (botocore, endpoints).
PARTITIONS = {
    "cn-": ("aws-cn", "amazonaws.com.cn"), "us-gov-": ("aws-us-gov", "amazonaws.com"), "us-iso-": ("aws-iso", "c2s.ic.gov"),
    "us-isob-": ("aws-iso-b", "sc2s.sgov.gov"), "us-isof-": ("aws-iso-f", "csp.hci.ic.gov"),
    "eu-isoe-": ("aws-iso-e", "cloud.adc-e.uk"), "eusc-": ("aws-eusc", "amazonaws.eu"),
}
NOTHING = object()


def source_of(path: Path) -> dict:
    """The template as it is written, as plain JSON values, which the transform wants."""
    return json.loads(json.dumps(cfn_yaml.load(str(path))))


def transformed(template: dict) -> dict:
    """The template after the SAM transform, with the code where `sam package` would have put it."""
    template = json.loads(json.dumps(template))
    for resource in template["Resources"].values():
        # A package says itself where its code is.
        if resource["Type"] == FUNCTION and "Bucket" not in resource["Properties"].get("CodeUri", {}):
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    with mock.patch("boto3.session.Session.region_name", "us-east-1"):
        return transform(template, {}, mock.Mock(load=dict), None, Parser())


def rendered(template: dict, given: dict, region: str, stack: str = STACK_NAME) -> dict:
    """What CloudFormation would make of a transformed template: no parameters, no conditions."""
    parameters = {name: str(each["Default"]) for name, each in template["Parameters"].items() if "Default" in each}
    return Rendering(template, parameters | given, pseudo_parameters(region, stack)).template()


def unmet_rules(template: dict, given: dict, region: str) -> list[str]:
    """What the template's rules have against these parameters."""
    parameters = {name: str(each["Default"]) for name, each in template["Parameters"].items() if "Default" in each}
    rendering = Rendering(template, parameters | given, pseudo_parameters(region, STACK_NAME))
    rules = [rule for rule in template.get("Rules", {}).values() if rendering.holds(rule["RuleCondition"])]
    found = [each for rule in rules for each in rule["Assertions"] if not rendering.holds(each["Assert"])]
    return [each["AssertDescription"] for each in found]


def pseudo_parameters(region: str, stack: str) -> dict:
    partition, suffix = next((each for start, each in PARTITIONS.items() if region.startswith(start)), STANDARD)
    return {
        "AWS::AccountId": "123456789012", "AWS::Partition": partition, "AWS::Region": region, "AWS::StackName": stack,
        "AWS::URLSuffix": suffix,
    }


class Rendering:
    """One template under one set of values."""

    def __init__(self, template: dict, parameters: dict, pseudo: dict):
        self.source = template
        self.parameters = parameters
        self.texts = {**{name: str(value) for name, value in parameters.items()}, **pseudo}

    def template(self) -> dict:
        result = {"AWSTemplateFormatVersion": "2010-09-09"}
        for part in ("Resources", "Outputs"):
            present = {
                name: {key: value for key, value in each.items() if key != "Condition"}
                for name, each in self.source.get(part, {}).items()
                if "Condition" not in each or self.holds({"Condition": each["Condition"]})
            }
            result[part] = self.resolved(present)
        return result

    def holds(self, condition) -> bool:
        [(function, of)] = condition.items()
        match function:
            case "Condition":
                return self.holds(self.source["Conditions"][of])
            case "Fn::Equals":
                return self.resolved(of[0]) == self.resolved(of[1])
            case "Fn::Not":
                return not self.holds(of[0])
            case "Fn::And":
                return all(self.holds(each) for each in of)
            case "Fn::Or":
                return any(self.holds(each) for each in of)
            case "Fn::EachMemberIn":
                return set(self.resolved(of[0])) <= set(self.resolved(of[1]))
        raise ValueError(f"unknown condition {function}")

    def resolved(self, value):
        """`value` without what is decided before anything is deployed; NOTHING where it is not there."""
        if isinstance(value, list):
            found = [self.resolved(each) for each in value]
            return [each for each in found if each is not NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(function, of)] = value.items()
            match function:
                case "Ref" if of == "AWS::NoValue":
                    return NOTHING
                case "Ref" if of in self.parameters:
                    is_list = self.source["Parameters"][of]["Type"] == "CommaDelimitedList"
                    return self.texts[of].split(",") if is_list else self.texts[of]
                case "Ref" if of in self.texts:
                    return self.texts[of]
                case "Fn::If":
                    return self.resolved(of[1] if self.holds({"Condition": of[0]}) else of[2])
                case "Fn::Sub":
                    return self.substituted(of)
                case "Fn::Join":
                    parts = self.resolved(of[1])
                    is_known = all(isinstance(each, str) for each in parts)
                    return of[0].join(parts) if is_known else {function: [of[0], parts]}
        found = {key: self.resolved(each) for key, each in value.items()}
        return {key: each for key, each in found.items() if each is not NOTHING}

    def substituted(self, of):
        text, own = (of, {}) if isinstance(of, str) else of
        own = {name: self.resolved(each) for name, each in own.items()}
        known = {**self.texts, **{name: each for name, each in own.items() if isinstance(each, str)}}
        for name, each in own.items():
            # A text that is itself one with references becomes part of this one.
            if isinstance(each, dict) and isinstance(each.get("Fn::Sub"), str):
                known[name] = each["Fn::Sub"]
        text = re.sub(r"\$\{([A-Za-z0-9:]+)\}", lambda found: known.get(found[1], found[0]), text)
        rest = {name: each for name, each in own.items() if name not in known}
        if not re.search(r"\$\{[^!]", text):
            return text.replace("${!", "${")
        return {"Fn::Sub": [text, rest] if rest else text}
