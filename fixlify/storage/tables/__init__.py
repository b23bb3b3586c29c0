"""The tables, as SQLAlchemy knows them; migrations create them, a test compares the two.

One module per subject; this one holds them together, so that the metadata is whole.
"""

from __future__ import annotations

from fixlify.storage.tables.api import ApiKeyRow, ApiRequestRow
from fixlify.storage.tables.automations import AutomationRow, AutomationVersionRow, EventRow
from fixlify.storage.tables.base import Table
from fixlify.storage.tables.business import (
    ClientRow,
    EstimateRow,
    InboundMessageRow,
    InvoiceRow,
    JobRow,
    OrganizationRow,
    PaymentRow,
    ProfileRow,
    TaskRow,
)
from fixlify.storage.tables.consent import OptOutRow, RulesRow, SuppressionRow
from fixlify.storage.tables.delivery import (
    ChannelSettingsRow,
    ConsentRecordRow,
    TemplateRow,
    TransitionRow,
)
from fixlify.storage.tables.executions import (
    ActionRow,
    DecisionRow,
    ExecutionRow,
    MessageRow,
    SignalRow,
    StepRow,
)
from fixlify.storage.tables.schedules import AnalyticsRow, ScheduleRow, ScheduleRunRow, StopRow
from fixlify.storage.tables.webhooks import WebhookDeliveryRow, WebhookSettingsRow

__all__ = [
    "ActionRow",
    "AnalyticsRow",
    "ApiKeyRow",
    "ApiRequestRow",
    "AutomationRow",
    "AutomationVersionRow",
    "ChannelSettingsRow",
    "ClientRow",
    "ConsentRecordRow",
    "DecisionRow",
    "EstimateRow",
    "EventRow",
    "ExecutionRow",
    "InboundMessageRow",
    "InvoiceRow",
    "JobRow",
    "MessageRow",
    "OptOutRow",
    "OrganizationRow",
    "PaymentRow",
    "ProfileRow",
    "RulesRow",
    "ScheduleRow",
    "ScheduleRunRow",
    "SignalRow",
    "StepRow",
    "StopRow",
    "SuppressionRow",
    "Table",
    "TaskRow",
    "TemplateRow",
    "TransitionRow",
    "WebhookDeliveryRow",
    "WebhookSettingsRow",
]
