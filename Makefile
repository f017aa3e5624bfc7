# The commands a person types; `make help` lists them. What they do is in the commands that they call.

# Machines whose default toolchain is "local" get the one that go.mod asks for.
export GOTOOLCHAIN := go1.27.4

cache    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/slipway
bin      := $(cache)/bin
slipway  := $(bin)/slipway
platform := $(bin)/platform
# The pipeline's jobs find slipway and platform here.
export PATH := $(bin):$(PATH)

# Go's test cache does not see files outside of a module: those that the service's tests read are in a variable that they read, too.
outside := $(firstword $(shell find Dockerfile k8s -type f | LC_ALL=C sort | xargs cat | sha256sum))

# Who changes branches on a machine may deploy an older commit. Jobs run on this machine, with its tools and caches; they build images and start servers, which the sandbox would not let them.
run := $(slipway) run --event push --branch main --executor shell --no-sandbox \
	--var SLIPWAY_TEST_CACHE=true --var SLIPWAY_SCAN_CACHE=true --var OUTSIDE_FILES=$(outside) --var ALLOW_OLDER=true --var SLIPWAY_REQUIRE_POSTGRES=1 --var SLIPWAY_REQUIRE_CHROMIUM=1 --var SLIPWAY_REQUIRE_PROMETHEUS=1 \
	--var SLIPWAY_REQUIRE_PODMAN=1 --var SLIPWAY_REQUIRE_BWRAP=1 --var SLIPWAY_REQUIRE_DOCKER=$(SLIPWAY_REQUIRE_DOCKER) --var SLIPWAY_ROOTLESS_USER=$(SLIPWAY_ROOTLESS_USER)

.DEFAULT_GOAL := help
.PHONY: help pipeline approve test test-consumers test-stages test-generated test-portable test-manifests test-tools-image test-supply-chain lint build run generate platform-up platform-down test-platform test-platform-parts e2e e2e-delivery e2e-machines bench-engine bench-pipeline bench-merge-request bench-rollout bench-service attack clean commands

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

pipeline: platform-up ## Run this repository's pipeline for a push to main, up to the production gate
	PATH="$$($(platform) bin):$$PATH" $(run) --var LINT_MODULES=false --variables .slipway/variables.yml --deploy --approve-hint "make approve"

approve: commands ## Roll the last pipeline's image to production: the same digest, nothing is rebuilt
	PATH="$$($(platform) bin):$$PATH" $(slipway) approve deploy-production --deploy

# The test jobs of the pipeline, so that what passed here is taken from Go's test cache there, and the other way round; Go compares PATH,
# too, so it is the pipeline's. One job after the other: each uses all processors.
test: commands ## Run all tests, with the race detector and real parts; what has not changed comes from Go's test cache
	$(platform) deps gcc libc6-dev postgresql chromium shellcheck jq systemd buildah bubblewrap podman runc uidmap slirp4netns golang-github-containernetworking-plugin-dnsname busybox-static prometheus prometheus-alertmanager
	PATH="$$($(platform) bin):$$PATH" $(run) --verbose --jobs 1 engine-test test
	go -C platform test -race ./...
	go -C tools/acceptance test -race ./...

# $(call tool,MODULE,FILE,PACKAGES) compiles programs of the module tools/MODULE into the folder of commands; FILE is another name for one of them.
tool = CGO_ENABLED=0 go -C tools/$(1) build -trimpath -ldflags "-s -w" -o $(bin)/$(2) $(3)

cosign = $(call tool,cosign,,tool)

# A Sigstore for the tests; two of its programs are called posix.
define sigstore
	$(call tool,sigstore,,github.com/sigstore/fulcio github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server)
	$(call tool,sigstore,rekor-server,github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix)
	$(call tool,sigstore,tesseract,github.com/transparency-dev/tesseract/cmd/tesseract/posix)
endef

# Every test of the module test but those with a target of their own: what needs the platform (e2e, e2e-delivery, test-manifests), boots machines
# (e2e-machines), builds the tools image (test-tools-image, test-supply-chain) or takes minutes by itself (test-consumers).
test-stages: commands ## Run the stages in projects that include them; after make platform-up, for kubectl
	$(platform) deps gcc libc6-dev shellcheck jq systemd postgresql buildah podman busybox-static docker-registry prometheus prometheus-alertmanager
	$(cosign)
	$(sigstore)
	PATH="$$($(platform) bin):$$PATH" SLIPWAY_REQUIRE_SHELLCHECK=1 SLIPWAY_REQUIRE_JQ=1 SLIPWAY_REQUIRE_SYSTEMD=1 SLIPWAY_REQUIRE_POSTGRES=1 SLIPWAY_REQUIRE_BUILDAH=1 \
		SLIPWAY_REQUIRE_PODMAN=1 SLIPWAY_REQUIRE_BUSYBOX=1 SLIPWAY_REQUIRE_REGISTRY=1 SLIPWAY_REQUIRE_KUBECTL=1 SLIPWAY_REQUIRE_COSIGN=1 SLIPWAY_REQUIRE_SIGSTORE=1 SLIPWAY_REQUIRE_PROMETHEUS=1 \
		go -C test test -v -timeout 30m -skip 'TestDelivery|TestManifests|TestChart|TestTokensOfJobs|TestMachines$$|TestToolsImage|TestSupplyChain|TestDockerBuild|TestRun$$|TestCompatibility' $$(go -C test list ./... | grep -v /delivery$$)

