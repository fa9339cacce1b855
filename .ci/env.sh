#!/bin/sh
# Makes .venv and installs kedge into it, with everything for its demo and its tests: the versions of
# constraints.txt, each file by its hash, so that every machine gets the same.
# KEDGE_PYTHON names the Python to use; otherwise the first suited one is taken.
set -eu
cd "$(dirname "$0")/.."

suited() {
    # Run, not only found: a version manager's shim may stand for a Python that is not installed.
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

choose() {
    # 3.11 first: it is the newest for which all board runtimes exist (tflite-runtime ends there).
    for python in ${KEDGE_PYTHON:-python3.11 python3 python3.12 python3.10 python3.13}; do
        if suited "$python"; then
            echo "$python"
            return
        fi
    done
    found=$(python3 -V 2>&1 || true)
    echo "kedge needs Python 3.10 to 3.13 (best: 3.11); found: ${KEDGE_PYTHON:-${found:-none}}" >&2
    echo "Install one, or name it: KEDGE_PYTHON=/path/to/python3.11 make env" >&2
    return 1
}

if [ ! -x .venv/bin/python ] || ! suited .venv/bin/python || ! .venv/bin/python -m pip -V >/dev/null 2>&1; then
    python=$(choose)
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        echo "$python comes without the venv module; install it and run make again." >&2
        echo "On Debian and Ubuntu: apt-get install python$version-venv" >&2
        exit 1
    fi
    echo "making .venv with $("$python" -V)"
    rm -rf .venv
    "$python" -m venv .venv
fi

echo "installing kedge into .venv (the first time takes minutes: TensorFlow is large)"
# --no-deps: the files name every package that another one needs.
install=".venv/bin/python -m pip install --quiet --no-deps"
$install --require-hashes --requirement .ci/constraints.txt
# PyPI's torch for Linux comes with CUDA, which is not needed. PIP_FIND_LINKS may name a folder with
# another build of it.
if ! $install --require-hashes --requirement .ci/torch_cpu.txt 2>/dev/null; then
    $install --require-hashes --requirement .ci/torch.txt
fi
# kedge itself is no file with a hash; what builds it is in constraints.txt.
$install --no-build-isolation --editable .
touch .venv/.installed # make compares it with setup.cfg and constraints.txt
