"""One company can neither change nor set off what is another's."""

from __future__ import annotations

import pytest

from tests.integration.row_security.companies import (
    TABLES,
    WRITABLE,
    Attacker,
    owner_of,
    refused,
)

PROTECTING = {"automation_rules", "client_opt_outs", "suppressions"}
BUSINESS = sorted(
    table
    for table in WRITABLE.keys() - PROTECTING
    if WRITABLE[table] >= {"INSERT", "UPDATE", "DELETE"}
)


class TestWriting:
    """Nothing of theirs can be changed, deleted, or pointed at."""

    @pytest.mark.parametrize("table", sorted(WRITABLE))
    async def test_an_update_reaches_our_rows_alone(self, attacker: Attacker, table: str) -> None:
        column = owner_of(table)
        if "UPDATE" not in WRITABLE[table]:
            with refused(by="permission denied"):
                await attacker.run(f"UPDATE {table} SET {column} = {column}")
            return
        assert await attacker.count(f"UPDATE {table} SET {column} = {column}") == 1
        assert (
            await attacker.count(f"UPDATE {table} SET {column} = {column} WHERE {column} = :a") == 0
        )

    @pytest.mark.parametrize("table", BUSINESS)
    async def test_a_deletion_reaches_our_rows_alone(self, attacker: Attacker, table: str) -> None:
        column = "id" if table == "jobs" else "created_at"
        value = "'J-doomed'" if table == "jobs" else "'2001-01-01'"
        await attacker.run(f"INSERT INTO {table} (organization_id, {column}) VALUES (:b, {value})")
        assert await attacker.count(f"DELETE FROM {table} WHERE organization_id = :a") == 0
        assert await attacker.count(f"DELETE FROM {table} WHERE {column} = {value}") == 1

    @pytest.mark.parametrize("table", sorted(PROTECTING))
    async def test_what_protects_their_clients_stays(self, attacker: Attacker, table: str) -> None:
        assert await attacker.count(f"DELETE FROM {table} WHERE organization_id = :a") == 0

    @pytest.mark.parametrize("table", sorted(set(TABLES) - set(WRITABLE)))
    async def test_the_engines_tables_cannot_be_written(
        self, attacker: Attacker, table: str
    ) -> None:
        """Not even our own rows: history is the engine's to write."""
        for statement in (
            f"INSERT INTO {table} DEFAULT VALUES",
            f"UPDATE {table} SET organization_id = organization_id",
            f"DELETE FROM {table}",
        ):
            with refused(by="permission denied"):
                await attacker.run(statement)

    @pytest.mark.parametrize("table", TABLES)
    async def test_nothing_can_be_emptied_or_altered(self, attacker: Attacker, table: str) -> None:
        for statement in (
            f"TRUNCATE {table} CASCADE",
            f"DROP TABLE {table} CASCADE",
            f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} DISABLE TRIGGER ALL",
            f"CREATE POLICY mine ON {table} USING (true)",
            f"CREATE TRIGGER mine AFTER UPDATE ON {table} FOR EACH ROW "
            "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        ):
            with refused(by="permission denied|must be owner"):
                await attacker.run(statement)

    @pytest.mark.parametrize(
        "statement",
        [
            "INSERT INTO jobs (organization_id, id, status) VALUES (:a, 'J-2', 'completed')",
            "INSERT INTO clients (organization_id, email) VALUES (:a, 'x@example.com')",
            "INSERT INTO profiles (organization_id, email) VALUES (:a, 'x@example.com')",
            "INSERT INTO invoices (organization_id) VALUES (:a)",
            "INSERT INTO estimates (organization_id, status) VALUES (:a, 'sent')",
            "INSERT INTO payments (organization_id, amount) VALUES (:a, 1)",
            "INSERT INTO tasks (organization_id) VALUES (:a)",
            "INSERT INTO inbound_messages (organization_id, body) VALUES (:a, 'yes')",
            "INSERT INTO automation_stops (organization_id) VALUES (:a)",
            # A stop of everybody.
            "INSERT INTO automation_stops (organization_id) VALUES (NULL)",
            """
            INSERT INTO api_keys (id, organization_id, name, prefix, key_hash)
            VALUES (gen_random_uuid(), :a, 'Evil', 'fxl_', 'x')
            """,
            "INSERT INTO automation_rules (organization_id, rules) VALUES (:a, '{}')",
            """
            INSERT INTO client_opt_outs (organization_id, client_id, channel, source)
            VALUES (:a, :a_client, 'sms', 'x')
            """,
            """
            INSERT INTO suppressions (organization_id, channel, address, reason, source)
            VALUES (:a, 'sms', '+12125550123', 'x', 'x')
            """,
            # News of their failures, and webhooks signed in their name.
            """
            INSERT INTO webhook_settings (organization_id, secret, failure_url)
            VALUES (:a, 'whsec_x', 'https://evil.example.com/')
            """,
            """
            INSERT INTO webhook_settings (organization_id, secret) VALUES (:a, 'whsec_x')
            ON CONFLICT (organization_id) DO UPDATE SET secret = 'whsec_x'
            """,
            "UPDATE webhook_settings SET organization_id = :a",
            "UPDATE suppressions SET organization_id = :a",
            "UPDATE client_opt_outs SET organization_id = :a",
            "UPDATE api_keys SET organization_id = :a",
            "UPDATE estimates SET organization_id = :a, client_id = NULL, job_id = NULL",
            "UPDATE inbound_messages SET organization_id = :a, client_id = NULL",
            "UPDATE jobs SET organization_id = :a, client_id = NULL, technician_id = NULL",
            "UPDATE invoices SET organization_id = :a, job_id = NULL",
            "UPDATE automation_workflows SET organization_id = :a",
            """
            INSERT INTO automation_workflows
                (id, organization_id, name, status, trigger_type, trigger_config, steps, version)
            VALUES (gen_random_uuid(), :a, 'Evil', 'active', 'job_completed', '{}', '[{}]', 1)
            """,
            """
            INSERT INTO automation_workflow_versions
                (automation_id, version, organization_id, pinned)
            VALUES (:a_automation, 2, :a, '{}')
            """,
            # An upsert that meets their row.
            """
            INSERT INTO jobs (organization_id, id) VALUES (:a, 'J-1')
            ON CONFLICT (organization_id, id) DO UPDATE SET status = 'completed'
            """,
            """
            INSERT INTO clients (id, organization_id) VALUES (:a_client, :b)
            ON CONFLICT (id) DO UPDATE SET email = 'x@example.com'
            """,
            """
            INSERT INTO automation_workflows
                (id, organization_id, name, status, trigger_type, trigger_config, steps, version)
            VALUES (:a_automation, :b, 'Evil', 'active', 'job_completed', '{}', '[{}]', 1)
            ON CONFLICT (id) DO UPDATE SET status = 'paused'
            """,
        ],
    )
    async def test_nothing_can_be_written_for_them(
        self, attacker: Attacker, statement: str
    ) -> None:
        with refused(by="violates row-level security policy"):
            await attacker.run(statement)

    @pytest.mark.parametrize(
        "statement",
        [
            "INSERT INTO jobs (organization_id, id, client_id) VALUES (:b, 'J-2', :a_client)",
            "INSERT INTO jobs (organization_id, id, technician_id) VALUES (:b, '2', :a_technician)",
            "UPDATE jobs SET client_id = :a_client",
            "UPDATE jobs SET technician_id = :a_technician",
            "UPDATE invoices SET client_id = :a_client",
            "UPDATE estimates SET client_id = :a_client",
            "UPDATE payments SET client_id = :a_client",
            "UPDATE payments SET invoice_id = :a_invoice",
            "UPDATE tasks SET client_id = :a_client",
            "UPDATE tasks SET assignee_id = :a_technician",
            "UPDATE inbound_messages SET client_id = :a_client",
            """
            INSERT INTO automation_workflow_versions
                (automation_id, version, organization_id, pinned)
            VALUES (:a_automation, 2, :b, '{}')
            """,
        ],
    )
    async def test_nothing_of_ours_can_point_at_theirs(
        self, attacker: Attacker, statement: str
    ) -> None:
        with refused(by="violates foreign key constraint"):
            await attacker.run(statement)

    async def test_their_job_of_the_same_name_is_another_job(self, attacker: Attacker) -> None:
        """Job ids are unique within a company only; an invoice finds ours."""
        await attacker.run("UPDATE invoices SET job_id = 'J-1'")
        with refused(by="violates foreign key constraint"):
            await attacker.run("UPDATE invoices SET job_id = 'J-of-theirs'")

    async def test_a_stop_of_everybody_cannot_be_lifted_by_one(self, attacker: Attacker) -> None:
        assert (
            await attacker.count("DELETE FROM automation_stops WHERE organization_id IS NULL") == 0
        )

    async def test_a_stop_of_ours_is_ours_to_lift_and_to_set(self, attacker: Attacker) -> None:
        assert await attacker.count("DELETE FROM automation_stops") == 1
        assert (
            await attacker.count("INSERT INTO automation_stops (organization_id) VALUES (:b)") == 1
        )


