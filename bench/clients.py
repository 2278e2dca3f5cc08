"""The clients: dcmtk's programs as separate processes, so that they take no time from the harness's interpreter."""

import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.peers import CLIENT_AET, Endpoint, environment, free_port


class ClientError(Exception):
    """A client did not succeed; its output is the message."""


@dataclass(frozen=True, slots=True)
class Client:
    """Starts dcmtk's programs against one endpoint; `nodelay` sets TCP_NODELAY in their environment."""

    endpoint: Endpoint
    nodelay: bool = True
    tls: bool = True

    def command(self, program: str, *options: str) -> list[str]:
        identity = self.endpoint.identity
        tls = ["+tls", str(identity.key), str(identity.certificate), "+cf", str(identity.authority)] if self.tls else []
        titles = ["-aet", CLIENT_AET, "-aec", self.endpoint.called_aet]
        return [program, *tls, *titles, *options, self.endpoint.host, str(self.endpoint.port)]

    def store(self, files: Sequence[Path]) -> "subprocess.Popen[bytes]":
        return self._start([*self.command("storescu"), *map(str, files)])

    def find(self, keys: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        return self._start(self.command("findscu", "-S", *_keys(keys)))

    def get(self, keys: Mapping[str, str]) -> int:
        """Retrieve, drop what comes, return the number of completed sub-operations."""
        options = ("-S", "-v", "--ignore", *_keys(keys))
        process = self._start(self.command("getscu", *options))
        output = finish(process)
        completed = re.findall(r"Completed Suboperations\s*:\s*(\d+)", output)
        if not completed:
            raise ClientError(f"getscu reports no result: {output[-2000:]}")
        return int(completed[-1])

    def _start(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            command, env=environment(self.nodelay), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )


def finish(process: "subprocess.Popen[bytes]") -> str:
    """Wait for a client and return what it printed. Raises ClientError."""
    output = process.communicate()[0].decode(errors="replace")
    if process.returncode:
        raise ClientError(f"{process.args!s:.60}… ended with {process.returncode}: {output[-2000:]}")
    return output


def store_in_parallel(client: Client, files: Sequence[Path], clients: int) -> None:
    """Send the files over as many associations at once, each with a contiguous share."""
    share = -(-len(files) // clients)
    started = [client.store(files[start : start + share]) for start in range(0, len(files), share)]
    for process in started:
        finish(process)


def _keys(keys: Mapping[str, str]) -> list[str]:
    return [option for keyword, value in keys.items() for option in ("-k", f"{keyword}={value}")]


_STUNNEL = """foreground = yes
pid =
debug = err
client = yes
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[dicom]
accept = 127.0.0.1:{port}
connect = {host}:{server_port}
key = {key}
cert = {certificate}
CAfile = {authority}
verifyChain = yes
"""


@contextmanager
def tunnel(endpoint: Endpoint, folder: Path) -> Iterator[Client]:
    """A client without TLS whose connections go through stunnel, for getscu, which has no TLS in dcmtk 3.6.7."""
    port = free_port()
    identity = endpoint.identity
    configuration = folder / f"stunnel-{port}.conf"
    configuration.write_text(
        _STUNNEL.format(
            port=port,
            host=endpoint.host,
            server_port=endpoint.port,
            key=identity.key,
            certificate=identity.certificate,
            authority=identity.authority,
        )
    )
    process = subprocess.Popen(["stunnel4", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        client = Client(replace(endpoint, host="127.0.0.1", port=port), tls=False)
        _await_echo(client)
        yield client
    finally:
        process.terminate()
        process.wait()


def _await_echo(client: Client) -> None:
    """A bare connection is no probe: Orthanc accepts nobody else until its time-out for that one is over."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if subprocess.run(client.command("echoscu"), capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.05)
    raise ClientError("no C-ECHO through stunnel")
