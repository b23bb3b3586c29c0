"""Open invoices that are some number of days past their due date."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from fixlify.domain.events import EventType, SubjectType
from fixlify.domain.lateness import OVERDUE_CATCH_UP, first_sweep_day, thresholds
from fixlify.domain.triggers.due import InvoiceOverdue
from fixlify.storage.sweeps.listeners import Listener
from fixlify.storage.sweeps.pages import RowQuery, RowSearch
from fixlify.storage.sweeps.statuses import SETTLED_INVOICE, is_one_of

_PAGE: Final = """
    SELECT i.due_date AS at, i.id, i.status, i.total, coalesce(i.amount_paid, 0) AS amount_paid
    FROM invoices i
    WHERE i.organization_id = :organization_id
      AND i.due_date BETWEEN CAST(:oldest AS date) AND CAST(:newest AS date)
      AND (i.due_date, i.id) > (CAST(:after_at AS date), CAST(:after_id AS uuid))
    ORDER BY i.due_date, i.id
    LIMIT :size
"""

# Every comparison with NaN as a number is true or an error somewhere; such an invoice counts as
# unusable once it would be reminded of.
#
# Of several thresholds reached at once only the largest goes out; of the others it is recorded
# that they do not. Whatever was recorded for a threshold stands for the smaller ones too, so an
# edited due date never brings them back.
_FOUND: Final = f"""
    open AS (
        SELECT page.id, page.at AS due_date,
               page.total = 'NaN' OR page.amount_paid = 'NaN' AS unusable,
               (SELECT max(CAST(split_part(e.occurrence_key, '/', 3) AS integer))
                FROM automation_events e
                WHERE e.automation_id = :automation_id
                  AND e.occurrence_key > 'invoice_overdue/' || page.id || '/'
                  AND e.occurrence_key < 'invoice_overdue/' || page.id || '0') AS recorded
        FROM page
        WHERE NOT {is_one_of("page.status", SETTLED_INVOICE)}
          AND (page.total IS NULL OR page.total - page.amount_paid > 0)
    ), reached AS (
        SELECT open.id, open.due_date, open.unusable, threshold.days,
               open.due_date < threshold.in_time_from AS missed
        FROM open
        JOIN unnest(
            CAST(:days AS integer[]), CAST(:reached AS date[]), CAST(:in_time_from AS date[]),
            CAST(:missed_from AS date[])
        ) AS threshold (days, reached, in_time_from, missed_from)
          ON open.due_date BETWEEN threshold.missed_from AND threshold.reached
        WHERE coalesce(open.recorded < threshold.days, true)
    ), unusable AS (
        SELECT DISTINCT id FROM reached WHERE unusable
    ), found AS (
        SELECT CAST(id AS text) AS subject_id,
               'invoice_overdue/' || id || '/' || days AS occurrence_key,
               jsonb_strip_nulls(jsonb_build_object(
                   'days', days,
                   'due_date', to_char(due_date, 'YYYY-MM-DD'),
                   'late', CASE WHEN missed THEN format(
                       'overdue since %s: found %s days after the reminder of %s days was due; '
                       'it is sent at most %s days late',
                       to_char(due_date, 'YYYY-MM-DD'), CAST(:today AS date) - due_date - days,
                       days, CAST(:catch_up AS integer)
                   ) WHEN days < largest THEN format(
                       'the reminder of %s days goes out instead: both were reached when it was '
                       'found', largest
                   ) END
               )) AS data
        FROM (SELECT reached.*, max(days) OVER (PARTITION BY id) AS largest
              FROM reached WHERE unusable IS NOT TRUE) AS usable
    )
"""  # noqa: S608 - constants

# Open in any state: who asks for a reminder of invoices is told why there is none of these.
_ENDLESS: Final = f"""
    SELECT CAST(i.id AS text)
    FROM invoices i
    WHERE i.organization_id = :organization_id
      AND i.due_date IN ('-infinity', 'infinity')
      AND NOT {is_one_of("i.status", SETTLED_INVOICE)}
    ORDER BY i.id
    LIMIT :most
"""  # noqa: S608 - constants

_QUERY: Final = RowQuery(_PAGE, _FOUND, _ENDLESS)


def overdue_invoices(listener: Listener, trigger: InvoiceOverdue, as_of: datetime) -> RowSearch:
    """Return the search for the invoices whose reminder is due on the local date of *as_of*."""
    zone = listener.time_zone
    today = as_of.astimezone(ZoneInfo(zone)).date()
    listening_from = first_sweep_day(listener.listening_since, as_of, zone)
    ranges = thresholds(trigger.days, today, listening_from)
    return RowSearch(
        _QUERY,
        listener.id,
        listener.organization_id,
        EventType.INVOICE_OVERDUE,
        SubjectType.INVOICE,
        "invoice",
        {
            "today": today,
            "oldest": min(each.missed_from for each in ranges),
            "newest": max(each.reached for each in ranges),
            "days": [each.days for each in ranges],
            "reached": [each.reached for each in ranges],
            "in_time_from": [each.in_time_from for each in ranges],
            "missed_from": [each.missed_from for each in ranges],
            "catch_up": OVERDUE_CATCH_UP.days,
        },
        why_unusable="its amount is not a number; correct it",
    )
