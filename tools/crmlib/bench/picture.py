"""What requests cost at each size, as a picture: a line an operation, and what PostgreSQL and pgbench alone need for the same SQL."""

import math

from crmlib.bench.report import TITLES

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 460, 70, 170, 40, 60
COLORS = ("#1b6ca8", "#0b8457", "#c05621", "#7b2d8b", "#4a90c2", "#45a67f", "#d98c5f")  # contacts dark, deals light
LABEL_HEIGHT = 15


def svg(figures: list[dict]) -> str:
    sizes = [one["contacts"] for one in figures]
    names = list(figures[0]["cpu"])
    costs = [one["cpu"][name][key] for one in figures for name in names for key in ("us", "limit_us")]
    x, y = scale(sizes, LEFT, WIDTH - RIGHT), scale(costs, HEIGHT - BOTTOM, TOP)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
             "<title>CPU of a request against the number of records</title>", f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
             f'<text x="{LEFT}" y="22" font-size="14">CPU of a request, µs (service and PostgreSQL); dashed: pgbench and PostgreSQL on the same SQL</text>']
    for cost in ticks(costs):
        parts += [f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(cost):.1f}" y2="{y(cost):.1f}" stroke="#e3e3e3"/>',
                  f'<text x="{LEFT - 8}" y="{y(cost) + 4:.1f}" text-anchor="end">{cost:,}</text>']
    for size in sizes:
        parts += [f'<line x1="{x(size):.1f}" x2="{x(size):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#e3e3e3"/>',
                  f'<text x="{x(size):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{size:,}</text>']
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 15}" text-anchor="middle">contacts, and as many deals</text>')
    places = apart({name: y(figures[-1]["cpu"][name]["us"]) for name in names})
    for name, color in zip(names, COLORS):
        for key, dash in (("us", ""), ("limit_us", ' stroke-dasharray="5 4" opacity="0.7"')):
            points = [(x(one["contacts"]), y(one["cpu"][name][key])) for one in figures]
            line = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"{dash}/>')
            parts += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{color}"/>' for px, py in points]
        parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{places[name] + 4:.1f}" fill="{color}">{TITLES[name]}</text>')
    return "\n".join([*parts, "</svg>", ""])


def scale(values: list[float], begin: float, end: float):
    """Logarithmic, from value to place."""
    low, high = math.log10(min(values)) - 0.05, math.log10(max(values)) + 0.05
    return lambda value: begin + (math.log10(value) - low) / (high - low) * (end - begin)


def ticks(values: list[float]) -> list[int]:
    found = [digit * 10**power for power in range(9) for digit in (1, 2, 5)]
    return [tick for tick in found if min(values) * 0.9 <= tick <= max(values) * 1.1]


def apart(wanted: dict[str, float]) -> dict[str, float]:
    """The labels' places, none over another."""
    places, last = {}, -math.inf
    for name in sorted(wanted, key=wanted.get):
        last = places[name] = max(wanted[name], last + LABEL_HEIGHT)
    return places
