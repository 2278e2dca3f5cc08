"""`make demo` as a newcomer runs it, up to the point where it waits for Ctrl-C; SIGTERM ends it no less cleanly."""

import re
import signal
import subprocess
import sys
from pathlib import Path


def test_the_demo_shows_a_query_and_a_retrieval_and_leaves_nothing() -> None:
    command = [sys.executable, "-m", "leadglass.cli.demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        assert demo.stdout is not None
        shown = []
        for line in demo.stdout:
            shown.append(line)
            if "Ctrl-C stops it" in line:
                break
        demo.send_signal(signal.SIGTERM)
        rest = demo.stdout.read()
        assert demo.wait(60) == 0, "".join(shown) + rest
    text = "".join(shown)
    assert "retrieved the phantom: 60 images" in text
    port = re.search(r"https=127\.0\.0\.1:(\d+)", text)
    assert port is not None
    # The link must be good at the port that is really served.
    assert re.search(rf"link, good once and for 24 hours: https://localhost:{port[1]}/setup#\w+", text)
    folder = re.search(r"^keys +(\S+)/keys", text, re.MULTILINE)
    assert folder is not None
    assert not Path(folder[1]).exists()
    assert "refused" not in text
    assert "Traceback" not in text + rest
