"""Pages as a browser reads them: fetched over a socket and parsed, so that no test hangs on the spelling of HTML.

Here: the parser and the client. Not here: tests, and what a page should say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx

BLOCK = frozenset({"p", "div", "li", "h1", "h2", "h3", "dt", "dd", "summary", "pre", "section", "figcaption", "label"})
VOID = frozenset({"meta", "link", "input", "img", "br", "path", "circle"})


@dataclass
class Element:
    """An element of a page. ``text`` joins all text inside, white space folded."""

    tag: str
    attributes: dict[str, str]
    parent: Element | None = None
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.pieces).split())

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()

    def inside(self, other: Element) -> bool:
        above = self.parent
        while above is not None and above is not other:
            above = above.parent
        return above is other


class Page(HTMLParser):
    """A page as a browser reads it; refuses elements that are closed wrongly."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(html)
        self.close()
        assert not self._open, f"not closed: {[e.tag for e in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self._open[-1] if self._open else None)
        self.elements.append(element)
        self._break(tag)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}, self._open[-1] if self._open else None))

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1].tag == tag, f"</{tag}> closes {[e.tag for e in self._open][-3:]}"
        self._open.pop()
        self._break(tag)

    def _break(self, tag: str) -> None:
        """A block stands apart from what is beside it."""
        if tag in BLOCK:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.pieces.append(data)

    def all(self, tag: str = "", *, cls: str = "", id: str = "", within: Element | None = None) -> list[Element]:
        return [
            e
            for e in self.elements
            if tag in ("", e.tag)
            and (not cls or cls in e.classes)
            and id in ("", e.attributes.get("id"))
            and (not within or e.inside(within))
        ]

    def one(self, tag: str = "", *, cls: str = "", id: str = "", within: Element | None = None) -> Element:
        found = self.all(tag, cls=cls, id=id, within=within)
        assert len(found) == 1, f"{len(found)} of {tag} .{cls} #{id}"
        return found[0]

    @property
    def text(self) -> str:
        return self.all("body")[0].text

    @property
    def reloads(self) -> bool:
        return any(e.attributes.get("http-equiv") == "refresh" for e in self.all("meta"))

    def links(self, within: Element | None = None) -> dict[str, str]:
        return {e.text: e.attributes["href"] for e in self.all("a", within=within)}


class Browser:
    """GETs over a socket; ``page`` parses."""

    def __init__(self, base_url: str) -> None:
        self.http = httpx.Client(base_url=base_url, timeout=20)

    def page(self, path: str, status: int = 200) -> Page:
        answer = self.http.get(path)
        assert answer.status_code == status, answer.text[-2000:]
        return Page(answer.text)

    def step(self, key: str, asset: str) -> tuple[str, str]:
        """(state, all words) of a step on a scan's page."""
        page = self.page(f"/scan/{key}")
        element = page.one("li", cls="step", id=asset)
        return page.one(cls="badge", within=element).text, element.text

    def state(self, key: str) -> str:
        """The scan's one word, which the list and the scan's own page must agree on."""
        page = self.page(f"/scan/{key}")
        own = page.all(cls="badge", within=page.one("p", cls="states"))[0].text
        index = self.page(f"/?q={key}")
        row = next(e for e in index.all("li", cls="row") if key in e.text)
        assert own == index.all(cls="badge", within=row)[0].text
        return own
