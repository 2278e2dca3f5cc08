"""`make demo`: a throw-away archive on loopback with real images in it, queried and read over TLS before your eyes."""

import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pydicom
from rich.console import Console

from leadglass.cli.phantom import phantom_series
from leadglass.cli.text import printable
from leadglass.crypto.tls import CertificateChain, client_context
from leadglass.dicom import tags, uids
from leadglass.dimse.items import ProposedContext, RoleSelection
from leadglass.dimse.message import CStoreRq
from leadglass.dimse.requestor import Requestor
from leadglass.dimse.status import SUCCESS
from leadglass.errors import LeadglassError
from leadglass.model import Attributes

#: Of pydicom's test files those that are whole and of different kinds: the others are broken on purpose.
PACKAGED = (
    "CT_small",
    "MR_small",
    "examples_jpeg2k",
    "examples_overlay",
    "examples_palette",
    "examples_rgb_color",
    "examples_ybr_color",
    "693_J2KI",
    "SC_rgb_rle",
    "liver_1frame",
    "rtdose_1frame",
    "rtplan",
    "rtstruct",
    "test-SR",
    "waveform_ecg",
)
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
console = Console(highlight=False, soft_wrap=True)


def main() -> None:
    # However it ends, nothing stays: not when its terminal is closed, nor under a supervisor.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="leadglass-demo-"))
    try:
        _run(folder)
    except KeyboardInterrupt:
        console.print("\nStopping; the archive is thrown away.")
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)  # the command has said why
    except LeadglassError as error:
        console.print(f"[red]{error.message}[/] {error.remedy}")
        sys.exit(error.exit_code)
    finally:
        shutil.rmtree(folder)


def _run(folder: Path) -> None:
    console.rule("An archive and its keys")
    _leadglass(folder, "init")
    console.print(
        "(That link is for the usual port. Here `serve` takes one that is free, and a link for it comes at the end.)"
    )
    console.rule("Two devices: a scanner that may store, a workstation that may look")
    _leadglass(folder, "device", "add", "scanner", "--aet", "SCANNER", "--role", "modality", "--out", str(folder))
    _leadglass(
        folder, "device", "add", "workstation", "--aet", "WORKSTATION", "--role", "clinician",
        "--person", "Dr. Demo", "--out", str(folder),
    )  # fmt: skip
    console.rule("Serving")
    with _served(folder) as (server, port):
        console.rule("Import: the images packaged with pydicom, and a generated CT phantom")
        _leadglass(folder, "import", str(_phantom(folder)), *map(str, _packaged()))
        console.rule("Query and retrieve over TLS, as the workstation")
        _show(folder, port)
        console.rule("A clinician, who signs in with a browser")
        _leadglass(folder, "user", "add", "demo", "--role", "clinician", "--person", "Dr. Demo")
        console.rule("How to connect")
        _tell(folder, port)
        server.wait()


def _leadglass(folder: Path, *words: str) -> None:
    places = ("--data", str(folder / "data"), "--keys", str(folder / "keys"))
    shown = [word for word in words if not word.endswith((".dcm", ".DCM"))]
    more = " …" if len(shown) < len(words) else ""
    console.print(f"[bold]$ leadglass {shlex.join(shown)}{more}[/]")
    subprocess.run([sys.executable, "-m", "leadglass.cli", *words, *places], check=True)


