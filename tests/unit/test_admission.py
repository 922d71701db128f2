"""Admission: who gets as far as the greeting, decided by figures alone (rules L20 to L22)."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.landing.admission import Admission, Dropped, Limits, Startups, Verdict
from relay.landing.debts import Debts
from relay.landing.penalties import Offence, Penalties, Tariff
from relay.landing.sources import Network, Sources, plain_address
from relay.model import Ban

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HERE = ip_network("203.0.113.7/32")
TARIFF = Tariff({Offence.REFUSED_LOGIN: 20 * SECOND, Offence.NO_LOGIN: 2 * SECOND}, threshold=50 * SECOND)


SOURCES = [ip_network((ip_address("198.51.100.0") + number, 32)) for number in range(1000)]


def source(number: int) -> Network:
    """One of many sources."""
    return SOURCES[number]


def admission(limits: Limits, penalties: Penalties | None = None) -> Admission:
    """An admission with these limits."""
    return Admission(limits, penalties or Penalties(TARIFF))


# Sources


@pytest.mark.parametrize(
    ("address", "counts_as"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        ("::ffff:203.0.113.7", "203.0.113.7/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_address_counts_as_its_source(address: str, counts_as: str) -> None:
    """An IPv4 address for itself, however it came in; an IPv6 address as its /64."""
    assert str(Sources().source_of(plain_address(address))) == counts_as


def test_how_many_bits_make_a_source_can_be_set() -> None:
    """So that a whole network of attackers counts as one."""
    sources = Sources(ipv4_prefix=24, ipv6_prefix=48)
    assert str(sources.source_of(plain_address("203.0.113.7"))) == "203.0.113.0/24"
    assert str(sources.source_of(plain_address("2001:db8:1:2::3"))) == "2001:db8:1::/48"


def test_exempt_is_an_address_of_an_exempt_network() -> None:
    """Also where it came in by an IPv6 socket; an address of the other family is not."""
    sources = Sources(exempt=(ip_network("203.0.113.0/24"), ip_network("2001:db8::/32")))
    assert sources.is_exempt(plain_address("::ffff:203.0.113.7"))
    assert sources.is_exempt(plain_address("2001:db8:9::1"))
    assert not sources.is_exempt(plain_address("203.0.114.7"))


# Debts


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=30))
def test_debts_add_up_and_time_pays_them_off(steps: list[tuple[int, int]]) -> None:
    """What is owed is what a ledger kept second by second would say."""
    debts, owed, now = Debts(10), 0, NOW
    for waited, charge in steps:
        owed = max(0, owed - waited) + charge
        now += waited * SECOND
        assert debts.charge(HERE, charge * SECOND, now) == owed * SECOND
    assert debts.owed(HERE, now + owed * SECOND) == timedelta(0)


def test_a_charge_can_be_taken_back_and_a_debt_forgiven() -> None:
    """And nobody is owed anything for it."""
    debts = Debts(10)
    debts.charge(HERE, 5 * SECOND, NOW)
    debts.relieve(HERE, 2 * SECOND)
    assert debts.owed(HERE, NOW) == 3 * SECOND
    debts.relieve(HERE, 60 * SECOND)
    assert debts.owed(HERE, NOW) == timedelta(0)
    assert debts.charge(HERE, SECOND, NOW) == SECOND
    debts.forgive(HERE)
    debts.relieve(HERE, SECOND)
    assert debts.owed(HERE, NOW) == timedelta(0)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 100)), min_size=10, max_size=80))
def test_the_table_of_debts_is_bounded_and_forgets_those_that_owe_least(charges: list[tuple[int, int]]) -> None:
    """However many sources there are; who owes most is never forgotten for somebody who owes less."""
    debts, most_owed = Debts(8), timedelta(0)
    for number, charge in charges:
        most_owed = max(most_owed, debts.charge(source(number), charge * SECOND, NOW))
        assert len(debts) <= 8
        assert max(debts.owed(source(it), NOW) for it in range(31)) == most_owed


# Penalties


def test_three_refused_logins_shut_a_source_out_and_no_other() -> None:
    """Only the charge that reaches the threshold is answered with a ban, which lasts until all is paid off."""
    penalties = Penalties(TARIFF)
    assert penalties.punish(HERE, Offence.REFUSED_LOGIN, NOW) is None
    assert penalties.punish(HERE, Offence.REFUSED_LOGIN, NOW + SECOND) is None
    ban = penalties.punish(HERE, Offence.REFUSED_LOGIN, NOW + 2 * SECOND)
    assert ban == Ban("203.0.113.7/32", "refused_login", NOW + 2 * SECOND, NOW + 60 * SECOND)
    assert penalties.is_banned(HERE, NOW + 59 * SECOND)
    assert not penalties.is_banned(source(1), NOW + 59 * SECOND)
    assert penalties.bans(NOW + 59 * SECOND) == [ban]
    assert not penalties.is_banned(HERE, NOW + 60 * SECOND)
    assert penalties.bans(NOW + 60 * SECOND) == []


def test_whoever_is_slow_about_it_is_not_shut_out() -> None:
    """A person mistypes now and then."""
    penalties = Penalties(TARIFF)
    for minute in range(100):
        assert penalties.punish(HERE, Offence.REFUSED_LOGIN, NOW + minute * 20 * SECOND) is None


def test_a_ban_neither_grows_nor_is_one_free_of_charge_afterwards() -> None:
    """Offences of connections that were there before change nothing; afterwards counting begins anew."""
    penalties = Penalties(TARIFF)
    bans = [penalties.punish(HERE, Offence.REFUSED_LOGIN, NOW) for _ in range(9)]
    assert [ban is not None for ban in bans] == [False, False, True] + 6 * [False]
    later = NOW + 60 * SECOND
    bans = [penalties.punish(HERE, Offence.REFUSED_LOGIN, later) for _ in range(3)]
    assert [ban is not None for ban in bans] == [False, False, True]


def test_an_offence_without_a_charge_is_none() -> None:
    """What the tariff does not name costs nothing."""
    penalties = Penalties(TARIFF)
    assert all(penalties.punish(HERE, Offence.BROKEN_PROTOCOL, NOW) is None for _ in range(100))


def test_bans_are_taken_over_and_lifted() -> None:
    """Those of an earlier process hold, unless they are over; one that is lifted leaves nothing owed."""
    penalties = Penalties(TARIFF)
    held = Ban(str(HERE), "no_login", NOW - SECOND, NOW + SECOND)
    penalties.restore([held, Ban(str(source(1)), "no_login", NOW - SECOND, NOW)], NOW)
    assert penalties.bans(NOW) == [held]
    penalties.lift(str(HERE))
    assert not penalties.is_banned(HERE, NOW)
    assert penalties.punish(HERE, Offence.REFUSED_LOGIN, NOW) is None


def test_the_table_of_bans_is_bounded() -> None:
    """A flood of sources fills no memory; those whose bans last longest stay."""
    penalties = Penalties(Tariff({Offence.REFUSED_LOGIN: 60 * SECOND}, threshold=SECOND, most_sources=100))
    for number in range(1000):
        penalties.punish(source(number), Offence.REFUSED_LOGIN, NOW + number * timedelta(milliseconds=1))
    bans = penalties.bans(NOW + SECOND)
    assert 50 <= len(bans) <= 100
    assert str(source(999)) in {ban.source for ban in bans}


def test_another_tariff_holds_from_now_on() -> None:
    """A reload forgives nothing."""
    penalties = Penalties(TARIFF)
    penalties.punish(HERE, Offence.REFUSED_LOGIN, NOW)
    penalties.use(Tariff({Offence.REFUSED_LOGIN: SECOND}, threshold=21 * SECOND))
    assert penalties.punish(HERE, Offence.REFUSED_LOGIN, NOW) is not None


# Admission


@pytest.mark.parametrize(
    ("waiting", "chance", "dropped"),
    [
        (9, 0.0, False),
        (10, 0.29, True),
        (10, 0.31, False),
        (15, 0.64, True),
        (15, 0.66, False),
        (19, 0.92, True),
        (20, 0.999, True),
        (25, 0.999, True),
    ],
)
def test_a_crowd_is_thinned_out_early_and_at_random(waiting: int, chance: float, dropped: bool) -> None:  # noqa: FBT001
    """From `start` on by `rate` percent, growing to all at `full`: the arithmetic of OpenSSH's MaxStartups."""
    assert Startups(10, 30, 20).turns_away(waiting, chance) is dropped