# Each project is linted, scanned and tested with the race detector, one after the other; the older Go comes from the module proxy.
test-consumers: commands ## Run the checks and tests of every consumer project, and those of the library with an older Go; takes minutes
	$(platform) deps gcc libc6-dev jq
	go -C test test -v -timeout 40m -run 'TestRun$$|TestCompatibility' ./consumers

# Base images come from Debian packages and this machine's Go, so that no registry is needed; the tools are compiled in the image, with this machine's Go caches.
test-tools-image: commands ## Build the tools image and run the stages' jobs in it, with podman and no tool of this machine in reach
	$(platform) deps buildah podman runc uidmap jq
	SLIPWAY_STAND_IN=1 tools/image.sh go
	SLIPWAY_TEST_TOOLS_IMAGE=localhost/slipway/tools:go go -C test test -count=1 -timeout 30m -v -run TestToolsImage ./consumers

test-supply-chain: commands ## Build with rootless BuildKit and with Docker, sign, list contents and scan in the tools image; compiles for long the first time
	$(platform) deps buildah podman runc uidmap jq busybox-static docker-registry
	$(call tool,buildx,docker-buildx,github.com/docker/buildx/cmd/buildx)
	SLIPWAY_STAND_IN=1 tools/image.sh all
	SLIPWAY_STAND_IN=1 tools/image.sh buildkit
	SLIPWAY_REQUIRE_BUSYBOX=1 SLIPWAY_REQUIRE_REGISTRY=1 SLIPWAY_REQUIRE_BUILDX=1 SLIPWAY_TEST_TOOLS_IMAGE=localhost/slipway/tools:all SLIPWAY_TEST_BUILDER_IMAGE=localhost/slipway/tools:buildkit go -C test test -count=1 -timeout 30m -v -run 'TestSupplyChain|TestDockerBuild' ./consumers

test-generated: ## Compare what is generated with what is committed, and two builds of the service with each other
	go run ./ci/internal/templates -check
	SLIPWAY_TEST_GENERATED=1 go -C service test -count=1 -run 'TestGenerated|TestReproducible' ./...

test-portable: ## Vet the engine and its tests as they compile for Windows and macOS
	GOOS=windows go vet ./...
	GOOS=darwin go vet ./...

test-manifests: commands ## Apply k8s/ to a real API server, compare the Helm chart with it, and ask it with jobs' tokens; after make platform-up
	PATH="$$($(platform) bin):$$PATH" SLIPWAY_REQUIRE_KUBERNETES=1 go -C test test -count=1 -v -timeout 30m -run 'TestManifests|TestChart|TestTokensOfJobs' ./manifests

lint: commands ## Run the pipeline's lint jobs of all modules, and check the pipeline's configuration
	$(run) $(foreach module,engine- test- platform- acceptance-,$(module)lint $(module)lint-drift) lint lint-drift
	$(slipway) lint

build: commands ## Build slipway, platform and the orders service into the cache folder
	CGO_ENABLED=0 go -C service build -trimpath -ldflags "-s -w" -o $(bin)/ ./cmd/orders
	@ls -l $(bin)

run: ## Run the orders service alone, with SQLite, on http://127.0.0.1:8080
	go -C service run ./cmd/orders

platform-up: commands ## Start what the pipeline talks to: registry, PostgreSQL, Kubernetes
	$(platform) deps gcc libc6-dev buildah jq
	$(platform) up
	@mkdir -p .slipway && umask 077 && $(platform) env >.slipway/variables.yml

platform-down: commands ## Stop it; the data stays (platform down --purge removes it)
	$(platform) down

e2e: commands ## Prove the delivery from outside; after make pipeline and make approve
	PATH="$$($(platform) bin):$$PATH" SLIPWAY_E2E=1 SLIPWAY_VARIABLES="$(CURDIR)/.slipway/variables.yml" go -C test test -count=1 -timeout 20m -v -run TestDelivery ./e2e
	PATH="$$($(platform) bin):$$PATH" SLIPWAY_PLATFORM="$(CURDIR)/.slipway/variables.yml" go -C test test -count=1 -timeout 20m -v -run TestDelivery ./consumers

