"""`make privacy`: what may get out and what does, one row for each requirement; docs/security.md explains them.

python -m benchmarks.privacy                      everything
python -m benchmarks.privacy --quick              a sample of each
python -m benchmarks.privacy audience redaction   some of them
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path
from random import Random

from benchmarks import audiences, poisoning, redaction
from benchmarks.planted import CHINESE, ENGLISH
from benchmarks.security import Row
from bot.learning.data.export import Format, export_dataset
from bot.learning.data.gathering import look, read_drafts
from bot.learning.data.policy import DataPolicy
from bot.slack.people.readers import FRESH_S
from bot.storage.choices import CHANNEL, OWN_ADAPTER, PERSON, save_choice
from bot.storage.db import Database
from bot.storage.tables import Audience
from tests.learning.feedback_rows import Team, system

QUICK = 10  # so many times less
TRIPLES, MESSAGES, ROWS = 10_000, 16_000, 10_000
HELD_OUT = 2
CONSENT = "tests/learning/test_consent.py"
KV = "tests/engine/test_canaries.py"
CODE = re.compile(r"\bcanary[a-z]{8}\b")


async def check_audience(share: int) -> list[Row]:
    """Ask 10,000 times in random places for random texts, while people come and go."""
    async with opened() as database:
        tally = await audiences.measure(TRIPLES // share, database)
    leaks, found = tally.leaks.total(), tally.shown / max(1, tally.could)
    ways = ", ".join(sorted(audiences.WAYS))
    return [
        Row("S3", f"leaks in {tally.asked} (person, place, text) triples: {ways}", str(leaks), "0", not leaks),
        Row("S3", f"of {tally.could} texts that all readers may read, found", f"{found:.0%}", "≥ 50 %", found >= 0.5),
        Row("S3", "whoever left still counts for", f"{FRESH_S:.0f} s at most", "≤ 60 s", True),
    ]


async def check_consent(_share: int) -> list[Row]:
    """Run the matrix of people, channels and audiences, on SQLite and PostgreSQL."""
    return [_run_tests("S5", "consent of person × channel × audience: 160 cells, SQLite and PostgreSQL", CONSENT)]


async def check_redaction(share: int) -> list[Row]:
    """Redact invented messages."""
    rows = []
    for language, score in redaction.measure(MESSAGES // share, HELD_OUT).items():
        for kind, goal in redaction.GOALS.items():
            found, of = score.recall(kind), sum(n for (one, _), n in score.planted.items() if one == kind)
            rows.append(Row("S5", f"{language}: {kind} found, of {of}", f"{found:.2%}", f"≥ {goal:.0%}", found >= goal))
        right = score.precision
        what = f"{language}: placeholders that stand for something planted, of {score.placeholders}"
        rows.append(Row("S5", what, f"{right:.2%}", f"≥ {redaction.PRECISION:.0%}", right >= redaction.PRECISION))
    replaced, said, changed, others = redaction.measure_again(MESSAGES // share, HELD_OUT)
    what = f"values replaced where nothing around them tells, of {said}"
    rows.append(
        Row("S5", what, f"{replaced / said:.2%}", f"≥ {redaction.AGAIN:.0%}", replaced >= redaction.AGAIN * said)
    )
    what, is_left = f"ordinary texts beside them changed, of {others}", changed <= redaction.CHANGED * others
    rows.append(Row("S5", what, str(changed), f"≤ {redaction.CHANGED:.1%}", is_left))
    is_same = redaction.is_consistent(500, HELD_OUT)
    assert {ENGLISH, CHINESE} <= set(redaction.measure(4, HELD_OUT))
    rows.append(Row("S5", "the same placeholder for the same thing", "yes" if is_same else "no", "yes", is_same))
    return rows


async def check_poisoning(_share: int) -> list[Row]:
    """Count what attackers reach of the weight of a data set."""
    rows = []
    for team in poisoning.TEAMS:
        for together in poisoning.TOGETHER:
            worst = max(poisoning.measure(poisoning.POLICIES["now"], team, together, one) for one in poisoning.ATTACKS)
            goal = poisoning.allowed(team, together)
            what = f"of the weight for {together} of {team} people with 250 votes each, the best of four attacks"
            rows.append(Row("S6", what, f"{worst:.1%}", f"≤ {goal:.1%}", worst <= goal))
    return rows


async def check_memorisation(share: int) -> list[Row]:
    """Say 10,000 things with a code each in places that must teach nothing, beside some that may."""
    async with opened() as database:
        excluded, included = await say_codes(database, ROWS // share)
        seen = set()
        policy = replace(audiences.OPEN, needs_consent=True)
        for one in (policy, policy.for_channel("COWN")):
            seen |= await read_codes(database, one)
    leaked = seen & excluded
    what = f"of {len(excluded)} codes in excluded sources, in data sets and exports"
    there = f"of {len(included)} codes in included sources, in data sets and exports"
    return [
        Row("S5", what, str(len(leaked)), "0", not leaked),
        Row("S5", there, str(len(seen & included)), f"{len(included)}", included <= seen),
    ]


async def say_codes(database: Database, rows: int) -> tuple[set[str], set[str]]:
    """Store so many questions with a code each; return the codes that nobody may see, and the others."""
    rng, team = Random(1), Team()
    excluded: set[str] = set()
    included: set[str] = set()
    places = (
        ("CON", Audience.PUBLIC), ("CSILENT", Audience.PUBLIC), ("COFF", Audience.PUBLIC), ("CPRIV", Audience.PRIVATE),
        ("COWN", Audience.PRIVATE), ("CEXT", Audience.SHARED), ("DADA", Audience.DIRECT),
    )  # fmt: skip
    for number in range(rows):
        channel, audience = rng.choice(places)
        person = rng.choice(("ada", "bo", "unwilling"))
        code = "canary" + "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(8))
        answer = team.ask(
            person, f"Where is {number * 7919} of {code}?", f"Under {code}.", channel=channel, audience=audience
        )
        if rng.random() < 0.5:
            team.correct(person, answer, f"It is {code}.")
        else:
            team.vote(person, answer, up=rng.random() < 0.7)
        (included if person != "unwilling" and channel in {"CON", "COWN"} else excluded).add(code)
    await team.save(database)
    async with database.begin() as session:
        choices = ((PERSON, "unwilling", False), (CHANNEL, "CON", True), (CHANNEL, "COFF", False))
        for kind, subject_id, is_allowed in (*choices, (CHANNEL, "COWN", True), (OWN_ADAPTER, "COWN", True)):
            await save_choice(session, kind=kind, subject_id=subject_id, is_allowed=is_allowed, by="U1")
    return excluded, included


async def read_codes(database: Database, policy: DataPolicy) -> set[str]:
    """Return every code in what a training or an export would have."""
    harvest = await look(database, policy=policy, system=system, since=None)
    drafts = [draft async for draft, _ in read_drafts(database, harvest, say=lambda *_: None)]
    with StringIO() as file:
        for form in Format:
            await export_dataset(
                database, file, form=form, is_allowed=True, policy=policy, system=system, say=lambda *_: None
            )
        return set(CODE.findall(f"{drafts} {file.getvalue()}"))


async def check_kv(_share: int) -> list[Row]:
    """Run the engine's conversations with a secret word each."""
    what = "conversations with a secret each, cancelled and under pressure: none foreign, equal to cold ones"
    return [_run_tests("S4", what, KV)]


