"""Make .venv with the packages of requirements.lock, by uv where it can be had, else by pip.

    python3.11 scripts/set_up.py [WHEELS]

``make`` calls it. WHEELS is a folder of wheels: then no network is asked for. Where no NVIDIA
driver is found, torch comes without CUDA from PyTorch's own index, if that can be reached: a much
smaller download. What pip is told by its environment and its configuration (index, extra index,
found links, certificate) holds for uv, too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

UV = "uv==0.13.9"
CPU_TORCH = "https://download.pytorch.org/whl/cpu"
BIN = Path(".venv/bin").absolute()
NOTIFICATIONS = {"fetchNews": "false", "checkForUpdates": False}
LAB_SETTINGS = {"@jupyterlab/apputils-extension:notification": NOTIFICATIONS}  # no pop-up at first
TOLD_TO_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
}


def pip(*words: str) -> list[str]:
    """A command of the environment's pip."""
    return [str(BIN / "python"), "-m", "pip", *words]


def works(command: list[str], **more: str) -> bool:
    """Run a command, its errors kept quiet: there is another way."""
    env = {**os.environ, **more}
    return subprocess.run(command, env=env, stderr=subprocess.DEVNULL).returncode == 0


def uv_environment() -> dict[str, str]:
    """pip's configuration in uv's words."""
    said = subprocess.run(pip("config", "list"), capture_output=True, text=True).stdout
    told = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_HTTP_TIMEOUT": "180"}
    lines = said.splitlines()  # global.cert='...' or :env:.cert='...', of which that is stronger
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):
        key, _, value = line.partition("=")
        if name := TOLD_TO_UV.get(key.rpartition(".")[2]):
            told[name] = value.strip("'\"").replace("\\n", " ")
    return told


def cpu_torch() -> list[str]:
    """The option that finds torch without CUDA, where that is what this machine needs."""
    if shutil.which("nvidia-smi") or sys.platform == "darwin":
        return []
    try:
        urllib.request.urlopen(f"{CPU_TORCH}/torch/", timeout=5).close()
    except OSError:
        return []
    print("      no NVIDIA driver here: torch without CUDA", flush=True)
    return ["--extra-index-url", CPU_TORCH]


def main() -> None:
    """The command."""
    wheels = sys.argv[1:2]
    offline = ["--no-index", "--find-links", wheels[0]] if wheels else []
    quiet = ["--quiet", "--disable-pip-version-check"]
    print(f"[1/3] .venv with {Path(sys.executable).name}", flush=True)
    if not (BIN / "python").exists() or not works(pip("--version")):
        subprocess.run([sys.executable, "-m", "venv", "--clear", ".venv"], check=True)
    print("[2/3] the packages of requirements.lock (2 GB on disk)", flush=True)
    lock = ["--only-binary=:all:", "-r", "requirements.lock", *(offline or cpu_torch())]
    uv = [str(BIN / "uv"), "pip", "install", "--quiet", "--python", str(BIN / "python")]
    by_uv = works(pip("install", *quiet, *offline, UV)) and works(uv + lock, **uv_environment())
    if not by_uv:
        print("      uv cannot be had here or finds not all of them: pip, some minutes", flush=True)
        subprocess.run(pip("install", *quiet, "--no-compile", *lock), check=True)
    settings = BIN.parent / "share/jupyter/lab/settings/overrides.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps(LAB_SETTINGS, indent=1))
    print("[3/3] crosskd-lab itself", flush=True)
    own = ["--no-deps", "--no-build-isolation", "--editable", "."]
    subprocess.run(pip("install", *quiet, *own), check=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"set-up: {' '.join(error.cmd[1:4])} ... failed, see above; 'make' tries again")
