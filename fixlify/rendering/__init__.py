"""Sandboxed templates, their variables and formats."""

from fixlify.rendering.checking import Channel, check_template
from fixlify.rendering.messages import (
    RenderedEmail,
    RenderedSms,
    language_of,
    render_email,
    render_sms,
    speaks_of_event,
)
from fixlify.rendering.shipped import resolve, shipped_templates
from fixlify.rendering.tasks import RenderedTask, check_task, render_task

__all__ = [
    "Channel",
    "RenderedEmail",
    "RenderedSms",
    "RenderedTask",
    "check_task",
    "check_template",
    "language_of",
    "render_email",
    "render_sms",
    "render_task",
    "resolve",
    "shipped_templates",
    "speaks_of_event",
]
