# SPDX-License-Identifier: GPL-2.0
#
# All commands of the project; "make" lists them. The kernel build system reads Kbuild,
# not this file.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SILENT:
.NOTPARALLEL:
.ONESHELL:

# Folder of everything that is built; nothing is built in the source tree.
export GO_SCHED_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/go_sched

# Neither make nor the build system of the kernel takes these characters, or blanks.
special := $$ % : ; & | * ? ( ) [ ] { } < > \ \# ' " `
usable = $(if $(filter 1,$(words $1)),$(if $(strip $(foreach c,$(special),$(findstring $c,$1))),,yes))
ifeq ($(call usable,$(CURDIR)),)
$(error The path "$(CURDIR)" has a blank or a special character: move this folder to another place)
endif
ifeq ($(and $(filter /%,$(GO_SCHED_CACHE)),$(call usable,$(GO_SCHED_CACHE))),)
$(error GO_SCHED_CACHE is "$(GO_SCHED_CACHE)": set it to an absolute path without blanks and special characters)
endif
export CARGO_TARGET_DIR := $(GO_SCHED_CACHE)/target
export GOCACHE := $(GO_SCHED_CACHE)/go-build

# Folder of rustc, cargo, clang and go, by default that of the distribution's. The kernel
# needs a Rust with library sources, which a rustup toolchain may not have. With one
# compiler for everything, cargo does not build libraries twice.
TOOLCHAIN ?= /usr/bin
export PATH := $(GO_SCHED_CACHE)/bindgen/bin:$(TOOLCHAIN):$(PATH)
unexport RUSTC RUSTFLAGS

# Programs are linked statically, because the guest has no libraries. The target is named
# so that the flag does not apply to build scripts and procedural macros, which cannot be
# static.
target := x86_64-unknown-linux-gnu
static := CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS='-C target-feature=+crt-static'
binaries := $(CARGO_TARGET_DIR)/$(target)/release

# VARIANT=NAME adds kernel/config/NAME.config to the configuration of the kernel.
# KCONFIG=FILE takes FILE for the configuration, and KDIR=DIR a kernel built in DIR.
variant := $(or $(VARIANT),$(if $(KCONFIG),kconfig),\
	$(if $(filter deb test-deb,$(MAKECMDGOALS)),deb))
