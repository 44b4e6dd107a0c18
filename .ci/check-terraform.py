#!/usr/bin/env python3
"""What the Terraform module says agrees with the template that it deploys.

Parses it; no provider is fetched, so types of its resources are not checked. Owns the rules that `terraform fmt` and
`terraform validate` have not: parameters and outputs exist, what the package needs is given.
"""

import re
import sys
from pathlib import Path

import hcl2

ROOT = Path(__file__).resolve().parent.parent
# Of the package (.ci/package.py).
CODE = {"CodeBucket", "CodeKey"}


def main() -> int:
    template = (ROOT / "template.yaml").read_text(encoding="utf-8")
    parameters, outputs = section(template, "Parameters"), section(template, "Outputs")
    module, example = parsed("terraform/main.tf"), parsed("terraform/example/main.tf")
    problems = [*gives_code(module), *given(example, module, parameters), *shown(example, outputs)]
    for problem in problems:
        print(f"terraform: {problem}", file=sys.stderr)
    print(f"terraform: {len(problems)} problems")
    return 1 if problems else 0


def section(template, name):
    """The names in a section of template.yaml, each with whether it has a default."""
    body = re.search(rf"^{name}:\n((?:  .*\n|\n)+)", template, re.MULTILINE).group(1)
    found = re.split(r"^  (\w+):\n", body, flags=re.MULTILINE)[1:]
    return {name: "\n    Default:" in f"\n{text}" for name, text in zip(found[::2], found[1::2])}


def parsed(path):
    with open(ROOT / path, encoding="utf-8") as file:
        return hcl2.load(file)


def bare(text):
    return str(text).strip('"')


def named(document, kind):
    """Blocks of one kind by their last label."""
    return {bare(list(block)[-1]): block[list(block)[-1]] for block in document.get(kind, [])}


def gives_code(module):
    [stack] = [
        resource['"ferry"'] if '"ferry"' in resource else resource["ferry"]
        for block in module["resource"] for kind, resource in block.items() if bare(kind) == "aws_cloudformation_stack"
    ]
    text = str(stack["parameters"])
    for name in CODE:
        if name not in text:
            yield f"the stack gets no {name}"
    for capability in ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"):
        if capability not in str(stack["capabilities"]):
            yield f"the stack is deployed without {capability}"


def given(example, module, parameters):
    """The example gives what is required, and nothing that nobody knows."""
    [call] = named(example, "module").values()
    arguments = {bare(name) for name in call} - {"source", "__is_block__"}
    variables = named(module, "variable")
    for name in sorted(arguments - set(variables)):
        yield f"the example gives {name}, which is no variable of the module"
    for name, variable in variables.items():
        if "default" not in variable and name not in arguments:
            yield f"the example does not give {name}"
    used = {bare(name) for name in call["parameters"]} - {"__is_block__"}
    for name in sorted(used - set(parameters)):
        yield f"the example gives the parameter {name}, which the template does not have"
    for name, has_default in parameters.items():
        if not has_default and name not in used:
            yield f"the example does not give the parameter {name}"


def shown(example, outputs):
    for name in re.findall(r'outputs\[\\*"(\w+)', str(example)):
        if name not in outputs:
            yield f"the example shows the output {name}, which the template does not have"


if __name__ == "__main__":
    sys.exit(main())
