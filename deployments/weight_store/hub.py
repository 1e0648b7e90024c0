"""Repositories on the hub, or on a mirror that HF_ENDPOINT names."""

from __future__ import annotations

import os
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import build_hf_headers

from deployments.weight_store.source import Listing, Offer
from deployments.weight_store.transfer import Remote, download
from lib.errors import InputError

DEFAULT_ENDPOINT = "https://huggingface.co"
_SECONDS = 60.0


class HubSource:
    """One repository. The token is what `hf auth login` or HF_TOKEN gives."""

    remote = True
    links = False

    def __init__(self, repository: str) -> None:
        self.repository = repository
        self.endpoint = (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
        self.label = f"hub:{repository}"

    def listing(self, revision: str | None) -> Listing:
        """All files at a revision, by default the newest, with what the hub says of their content.

        Raises:
            InputError: the hub cannot be reached, or refuses; the text says what to do.
        """
        try:
            info = HfApi(endpoint=self.endpoint).model_info(
                self.repository, revision=revision, files_metadata=True, timeout=_SECONDS
            )
        except HfHubHTTPError as error:
            raise self._refused(error.response.status_code, error.response.headers.get("X-Error-Code", "")) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise InputError(
                f"{self.endpoint}: cannot be reached ({error}); check the network, HF_ENDPOINT and HTTPS_PROXY, or "
                "take what is there already with --existing or --mirror"
            ) from error
        except (ValueError, LookupError, TypeError) as error:  # what it sent is no JSON, or another kind of it
            raise InputError(
                f"{self.endpoint}: does not answer like a hub ({error}); check HF_ENDPOINT and {self.repository}"
            ) from error
        if not info.sha or not info.siblings:
            raise InputError(f"{self.endpoint}/{self.repository}: names no revision or no files; is HF_ENDPOINT a hub?")
        offers = [
            Offer(
                file.rfilename,
                file.lfs.size if file.lfs else file.size,
                sha256=file.lfs.sha256 if file.lfs else None,
                git_sha1=None if file.lfs else file.blob_id,
            )
            for file in info.siblings
        ]
        return Listing(info.sha, {offer.name: offer for offer in offers})

    def fetch(self, offer: Offer, revision: str | None, part: Path) -> None:
        """Plain HTTP, which every mirror speaks."""
        url = hf_hub_url(self.repository, offer.name, revision=revision, endpoint=self.endpoint)
        download(Remote(url, offer.size, self._refused, build_hf_headers()), part)

    def _refused(self, status: int, code: str) -> InputError:
        page, said = f"{self.endpoint}/{self.repository}", f"HTTP {status}{f', {code}' if code else ''}"
        if code == "GatedRepo" or status == 403:
            return InputError(
                f"{page}: the hub refuses access ({said}); log in there and accept the model's terms, then run "
                "`hf auth login` (or set HF_TOKEN) with an account that has accepted them, and run this again"
            )
        if status == 401:
            return InputError(
                f"{page}: the hub wants a login ({said}): the repository is private, gone or renamed, or the token has "
                "expired; run `hf auth login` (or set HF_TOKEN) and run this again"
            )
        if status == 404:
            return InputError(
                f"{page}: no such repository, revision or file ({said}); check HF_ENDPOINT "
                f"({self.endpoint}) and the revision in weights.lock.json, or take files that you have with --existing"
            )
        return InputError(f"{page}: the hub answers {said}; try again later")
