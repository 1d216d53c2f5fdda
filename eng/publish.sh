#!/usr/bin/env bash
# Publishes the one executable to dist/strata: machine code, or ReadyToRun where the native compiler (gcc, Microsoft.DotNet.ILCompiler) is not to be had.
# STRATA_PUBLISH=native or =readytorun asks for one of them.
set -euo pipefail
cd "$(dirname "$0")/.."
case $(uname -m) in aarch64) rid=linux-arm64 ;; *) rid=linux-x64 ;; esac
export MSBUILDDISABLENODEREUSE=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
publish() { dotnet publish src/Strata.Cli -c Release -r $rid -v q -o artifacts/dist "$@"; }

# 0: published; 1: no compiler here; anything else that goes wrong is shown and ends this.
publish_native() {
  local log
  command -v gcc >/dev/null || command -v clang >/dev/null || { echo "no C compiler to link with (gcc libc6-dev)" >&2; return 1; }
  log=$(publish -p:PublishAot=true 2>&1) && { printf '%s' "$log"; return 0; }
  # NuGet's errors: a package that no source has, or does not give. Where it is another package, ReadyToRun fails of it too, and says so.
  if grep -oE 'error NU1[0-9]{3}: [^[]*' <<<"$log" | sort -u >&2; then return 1; fi
  printf '%s\n' "$log" >&2
  exit 1
}

case ${STRATA_PUBLISH:-} in
  native) publish_native ;;
  readytorun) publish ;;
  '') publish_native || { echo "publish.sh: ReadyToRun instead of machine code: each start takes 18 ms more" >&2; publish; } ;;
  *) echo "publish.sh: STRATA_PUBLISH is '$STRATA_PUBLISH'; native and readytorun are known" >&2; exit 2 ;;
esac
mkdir -p dist
install -m 755 artifacts/dist/strata dist/.strata.new && mv dist/.strata.new dist/strata
