"""Jobs are recorded with every change that somebody may wait for, each once."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.office import Office
from tests.recorded import changes, kinds, recorded, times_fired


async def update(office: Office, assignment: str, *parameters: Any) -> None:
    """Write all of the company's jobs at once."""
    await office.query(
        f"UPDATE jobs SET {assignment} WHERE organization_id = %s",
        *parameters,
        office.organization_id,
    )


async def add_job(office: Office, **columns: Any) -> str:
    """Enter a job of no client, so that its events are the only ones."""
    return await office.add_job(**{"client_id": None} | columns)


class TestCreated:
    """A new job is recorded with its status, and with its visit where it has one."""

    async def test_a_new_job(self, office: Office) -> None:
        await add_job(office, status="New")
        (event,) = await office.events()
        assert event["event_type"] == "job_created"
        assert event["subject_type"] == "job"
        assert event["subject_id"] == "J-2019"
        assert event["organization_id"] == office.organization_id
        assert event["data"] == {"after": "New"}
        assert event["processed_at"] is None
        assert await times_fired(office, "job_created") == 1

    async def test_a_new_job_without_a_status(self, office: Office) -> None:
        await add_job(office, status=None)
        assert await recorded(office, "job_created") == [{"after": None}]

    async def test_a_new_job_with_a_visit(self, office: Office) -> None:
        await add_job(office, schedule_start="2026-11-26 15:00+00")
        assert await kinds(office) == ["job_created", "job_scheduled"]
        assert await recorded(office, "job_scheduled") == [
            {"before": None, "after": "2026-11-26T15:00:00+00:00"}
        ]
        assert await times_fired(office, "job_scheduled") == 1

    async def test_a_job_entered_as_completed_was_not_completed_by_anybody(
        self, office: Office
    ) -> None:
        await add_job(office, status="completed", tags=["vip"])
        assert await kinds(office) == ["job_created"]
        assert await times_fired(office, "job_completed") == 0

    async def test_jobs_that_are_copied_in(self, office: Office) -> None:
        async with await psycopg.AsyncConnection.connect(office.url) as connection:
            cursor = connection.cursor()
            async with cursor.copy("COPY jobs (organization_id, id) FROM STDIN") as copy:
                for number in range(10_000):
                    await copy.write_row((office.organization_id, f"J-{number}"))
        events = await office.events()
        assert [event["subject_id"] for event in events] == [f"J-{n}" for n in range(10_000)]
        assert await times_fired(office, "job_created") == 10_000

    async def test_a_deleted_job_leaves_its_events(self, office: Office) -> None:
        await add_job(office)
        await office.query("DELETE FROM jobs WHERE organization_id = %s", office.organization_id)
        assert await kinds(office) == ["job_created"]


class TestStatus:
    """From anything to anything, from nothing and to nothing."""

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("scheduled", "completed"),
            (None, "completed"),
            ("completed", None),
            ("", "completed"),
            ("in_progress", "In-Progress"),
            ('it\'s "quoted" \\ {}', "línea\nnueva\t✓"),
            ("scheduled", "x" * 100_000),
        ],
    )
    async def test_a_status_that_changed(
        self, office: Office, before: str | None, after: str | None
    ) -> None:
        job = await add_job(office, status=before)
        await office.write_status(job, after)
        assert await changes(office) == [(before, after)]
        assert await recorded(office, "job_updated") == [{"changed": ["status"]}]

    @pytest.mark.parametrize("status", ["completed", None])
    async def test_the_same_status_written_again_is_recorded_and_sets_nothing_off(
        self, office: Office, status: str | None
    ) -> None:
        job = await add_job(office, status=status)
        await office.write_status(job, status)
        assert await changes(office) == [(status, status)]
        assert await kinds(office) == ["job_created", "job_status_changed"]
        assert await times_fired(office, "job_status_changed") == 0
        assert await times_fired(office, "job_completed") == 0

    @pytest.mark.parametrize(
        ("filters", "fired"),
        [
            ({}, 3),
            ({"to": "on-the-way"}, 1),
            ({"to": ["x", "Completed"]}, 1),
            ({"from": "new"}, 1),
            ({"from": "On the way", "to": "completed"}, 1),
            ({"from": "new", "to": "completed"}, 0),
            ({"from_status": "completed"}, 1),
        ],
    )
    async def test_from_and_to_narrow_it(
        self, office: Office, filters: dict[str, Any], fired: int
    ) -> None:
        job = await add_job(office, status="new")
        for status in ("on_the_way", "completed", None):
            await office.write_status(job, status)
        assert await times_fired(office, "job_status_changed", **filters) == fired

    async def test_completed_is_reached_once_in_any_spelling(self, office: Office) -> None:
        job = await add_job(office)
        for status in ("Completed", "COMPLETED ", "completed"):
            await office.write_status(job, status)
        assert await times_fired(office, "job_completed") == 1
        await office.write_status(job, None)
        await office.write_status(job, "completed")
        assert await times_fired(office, "job_completed") == 2