def test_start_and_full_may_be_one() -> None:
    """A plain limit."""
    assert not Startups(10, 30, 10).turns_away(9, 0.0)
    assert Startups(10, 30, 10).turns_away(10, 0.999)
    assert Startups(10, 100, 20).turns_away(10, 0.999)


def test_a_source_has_only_so_many_waiting_at_once() -> None:
    """One that logs in, or leaves, makes room."""
    door = admission(Limits(startups_per_source=2, burst=100))
    assert door.admit(HERE, NOW, 0.5) == door.admit(HERE, NOW, 0.5) == Verdict()
    assert door.admit(HERE, NOW, 0.5) == Verdict(Dropped.SOURCE_FULL)
    assert door.admit(source(1), NOW, 0.5) == Verdict()
    door.logged_in(HERE, exempt=False)
    assert door.admit(HERE, NOW, 0.5) == Verdict()
    door.gave_up(HERE, exempt=False)
    assert door.admit(HERE, NOW, 0.5) == Verdict()


def test_a_source_opens_only_so_many_a_second() -> None:
    """A burst, and then one more whenever its time has come; nobody else is held up."""
    door = admission(Limits(burst=3, rate=5))

    def knock(now: datetime) -> Verdict:
        verdict = door.admit(HERE, now, 0.5)
        if verdict == Verdict():
            door.gave_up(HERE, exempt=False)
        return verdict

    assert [knock(NOW) for _ in range(4)] == [*[Verdict()] * 3, Verdict(Dropped.SOURCE_TOO_FAST)]
    assert knock(NOW + timedelta(milliseconds=190)) == Verdict(Dropped.SOURCE_TOO_FAST)
    assert knock(NOW + timedelta(milliseconds=200)) == Verdict()
    assert knock(NOW + timedelta(milliseconds=200)) == Verdict(Dropped.SOURCE_TOO_FAST)
    assert door.admit(source(1), NOW, 0.5) == Verdict()


