"""The token of the page reaches the browser in a file that others cannot read."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import urlsplit

from hubel.agent.review.opening_file import open_page

ADDRESS = "http://127.0.0.1:8411/?token=secret-token"


def test_browser_is_given_a_private_file_that_leads_to_the_page(tmp_path: Path) -> None:
    addresses: list[str] = []
    remove = open_page(ADDRESS, tmp_path, addresses.append)
    assert "secret-token" not in addresses[0]
    file = Path(urlsplit(addresses[0]).path)
    assert file.parent == tmp_path
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"url={ADDRESS}" in file.read_text()
    remove()
    assert not file.exists()
    remove()  # the timer may have been faster


def test_file_is_elsewhere_when_there_is_no_runs_folder(tmp_path: Path) -> None:
    addresses: list[str] = []
    remove = open_page(ADDRESS, tmp_path / "none", addresses.append)
    assert Path(urlsplit(addresses[0]).path).is_file()
    remove()
