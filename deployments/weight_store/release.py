"""ProPainter's three files, assets of a release on GitHub or copies of them on any web server."""

from __future__ import annotations

from pathlib import Path

import httpx2

from deployments.weight_store.source import Listing, Offer
from deployments.weight_store.transfer import Remote, client, download
from lib.errors import InputError


class ReleaseSource:
    """A folder of files below one address. It names no checksums: what comes first is what the lock records."""

    remote = True
    links = False

    def __init__(self, url: str, names: tuple[str, ...]) -> None:
        self.url = url.rstrip("/")
        self.names = names
        self.label = self.url

    def listing(self, revision: str | None) -> Listing:
        """The files with their sizes. revision: not used, the address holds it.

        Raises:
            InputError: the server cannot be reached, or refuses.
        """
        del revision
        try:
            offers = [self._offer(name) for name in self.names]
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise InputError(
                f"{self.url}: cannot be reached ({error}); check the network and --propainter_url, or take files that "
                "you have with --existing propainter=FOLDER"
            ) from error
        return Listing(None, {offer.name: offer for offer in offers})

    def fetch(self, offer: Offer, revision: str | None, part: Path) -> None:
        """Goes on where an earlier download of the same version was cut off."""
        del revision
        url = f"{self.url}/{offer.name}"
        download(Remote(url, offer.size, lambda status, _code: self._refused(url, status)), part)

    def _offer(self, name: str) -> Offer:
        url = f"{self.url}/{name}"
        response = client().head(url, headers={"Accept-Encoding": "identity"})
        if response.status_code in (403, 405, 501):  # servers that know only GET
            return Offer(name)
        if response.status_code >= 400:
            raise self._refused(url, response.status_code)
        length = response.headers.get("Content-Length", "")
        return Offer(name, int(length) if length.isdigit() else None, tag=response.headers.get("ETag", ""))

    def _refused(self, url: str, status: int) -> InputError:
        return InputError(
            f"{url}: HTTP {status}; check --propainter_url (or AUTO_REFINE_PROPAINTER_URL), or take files that you "
            "have with --existing propainter=FOLDER"
        )
