#!/usr/bin/env bash
# The main job from nothing: installs what is missing, builds, draws a data set, trains networks A and
# B (one architecture, two seeds), takes their features, trains the Trans-Net from A to B, prints the
# table, and makes a page of pictures. The README states the result to expect.
#
#   ./demo.sh [OUTPUT-FOLDER]          (default: out/demo; what an earlier demo left there is replaced)
set -euo pipefail
cd "$(dirname "$0")"
out=${1:-out/demo}
# resnet18 at 112 px: layer2 has maps of 14x14, in which the objects are still to be seen.
layer=layer2 image_size=112

. cmake/bootstrap.sh
SECONDS=0
step() { printf '\n== %s (%d min %02d s)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)) >&2; }

step "Installing"
install_packages "${concord_build_packages[@]}"
step "Building"
configure --preset release -DCONCORD_TESTS=OFF
cmake --build build >/dev/null
bin=build/bin

step "Drawing 10 classes of images"
"$bin/concord-prepare" synthetic --output-dir "$out/data" --force --image-size "$image_size" \
  --train-per-class 240 --val-per-class 50 >/dev/null
for net in a b; do
  seed=0
  [ "$net" = b ] && seed=5
  step "Training network ${net^^} (resnet18, seed $seed)"
  "$bin/concord-train" --data "$out/data" --arch resnet18 --image-size "$image_size" \
    --epochs 5 --batch-size 32 --lr 0.02 --lr-schedule logspace:1.5 --seed "$seed" --output-dir "$out/net-$net" --force
  step "Features of network ${net^^} at $layer"
  for split in train val; do
    "$bin/concord-features" --weights "$out/net-$net/last.safetensors" --layer "$layer" \
      --data "$out/data" --split "$split" --output-dir "$out/features-$net-$split" --force >/dev/null
  done
done
step "Training the Trans-Net from A to B"
"$bin/concord-transnet" --features-a "$out/features-a-train" --features-b "$out/features-b-train" \
  --epochs 12 --batch-size 32 --lr 1e-3 --seed 0 --output-dir "$out/trans-net" --force >/dev/null
step "Result on the validation images"
"$bin/concord-variance" --weights "$out/trans-net/last.safetensors" \
  --features-a "$out/features-a-val" --features-b "$out/features-b-val" \
  --output-dir "$out/variance" --force
"$bin/concord-visualize" --weights "$out/trans-net/last.safetensors" \
  --features-a "$out/features-a-val" --features-b "$out/features-b-val" --data "$out/data" \
  --variance "$out/variance/variance.json" \
  --images 5,130,230,330,470 --channels best:1 --output-dir "$out/pictures" --force >/dev/null
step "Done"
echo "The pictures, on a page: $(realpath "$out/pictures/index.html")"
