#!/bin/sh
# Write the pinned files from requirements.in and requirements-dev.in. Needs uv; add --upgrade to move the pins.
set -eu
cd "$(dirname "$0")/.."

compile() {
    # Pins already in the output file stay, unless --upgrade moves them. Only wheels: nothing is built on the way.
    uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --only-binary :all: \
        --override deploy/overrides.txt --no-emit-index-url --no-emit-find-links --no-emit-build-options \
        --annotation-style line --custom-compile-command deploy/lock.sh "$@"
}

compile --generate-hashes --output-file requirements.lock "$@" requirements.in
compile --generate-hashes --output-file requirements-dev.lock "$@" --constraint requirements.lock requirements.in requirements-dev.in

# The reader of the rules wants other versions of what we have, so it lives in an environment of its own.
compile --generate-hashes --output-file deploy/semgrep/semgrep.lock "$@" deploy/semgrep/requirements.in

# A plain pip install takes the repacked client from its folder. A folder cannot carry a hash, so the lock names the
# official wheel instead and is installed with --no-deps.
plain=$(compile --no-header --no-annotate --constraint requirements.lock requirements.in)
{
    echo '# For `pip install -r requirements.txt` in this folder; deploy/lock.sh wrote it from requirements.lock, which'
    echo '# ./run, CI and the image install with its hashes.'
    echo "$plain" | sed 's|^kiteconnect==[^ ]*|./deploy/kiteconnect|'
} > requirements.txt
