#!/usr/bin/env python3
"""report.py [results.tsv] - Markdown tables from the samples that peers.sh appended.
Cell: median wall (xbest peer, xlimit). Ratios are medians of per-repetition (interleaved, hence paired) ratios.
`limit` and `host` are bare tools, not peers. Failed samples (rc != 0) are left out and listed at the end."""
import sys, os, collections, statistics as st
f = sys.argv[1] if len(sys.argv) > 1 else os.environ.get('RES', os.environ.get('BENCH_DIR', '/tmp/bench') + '/results.tsv')
S = collections.defaultdict(lambda: collections.defaultdict(list)); V = collections.defaultdict(lambda: collections.defaultdict(list))
bad, load, calib = collections.Counter(), [], []
for line in open(f):
    c = line.rstrip('\n').split('\t')
    t, w, p, r, wall = c[:5]
    if r == '0': V[w][p].append(c[4]); continue
    if c[9] != '0': bad[w, p] += 1; continue
    if w == '_calib': calib.append(float(wall)); load.append(float(c[10])); continue
    S[w][p].append((int(r), float(wall), int(c[5]) / 1024, float(c[6]) + float(c[8]), int(c[7]) / 1024))
LIM = ('limit', 'host', 'nginx'); REF = ('skopeo',)      # bare tools; peers that do less than the job
order = ['limit', 'host', 'nginx', 'strata', 'docker', 'buildkit', 'podman', 'buildah', 'ctr', 'skopeo', 'distribution']
def peers(d): return [p for p in order if any(p in x for x in d)] + sorted({p for x in d for p in x} - set(order))
def sec(x): return f'{x*1000:.0f} ms' if x < 1 else f'{x:.2f} s'
def ratio(a, b):
    A = collections.defaultdict(list); B = collections.defaultdict(list)
    for x in a: A[x[0]].append(x[1])
    for x in b: B[x[0]].append(x[1])
    k = [st.median(A[r]) / st.median(B[r]) for r in A if r in B]
    return st.median(k) if k else st.median(x[1] for x in a) / st.median(x[1] for x in b)
def table(title, names, cell):
    names = [n for n in names if n in S]
    if not names: return
    ps = peers([S[n] for n in names]); print(f'\n### {title}\n\n| workload | n | ' + ' | '.join(ps) + ' |\n|' + '---|' * (len(ps) + 2))
    for n in names:
        n_ = max(len(v) for v in S[n].values())
        print(f'| {n} | {n_} | ' + ' | '.join(cell(S[n], p) if p in S[n] else '' for p in ps) + ' |')
def wall(d, p):
    m = st.median(x[1] for x in d[p]); real = [q for q in d if q not in LIM + REF] or list(d); out = sec(m)
    if p in LIM: return f'{out} [min {sec(min(x[1] for x in d[p]))}]'
    best = min(real, key=lambda q: st.median(x[1] for x in d[q])); lim = [q for q in LIM if q in d]
    a = '**best**' if p == best else 'ref' if p in REF else f'{ratio(d[p], d[best]):.1f}x'
    return f'{out} ({a}' + (f', {ratio(d[p], d[lim[0]]):.1f}x lim' if lim else '') + f') [min {sec(min(x[1] for x in d[p]))}]'
def cpu(d, p): return f'{st.median(x[3] for x in d[p]):.2f} s'
def rss(d, p): return f'{max(x[2] for x in d[p]):.0f}' + (f' + {max(x[4] for x in d[p]):.0f}' if max(x[4] for x in d[p]) else '')
allw = list(S); grp = lambda *pre: [w for w in allw if w.startswith(pre)]
G = [('pull / rmi', grp('pull.', 'rmi.')), ('push', grp('push.')), ('save / load', grp('save.', 'load.')), ('container start', grp('run', 'par20')),
     ('copy-up', grp('copyup')), ('commit / diff', grp('commit', 'diff')), ('listing', grp('images', 'inspect', 'history')),
     ('build', grp('build')), ('registry server', grp('reg.', 'regload'))]
if calib: print(f'noise: fixed probe (sha256 of 600 MB) median {st.median(calib):.2f} s, min {min(calib):.2f} s, max {max(calib):.2f} s; '
                f'load average median {st.median(load):.1f}, max {max(load):.1f} on {os.cpu_count()} cores')
for t, w in G: table(t + ': wall', w, wall)
for t, w in G: table(t + ': CPU seconds (client + daemon)', w, cpu)
for t, w in G: table(t + ': peak RSS MB (client + daemon)', w, rss)
ph = grp('phys.')
if ph:
    print('\n### physical limits\n\n| image | step | median | min | MB/s of tar at min |\n|---|---|---|---|---|')
    for w in ph:
        _, i, stp = w.split('.', 2); x = [y[1] for y in S[w]['host']]; kb = int(V[f'phys.{i}.tar_kb']['host'][0])
        print(f'| {i} | {stp} | {sec(st.median(x))} | {sec(min(x))} | {kb / 1024 / min(x):.0f} |')
if V:
    print('\n### plain values (disk KB, RSS KB, requests/s, p99)\n'); ps = peers([V[w] for w in V])
    print('| value | ' + ' | '.join(ps) + ' |\n|' + '---|' * (len(ps) + 1))
    def med(x):
        try: return f'{st.median(map(float, x)):.0f}'
        except ValueError: return ' / '.join(x[:3])
    for w in V: print(f'| {w} | ' + ' | '.join(med(V[w][p]) if p in V[w] else '' for p in ps) + ' |')
if bad: print('\nfailed samples:', dict(bad))
