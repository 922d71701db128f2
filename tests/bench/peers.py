"""One engine on one export: `peers.py ENGINE EXPORT DIRECTORY [MOST_ROWS]`. See `rewrite.py` for what they are."""

import csv
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final


def relay(export: Path, out: Path, _most: int) -> None:
    """The relay's rewrite, whole."""
    from relay.rewrite.engine import rewrite
    from relay.rewrite.files import SourceFile
    from relay.rewrite.rules import Rules

    kind = "email" if "email" in export.name else "phone"
    rewrite([SourceFile(export, export.name)], Rules.model_validate({"identifier": kind}), out / "rewrite")


def plain(export: Path, out: Path, most: int) -> None:
    """The csv module, and the library for every row."""
    if "email" in export.name:
        from email_validator import EmailNotValidError, validate_email

        def judge(cell: str) -> str | None:
            try:
                return validate_email(cell, check_deliverability=False).normalized.lower()
            except EmailNotValidError:
                return None
    else:
        import phonenumbers

        def judge(cell: str) -> str | None:
            try:
                number = phonenumbers.parse(cell, "US")
            except phonenumbers.NumberParseException:
                return None
            return str(number.national_number) if phonenumbers.is_valid_number(number) else None

    _row_by_row(export, out, most, judge)


def projection_csv(export: Path, out: Path, most: int) -> None:
    """The csv module, two columns, no judging."""
    _row_by_row(export, out, most, lambda cell: cell, dedupe=False)


def _row_by_row(export: Path, out: Path, most: int, judge: Callable[[str], str | None], *, dedupe: bool = True) -> None:
    counts: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    lists: dict[str, object] = {}
    with export.open(encoding="utf-8", newline="") as source, (out / "rejects.csv").open("w", newline="") as rejected:
        rows, rejects = csv.reader(source), csv.writer(rejected)
        header = next(rows)
        where, segment_at = header.index("email" if "email" in header else "phone"), header.index("segment_name")
        for row in rows:
            counts["in"] += 1
            if counts["in"] > most:
                break
            segment, identifier = row[segment_at], judge(row[where])
            if identifier is None:
                counts["rejected"] += 1
                rejects.writerow((rows.line_num, "invalid"))
            elif dedupe and (segment, identifier) in seen:
                counts["duplicates"] += 1
            else:
                if dedupe:
                    seen.add((segment, identifier))
                if segment not in lists:
                    lists[segment] = csv.writer((out / f"{len(lists)}.csv").open("w", newline="")).writerow
                counts["out"] += 1
                lists[segment]((identifier, segment))  # type: ignore[operator]
    (out / "counts").write_text(str(counts))


def duckdb(export: Path, out: Path, _most: int) -> None:
    """DuckDB, in SQL."""
    _sql(
        f"""
        CREATE TABLE judged AS SELECT segment_name, phone,
            regexp_extract(regexp_replace(phone, '[\\s().\\-/]', '', 'g'), '^(?:\\+?1|0111|001)?(\\d{{10}})$', 1)
            AS digits
        FROM {_scan(export)};
        COPY (SELECT DISTINCT digits, segment_name FROM judged WHERE digits <> '')
            TO '{out}/lists' (FORMAT csv, HEADER false, PARTITION_BY (segment_name), WRITE_PARTITION_COLUMNS true);
        COPY (SELECT phone FROM judged WHERE digits = '') TO '{out}/rejects.csv' (FORMAT csv);
        COPY (SELECT segment_name, count(*) FROM judged GROUP BY 1) TO '{out}/counts.csv' (FORMAT csv);
        """
    )


def projection_duckdb(export: Path, out: Path, _most: int) -> None:
    """DuckDB, two columns, no judging."""
    _sql(f"COPY (SELECT phone, segment_name FROM {_scan(export)}) TO '{out}/list.csv' (FORMAT csv, HEADER false)")


def _scan(export: Path) -> str:
    return f"read_csv('{export}', all_varchar = true, header = true)"


def _sql(statements: str) -> None:
    import duckdb as engine

    connection = engine.connect(config={"threads": 1})
    connection.execute(statements)


def pandas(export: Path, out: Path, _most: int) -> None:
    """pandas, by columns, in chunks of a million rows."""
    import pandas as pd

    seen: dict[str, list[object]] = {}
    chunks = pd.read_csv(export, usecols=["phone", "segment_name"], dtype=str, keep_default_na=False, chunksize=10**6)
    with (out / "rejects.csv").open("w") as rejects:
        for chunk in chunks:
            compact = chunk["phone"].str.replace(r"[\s().\-/]", "", regex=True)
            digits = compact.str.extract(r"^(?:\+?1|0111|001)?(\d{10})$", expand=False)
            chunk[digits.isna()].to_csv(rejects, columns=["phone"], header=False)
            for segment, those in digits.dropna().astype("int64").groupby(chunk["segment_name"]):
                seen.setdefault(str(segment), []).append(those)
    for number, (segment, parts) in enumerate(seen.items()):
        whole = pd.concat(parts).drop_duplicates().to_frame()
        whole.assign(segment=segment).to_csv(out / f"{number}.csv", header=False, index=False)


def miller(export: Path, out: Path, _most: int) -> None:
    """Miller."""
    program = (
        '$digits = gsub(string($phone), "[-() ./]", "");'
        r'if (string($digits) =~ "^([+]?1|0111|001)?([0-9]{10})$") {$digits = "\2"}'
        'else {tee > ENV["OUT"]."/rejects.csv", $*; $digits = ""}'
    )
    steps = (
        *("cut", "-f", "phone,segment_name"),
        *("then", "put", program),
        *("then", "filter", '$digits != ""'),
        *("then", "head", "-n", "1", "-g", "digits,segment_name"),
        *("then", "cut", "-o", "-f", "digits,segment_name"),
        *("then", "split", "-g", "segment_name", "--prefix", str(out / "list")),
    )
    subprocess.run(["mlr", "--csv", "-S", *steps, str(export)], check=True, env=os.environ | {"OUT": str(out)})


PEERS: Final = {
    "relay": relay,
    "plain": plain,
    "pandas": pandas,
    "duckdb": duckdb,
    "miller": miller,
    "projection_duckdb": projection_duckdb,
    "projection_csv": projection_csv,
}

if __name__ == "__main__":
    engine, export, out, *most = sys.argv[1:]
    PEERS[engine](Path(export), Path(out), int(most[0]) if most else sys.maxsize)
