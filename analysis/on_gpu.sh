#!/usr/bin/env bash
# A short loan of one GPU: trains the colour model, runs the tests that need CUDA, and times the arms.
#
#   bash analysis/on_gpu.sh DATA OUT [MINUTES]
#
# DATA: the CIFAR-10 images, as for `python -m analysis.train`. OUT: an empty folder for what is to be brought back:
# the averaged weights in half precision, in parts of 15 MiB (cat NAME.safetensors.part* > NAME.safetensors), their
# manifest, the last picture of samples, and the logs. MINUTES of training (default 6); the rest takes about two more.
#
# PYTHON is the interpreter (default python3), NAME the recipe (cifar10), DEVICE cuda. With NAME=digits DEVICE=cpu and
# the digits that scikit-learn brings for DATA="" the script can be tried without a GPU.
set -uo pipefail
cd "$(dirname "$0")/.."

data=${1?DATA: the images} out=${2?OUT: an empty folder} minutes=${3:-6}
python=${PYTHON:-python3} name=${NAME:-cifar10} device=${DEVICE:-cuda}
export PYTHONUNBUFFERED=1 PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$out"
run=$(mktemp -d) # checkpoints are large and stay here
failed=()

needed=(numpy scipy torch matplotlib safetensors diffusers hypothesis pytest array_api_compat)
missing=$("$python" -c 'import sys, importlib.util as u; print(*[m for m in sys.argv[1:] if not u.find_spec(m)])' \
    "${needed[@]}") || exit 1
if [ -n "$missing" ]; then
    echo "$python lacks: $missing" >&2
    exit 1
fi
"$python" -c 'import torch; print(torch.__version__, torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU")'

train() { # OUT STEPS MINUTES
    "$python" -m analysis.train "$name" ${data:+--data "$data"} --device "$device" --out "$1" --steps "$2" \
        --minutes "$3" --grid "${4:-0}"
}

# The learning rate falls to zero over the steps, so there must be as many as there is time for: a pilot tells the speed.
train "$run/pilot" 100000 0.4 > "$out/pilot.log" 2>&1
rate=$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["training"]["steps_per_second"])' \
    "$run/pilot/$name.json") || { cat "$out/pilot.log" >&2; exit 1; }
steps=$("$python" -c 'import sys; print(max(100, int(0.85 * 60 * float(sys.argv[1]) * float(sys.argv[2]))))' "$rate" "$minutes")
echo "$rate steps per second: $steps steps in $minutes minutes"

train "$run/$name" "$steps" "$minutes" "$((steps / 4 + 1))" 2>&1 | tee "$out/train.log" || failed+=(training)
if [ -f "$run/$name/$name.safetensors" ]; then
    split -b 15M -d "$run/$name/$name.safetensors" "$out/$name.safetensors.part"
    cp "$run/$name/$name.json" "$out/"
    picture=$(find "$run/$name" -name '*.png' | sort | tail -1)
    [ -n "$picture" ] && cp "$picture" "$out/$name.png"
fi

if [ "$device" = cuda ]; then
    "$python" -m pytest -q -p no:cacheprovider tests/nn/test_robustness.py tests/analysis/test_train.py -k "cuda or gpu" 2>&1 \
        | tee "$out/tests.log" || failed+=(tests)
fi
"$python" -m analysis.benchmarks.sampling --model "$name" --device "$device" --batch 64 --calls 20 --threads 1 \
    --arms "full precision" "W8A4 direct" "W8A4 closed loop" 2>&1 | tee "$out/timing.log" || failed+=(timing)

rm -rf "$run"
ls -l "$out"
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}" >&2; exit 1; }
