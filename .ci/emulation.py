"""What stories on an emulator of AWS share: the emulator, the sandbox beside it, a guided deployment at a terminal.

Every story takes the same arguments: the package, the sandbox, ministack, sam and ferry, as `.ci/run deployed` prepares
them. Knows no story.
"""

import contextlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3
import pexpect

PACKAGE, SANDBOX, MINISTACK, SAM, FERRY = sys.argv[1:6]
[CODE] = Path(PACKAGE).glob("ferry-*-x86_64.zip")
TEMPLATE = CODE.with_suffix(".yaml")
STORY = Path(sys.argv[0]).stem
REGION = "us-east-1"
BUCKET = "deployments"
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    GATEWAY_PORT = str(free.getsockname()[1])
GATEWAY = f"http://127.0.0.1:{GATEWAY_PORT}"
os.environ.update(
    AWS_ENDPOINT_URL=GATEWAY, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION=REGION,
    SAM_CLI_TELEMETRY="0",
)


def wait_for(what, probe, seconds=300):
    """The first true answer of `probe`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = probe()
        except Exception:  # what is not there yet answers in many ways
            found = None
        if found:
            return found
        time.sleep(0.5)
    sys.exit(f"{STORY}: {what} did not come about within {seconds} s")


def require(condition, what):
    if not condition:
        sys.exit(f"{STORY}: {what}")
    print(f"{STORY}: {what.split(': ')[0]}: ok", flush=True)


@contextlib.contextmanager
def emulated():
    """The emulator with a bucket, and the sandbox's servers: their process, and where they are."""
    with contextlib.ExitStack() as started:
        def start(command, **options):
            process = subprocess.Popen(command, **options)
            started.callback(process.kill)
            return process

        start(
            [MINISTACK], env={**os.environ, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": GATEWAY_PORT},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        servers = start([SANDBOX, "servers"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        places = json.loads(servers.stdout.readline())
        s3 = boto3.client("s3")
        wait_for("the emulator", lambda: s3.create_bucket(Bucket=BUCKET) or True)
        yield servers, places


def guided(folder, answers, stack="ferry", template=TEMPLATE):
    """`sam deploy --guided` at a terminal; what is not in `answers` keeps the answer that sam offers."""
    # Its answers would be kept beside the template.
    answered = folder / "samconfig.toml"
    answered.touch()
    command = ["deploy", "--guided", "--template-file", str(template), "--config-file", str(answered)]
    terminal = pexpect.spawn(SAM, command, cwd=folder, timeout=600, encoding="utf-8", dimensions=(50, 200))
    log = terminal.logfile_read = io.StringIO()
    asked = set()
    while terminal.expect([r"([^\r\n]+?) \[[^\]\r\n]*\]: ", pexpect.EOF]) == 0:
        question = re.sub("\x1b\\[[0-9]*m", "", terminal.match.group(1)).strip()
        parameter = question.removeprefix("Parameter ")
        if question in asked:
            sys.exit(f"{STORY}: sam asks twice: {question}\n{log.getvalue()}")
        asked.add(question)
        answer = answers.get(parameter, "")
        if "Stack Name" in question:
            answer = stack
        elif "no authentication" in question:
            answer = "y"
        elif "Confirm changes" in question:
            answer = "n"
        terminal.sendline(answer)
    terminal.close()
    missing = set(answers) - {question.removeprefix("Parameter ") for question in asked}
    if terminal.exitstatus or missing:
        sys.exit(f"{STORY}: the guided deployment failed, or did not ask for {missing}:\n{log.getvalue()}")


def outputs_of(stack):
    described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


def get(url, token, host=None):
    headers = {"Host": host} if host else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)
