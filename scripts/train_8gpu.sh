#!/usr/bin/env bash
# One recipe of the paper on the eight GPUs of this machine, from a clean checkout:
#   scripts/train_8gpu.sh paper/table1_i3 [more options of 'crosskd-lab launch']
set -euo pipefail
cd "$(dirname "$0")/.."
make .venv/.ready
exec .venv/bin/crosskd-lab launch "${1:?which recipe? .venv/bin/crosskd-lab recipes lists them}" \
    --gpus "${GPUS:-8}" --wait "${@:2}"
