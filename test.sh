#!/usr/bin/env bash
# test.sh [unit|integration] [runner options]: installs what the tests need, builds, runs them. Without a word: everything.
# Ends with one line: N passed, N failed, N skipped. Options after the word go to the test runner, e.g. -class '*TarReaderTests'.
set -uo pipefail
cd "$(dirname "$0")"
part=${1:-all}; [ $# -gt 0 ] && shift
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 MSBUILDDISABLENODEREUSE=1

. eng/packages.sh
case $part in
  unit) ;;
  all|integration) install_packages "${build_packages[@]}" "${runtime_packages[@]}" "${test_packages[@]}" || exit 1 ;;
  *) echo "usage: ./test.sh [unit|integration] [runner options]" >&2; exit 2 ;;
esac

projects=()
[ "$part" = integration ] || projects+=(Strata.Tests)
[ "$part" = unit ] || projects+=(Strata.IntegrationTests)
if [ "$part" = unit ]; then
  dotnet build tests/Strata.Tests -c Release -v q || exit 1
else
  dotnet build strata.slnx -c Release -v q || exit 1
  eng/publish.sh || exit 1
  export STRATA_BIN=$PWD/dist/strata
fi

passed=0 failed=0 skipped=0 log=$(mktemp)
trap 'rm -f "$log"' EXIT
for project in "${projects[@]}"; do
  echo "== $project"
  "artifacts/bin/$project/release/$project" -noColor "$@" 2>&1 | tee "$log"
  code=${PIPESTATUS[0]}
  # xunit's closing line: Total: 12, Errors: 0, Failed: 0, Skipped: 0, Not Run: 0, Time: 0.1s
  read -r total errors bad skip <<<"$(sed -nE 's/.*Total: ([0-9]+), Errors: ([0-9]+), Failed: ([0-9]+), Skipped: ([0-9]+).*/\1 \2 \3 \4/p' "$log" | tail -n 1)"
  if [ -z "${total:-}" ]; then echo "$project ended with $code and no summary"; failed=$((failed + 1)); continue; fi
  failed=$((failed + bad + errors)); skipped=$((skipped + skip)); passed=$((passed + total - bad - skip))
  [ "$code" = 0 ] || [ $((bad + errors)) -gt 0 ] || failed=$((failed + 1))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
