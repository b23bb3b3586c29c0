"""Sandboxed templates, their variables and formats."""

from fixlify.rendering.checking import Channel, check_template
from fixlify.rendering.messages import (
    RenderedEmail,
    RenderedSms,
    render_email,
    render_sms,
    speaks_of_event,
)
from fixlify.rendering.shipped import resolve, shipped_templates

__all__ = [
    "Channel",
    "RenderedEmail",
    "RenderedSms",
    "check_template",
    "render_email",
    "render_sms",
    "resolve",
    "shipped_templates",
    "speaks_of_event",
]
