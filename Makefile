# Thin: sets up what is missing, then calls CMake. `make` builds into build/bin; `make help` lists the rest.
BUILD ?= build
JOBS ?= $(shell nproc)
# How many tests run at once; they use threads themselves.
TEST_JOBS ?= 2
PREFIX ?= /usr/local

CMAKE_FLAGS ?=
# GPTPIPE_CUDA_ARCHS: the GPUs to compile for (cmake/Cuda.cmake); as a variable of make or of the environment.
ARCHS = $(if $(GPTPIPE_CUDA_ARCHS),-DGPTPIPE_CUDA_ARCHS='$(GPTPIPE_CUDA_ARCHS)')
CLANG_FORMAT ?= clang-format
CLANG_TIDY ?= clang-tidy
CPPCHECK ?= cppcheck

MAKEFLAGS += --no-print-directory

.PHONY: all deps configure test pipeline bench sanitize tsan fuzz faults lint tidy cppcheck cusim-long test-interop test-arm64 gpu-all \
    gpu-check gpu-bundle install uninstall format format-check clean help
all: configure
	@cmake --build $(BUILD) -j $(JOBS)

deps:
	@pipelines/install-deps.sh

# The table of packages is shown the first time, and the whole output when it fails.
configure: deps
	@if [ -e $(BUILD)/Makefile ]; then show=; else show=1; fi; mkdir -p $(BUILD); \
	cmake -S . -B $(BUILD) -DCMAKE_INSTALL_PREFIX=$(PREFIX) $(ARCHS) $(CMAKE_FLAGS) > $(BUILD)/configure.log 2>&1 || \
	    { cat $(BUILD)/configure.log; exit 1; }; \
	[ -z "$$show" ] || sed -n '/what was found/,/^-- Configuring/p' $(BUILD)/configure.log | sed '/^-- Conf/d'; \
	! grep '^without oneDNN' $(BUILD)/configure.log >&2

test: all
	@tests/run.sh $(BUILD) -j $(TEST_JOBS)

# DATA=stories or DATA=shakespeare, STEPS=N; MODEL=bert: a classifier of reviews; see the script. Tests are not built for it.
pipeline: configure
	@cmake --build $(BUILD) -j $(JOBS) --target tools
	@BIN=$(BUILD)/bin pipelines/pipeline.sh

bench: all
	@BIN=$(BUILD)/bin bench/run.sh

# The tests under AddressSanitizer (leaks included) and UndefinedBehaviorSanitizer.
sanitize:
	@$(MAKE) BUILD=build-asan test \
	    CMAKE_FLAGS="-DGPTPIPE_SANITIZE=address,undefined $(CMAKE_FLAGS)"

# The tests whose threads share something, under ThreadSanitizer: loader, batches, encoding, writer, downloader. Without
# OpenMP, whose own barriers it does not understand.
tsan:
	@$(MAKE) BUILD=build-tsan configure CMAKE_FLAGS="-DGPTPIPE_SANITIZE=thread -DWITH_OPENMP=OFF -DWITH_DNNL=OFF \
	    -DWITH_CUDA=OFF $(CMAKE_FLAGS)"
	@tests/tsan.sh build-tsan $(JOBS)

# Each reader fed with mutated files for SECONDS, by clang's libFuzzer under ASan and UBSan: tests/fuzz.
SECONDS ?= 60
fuzz:
	@$(MAKE) BUILD=build-fuzz configure CMAKE_FLAGS="-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
	    -DGPTPIPE_FUZZ=ON -DGPTPIPE_SANITIZE=address,undefined -DWITH_CUDA=OFF -DWITH_DNNL=OFF $(CMAKE_FLAGS)"
	@cmake --build build-fuzz -j $(JOBS) --target fuzzers
	@JOBS=$(JOBS) tests/fuzz/run.sh build-fuzz $(SECONDS) $(TARGETS)

# Each system call and allocation failed in turn, kill -9 and power cuts at every change of a file: tests/faults.
faults: configure
	@cmake --build $(BUILD) -j $(JOBS) --target tools faults-shim power-cut
	@GPTPIPE_BIN=$(BUILD)/bin GPTPIPE_BUILD=$(BUILD) JOBS=$(JOBS) tests/faults/faults.sh all $(SCENARIOS)

# Files of every format exchanged with the projects they belong to, in virtual environments from PyPI: tests/interop.
test-interop: configure
	@cmake --build $(BUILD) -j $(JOBS) --target tools
	@tests/interop/run.sh $(BUILD) $(ROWS)

# Built for arm64 by Debian's cross compiler, the unit tests and the tools run under qemu-user: tests/arm64. 77: they are missing.
test-arm64:
	@tests/arm64/run.sh build-arm64 $(JOBS)

