"""Opening a CT series in the bundled OHIF with Debian's Chromium: `python -m bench.viewer [--slices N]`.

How long it takes from the address to the first image on the screen, and what part of it the server took: the sum of its
response times (request sent to last byte) for what had been answered by then. The series has come to rest before: its
metadata are prepared.
"""

import argparse
import base64
import hashlib
import json
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pydicom
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Page, Request, sync_playwright

from bench.clients import Client, finish
from bench.web_servers import WebServer, leadglass
from leadglass.archive.housekeeping import EVERY_SECONDS
from leadglass.archive.preparation import LOOKS
from leadglass.cli.phantom import phantom_series

#: Longer than a series has to be at rest.
REST: Final = (LOOKS + 2) * EVERY_SECONDS
RESULTS: Final = Path(__file__).parent / "results" / "viewer.json"
_ARGUMENTS: Final = (
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--no-sandbox",
)
#: Whether a viewport shows more than one grey level.
_SHOWN: Final = """() => {
    const canvas = document.querySelector('canvas.cornerstone-canvas');
    if (!canvas || !canvas.width) return false;
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const levels = new Set();
    for (let at = 0; at < pixels.length && levels.size < 20; at += 4 * 97) levels.add(pixels[at]);
    return levels.size >= 20 ? performance.now() : false;
}"""


@dataclass
class Watched:
    """Milliseconds that each answer took, by what was asked for."""

    data: list[tuple[float, str]] = field(default_factory=list)
    program: list[float] = field(default_factory=list)

    def note(self, request: Request) -> None:
        timing = request.timing
        spent = timing["responseEnd"] - timing["requestStart"]
        if spent < 0:
            return
        if "/dicom-web/" in request.url:
            self.data.append((spent, request.url.partition("/dicom-web/")[2].partition("?")[0].split("/")[-1]))
        else:
            self.program.append(spent)


def opened(page: Page, study: str) -> dict[str, object]:
    watched = Watched()
    page.on("requestfinished", watched.note)
    page.goto(f"/viewer/viewer?StudyInstanceUIDs={study}", wait_until="commit")
    first = page.wait_for_function(_SHOWN, polling="raf", timeout=120_000).json_value()
    page.remove_listener("requestfinished", watched.note)
    slowest = max(watched.data)
    return {
        "first_image_ms": round(first),
        "dicomweb_requests": len(watched.data),
        "dicomweb_ms": round(sum(spent for spent, _ in watched.data)),
        "slowest_dicomweb_ms": round(slowest[0]),
        "slowest_dicomweb": slowest[1],
        "program_requests": len(watched.program),
        "program_ms": round(sum(watched.program)),
    }


def phantom(folder: Path, slices: int) -> list[Path]:
    paths = []
    for name, content in phantom_series(slices):
        path = folder / f"{name}.dcm"
        path.write_bytes(content)
        paths.append(path)
    return paths


def pins(keys: Path) -> str:
    """SHA-256 of the server's public keys. Chromium caches nothing that comes with a certificate error."""
    certificates = [x509.load_pem_x509_certificate(path.read_bytes()) for path in keys.glob("server*.crt")]
    keys_of = [each.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for each in certificates]
    return ",".join(base64.b64encode(hashlib.sha256(key).digest()).decode() for key in keys_of)


def browse(server: WebServer, keys: Path, study: str, rounds: int) -> list[dict[str, object]]:
    """The first time with an empty cache, afterwards with the viewer's program in it."""
    with sync_playwright() as playwright:
        arguments = [*_ARGUMENTS, f"--ignore-certificate-errors-spki-list={pins(keys)}"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), headless=True, args=arguments)
        context = browser.new_context(
            base_url=f"https://localhost:{server.port}",
            extra_http_headers={"Authorization": server.authorization},
            viewport={"width": 1280, "height": 800},
        )
        page = context.new_page()
        return [opened(page, study) for _ in range(rounds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        (work / "leadglass").mkdir()
        with leadglass(work / "leadglass", 0) as server:
            files = phantom(work, options.slices)
            finish(Client(server.dicom).store(files))
            time.sleep(REST)
            study = str(pydicom.dcmread(files[0], specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
            result = {
                "slices": options.slices,
                "openings": browse(server, work / "leadglass" / "keys", study, options.rounds),
            }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
