"""What every `Journal` promises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from adapters.embedded import EmbeddedServers
from adapters.mongo import MongoJournal
from runtime.events import JournalRecord
from runtime.market import IST
from runtime.ports import Journal

START = datetime(2026, 11, 20, 9, 15, 0, 123_456, tzinfo=IST)


def record(user_id: str, number: int, *, epoch: int = 1, text: str = "") -> JournalRecord:
    return JournalRecord(
        user_id=user_id,
        number=number,
        epoch=epoch,
        ts=START + timedelta(seconds=number),
        input=f'{{"type":"TimeAdvanced","note":"{text}"}}',
        events=(f'{{"seq":{2 * number}}}', f'{{"seq":{2 * number + 1}}}'),
        last_seq=2 * number + 1,
    )


async def stored(journal: Journal, user_id: str, after: int = 0) -> list[JournalRecord]:
    return [found async for found in journal.read(user_id, after)]


async def test_records_come_back_as_they_were_written_in_the_order_of_their_numbers(journal: Journal) -> None:
    ours = [record("u", number) for number in range(1, 6)]

    assert await journal.append([record("u:1", 1), *reversed(ours[3:]), *reversed(ours[:3])]) == []
    assert await stored(journal, "u") == ours
    assert await stored(journal, "u", after=3) == ours[3:]
    assert await stored(journal, "u:1") == [record("u:1", 1)]
    assert await stored(journal, "nobody") == []


async def test_a_batch_written_again_changes_nothing_and_fences_nobody(journal: Journal) -> None:
    batch = [record(user, number) for user in ("a", "b") for number in (1, 2)]
    await journal.append(batch[:3])

    assert await journal.append(batch) == []
    assert await stored(journal, "a") == batch[:2]
    assert await stored(journal, "b") == batch[2:]


async def test_a_number_taken_by_another_incarnation_fences_that_user_alone(journal: Journal) -> None:
    await journal.append([record("a", 1), record("a", 2, epoch=2)])

    late = [record("a", number) for number in (1, 2, 3, 4)]
    assert await journal.append([record("b", 1), *late, record("b", 2)]) == ["a"]
    assert await stored(journal, "a") == [record("a", 1), record("a", 2, epoch=2)]
    assert await stored(journal, "b") == [record("b", 1), record("b", 2)]


async def test_a_fenced_user_leaves_the_next_numbers_free_for_its_successor(journal: Journal) -> None:
    await journal.append([record("a", 1, epoch=2)])
    assert await journal.append([record("a", 1), record("a", 2)]) == ["a"]

    assert await journal.append([record("a", 2, epoch=2)]) == []


async def test_an_equal_input_of_another_epoch_is_another_record(journal: Journal) -> None:
    await journal.append([record("a", 1, epoch=1)])
    assert await journal.append([record("a", 1, epoch=2)]) == ["a"]


async def test_many_fenced_users_do_not_hold_up_the_others(journal: Journal) -> None:
    await journal.append([record(f"u{user}", 1, epoch=2) for user in range(0, 3000, 3)])

    fenced = await journal.append([record(f"u{user}", number) for user in range(3000) for number in (1, 2)])
    assert fenced == sorted(f"u{user}" for user in range(0, 3000, 3))
    assert await stored(journal, "u1") == [record("u1", 1), record("u1", 2)]
    assert await stored(journal, "u3") == [record("u3", 1, epoch=2)]


async def test_an_empty_batch_is_written_at_once(journal: Journal) -> None:
    assert await journal.append([]) == []


async def test_of_snapshots_the_newest_is_kept(journal: Journal) -> None:
    assert await journal.load_snapshots(["a"]) == {}
    await journal.save_snapshots({"a": (10, b"\x00ten"), "b": (5, b"five")})
    await journal.save_snapshots({"a": (30, b"thirty")})
    await journal.save_snapshots({"a": (20, b"late"), "b": (6, b"six")})
    await journal.save_snapshots({})

    assert await journal.load_snapshots(["a", "b", "nobody"]) == {"a": (30, b"thirty"), "b": (6, b"six")}


async def test_a_long_journal_is_read_whole(journal: Journal) -> None:
    records = [record("a", number) for number in range(1, 2_502)]
    await journal.append(records)
    assert await stored(journal, "a", after=1) == records[1:]


async def test_a_long_journal_whose_records_were_written_one_by_one_is_read_whole(journal: Journal) -> None:
    """Records of two users in turn: no two neighbours are of the same one."""
    await journal.append([record(user, number) for number in range(1, 1_202) for user in ("a", "b")])
    assert await stored(journal, "a", after=7) == [record("a", number) for number in range(8, 1_202)]


async def test_of_records_written_together_any_can_be_the_first_that_is_read(journal: Journal) -> None:
    records = [record("a", number) for number in range(1, 41)]
    await journal.append(records[:3])
    await journal.append(records[3:])
    for after in range(41):
        assert await stored(journal, "a", after) == records[after:]


async def test_a_writer_that_lost_an_answer_may_write_on_from_any_part_of_what_is_stored(journal: Journal) -> None:
    records = [record("a", number) for number in range(1, 31)]
    await journal.append(records[:5])
    assert await journal.append(records[:20]) == []
    assert await journal.append(records[:5]) == []
    assert await journal.append(records) == []
    assert await stored(journal, "a") == records


async def test_a_late_writer_of_several_records_is_fenced_by_a_successor_that_wrote_one(journal: Journal) -> None:
    await journal.append([record("a", number) for number in (1, 2)])
    await journal.append([record("a", 3, epoch=2)])

    assert await journal.append([record("a", number) for number in (3, 4)]) == ["a"]
    assert await journal.append([record("a", number, epoch=2) for number in (4, 5)]) == []
    assert [found.epoch for found in await stored(journal, "a")] == [1, 1, 2, 2, 2]


async def test_many_users_are_read_at_once_each_from_its_own_number(journal: Journal) -> None:
    users = [f"u{number:03d}" for number in range(250)]
    await journal.append([record(user, number) for user in users for number in range(1, 5)])

    found = await journal.read_many({user: position % 5 for position, user in enumerate(users)} | {"nobody": 0})
    assert found.pop("nobody") == []
    assert found == {user: [record(user, number) for number in range(position % 5 + 1, 5)] for position, user in enumerate(users)}
    assert await journal.read_many({}) == {}


async def test_of_two_incarnations_that_race_each_number_goes_to_one(journal: Journal) -> None:
    async def write(epoch: int) -> int:
        for number in range(1, 50):
            if await journal.append([record("a", number, epoch=epoch)]):
                return number
        return 50

    first, second = await asyncio.gather(write(1), write(2))
    kept = await stored(journal, "a")
    assert [found.number for found in kept] == list(range(1, max(first, second)))
    assert min(first, second) == 1 or kept[min(first, second) - 1].epoch != kept[0].epoch


async def test_nothing_acknowledged_is_lost_when_the_server_is_killed(mongo_journal: MongoJournal, kill: Callable[[str], None]) -> None:
    for number in range(1, 61):
        if number in (20, 40):
            kill("mongod")
        batch = [record(f"u{user}", number) for user in range(20)]
        assert await mongo_journal.append(batch) == []

    for user in range(20):
        assert await stored(mongo_journal, f"u{user}") == [record(f"u{user}", number) for number in range(1, 61)]


async def test_how_long_records_are_kept_can_be_changed(mongo_journal: MongoJournal, servers: EmbeddedServers, database: str) -> None:
    shorter = MongoJournal(servers.urls.mongodb, database, retention=timedelta(days=30))
    await shorter.prepare()
    await shorter.prepare()

    indexes = await shorter._records.index_information()
    assert indexes["at_1"]["expireAfterSeconds"] == 30 * 86_400
    await shorter.close()