class TestVisit:
    """A visit that gets a time, or another one."""

    async def test_a_visit_that_is_set_moved_and_taken_back(self, office: Office) -> None:
        await add_job(office)
        for value in ("2026-11-26 15:00+00", "2026-11-27 15:00+00", None, "infinity"):
            await update(office, "schedule_start = %s", value)
        assert await changes(office, "job_scheduled") == [
            (None, "2026-11-26T15:00:00+00:00"),
            ("2026-11-26T15:00:00+00:00", "2026-11-27T15:00:00+00:00"),
            (None, "infinity"),
        ]
        assert await times_fired(office, "job_scheduled") == 3

    async def test_the_same_moment_in_another_zone_moves_nothing(self, office: Office) -> None:
        await add_job(office, schedule_start="2026-11-26 15:00+00")
        await office.query("SET TIME ZONE 'Asia/Tokyo'")
        await update(office, "schedule_start = '2026-11-26 10:00-05'")
        assert await kinds(office) == ["job_created", "job_scheduled"]

    async def test_the_end_alone_moves_no_visit(self, office: Office) -> None:
        await add_job(office)
        await update(office, "schedule_end = now()")
        assert await kinds(office) == ["job_created", "job_updated"]


class TestTagsAndEdits:
    """Tags that come and go, and every other column by its name."""

    async def test_tags_that_came_and_went(self, office: Office) -> None:
        await add_job(office, tags=["a", "b"])
        await update(office, "tags = '{b,Emergency Call}'")
        assert await recorded(office, "job_tags_changed") == [
            {"added": ["Emergency Call"], "removed": ["a"]}
        ]
        assert await times_fired(office, "job_tags_changed") == 1
        assert await times_fired(office, "job_tags_changed", added="emergency-call") == 1
        assert await times_fired(office, "job_tags_changed", removed="a") == 1
        assert await times_fired(office, "job_tags_changed", added="b") == 0

    async def test_every_column_that_changed_is_named(self, office: Office) -> None:
        await add_job(office)
        await update(office, "title = 'x', total = 1, job_type = job_type, address = '1 Elm'")
        assert await recorded(office, "job_updated") == [{"changed": ["title", "total", "address"]}]
        assert await times_fired(office, "job_updated") == 1
        assert await times_fired(office, "job_updated", fields="total") == 1
        assert await times_fired(office, "job_updated", fields=["status", "address"]) == 1
        assert await times_fired(office, "job_updated", fields="job_type") == 0
        assert await changes(office) == []

    @pytest.mark.parametrize("assignment", ["title = title", "total = 240.00", "tags = '{}'"])
    async def test_a_write_that_changes_nothing(self, office: Office, assignment: str) -> None:
        await add_job(office)
        await update(office, assignment)
        assert await kinds(office) == ["job_created"]

    @pytest.mark.parametrize("total", ["NaN", "9999999999.99", None])
    async def test_any_amount(self, office: Office, total: str | None) -> None:
        await add_job(office)
        await update(office, "total = %s", total)
        await update(office, "total = %s", total)
        assert await recorded(office, "job_updated") == [{"changed": ["total"]}]


