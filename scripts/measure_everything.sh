#!/usr/bin/env bash
# The paper's tables, the fine print and what lies beyond, in the slow regime, and the long one
# (docs/regime.md), seed by seed, as far as the minutes reach:
#   scripts/measure_everything.sh [--minutes 10] [--side-by-side 1]
# The plan comes first. What the time cuts off is resumed by the same command; each run that comes to
# its end is a line in data/recorded. Without .venv it takes python3 and the packages that it has.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
sweeps=(table4_slow table1_slow table2_slow table7_slow table5_slow table3_slow table6_slow
    table8_slow fine_print_slow beyond_slow long)
seeds=(0 1 2) minutes=10 together=1
while [ $# -gt 0 ]; do
    case "$1" in
        --minutes) minutes="${2:?--minutes takes a number}" ;;
        --side-by-side) together="${2:?--side-by-side takes a number}" ;;
        *) echo "unknown option $1: $0 [--minutes 10] [--side-by-side 1]" >&2; exit 2 ;;
    esac
    shift 2
done
python=.venv/bin/python
[ -x "$python" ] || python=python3
for number in "$minutes" "$together"; do
    [[ $number =~ ^[0-9]+([.][0-9]+)?$ ]] || { echo "a number, please, not '$number'" >&2; exit 2; }
done
end=$(awk -v now="$(date +%s)" -v minutes="$minutes" 'BEGIN {print int(now + 60 * minutes)}')

"$python" - "${sweeps[@]}" <<'PLAN'
import sys

from crosskd_lab.report.sweep_spec import read_sweep
from crosskd_lab.runs.sweep import to_do

left = {}
for name in sys.argv[1:]:
    sweep = read_sweep(name)
    for row, seed in to_do(sweep):
        left.setdefault((row.key, seed), (seed, sweep.name, row.name))
    print(f"{sweep.name:<16} {len(sweep.plan()):>3} runs, {len(to_do(sweep)):>3} not recorded yet")
print(f"{len(left)} runs are left, those of several tables counted once.")
PLAN

for seed in "${seeds[@]}"; do
    for sweep in "${sweeps[@]}"; do
        left=$((end - $(date +%s)))
        [ "$left" -gt 0 ] || { echo "The minutes are over; the same command goes on."; exit 0; }
        timeout --foreground --signal=INT "$left" "$python" -c "from crosskd_lab.cli import main; main()" \
            sweep "$sweep" --seeds "$seed" --side-by-side "$together" || {
            code=$?
            [ "$code" -eq 124 ] || [ "$code" -eq 1 ] || exit "$code"  # 1: a run failed, and is told
        }
    done
done
