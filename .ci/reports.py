"""The two reports of the command line, made against the sandbox's servers, and what people do with them."""

import json
import os
import re
import subprocess
import time

from playwright.sync_api import expect

# Seconds in which a page of 100,000 entities is there, and in which its filter answers.
LOADS_WITHIN = 8
FILTERS_WITHIN = 3


def made(sandbox, ferry, directory):
    """Files by the names of the reports: a preview of a new installation, the resync, and a preview of changes."""
    servers = subprocess.Popen([sandbox, "servers"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        places = json.loads(servers.stdout.readline())
        environment = {
            "PATH": os.environ["PATH"],
            "OCEAN__PORT__BASE_URL": places["port"],
            "OCEAN__PORT__CLIENT_ID": places["clientId"],
            "OCEAN__PORT__CLIENT_SECRET": places["clientSecret"],
            "OCEAN__INTEGRATION__IDENTIFIER": "reports",
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL": places["bitbucket"],
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE": places["workspace"],
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN": places["token"],
        }

        def report(name, command, codes):
            path = directory / f"{name}.html"
            done = subprocess.run(
                [ferry, *command, "--html", path], env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode in codes and path.exists(), f"ferry {command}: {done.returncode}\n{done.stderr}"
            return path

        reports = {"resync": report("resync", ["resync"], [0])}
        for choice in range(1, 25):
            servers.stdin.write(f"{choice}\n")
            servers.stdin.flush()
            servers.stdout.readline()
        # 2: there are changes.
        reports["preview"] = report("preview", ["preview"], [2])
        return reports
    finally:
        servers.stdin.close()
        servers.wait(timeout=20)


def ready(page):
    expect(page.locator("h1")).to_be_visible()


def search(page):
    return page.get_by_role("searchbox")


def filters_and_keys_work(page):
    ready(page)
    blueprints = page.locator("details.blueprint[data-name]")
    everything = blueprints.count()
    assert 0 < everything
    # A blueprint opens by the keyboard.
    summary = blueprints.first.locator("summary")
    summary.focus()
    is_open = blueprints.first.get_attribute("open")
    page.keyboard.press("Enter")
    assert blueprints.first.get_attribute("open") != is_open
    # The slash leads to the filter, Escape empties it.
    page.keyboard.press("/")
    expect(search(page)).to_be_focused()
    page.keyboard.type("no such entity")
    expect(page.get_by_text("Nothing matches.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(blueprints).to_have_count(everything)
    wanted = json.loads(page.locator("#data").text_content())["blueprints"]
    identifier = next(it[0] for blueprint in wanted for kind in ("deleted", "changed", "created") for it in blueprint[kind])
    search(page).fill(identifier)
    expect(page.locator("td.id", has_text=identifier).first).to_be_visible()
    search(page).fill("")
    expect(blueprints).to_have_count(everything)
    # Without any kind of change there is nothing to show.
    for box in page.get_by_role("checkbox").all():
        box.uncheck()
    expect(page.get_by_text("Nothing matches.")).to_be_visible()
    for box in page.get_by_role("checkbox").all():
        box.check()
    expect(blueprints).to_have_count(everything)


def enlarged(path, entities):
    """The same report with so many entities: each of its own again and again, under other identifiers."""
    text = path.read_text(encoding="utf-8")
    found = re.search(r'(<script type="application/json" id="data">)(.*?)(</script>)', text, re.DOTALL)
    data = json.loads(found.group(2))
    kinds = [(blueprint, kind) for blueprint in data["blueprints"] for kind in ("deleted", "changed", "created") if blueprint[kind]]
    each = entities // len(kinds)
    for place, (blueprint, kind) in enumerate(kinds):
        own = blueprint[kind]
        count = each if place else entities - each * (len(kinds) - 1)
        blueprint[kind] = [[f"{own[at % len(own)][0]}-{at}", *own[at % len(own)][1:]] for at in range(count)]
    data = json.dumps(data).replace("<", "\\u003c")
    large = path.with_name("large.html")
    large.write_text(text[: found.start(2)] + data + text[found.end(2) :], encoding="utf-8")
    return large


def stays_usable(page, url, entities):
    def timed(what, limit, act):
        started = time.monotonic()
        act()
        took = time.monotonic() - started
        print(f"  {entities} entities: {what} in {took:.1f} s")
        assert took < limit, f"{what} took {took:.1f} s"

    def load():
        page.goto(url)
        ready(page)

    def narrow():
        search(page).fill("-777")
        expect(page.locator("td.id", has_text="-777").first).to_be_visible()

    def widen():
        search(page).fill("")
        expect(page.locator("p", has_text=re.compile(r" of [\d,]+ to "))).to_have_count(0)

    timed("loaded", LOADS_WITHIN, load)
    timed("filtered", FILTERS_WITHIN, narrow)
    timed("unfiltered", FILTERS_WITHIN, widen)
    more = page.get_by_role("button", name=re.compile("more to"))
    details = page.locator("details.blueprint[data-name]").first
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    timed("shown more", FILTERS_WITHIN, more.first.click)
