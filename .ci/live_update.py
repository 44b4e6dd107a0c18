"""An update of a stack that is at work, on the emulator: other memory and another log level while events arrive.

Part of .ci/deployed.py, which says how to deploy and how to tell of a change. Nothing that Bitbucket told may be lost.
"""

import concurrent.futures
import json
import re

# Other than before, so that every function is made anew.
UPDATED = {"MemorySize": "384", "LogLevel": "INFO"}

# Bitbucket sends once more what is answered with 5xx, twice and at once.
ATTEMPTS = 3

# Of a stack that is brought up to date faster than anything happens nobody learns much.
LEAST_CHANGES = 8


def delivered(post, delivery):
    """The status of the last attempt at a delivery."""
    status = None
    for _ in range(ATTEMPTS):
        status = post(delivery["event"], delivery["id"], delivery["body"])
        if status < 500:
            break
    return status


def at_sandbox(template, places):
    """The template, as text, with the one thing that a deployment cannot say: where the sandbox is."""
    variables = {
        "OCEAN__PORT__BASE_URL": places["port"],
        "OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL": places["bitbucket"],
    }
    text, found = re.subn(
        r"( +)OCEAN__PORT__BASE_URL:(?: !Ref PortBaseUrl|\n +Ref: PortBaseUrl)\n",
        lambda match: "".join(f"{match[1]}{name}: {json.dumps(url)}\n" for name, url in variables.items()),
        template,
    )
    if found != 1:
        raise SystemExit("deployed: the template does not say where Port is")
    return text


def update_at_work(update, tell):
    """Runs `update` while `tell` makes changes, one after the other, and delivers what Bitbucket says of each.

    Returns the statuses of the deliveries.
    """
    statuses = []
    with concurrent.futures.ThreadPoolExecutor(1) as one:
        under_way = one.submit(update)
        changes = 0
        while not under_way.done() or changes < LEAST_CHANGES:
            statuses += tell()
            changes += 1
        under_way.result()
    return statuses