# What is simulated of CUDA, with the threads in many orders: minutes to hours, by SEEDS.
cusim-long: all
	@tests/cusim/long.sh $(BUILD)

# Every GPU that the cuda backend knows, in one build; fails where a kernel spills for one of them. 77: there is no nvcc.
gpu-all:
	@$(MAKE) BUILD=build-gpu-all GPTPIPE_CUDA_ARCHS=all CMAKE_FLAGS="-DBUILD_TESTING=OFF $(CMAKE_FLAGS)"
	@GPTPIPE_BUILD=build-gpu-all bash tests/cuda/build.sh -q || [ $$? = 77 ]

# On a machine with a GPU: tests and benchmarks on it, within ten minutes.
gpu-check: configure
	@cmake --build $(BUILD) -j $(JOBS) --target tools gpu_tests
	@tests/gpu_check.sh $(BUILD)

# The same, to be carried to a machine with a GPU and nothing else: unpack it there and start ./run.sh.
gpu-bundle:
	@$(MAKE) BUILD=build-gpu GPTPIPE_CUDA_ARCHS='$(or $(GPTPIPE_CUDA_ARCHS),90-real;80-virtual)' \
	    CMAKE_FLAGS="-DWITH_DNNL=OFF -DGPTPIPE_BUNDLE=ON $(CMAKE_FLAGS)" configure
	@cmake --build build-gpu -j $(JOBS) --target tools gpu_tests
	@tests/gpu_bundle.sh build-gpu

# DESTDIR=... stages it for packaging; SHORT_NAMES=OFF leaves train, sample and so on out of bin: gptpipe train.
install: all
	@SHORT_NAMES=$(SHORT_NAMES) cmake --install $(BUILD) --prefix $(PREFIX)

uninstall:
	@cmake -D BUILD=$(BUILD) -P cmake/Uninstall.cmake

SOURCES = $(shell git ls-files '*.c' '*.h' '*.cpp' '*.cu' '*.cuh' 2>/dev/null || find include libcommon tools tests examples -name '*.[ch]' -o -name '*.cu*')

format:
	@$(CLANG_FORMAT) -i $(SOURCES)

format-check:
	@$(CLANG_FORMAT) --dry-run -Werror $(SOURCES)

# What two programs find without running anything; both lists of checks say what is left out, and why.
lint: tidy cppcheck

tidy: configure
	@printf '%s\n' $(filter libcommon/%.c tools/%.c,$(SOURCES)) | xargs -P $(JOBS) -n 8 \
	    $(CLANG_TIDY) -p $(BUILD) --quiet $(TIDY_FLAGS)

cppcheck:
	@$(CPPCHECK) -j $(JOBS) -q --std=c11 --error-exitcode=1 --inline-suppr --suppressions-list=.cppcheck -Iinclude \
	    -Ilibcommon -D_GNU_SOURCE -DGPTPIPE_VERSION='""' --enable=warning,performance,portability \
	    $(filter libcommon/%.c tools/%.c,$(SOURCES))

clean:
	rm -rf $(BUILD) build-asan build-own build-clang build-fuzz build-tsan build-gpu-all build-gpu build-arm64

help:
	@echo "make              build into $(BUILD)/bin"
	@echo "make test         build and run every test (TEST_JOBS=2 at once)"
	@echo "make pipeline     text to samples, by the tools (DATA=stories, DATA=shakespeare; STEPS=N)"
	@echo "make pipeline MODEL=bert  text to a classifier, its predictions and accuracy (DATA=reviews)"
	@echo "make bench        measure speed"
	@echo "make sanitize     the tests under ASan and UBSan"
	@echo "make tsan         the tests of what threads share under ThreadSanitizer"
	@echo "make fuzz         every reader fed with mutated files, SECONDS=60 each (clang)"
	@echo "make faults       every call that can fail fails, kill -9 and power cuts at every moment: some minutes"
	@echo "make test-interop exchange files with transformers, PyTorch, llama.cpp, TensorFlow (downloads 4 GB from PyPI)"
	@echo "make test-arm64   unit tests and tools compiled for arm64, under qemu-user: an hour on 2 cores"
	@echo "make cusim-long   the CUDA backend's simulated tests in SEEDS=20 orders of the threads"
	@echo "make gpu-all      build for every GPU that this nvcc knows, into build-gpu-all"
	@echo "make gpu-check    tests and benchmarks on this machine's GPU"
	@echo "make gpu-bundle   the same as an archive for another machine (GPTPIPE_CUDA_ARCHS='80-real;90-real')"
	@echo "make install      into PREFIX=$(PREFIX); SHORT_NAMES=OFF: gptpipe train alone, not train"
	@echo "make uninstall    remove what make install has installed"
	@echo "make format       clang-format, in place"
	@echo "make lint         clang-tidy and cppcheck"
	@echo "make clean        remove what was built"
