"""Draws what bench/run found: CPU time per request, one panel a kind of
request, one group of bars a number of connections, with the least and the
greatest of all runs as whiskers.  Plain SVG, written by hand.
"""

from xml.sax.saxutils import escape

COLORS = {"veil": "#0f766e", "nginx": "#94a3b8", "haproxy": "#c7b299",
          "h2o": "#a5b4fc"}
KINDS = [
    ("return", "return 200"),
    ("static1k", "static file, 1 KB"),
    ("static1m", "static file, 1 MB"),
    ("proxy1k", "proxied, 1 KB"),
    ("tls1k", "static file, 1 KB, TLS keep-alive"),
    ("tls1m", "static file, 1 MB, TLS keep-alive"),
    ("handshake", "full TLS handshake and a request"),
    ("resumed", "resumed TLS handshake and a request"),
    ("h2c-static1k", "h2c, static file, 1 KB, 100 streams"),
    ("h2c-proxy1k", "h2c, proxied, 1 KB, 100 streams"),
    ("h2c-static1m", "h2c, static file, 1 MB, 100 streams"),
    ("h2c-proxy1m", "h2c, proxied, 1 MB, 10 to 100 streams"),
    ("h2-static1k", "HTTP/2 over TLS, static file, 1 KB"),
    ("h2-proxy1k", "HTTP/2 over TLS, proxied, 1 KB"),
    ("h2-static1m", "HTTP/2 over TLS, static file, 1 MB"),
    ("h2-proxy1m", "HTTP/2 over TLS, proxied, 1 MB"),
]
VARIANTS = {
    "ecdsa": "P-256",
    "ecdsa12": "P-256, TLS 1.2",
    "rsa": "RSA-2048",
    "tls13": "TLS 1.3",
    "tls12": "TLS 1.2",
}
WIDTH, PANEL_W, PANEL_H, TOP, GAP = 960, 440, 270, 112, 26
INK, DIM, LINE = "#0f172a", "#64748b", "#e2e8f0"


def text(x, y, s, size=12, anchor="start", color=INK, weight="normal"):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}"'
        f' text-anchor="{anchor}" font-weight="{weight}">{escape(s)}</text>'
    )


def rect(x, y, w, h, color, extra=""):
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"'
        f' fill="{color}" {extra}/>'
    )


def line(x1, y1, x2, y2, color, width=1.0):
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        f' stroke="{color}" stroke-width="{width}"/>'
    )


def steps(top):
    """Round values for the axis, four or so of them."""
    for base in (10.0**e for e in range(-3, 7)):
        for m in (1, 2, 2.5, 5):
            if top / (base * m) <= 5:
                step = base * m
                return [step * i for i in range(int(top / step) + 1)]
    return [0, top]


def number(v):
    return f"{v:.0f}" if v >= 100 else f"{v:.1f}" if v >= 10 else f"{v:.2f}"


def thousands(v):
    return f"{v / 1000:.0f}k/s" if v >= 20000 else f"{v:,.0f}/s"


def panel(x0, y0, title, groups, servers):
    """groups: [(label, {server: result})]"""
    left, right = x0 + 40, x0 + PANEL_W - 8
    top, bottom = y0 + 44, y0 + PANEL_H - 48
    greatest = max(
        e["cpu_us"]["max"] for _, results in groups for e in results.values()
    )
    scale = (bottom - top) / (greatest * 1.1)
    out = [text(x0 + 4, y0 + 20, title, 15, weight="600")]

    for v in steps(greatest * 1.1):
        y = bottom - v * scale
        out.append(line(left, y, right, y, LINE))
        out.append(
            text(left - 6, y + 4, f"{v:g}", 11, "end", DIM)
        )

    step = (right - left) / len(groups)
    for i, (label, results) in enumerate(groups):
        there = [s for s in servers if s in results]
        width = min(50.0, (step - 28) / max(len(there), 1) - 6)
        start = left + step * (i + 0.5) - len(there) * (width + 6) / 2
        out.append(
            text(left + step * (i + 0.5), bottom + 38, label, 12, "middle",
                 DIM)
        )
        for j, s in enumerate(there):
            e = results[s]
            cpu = e["cpu_us"]
            x = start + j * (width + 6) + 3
            y = bottom - cpu["median"] * scale
            middle = x + width / 2
            high = bottom - cpu["max"] * scale
            low = bottom - cpu["min"] * scale
            out.append(rect(x, y, width, bottom - y, COLORS[s], 'rx="2"'))
            for a, b, c, d in (
                (middle, high, middle, low),
                (middle - 5, high, middle + 5, high),
                (middle - 5, low, middle + 5, low),
            ):
                out.append(line(a, b, c, d, "#334155", 1.4))
            out.append(
                text(middle, high - 6, number(cpu["median"]), 12, "middle",
                     INK, "600" if s == "veil" else "normal")
            )
            out.append(
                text(middle, bottom + 17, thousands(e["rps"]["median"]),
                     10.5, "middle", DIM)
            )
    out.append(line(left, bottom, right, bottom, "#94a3b8"))
    return out


def svg(document):
    servers = [s for s in COLORS if s in document["servers"]]
    panels = []
    for kind, title in KINDS:
        groups = []
        for name, results in document["scenarios"].items():
            if name.startswith(kind + "-"):
                *variant, connections = name[len(kind) + 1:].split("-")
                label = f"{int(connections):,} connections"
                if connections == "1":
                    label = "1 connection"
                if variant:
                    label = VARIANTS[variant[0]]
                groups.append((label, results))
        if groups:
            panels.append((title, groups))

    rows = (len(panels) + 1) // 2
    height = TOP + rows * (PANEL_H + GAP) + 4
    m = document["machine"]
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}"'
        f' height="{height}" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="Inter, DejaVu Sans, Helvetica, Arial, sans-serif">',
        rect(0, 0, WIDTH, height, "#ffffff"),
        text(30, 36, "CPU time of the server per request, in microseconds",
             20, weight="600"),
        text(30, 58,
             "less is better; bars: median, whiskers: least and greatest of"
             f" {document['runs']} alternated runs of"
             f" {document['duration']} s; below: requests per second", 12,
             color=DIM),
        text(WIDTH - 30, 90, f"{m['cpu']}, Linux {m['kernel']}", 11, "end",
             DIM),
    ]
    x = 30.0
    for s in servers:
        out.append(rect(x, 80, 12, 12, COLORS[s], 'rx="2"'))
        label = document["servers"][s]
        out.append(text(x + 18, 90, label, 12))
        x += 44 + 7.2 * len(label)

    for i, (title, groups) in enumerate(panels):
        x0 = 30 + (i % 2) * (PANEL_W + 20)
        y0 = TOP + (i // 2) * (PANEL_H + GAP)
        out += panel(x0, y0, title, groups, servers)
    out.append("</svg>\n")
    return "\n".join(out)