@contextmanager
def _served(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "leadglass.cli", "serve", "--dimse-port", "0", "--https-port", "0"]
    places = ["--data", str(folder / "data"), "--keys", str(folder / "keys")]
    with subprocess.Popen([*command, *places], stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server, _port(server.stdout)
        finally:
            server.terminate()
            # Popen waits but a moment when an interrupt ends it, and what the server has open is thrown away next.
            server.wait()


def _port(lines: IO[str] | None) -> int:
    line = lines.readline() if lines is not None else ""
    if not line.startswith("ready "):
        raise SystemExit("the archive did not start; see above")
    console.print(line.strip())
    return int(line.split()[1].rpartition(":")[2])


def _phantom(folder: Path) -> Path:
    made = folder / "phantom"
    made.mkdir()
    for name, content in phantom_series(60):
        (made / name).write_bytes(content)
    return made


def _packaged() -> list[Path]:
    root = Path(pydicom.__file__).parent / "data" / "test_files"
    return [root / f"{name}.dcm" for name in PACKAGED]


def _connect(
    folder: Path, port: int, contexts: tuple[ProposedContext, ...], roles: tuple[RoleSelection, ...]
) -> Requestor:
    chain = CertificateChain(folder / "workstation.crt", folder / "workstation.key")
    return Requestor.connect(
        "127.0.0.1",
        port,
        calling_ae="WORKSTATION",
        called_ae="LEADGLASS",
        contexts=contexts,
        tls=client_context(folder / "ca.crt", chain),
        server_hostname="localhost",
        roles=roles,
    )


def _show(folder: Path, port: int) -> None:
    syntaxes = (uids.EXPLICIT_LE,)
    contexts = (
        ProposedContext(1, uids.STUDY_ROOT_FIND, syntaxes),
        ProposedContext(3, uids.STUDY_ROOT_GET, syntaxes),
        ProposedContext(5, CT_IMAGE_STORAGE, syntaxes),
    )
    roles = (RoleSelection(CT_IMAGE_STORAGE, scu=False, scp=True),)
    with _connect(folder, port, contexts, roles) as workstation:
        studies = _studies(workstation)
        phantom = max(studies, key=lambda study: int(str(study[tags.NUMBER_OF_STUDY_RELATED_INSTANCES])))
        _retrieve(workstation, str(phantom[tags.STUDY_INSTANCE_UID]))


def _studies(workstation: Requestor) -> list[Attributes]:
    asked: Attributes = {
        tags.QUERY_RETRIEVE_LEVEL: "STUDY",
        tags.PATIENT_NAME: "",
        tags.STUDY_DATE: "",
        tags.MODALITIES_IN_STUDY: "",
        tags.STUDY_INSTANCE_UID: "",
        tags.NUMBER_OF_STUDY_RELATED_INSTANCES: "",
    }
    found = [answer for status, answer in workstation.find(uids.STUDY_ROOT_FIND, asked) if answer]
    for study in found[:5]:
        console.print(
            f"  {printable(str(study.get(tags.PATIENT_NAME) or '(no name)')):28} {study.get(tags.STUDY_DATE, ''):10}"
            f" {study.get(tags.MODALITIES_IN_STUDY, ''):10} {study[tags.NUMBER_OF_STUDY_RELATED_INSTANCES]} images",
            markup=False,
        )
    console.print(f"  … {len(found)} studies in all")
    return found


def _retrieve(workstation: Requestor, study: str) -> None:
    received: Counter[str] = Counter()

    def keep(_request: CStoreRq, _syntax: str, fragments: Iterator[memoryview]) -> int:
        received.update(images=1, bytes=sum(len(fragment) for fragment in fragments))
        return SUCCESS

    identifier: Attributes = {tags.QUERY_RETRIEVE_LEVEL: "STUDY", tags.STUDY_INSTANCE_UID: study}
    workstation.get(uids.STUDY_ROOT_GET, identifier, keep)
    console.print(f"  retrieved the phantom: {received['images']} images, {received['bytes']} bytes")


def _tell(folder: Path, port: int) -> None:
    console.print("  in a browser     open that link, choose how to sign in, search and view. The browser will warn:")
    console.print(f"                   it does not know the authority that was made just now ({folder}/ca.crt)")
    console.print(f"  DICOM over TLS   127.0.0.1:{port}, called AE title LEADGLASS")
    console.print(f"  as a workstation {folder}/workstation.key, workstation.crt, ca.crt (AE title WORKSTATION)")
    console.print(f"  as a scanner     {folder}/scanner.key, scanner.crt, ca.crt (AE title SCANNER)")
    if shutil.which("echoscu"):
        console.print(
            f"  $ echoscu +tls {folder}/scanner.key {folder}/scanner.crt +cf {folder}/ca.crt "
            f"-aet SCANNER -aec LEADGLASS localhost {port}"
        )
    console.print("  Ctrl-C stops it and throws everything away.")


if __name__ == "__main__":
    main()
