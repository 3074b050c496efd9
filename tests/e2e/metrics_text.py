"""Reads metrics in Prometheus' text format 0.0.4 and in OpenMetrics 1.0, strictly: what either forbids is an error."""
import math, re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*$")
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,(?=.)|$)')
SUFFIXES = {"counter": ["_total"], "gauge": [""], "info": ["_info"], "histogram": ["_bucket", "_count", "_sum"]}


def labels_of(text):
    found, at = [], 0
    while at < len(text):
        m = LABEL.match(text, at)
        assert m, "these are no labels: " + text
        value = re.sub(r"\\(.)", lambda e: "\n" if e.group(1) == "n" else e.group(1), m.group(2))
        found.append((m.group(1), value))
        at = m.end()
    assert len(dict(found)) == len(found), "a label comes twice: " + text
    return tuple(sorted(found))


def family_of(name, families):
    """The family that this sample belongs to, and its suffix."""
    for family, kind in families.items():
        for suffix in SUFFIXES[kind]:
            if name == family + suffix:
                return family, suffix
    raise AssertionError("no TYPE before " + name)


def check_histograms(found, families):
    """Each bucket holds those below it; the last is the count."""
    series = {}
    for (name, labels), value in found.items():
        family, suffix = family_of(name, families)
        if families[family] != "histogram":
            continue
        rest = tuple(l for l in labels if l[0] != "le")
        one = series.setdefault((family, rest), {"buckets": []})
        if suffix == "_bucket":
            one["buckets"].append((float(dict(labels)["le"]), value))
        else:
            one[suffix] = value
    for key, one in series.items():
        bounds, counts = zip(*one["buckets"])
        assert list(bounds) == sorted(set(bounds)) and bounds[-1] == math.inf, (key, bounds)
        assert list(counts) == sorted(counts) and counts[-1] == one["_count"] and one["_sum"] >= 0, (key, one)


def read_metrics(text):
    """{(name, ((label, value), ...)): number}."""
    assert text.endswith("\n") and "\r" not in text, text[-100:]
    lines = text[:-1].split("\n")
    openmetrics = lines[-1] == "# EOF"
    if openmetrics:
        lines.pop()
    families, helped, found, current, closed = {}, set(), {}, None, set()
    for line in lines:
        if line.startswith("# "):
            word, name, rest = line[2:].split(" ", 2)
            assert NAME.match(name) and word in ("TYPE", "HELP", "UNIT"), line
            family = name
            if not openmetrics and name.endswith("_total"):
                family = name[:-6]
            if word == "TYPE":
                assert rest in SUFFIXES and family not in families, line
                assert openmetrics or (rest == "counter") == name.endswith("_total"), line
                assert not (openmetrics and name.endswith("_total")), line
                families[family] = rest
            elif word == "HELP":
                assert rest.strip() and family not in helped, line
                helped.add(family)
            else:
                assert openmetrics and name.endswith("_" + rest), line
            continue
        m = SAMPLE.match(line)
        assert m, "this is no sample: " + line
        name, value = m.group(1), float(m.group(3))
        family, _ = family_of(name, families)
        if family != current:
            assert family not in closed, "its samples are not together: " + family
            closed.add(current)
            current = family
        key = (name, labels_of(m.group(2) or ""))
        assert key not in found, "twice: " + line
        assert families[family] == "gauge" or (value >= 0 and math.isfinite(value)), line
        found[key] = value
    assert helped >= set(families), "without HELP: %s" % (set(families) - helped)
    check_histograms(found, families)
    return found


def total(found, name, **labels):
    """The sum of all series with these labels."""
    return sum(v for (n, l), v in found.items() if n == name and labels.items() <= dict(l).items())
