"""Hold what is decided in bulk against the reference rules: millions of generated and adversarial cells.

`python tests/bench/differential.py` judges ten million cells (eight million numbers, two million addresses) both ways,
and asks `phonenumbers` about a number of each of the ten million beginnings of seven digits. It takes about a quarter
of an hour on two idle cores, prints what it found, and fails at the first difference. `--cells`, `--beginnings` and
`--seed` make it smaller, or another one.
"""

import argparse
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from random import Random
from typing import Final

import numpy as np

from relay.rewrite.bulk import judged
from relay.rewrite.bulk.cells import Cells
from relay.rewrite.bulk.emails import Domains, Emails
from relay.rewrite.bulk.existence import asked, existing
from relay.rewrite.bulk.judged import Identifiers
from relay.rewrite.bulk.phones import Phones
from relay.rewrite.email import judge_email
from relay.rewrite.mask import mask_identifier
from relay.rewrite.phone import judge_phone
from relay.rewrite.row import is_blank
from relay.rewrite.rules import EmailRules, PhoneRules
from relay.rewrite.verdict import Identifier, Rejected

CHUNK: Final = 50_000
FEW: Final = 50
"""Cells of numbers judged at once: fewer than the shapes that are told apart, so that none is left for want of room."""
BEGINNINGS: Final = 10**7

LAYOUTS: Final = (
    *(
        "##########",
        "###-###-####",
        "(###) ###-####",
        "(###)-###-####",
        "+1##########",
        "1##########",
        "+1 (###) ### ####",
    ),
    *("###.###.####", "1-###-###-####", " ### ### #### ", "1.###.###.####", "011 1 ##########", "00 1 ###/###/####"),
    *(
        "###-###-#### x##",
        "##########x###",
        "###-###-#### ext. #",
        "##########,###",
        "###-####-##;###",
        "### ### #### #4",
    ),
    *(
        "##########.0",
        "##########.##",
        "#######.###",
        "########,#",
        "#.#########E9",
        "#e+10",
        "-##########",
        "#######.000",
    ),
    *("###-####", "+## ### ## ###", "00## ### ## ###", "011 ## ########", "+1 1 ### ### ####", "11##########"),
    *("############", "##########/##########", "###-###-####;###-###-####", "##########c####", "+1+###-###-####"),
    *("n/a", "1-800-FLOWERS", "unknown", "none", "jane@example.com", "###\u2011###\u2011####", "(###)\u00a0###-####"),
    *(
        "\uff11##########",
        "###\u200b#######",
        "+1\u2012###\u2013###\u2014####",
        "²#########",
        "###＠###",
        "tel:###-###-####",
    ),
    *("", " ", "\u200b", "-", "+", "#", "x####", "доб ####", "########## доб ##", "##########~##", "++1##########"),
)
SIGNS: Final = [
    *"0123456789+-. ()/xX#;,eE@:~\t*",
    "\u00a0",
    "\u2011",
    "\u200b",
    "\uff15",
    "²",
    "ext",
    "00",
    "011",
    "+1",
]
DOMAINS: Final = (
    *(
        "example.com",
        "EXAMPLE.com",
        "mail.example.org",
        "example.net",
        "example.edu",
        "example.co.uk",
        "example",
        "exa_mple.com",
        "-example.com",
        "example.com.",
    ),
    *(
        "xn--exmple-cua.com",
        "exämple.com",
        "example..com",
        "localhost",
        "example.test",
        "[192.0.2.1]",
        "a." * 130 + "com",
    ),
)
PLAIN: Final = [*"abcdefghijklmnopqrstuvwxyzABCXYZ0123456789" * 2, *"._+-"]
LOCALS: Final = [*PLAIN, *"._+-!#', @é", '"', ".."]


def numbers(chance: Random) -> Iterator[str]:
    """Yield cells in the layouts that occur, their digits by chance, every third with a change or two."""
    while True:
        cell = "".join(str(chance.randrange(10)) if sign == "#" else sign for sign in chance.choice(LAYOUTS))
        for _ in range(chance.choice((0, 0, 1, 2))):
            at = chance.randrange(len(cell) + 1)
            cell = cell[:at] + chance.choice(SIGNS) + cell[at + chance.randrange(2) :]
        yield cell


