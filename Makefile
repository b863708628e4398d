# Thin: sets up what is missing, then calls CMake.
BUILD ?= build

.PHONY: all configure clean
all: configure
	@cmake --build $(BUILD) -j

configure:
	@cmake -S . -B $(BUILD) > $(BUILD).log 2>&1 || (cat $(BUILD).log; exit 1)

clean:
	rm -rf $(BUILD)
