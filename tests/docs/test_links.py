"""Links between the pages lead somewhere, and the pages keep to their form."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import PAGES, README, RECORDS, ROOT, anchors, headings, links, shown

EVERY = (*PAGES, *RECORDS)


@pytest.mark.parametrize("page", EVERY, ids=shown)
def test_each_relative_link_and_anchor_leads_somewhere(page: Path) -> None:
    broken = [link for link in links(page.read_text()) if not leads_somewhere(page, link)]
    assert not broken, f"{shown(page)} links to {broken}"


def leads_somewhere(page: Path, link: str) -> bool:
    """Whether a link is to another site, or to a file of the checkout and a heading that it has."""
    if re.match(r"https?://", link):
        return True
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not anchor or (target.suffix == ".md" and anchor in anchors(target.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_no_two_headings_of_a_page_have_one_anchor(page: Path) -> None:
    text = page.read_text()
    assert len(anchors(text)) == len(headings(text))


def test_the_readme_has_at_most_200_lines_and_links_to_each_page() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 200
    assert {shown(page) for page in EVERY} - {"README.md"} <= {link.partition("#")[0] for link in links(text)}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_pages_have_no_dates_and_no_paths_of_a_machine(page: Path) -> None:
    assert not re.findall(r"\b20\d\d-\d\d-\d\d\b|(?<![\w.:/])/(?:work|tmp|home|root)/", page.read_text())
