#!/usr/bin/env bash
# Builds stand-ins for the public base images from Debian packages and this machine's Go, as localhost/slipway/debian, golang and glab:
# the tools image can then be built, and its jobs run, where no registry is reached. What exists for the same packages and Go is kept.
# Usage: tools/stand-in/build.sh, as root or as a user with subordinate ids; needs apt-get, buildah.
set -euo pipefail
cd "$(dirname "$0")"

packages=(base-files base-passwd bash coreutils dash debianutils diffutils findutils grep gzip hostname libc-bin mawk passwd perl-base sed tar util-linux
  ca-certificates curl git jq openssh-client g++ gcc libc6-dev make pkg-config runc uidmap)
goroot=$(go env GOROOT)
key=$( (cat Dockerfile && echo "${packages[@]}" && go version) | sha256sum | cut -c1-16)
[ "$(buildah images --quiet --filter "label=dev.slipway.stand-in=$key" | sort -u | wc -l)" -lt 3 ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/archives/partial" "$work/debian/etc/ssl/certs"
# All packages that these need on an empty system, whatever is installed here.
apt-get install --yes -qq --no-install-recommends --download-only -o Dir::State::status=/dev/null -o Dir::Cache::archives="$work/archives" \
  -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User= -o Debug::NoLocking=true "${packages[@]}" >"$work/apt.log" || { cat "$work/apt.log" >&2; exit 1; }
for folder in bin sbin lib lib64; do
  mkdir -p "$work/debian/usr/$folder"
  ln -s "usr/$folder" "$work/debian/$folder"
done
for package in "$work"/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$package" |
    tar --extract --keep-directory-symlink --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' --directory "$work/debian"
done
# A proxy that this machine trusts is trusted there, too.
cp /etc/ssl/certs/ca-certificates.crt "$work/debian/etc/ssl/certs/"

# glab needs a GitLab, and is no Go module that can be fetched by name.
mkdir -p "$work/glab/usr/bin"
printf '#!/bin/sh\necho "STAND-IN for glab: $*"\n' >"$work/glab/usr/bin/glab"
chmod 755 "$work/glab/usr/bin/glab"

for image in debian golang; do
  buildah build --quiet --layers --isolation chroot --network host --timestamp 0 --label "dev.slipway.stand-in=$key" --file Dockerfile --target "$image" \
    --build-context "debian=$work/debian" --build-context "go=$goroot" --tag "localhost/slipway/$image" "$work/glab" >/dev/null
done
printf 'FROM scratch\nCOPY . /\n' >"$work/glab.Dockerfile"
buildah build --quiet --timestamp 0 --label "dev.slipway.stand-in=$key" --file "$work/glab.Dockerfile" --tag localhost/slipway/glab "$work/glab" >/dev/null
