#!/usr/bin/env bash
# peers.sh [workload ...] - run the workloads on every peer, interleaved, and append samples to $RES.
#   PEERS="docker podman ..."   which peers (files peers/*.sh)      REPS=n  override the repetitions
# workloads (plus `down`, which stops everything): idle pull pushes saveload run par list list100 commit copyup build phys registry (default: all)
# A sample: time workload peer rep wall_s client_rss_kb client_cpu_s daemon_rss_kb daemon_cpu_s rc load
# daemon_rss = sum of VmHWM (peak RSS, reset before the sample) of P_pids; daemon_cpu likewise.
# Add a tool: write peers/NAME.sh with NAME_up, NAME_pids, NAME_store and any of the operations found in
# peers/docker.sh; each operation only sets CMD=(...). Missing operations are skipped.
# crun refuses cgroup "hybrid" mode: work in a private mount namespace without the v2 hierarchy
if grep -qs . /sys/fs/cgroup/unified/cgroup.controllers && [ -z "${BENCH_NS:-}" ]; then
  exec env BENCH_NS=1 unshare -m sh -c 'umount /sys/fs/cgroup/unified; exec bash "$0" "$@"' "$0" "$@"; fi
set -uo pipefail; . "$(dirname "$0")/env.sh"; for f in "$HERE"/peers/*.sh; do . "$f"; done
PEERS=${PEERS:-"limit strata docker buildkit podman buildah ctr skopeo"}
has() { declare -F "$1_$2" >/dev/null; }
cpu() { local s=0 p f; for p in "$@"; do f=$(cut -d')' -f2- "/proc/$p/stat" 2>/dev/null) || continue
  set -- $f; s=$((s + ${12} + ${13} + ${14} + ${15})); done; echo $s; }            # utime+stime+children, ticks
hwm() { local s=0 p; for p in "$@"; do s=$((s + $(awk '/^VmHWM/{print $2}' "/proc/$p/status" 2>/dev/null || echo 0))); done; echo $s; }

# m WORKLOAD PEER REP : time CMD once
m() { local w=$1 p=$2 r=$3 pids d c0 t0 t1 rc t; pids=$("${p}_pids" 2>/dev/null)
  for d in $pids; do echo 5 >"/proc/$d/clear_refs" 2>/dev/null; done
  [ -n "${SYNC:-}" ] && sync -f "$BENCH_DIR"
  c0=$(cpu $pids); t0=$EPOCHREALTIME
  /usr/bin/time -q -o "$RUN/t" -f '%M %U %S' "${CMD[@]}" >"$RUN/out" 2>"$RUN/err" </dev/null; rc=$?
  t1=$EPOCHREALTIME; t=$(tail -1 "$RUN/t")
  [ $rc = 0 ] || { local a="${CMD[*]}"; log "rc=$rc $w $p: ${a::160}: $(tail -c 300 "$RUN/err")"; }
  set -- $t
  printf '%s\t%s\t%s\t%s\t%.4f\t%s\t%.2f\t%s\t%.2f\t%s\t%s\n' "$(date +%s)" "$w" "$p" "$r" \
    "$(calc "$t1-$t0")" "$1" "$(calc "$2+$3")" "$(hwm $pids)" "$(calc "($(cpu $pids)-$c0)/100")" $rc "$(cut -d' ' -f1 /proc/loadavg)" >>"$RES"; }
calc() { awk "BEGIN{print $1}"; }
val() { printf '%s\t%s\t%s\t%s\t%s\t0\t0\t0\t0\t0\t0\n' "$(date +%s)" "$1" "$2" 0 "$3" >>"$RES"; }   # a plain value
q() { "${CMD[@]}" >"$RUN/out" 2>"$RUN/err" </dev/null || { local a="${CMD[*]}"; log "failed: ${a::160}: $(tail -c 300 "$RUN/err")"; return 1; }; }
# op PEER OP ARGS.. : unmeasured;   t WORKLOAD PEER REP OP ARGS.. : measured; both skip what a peer lacks
op() { local p=$1 o=$2; shift 2; has "$p" "$o" || return 0; "${p}_$o" "$@"; q; }
t() { local w=$1 p=$2 r=$3 o=$4; shift 4; has "$p" "$o" || return 0; "${p}_$o" "$@"; m "$w" "$p" "$r"; }
ensure() { local i; for i in "${@:2}"; do op "$1" pull "$(ref "$i")"; done; }
each() { local o=$1 p; for p in $PEERS; do has "$p" "$o" && echo "$p"; done; }     # peers that can do o
calib() { CMD=(sha256sum "$FIX/tar/bigfiles.tar"); m _calib host "$1"; }           # noise probe: fixed work
used() { du -s --block-size=1K $("$1_store") 2>/dev/null | awk '{s+=$1}END{print s}'; }

w_idle() { local p pids; for p in $(each down); do "${p}_down"; "${p}_up"; sleep 5
    pids=$("${p}_pids"); val idle.rss_kb "$p" "$(for d in $pids; do awk '/^VmRSS/{print $2}' /proc/"$d"/status; done | paste -sd+ | bc)"; done; }
w_pull() { local i p r; for p in $(each pull); do for i in $IMAGES; do has "$p" rmi && { "${p}_rmi" "$(ref "$i")"; "${CMD[@]}" >/dev/null 2>&1; }; done; done  # images share layers
  for i in $IMAGES; do for r in $(seq "${REPS:-3}"); do calib "$r"; for p in $(each pull); do
    case $p in buildkit|buildah) continue;; esac
    local d0; d0=$(used "$p"); SYNC=1 t "pull.$i" "$p" "$r" pull "$(ref "$i")"
    [ "$r" = 1 ] && { sync -f "$BENCH_DIR"; val "disk_kb.$i" "$p" $(($(used "$p") - d0)); }
    SYNC=1 t "rmi.$i" "$p" "$r" rmi "$(ref "$i")"; done; done; done; }
w_pushes() { local i p r d; for i in base smallfiles bigfiles; do for r in $(seq "${REPS:-3}"); do for p in $(each push); do ensure "$p" "$i"
    stop pushreg; rm -rf "$BENCH_DIR/pushreg"; registry pushreg "$PUSHREG" "$BENCH_DIR/pushreg"
    d=$PUSHREG/$NS/$i:$p$r; op "$p" tag "$(ref "$i")" "$d"; SYNC=1 t "push.$i" "$p" "$r" push "$(ref "$i")" "$d"; op "$p" rmi "$d"; done; done; done; stop pushreg; }
w_saveload() { local i p r f=$RUN/save.tar; for i in base smallfiles bigfiles; do for r in $(seq "${REPS:-3}"); do
    for p in $(each save); do ensure "$p" "$i"; rm -f "$f"; SYNC=1 t "save.$i" "$p" "$r" save "$(ref "$i")" "$f"; done
    for p in $(each load); do op "$p" rmi "$(ref "$i")"; rm -rf "$L/load"; SYNC=1 t "load.$i" "$p" "$r" load "$FIX/tar/$i.tar"; rm -rf "$L/load"; ensure "$p" "$i"; done; done; done; rm -f "$f"; }
w_unpack() { local i z p r f; for i in smallfiles base; do z=$(ls -S "$FIX/oci/$i"/blobs/sha256/* | head -1); cp "$z" "$RUN/layer.gz"; igzip -dc "$z" >"$RUN/layer.tar"
    for r in $(seq "${REPS:-7}"); do calib "$r"; for f in gz tar; do for p in $(each unpack); do   # one layer into an empty folder, no store
      rm -rf "$RUN/unpack"; sync -f "$BENCH_DIR"; t "unpack.$i.$f" "$p" "$r" unpack "$RUN/layer.$f" "$RUN/unpack"; done; done; done; rm -rf "$RUN/unpack" "$RUN"/layer.*; done; }
w_run() { local p r i; for p in $PEERS; do ensure "$p" hello base manylayers; done; for r in $(seq "${REPS:-15}"); do calib "$r"; for p in $PEERS; do
    t run.hello "$p" "$r" run "$(ref hello)" "h$r" true; t run0.hello "$p" "$r" run0 "$(ref hello)" "h$r" true
    [ "$r" -gt 7 ] && continue;
    t run.base "$p" "$r" run "$(ref base)" "b$r" true; has "$p" run && t run.manylayers "$p" "$r" run "$(ref manylayers)" "m$r" true; done; done; }
w_par() { local p r i s; for p in $PEERS; do ensure "$p" hello; done; for r in $(seq "${REPS:-5}"); do for o in run run0; do for p in $(each $o); do s=
    for i in $(seq 20); do "${p}_$o" "$(ref hello)" "p$r$o$i" true; s+="$(printf '%q ' "${CMD[@]}") & "; done
    CMD=(bash -c "f=0; $s for j in \$(jobs -p); do wait \$j || f=1; done; exit \$f"); m "par20.$o" "$p" "$r"; done; done; done; }
w_list() { local p r o s=${1:-}; for p in $PEERS; do ensure "$p" $IMAGES; done; for r in $(seq "${REPS:-11}"); do for p in $PEERS; do
    t "images$s" "$p" "$r" images; [ -n "$s" ] && continue
    t inspect "$p" "$r" inspect "$(ref manylayers)"; t history "$p" "$r" history "$(ref manylayers)"; done; done; }
w_list100() { local p i; for p in $(each images); do for i in $(seq 0 99); do op "$p" pull "$REG/$NS/tiny:$i"; done; done; w_list .100
    for p in $(each images); do for i in $(seq 0 99); do op "$p" rmi "$REG/$NS/tiny:$i"; done; done; }
w_commit() { local p r n k; for r in $(seq "${REPS:-5}"); do for k in 1 1000; do for p in $(each commit); do ensure "$p" base; n=cm$k.$r
    op "$p" rm $n 2>/dev/null; op "$p" create "$(ref base)" $n sh -c "mkdir /n; for i in \$(seq $k); do head -c 3000 /bin/bash >/n/\$i; done"
    t "diff.$k" "$p" "$r" diff $n; SYNC=1 t "commit.$k" "$p" "$r" commit $n "localhost/cm:$k"; op "$p" rm $n; op "$p" rmi "localhost/cm:$k"; done; done; done; }
w_copyup() { local p r b=data/l0/big0; for p in $PEERS; do ensure "$p" bigfiles; done; for r in $(seq "${REPS:-5}"); do for p in $PEERS; do local o=run; has "$p" run || o=run0
    SYNC=1 t copyup.write200M "$p" "$r" $o "$(ref bigfiles)" cu sh -c "echo x >>/$b"
    SYNC=1 t copyup.chmod200M "$p" "$r" $o "$(ref bigfiles)" cu chmod 600 "/$b"
    t copyup.none "$p" "$r" $o "$(ref bigfiles)" cu true; done; done; }
w_build() { local p r c C=$FIX/ctx d0; for p in $(each build); do ensure "$p" base; done
  for r in $(seq "${REPS:-3}"); do calib "$r"; for p in $(each build); do
    for c in dd2 dd1 stages src20k; do op "$p" prune; d0=$(used "$p"); SYNC=1 t "build.$c" "$p" "$r" build "$C/$c" "localhost/out:$c" --no-cache
      [ "$r" = 1 ] && { sync -f "$BENCH_DIR"; val "disk_kb.build.$c" "$p" $(($(used "$p") - d0)); }; done
    t build.src20k.cached "$p" "$r" build "$C/src20k" "localhost/out:src20k" ''
    echo "// $p $r $EPOCHREALTIME" >>"$C/src20k/src/m5/p5/f5.js"; SYNC=1 t build.src20k.edit1 "$p" "$r" build "$C/src20k" "localhost/out:src20k" ''
    SYNC=1 t build.ten "$p" "$r" build "$C/ten" localhost/out:ten --no-cache; op "$p" build "$C/ten" localhost/out:ten ''
    t build.ten.cached "$p" "$r" build "$C/ten" localhost/out:ten ''
    for c in dd2 dd1 stages src20k ten; do op "$p" rmi "localhost/out:$c"; done; op "$p" prune; done
  # the floor: copy the context into an upper dir and hash it / 50 MB of zeroes through page cache / crun twice
  rm -rf "$RUN/cp"; CMD=(cp -r "$C/src20k/src" "$RUN/cp"); SYNC=1 m build.src20k limit "$r"; rm -rf "$RUN/cp"
  CMD=(sh -c "find $C/src20k/src -type f -print0 | xargs -0 stat -c %Y%s >/dev/null"); m build.src20k.cached limit "$r"; m build.src20k.edit1 limit "$r"
  ensure limit base; limit_run "$(ref base)" bd$r dd if=/dev/zero of=/home/50M.file bs=1M count=50
  SYNC=1 m build.dd1 limit "$r"; rm -rf "$RUN"/ovl.bd*; CMD=(sleep 2); m build.stages limit "$r"; done; }
w_phys() { local r i z d=$RUN/x; for i in smallfiles bigfiles base; do
    z=$(cd "$FIX/oci/$i/blobs/sha256" && ls -S | head -1); z=$FIX/oci/$i/blobs/sha256/$z; igzip -dc "$z" >"$RUN/$i.tar"; zstd -q -f -3 -T0 "$RUN/$i.tar" -o "$RUN/$i.zst"
    val phys.$i.tar_kb host $(($(stat -c %s "$RUN/$i.tar") / 1024)); val phys.$i.gz_kb host $(($(stat -c %s "$z") / 1024)); val phys.$i.zst_kb host $(($(stat -c %s "$RUN/$i.zst") / 1024))
    for r in $(seq "${REPS:-5}"); do
      CMD=(gunzip -c "$z"); m phys.$i.gunzip host $r; CMD=(pigz -dc "$z"); m phys.$i.pigz-d host $r; CMD=(igzip -dc "$z"); m phys.$i.igzip-d host $r
      CMD=(libdeflate-gunzip -c "$z"); m phys.$i.libdeflate-d host $r; CMD=(zstd -dqc "$RUN/$i.zst"); m phys.$i.zstd-d host $r
      CMD=(sha256sum "$RUN/$i.tar"); m phys.$i.sha256 host $r; CMD=(openssl dgst -sha256 "$RUN/$i.tar"); m phys.$i.sha256-openssl host $r
      CMD=(gzip -6c "$RUN/$i.tar"); [ $r -lt 3 ] && m phys.$i.gzip-6 host $r; CMD=(pigz -6c "$RUN/$i.tar"); [ $r -lt 3 ] && m phys.$i.pigz-6 host $r
      CMD=(igzip -1c "$RUN/$i.tar"); m phys.$i.igzip-1 host $r; CMD=(zstd -3 -T0 -qc "$RUN/$i.tar"); m phys.$i.zstd-3 host $r
      rm -rf "$d"; mkdir "$d"; CMD=(tar xf "$RUN/$i.tar" -C "$d"); SYNC=1 m phys.$i.tar-x host $r
      rm -rf "$d.2"; CMD=(cp -r "$d" "$d.2"); SYNC=1 m phys.$i.cp-r host $r; CMD=(sync -f "$d.2"); m phys.$i.sync-after-cp host $r
      CMD=(tar cf /dev/null -C "$d" .); CMD=(sh -c "tar cf - -C $d . | cat >/dev/null"); m phys.$i.tar-c host $r
      CMD=(sh -c "find $d | wc -l"); m phys.$i.find host $r; CMD=(rm -rf "$d.2"); m phys.$i.rm-rf host $r; done; rm -rf "$d" "$d.2" "$RUN/$i.zst"; done; }
w_down() { local p; for p in $(each down); do "${p}_down"; done; stop reg; stop pushreg; stop srv; ip link del bnch0 2>/dev/null; }
. "$HERE/regbench.sh"

W=${*:-idle phys pull pushes saveload run par list list100 commit copyup build registry}
[ "$W" = down ] || registry reg "$REG" "$BENCH_DIR/registry"; touch "$RES"
[ "$W" = down ] || for p in $PEERS; do "${p}_up" || log "up failed: $p"; done
for w in $W; do log "== $w"; [ -n "${BENCH_RAM:-}" ] && fstrim "$BENCH_DIR" 2>/dev/null; "w_$w"; done   # fstrim: give freed RAM back
