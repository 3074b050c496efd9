#!/bin/sh
# arm64.sh DIR PACKAGE... - unpacks Debian packages of arm64 into DIR, for tests that run there under
# qemu-user. Nothing is installed, and the machine's own apt stays as it is: it needs no root. apt
# checks Debian's signatures; the mirrors are the machine's own. With DIR/stamp there is nothing to do.
set -eu
umask 022
LC_ALL=C
export LC_ALL

dir=$1
shift
[ ! -e "$dir/stamp" ] || exit 0
rm -rf "$dir"
mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache" "$dir/packages"
dir=$(cd "$dir" && pwd)
: >"$dir/apt/status"
cat >"$dir/apt/conf" <<EOF
APT::Architecture "arm64";
APT::Architectures "arm64";
Dir::State::lists "$dir/apt/lists";
Dir::State::status "$dir/apt/status";
Dir::Cache "$dir/apt/cache";
Acquire::Languages "none";
APT::Update::Error-Mode "any";
// The user _apt may not enter our directory.
APT::Sandbox::User "root";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
EOF
echo "third_party: fetching $* for arm64"
APT_CONFIG=$dir/apt/conf apt-get -qq update || {
	echo "third_party: cannot get Debian's signed index for arm64 (is there a network?)" >&2
	exit 1
}
(cd "$dir/packages" && APT_CONFIG=$dir/apt/conf apt-get -qq download "$@")
for package in "$dir"/packages/*.deb; do dpkg -x "$package" "$dir"; done
rm -rf "$dir/apt" "$dir/packages"
echo "$*" >"$dir/stamp"
