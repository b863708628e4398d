#!/usr/bin/env bash
# Makes a folder with the arm64 libraries and headers that gptpipe needs, from the archives that apt is configured with.
# Needs no root and changes nothing of the machine's own packages: apt has a state of its own, beside the folder.
#
#     tests/arm64/sysroot.sh FOLDER
set -euo pipefail
sysroot=$(realpath -m "$1") state=$(realpath -m "$1").apt
packages=(libc6-dev libgcc-s1 libgomp1 libstdc++6 zlib1g-dev libcurl4-openssl-dev libssl-dev libarchive-dev libyaml-dev
    libjansson-dev libcmocka-dev libpcre2-dev)
[ ! -e "$sysroot/complete" ] || exit 0

rm -rf "$sysroot" "$state"
mkdir -p "$sysroot" "$state/lists/partial" "$state/archives/partial"
: > "$state/status"
cat > "$state/conf" << LIST
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Install-Recommends "0";
APT::Sandbox::User "";
Debug::NoLocking "1";
Dir::State "$state";
Dir::State::status "$state/status";
Dir::Cache "$state";
LIST
export APT_CONFIG=$state/conf
if ! apt-get -qq update > "$state/log" 2>&1 ||
    ! apt-get -qq -y --download-only install "${packages[@]}" >> "$state/log" 2>&1; then
    cat "$state/log" >&2
    exit 1
fi
for package in "$state"/archives/*.deb; do
    dpkg-deb -x "$package" "$sysroot"
done

# Links to /lib/... would leave the folder.
find "$sysroot" -type l -lname '/*' | while IFS= read -r link; do
    ln -sfn "$(realpath -ms --relative-to="$(dirname "$link")" "$sysroot$(readlink "$link")")" "$link"
done
rm -rf "$state"
touch "$sysroot/complete"
