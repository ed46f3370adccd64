"""Downloads from package indexes as pip is configured: the addresses of a package's file, certificates, proxies."""

import ast
import http.client
import os
import re
import ssl
import subprocess
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from datamodules.storage.download import DownloadError, Response, without_password


def in_package_index(project: str, file_name: str) -> list[str]:
    """Addresses of a project's file in the package indexes and folders that pip is configured to use, best first.

    Only the index page is read. `pip download` is not called, because it runs the code of a source distribution.

    Raises:
        DownloadError: if no index lists the file; the message names each index and the reason.
    """
    settings = pip_settings()
    found, reasons = [], []
    for folder in settings.get("find-links", "").split():
        path = Path(unquote(urlsplit(folder).path)) if folder.startswith("file:") else Path(folder)
        if (path / file_name).is_file():
            found.append((path / file_name).absolute().as_uri())
    indexes = [] if settings.get("no-index", "").lower() in {"1", "true", "yes", "on"} else _indexes(settings)
    for index in indexes:
        page = f"{index.rstrip('/')}/{project}/"
        try:
            with open_url(page, {"Accept": "application/vnd.pypi.simple.v1+html, text/html;q=0.9"}) as response:
                links = _Links()
                links.feed(response.read().decode("utf-8", "replace"))
        except (OSError, http.client.HTTPException) as error:
            reasons.append(f"{without_password(page)}: {error}")
            continue
        addresses = [urljoin(page, link).partition("#")[0] for link in links.found]
        matches = [address for address in addresses if unquote(urlsplit(address).path).endswith("/" + file_name)]
        found += [_with_password_of(index, address) for address in matches]
        if not matches:
            reasons.append(f"{without_password(page)}: has no {file_name}")
    if not found:
        tried = "; ".join(reasons) or "none is configured: install pip, or set PIP_INDEX_URL"
        raise DownloadError(f"{file_name} is in none of your package indexes ({tried}).")
    return found


def open_url(url: str, headers: Mapping[str, str]) -> Response:
    """Open an address with pip's certificate and proxy, and with the user and password in the address."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        return urllib.request.urlopen((path / "index.html" if path.is_dir() else path).as_uri())
    if parts.username:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = {**headers, "Authorization": "Basic " + b64encode(login.encode()).decode()}
    settings = pip_settings()
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=_context(settings.get("cert")))]
    if "proxy" in settings:
        handlers.append(urllib.request.ProxyHandler(dict.fromkeys(("http", "https"), settings["proxy"])))
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    request = urllib.request.Request(address, headers={"User-Agent": "chronoreel", **headers})
    return urllib.request.build_opener(*handlers).open(request, timeout=60)


@cache
def pip_settings() -> dict[str, str]:
    """pip's settings from its configuration files and the environment, with its built-in index if none is set."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    settings: dict[str, str] = {}
    rank: dict[str, int] = {}
    for line in listed.stdout.splitlines():
        section, dot, rest = line.partition(".")
        key, equals, value = rest.partition("=")
        order = {"global": 0, "install": 1, "download": 2}.get(section, 3 if section.startswith(":env:") else -1)
        if dot and equals and order >= rank.get(key, 0):
            settings[key], rank[key] = str(ast.literal_eval(value)), order
    if listed.returncode != 0:  # environments made by uv have no pip, but may have the same variables
        for key in ("index-url", "extra-index-url", "find-links", "cert", "proxy"):
            if own := os.environ.get("PIP_" + key.upper().replace("-", "_")):
                settings[key] = own
    if uv := os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL"):
        settings.setdefault("index-url", uv)
    if "index-url" not in settings:
        usage = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--help"], capture_output=True, text=True, check=False
        ).stdout
        if built_in := re.search(r"Package\s+Index\s+\(default\s+(\S+?)\)", usage):
            settings["index-url"] = built_in[1]
    return settings


def _indexes(settings: dict[str, str]) -> list[str]:
    return [*settings.get("index-url", "").split(), *settings.get("extra-index-url", "").split()]


def _context(certificate: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificate)
    try:
        import certifi  # if Python has no access to the system's certificates
    except ImportError:
        return context
    context.load_verify_locations(certifi.where())
    return context


def _with_password_of(index: str, address: str) -> str:
    """The address, with the index's user and password if it is on the same host and has none itself."""
    home, parts = urlsplit(index), urlsplit(address)
    if home.username and not parts.username and home.hostname == parts.hostname:
        return urlunsplit(parts._replace(netloc=home.netloc))
    return address


class _Links(HTMLParser):
    """The links of an index page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for key, value in attrs if tag == "a" and key == "href" and value]
