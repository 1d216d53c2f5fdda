# Sourced: what Strata and its tests use from Debian, and how it is installed.
# shellcheck shell=bash
# What links the executable; without them it is ReadyToRun.
build_packages=(gcc libc6-dev)
runtime_packages=(crun conmon netavark aardvark-dns iptables catatonit mmdebstrap ca-certificates libzstd1 libisal2 uidmap passt)
test_packages=(slirp4netns busybox-static containerd curl docker-registry iproute2 strace e2fsprogs podman skopeo buildah umoci docker.io zstd xz-utils attr libarchive-tools util-linux bsdutils faketime python3-minimal libpython3-stdlib)

# install_packages NAME...: those that are missing; services that come with them are not started.
install_packages() {
  local missing=() package
  for package in "$@"; do dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package"); done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "$(id -u)" != 0 ]; then echo "missing Debian packages: ${missing[*]} (run as root, or: sudo apt-get install ${missing[*]})" >&2; return 1; fi
  local policy=/usr/sbin/policy-rc.d made=
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && made=1; }
  echo "installing: ${missing[*]}"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  local code=$?
  [ -z "$made" ] || rm -f $policy
  return $code
}
