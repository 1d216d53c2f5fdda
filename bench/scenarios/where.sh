#!/usr/bin/env bash
# where.sh - where a peer spends its time: processes started, locks and syncs of one `run`, one `pull`, and a
# flat CPU profile (perf, cpu-clock) of one `pull smallfiles`. usage: PEERS="docker podman" ./where.sh
if grep -qs . /sys/fs/cgroup/unified/cgroup.controllers && [ -z "${BENCH_NS:-}" ]; then
  exec env BENCH_NS=1 unshare -m sh -c 'umount /sys/fs/cgroup/unified; exec bash "$0" "$@"' "$0" "$@"; fi
. "$(dirname "$0")/env.sh"; for f in "$HERE"/peers/*.sh; do . "$f"; done
PEERS=${PEERS:-"limit strata docker podman ctr"}; T=$RUN/strace; SY=execve,fsync,fdatasync,syncfs,sync,flock,mount,umount2,clone,clone3,fork,vfork
trace() { # trace PEER TITLE: strace CMD together with the peer's daemons
  local p=$1 a=() d pid; for d in $("${p}_pids"); do a+=(-p "$d"); done
  if [ ${#a[@]} -gt 0 ]; then strace -f -qq -e trace=$SY -o "$T.d" "${a[@]}" 2>/dev/null & pid=$!; sleep 1; else : >"$T.d"; pid=; fi
  strace -f -qq -e trace=$SY -o "$T.c" "${CMD[@]}" >/dev/null 2>&1; [ -n "$pid" ] && { sleep 1; kill -INT $pid; wait $pid 2>/dev/null; }
  echo "-- $2 $p"; cat "$T.c" "$T.d" | grep -v -e ENOENT -e resumed -e '---' -e '+++' | sed 's/^[0-9]* *//' | awk -F'(' '
    $1=="execve"{split($2,a,"\""); n=split(a[2],b,"/"); ex[b[n]]++; e++; next} /CLONE_THREAD/{t++; next} {c[$1]++}
    END{printf "   execs %d (", e; for(x in ex) printf "%s x%d ", x, ex[x]; printf ")\n  "; for(x in c) printf " %s=%d", x, c[x]; printf " threads=%d\n", t}'; }
for p in $PEERS; do "${p}_up"
  "${p}_pull" "$(ref hello)"; "${CMD[@]}" >/dev/null 2>&1
  for o in run run0; do declare -F "${p}_$o" >/dev/null && { "${p}_$o" "$(ref hello)" "w$o" true; trace "$p" "$o hello"; }; done
  "${p}_rmi" "$(ref base)"; "${CMD[@]}" >/dev/null 2>&1; "${p}_rmi" "$(ref manylayers)"; "${CMD[@]}" >/dev/null 2>&1
  "${p}_pull" "$(ref base)"; trace "$p" "pull base"
  "${p}_rmi" "$(ref smallfiles)"; "${CMD[@]}" >/dev/null 2>&1; "${p}_pull" "$(ref smallfiles)"
  echo "-- perf: pull smallfiles $p"; perf record -q -a -F 199 -e cpu-clock -o "$RUN/perf.data" -- "${CMD[@]}" >/dev/null 2>&1
  perf report -i "$RUN/perf.data" --sort comm,dso,sym --stdio -q 2>/dev/null | grep -E 'dockerd|docker|exe|containerd|ctr|podman|igzip|tar|curl|storage-untar' | grep -v registry | head -22
  perf report -i "$RUN/perf.data" --sort comm,dso --stdio -q 2>/dev/null | head -14; done