def test_what_logs_in_does_not_count_against_the_rate() -> None:
    """A client that opens many connections in quick succession is welcome to."""
    door = admission(Limits(burst=3, rate=1))
    for _ in range(100):
        assert door.admit(HERE, NOW, 0.5) == Verdict()
        door.logged_in(HERE, exempt=False)


def test_who_is_shut_out_is_dropped() -> None:
    """Whatever room there is."""
    penalties = Penalties(TARIFF)
    penalties.restore([Ban(str(HERE), "no_login", NOW, NOW + SECOND)], NOW)
    door = admission(Limits(), penalties)
    assert door.admit(HERE, NOW, 0.5) == Verdict(Dropped.BANNED)
    assert door.admit(HERE, NOW + SECOND, 0.5) == Verdict()


def test_a_newcomer_takes_the_place_of_one_of_the_greediest_source() -> None:
    """So few addresses never keep a client out; where all have as many, the dice decide."""
    door = admission(Limits(Startups(4, 100, 4), startups_per_source=3, burst=100))
    for number in (1, 1, 1, 2):
        assert door.admit(source(number), NOW, 0.5) == Verdict()
    assert door.admit(HERE, NOW, 0.5) == Verdict(displaces=source(1))
    door.gave_up(source(1), exempt=False)
    assert door.waiting == 4
    assert door.admit(source(3), NOW, 0.5) == Verdict(displaces=source(1))
    door.gave_up(source(1), exempt=False)
    assert door.admit(source(4), NOW, 0.5) == Verdict(Dropped.FULL)
    assert door.admit(source(1), NOW, 0.5) == Verdict(Dropped.FULL)


def test_the_exempt_take_nobodys_place_and_have_bounds_of_their_own() -> None:
    """They get in while a flood holds everything, and do not count as it; but nothing may fill the memory."""
    door = admission(Limits(Startups(2, 100, 2), startups_per_source=1))
    for number in (1, 2):
        door.admit(source(number), NOW, 0.5)
    assert [door.admit_exempt(HERE) for _ in range(3)] == [Verdict(), Verdict(), Verdict(Dropped.FULL)]
    assert door.waiting == 2
    door.logged_in(HERE, exempt=True)
    assert door.admit_exempt(HERE) == Verdict()


@given(
    st.lists(
        st.tuples(st.sampled_from(["knock", "login", "leave"]), st.integers(0, 30), st.floats(0, 0.999)), max_size=300
    )
)
def test_never_more_than_full_are_waiting(steps: list[tuple[str, int, float]]) -> None:
    """Nor more than its share of one source, whatever comes in which order; and nobody is counted below nothing."""
    door = admission(Limits(Startups(5, 30, 12), startups_per_source=4, burst=3, rate=5))
    waiting: dict[int, int] = {}

    def leave(number: int) -> None:
        waiting[number] -= 1
        door.gave_up(source(number), exempt=False)

    for turn, (what, number, chance) in enumerate(steps):
        if what == "knock":
            verdict = door.admit(source(number), NOW + turn * timedelta(milliseconds=50), chance)
            if verdict.displaces is not None:
                leave(next(it for it in waiting if source(it) == verdict.displaces))
            waiting[number] = waiting.get(number, 0) + (verdict.dropped is None)
        elif waiting.get(number):
            leave(number)
        assert door.waiting == sum(waiting.values()) <= 12
        assert max(waiting.values(), default=0) <= 4