class TestSeveralThingsAtOnce:
    """One write that means several things is several events, each once."""

    async def test_status_visit_and_tags_in_one_update(self, office: Office) -> None:
        await add_job(office)
        await update(
            office, "status = 'confirmed', schedule_start = now(), tags = '{vip}', total = 9"
        )
        assert await kinds(office) == [
            "job_created",
            "job_status_changed",
            "job_scheduled",
            "job_tags_changed",
            "job_updated",
        ]
        (updated,) = await recorded(office, "job_updated")
        assert set(updated["changed"]) == {"status", "schedule_start", "tags", "total"}
        for trigger in ("job_status_changed", "job_scheduled", "job_tags_changed", "job_updated"):
            assert await times_fired(office, trigger) == 1

    async def test_a_rewritten_status_beside_something_new(self, office: Office) -> None:
        await add_job(office)
        await update(office, "status = status, title = 'x'")
        assert sorted(await kinds(office)) == ["job_created", "job_status_changed", "job_updated"]
        assert await times_fired(office, "job_status_changed") == 0

    async def test_an_upsert(self, office: Office) -> None:
        job = await add_job(office)
        upsert = """
            INSERT INTO jobs (organization_id, id, status) VALUES (%s, %s, 'completed')
            ON CONFLICT (organization_id, id) DO UPDATE SET status = excluded.status
        """
        await office.query(upsert, office.organization_id, job)
        await office.query(upsert, office.organization_id, "J-new")
        assert await changes(office) == [("scheduled", "completed")]
        assert await times_fired(office, "job_created") == 2

    async def test_a_merge(self, office: Office) -> None:
        await add_job(office)
        await office.query(
            """
            MERGE INTO jobs USING (VALUES ('J-2019'), ('J-new')) AS given (id)
            ON jobs.id = given.id AND jobs.organization_id = %s
            WHEN MATCHED THEN UPDATE SET status = 'completed'
            WHEN NOT MATCHED THEN INSERT (organization_id, id) VALUES (%s, given.id)
            """,
            office.organization_id,
            office.organization_id,
        )
        assert await changes(office) == [("scheduled", "completed")]
        assert await times_fired(office, "job_created") == 2

    async def test_ten_thousand_jobs_in_one_update(self, office: Office) -> None:
        await office.query(
            "INSERT INTO jobs (organization_id, id, status) "
            "SELECT %s, 'J-' || n, 'scheduled' FROM generate_series(1, 10000) AS n",
            office.organization_id,
        )
        await update(office, "status = 'completed'")
        assert await changes(office) == [("scheduled", "completed")] * 10_000
        assert len({event["subject_id"] for event in await office.events()}) == 10_000
        assert await times_fired(office, "job_completed") == 10_000


class TestTriggersOfTheCompanysOwn:
    """What counts is the row as it is in the end, whoever wrote it."""

    async def test_a_status_that_another_trigger_changes(self, office: Office) -> None:
        """The statement names the total alone; the company's own rule closes the job."""
        await before_update(office, "IF NEW.total = 0 THEN NEW.status := 'closed'; END IF;")
        await add_job(office)
        await update(office, "total = 0")
        assert await changes(office) == [("scheduled", "closed")]

    async def test_a_status_that_another_trigger_takes_back(self, office: Office) -> None:
        await before_update(office, "NEW.status := OLD.status;")
        await add_job(office)
        await update(office, "status = 'completed'")
        assert await changes(office) == [("scheduled", "scheduled")]
        assert await times_fired(office, "job_completed") == 0

    async def test_a_write_that_another_trigger_prevents(self, office: Office) -> None:
        await before_update(office, "NEW := NULL;")
        await add_job(office)
        await update(office, "status = 'completed'")
        assert await kinds(office) == ["job_created"]


async def before_update(office: Office, body: str) -> None:
    """Hang a rule of the company's own on every job that is written."""
    await office.query(
        "CREATE FUNCTION own_rule() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {body} RETURN NEW; END $$"
    )
    await office.query(
        "CREATE TRIGGER own_rule BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION own_rule()"
    )