variants := $(filter-out kernel,$(basename $(notdir $(wildcard kernel/config/*.config))))
ifneq ($(filter-out $(variants),$(variant)),)
$(error There is no kernel variant "$(variant)". The variants are: $(variants))
endif
export KCONFIG
# built NAME: the folder of a variant that is built here.
built = $(GO_SCHED_CACHE)/linux-6.12/build$(addprefix -,$1)
ifdef KDIR
kernel := $(abspath $(KDIR))
kernel_stamp := $(kernel)/Module.symvers
else
kernel := $(call built,$(variant))
kernel_stamp := $(kernel)/.go_sched_stamp
to_build := $(kernel_stamp)
endif

# kbuild of 6.12 writes to the folder of the sources, so it gets a folder of links to them.
module_sources := Kbuild $(wildcard *.rs) policy
module_key := $(firstword $(shell printf '%s' '$(CURDIR) $(kernel)' | cksum))
module := $(GO_SCHED_CACHE)/module-$(module_key)/go_sched_class.ko

# Kernel selftest of the series, which the guest contains.
selftest := $(dir $(module))go_sched_test

step := source scripts/step.sh; step $(GO_SCHED_CACHE)/log

.DEFAULT_GOAL := $(if $(KDIR),module,help)

.PHONY: help
help:
	echo 'make demo         show what a priority does, in the patched kernel'
	echo 'make test         all tests: on this machine, then in the patched kernel (TEST=NAME: those'
	echo '                  with NAME in their name)'
	echo 'make test-debug   the tests in a kernel that checks itself'
	echo 'make test-scx     tests beside a sched_ext scheduler, in a kernel that takes one'
	echo 'make test-bpf     tests of "gosched record", in a kernel that takes BPF programs'
	echo 'make test-go      the tests of the Go packages with the newest Go'
	echo "make test-runtime Go's own tests of its runtime with the overlay that gives goroutines priorities"
	echo 'make fuzz         random requests of an unprivileged user (SECONDS=N, SEED=N)'
	echo 'make torture      race everything, and check (SECONDS=N, CPUS=N, SEED=N); debug kernel'
	echo 'make bench        what go_sched costs and buys, to bench/report (ONLY="PART ...": these parts anew)'
	echo 'make bench-quick  the same, less often and shorter, to $(GO_SCHED_CACHE)/bench-quick'
	echo "make lab          run the article's claims as experiments, to bench/report (EXPERIMENT=NAME: that one"
	echo '                  anew; docs/lab.md lists them)'
	echo 'make lab-quick    the same once and shortly, which decides no claim, to $(GO_SCHED_CACHE)/bench-quick'
	echo 'make bench-host   what priorities of goroutines buy on this machine, without go_sched in the kernel'
	echo 'make bench-page   draw the page with the plots of bench/report (REPORT=DIR: of another), outside the tree'
	echo 'make bench-readme put table and picture of bench/report into README.md'
	echo 'make observe      record the demo, and show where its time went; this builds the command for it'
	echo 'make shell        a root shell in the patched kernel; exit ends it'
	echo 'make setup        install what is missing to do the above'
	echo 'make kernel       build the patched kernel (VARIANT=NAME: a variant of it)'
	echo '                  Variants: $(variants)'
	echo 'make module       build go_sched_class.ko (KDIR=DIR: for the kernel built in DIR)'
	echo 'make deb          Debian packages of kernel, module and tool (KCONFIG=FILE: that configuration,'
	echo '                  such as /boot/config-*, and not the small one of the tests)'
	echo 'make test-deb     install, use, boot and remove these packages'
	echo 'make test-fresh   make demo and make test in a new Debian, which has nothing but git and make'
	echo '                  (SUITE=NAME: of that release, such as trixie); an hour or more'
	echo 'make install      the command, its pages and the header, below PREFIX=/usr/local (DESTDIR=DIR); with'
	echo '                  KDIR=DIR, the module for that kernel; with OBSERVE=1, the command that records'
	echo '                  the scheduler as well; make uninstall removes them'
	echo 'make where        say where things are built'
	echo 'make lint         check formatting and common mistakes'
	echo 'make clean        remove all that make has built, for every clone'
	echo
	echo 'qemu/run -- COMMAND runs anything in the patched kernel; see qemu/run --help.'
	echo 'Everything is built in $(GO_SCHED_CACHE); GO_SCHED_CACHE moves it.'

.PHONY: demo
demo: guest
	mkdir -p $(GO_SCHED_CACHE)/demo
	(cd go && CGO_ENABLED=0 go build -buildvcs=false -o $(GO_SCHED_CACHE)/demo/demo ./cmd/demo)
	# An emulated CPU takes about 4 ns for an instruction.
	qemu/run --icount 2 --overlay $(GO_SCHED_CACHE)/demo -- /demo

.PHONY: test
test: guest
	scripts/run-tests $(addprefix --variant ,$(variant))

.PHONY: test-debug
test-debug: setup
	scripts/run-tests --variant debug

.PHONY: test-scx
test-scx: setup
	cd tests/scx
	cargo test --locked --no-fail-fast

# The command with what shows the scheduler's doing. C libraries are linked into it.
observe_target := $(GO_SCHED_CACHE)/target/observe
observe_gosched := $(observe_target)/$(target)/release/gosched
.PHONY: observe-command
observe-command: machine
	scripts/install-packages --bpf
	$(step)/programs.log 'Building gosched with the feature observe' \
		env $(static) cargo build --release --locked --target $(target) --package gosched-cli \
			--features observe --target-dir $(observe_target)

# Records the demo in a kernel that takes BPF programs, and shows the record here.
observe_dir := $(GO_SCHED_CACHE)/observe
.PHONY: observe
observe: setup observe-command
	mkdir -p $(observe_dir)/guest/bin
	(cd go && CGO_ENABLED=0 go build -buildvcs=false -o $(observe_dir)/guest/demo ./cmd/demo)
	cp $(observe_gosched) $(observe_dir)/guest/bin
	rm -rf $(observe_dir)/gosched-record
	qemu/run --variant bpf --icount 2 --overlay $(observe_dir)/guest -- \
		sh -c 'cd /tmp && gosched record -- /demo -duration 3s >&2 && tar -c gosched-record' \
		>$(observe_dir)/record.tar
	cd $(observe_dir)
	tar -xf record.tar
	$(observe_gosched) timeline
	$(observe_gosched) timeline -o demo.pftrace
	$(observe_gosched) heat
	$(observe_gosched) heat --svg heat.svg
	$(observe_gosched) why
	echo
	echo 'The record:            $(observe_dir)/gosched-record'
	echo "For Perfetto's viewer: $(observe_dir)/demo.pftrace"
	echo 'The heat maps:         $(observe_dir)/heat.svg'
	echo 'The command:           $(observe_gosched)'

# Records programs of the distribution's Go, of the newest one and of one between.
.PHONY: test-bpf
test-bpf: setup
	scripts/install-packages --test-bpf
	scripts/install-packages --runtime
	export GO_SCHED_GOS=go:$(GO_SCHED_CACHE)/between-go/bin/go:$(GO_SCHED_CACHE)/newest-go/bin/go
	export GO_SCHED_PERFETTO=$(GO_SCHED_CACHE)/perfetto/bin/python
	export GO_SCHED_NEEDS_PROMETHEUS=1 PATH=$(GO_SCHED_CACHE)/prometheus/usr/bin:$$PATH
	cargo test --locked --package gosched-observe
	cargo test --locked --package gosched-cli --features observe
	cd tests/observe
	cargo test --locked --no-fail-fast
	# The default kernel has no BTF.
	CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER='../../qemu/run --cargo-runner' \
		cargo test --locked tracefs::

# Tests the Go packages with the newest Go. The other targets use the distribution's Go, and
# go.mod names the oldest one.
.PHONY: test-go
test-go: guest
	scripts/install-packages --go
	export PATH=$(GO_SCHED_CACHE)/newest-go/bin:$$PATH
	go version
	(cd go && go vet ./... && go test -count=1 -timeout 30m -race ./...)
	cd tests
	cargo test --locked --package go-sched-go-tests

# Go's own tests, each new goroutine at a random priority, with three releases of Go. GO=COMMAND
# takes that one alone. No guest is needed.
.PHONY: test-runtime
test-runtime: machine
	scripts/test-runtime $(GO)

# Without VARIANT, the kernel is the one that reports its coverage. The timeout includes
# the boot and the shutdown.
fuzz_seconds := $(or $(SECONDS),300)
.PHONY: fuzz
fuzz: programs
	$(step)/programs.log 'Building the fuzzer' \
		env $(static) cargo build --release --locked --target $(target) --package go-sched-fuzz
	qemu/run --variant $(or $(variant),kcov) --timeout $$(($(fuzz_seconds) + 600)) \
		--cargo-runner $(binaries)/go_sched_fuzz --seconds $(fuzz_seconds) $(addprefix --seed ,$(SEED))

# With slab_nomerge, the kernel counts the records of threads separately. The timeout
# includes the boot of an emulated debug kernel, and the end of all threads.
torture_seconds := $(or $(SECONDS),600)
.PHONY: torture
torture: programs
	$(step)/programs.log 'Building the torture test' \
		env $(static) cargo build --release --locked --target $(target) --package go-sched-torture
	qemu/run --variant $(or $(variant),debug) --timeout $$(($(torture_seconds) + 1200)) \
		$(addprefix --cpus ,$(CPUS)) --append slab_nomerge --cargo-runner \
		$(binaries)/go_sched_torture --seconds $(torture_seconds) $(addprefix --seed ,$(SEED))

# build_goroutines PROGRAM: builds PROGRAM_plain, and PROGRAM_overlay with the overlay of Go's
# runtime, with the Go that comes first in PATH.
define build_goroutines
(cd go
	export CGO_ENABLED=0
	go build -buildvcs=false -o $1_plain ./cmd/bench-goroutines
	overlay=$$(go run ./cmd/gosched-overlay -o $(GO_SCHED_CACHE)/overlay)
	go build -buildvcs=false -overlay "$$overlay" -o $1_overlay ./cmd/bench-goroutines)
endef

# The guest gets programs of this machine with their libraries, and the server.
bench_overlay := $(GO_SCHED_CACHE)/bench
bench_page := $(GO_SCHED_CACHE)/bench-page
bench_report = $(if $(findstring quick,$@),$(GO_SCHED_CACHE)/bench-quick,bench/report$(if $(filter kvm,$(GO_SCHED_ACCEL)),/kvm)$(addprefix /,$(ON)))
.PHONY: bench bench-quick lab lab-quick bench-programs
bench-programs: programs observe-command
	scripts/install-packages --bench
	$(step)/programs.log 'Building the benchmarks' \
		env $(static) cargo build --release --locked --target $(target) --package go-sched-bench-measure --package go-sched-bench-show
	mkdir -p $(bench_overlay)/bin
	for program in hackbench chrt; do
		cp --dereference "/usr/bin/$$program" $(bench_overlay)/bin
		ldd "/usr/bin/$$program" | grep -o '/[^ ]*' |
			xargs cp --dereference --parents --target-directory $(bench_overlay)
	done
	cp $(GO_SCHED_CACHE)/oha/bin/oha $(bench_overlay)/bin
	cp $(observe_gosched) $(bench_overlay)/bin/gosched_observe
	(cd go && CGO_ENABLED=0 go build -buildvcs=false -o $(bench_overlay)/bin/go_sched_bench_server ./cmd/bench-server)
	# The overlay is for whoever has the newest Go.
	scripts/install-packages --go
	export PATH=$(GO_SCHED_CACHE)/newest-go/bin:$$PATH
	$(call build_goroutines,$(bench_overlay)/bin/go_sched_bench_goroutines)

# measure PARTS, REPORT: measures PARTS, or all, into the folder that has REPORT.
measure = $(binaries)/go_sched_bench --report $(bench_report) $(if $(findstring quick,$@),--quick) \
	$(addprefix --only ,$1) $(and $1,$(wildcard $(bench_report)/$2),--add) \
	--page $(bench_page) --service-icount 2 $(addprefix --on ,$(ON)) \
	--overlay $(bench_overlay) --guest-program $(binaries)/go_sched_bench_guest
# ON=host measures in the kernel of this machine, as root.
bench bench-quick: bench-programs
	$(call measure,$(ONLY),report.json)
lab lab-quick: bench-programs
	$(call measure,$(EXPERIMENT),lab.json) --lab

# Takes nothing but Go and room for it: neither a guest nor go_sched in the kernel.
.PHONY: bench-host
bench-host: machine
	command -v go >/dev/null || scripts/install-packages
	mkdir -p $(GO_SCHED_CACHE)/bench-host
	echo "Building a program twice, with $$(go version)"
	$(call build_goroutines,$(GO_SCHED_CACHE)/bench-host/goroutines)
	$(GO_SCHED_CACHE)/bench-host/goroutines_plain -compare $(GO_SCHED_CACHE)/bench-host/goroutines_overlay

bench_show := cargo run --quiet --locked --package go-sched-bench-show --
.PHONY: bench-page
bench-page: machine
	$(bench_show) page --report $(or $(REPORT),bench/report) $(bench_page)

.PHONY: bench-readme
bench-readme: machine
	$(bench_show) readme README.md

.PHONY: shell
shell:
	qemu/run --terminal -- sh -c 'sh -l || true'

# These two refuse to begin what would fail halfway: with a kernel that may have to be built,
# and without. Some targets build another kernel than the others.
torture: to_build = $(call built,$(or $(variant),debug))/.go_sched_stamp
fuzz: to_build = $(call built,$(or $(variant),kcov))/.go_sched_stamp
test-debug: to_build = $(call built,debug)/.go_sched_stamp
test-scx test-bpf observe lab lab-quick: to_build = $(call built,bpf)/.go_sched_stamp
.PHONY: machine machine-kernel
machine-kernel:
	scripts/check-machine $(to_build)
machine:
	scripts/check-machine

.PHONY: setup
setup: machine-kernel
	scripts/install-packages $(addprefix --,$(filter bpf,$(variant)))

.PHONY: kernel
kernel: $(kernel_stamp)

.PHONY: FORCE
FORCE:

ifndef KDIR
# If nothing has changed, the script returns at once and does not touch the stamp.
$(kernel_stamp): setup FORCE
	kernel/build $(variant)
else
$(kernel_stamp):
	echo 'There is no $@: build that kernel first, with "make bzImage modules"' >&2
	exit 1
endif

.PHONY: module
module: $(module)
	$(if $(KDIR),echo $(module))

# Flags for coverage of the module's Rust code: scripts/Makefile.kcov has those for C alone.
kcov_rust := $(strip -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
	-Cllvm-args=-sanitizer-coverage-trace-pc)

# The module is built from scratch each time, because kbuild does not notice changes of
# the kernel's Rust crates. The lock lets one build run at a time, and the final mv lets
# others never see an incomplete module.
$(module): $(shell find $(module_sources) -type f) $(kernel_stamp) | machine-kernel
	if ! grep -qs '^CONFIG_GO_SCHED=y' $(kernel)/.config; then
		echo '$(kernel) is not a kernel built with kernel/linux-6.12 and CONFIG_GO_SCHED=y' >&2
		exit 1
	fi
	mkdir -p $(@D) $(GO_SCHED_CACHE)/log
	exec 9>$(@D)/lock
	flock 9
	rm -rf $(@D)/build
	mkdir $(@D)/build
	cp -rs $(addprefix $(CURDIR)/,$(module_sources)) $(@D)/build
	: >$(GO_SCHED_CACHE)/log/module.log
	llvm=$$(sed -n 's/^CONFIG_CC_IS_CLANG=y/LLVM=1/p' $(kernel)/.config)
	export KRUSTFLAGS=$$(sed -n 's/^CONFIG_KCOV=y/$(kcov_rust)/p' $(kernel)/.config)
	$(step)/module.log 'Step 5 of 6: building go_sched_class.ko' \
		env -u MAKEFLAGS make -C $(kernel) M=$(@D)/build $$llvm modules
	mv $(@D)/build/go_sched_class.ko $@

$(selftest): $(kernel_stamp)
	mkdir -p $(@D)
	# The headers of the C library come first, because those of the kernel's source are
	# not for programs as they are.
	cc -static -O2 -Wall -Werror -idirafter $(GO_SCHED_CACHE)/linux-6.12/source/include/uapi -o $@.new \
		$(GO_SCHED_CACHE)/linux-6.12/source/tools/testing/selftests/sched/go_sched_test.c
	mv $@.new $@

# Without VARIANT, KCONFIG and KDIR, the variant is deb.
.PHONY: setup-deb
setup-deb: machine-kernel
	scripts/install-packages --deb
	scripts/install-packages --bpf

.PHONY: deb
deb: setup-deb $(module)
	packaging/build $(kernel)

deb_test := $(GO_SCHED_CACHE)/deb-test
.PHONY: test-deb
test-deb: deb
	mkdir -p $(deb_test)
	$(if $(filter-out 0,$(shell id -u)),sudo) packaging/test-chroot $(GO_SCHED_CACHE)/deb $(deb_test)
	echo 'Booting a Debian with the packages'
	qemu/run $(addprefix --variant ,$(variant)) --kernel $(deb_test)/vmlinuz --no-module \
		--memory 3072 --overlay $(deb_test)/guest --append rdinit=/boot -- /check

.PHONY: test-fresh
test-fresh: machine
	scripts/install-packages --deb
	$(if $(filter-out 0,$(shell id -u)),sudo) scripts/test-fresh \
		$(or $(SUITE),$(shell . /etc/os-release && echo $$VERSION_CODENAME)) $(GO_SCHED_CACHE)/test-fresh

# Builds what the guest contains. qemu/run calls this before each boot.
.PHONY: guest
guest: $(if $(filter unpatched,$(variant)),$(kernel_stamp),$(module) $(selftest)) programs

.PHONY: programs
programs: setup
	mkdir -p $(GO_SCHED_CACHE)/log
	: >$(GO_SCHED_CACHE)/log/programs.log
	$(step)/programs.log 'Step 6 of 6: building the programs of the guest (the first time 5 min on two busy cores)' \
		env $(static) cargo build --release --locked --target $(target) \
			--package go-sched-qemu --package gosched-cli

# Builds the program that boots the guest and prints its path, for qemu/run.
.PHONY: runner
runner: programs
	echo $(binaries)/run

# Without setup, as this is for the machine that gosched is used on. The module goes along
# with KDIR alone.
.PHONY: install uninstall
install: machine $(if $(KDIR),$(module)) $(if $(OBSERVE),observe-command)
	env $(static) cargo build --release --locked --target $(target) --package gosched-cli
	scripts/install $(if $(OBSERVE),$(observe_gosched),$(binaries)/gosched) \
		$(if $(KDIR),$(module) "$$(make --silent --no-print-directory -C $(kernel) kernelrelease)")
uninstall:
	scripts/install --remove

.PHONY: where
where:
	echo bzImage=$(kernel)/arch/x86/boot/bzImage
	echo kernel-build=$(kernel)
	echo go_sched_class.ko=$(module)
	echo gosched=$(binaries)/gosched
	echo go_sched_test=$(selftest)
	echo init=$(binaries)/init
	echo cache=$(GO_SCHED_CACHE)

.PHONY: lint
lint: $(kernel_stamp)
	scripts/install-packages --lint
	scripts/install-packages --bpf
	# "cargo clippy" would prefer a rustup toolchain's cargo-clippy to the one in PATH.
	cargo-fmt --all --check
	for source in *.rs; do rustfmt --check --edition 2021 <"$$source"; done
	cargo-clippy clippy --workspace --all-targets --locked -- -D warnings
	cargo-clippy clippy --package gosched-cli --features observe --all-targets --locked -- -D warnings
	test -z "$$(gofmt -l go)" || { gofmt -d go; exit 1; }
	(cd go && go vet ./... && go test -timeout 30m ./...)
	shellcheck -x .ci/run qemu/run scripts/run-tests scripts/test-runtime scripts/check-machine scripts/install kernel/build \
		scripts/install-packages packaging/build packaging/test-chroot scripts/debian.sh scripts/test-fresh \
		packaging/test-guest/boot packaging/test-guest/check packaging/test-guest/containers \
		packaging/dkms/check-rustc packaging/debian/gosched.postrm docs/commands \
		tools/gosched/src/uapi/regenerate tools/gotrace/fixtures/regenerate
	LIBCLANG_PATH=$$(llvm-config --libdir) tools/gosched/src/uapi/regenerate
	git diff --exit-code tools/gosched/src/uapi
	$(bench_show) readme --check README.md
	cd $(GO_SCHED_CACHE)/linux-6.12/source
	# The series installs the very header that all others read.
	cmp include/uapi/linux/go_sched.h $(CURDIR)/uapi/go_sched.h
	# checkpatch.pl would search the git history for licences, and this tree has none.
	GIT_DIR=none scripts/checkpatch.pl --strict --quiet --no-summary \
		$(CURDIR)/kernel/linux-6.12/*.patch

products := accel-* bench bench-host bench-page bench-quick bindgen deb deb-test demo go-build \
	between-go linux-6.12 log module-* newest-go observe oha overlay perfetto prometheus target test-fresh
.PHONY: clean
clean:
	# By name, in case that GO_SCHED_CACHE is a folder that others use.
	cd $(GO_SCHED_CACHE) 2>/dev/null || exit 0
	chmod -Rf u+w go-build || true
	rm -rf $(products)
	rmdir --ignore-fail-on-non-empty $(GO_SCHED_CACHE)
