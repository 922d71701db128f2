"""The container recipe, as far as it can be read without an engine."""

from parts.container import instructions


def test_it_is_not_root_and_of_a_named_release() -> None:
    """The user is a number, so that an engine can see that it is not root; nothing is fetched by ADD."""
    said = instructions()
    user = dict(said)["USER"]
    assert user.isdecimal()
    assert user != "0"
    assert {rest.split()[0] for word, rest in said if word == "FROM"} == {"debian:bookworm-slim"}
    assert not [rest for word, rest in said if word == "ADD"]


def test_the_program_is_the_first_process_and_its_health_is_its_liveness() -> None:
    """Signals reach it, and no list that waits has it restarted (rule T4)."""
    words = dict(instructions())
    assert (words["ENTRYPOINT"], words["CMD"], words["STOPSIGNAL"]) == ('["relay"]', '["serve"]', "SIGTERM")
    assert words["HEALTHCHECK"].endswith('CMD ["relay", "status", "--health"]')


def test_every_package_has_its_hash() -> None:
    """Dependencies come from the release and are held to the lock file."""
    installs = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    assert installs
    assert all("--no-index" in it and ("--require-hashes" in it or "--no-deps" in it) for it in installs)
