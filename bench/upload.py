"""Post all files of a folder to an Orthanc over one HTTP connection: `python -m bench.upload URL FOLDER`."""

import http.client
import sys
from pathlib import Path
from urllib.parse import urlsplit


def upload(url: str, folder: Path) -> None:
    """Raises RuntimeError at the first file that is not taken."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    for path in sorted(folder.rglob("*.dcm")):
        connection.request("POST", "/instances", path.read_bytes(), {"Content-Type": "application/dicom"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{path.name}: HTTP status {answer.status}")


if __name__ == "__main__":
    upload(sys.argv[1], Path(sys.argv[2]))