# A platform of its own, beside the one of make pipeline; each proof is a test: PROOFS=TestCanary.
delivery := SLIPWAY_STATE=/var/lib/slipway-delivery SLIPWAY_REGISTRY_PORT=5150 SLIPWAY_POSTGRES_PORT=5533 SLIPWAY_API_PORT=6543 \
	SLIPWAY_INGRESS_PORT=8180 SLIPWAY_PROMETHEUS_PORT=9190 SLIPWAY_ALERTMANAGER_PORT=9193 \
	SLIPWAY_ARTIFACTS_PORT=9890 SLIPWAY_TRACES_PORT=16786 SLIPWAY_TRAEFIK_PORT=8100
e2e-delivery: commands ## Prove what users notice of rollouts, canaries and failures, under load; takes two hours (PROOFS=TestCanary for one)
	$(platform) deps gcc libc6-dev jq prometheus prometheus-alertmanager haproxy
	$(cosign)
	$(delivery) $(platform) up --with rollouts,monitoring,metrics,gitops,tracing,traefik,policies
	PATH="$$($(delivery) $(platform) bin):$$PATH" $(delivery) SLIPWAY_DELIVERY=1 go -C test test -count=1 -timeout 150m -v -run '$(or $(PROOFS),.)' ./delivery; \
		status=$$?; $(delivery) $(platform) down --purge || status=1; exit $$status

e2e-machines: commands ## Prove deployments without Kubernetes: machines that systemd-nspawn boots, nginx before them, under load
	$(platform) deps debootstrap systemd-container openssh-client iproute2 jq
	SLIPWAY_MACHINES=1 go -C test test -count=1 -timeout 30m -v -run 'TestMachines$$' ./consumers

generate: ## Generate the API code, the templates of the stages and their reference
	go generate ./...
	go -C service generate ./...
	go run ./ci/internal/templates

bench-engine: ## Measure slipway beside gitlab-ci-local, as processes on the same files
	go -C test run ./bench/engine

bench-pipeline: commands ## Measure what caches are worth to the test jobs: cold, warm, one package changed
	go -C test test ./consumers -run '^$$' -bench Caches -benchtime 1x -timeout 30m

# As for test-tools-image: no registry is needed.
bench-merge-request: commands ## Measure the CPU time of each job of a merge request in the tools image, and what of it is the stages' own
	$(platform) deps buildah podman runc uidmap jq docker-registry
	SLIPWAY_STAND_IN=1 tools/image.sh go
	SLIPWAY_STAND_IN=1 tools/image.sh buildkit
	SLIPWAY_REQUIRE_REGISTRY=1 SLIPWAY_TEST_TOOLS_IMAGE=localhost/slipway/tools:go SLIPWAY_TEST_BUILDER_IMAGE=localhost/slipway/tools:buildkit go -C test test ./consumers -run '^$$' -bench MergeRequest -benchtime 1x -timeout 60m

bench-service: ## Measure what the service adds to net/http, as CPU time per request
	go -C service build -trimpath -o $(bin)/bench-service ./bench
	cd service && $(bin)/bench-service

attack: ## Attack the service: slow bodies, poison charges, forwarded addresses, idle connections, a hanging issuer, a million rows
	$(platform) deps postgresql
	SLIPWAY_ATTACK=1 SLIPWAY_REQUIRE_POSTGRES=1 go -C service test -count=1 -timeout 15m -v -run TestAttack ./attack

test-platform: commands ## Prove the platform: up, kill -9 of each part, healing, down without a trace
	SLIPWAY_PLATFORM_TEST=1 go -C platform test -count=1 -timeout 20m -v -run TestMachine .

test-platform-parts: commands ## The same for the optional parts, which are compiled the first time
	$(platform) deps prometheus prometheus-alertmanager
	SLIPWAY_PLATFORM_TEST=1 go -C platform test -count=1 -timeout 30m -v -run TestOptionalParts .

bench-rollout: commands ## Measure what users notice while a new commit rolls out to staging; after make pipeline
	PATH="$$($(platform) bin):$$PATH" SLIPWAY_E2E=1 SLIPWAY_VARIABLES="$(CURDIR)/.slipway/variables.yml" go -C test test -count=1 -timeout 20m -v -run TestDelivery/a_new_commit ./e2e

clean: ## Remove what runs left in this clone
	rm -rf .slipway bin

commands:
	@mkdir -p $(bin)
	CGO_ENABLED=0 go build -trimpath -o $(bin)/ ./cmd/slipway
	$(call tool,gitleaks,,tool)
	CGO_ENABLED=0 go -C platform build -trimpath -o $(bin)/ ./cmd/platform
