#!/usr/bin/env bash
# Everything that a GPU can show, in one call: the device suite, compute-sanitizer on it, kernels and
# steps measured, training beside PyTorch (where python3 has torch), and one experiment on cuda and on
# cpu with the same seed, on cuda with and without --cuda-graph.
#
#   tools/gpu_check.sh [--bin DIR] [--out DIR] [--data FOLDER] [PART...]
#
# --bin   the programs and tests; default build/bin, which is built first
# --out   where reports go; default gpu-check
# --data  an image folder (train/, val/) for the experiment; default: a synthetic one is drawn
# PART    suite sanitizer bench tiers pytorch experiment; default: all, in this order
#
# A part that fails does not stop the others. The exit code is the number of parts that failed.
set -uo pipefail
cd "$(dirname "$0")/.."

bin= out=gpu-check data= parts=()
while [ $# -gt 0 ]; do
  case "$1" in
    --bin) bin=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --data) data=$2; shift 2 ;;
    suite | sanitizer | bench | tiers | pytorch | experiment) parts+=("$1"); shift ;;
    *) echo "error: $1 is no option and no part; see the head of $0" >&2; exit 64 ;;
  esac
done
[ ${#parts[@]} -gt 0 ] || parts=(suite sanitizer bench tiers pytorch experiment)

if ! command -v nvidia-smi >/dev/null || ! nvidia-smi -L >/dev/null 2>&1; then
  echo "error: no NVIDIA GPU here: nvidia-smi is missing or finds none" >&2
  exit 69
fi
mkdir -p "$out"
nvidia-smi -L >"$out/device.txt"
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv >>"$out/device.txt"
cat "$out/device.txt"

if [ -z "$bin" ]; then
  bin=build/bin
  . cmake/bootstrap.sh
  install_packages "${concord_build_packages[@]}" "${concord_test_packages[@]}" || exit 1
  configure --preset release -DCONCORD_CUDA=ON && cmake --build build || exit 1
fi

# The device suite; a GPU that is skipped is a failure here.
suite() {
  "$bin/device_tests" --gtest_filter='*/cuda' | tee "$out/suite.txt"
  [ "${PIPESTATUS[0]}" -eq 0 ] && ! grep -q '^\[  SKIPPED \]' "$out/suite.txt"
}

sanitizer() {
  local tool failed=0
  for tool in memcheck racecheck initcheck synccheck; do
    echo "== compute-sanitizer --tool $tool"
    compute-sanitizer --tool "$tool" --error-exitcode 1 --log-file "$out/$tool.txt" \
      "$bin/device_tests" --gtest_filter='*/cuda' --gtest_brief=1 || failed=1
    tail -3 "$out/$tool.txt"
  done
  return $failed
}

bench() {
  "$bin/concord-bench" --device cuda --format json >"$out/bench.json" &&
    "$bin/concord-bench" --device cuda | tee "$out/bench.txt" &&
    "$bin/concord-bench" --device cuda --precision bf16 --format json >"$out/bench-bf16.json"
}

# A Trans-Net's step with its features on the device already, and with them from stores: in the device's memory,
# in page-locked memory, and read from files. The second to fourth ought to take as long as the first.
tiers() {
  local step=512x28x28 rows=2000 failed=0
  {
    "$bin/concord-bench" --device cuda --precision tf32 --step transnet:$step --batch-size 64
    for tier in "" "--device-memory 0" "--device-memory 0 --pinned-memory 0"; do
      echo "== transnet-store $tier"
      "$bin/concord-bench" --device cuda --precision tf32 --step transnet-store:$step --batch-size 64 \
        --stores "$out/stores" --rows $rows $tier || failed=1
    done
  } 2>&1 | tee "$out/tiers.txt"
  rm -rf "$out/stores"
  return $failed
}

pytorch() {
  if ! python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    echo "python3 has no torch with CUDA: this part is LEFT OUT"
    return 0
  fi
  local failed=0 precision tolerance
  for precision in fp32 tf32 bf16; do
    case $precision in fp32) tolerance=0.001 ;; tf32) tolerance=0.02 ;; bf16) tolerance=0.05 ;; esac
    for graph in "" --cuda-graph; do
      python3 tools/compare_pytorch.py --bin "$bin" --device cuda --precision $precision \
        --tolerance $tolerance $graph --json "$out/pytorch-$precision$graph.json" |
        tee "$out/pytorch-$precision$graph.txt"
      [ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
    done
  done
  return $failed
}

# One network trained on each device from one seed, and features taken of both; on cuda again in bfloat16 and in
# graphs. Fails unless the losses of the first epoch, which have seen rounding grow over its steps only, agree to
# a twentieth, and unless every loss in graphs is that without.
experiment() {
  local folder=$data device
  if [ -z "$folder" ]; then
    folder=$out/synthetic
    [ -d "$folder" ] || "$bin/concord-prepare" synthetic --output-dir "$folder" || return 1
  fi
  for device in cuda cpu; do
    "$bin/concord-train" --data "$folder" --arch vgg11_bn --image-size 64 --epochs 3 --seed 1 \
      --device "$device" --output-dir "$out/a-$device" --force || return 1
    "$bin/concord-features" --data "$folder" --weights "$out/a-$device/best.safetensors" \
      --layer conv5_1 --device "$device" --output-dir "$out/features-$device" --force || return 1
  done 2>&1 | tee "$out/experiment.txt"
  [ "${PIPESTATUS[0]}" -eq 0 ] || return 1
  "$bin/concord-train" --data "$folder" --arch vgg11_bn --image-size 64 --epochs 3 --seed 1 \
    --device cuda --precision bf16 --output-dir "$out/a-bf16" --force 2>&1 | tee -a "$out/experiment.txt"
  [ "${PIPESTATUS[0]}" -eq 0 ] || return 1
  local losses
  losses=$(sed -sn '1s/.*"loss":\([^,]*\),.*/\1/p' "$out"/a-{cpu,cuda,bf16}/metrics.jsonl)
  echo "loss of the first epoch on the CPU, on cuda, and there in bfloat16:" $losses
  awk 'NR == 1 { a = $1 } NR > 1 { d = $1 - a; if (d < 0) d = -d; if (!(d <= 0.05 * a)) bad = 1 }
       END { exit bad || NR != 3 }' <<<"$losses" || return 1
  "$bin/concord-train" --data "$folder" --arch vgg11_bn --image-size 64 --epochs 3 --seed 1 \
    --device cuda --cuda-graph --output-dir "$out/a-graphs" --force 2>&1 | tee -a "$out/experiment.txt"
  [ "${PIPESTATUS[0]}" -eq 0 ] || return 1
  local run
  for run in cuda graphs; do
    sed 's/,"seconds".*//' "$out/a-$run/metrics.jsonl" >"$out/losses-$run.txt"
  done
  cmp "$out/losses-cuda.txt" "$out/losses-graphs.txt" &&
    echo "the same losses with and without --cuda-graph"
}

failed=0
for part in "${parts[@]}"; do
  echo "=== $part"
  "$part" || { echo "=== $part FAILED"; failed=$((failed + 1)); }
done
echo "=== $((${#parts[@]} - failed)) of ${#parts[@]} parts passed; reports in $out"
exit $failed
