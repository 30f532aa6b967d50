"""What the figures were measured on: written to machine.json, shown at the end of the report."""
from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path

MOST_BUSY_PERCENT = 20.0  # of all processors, by others
PACKAGES = ("librocksdb7.8", "liblmdb0", "libwiredtiger0", "libtbb12", "libjemalloc2", "libmsgpack-cxx-dev", "libbenchmark1debian", "wordnet-base")


def output(*command: str, cwd: Path | None = None) -> str:
    """Standard output of a command, or "" where it is missing or fails: a report must not fail for a detail."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", errors="replace", timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def cpu_model() -> str:
    match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
    return match.group(1) if match else platform.machine()


def cpu_ticks() -> dict[str, int]:
    """Ticks since boot. Steal is time that the hypervisor gave to others: a disturbed run shows it."""
    fields = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:]
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    return dict(zip(names, map(int, fields)))


def moment() -> dict:
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "load": list(os.getloadavg()),
        "cpu_ticks": cpu_ticks(),
    }


def stolen_percent(sessions: list[dict]) -> float | None:
    """Over the times that a run was measured in: one that was ended and resumed has several. Of one that was killed nobody
    knows."""
    known = [one for one in sessions if one.get("after")]
    if not known:
        return None
    passed = {key: sum(one["after"]["cpu_ticks"][key] - one["before"]["cpu_ticks"][key] for one in known)
              for key in known[0]["before"]["cpu_ticks"]}
    total = sum(passed.values())
    return 100 * passed["steal"] / total if total else None


def busy_percent(before: dict, after: dict) -> float | None:
    """Of all processor time: what was not idle, stolen time included."""
    passed = {key: after["cpu_ticks"][key] - before["cpu_ticks"][key] for key in before["cpu_ticks"]}
    total = sum(passed.values())
    return 100 * (total - passed["idle"] - passed["iowait"]) / total if total else None


def busy_warning(seconds: float) -> str | None:
    """Looks at the machine for as long, and says if others use it."""
    before = moment()
    time.sleep(seconds)
    busy = busy_percent(before, moment())
    if busy is None or busy <= MOST_BUSY_PERCENT:
        return None
    return f"The machine was busy before the first run: {busy:.0f}% of its processors' time went to others."


def memory_bytes() -> int:
    match = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="utf-8"), re.M)
    return int(match.group(1)) * 1024 if match else 0


def available_memory_bytes() -> int:
    match = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="utf-8"), re.M)
    return int(match.group(1)) * 1024 if match else 0


def free_bytes(folder: Path) -> int:
    """Of the disk that it is on, for us. Throws OSError."""
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize


def revision(root: Path) -> dict:
    commit = output("git", "rev-parse", "HEAD", cwd=root)
    return {"commit": commit or None, "dirty": bool(output("git", "status", "--porcelain", cwd=root)) if commit else None}


def compile_command(build: Path) -> str | None:
    """The flags that the experiment driver was compiled with, includes and file names left out."""
    try:
        commands = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    for entry in commands:
        if entry["file"].endswith("experiment.cpp"):
            words = entry["command"].split()
            return " ".join(w for w in words if re.match(r"-(O|g|D|f|m|std|W|pthread)", w))
    return None


def allocator(program: Path) -> str:
    linked = output("ldd", str(program))
    for library in ("jemalloc", "mimalloc", "tcmalloc"):
        if library in linked:
            return library
    return "glibc" if linked else "unknown"


def packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        version = output("dpkg-query", "-W", "-f=${Version}", name)
        if version:
            found[name] = version
    return found


def describe(root: Path, binaries: Path) -> dict:
    import matplotlib
    import numpy

    caches = output("getconf", "-a")
    sizes = dict(re.findall(r"^(LEVEL(?:1_DCACHE|2_CACHE|3_CACHE)_SIZE)\s+(\d+)", caches, re.M))
    os_name = re.search(r'^PRETTY_NAME="(.+)"', Path("/etc/os-release").read_text(encoding="utf-8"), re.M)
    huge_pages = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "cpu_cache_bytes": {key.lower(): int(value) for key, value in sizes.items()},
        "memory_bytes": memory_bytes(),
        "transparent_huge_pages": huge_pages.read_text(encoding="utf-8").strip() if huge_pages.exists() else None,
        "kernel": platform.release(),
        "system": os_name.group(1) if os_name else platform.platform(),
        "virtualised": output("systemd-detect-virt") or None,
        "compiler": output("g++", "--version").splitlines()[0] if output("g++", "--version") else None,
        "flags": compile_command(binaries.parent),
        "allocator": allocator(binaries / "experiment"),
        "packages": packages(),
        "python": platform.python_version(),
        "matplotlib": matplotlib.__version__,
        "numpy": numpy.__version__,
        "revision": revision(root),
    }
