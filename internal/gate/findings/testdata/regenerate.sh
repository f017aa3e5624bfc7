#!/bin/sh
# Makes the fixtures of this directory anew, after a scanner has been updated. Wants gosec, govulncheck, golangci-lint,
# gitleaks, git and go on PATH, and the module cache filled (go mod download in vulnerable/).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/vulnerable" "$work/broken" "$work/clean" "$work/leak"
cp -R "$here/vulnerable/." "$work/vulnerable"
cp -R "$here/vulnerable/." "$work/broken"
echo 'package main; func x( {' >"$work/broken/broken.go"
printf 'module example.com/clean\n\ngo 1.26\n' >"$work/clean/go.mod"
printf 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("clean") }\n' >"$work/clean/main.go"
for dir in vulnerable broken clean; do git -C "$work/$dir" init --quiet; done

# The scanners' exit codes say that there are findings, which is the point.
scan() {
  dir=$1
  shift
  (cd "$work/$dir" && "$@") || true
}

scan vulnerable gosec -track-suppressions -fmt json -out "$here/gosec/red.json" ./...
scan broken gosec -track-suppressions -fmt json -out "$here/gosec/incomplete.json" ./...
scan clean gosec -track-suppressions -fmt json -out "$here/gosec/green.json" ./...

scan vulnerable golangci-lint run --no-config --output.json.path "$here/golangci/red.json" ./...
scan broken golangci-lint run --no-config --output.json.path "$here/golangci/typecheck.json" ./...
scan clean golangci-lint run --no-config --output.json.path "$here/golangci/green.json" ./...

scan vulnerable govulncheck -db "file://$here/vulndb" -format json ./... >"$here/govulncheck/red.json"
mkdir -p "$work/nothing/index"
echo '{"modified":"2026-01-02T00:00:00Z"}' >"$work/nothing/index/db.json"
echo '[]' >"$work/nothing/index/modules.json"
scan clean govulncheck -db "file://$work/nothing" -format json ./... >"$here/govulncheck/green.json"
scan broken govulncheck -db "file://$here/vulndb" -format json ./... >"$here/govulncheck/incomplete.json"
# A mirror out of reach leaves an empty report, and a log. What Go's own database leaves (unreachable.json, and query.json for one entry)
# takes a machine without a network, and is kept as it was once written there.
scan clean govulncheck -db https://vuln.invalid -format json ./... 2>"$here/govulncheck/mirror.log"

(
  cd "$work/leak"
  git init --quiet
  git config user.name Dev
  git config user.email dev@example.com
  echo 'package main' >main.go
  git add main.go
  git commit --quiet --message 'First'
  # Made up on the spot, so that no file of this repository has a key in it.
  key=$(LC_ALL=C tr -dc 'A-Z2-7' </dev/urandom | head -c 16)
  printf 'package main\n\nconst key = "AKIA%s"\n' "$key" >main.go
  git commit --quiet --all --message 'Add a key'
  gitleaks git --no-banner --redact=100 --exit-code 0 --report-format json --report-path "$here/gitleaks/red.json" . 2>/dev/null
)

# The fixtures tell of the directory that GitLab would have used, and of nobody's machine.
find "$here" \( -name '*.json' -o -name '*.log' \) -exec sed -i \
  -e "s#file://$work/nothing#file:///srv/emptydb#" -e "s#file://$here/vulndb#file:///srv/vulndb#" \
  -e "s#$work/[a-z]*#/builds/acme/vulnerable#g" {} +
