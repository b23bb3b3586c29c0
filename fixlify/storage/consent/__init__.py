"""What people do not want, the addresses that get nothing, and the evidence of both."""

from __future__ import annotations

from fixlify.storage.consent.opt_outs import (
    OptOut,
    allow_channel,
    list_opt_outs,
    opt_in,
    opt_out,
)
from fixlify.storage.consent.opted_out import PROVIDER_SOURCE, suppress_opted_out
from fixlify.storage.consent.records import (
    ConsentRecord,
    list_consent_records,
    record_consent,
)
from fixlify.storage.consent.suppressions import (
    Suppression,
    list_suppressions,
    release,
    suppress,
)

__all__ = [
    "PROVIDER_SOURCE",
    "ConsentRecord",
    "OptOut",
    "Suppression",
    "allow_channel",
    "list_consent_records",
    "list_opt_outs",
    "list_suppressions",
    "opt_in",
    "opt_out",
    "record_consent",
    "release",
    "suppress",
    "suppress_opted_out",
]
