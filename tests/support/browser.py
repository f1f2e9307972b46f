"""A real browser for tests of pages: Debian's Chromium, by Playwright. What a page complains of fails its test."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.support.missing import need

OPTIONS = ("--no-sandbox", "--disable-gpu", "--mute-audio", "--autoplay-policy=no-user-gesture-required")
WAIT_MS = 60_000
expect.set_options(timeout=WAIT_MS)
# Told to the console by a listener of the page's own, before any of its scripts runs.
BREACH = "breach of the content security policy:"
LISTEN = f"""
document.addEventListener("securitypolicyviolation", (event) => {{
  console.error("{BREACH}", event.violatedDirective, event.blockedURI, event.sourceFile, event.lineNumber);
}});
"""


@dataclass
class Watched:
    """A page, and all that it complained of: errors on its console, uncaught ones, breaches of its policy."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} ({message.location.get('url')})")

    def forgive(self, text: str) -> None:
        """Take out the complaints that a test has caused on purpose."""
        self.complaints[:] = [said for said in self.complaints if text not in said]


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run the browser; skips the test by name where there is none."""
    need("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(browser: Browser, key: str = "", **context: Any) -> Iterator[Watched]:
    """Open a page in a session of its own, which has the key already where one is given. `context` are Playwright's
    options: viewport, color_scheme, …"""
    session = browser.new_context(viewport=context.pop("viewport", {"width": 1400, "height": 900}), **context)
    session.set_default_timeout(WAIT_MS)
    session.add_init_script(LISTEN)
    if key:
        session.add_init_script(f"sessionStorage.setItem('api-gpu.key', {key!r})")
    page = session.new_page()
    watched = Watched(page)
    page.on("console", watched.note)
    page.on("pageerror", lambda error: watched.complaints.append(f"uncaught: {error}"))
    try:
        yield watched
        assert watched.complaints == [], watched.complaints
    finally:
        session.close()


def axe(page: Page, source: Path) -> list[str]:
    """Return what axe-core finds wrong with the page as it stands: rule, elements, and what to do."""
    # Not as a script of the page, which its policy would refuse.
    page.evaluate(source.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:200]}: {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