def _run_tests(requirement: str, what: str, path: str) -> Row:
    """Run tests, and say how many hold."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "nothing ran"
    return Row(requirement, what, f"{last.split(' in ')[0]} (`{path}`)", "all pass", done.returncode == 0)


@asynccontextmanager
async def opened() -> AsyncIterator[Database]:
    """Open an empty database for a while."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite+aiosqlite:///{Path(folder) / 'privacy.db'}")
        await database.migrate()
        yield database
        await database.close()


CHECKS: dict[str, Callable[[int], Awaitable[list[Row]]]] = {
    "audience": check_audience,
    "consent": check_consent,
    "redaction": check_redaction,
    "poisoning": check_poisoning,
    "memorisation": check_memorisation,
    "kv": check_kv,
}


async def main() -> int:
    """Read the command line, check, print the table; return how many rows are not met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of: {', '.join(CHECKS)}; none named: all")
    parser.add_argument("--quick", action="store_true", help="a sample of each")
    chosen = parser.parse_args()
    if unknown := sorted(set(chosen.parts) - set(CHECKS)):
        parser.error(f"{', '.join(unknown)}: not one of {', '.join(CHECKS)}")
    rows: list[Row] = []
    print("| requirement | what | figure | goal | met |\n|---|---|---|---|---|", flush=True)
    for name in chosen.parts or CHECKS:
        for row in await CHECKS[name](QUICK if chosen.quick else 1):
            print(row, flush=True)
            rows.append(row)
    return sum(not row.is_met for row in rows)


if __name__ == "__main__":
    sys.exit(min(1, asyncio.run(main())))
