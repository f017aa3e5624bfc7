#!/usr/bin/env bash
# Builds the tools image here, as localhost/slipway/tools:TARGET, with this machine's Go caches: tools/image.sh [go|deploy|all|buildkit].
# SLIPWAY_GO_IMAGE, SLIPWAY_DEBIAN_IMAGE and SLIPWAY_GLAB_IMAGE replace the base images; with SLIPWAY_STAND_IN=1 they are built from
# Debian packages and this machine's Go; the target buildkit is a stand-in itself. Needs buildah; as a user also subordinate ids.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-all}

if [ "${SLIPWAY_STAND_IN:-}" = 1 ]; then
  tools/stand-in/build.sh
  : "${SLIPWAY_GO_IMAGE:=localhost/slipway/golang}" "${SLIPWAY_DEBIAN_IMAGE:=localhost/slipway/debian}" "${SLIPWAY_GLAB_IMAGE:=localhost/slipway/glab}"
fi
arguments=(--file tools/Dockerfile --ignorefile tools/Dockerfile.dockerignore)
[ "$target" != buildkit ] || arguments=(--file tools/stand-in/buildkit.Dockerfile --ignorefile tools/Dockerfile.dockerignore)
[ -z "${SLIPWAY_GO_IMAGE:-}" ] || arguments+=(--build-arg "GO_IMAGE=$SLIPWAY_GO_IMAGE")
[ -z "${SLIPWAY_DEBIAN_IMAGE:-}" ] || arguments+=(--build-arg "DEBIAN_IMAGE=$SLIPWAY_DEBIAN_IMAGE")
[ -z "${SLIPWAY_GLAB_IMAGE:-}" ] || arguments+=(--build-arg "GLAB_IMAGE=$SLIPWAY_GLAB_IMAGE")

# Buildah keeps cache mounts by their ids below TMPDIR, in a folder of one of two names: they are this machine's caches. A version that keeps
# them elsewhere compiles everything once.
caches=${XDG_CACHE_HOME:-$HOME/.cache}/slipway/buildah
for folder in buildah-cache "buildah-cache-$(id -u)"; do
  mkdir -p "$caches/$folder"
  ln -sfn "$(go env GOCACHE)" "$caches/$folder/go-build"
  ln -sfn "$(go env GOMODCACHE)" "$caches/$folder/go-mod"
done

# What is tagged stays for the next build, with the layers below it: so the stages that compile have tags, too. Whatever else has one of the
# labels was replaced, and nothing uses it.
declare -A stages=([all]="go-tools kubectl slipway supply-chain" [go]="go-tools kubectl slipway" [deploy]="go-tools kubectl slipway" [buildkit]=buildkit-tools)
build() {
  TMPDIR=$caches buildah build --layers --isolation chroot --network host --timestamp 0 --label dev.slipway.tools= --target "$1" --tag "localhost/slipway/$2" "${arguments[@]}" .
}
begin=$SECONDS
for stage in ${stages[$target]:-}; do build "$stage" "tools-stage:$stage"; done
build "$target" "tools:$target"
for label in dev.slipway.tools dev.slipway.stand-in; do
  buildah images --quiet --filter dangling=true --filter "label=$label" | sort -u | xargs --no-run-if-empty buildah rmi >/dev/null || echo "Some replaced images are in use; the next build removes them." >&2
done
echo "localhost/slipway/tools:$target, after $((SECONDS - begin)) s:"
buildah images --format '{{.Size}} uncompressed' "localhost/slipway/tools:$target"
