#!/usr/bin/env bash
# One recipe of the paper on a SLURM cluster, eight GPUs a node:
#   PARTITION=gpu NODES=1 scripts/train_slurm.sh paper/table1_i3 [more options of 'crosskd-lab launch']
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
    --gpus "${GPUS:-8}" --nodes "${NODES:-1}" --slurm "${PARTITION:?which partition?}" "${@:2}"
