#!/usr/bin/env bash
# Installs the packages that are missing, with apt where it may (as root, or by sudo without a password), and
# otherwise prints the exact command. Says nothing when nothing is missing. Debian 12, 13, Ubuntu 22.04, 24.04.
#
#     install-deps.sh            install
#     install-deps.sh --browser  install Chromium too, in which the tests draw the pages of explain.sh (100 MB to download)
#     install-deps.sh --print    print what is missing, one package a line
#     install-deps.sh --help     print this
#
# Exit: 0 when all that is needed is there (what is optional may lack), 1 otherwise.
set -uo pipefail

browser=
case ${1:-} in
'' | --print) ;;
--browser) browser=yes ;;
-h | --help) sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' && exit 0 ;;
*) echo "install-deps: unknown operand '$1' (see install-deps.sh --help)" >&2 && exit 2 ;;
esac

have_program() { command -v "$1" > /dev/null; }
have_module() { pkg-config --exists "$1" 2> /dev/null; }
have_browser() { [ -z "$browser" ] || have_program chromium || have_program chromium-browser || have_program google-chrome; }
have_header() { printf '#include <%s>\n' "$1" | ${CC:-cc} -E - > /dev/null 2>&1; }

# Left in $needed and $optional: the apt packages that lack. The first column says how a package is recognised.
look() {
    needed=() optional=()
    while read -r kind what package use; do
        "have_$kind" "$what" && continue
        if [ "$use" = needed ]; then
            needed+=("$package")
        else
            optional+=("$package")
        fi
    done << 'LIST'
program cc           gcc                   needed
program c++          g++                   needed
program make         make                  needed
program cmake        cmake                 needed
program pkg-config   pkg-config            needed
module  zlib         zlib1g-dev            needed
module  libcurl      libcurl4-openssl-dev  needed
module  libcrypto    libssl-dev            needed
module  libarchive   libarchive-dev        needed
module  yaml-0.1     libyaml-dev           needed
module  jansson      libjansson-dev        needed
module  cmocka       libcmocka-dev         optional
module  libpcre2-8   libpcre2-dev          optional
module  libedit      libedit-dev           optional
header  dnnl.h       libdnnl-dev           optional
browser -            chromium              optional
LIST
}

look
missing=(${needed[@]+"${needed[@]}"} ${optional[@]+"${optional[@]}"})
if [ "${1:-}" = --print ]; then
    [ ${#missing[@]} -eq 0 ] || printf '%s\n' "${missing[@]}"
    exit $((${#needed[@]} > 0))
fi
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
    as_root=(sudo -n)
fi
if have_program apt-get && { [ ${#as_root[@]} -eq 0 ] || sudo -n true 2> /dev/null; }; then
    quiet_apt() {
        ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
            --no-install-recommends "$@" > /dev/null
    }
    echo "install-deps: installing ${missing[*]}" >&2
    # A fresh container has no lists, or old ones: then the first try fails, and they are fetched.
    if ! quiet_apt install "${missing[@]}" 2> /dev/null && quiet_apt update &&
        ! quiet_apt install "${missing[@]}"; then
        for package in "${missing[@]}"; do # one that this release lacks must not keep out the others
            quiet_apt install "$package" 2> /dev/null
        done
    fi
    look
fi

if [ ${#needed[@]} -gt 0 ]; then
    printf 'install-deps: packages are missing; as root, on Debian and Ubuntu:\n\n    %s\n\n' \
        "apt-get update && apt-get install -y --no-install-recommends ${needed[*]} ${optional[*]-}" >&2
    exit 1
fi
if [ ${#optional[@]} -gt 0 ]; then
    echo "install-deps: going on without ${optional[*]} (as root: apt-get install ${optional[*]})" >&2
fi
