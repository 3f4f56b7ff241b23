"""The built book in a real browser: from a server and from disk, wide and narrow, no network."""

import functools
import gzip
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from replicate import paper
from replicate.report import show
from replicate.report.citation import bibtex
from replicate.report.ledger import LEDGER, NAME, SCHEMA
from replicate.report.sources import PAPER
from replicate.runs.selection import load as load_stored
from replicate.verdicts.claims import verdicts

ROOT = Path(__file__).parents[1]
HTML = ROOT / "book" / "_build" / "html"
#: Of the window and of a telephone, in pixels.
WIDE, NARROW = 1280, 390
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver on the path"
)


def pages() -> list[str]:
    contents = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    chapters = [page["file"] for part in contents["parts"] for page in part["chapters"]]
    return [contents["root"], *chapters]


@pytest.fixture(scope="module")
def book() -> Path:
    """The book, built now unless nothing has changed since the last build."""
    command = [Path(sys.executable).parent / "jupyter-book", "build", "book/"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return HTML


@pytest.fixture(scope="module")
def addresses(book: Path) -> Iterator[dict[str, str]]:
    """Where the book can be read: on a server of this machine, and on disk."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=book)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {"server": f"http://127.0.0.1:{server.server_port}", "disk": book.as_uri()}
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """A Chromium for which no other host exists."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--window-size={WIDE},900",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(60)
    yield driver
    driver.quit()


def load(browser: webdriver.Chrome, address: str) -> None:
    """Open a page, wait until its maths are set, and forget what earlier pages logged."""
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(address)
    browser.execute_async_script(
        "const done = arguments[0];"
        "window.MathJax ? MathJax.startup.promise.then(() => done()) : done();"
    )


def requested(browser: webdriver.Chrome) -> set[str]:
    """Every address that the page asked for since it was loaded."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }


def of_each(browser: webdriver.Chrome, selector: str, asked: str) -> list[Any]:
    """What JavaScript says of every element, in one question to the browser."""
    elements = f"[...document.querySelectorAll({selector!r})]"
    return browser.execute_script(f"return {elements}.map(each => each.{asked})")


def complaints(browser: webdriver.Chrome) -> list[str]:
    """Errors on the console."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@contextmanager
def of_size(browser: webdriver.Chrome, width: int, height: int) -> Iterator[None]:
    """The browser as that of a telephone, or of a small laptop."""
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < WIDE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize(("place", "width"), [("server", WIDE), ("disk", NARROW)])
@pytest.mark.parametrize("page", pages())
def test_page_is_whole_names_its_corpus_and_asks_nothing_of_the_network(
    browser: webdriver.Chrome, addresses: dict[str, str], page: str, place: str, width: int
) -> None:
    with of_size(browser, width, 900):
        load(browser, f"{addresses[place]}/{page}.html")
        require_whole(browser, page, addresses[place])
        assert width_of(browser) <= width


def require_whole(browser: webdriver.Chrome, page: str, base: str) -> None:
    """Headings, notices, formulas and figures are there, and nothing comes from outside."""
    assert browser.find_element(By.CSS_SELECTOR, ".bd-article h1").text
    notices = [browser.find_element(By.CLASS_NAME, "bd-header-announcement")]
    if page.startswith("notebooks/"):
        notices.append(browser.find_element(By.CLASS_NAME, "corpus-notice"))
    assert all(n.is_displayed() and "corpus" in n.text.lower() for n in notices)
    captions = " ".join(of_each(browser, "figcaption", "innerText"))
    named = set(re.findall(r"standin-(\w+)", notices[-1].text))
    shown = set(re.findall(r"stand-in \(synthetic, (\w+)", captions))
    if page.startswith("notebooks/"):
        assert shown <= named
    elif shown:  # the front page says in its own words what the stand-in is
        assert "stand-in" in browser.find_element(By.CSS_SELECTOR, ".admonition.important").text
    asked = requested(browser)
    assert weight(asked) < (300_000 if page == "intro" else 1_500_000)
    assert {url for url in asked if not url.startswith((f"{base}/", "data:", "blob:"))} == set()
    assert complaints(browser) == []

    formulas = browser.find_elements(By.CSS_SELECTOR, ".math")
    set_in_svg = browser.find_elements(By.CSS_SELECTOR, ".math mjx-container svg")
    assert len(set_in_svg) >= len(formulas)
    assert not browser.find_elements(By.CSS_SELECTOR, "mjx-merror, [data-mjx-error]")
    assert max(widths(browser, "table"), default=0) <= 7


def widths(browser: webdriver.Chrome, tables: str) -> list[int]:
    """How many columns of each table are to be seen."""
    seen = "[...row.cells].filter(cell => cell.checkVisibility())"
    width = f"{seen}.reduce((sum, cell) => sum + cell.colSpan, 0)"
    script = f"table => Math.max(...[...table.rows].map(row => {width}))"
    return browser.execute_script(
        f"return [...document.querySelectorAll({tables!r})].map({script})"
    )


def weight(addresses: set[str]) -> int:
    """Bytes of what was asked for as a server sends them, compressed; without the search index."""
    split = map(urllib.parse.urlsplit, addresses)
    names = {each.path.removeprefix(str(HTML)) for each in split if each.scheme in ("http", "file")}
    files = (HTML / name.lstrip("/") for name in names)
    return sum(compressed(each) for each in files if each.is_file() and each.stem != "searchindex")


@functools.cache
def compressed(file: Path) -> int:
    """Bytes of a file, which most pages share."""
    return len(gzip.compress(file.read_bytes(), 6))


def width_of(browser: webdriver.Chrome) -> int:
    """Of the page in pixels, what lies outside the window included."""
    return browser.execute_script("return document.documentElement.scrollWidth")


@pytest.mark.parametrize("place", ["server", "disk"])
def test_search_finds_attention(
    browser: webdriver.Chrome, addresses: dict[str, str], place: str
) -> None:
    load(browser, f"{addresses[place]}/search.html?q=attention")
    results = WebDriverWait(browser, 30).until(
        lambda b: b.find_elements(By.CSS_SELECTOR, "#search-results li a")
    )
    assert any("fusion" in result.get_attribute("href") for result in results)
    assert complaints(browser) == []


def test_verdicts_are_there_as_data(book: Path) -> None:
    """As `replicate verdicts` gives them, and the stand-in's never without their mark."""
    found = LEDGER.validate_json((book / NAME).read_bytes())
    assert (book / SCHEMA).is_file()
    assert [claim.id for claim in found.claims] == [claim.id for claim in paper.CLAIMS]
    given = [verdict for claim in found.claims for verdict in claim.verdicts]
    for verdict in given:
        standin = any("stand-in" in text for text in (verdict.corpus, verdict.kind))
        assert verdict.synthetic == standin == verdict.corpus_name.startswith("standin-")
    there = {
        (claim.id, verdict.corpus_name): (verdict.outcome, verdict.check, verdict.result)
        for claim in found.claims
        for verdict in claim.verdicts
    }
    columns = ["corpus_name", "verdict", "check", "reproduced"]
    expected = verdicts(load_stored("emodb", "paper")).reset_index()[["id", *columns]]
    for id, corpus, *told in expected.itertuples(index=False):
        assert there[id, corpus] == tuple(told)
    for claim in found.claims:
        assert (book / claim.page).is_file()
        assert claim.strongest.kind in (*found.kinds, "none")


@pytest.mark.parametrize("screen", [(WIDE, 800), (NARROW, 844)])
def test_the_first_screen_has_every_claim_and_the_picture(
    browser: webdriver.Chrome, addresses: dict[str, str], screen: tuple[int, int]
) -> None:
    with of_size(browser, *screen):
        load(browser, f"{addresses['disk']}/intro.html")
        tiles = browser.find_elements(By.CSS_SELECTOR, ".strip a")
        picture = browser.find_element(By.CSS_SELECTOR, ".exhibit img")
        assert len(tiles) == 29
        for element in (*tiles, picture):
            assert element.rect["y"] + element.rect["height"] <= screen[1]
        tiles[0].send_keys(Keys.TAB)
        focused = "getComputedStyle(document.activeElement, '::after').content"
        assert tiles[1].get_attribute("title") in browser.execute_script(f"return {focused}")


def test_the_front_page_has_bibtex_to_copy(
    browser: webdriver.Chrome, addresses: dict[str, str]
) -> None:
    load(browser, f"{addresses['disk']}/intro.html")
    block = browser.find_element(By.CSS_SELECTOR, ".highlight-bibtex")
    assert block.find_element(By.TAG_NAME, "pre").text.strip() == bibtex().strip()
    assert block.find_elements(By.CSS_SELECTOR, "button.copybtn")


def test_there_is_one_search_bar(browser: webdriver.Chrome, addresses: dict[str, str]) -> None:
    load(browser, f"{addresses['disk']}/intro.html")
    boxes = browser.find_elements(By.CSS_SELECTOR, "form.bd-search, .search-button-field")
    assert sum(box.is_displayed() for box in boxes) == 1


@pytest.mark.parametrize("place", ["server", "disk"])
def test_one_switch_hides_all_code_and_the_choice_lasts(
    browser: webdriver.Chrome, addresses: dict[str, str], place: str
) -> None:
    def codes() -> list[bool]:
        visible = "checkVisibility()"
        assert not any(of_each(browser, "details:not([open]) .cell_input", visible))
        return of_each(browser, ".cell > .cell_input", visible)

    for page, before in (("09_table_7", "false"), ("13_baselines", "true")):
        load(browser, f"{addresses[place]}/notebooks/{page}.html")
        switch = browser.find_element(By.CLASS_NAME, "code-switch")
        assert switch.get_attribute("aria-pressed") == before
        assert set(codes()) == {before == "false"}
        switch.send_keys(Keys.ENTER)
        assert set(codes()) == {before == "true"}


#: Nothing fades or is folded. Of a table's rows, which look alike, three suffice, and of tokens of
#: code two of each kind.
FOR_AXE = """
document.head.insertAdjacentHTML(
  "beforeend", "<style>*, ::before { transition: none !important; animation: none !important }"
);
for (const each of document.querySelectorAll("details")) each.open = true;
for (const each of document.querySelectorAll(".all-columns input")) each.checked = true;
for (const row of document.querySelectorAll("tbody tr:nth-child(n + 4)")) row.remove();
const alike = {};
for (const token of document.querySelectorAll(".cell_input span"))
  (alike[token.className] ??= []).push(token);
for (const each of Object.values(alike).flatMap((all) => all.slice(2))) each.remove();
"""


@pytest.mark.parametrize("page", [*pages(), "search"])
def test_page_breaks_no_rule_of_wcag_2_2_aa(
    browser: webdriver.Chrome, addresses: dict[str, str], page: str
) -> None:
    from selenium_axe_python import Axe

    load(browser, f"{addresses['disk']}/{page}.html")
    axe = Axe(browser)
    axe.inject()

    def require_none(**options: object) -> None:
        written = json.dumps({"resultTypes": ["violations"], **options})
        found = axe.run(options=written)["violations"]
        assert not found, axe.report(found)

    browser.execute_script(FOR_AXE)
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    require_none(runOnly=rules, rules={"color-contrast": {"enabled": False}})
    for theme in ("light", "dark"):
        browser.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
        require_none(runOnly={"type": "rule", "values": ["color-contrast"]})


def test_a_long_table_is_sorted_by_value_with_the_keyboard(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    low = [0.9, 0.1, np.nan, 0.5, 0.3, 0.7, 0.2, 0.6, 0.4, 0.8, 0.05]
    columns = {"r": low, "r_low": low, "r_high": 1.0, "+d": np.array(low) - 0.5, "p": low}
    frame = pd.DataFrame(columns | {"n": range(0, 11_000, 1000), "name": [*"ba", *"c" * 9]})
    frame.loc[1, "p"] = 1e-9
    made = show.table(frame, "Eleven rows.", [PAPER]).body
    script = (ROOT / "book" / "_static" / "tables.js").as_uri()
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><script src='{script}'></script>{made}")
    browser.get(page.as_uri())
    shown = of_each(browser, "tbody tr", "innerText")

    def after_enter(column: int) -> tuple[str, list[int]]:
        """What the heading says of the order, and the rows in it by their old places."""
        head = browser.find_elements(By.CSS_SELECTOR, "thead th")[column]
        head.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
        now = of_each(browser, "tbody tr", "innerText")
        return str(head.get_attribute("aria-sort")), [shown.index(row) for row in now]

    for column, name in enumerate(("r", "+d", "p", "n", "name")):
        for order in ("ascending", "descending"):
            options = {"ascending": order == "ascending", "kind": "stable", "na_position": "last"}
            expected = frame.sort_values(name, **options).index.tolist()
            assert after_enter(column) == (order, expected)
    assert after_enter(4) == ("none", list(range(11)))


def test_a_wide_table_unfolds_with_the_keyboard_and_in_print(
    browser: webdriver.Chrome, addresses: dict[str, str]
) -> None:
    load(browser, f"{addresses['disk']}/notebooks/09_table_7.html")
    assert widths(browser, "#exhibit-table_7 table") == [7]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert widths(browser, "#exhibit-table_7 table") == [11]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    box = browser.find_element(By.CSS_SELECTOR, "#exhibit-table_7 .all-columns input")
    box.send_keys(Keys.SPACE)
    assert widths(browser, "#exhibit-table_7 table") == [11]


def test_the_ledger_of_claims_filters_and_leads_to_its_evidence(
    browser: webdriver.Chrome, addresses: dict[str, str], book: Path
) -> None:
    load(browser, f"{addresses['disk']}/notebooks/11_verdicts.html")
    ledger = browser.find_element(By.XPATH, "//figure[.//input[@type='search']]")
    rows = ledger.find_elements(By.CSS_SELECTOR, "tbody tr")
    assert len(rows) == 29
    ledger.find_element(By.TAG_NAME, "input").send_keys("table 7")
    shown = [row for row in rows if row.is_displayed()]
    assert 0 < len(shown) < 29 and all("Table 7" in row.text for row in shown)
    for link in ledger.find_elements(By.CSS_SELECTOR, "tbody a"):
        assert (book / "notebooks" / link.get_attribute("href").rpartition("/")[2]).is_file()
