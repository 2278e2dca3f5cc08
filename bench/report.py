"""Results as JSON, a table and a plot. Nothing here names the machine beyond its processors and kernel."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bench.runner import Plan, Result

_BASE = "orthanc"
_COLOURS = {"orthanc": "#7a869a", "storescp": "#c9b458", "leadglass": "#2a7f62"}
_COLUMNS = (
    "scenario",
    "server",
    "objects/s",
    "MB/s",
    "× orthanc",
    "CPU ms",
    "RSS MB",
    "fdatasync",
    "fsync",
    "latencies",
)


def write(folder: Path, name: str, plan: Plan, versions: Mapping[str, str], results: Sequence[Result]) -> None:
    """`folder`/`name`.json and .svg."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"processors": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()},
        "servers": dict(versions),
        "sizes": asdict(plan.sizes),
        "repetitions": plan.repetitions,
        "results": [_entry(result, results) for result in results],
    }
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    _plot(results).savefig(folder / f"{name}.svg")


def table(results: Sequence[Result]) -> str:
    """Aligned columns for the terminal."""
    rows = [_COLUMNS, *(_row(result, results) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _latencies(result: Result) -> dict[str, tuple[float, float]]:
    kinds = result.samples[0].outcome.latencies
    return {kind: found for kind in kinds if (found := result.latency(kind)) is not None}


def _ratio(result: Result, results: Sequence[Result]) -> float | None:
    """How many times Orthanc's rate in the same scenario."""
    for other in results:
        if other.server == _BASE and other.scenario.name == result.scenario.name:
            return result.rate() / other.rate()
    return None


def _entry(result: Result, results: Sequence[Result]) -> dict[str, Any]:
    return {
        "scenario": result.scenario.name,
        "server": result.server,
        "objects_per_second": result.rate(),
        "megabytes_per_second": result.megabytes(),
        "ratio_to_orthanc": _ratio(result, results),
        "cpu_milliseconds_per_object": result.cpu_milliseconds(),
        "peak_resident_megabytes": result.peak_megabytes(),
        "syncs_per_object": result.syncs,
        "latency_milliseconds_p50_p99": _latencies(result),
        "runs": [asdict(each.cost) | {"objects": each.outcome.objects} for each in result.samples],
    }


def _row(result: Result, results: Sequence[Result]) -> tuple[str, ...]:
    ratio, syncs = _ratio(result, results), result.syncs
    latencies = (f"{kind} {p50:.1f}/{p99:.1f}" for kind, (p50, p99) in _latencies(result).items())
    return (
        result.scenario.name,
        result.server,
        f"{result.rate():.1f}",
        f"{result.megabytes():.1f}",
        "" if ratio is None else f"{ratio:.2f}",
        f"{result.cpu_milliseconds():.2f}",
        f"{result.peak_megabytes():.0f}",
        *("" if syncs is None else f"{syncs.get(call, 0):.2f}" for call in ("fdatasync", "fsync")),
        ", ".join(latencies),
    )


def _plot(results: Sequence[Result]) -> Figure:
    """Bars of the rate as a multiple of Orthanc's, or as it is where Orthanc does not take part."""
    scenarios = list(dict.fromkeys(result.scenario.name for result in results))
    servers = list(dict.fromkeys(result.server for result in results))
    figure = Figure(figsize=(9, 1.2 + 0.32 * len(results)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(servers)
    for result in results:
        ratio = _ratio(result, results)
        place = scenarios.index(result.scenario.name) + (servers.index(result.server) - (len(servers) - 1) / 2) * height
        axes.barh(place, ratio or 0, height * 0.92, color=_COLOURS[result.server])
        axes.annotate(f" {result.server} {result.rate():.1f}/s", (ratio or 0, place), va="center", fontsize=7)
    axes.axvline(1, color="black", linewidth=0.6)
    axes.set_yticks(range(len(scenarios)), scenarios)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_xlabel("objects per second as a multiple of Orthanc's; DICOM over TLS on loopback")
    return figure
