# make          builds bin/kozo
# make test     runs all tests with the race detector
# make check    formatting, vet, staticcheck, known vulnerabilities, allocations, other platforms
# make bench    measures, half an hour; QUICK=1 takes some minutes,
#               ONLY=throughput,idle measures parts, ONLY=onion and ONLY=bluetooth a link over Tor and over BlueZ
#               in a virtual machine, SYSTEMS=kozo,nats some systems,
#               NODES=30 a full mesh of that size; JSON=FILE keeps the figures,
#               ONLY=profile PROFILE=DIR writes CPU profiles of a flood
# make bench-record   measures, and writes the figures, pictures and tables of the
#                     documents; with ONLY=… the others stay
# make bench-docs     writes pictures and tables from the figures, without measuring

GO    ?= go
TOOL   = $(GO) tool -modfile=tools/go.mod
STRIP  = -trimpath -ldflags='-s -w'

# What a release is built for, as GOOS/GOARCH or GOOS/arm/GOARM.
PLATFORMS = linux/arm/6 linux/arm/7 linux/arm64 darwin/arm64 windows/amd64

.PHONY: build test test-tools check fmt tidy vet static vuln generated allocs narrow platforms bench bench-record bench-docs clean

build:
	@CGO_ENABLED=0 $(GO) build $(STRIP) -o bin/ ./cmd/kozo

# Many tests run programs, and one with the race detector otherwise takes a second
# to end. The limit is long because virtual machines wait for each other.
test: test-tools
	@GORACE=atexit_sleep_ms=10 $(GO) test -race -timeout 12m ./...

# Programs that some tests look for. Without them these tests are skipped, and
# say so with -v.
test-tools:
	@tools/test-tools.sh openssh-client:ssh-keygen tor:tor-gencert faketime:faketime python3:python3 nodejs:node qemu-system-x86:qemu-system-x86_64 xz-utils:xz iproute2:ip nftables:nft avahi-daemon:avahi-daemon

check: fmt tidy vet static vuln generated allocs narrow platforms

fmt:
	@echo "gofmt"
	@files=$$(gofmt -l .); test -z "$$files" || { echo "run gofmt -w on:" $$files; exit 1; }

tidy:
	@echo "go mod tidy"
	@$(GO) mod tidy -diff

vet:
	@echo "go vet"
	@$(GO) vet ./...
	@cd bench/peers && $(GO) vet ./...

static:
	@echo "staticcheck"
	@$(TOOL) staticcheck -checks inherit,ST1000,ST1016,ST1020,ST1021,ST1022 ./...

vuln:
	@echo "govulncheck"
	@tools/vulncheck.sh $(TOOL) govulncheck ./...

generated:
	@echo "generated files"
	@$(GO) test -run '^TestDoc$$' ./internal/config

# What a message may cost in allocations is in internal/node/allocs_test.go.
allocs:
	@echo "allocations"
	@$(GO) test -run '^TestAllocations$$' ./internal/node

# Most nodes have 32 bits; these processors run such programs too.
NARROW = . ./internal/config/... ./internal/link ./internal/memnet ./internal/queue ./internal/router \
	./internal/secure ./internal/storage ./internal/system ./internal/wire ./roles/... ./transports/...

narrow:
ifeq ($(shell $(GO) env GOHOSTARCH),amd64)
	@echo "tests with 32 bits"
	@CGO_ENABLED=0 GOARCH=386 $(GO) test -timeout 5m $(NARROW)
endif

platforms:
	@tools/platforms.sh $(PLATFORMS)

# Beside Kōzō stands what people would pick instead, as far as it can be installed
# and built here. As root it has a network of its own, so that nothing else is
# counted.
bench:
	@tools/bench-tools.sh
	@CGO_ENABLED=0 $(GO) build -o bin/ ./bench
	@peers=$$(GO=$(GO) tools/bench-peers.sh) && bin/bench $(if $(QUICK),-quick) $(if $(ONLY),-only $(ONLY)) \
		$(if $(SYSTEMS),-systems $(SYSTEMS)) $(if $(NODES),-nodes $(NODES)) $(if $(JSON),-json $(JSON)) \
		$(if $(PROFILE),-profile $(PROFILE)) -peers "$$peers"

# What the documents say was measured. A part that is not measured now stays.
bench-record:
	@$(MAKE) --no-print-directory bench JSON=bench/results.json
	@$(MAKE) --no-print-directory bench-docs

bench-docs:
	@$(GO) run ./bench -docs bench/results.json

clean:
	@rm -rf bin
