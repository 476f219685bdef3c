"""The page in a browser: a headless Chromium of the system, driven by Playwright, looked over by axe."""

import os
import shutil

import pytest

from pytest_keyconform.render import html

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (360, 1600)


@pytest.fixture(scope="module")
def browser():
    """Start the browser once; where there is none, tests are skipped, but not in CI."""
    if os.environ.get("CI") is None:
        pytest.importorskip("playwright", reason="needs Playwright: pip install playwright axe-playwright-python")
        if CHROMIUM is None:
            pytest.skip("needs a Chromium on PATH, such as Debian's package chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def opened(browser, tmp_path, report, telling):
    """Open the page of a report in a window; what it says on the console and asks of the network is kept."""
    contexts = []

    def open_page(text=None, **options):
        path = tmp_path / "report.html"
        path.write_text(html.render(report, telling) if text is None else text, encoding="utf-8")
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.complaints.append(request.url))
        page.goto(path.as_uri())
        assert page.complaints.pop(0) == path.as_uri()
        return page

    yield open_page
    for context in contexts:
        context.close()


def visible(page):
    """Answer the ids of the cards that are shown."""
    return [card.get_attribute("id") for card in page.locator(".card").all() if card.is_visible()]


def test_nothing_is_fetched_and_nothing_complained_of(opened):
    """The page stands alone: no request but for itself, nothing on the console."""
    page = opened()
    page.get_by_text("VTX01").first.click()
    assert page.complaints == []


def test_the_filters(opened):
    """Status, family and text each leave what fits, the number is said, and all can be shown again."""
    page = opened()
    every = visible(page)
    page.get_by_role("checkbox", name="violated").uncheck()
    assert visible(page) == [id_ for id_ in every if id_ != "ACQ01"]
    page.get_by_label("Family").select_option("QUO")
    assert visible(page) == ["QUO01", "QUO02"]
    page.get_by_label("Text").fill("qUo02")
    assert visible(page) == ["QUO02"]
    assert page.locator("output[name=shown]").inner_text() == "1 of 7"
    page.get_by_role("button", name="Show all").click()
    page.wait_for_function("document.querySelector('output[name=shown]').value === ''")
    assert visible(page) == every


def test_it_works_from_the_keyboard(opened):
    """A slash goes to the search, the first stop of the tab key skips the filters, and a card unfolds by Enter."""
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "text"
    page.locator("#ACQ02 summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("#ACQ02").get_attribute("open") is not None


def test_the_replay_command_is_copied(opened):
    """The button puts the command that runs the counterexample again on the clipboard."""
    page = opened(permissions=["clipboard-read", "clipboard-write"])
    page.locator("#ACQ01 p .copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    command = page.evaluate("navigator.clipboard.readText()")
    assert command == "pytest --keyconform=mine=app:make --keyconform-replay=ACQ01:t1:two/-/r1-1"


def test_the_script_is_copied(opened):
    """A counterexample that a script shows has it folded beneath; its button puts all of it on the clipboard."""
    page = opened(permissions=["clipboard-read", "clipboard-write"])
    page.locator("#ACQ01 .script summary").click()
    page.locator("#ACQ01 .script .copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").splitlines()[-1] == "main()"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(opened, width, scheme):
    """Axe finds no violation, in either colour scheme, on a telephone and on a wide screen, all cards unfolded."""
    from axe_playwright_python.sync_playwright import Axe

    page = opened(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    page.evaluate("document.querySelectorAll('.card').forEach(card => { card.open = true; })")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("width", WIDTHS)
def test_it_reads_at_any_width(opened, width):
    """The page never scrolls sideways; a timeline that is wider does so in its own frame."""
    page = opened(viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('.card').forEach(card => { card.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_it_prints(opened):
    """On paper the cards that matter are unfolded, and what is for the screen alone is left out."""
    page = opened()
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("#FMT05 svg").is_visible()
    assert not page.locator(".filters").is_visible()
    assert not page.locator("#ACQ01 p .copy").is_visible()


def test_hostile_texts_are_only_shown(opened, hostile):
    """What a backend answers is text on the page: it runs nothing, asks for nothing, and adds no element."""
    page = opened(html.render(hostile))
    assert page.complaints == []
    assert page.locator("script").count() == 1


def test_it_reads_without_its_script(opened):
    """Where scripts are off every card can be read."""
    page = opened(java_script_enabled=False)
    assert len(visible(page)) == 7
