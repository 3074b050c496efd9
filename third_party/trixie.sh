# trixie.sh - an apt root of our own for Debian trixie, so that /etc/apt stays as it is and root is not
# needed. For scripts that read it with `.`: they set tmp, a folder of theirs; open_apt KIND then writes
# $tmp/apt.conf, KIND being deb-src or deb. The mirrors are the machine's own, and its proxies and
# passwords for them hold. apt checks the signature of Debian's index and each file against it.
suite=trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

say() { echo "third_party: $*"; }
die() { echo "third_party: $*" >&2; exit 1; }

# The machine's own mirrors: $main and $security, or empty.
find_mirrors() {
	rows=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' \
		'Created-By: Packages' | grep -v '|cdrom:') || true
	main=$(echo "$rows" | sed -n 's/^Debian|Debian|//p' | head -n 1)
	security=$(echo "$rows" | sed -n 's/^Debian|Debian-Security|//p' | head -n 1)
	[ -z "$main" ] || return 0

	# Where apt-get update never ran, as in a fresh container image, apt knows
	# no origins yet: go by the suites' names. The signature decides anyway.
	code=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
	rows=$(apt-get --print-uris update |
		sed -n "s|^'\(.*\)/dists/\([^/']*\)/InRelease'.*|\2 \1|p" | grep -v ' cdrom:') || true
	main=$(echo "$rows" | sed -n -E "s/^($code|oldstable|stable) //p" | head -n 1)
	security=$(echo "$rows" | sed -n -E "s/^($code|oldstable|stable)-security //p" | head -n 1)
}

open_apt() { # KIND
	[ ! -e "$tmp/apt.conf" ] || return 0
	[ -r $keyring ] || die "$keyring is missing (package debian-archive-keyring)"
	find_mirrors
	[ -n "$main" ] || die "no Debian mirror found in the machine's apt sources"
	mkdir -p "$tmp/sources" "$tmp/lists/partial" "$tmp/cache"
	: >"$tmp/status"
	{
		echo "$1 [signed-by=$keyring] $main $suite main"
		echo "$1 [signed-by=$keyring] $main $suite-updates main"
		# Fixes move to the main archive at each point release; whoever asks
		# says whether they are there.
		[ -z "$security" ] ||
			echo "$1 [signed-by=$keyring] $security $suite-security main"
	} >"$tmp/sources/debian.list"
	[ -n "$security" ] || say "no mirror of Debian-Security here, going on without"
	cat >"$tmp/apt.conf.new" <<-END
		Dir::Etc::sourcelist "/dev/null";
		Dir::Etc::sourceparts "$tmp/sources";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		Dir::State::lists "$tmp/lists";
		Dir::State::status "$tmp/status";
		Dir::Cache "$tmp/cache";
		Acquire::Languages "none";
		Acquire::AllowInsecureRepositories "false";
		Acquire::AllowWeakRepositories "false";
		Acquire::AllowDowngradeToInsecureRepositories "false";
		APT::Get::AllowUnauthenticated "false";
		APT::Update::Error-Mode "any";
		// The user _apt may not enter our directory.
		APT::Sandbox::User "root";
		// Hooks that are meant for the machine's own lists.
		#clear APT::Update::Pre-Invoke;
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
	END
	say "reading the index of Debian $suite"
	apt-get -c "$tmp/apt.conf.new" -qq update ||
		die "cannot get Debian's signed index (is there a network?), and what is wanted of it is not here yet"
	mv "$tmp/apt.conf.new" "$tmp/apt.conf"
}
