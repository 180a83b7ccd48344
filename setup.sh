#!/bin/sh
# Builds .venv; called by `make setup`. Each thing that a fresh machine may lack ends in one line that says the mend.
set -eu
PYTHON="${PYTHON:-python3}"

stop() { echo "setup: $1" >&2; exit 1; }

command -v "$PYTHON" >/dev/null 2>&1 || stop "there is no $PYTHON: install Python 3.11 or newer, or run make PYTHON=/path/to/python."
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  stop "$("$PYTHON" -V) is too old: install Python 3.11 or newer, or run make PYTHON=python3.12."
"$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
  stop "this Python cannot build virtual environments: apt-get install python3-venv (or your system's package of it)."
{ command -v cc && command -v c++; } >/dev/null 2>&1 ||
  stop "llama.cpp is compiled here and needs a C and C++ compiler: apt-get install build-essential."
free_mb=$(df -Pm . | awk 'NR == 2 { print $4 }')
[ "$free_mb" -ge 4000 ] || [ -x .venv/bin/bot ] ||
  stop "only $free_mb MB are free here and about 4000 MB are needed: make room or clone to another disk."

[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
echo "setup: installing into .venv; the first time llama.cpp is compiled, which takes about ten minutes"
# The lock names the hash of every file, so that an install in a year gives the same as one today; torch, whose builds
# differ by machine, is pinned by version.
export PIP_DISABLE_PIP_VERSION_CHECK=1
.venv/bin/python -m pip install --no-deps --require-hashes --requirement requirements-dev.lock &&
  .venv/bin/python -m pip install --constraint constraints.txt --editable '.[train,test]' ||
  stop "the install did not finish; the lines above say why (no network? then run make setup again later)."
echo "setup: done"
