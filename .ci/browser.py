"""The sandbox at a terminal, its page and the command line's two reports in a real browser, as people use them.

Called as: browser.py SANDBOX FUNCTION FERRY CHROMIUM SCREENSHOTS, which is what `.ci/run browser` does.
"""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

from playwright.sync_api import expect, sync_playwright

import pages
import reports
from looks import assert_it_can_fail, assert_right

SANDBOX, FUNCTION, FERRY, CHROMIUM, SCREENSHOTS = sys.argv[1:]

SCHEMES = ("light", "dark")
WIDTHS = (1400, 800)


def free_ports():
    """The first of four neighbouring ports that nobody has."""
    for first in range(21000, 60000, 97):
        taken = []
        try:
            for port in range(first, first + 4):
                taken.append(socket.create_server(("127.0.0.1", port)))
            return first
        except OSError:
            continue
        finally:
            for server in taken:
                server.close()
    raise SystemExit("no four neighbouring ports are free")


class Watched:
    """A page of which every complaint counts."""

    def __init__(self, browser, scheme, width):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.complaints = []
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url}"))

    def __enter__(self):
        return self.page

    def __exit__(self, kind, *_):
        self.context.close()
        # A request that was under way when the page closed has not failed.
        complaints = [it for it in self.complaints if "/events" not in it]
        assert kind or not complaints, complaints


def looked_at(browser, url, name, ready):
    """In both schemes and widths: a screenshot of each, and nothing wrong with it."""
    for scheme in SCHEMES:
        for width in WIDTHS:
            with Watched(browser, scheme, width) as page:
                page.goto(url)
                ready(page)
                page.screenshot(path=f"{SCREENSHOTS}/{name}-{scheme}-{width}.png", full_page=True)
                assert_right(page, f"{name}, {scheme}, {width}")


def terminal_story(_):
    """The scenes, for readers of any kind."""
    command = [SANDBOX, "--once", FUNCTION]
    for columns in (80, 120):
        environment = {"PATH": os.environ["PATH"], "COLUMNS": str(columns), "NO_COLOR": "1"}
        told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told
        too_long = [line for line in told.stdout.splitlines() if columns < len(line)]
        assert not too_long and "\x1b" not in told.stdout, too_long
        assert "That is all" in told.stdout, told.stdout
    # Whoever reads has seen enough.
    reader, writer = os.pipe()
    os.close(reader)
    told = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (told.returncode, told.stderr) == (0, ""), told
    # A disk that is full is an error in words.
    with open("/dev/full", "w", encoding="utf-8") as full:
        told = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert told.returncode == 1 and "cannot write to standard output" in told.stderr, told


def sandbox_story(browser):
    first = free_ports()
    # Closed input: it stays all the same, until it is told to end.
    command = [SANDBOX, "--port", str(first), FUNCTION]
    with tempfile.TemporaryFile() as log:
        sandbox = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{first}/"
            wait_for(first)
            taken = subprocess.run(command, capture_output=True, text=True, check=False)
            assert taken.returncode == 1 and f"port {first} of 127.0.0.1 is taken" in taken.stderr, taken
            pages.assert_strangers_are_refused(first)
            with Watched(browser, "light", 1400) as page:
                page.goto(url)
                pages.ready(page)
                assert_it_can_fail(page)
            looked_at(browser, url, "sandbox", pages.ready)
            for story in pages.STORIES:
                with Watched(browser, "light", 1400) as page:
                    page.goto(url)
                    pages.ready(page)
                    story(page)
            looked_at(browser, url, "sandbox-apart", pages.apart)
            with Watched(browser, "light", 1400) as page:
                page.goto(url)
                pages.together(page)
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace")[-4000:])
            raise
        finally:
            sandbox.terminate()
            ended = sandbox.wait(timeout=20)
        assert ended == 0, f"the sandbox ended with {ended} when it was told to"


def wait_for(port):
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the sandbox does not listen")


def report_story(browser):
    with tempfile.TemporaryDirectory() as directory:
        made = reports.made(SANDBOX, FERRY, pathlib.Path(directory))
        for name, path in made.items():
            looked_at(browser, path.as_uri(), name, reports.ready)
        for scheme in SCHEMES:
            with Watched(browser, scheme, 1400) as page:
                page.goto(made["preview"].as_uri())
                reports.filters_and_keys_work(page)
        large = reports.enlarged(made["preview"], 100_000)
        with Watched(browser, "light", 1400) as page:
            reports.stays_usable(page, large.as_uri(), 100_000)


def main():
    os.makedirs(SCREENSHOTS, exist_ok=True)
    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        expect.set_options(timeout=90_000)
        for story in (terminal_story, sandbox_story, report_story):
            started = time.monotonic()
            story(browser)
            print(f"{story.__name__}: {time.monotonic() - started:.0f} s")
        browser.close()


if __name__ == "__main__":
    main()
