#!/usr/bin/env bash
# The main job from nothing: installs what is missing, builds, and runs plans/small.json: draws a data
# set, trains networks A and B (one architecture, two seeds, and on two halves of the images), takes
# their features, trains the Trans-Nets from A to B, refines, diagnoses, compresses and distils, prints
# the tables, and makes a picture and the report. The README states the result to expect. What is done is not
# done again: a demo that was stopped goes on, and a second one takes seconds.
#
#   ./demo.sh [OUTPUT-FOLDER]          (default: out/small)
set -euo pipefail
cd "$(dirname "$0")"
out=${1:-out/small}

. cmake/bootstrap.sh
SECONDS=0
step() { printf '\n== %s (%d min %02d s)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)) >&2; }

step "Installing"
install_packages "${concord_build_packages[@]}"
step "Building"
configure --preset release -DCONCORD_TESTS=OFF
cmake --build build >/dev/null
step "The paper's experiments in miniature (plans/small.json)"
build/bin/concord-reproduce plans/small.json --output-dir "$out"
steps=$out/steps
build/bin/concord-visualize --weights "$steps/transnet-init.0-5/last.safetensors" \
  --features-a "$steps/features-init-a-val.0-5" --features-b "$steps/features-init-b-val.0-5" \
  --data "$steps/data" --variance "$steps/variance-init.0-5/variance.json" \
  --images 5,130,230,330,470 --channels best:1 --output-dir "$out/pictures" --force >/dev/null
step "Done"
echo
echo "The tables above: $(realpath "$out/tables.md")"
echo "A picture of the maps: $(realpath "$out/pictures/panel.png")"
echo "The report, a page that needs nothing else: $(realpath "$out/report/index.html")"
