#!/usr/bin/env bash
# For the executable as ReadyToRun: adds to eng/AheadOfTime/methods.txt the generic methods that it still compiles while it runs, found by running the commands whose start counts.
# After a change of much code: STRATA_PUBLISH=readytorun eng/publish.sh, this, and that again. Needs root; works in a folder of its own and on 127.0.0.1.
set -euo pipefail
cd "$(dirname "$0")/.."
strata=$PWD/dist/strata list=$PWD/eng/AheadOfTime/methods.txt addr=127.0.0.1:5597
work=$(mktemp -d); export STRATA_ROOT=$work/store
"$strata" --root "$work/registry" registry serve --addr $addr --access-log none >/dev/null & server=$!
trap 'kill $server; wait $server || true; "$strata" rm -f c1 >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
t() { # ARGS...: runs a command and keeps the names of what it compiled
  DOTNET_JitStdOutFile=$work/one DOTNET_JitDisasmSummary=1 "$strata" "$@" >/dev/null 2>&1 || true
  cat "$work/one" >>"$work/all" && echo >>"$work/all"; rm -f "$work/one"
}
mkdir -p "$work/ctx/root/bin"; cp /bin/busybox "$work/ctx/root/bin/"; ln -s busybox "$work/ctx/root/bin/sh"; seq 100 >"$work/ctx/a.txt"
printf 'FROM scratch\nCOPY root /\n' >"$work/ctx/Dockerfile.base"
printf 'FROM %s/base AS a\nRUN echo 1 >/1\nFROM %s/base\nENV A=1\nWORKDIR /w\nCOPY a.txt .\nCOPY --from=a /1 /1\nRUN echo 2 >two\nLABEL l=1\nCMD ["sh"]\n' $addr $addr >"$work/ctx/Dockerfile"
t build -t $addr/base -f "$work/ctx/Dockerfile.base" "$work/ctx"; t push $addr/base; t rmi $addr/base; t pull $addr/base
t build -t $addr/app "$work/ctx"; t build -t $addr/app "$work/ctx"; t push $addr/app; t tags $addr/app; t manifest inspect $addr/app; t search --registry $addr a
t copy $addr/app $addr/app:2; t images; t history $addr/app; t inspect $addr/app; t layers $addr/app; t analyze $addr/app; t where $addr/app /1
for network in none host bridge; do t run --rm --network $network $addr/app sh -c true; done
t run --name c1 --network none $addr/app sh -c 'echo 1 >/f'; t ps -a; t diff c1; t commit c1 $addr/c; t logs c1; t start c1; t rm c1
t save -o "$work/app.tar" $addr/app; t rmi -f $addr/app; t load -i "$work/app.tar"; t system df; t system check; t system prune -f
# What shares its code with all reference types; the frames of asynchronous methods are found without a list.
sed -n 's/^ *[0-9]*: JIT compiled //; s/ \[\(Tier\|FullOpts\|Instr\).*//p' "$work/all" | sed 's/(.*//' | grep '\[' | grep -v 'AsyncStateMachineBox\|PrivateImplementationDetails' >"$work/new" || true
LC_ALL=C sort -u "$list" "$work/new" >"$work/merged"
echo "$(($(wc -l <"$work/merged") - $(wc -l <"$list"))) methods more than before, $(grep -c 'JIT compiled' "$work/all") compiled in all"
cp "$work/merged" "$list"
