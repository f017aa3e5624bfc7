# A stand-in for moby/buildkit:rootless, for machines that reach no registry: the programs of that release from their Go modules, on Debian's
# runc and uidmap, with the same user and folders.
FROM localhost/slipway/golang AS buildkit-tools
ENV CGO_ENABLED=0 GOTOOLCHAIN=auto GOFLAGS="-buildvcs=false -trimpath -modcacherw"
WORKDIR /src
COPY tools/buildkit ./
RUN --mount=type=cache,id=go-build,target=/root/.cache/go-build --mount=type=cache,id=go-mod,target=/go/pkg/mod \
    go build -ldflags "-s -w" -o /out/ tool && cp "$(go list -m -f '{{.Dir}}' github.com/moby/buildkit)/examples/buildctl-daemonless/buildctl-daemonless.sh" /out/ \
    && chmod 755 /out/*

FROM localhost/slipway/debian AS buildkit
COPY --from=buildkit-tools /out/ /usr/local/bin/
RUN echo 'user:x:1000:1000::/home/user:/bin/sh' >>/etc/passwd && echo 'user:x:1000:' >>/etc/group && echo user:100000:65536 >/etc/subuid && echo user:100000:65536 >/etc/subgid \
    && mkdir -p /run/user/1000 /home/user/.local/tmp /home/user/.local/share/buildkit && chown -R 1000:1000 /run/user/1000 /home/user && chmod 4755 /usr/bin/newuidmap /usr/bin/newgidmap
USER 1000:1000
ENV USER=user HOME=/home/user XDG_RUNTIME_DIR=/run/user/1000 TMPDIR=/home/user/.local/tmp BUILDKIT_HOST=unix:///run/user/1000/buildkit/buildkitd.sock
