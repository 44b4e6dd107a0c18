#!/usr/bin/env python3
"""Makes what people install without building: package.py BUILD DIRECTORY, where BUILD is what `sam build` has made.

For the architecture that was built, DIRECTORY gets
  ferry-VERSION-ARCHITECTURE.zip              the code of all functions
  ferry-VERSION-ARCHITECTURE.yaml             the template; CodeBucket and CodeKey say where the code has been put
  ferry-VERSION-ARCHITECTURE-repository.yaml  the same for the AWS Serverless Application Repository: `sam package`
                                              uploads the code, the licence and the read-me beside it
The architecture is read from the binary, and is the only one that the template takes: the two cannot diverge.
Two packages of the same build are the same, byte by byte.
"""

import copy
import re
import shutil
import sys
import tomllib
import zipfile
from pathlib import Path

from samcli.yamlhelper import yaml_dump, yaml_parse

ROOT = Path(__file__).resolve().parent.parent
# Of the ELF header: the machine, two bytes at 18 (System V ABI, object files).
MACHINES = {0x3E: "x86_64", 0xB7: "arm64"}
FUNCTION = "AWS::Serverless::Function"
# What `sam build` reads and leaves in the metadata of a resource.
BUILD_METADATA = {"BuildMethod", "BuildProperties", "SamResourceId"}


def main() -> None:
    build, directory = map(Path, sys.argv[1:3])
    directory.mkdir(parents=True, exist_ok=True)
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["package"]
    built = yaml_parse((build / "template.yaml").read_text(encoding="utf-8"))
    binary = only_binary(build, built)
    architecture = architecture_of(binary)
    name = f"ferry-{workspace['version']}-{architecture}"
    write_zip(directory / f"{name}.zip", binary)
    template = without_build(built, architecture)
    (directory / f"{name}.yaml").write_text(yaml_dump(with_bucket(template, f"{name}.zip")), encoding="utf-8")
    application = with_application(template, f"{name}.zip", architecture, workspace)
    (directory / f"{name}-repository.yaml").write_text(yaml_dump(application), encoding="utf-8")
    for text in ("LICENSE", "README.md"):
        shutil.copyfile(ROOT / text, directory / text)
    print(f"package: {name}: {(directory / f'{name}.zip').stat().st_size} bytes of code")


def functions(template):
    return [each["Properties"] for each in template["Resources"].values() if each["Type"] == FUNCTION]


def only_binary(build, template):
    """The bootstrap of the functions: one binary, wherever it lies."""
    found = {(build / each["CodeUri"] / "bootstrap").read_bytes() for each in functions(template)}
    if len(found) != 1:
        sys.exit(f"package: the functions have {len(found)} different binaries")
    return found.pop()


def architecture_of(binary):
    machine = int.from_bytes(binary[18:20], "little")
    if binary[:4] != b"\x7fELF" or machine not in MACHINES:
        sys.exit("package: bootstrap is no binary for x86_64 or arm64")
    return MACHINES[machine]


def write_zip(path, binary):
    # The earliest time that a zip knows: what was built from the same sources is the same file.
    entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, binary, compresslevel=9)


def without_build(built, architecture):
    """The template without what only concerns its build, for this architecture alone."""
    template = copy.deepcopy(built)
    for resource in template["Resources"].values():
        kept = {key: value for key, value in resource.pop("Metadata", {}).items() if key not in BUILD_METADATA}
        resource |= {"Metadata": kept} if kept else {}
    template["Globals"]["Function"].pop("CodeUri", None)
    template["Parameters"]["Architecture"] |= {
        "Description": f"Processor of the functions; this package is for {architecture}, another one for the other.",
        "Default": architecture,
        "AllowedValues": [architecture],
        "ConstraintDescription": f"{architecture}, which this package was built for",
    }
    return template


def with_bucket(template, key):
    """Takes the code from any bucket in the region of the stack."""
    template = copy.deepcopy(template)
    code = {
        "CodeBucket": {
            "Type": "String",
            "Description": f"S3 bucket, in the region of the stack, into which {key} has been put.",
            "AllowedPattern": "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
            "ConstraintDescription": "the name of a bucket, without s3://",
        },
        "CodeKey": {
            "Type": "String",
            "Description": f"Key of {key} in the bucket.",
            "Default": key,
            "AllowedPattern": r"^[^/].*\.zip$",
            "ConstraintDescription": "the key of a zip file, without the bucket and without a slash before it",
        },
    }
    template["Parameters"] = {**code, **template["Parameters"]}
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    groups.insert(0, {"Label": {"default": "The code"}, "Parameters": list(code)})
    for each in functions(template):
        each["CodeUri"] = {"Bucket": {"Ref": "CodeBucket"}, "Key": {"Ref": "CodeKey"}}
    return template


def with_application(template, code, architecture, workspace):
    """What `sam package` and `sam publish` make an application of the repository from."""
    template = copy.deepcopy(template)
    for each in functions(template):
        each["CodeUri"] = code
    # Its names are of letters, digits and dashes (Serverless Application Repository, CreateApplication).
    suffix = "" if architecture == "arm64" else "-" + re.sub("[^a-z0-9]", "-", architecture)
    template["Metadata"]["AWS::ServerlessRepo::Application"] = {
        "Name": f"ferry-port-bitbucket{suffix}",
        "Description": f"Keeps a Port software catalogue in step with a Bitbucket Cloud workspace ({architecture}).",
        "Author": "Ferry",
        "SpdxLicenseId": workspace["license"],
        "LicenseUrl": "LICENSE",
        "ReadmeUrl": "README.md",
        "Labels": ["port", "bitbucket", "catalogue"],
        "HomePageUrl": workspace["repository"],
        "SourceCodeUrl": workspace["repository"],
        "SemanticVersion": workspace["version"],
    }
    return template


if __name__ == "__main__":
    main()
