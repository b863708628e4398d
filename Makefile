# Thin: sets up what is missing, then calls CMake. `make` builds into build/bin; `make help` lists the rest.
BUILD ?= build
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local

CMAKE_FLAGS ?=
CLANG_FORMAT ?= clang-format
CLANG_TIDY ?= clang-tidy

MAKEFLAGS += --no-print-directory

.PHONY: all deps configure test pipeline bench sanitize install format format-check tidy clean help
all: configure
	@cmake --build $(BUILD) -j $(JOBS)

deps:
	@pipelines/install-deps.sh

# The table of packages is shown the first time, and the whole output when it fails.
configure: deps
	@if [ -e $(BUILD)/Makefile ]; then show=; else show=1; fi; mkdir -p $(BUILD); \
	cmake -S . -B $(BUILD) -DCMAKE_INSTALL_PREFIX=$(PREFIX) $(CMAKE_FLAGS) > $(BUILD)/configure.log 2>&1 || \
	    { cat $(BUILD)/configure.log; exit 1; }; \
	[ -z "$$show" ] || sed -n '/what was found/,/^-- Configuring/p' $(BUILD)/configure.log | sed '/^-- Conf/d'

test: all
	@tests/run.sh $(BUILD)

# DATA=stories or DATA=shakespeare, STEPS=N; see the script. Tests are not built for it.
pipeline: configure
	@cmake --build $(BUILD) -j $(JOBS) --target tools
	@BIN=$(BUILD)/bin pipelines/pipeline.sh

bench: all
	@BIN=$(BUILD)/bin bench/run.sh

# The tests under AddressSanitizer (leaks included) and UndefinedBehaviorSanitizer. What these add to the code draws
# warnings of its own, so here they are none of our errors.
sanitize:
	@$(MAKE) BUILD=build-asan test \
	    CMAKE_FLAGS="-DGPTPIPE_SANITIZE=address,undefined -DGPTPIPE_WERROR=OFF $(CMAKE_FLAGS)"

# DESTDIR=... stages it for packaging.
install: all
	@cmake --install $(BUILD) --prefix $(PREFIX)

SOURCES = $(shell git ls-files '*.c' '*.h' 2>/dev/null || find include libcommon tools tests examples -name '*.[ch]')

format:
	@$(CLANG_FORMAT) -i $(SOURCES)

format-check:
	@$(CLANG_FORMAT) --dry-run -Werror $(SOURCES)

tidy: configure
	@$(CLANG_TIDY) -p $(BUILD) --quiet $(filter libcommon/%.c tools/%.c,$(SOURCES))

clean:
	rm -rf $(BUILD) build-asan build-ref build-clang

help:
	@echo "make              build into $(BUILD)/bin"
	@echo "make test         build and run every test"
	@echo "make pipeline     text to samples, with all six tools (DATA=stories, DATA=shakespeare; STEPS=N)"
	@echo "make bench        measure speed"
	@echo "make sanitize     the tests under ASan and UBSan"
	@echo "make install      into PREFIX=$(PREFIX)"
	@echo "make format       clang-format, in place"
	@echo "make tidy         clang-tidy"
	@echo "make clean        remove what was built"
