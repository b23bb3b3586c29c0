"""Webhooks over HTTPS, signed as Standard Webhooks says."""

from fixlify.channels.webhooks.channel import OutgoingWebhook, WebhookChannel

__all__ = ["OutgoingWebhook", "WebhookChannel"]
