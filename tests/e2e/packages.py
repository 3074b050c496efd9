"""npm packages that tests run: those of a folder's package-lock.json."""
import fcntl, json, os, subprocess


def installed(folder):
    """The folder, in whose node_modules lies what package-lock.json says; npm is asked only for what does not."""
    def packages(name):
        try:
            with open(os.path.join(folder, name)) as f:
                return {k: v["version"] for k, v in json.load(f)["packages"].items() if k}
        except OSError:
            return None

    with open(os.path.join(folder, "package.json")) as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if packages("package-lock.json") != packages("node_modules/.package-lock.json"):
            p = subprocess.run(["npm", "ci", "--silent", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"],
                               cwd=folder, capture_output=True, text=True)
            assert p.returncode == 0, "npm ci in %s: %s" % (folder, p.stderr)
    return folder
