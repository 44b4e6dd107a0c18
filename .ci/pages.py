"""Stories at the sandbox's page: every button is pressed, and each time both catalogues become equal again."""

import http.client
import json

from playwright.sync_api import expect


def ready(page):
    """The scenes are over, and Port holds what a fresh resync would produce."""
    expect(page.locator("#verdict[data-phase=ready]")).to_be_visible()
    in_step(page)


def in_step(page):
    expect(page.locator("#verdict[data-in-step=true]")).to_be_visible()


def row(page, identifier):
    return page.locator(f'[data-entity="{identifier}"]')


def repository(page, slug):
    return page.locator(f'[data-repository="{slug}"]')


def answer(page, text):
    """To the question in the dialog."""
    page.locator("#ask-value").fill(text)
    page.keyboard.press("Enter")


def assert_strangers_are_refused(port):
    """Other names for this machine, and other pages in its browser."""
    own = f"127.0.0.1:{port}"
    action = json.dumps({"do": "delete", "repository": "monorepo"})
    for method, path, headers in [
        ("GET", "/", {"Host": "evil.example"}),
        ("GET", "/events", {"Host": f"evil.example:{port}"}),
        ("POST", "/act", {"Host": own, "Origin": "http://evil.example", "Content-Type": "application/json"}),
        ("POST", "/act", {"Host": own, "Content-Type": "text/plain"}),
    ]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, path, body=action if method == "POST" else None, headers=headers)
        status = connection.getresponse().status
        connection.close()
        assert status == 403, f"{method} {path} with {headers}: {status}"


def renamed_by_keyboard(page):
    button = repository(page, "checkout").get_by_role("button", name="Rename")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#ask-value")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#ask")).to_be_hidden()
    expect(button).to_be_focused()
    page.keyboard.press("Space")
    answer(page, "Basket")
    expect(row(page, "basket")).to_be_visible()
    expect(row(page, "checkout")).to_have_count(0)
    expect(row(page, "basket/1")).to_be_visible()
    in_step(page)
    # The button belongs to the repository, whatever that is called, and so does the focus.
    expect(repository(page, "basket").get_by_role("button", name="Rename")).to_be_focused()


def pushed_opened_merged_declined(page):
    monorepo = repository(page, "monorepo")
    monorepo.get_by_role("button", name="Push").click()
    row(page, "monorepo").locator("summary").click()
    expect(row(page, "monorepo").locator("dl")).to_contain_text("Written at")
    monorepo.get_by_role("button", name="Open a pull request").click()
    answer(page, "Tidy <b>up</b>")
    expect(row(page, "monorepo/1")).to_contain_text("Tidy <b>up</b>")
    in_step(page)
    monorepo.get_by_role("button", name="Merge #1").click()
    expect(row(page, "monorepo/1")).to_have_count(0)
    repository(page, "payments-api").get_by_role("button", name="Decline #1").click()
    expect(row(page, "payments-api/1")).to_have_count(0)
    in_step(page)


def created_and_deleted(page):
    page.get_by_role("button", name="New repository in Payments").click()
    answer(page, "Ledger")
    expect(row(page, "ledger")).to_be_visible()
    repository(page, "ledger").get_by_role("button", name="Delete").click()
    expect(row(page, "ledger")).to_have_count(0)
    expect(page.locator("#stream")).to_contain_text("the repository ledger is deleted")
    in_step(page)


def a_lost_webhook_is_made_up_for_by_a_resync(page):
    page.locator("#lose").click()
    expect(page.locator("#lose")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="New repository in Legacy").click()
    answer(page, "Unheard of")
    expect(page.locator("#stream")).to_contain_text("repo:created is lost on its way")
    expect(page.locator("#lose")).to_have_attribute("aria-pressed", "false")
    expect(row(page, "unheard-of")).to_contain_text("not in Port yet")
    expect(page.locator("#verdict")).to_contain_text("1 of")
    page.locator("#resync").click()
    expect(row(page, "unheard-of")).to_contain_text("equal")
    in_step(page)