class TestSettingOff:
    """Nothing of theirs can be set off."""

    async def test_writing_all_jobs_records_events_of_ours_alone(self, attacker: Attacker) -> None:
        before = len(await attacker.theirs.office.events())
        known = len(await attacker.ours.office.events())
        await attacker.run("UPDATE jobs SET status = 'completed'")
        await attacker.run("UPDATE invoices SET status = 'paid'")
        new = (await attacker.ours.office.events())[known:]
        assert [event["event_type"] for event in new] == [
            "job_status_changed",
            "job_updated",
            "invoice_status_changed",
        ]
        assert len(await attacker.theirs.office.events()) == before

    @pytest.mark.parametrize("whose", ["a", "b"])
    @pytest.mark.parametrize(
        "statement",
        [
            """
            INSERT INTO automation_events (organization_id, event_type, subject_type, subject_id)
            VALUES (:{}, 'job_created', 'job', 'J-1')
            """,
            """
            INSERT INTO automation_execution_logs
                (id, organization_id, automation_id, automation_version, occurrence_key,
                 subject_type, subject_id, trigger_type, trigger_value, trigger_data, occurred_at,
                 status)
            VALUES (gen_random_uuid(), :{}, :a_automation, 1, 'x', 'job', 'J-1', 'job_completed',
                    'completed', '{{}}', now(), 'pending')
            """,
            """
            INSERT INTO messages (id, organization_id, execution_id, step_id, channel,
                                  recipient_kind, recipient, body_text, status)
            VALUES (gen_random_uuid(), :{}, :a_execution, 'evil', 'sms', 'client', '+12125550100',
                    'Evil', 'queued')
            """,
            """
            INSERT INTO automation_signals (organization_id, execution_id, event_id)
            VALUES (:{}, :a_execution, 7)
            """,
            """
            INSERT INTO automation_actions (organization_id, execution_id, step_id, kind, status)
            VALUES (:{}, :a_execution, 'evil', 'update', 'completed')
            """,
            """
            INSERT INTO webhook_deliveries (id, organization_id, execution_id)
            VALUES (gen_random_uuid(), :{}, :a_execution)
            """,
        ],
    )
    async def test_the_engines_tables_take_nothing_from_outside(
        self, attacker: Attacker, statement: str, whose: str
    ) -> None:
        with refused(by="permission denied"):
            await attacker.run(statement.format(whose))

    @pytest.mark.parametrize(
        "function", ["fixlify_record_job", "fixlify_record_standing", "fixlify_record_payment"]
    )
    async def test_events_cannot_be_forged_with_the_triggers_rights(
        self, attacker: Attacker, function: str
    ) -> None:
        with refused(by="permission denied for function"):
            await attacker.run(
                "CREATE TEMP TABLE mine (organization_id uuid, id text, status text)",
                "CREATE TRIGGER forge AFTER INSERT ON mine "
                f"FOR EACH ROW EXECUTE FUNCTION public.{function}()",
                "INSERT INTO mine VALUES (:a, 'J-1', 'completed')",
            )
