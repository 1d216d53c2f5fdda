#!/usr/bin/env bash
# Publishes the one executable to dist/strata: self-contained, single file, trimmed, compiled ahead.
set -euo pipefail
cd "$(dirname "$0")/.."
case $(uname -m) in aarch64) rid=linux-arm64 ;; *) rid=linux-x64 ;; esac
export MSBUILDDISABLENODEREUSE=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
dotnet publish src/Strata.Cli -c Release -r $rid -v q -o artifacts/dist
mkdir -p dist
install -m 755 artifacts/dist/strata dist/.strata.new && mv dist/.strata.new dist/strata
