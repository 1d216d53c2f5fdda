#!/usr/bin/env bash
# From a fresh checkout to a working engine: installs the system packages, publishes dist/strata, and shows the main job
# on real input. Needs Debian 12, root and the .NET 10 SDK. The demonstration keeps to a store of its own, removed at the end.
set -euo pipefail
cd "$(dirname "$0")"
. eng/packages.sh
[ "$(id -u)" = 0 ] || { echo "quickstart.sh: run as root (mounting an image needs it)" >&2; exit 1; }
command -v dotnet >/dev/null || { echo "quickstart.sh: the .NET 10 SDK is missing: https://dotnet.microsoft.com/download" >&2; exit 1; }
install_packages "${build_packages[@]}" "${runtime_packages[@]}"
echo "publishing dist/strata ..."
eng/publish.sh

work=$(mktemp -d)
export STRATA_ROOT=$work/store PATH=$PWD/dist:$PATH
trap 'strata rm -f $(strata ps -aq) >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

say "1. The smallest image: from scratch, one file, one layer"
samples/hello/make-hello.sh
run strata build -q -t hello samples/hello
run strata run --rm hello

say "2. A base image, made here from Debian's own packages"
run strata bootstrap debian:bookworm --quiet
run strata images

say "3. The same 50 MB file, removed in a later step and in the same step"
run strata build -q -t fat -f samples/slim/Dockerfile.fat samples/slim
run strata build -q -t slim -f samples/slim/Dockerfile.slim samples/slim
run strata history fat
run strata history slim
run strata images
size() { strata inspect -f '{{.Size}}' "$1"; }
echo "fat is $(($(size fat) - $(size slim))) bytes larger than slim; 50 MiB are 52428800"
run strata analyze fat

say "4. Copy-on-write: read, change, delete, add; the image stays as it is"
run strata run --name box debian:bookworm sh -c 'head -n 1 /etc/os-release; echo changed >>/etc/issue; rm /etc/motd; echo new >/new'
run strata diff box
run strata where box /etc/os-release
run strata where box /etc/issue
run strata commit -m "what box changed" box mine
run strata run --rm mine cat /new
run strata rm box

say "5. What it costs on disk, exactly"
run strata system df
printf 'df says %s bytes, du says %s bytes\n' "$(strata system df --format '{{.TotalBytes}}')" "$(du -s -B1 "$STRATA_ROOT" | cut -f1)"
run strata system check

echo
echo "Done. dist/strata is the whole program; try: dist/strata --help"
