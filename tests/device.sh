#!/bin/bash
# What a GPU does for training, checked and measured in under 8 minutes: equality with the CPU to stated tolerances, the
# same bits twice, frames per second against the card's limit, and parts of epochs on the device, on one core and on all.
# On a machine without a GPU it is the CPU's half of that.
#
#     tests/device.sh
#
# It needs no network. What may be given in the environment:
#
#     PYTHON   the interpreter; by default that of .venv, else python3
#     WHEELS   a folder of wheels of packages that are missing here; they are installed into a folder that is removed again
#     CARRIED  a folder with what else was brought along: the prepared corpora `tiny` (for the tests) and `part` (for the
#              epochs). Without them they are synthesised, which needs the packages of the extra `data`.
#     OUT      where figures and logs go, by default build/device
set -uo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
OUT=$(realpath -m "${OUT:-build/device}")
CARRIED=$(realpath -m "${CARRIED:-build/carried}")
mkdir -p "$OUT"
workers=$(nproc) # before the threads are limited, which it heeds
own=$(mktemp -d)
trap 'rm -rf "$own"' EXIT

export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
export NUMBA_CACHE_DIR="$own/numba" XDG_CACHE_HOME="$own/cache" WORKBENCH_DATA="$own/data"
export PYTHONPATH="$PWD:$PWD/tests"
if [ -d "${WHEELS:-}" ]; then
    "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$own/site" "$WHEELS"/*.whl || exit 1
    PYTHONPATH="$own/site:$PYTHONPATH"
fi
[ -d "$CARRIED/tiny" ] && export WORKBENCH_TINY="$CARRIED/tiny"
corpus=()
[ -d "$CARRIED/part" ] && corpus=(--corpus "$CARRIED/part")

step() { # what, seconds at most, command: run it, keep its log, say how long it took
    local what=$1 most=$2 began=$SECONDS status=0
    shift 2
    echo "== $what"
    timeout "$most" "$@" 2>&1 | tee "$OUT/$what.log" || status=$?
    echo "== $what: $((SECONDS - began)) s, status $status"
    return $status
}

"$PYTHON" -c 'import torch, workbench.model.device as d; print("torch", torch.__version__, d.describe_device())' || exit 1
failed=0
# Warnings of another set of packages are no failures here.
parallel=$("$PYTHON" -c 'import xdist' 2>/dev/null && echo "-n $((workers < 6 ? workers : 6)) --dist loadgroup")
# shellcheck disable=SC2086
step tests 200 "$PYTHON" -m pytest -q $parallel -p no:cacheprovider -o filterwarnings=default \
    tests/model/test_device.py tests/model/test_device_frames.py tests/runs/test_device_runs.py \
    tests/runs/test_decode_ahead.py || failed=1

bench=("$PYTHON" -m benchmarks.bench_device "${corpus[@]}" --taught "$own/taught.npy" --seconds "${SECONDS_EACH:-5}")
if "$PYTHON" -c 'import sys, workbench.model.device as d; sys.exit(d.device().type != "cuda")'; then
    step device 130 "${bench[@]}" --out "$OUT/device.json" || failed=1
fi
export WORKBENCH_DEVICE=cpu WORKBENCH_KERNEL=tiles
[ "$workers" -gt 1 ] && { step all-cores 90 "${bench[@]}" --out "$OUT/all-cores.json" || failed=1; }
step one-core 90 taskset -c 0 "${bench[@]}" --out "$OUT/one-core.json" || failed=1
exit $failed
