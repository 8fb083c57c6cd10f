#!/usr/bin/env bash
# One recipe of the paper on the eight GPUs of this machine, from a clean checkout:
#   scripts/train_8gpu.sh paper/table1_i3 [more options of 'crosskd-lab launch']
# As it is, or in a job: sbatch scripts/train_8gpu.sh ... in the project's folder.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
if [ ! -d "$root/crosskd_lab" ]; then # SLURM runs a copy of this file, elsewhere
    root="${SLURM_SUBMIT_DIR:-$PWD}"
    [ -d "$root/crosskd_lab" ] || root="$root/.."
    [ -d "$root/crosskd_lab" ] || { echo "say sbatch in the project's folder" >&2; exit 1; }
fi
make -C "$root" .venv/.ready
exec "$root/.venv/bin/crosskd-lab" launch \
    "${1:?which recipe? $root/.venv/bin/crosskd-lab recipes lists them}" \
    --gpus "${GPUS:-8}" --wait "${@:2}"
