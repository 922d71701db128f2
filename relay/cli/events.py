"""`relay events`: the catalogue of the log."""

import click

from relay.cli.tables import print_json, print_table


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def events(*, as_json: bool) -> None:
    """List every event that the log can hold: level, meaning and fields.

    \b
    Example:
      relay events
      relay events --json | jq '.[] | select(.level == "error") | .event'

    A field in brackets is not always there. Every line also has timestamp, level and event. What an event wants of a
    person (page: now, ticket: the same working day, look: when there is time) is told by the section of
    docs/runbook.md that has its name.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay.attention import ATTENTION, runbook_section
    from relay.log import CATALOGUE

    if as_json:
        print_json(
            [
                {
                    "event": event.value,
                    "level": entry.level,
                    "meaning": entry.meaning,
                    "fields": entry.fields,
                    "optional_fields": entry.optional,
                    "action": ATTENTION[event].action if event in ATTENTION else None,
                    "when": ATTENTION[event].when if event in ATTENTION else None,
                    "runbook": runbook_section(event),
                }
                for event, entry in CATALOGUE.items()
            ]
        )
        return
    print_table(
        ["event", "level", "wants", "meaning", "fields"],
        [
            (
                event.value,
                entry.level,
                ATTENTION[event].action if event in ATTENTION else "",
                entry.meaning,
                " ".join([*entry.fields, *(f"[{name}]" for name in entry.optional)]),
            )
            for event, entry in CATALOGUE.items()
        ],
    )