def nothing_is_lost_while_port_is_down(page):
    page.locator("#port").click()
    expect(page.locator("#port")).to_have_text("Bring Port up")
    repository(page, "unheard-of").get_by_role("button", name="Rename").click()
    answer(page, "Heard of")
    expect(row(page, "heard-of")).to_contain_text("not in Port yet")
    expect(row(page, "unheard-of")).to_contain_text("still in Port")
    expect(page.locator("#queue")).to_contain_text("in the queue; the next in")
    page.locator("#port").click()
    page.locator("#hurry").click()
    expect(row(page, "unheard-of")).to_have_count(0)
    expect(row(page, "heard-of")).to_contain_text("equal")
    in_step(page)


def a_revoked_token_deletes_nothing(page):
    rows = page.locator(".row").count()
    page.locator("#token").click()
    expect(page.locator("#token")).to_have_text("Restore the token")
    repository(page, "heard-of").get_by_role("button", name="Delete").click()
    expect(row(page, "heard-of")).to_contain_text("still in Port")
    page.locator("#resync").click()
    expect(page.locator("#stream > .trouble").first).to_be_visible()
    expect(page.locator(".row")).to_have_count(rows)
    page.locator("#token").click()
    expect(page.locator("#token")).to_have_text("Revoke the token")
    page.locator("#resync").click()
    expect(row(page, "heard-of")).to_have_count(0)
    in_step(page)


def the_mapping_is_edited_live(page):
    page.locator("#mapping > summary").click()
    text = page.locator("#text")
    mapping = text.input_value()
    assert "kind: repository" in mapping, mapping

    def said(wrong, part, outcome):
        """What the line holds that the page points at."""
        text.fill(wrong)
        page.locator("#save").click()
        expect(page.locator("#places")).to_contain_text(part)
        expect(page.locator("#saved")).to_have_text(outcome)
        page.locator("#places button").first.click()
        return text.evaluate("node => node.value.slice(node.selectionStart, node.selectionEnd)")

    said(mapping + "broken: [\n", "this is no YAML", "not saved")
    assert said(mapping + "  - - nothing\n", "resources[3]", "not saved") == "  - - nothing"
    in_step(page)
    # As in Port: a filter that does not compile costs its field, and is told.
    wrong = mapping.replace("title: .name", "title: .name |", 1)
    line = said(wrong, "does not compile", "saved, though it does not map all")
    assert line.strip() == "title: .name |", line
    expect(row(page, "PAY")).not_to_contain_text("Payments")
    in_step(page)
    text.fill(mapping.replace("title: .name", 'title: .name + "!"', 1))
    page.locator("#save").click()
    expect(page.locator("#saved")).to_contain_text("saved; a resync follows")
    expect(page.locator("#places")).to_be_hidden()
    expect(row(page, "PAY")).to_contain_text("Payments!")
    in_step(page)
    expect(page.locator("#stream")).to_contain_text("Port asks for a resync → 202")
    page.locator("#restore").click()
    assert 'title: .name + "!"' in text.input_value()


def random_changes_end_in_step(page):
    for _ in range(4):
        told = page.locator("#stream > .bitbucket").count()
        page.locator("#random").click()
        expect(page.locator("#stream > .bitbucket")).to_have_count(told + 1)
    # What the guard of live events has kept, as in a catalogue so small it may, a resync decides about.
    page.locator("#resync").click()
    in_step(page)


STORIES = (
    renamed_by_keyboard,
    pushed_opened_merged_declined,
    created_and_deleted,
    a_lost_webhook_is_made_up_for_by_a_resync,
    nothing_is_lost_while_port_is_down,
    a_revoked_token_deletes_nothing,
    the_mapping_is_edited_live,
)


def apart(page):
    """Both catalogues are apart, to be looked at: Port is down, and a repository has another name."""
    expect(page.locator("#verdict[data-phase=ready]")).to_be_visible()
    if page.locator("#port").inner_text() == "Take Port down":
        page.locator("#port").click()
        repository(page, "basket").get_by_role("button", name="Rename").click()
        answer(page, "Checkout")
    expect(row(page, "checkout")).to_contain_text("not in Port yet")
    expect(row(page, "basket")).to_contain_text("still in Port")
    row(page, "checkout").locator("summary").click()
    page.locator("#mapping > summary").click()


def together(page):
    page.locator("#port").click()
    page.locator("#hurry").click()
    expect(row(page, "checkout")).to_contain_text("equal")
    random_changes_end_in_step(page)
