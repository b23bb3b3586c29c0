"""The same job as an n8n workflow: a webhook, an email over SMTP, a text message over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

ID: Final = "thank"
PATH: Final = "job-completed"

_SMTP: Final = {"id": "smtp", "name": "The mailbox"}
_TWILIO: Final = {"id": "twilio", "name": "The phone"}
_TEXT: Final = (
    "Hi {{ $json.body.name }},\n\n{{ $json.body.title }} is complete. "
    "Total: {{ $json.body.total }}.\n\nIf anything is not quite right, just reply to this email."
)
_HTML: Final = (
    "<p>Hi {{ $json.body.name }},</p><p><strong>{{ $json.body.title }}</strong> is complete.</p>"
    "<p>Total: {{ $json.body.total }}</p>"
    "<p>If anything is not quite right, just reply to this email.</p>"
)


def credentials(settings: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
    """Return what ``n8n import:credentials`` takes, from the *settings* of our own worker."""
    smtp = urlsplit(settings["FIXLIFY_SMTP_URL"])
    return [
        {
            **_SMTP,
            "type": "smtp",
            "data": {
                "host": smtp.hostname,
                "port": smtp.port,
                "secure": False,
                "disableStartTls": True,
            },
        },
        {
            **_TWILIO,
            "type": "httpBasicAuth",
            "data": {
                "user": settings["TWILIO_ACCOUNT_SID"],
                "password": settings["TWILIO_AUTH_TOKEN"],
            },
        },
    ]


def workflow(settings: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what ``n8n import:workflow`` takes, for the far ends of *settings*."""
    messages = (
        f"{settings['TWILIO_BASE_URL']}/2010-04-01/Accounts/"
        f"{settings['TWILIO_ACCOUNT_SID']}/Messages.json"
    )
    text = "={{ 'Thank you, ' + $('Completed').item.json.body.name + '!' }}"
    return {
        "id": ID,
        "name": "Thank the client",
        "active": False,
        "settings": {"executionOrder": "v1"},
        "nodes": [
            _node(
                "Completed",
                "webhook",
                2,
                {"httpMethod": "POST", "path": PATH, "responseMode": "onReceived"},
                webhookId=PATH,
            ),
            _node(
                "Email",
                "emailSend",
                2.1,
                {
                    "fromEmail": "automations@fixlify.example",
                    "toEmail": "={{ $json.body.email }}",
                    "subject": "=Thank you: {{ $json.body.title }} is complete",
                    "emailFormat": "both",
                    "text": f"={_TEXT}",
                    "html": f"={_HTML}",
                    "options": {"appendAttribution": False},
                },
                credentials={"smtp": _SMTP},
            ),
            _node(
                "Text",
                "httpRequest",
                4.2,
                {
                    "method": "POST",
                    "url": messages,
                    "authentication": "genericCredentialType",
                    "genericAuthType": "httpBasicAuth",
                    "sendBody": True,
                    "contentType": "form-urlencoded",
                    "bodyParameters": {
                        "parameters": [
                            {"name": "To", "value": "={{ $('Completed').item.json.body.phone }}"},
                            {"name": "From", "value": settings["TWILIO_FROM_NUMBER"]},
                            {"name": "Body", "value": text},
                        ]
                    },
                },
                credentials={"httpBasicAuth": _TWILIO},
            ),
        ],
        "connections": {"Completed": _then("Email"), "Email": _then("Text")},
    }


def _node(
    name: str, kind: str, version: float, parameters: Mapping[str, Any], **more: Any
) -> Mapping[str, Any]:
    return {
        "id": name.lower(),
        "name": name,
        "type": f"n8n-nodes-base.{kind}",
        "typeVersion": version,
        "position": [0, 0],
        "parameters": {**parameters, "options": parameters.get("options", {})},
        **more,
    }


def _then(name: str) -> Mapping[str, Any]:
    return {"main": [[{"node": name, "type": "main", "index": 0}]]}
