# The orders service as an image of one static binary. Built by any Dockerfile builder; see ci/image.yml.
ARG GO_IMAGE=docker.io/library/golang:1.27.4-bookworm

# Go compiles for the image's platform on the builder's own: an emulated compiler takes many times as long.
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
WORKDIR /src/service
COPY service/go.mod service/go.sum ./
# The image job passes on what the runner has.
ARG GOPROXY
ARG GONOPROXY
ARG GOSUMDB
ARG GONOSUMDB
ARG GOPRIVATE
RUN go mod download
COPY service ./
ARG PACKAGE=./cmd/orders
ARG VERSION=dev
ARG COMMIT=unknown
ARG TARGETOS
ARG TARGETARCH
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT}" \
      -o /out/ "${PACKAGE}" \
    && mkdir -p /out/etc/ssl/certs /data \
    && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/

FROM scratch
COPY --from=build /out/ /
# Without a setting the service keeps its data in the working folder, which its user must be able to write to.
COPY --from=build --chown=65532:65532 /data /data
WORKDIR /data
# nonroot, by number: Kubernetes can only check a number against runAsNonRoot.
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/orders"]
