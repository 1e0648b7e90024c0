"""Files on the web: ProPainter's release on GitHub or copies of it, and what the metrics' authors publish."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import httpx2

from deployments.weight_store.source import Listing, Offer
from deployments.weight_store.transfer import Remote, client, download
from lib.errors import InputError


class WebSource:
    """Files at addresses that name no checksums: what comes first is what the lock records.

    Args:
        urls: file's name here -> its address.
        advice: what to do where a file cannot be had.
    """

    remote = True
    links = False

    def __init__(self, urls: Mapping[str, str], advice: str) -> None:
        self.urls = urls
        self.label = ", ".join(dict.fromkeys(url.rpartition("/")[0] for url in urls.values()))
        self._advice = advice

    def listing(self, revision: str | None) -> Listing:
        """The files with their sizes. revision: not used, the address holds it if anything does.

        Raises:
            InputError: a server cannot be reached, or refuses.
        """
        del revision
        offers = [self._offer(name, url) for name, url in self.urls.items()]
        return Listing(None, {offer.name: offer for offer in offers})

    def fetch(self, offer: Offer, revision: str | None, part: Path) -> None:
        """Goes on where an earlier download of the same version was cut off."""
        del revision
        url = self.urls[offer.name]
        download(Remote(url, offer.size, lambda status, _code: self._refused(url, status)), part)

    def _offer(self, name: str, url: str) -> Offer:
        try:
            response = client().head(url, headers={"Accept-Encoding": "identity"})
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise InputError(f"{url}: cannot be reached ({error}); {self._advice}") from error
        if response.status_code in (403, 405, 501):  # servers that know only GET
            return Offer(name)
        if response.status_code >= 400:
            raise self._refused(url, response.status_code)
        length = response.headers.get("Content-Length", "")
        return Offer(name, int(length) if length.isdigit() else None, tag=response.headers.get("ETag", ""))

    def _refused(self, url: str, status: int) -> InputError:
        return InputError(f"{url}: HTTP {status}; {self._advice}")
