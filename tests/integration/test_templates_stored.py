"""A company's own templates stand before the shipped ones, for it alone, in every language."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from fixlify.domain.automation import AutomationStatus, PinnedDefinition, TemplateSource
from fixlify.domain.errors import DefinitionError
from fixlify.rendering import shipped_templates
from fixlify.storage.automations import find_automation, load_pinned
from fixlify.storage.database import Database
from fixlify.storage.templates import load_templates
from starter.company_templates import CompanyTemplate, company_templates
from starter.definitions import change_status
from starter.templates import Imported, IncomingTemplate, import_templates
from starter.versions import roll_back
from tests.office import Office

NAME = "on-the-way"
OURS = TemplateSource(subject="Soon", text="We are coming.", sms="We are coming.")
LATER = TemplateSource(subject="Soon", text="We are coming!", sms="We are coming!")
SPANISH = TemplateSource(subject="Pronto", text="Ya vamos.", sms="Ya vamos.")

TEXTS = """
name: Coming
trigger: {type: job_status_changed, to: [on_the_way]}
steps:
  - {id: text, type: send_sms, template: on-the-way}
"""
OTHER = TEXTS.replace("Coming", "Other").replace("template: on-the-way", "text: On the way.")


@pytest.fixture
async def neighbour(database_url: str) -> AsyncIterator[Office]:
    async with await Office.open(database_url, "Other Heating") as company:
        yield company


def incoming(*, name: str = NAME, **sources: TemplateSource) -> IncomingTemplate:
    return IncomingTemplate(
        name,
        f"{name}/",
        {None if locale == "own" else locale: source for locale, source in sources.items()},
    )


async def imported(
    database: Database, office: Office, *templates: IncomingTemplate, locale: str | None = None
) -> Imported:
    async with database.organization(office.organization_id) as connection:
        return await import_templates(connection, office.organization_id, templates, locale)


async def templates_of(database: Database, office: Office) -> dict[str, CompanyTemplate]:
    async with database.organization(office.organization_id) as connection:
        return await company_templates(connection, office.organization_id)


async def pinned(
    database: Database, office: Office, name: str = "Coming"
) -> tuple[int, PinnedDefinition]:
    async with database.organization(office.organization_id) as connection:
        automation = await find_automation(connection, name)
        assert automation is not None
        found = await load_pinned(connection, automation.id, automation.version)
        texts = {
            name: source.model_copy(update={"locale": None})
            for name, source in found.templates.items()
        }
        return automation.version, found.model_copy(update={"templates": texts})


async def source_of(database: Database, office: Office) -> TemplateSource:
    source = (await templates_of(database, office))[NAME].source
    assert source is not None
    assert source.locale is not None
    return source.model_copy(update={"locale": None})


async def test_without_templates_of_its_own_a_company_has_the_shipped_ones(
    office: Office, app_database: Database
) -> None:
    templates = await templates_of(app_database, office)

    assert {name: each.written for name, each in templates.items()} == dict(shipped_templates())
    assert {each.source and each.source.locale for each in templates.values()} == {"en"}
    assert all(each.version is None for each in templates.values())


async def test_an_own_template_stands_before_the_shipped_one_of_its_name(
    office: Office, app_database: Database
) -> None:
    (result,) = (await imported(app_database, office, incoming(own=OURS))).templates

    assert (result.change, result.version, result.locales) == ("created", 1, ("en_US",))
    assert result.replaces_shipped
    assert await source_of(app_database, office) == OURS
    await office.apply(TEXTS)
    assert (await pinned(app_database, office))[1].templates == {NAME: OURS}


async def test_nobody_else_sees_it(
    office: Office, neighbour: Office, app_database: Database
) -> None:
    await imported(app_database, office, incoming(own=OURS), incoming(name="our-news", own=OURS))

    assert await source_of(app_database, neighbour) == shipped_templates()[NAME]
    assert "our-news" not in await templates_of(app_database, neighbour)
    await neighbour.apply(TEXTS)
    assert (await pinned(app_database, neighbour))[1].templates[NAME] == shipped_templates()[NAME]
    async with app_database.organization(neighbour.organization_id) as connection:
        assert await load_templates(connection, office.organization_id) == []


async def test_a_changed_text_is_a_version_and_the_same_again_is_none(
    office: Office, app_database: Database
) -> None:
    await imported(app_database, office, incoming(own=OURS))
    (same,) = (await imported(app_database, office, incoming(own=OURS))).templates
    (changed,) = (await imported(app_database, office, incoming(own=LATER))).templates

    assert (same.change, same.version, same.locales) == ("unchanged", 1, ())
    assert (changed.change, changed.version) == ("updated", 2)
    assert await source_of(app_database, office) == LATER
    rows = await office.query("SELECT version, source ->> 'sms' AS sms FROM message_templates")
    assert rows == [{"version": 1, "sms": OURS.sms}, {"version": 2, "sms": LATER.sms}]


async def test_automations_get_the_new_text_as_a_version_and_runs_keep_theirs(
    office: Office, app_database: Database
) -> None:
    applied = await office.apply(TEXTS)
    await office.apply(OTHER)

    done = await imported(app_database, office, incoming(own=OURS))

    assert [each.automation.definition.name for each in done.automations] == ["Coming"]
    version, texts = await pinned(app_database, office)
    assert (version, texts.templates) == (2, {NAME: OURS})
    assert (await pinned(app_database, office, "Other"))[0] == 1
    async with app_database.organization(office.organization_id) as connection:
        before = await load_pinned(connection, applied.automation.id, 1)
    assert before.templates[NAME].sms == shipped_templates()[NAME].sms
    assert (await imported(app_database, office, incoming(own=OURS))).automations == []
    assert (await pinned(app_database, office))[0] == 2


async def test_a_paused_automation_gets_it_and_an_archived_one_does_not(
    office: Office, app_database: Database
) -> None:
    await office.apply(TEXTS)
    await office.apply(TEXTS.replace("Coming", "Paused"))
    await office.apply(TEXTS.replace("Coming", "Archived"))
    for name in ("Paused", "Archived"):
        await change_status(
            app_database, office.organization_id, name, AutomationStatus(name.lower())
        )

    done = await imported(app_database, office, incoming(own=OURS))

    assert {each.automation.definition.name for each in done.automations} == {"Coming", "Paused"}
    statuses = await office.query("SELECT name, status FROM automation_workflows ORDER BY name")
    assert [row["status"] for row in statuses] == ["archived", "active", "paused"]


async def test_what_an_automation_sends_must_be_there_or_nothing_is_stored(
    office: Office, app_database: Database
) -> None:
    await office.apply(TEXTS)
    mute = incoming(own=TemplateSource(subject="Soon", text="We are coming."))

    with pytest.raises(DefinitionError, match=r"(?s)on-the-way/.*'Coming'.*sms.*is missing"):
        await imported(app_database, office, incoming(name="our-news", own=OURS), mute)

    assert await office.query("SELECT FROM message_templates") == []
    assert (await pinned(app_database, office))[0] == 1


async def test_a_translation_must_have_what_the_automation_sends_too(
    office: Office, app_database: Database
) -> None:
    await office.apply(TEXTS)
    half = TemplateSource(subject="Pronto", text="Ya vamos.")

    with pytest.raises(DefinitionError, match="es sms: is missing"):
        await imported(app_database, office, incoming(own=OURS, es=half))


async def test_texts_that_were_rolled_back_stay_so_when_another_template_changes(
    office: Office, app_database: Database
) -> None:
    both = TEXTS + "  - {id: mail, type: send_email, template: job-completed}\n"
    await imported(
        app_database, office, incoming(own=OURS), incoming(name="job-completed", own=OURS)
    )
    await office.apply(both)
    await imported(app_database, office, incoming(own=LATER))
    async with app_database.organization(office.organization_id) as connection:
        automation = await find_automation(connection, "Coming")
        assert automation is not None
        await roll_back(connection, automation, 1)

    await imported(app_database, office, incoming(name="job-completed", own=LATER))

    version, texts = await pinned(app_database, office)
    assert (version, texts.templates) == (4, {NAME: OURS, "job-completed": LATER})


@pytest.mark.parametrize(
    ("company", "client", "words"),
    [
        ("en_US", "es_MX", "Ya vamos."),
        ("en_US", "es", "Ya vamos."),
        ("en_US", "de_DE", OURS.sms),
        ("en_US", "en_GB", OURS.sms),
        ("es_MX", "es_MX", "Ya vamos."),
        ("es_MX", "fr_CA", "Ya vamos."),
        ("es-MX", "en_GB", OURS.sms),
        ("de_DE", "pl", OURS.sms),
    ],
)
async def test_a_client_is_written_to_in_their_language_else_the_companys_else_the_templates(
    office: Office, app_database: Database, company: str, client: str, words: str
) -> None:
    await imported(app_database, office, incoming(own=OURS, es=SPANISH))
    await office.query("UPDATE organizations SET locale = %s", company)

    assert (await source_of(app_database, office)).in_language_of(client).sms == words


async def test_a_language_can_be_added_alone_and_the_others_stay(
    office: Office, app_database: Database
) -> None:
    await imported(app_database, office, incoming(own=OURS))
    (added,) = (await imported(app_database, office, incoming(es=SPANISH))).templates

    assert (added.change, added.version, added.locales) == ("updated", 2, ("es",))
    assert (await source_of(app_database, office)).translations == {"es": SPANISH}


async def test_the_own_language_stays_when_the_company_moves_and_can_be_named(
    office: Office, app_database: Database
) -> None:
    await imported(app_database, office, incoming(own=SPANISH), locale="es")
    (again,) = (await imported(app_database, office, incoming(own=SPANISH))).templates

    assert again.change == "unchanged"
    (template,) = [(await templates_of(app_database, office))[NAME]]
    assert (template.default_locale, template.languages) == ("es", ("es",))


async def test_a_new_template_needs_a_text_in_its_own_language(
    office: Office, app_database: Database
) -> None:
    with pytest.raises(DefinitionError, match=r"on-the-way/: has no text in en_US.*--locale"):
        await imported(app_database, office, incoming(es=SPANISH))
    with pytest.raises(DefinitionError, match="two texts in en_US"):
        await imported(app_database, office, incoming(own=OURS, en_US=LATER))


async def test_a_row_edited_by_hand_hides_no_other(office: Office, app_database: Database) -> None:
    await imported(app_database, office, incoming(own=OURS, es=SPANISH))
    await office.query("UPDATE message_templates SET source = '[]' WHERE locale = 'en_US'")

    assert await source_of(app_database, office) == SPANISH


async def test_the_app_role_cannot_change_what_is_stored(
    office: Office, app_database: Database
) -> None:
    await imported(app_database, office, incoming(own=OURS))
    for statement in ("UPDATE message_templates SET version = 9", "DELETE FROM message_templates"):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with app_database.organization(office.organization_id) as connection:
                await connection.execute(text(statement))
