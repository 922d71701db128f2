"""The segment that the names of a file tell: the landed file's, and those of the members it came in (rule S3)."""

from relay.rewrite.files import SourceFile
from relay.rewrite.mask import mask_name
from relay.rewrite.rules import SegmentRules
from relay.rewrite.segment import name_in_path
from relay.rewrite.unusable import Unusable, UnusableSource


def segment_in_names(source: SourceFile, rules: SegmentRules, *, is_alone: bool) -> str:
    """Return what the route's pattern finds in the names of a file.

    Args:
        source: the file.
        rules: the route's rules, which have a pattern.
        is_alone: no other file came out of what landed: its name then comes before a member's.

    Raises:
        UnusableSource: it finds nothing, or different segments in the names of an archive and of its member.
    """
    landed = name_in_path(source.name, rules)
    within = [name for it in source.within if (name := name_in_path(it, rules)) is not None]
    if landed is not None and (is_alone or not within):
        return landed
    if not within:
        raise _no_segment(source, rules.pattern or "")
    found = list(dict.fromkeys([*([] if landed is None else [landed]), *within]))
    if len(found) > 1:
        raise UnusableSource(
            Unusable.AMBIGUOUS_SEGMENT_IN_PATH,
            f"segment.pattern finds {mask_name(found[0])} in the archive's name and {mask_name(found[-1])} in its "
            "member's; one segment was expected",
            "Have the pattern match only the names that tell the segment, for instance by the extension at their end: "
            r"`\.zip$` for the archive's, `\.csv$` for the members'.",
        )
    return found[0]


def _no_segment(source: SourceFile, pattern: str) -> UnusableSource:
    part = "path" if "/" in pattern else "name"
    where = f"the file's {part}" + (", nor in that of the archive's member" if source.within else "")
    return UnusableSource(
        Unusable.NO_SEGMENT_IN_PATH,
        f"segment.pattern is not in {where}",
        "Have the pattern match the names that Amperity gives these files: the last part of the path, or all of it if "
        "the pattern has a / itself. `relay preview` tries it, with `--in` for a path.",
    )
