# strata: no daemon; the published executable with a store of its own.
STRATA=${STRATA:-$(cd "$HERE/../.." && pwd)/dist/strata}; ST="$STRATA --root $BENCH_DIR/strata"
strata_up()      { [ -x "$STRATA" ] || { log "$STRATA is missing: eng/publish.sh"; return 1; }; $ST info >/dev/null; }
strata_pids()    { :; }
strata_store()   { echo "$BENCH_DIR/strata"; }
strata_pull()    { CMD=($ST pull -q "$1"); }
strata_tag()     { CMD=($ST tag "$1" "$2"); }
strata_push()    { CMD=($ST push -q "$2"); }
strata_rmi()     { CMD=($ST rmi -f "$1"); }
strata_save()    { CMD=($ST save -o "$2" "$1"); }
strata_load()    { CMD=($ST load -q -i "$1"); }
strata_run()     { local r=$1; shift 2; CMD=($ST run --rm "$r" "$@"); }
strata_run0()    { local r=$1; shift 2; CMD=($ST run --rm --network none "$r" "$@"); }
strata_create()  { local r=$1 n=$2; shift 2; CMD=($ST run --network none --name "$n" "$r" "$@"); }
strata_rm()      { CMD=($ST rm -f "$1"); }
strata_diff()    { CMD=($ST diff "$1"); }
strata_commit()  { CMD=($ST commit -q "$1" "$2"); }
strata_images()  { CMD=($ST images -a); }
strata_inspect() { CMD=($ST inspect "$1"); }
strata_history() { CMD=($ST history "$1"); }
strata_build()   { CMD=($ST build -q --network none $3 -t "$2" "$1"); }
strata_prune()   { CMD=($ST system prune -f); }
strata_unpack()  { CMD=($ST layer unpack "$1" "$2"); }