def addresses(chance: Random) -> Iterator[str]:
    """Yield addresses, most of them plain, and things that look like one."""
    while True:
        local = "".join(chance.choices(PLAIN if chance.random() < 0.7 else LOCALS, k=chance.choice((1, 5, 12, 20, 66))))
        cell = f"{local}@{chance.choice(DOMAINS[:6] if chance.random() < 0.7 else DOMAINS)}"
        yield chance.choice(
            (cell, cell, cell.upper(), f" {cell} ", cell.replace("@", ""), f"+1 212 555 01{len(cell):02}")
        )


def judge_numbers(seed: int) -> Counter[str]:
    """Judge a chunk of numbers both ways."""
    chance = Random(seed)
    rules = PhoneRules.model_validate(
        {"validation": ("format", "nanp", "valid")[seed % 3], "extension": ("reject", "drop")[seed // 3 % 2]}
    )
    source, counts = numbers(chance), Counter[str]()
    for _ in range(CHUNK // FEW):
        cells = [next(source) for _ in range(FEW)]
        counts += _compare(cells, Phones(Cells.of(cells), rules), lambda cell: judge_phone(cell, rules), seed)
    return counts


def judge_addresses(seed: int) -> Counter[str]:
    """Judge a chunk of addresses both ways."""
    chance = Random(seed)
    rules = EmailRules.model_validate({"case": ("lower", "preserve")[seed % 2], "internationalized": seed % 4 > 1})
    source = addresses(chance)
    cells = [next(source) for _ in range(CHUNK)]
    return _compare(cells, Emails(Cells.of(cells), rules, Domains(rules)), lambda cell: judge_email(cell, rules), seed)


def _compare(
    cells: list[str], found: Identifiers, judge: Callable[[str], Identifier | Rejected], seed: int
) -> Counter[str]:
    """Count what was decided in bulk and what was left to the reference rules.

    Raises:
        AssertionError: the two differ.
    """
    counts: Counter[str] = Counter()
    for row, cell in enumerate(cells):
        code = int(found.codes[row])
        if code == judged.STRANGE:
            counts["left to the reference rules"] += 1
            continue
        counts["decided in bulk"] += 1
        same = is_blank(cell) if code == judged.EMPTY else _is(found, row, code, cell, judge(cell))
        assert same, f"seed {seed}, cell {row}: {code}"
    return counts


def _is(found: Identifiers, row: int, code: int, cell: str, expected: Identifier | Rejected) -> bool:
    rows = np.array([row])
    if isinstance(expected, Rejected):
        return (
            code > judged.NONE
            and judged.reason_of(code) is expected.reason
            and found.masked(rows) == [mask_identifier(cell)]
        )
    return (
        code == judged.SENT
        and bool(found.suspects[row]) == expected.suspect
        and judged.lines(found.values(rows), "").decode() == expected.value
    )


def ask_about(first: int) -> Counter[str]:
    """Ask the library about a number of each of a stretch of beginnings, and compare with the table."""
    chance = Random(first)
    stretch = np.array([n * 1000 + chance.randrange(1000) for n in range(first, min(first + CHUNK, BEGINNINGS))])
    assert (existing(stretch) == asked(stretch)).all(), f"beginnings from {first}"
    return Counter(beginnings=len(stretch))


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000_000)
    parser.add_argument("--beginnings", type=int, default=BEGINNINGS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    chunks = max(1, options.cells // CHUNK)
    seeds = range(options.seed * 1_000_000, options.seed * 1_000_000 + chunks)
    began = time.monotonic()
    with ProcessPoolExecutor(options.processes) as pool:
        for what, judge, tasks in (
            ("numbers", judge_numbers, [seed for seed in seeds if seed % 5]),
            ("addresses", judge_addresses, [seed for seed in seeds if seed % 5 == 0]),
            ("beginnings of seven digits", ask_about, list(range(0, options.beginnings, CHUNK))),
        ):
            counts: Counter[str] = sum(pool.map(judge, tasks), Counter())
            print(
                f"{what}: {counts.total():,} without a difference",
                *(f"{n:,} {name}" for name, n in counts.items()),
                sep="; ",
            )
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
